//! Does anybody watch what Python code runs: a tracer, a profiler, a tool of `sys.monitoring`?
//!
//! The interpreter counts each change of what is watched, so that frames notice it (3.12 on): in the state of each thread,
//! in the upper bits of the word that makes it break out of its loop (3.13 on), or in its own (3.12). As long as the
//! number is the one that was found with nobody watching ([`nobody_watches`]), nobody does. No header says where the
//! number is: it is believed if it goes up when asked to ([`settle`]).
//!
//! Whether coroutines note where they were made is asked of the interpreter's own function.

use std::cell::Cell;
use std::ptr;

use pyo3::ffi;

use super::attached::Attached;
use super::{Field, Layout, Object, Owned, Res, call, containers, error};

/// The number's place, in bytes from the beginning of the state.
const PLACE: usize = if cfg!(Py_3_13) { 24 } else { 48 };
/// The lower bits are about other things.
const IGNORED: usize = if cfg!(Py_3_13) { 0xff } else { 0 };

/// A number that none is: nothing was asked yet, or the number cannot be found.
const NEVER: usize = usize::MAX;

/// The number when nobody was found to watch.
static QUIET: Attached<Cell<usize>> = Attached::new(Cell::new(NEVER));
/// The number when somebody was.
static LOUD: Attached<Cell<usize>> = Attached::new(Cell::new(NEVER));
/// Is the number where it is expected?
static SETTLED: Attached<Cell<bool>> = Attached::new(Cell::new(false));

struct Functions {
    /// `sys.monitoring._all_events`, `sys.monitoring.get_tool`, `sys.get_coroutine_origin_tracking_depth`
    all_events: Field,
    get_tool: Field,
    origin_depth: Field,
}

static FUNCTIONS: Attached<Functions> =
    Attached::new(Functions { all_events: Field::unset(), get_tool: Field::unset(), origin_depth: Field::unset() });

/// The number as it is now.
#[inline]
fn number() -> usize {
    // SAFETY: attached, so there are both states, which are longer.
    let word = unsafe {
        let state: *const usize = if cfg!(Py_3_13) {
            ffi::PyThreadState_Get().cast_const().cast()
        } else {
            ffi::PyInterpreterState_Get().cast_const().cast()
        };
        state.byte_add(PLACE).read()
    };
    word & !IGNORED
}

/// Gets the interpreter's functions: `sys.monitoring._all_events`, `.get_tool` and `.restart_events`, and
/// `sys.get_coroutine_origin_tracking_depth`. Says whether the number was found.
///
/// The trial is to restart the events of all tools, which changes nothing but the number if there are none.
pub(crate) fn settle(all_events: &Object, get_tool: &Object, restart: &Object, origin_depth: &Object) -> Res<bool> {
    FUNCTIONS.all_events.set(all_events.own());
    FUNCTIONS.get_tool.set(get_tool.own());
    FUNCTIONS.origin_depth.set(origin_depth.own());
    if !SETTLED.get() {
        let before = number();
        call::call0(restart)?;
        let step = if cfg!(Py_3_13) { IGNORED + 1 } else { 1 };
        let risen = number().wrapping_sub(before);
        SETTLED.set(risen == step || risen == 2 * step);
    }
    Ok(SETTLED.get())
}

/// Does nobody watch, in any thread?
#[inline]
pub(crate) fn nobody_watches() -> bool {
    number() == QUIET.get() || look()
}

#[cold]
fn look() -> bool {
    let now = number();
    if !SETTLED.get() || now == LOUD.get() {
        return false;
    }
    let quiet = is_quiet().unwrap_or_else(|raised| {
        drop(error::fetch(raised));
        false
    });
    (if quiet { &QUIET } else { &LOUD }).set(now);
    quiet
}

/// Asks the interpreter. A tool that is registered may want to know of single functions, which no list shows.
fn is_quiet() -> Res<bool> {
    const TOOLS: i64 = 6;
    let (Some(all_events), Some(get_tool)) = (FUNCTIONS.all_events.get(), FUNCTIONS.get_tool.get()) else {
        return Ok(false);
    };
    if containers::dict_len(&*call::call0(&all_events)?) > 0 {
        return Ok(false);
    }
    for tool in 0..TOOLS {
        if !call::call1(&get_tool, &*containers::int(tool)?)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Do coroutines note where they were made, in this thread?
#[inline]
pub(crate) fn notes_origins() -> bool {
    let Some(function) = FUNCTIONS.origin_depth.get() else { return true };
    match call_builtin(&function) {
        Ok(depth) => !containers::int_value(&depth).is_ok_and(|depth| depth == 0),
        Err(raised) => {
            drop(error::fetch(raised));
            true
        }
    }
}

/// Calls a builtin function that takes no arguments, by its C function if it is one.
#[inline]
fn call_builtin(function: &Object) -> Res<Owned> {
    // SAFETY: an object whose exact type is the builtin function's has that layout, and its definition lives as long; the
    // flags say which of the union's fields is meant.
    unsafe {
        if ptr::eq(function.type_ptr(), &raw mut ffi::PyCFunction_Type) {
            let function = function.as_ptr().cast::<ffi::PyCFunctionObject>();
            let definition = (*function).m_ml;
            if (*definition).ml_flags == ffi::METH_NOARGS {
                let c_function = (*definition).ml_meth.PyCFunction;
                return Owned::steal_or_raised(c_function((*function).m_self, ptr::null_mut()));
            }
        }
    }
    call::call0(function)
}
