//! Does anybody watch what Python code runs: a tracer, a profiler, a tool of `sys.monitoring`?
//!
//! The interpreter counts each change of what is watched, so that frames notice it (3.12 on): in the state of each thread,
//! in the upper bits of the word that makes it break out of its loop (3.13 on), or in its own (3.12). As long as the
//! number is the one that was found with nobody watching ([`nobody_watches`]), nobody does. No header says where the
//! number is: it is believed if it goes up when asked to ([`settle`]).
//!
//! Whether coroutines note where they were made is a number in the state of each thread. It is read there if it was found to
//! be where it is expected ([`settle`]), else the interpreter's own function is asked.

use std::cell::Cell;
use std::ffi::c_int;

use pyo3::ffi;

use super::attached::Attached;
use super::{Field, Layout, Object, Res, call, containers, error};

/// The number's place, in bytes from the beginning of the state.
const PLACE: usize = if cfg!(Py_3_13) { 24 } else { 48 };
/// The lower bits are about other things.
const IGNORED: usize = if cfg!(Py_3_13) { 0xff } else { 0 };

/// Where the state of a thread has how many frames coroutines note (`coroutine_origin_tracking_depth`), in bytes.
const DEPTH: usize = if cfg!(Py_3_15) { 208 } else { 184 };

/// A number that none is: nothing was asked yet, or the number cannot be found.
const NEVER: usize = usize::MAX;

/// The number when nobody was found to watch.
static QUIET: Attached<Cell<usize>> = Attached::new(Cell::new(NEVER));
/// The number when somebody was.
static LOUD: Attached<Cell<usize>> = Attached::new(Cell::new(NEVER));
/// Is the number where it is expected?
static SETTLED: Attached<Cell<bool>> = Attached::new(Cell::new(false));

/// So is the depth.
static DEPTH_IS_THERE: Attached<Cell<bool>> = Attached::new(Cell::new(false));

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

/// How many frames coroutines note in this thread, if it is there.
#[inline]
fn depth() -> c_int {
    // SAFETY: attached, so there is the state, which is longer.
    unsafe { ffi::PyThreadState_Get().cast_const().cast::<c_int>().byte_add(DEPTH).read() }
}

/// Is it there? It is set to other values for a moment, in which nothing can run.
fn try_depth(set_depth: &Object) -> Res<bool> {
    const TRIED: [c_int; 2] = [1_234_567, 89];
    let Some(get_depth) = FUNCTIONS.origin_depth.get() else { return Ok(false) };
    let before = containers::int_value(&*call::call0(&get_depth)?)?;
    let shows = |value: c_int| Ok(depth() == value);
    let try_one = |&tried: &c_int| {
        call::call1(set_depth, &*containers::int(i64::from(tried))?)?;
        shows(tried)
    };
    let before = c_int::try_from(before).unwrap_or(0);
    let tried: Res<Vec<bool>> = TRIED.iter().map(try_one).collect();
    call::call1(set_depth, &*containers::int(i64::from(before))?)?;
    Ok(!tried?.contains(&false) && shows(before)?)
}

/// Gets the interpreter's functions: `sys.monitoring._all_events`, `.get_tool` and `.restart_events`,
/// `sys.get_coroutine_origin_tracking_depth` and `.set_coroutine_origin_tracking_depth`. Says whether the number was found.
///
/// The trial is to restart the events of all tools, which changes nothing but the number if there are none.
pub(crate) fn settle([all_events, get_tool, restart, origin_depth, set_depth]: [&Object; 5]) -> Res<bool> {
    FUNCTIONS.all_events.set(all_events.own());
    FUNCTIONS.get_tool.set(get_tool.own());
    FUNCTIONS.origin_depth.set(origin_depth.own());
    if !SETTLED.get() {
        let before = number();
        call::call0(restart)?;
        let step = if cfg!(Py_3_13) { IGNORED + 1 } else { 1 };
        let risen = number().wrapping_sub(before);
        SETTLED.set(risen == step || risen == 2 * step);
        DEPTH_IS_THERE.set(try_depth(set_depth)?);
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
    if DEPTH_IS_THERE.get() { depth() != 0 } else { ask_depth() }
}

#[cold]
fn ask_depth() -> bool {
    let Some(function) = FUNCTIONS.origin_depth.get() else { return true };
    match call::call0(&function) {
        Ok(depth) => !containers::int_value(&depth).is_ok_and(|depth| depth == 0),
        Err(raised) => {
            drop(error::fetch(raised));
            true
        }
    }
}
