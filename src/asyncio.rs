//! The parts of the `asyncio` package that our types call, looked up at first use (see [`Lazy`]).

use std::sync::atomic::{AtomicBool, Ordering};

use crate::sys::error::{self, Builtin, raise};
use crate::sys::lazy::Lazy;
use crate::sys::{Object, Owned, Raised, Res, call};
use crate::versions::POLICY_GETTER;

pub(crate) static BASE_EVENTS_GLOBALS: Lazy = Lazy::new("asyncio.base_events", "__dict__");
pub(crate) static EVENTS_GLOBALS: Lazy = Lazy::new("asyncio.events", "__dict__");
pub(crate) static FORMAT_CALLBACK_SOURCE: Lazy = Lazy::new("asyncio.format_helpers", "_format_callback_source");
pub(crate) static FUTURE_REPR: Lazy = Lazy::new("asyncio.base_futures", "_future_repr");
pub(crate) static GET_LOOP: Lazy = Lazy::new("asyncio.futures", "_get_loop");
pub(crate) static IS_COROUTINE: Lazy = Lazy::new("asyncio.coroutines", "iscoroutine");
pub(crate) static TASK_GET_STACK: Lazy = Lazy::new("asyncio.base_tasks", "_task_get_stack");
pub(crate) static TASK_PRINT_STACK: Lazy = Lazy::new("asyncio.base_tasks", "_task_print_stack");
pub(crate) static TASK_REPR: Lazy = Lazy::new("asyncio.base_tasks", "_task_repr");

pub(crate) static FUTURES_GLOBALS: Lazy = Lazy::new("asyncio.futures", "__dict__");
pub(crate) static SET_RESULT_UNLESS_CANCELLED: Lazy = Lazy::new("asyncio.futures", "_set_result_unless_cancelled");
pub(crate) static TASKS_GLOBALS: Lazy = Lazy::new("asyncio.tasks", "__dict__");

static CANCELLED_ERROR: Lazy = Lazy::new("asyncio.exceptions", "CancelledError");
static EXTRACT_DEBUG_STACK: Lazy = Lazy::new("asyncio.format_helpers", "extract_stack");
static EXTRACT_STACK: Lazy = Lazy::new("traceback", "extract_stack");
static INVALID_STATE_ERROR: Lazy = Lazy::new("asyncio.exceptions", "InvalidStateError");
static GET_POLICY: Lazy = Lazy::new("asyncio.events", POLICY_GETTER);

/// What futures and tasks need. CPython's module has it from the start; when the interpreter shuts down, nothing can be
/// imported any more.
static NEEDED_LATE: [&Lazy; 12] = [
    &CANCELLED_ERROR,
    &EXTRACT_STACK,
    &FORMAT_CALLBACK_SOURCE,
    &FUTURE_REPR,
    &GET_LOOP,
    &GET_POLICY,
    &INVALID_STATE_ERROR,
    &IS_COROUTINE,
    &SET_RESULT_UNLESS_CANCELLED,
    &TASK_GET_STACK,
    &TASK_PRINT_STACK,
    &TASK_REPR,
];
static LOOKED_UP: AtomicBool = AtomicBool::new(false);

/// Looks up what may be needed when it is too late to import. Called when a future is made, and at exit if there is
/// asyncio: it is complete then.
#[inline]
pub(crate) fn prepare() {
    if !LOOKED_UP.load(Ordering::Relaxed) {
        look_up();
    }
}

#[cold]
fn look_up() {
    // What cannot be had now is tried again when it is needed, and that error is shown.
    LOOKED_UP.store(true, Ordering::Relaxed);
    for name in NEEDED_LATE {
        if let Err(raised) = name.get() {
            drop(error::fetch(raised));
        }
    }
}

pub(crate) fn cancelled_error() -> Res<&'static Object> {
    CANCELLED_ERROR.get()
}

/// Is the exception a `CancelledError` (or of a subclass, which counts as cancellation everywhere)?
pub(crate) fn is_cancelled_error(exception: &Object) -> Res<bool> {
    Ok(error::matches(exception, cancelled_error()?))
}

pub(crate) fn invalid_state(text: &std::ffi::CStr) -> Raised {
    match INVALID_STATE_ERROR.get() {
        Ok(class) => raise(class, text),
        Err(raised) => raised,
    }
}

pub(crate) fn invalid_state_error() -> Res<&'static Object> {
    INVALID_STATE_ERROR.get()
}

/// The loop was closed, and cannot do what it was asked for.
#[cold]
pub(crate) fn loop_is_closed() -> Raised {
    raise(Builtin::RuntimeError.class(), c"Event loop is closed")
}

/// The event loop policy in force.
pub(crate) fn policy() -> Res<Owned> {
    call::call0(GET_POLICY.get()?)
}

/// The stack of the caller, as a `traceback.StackSummary`.
pub(crate) fn extract_stack() -> Res<Owned> {
    call::call0(EXTRACT_STACK.get()?)
}

/// The innermost frames of the caller's stack, as handles keep them in debug mode.
pub(crate) fn extract_debug_stack() -> Res<Owned> {
    call::call0(EXTRACT_DEBUG_STACK.get()?)
}
