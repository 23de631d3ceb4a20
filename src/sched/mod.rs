//! Asking any event loop: to call something soon, whether it runs, whether debug mode is on.
//!
//! Futures and tasks describe what they want done as an [`Entry`] and give it to [`call_soon`]. How it gets to the
//! loop is this module's affair: straight into the queue of our own loop ([`crate::event_loop`]); as a native handle if
//! the loop is asyncio's own and nobody has changed it ([`stock`]); by `loop.call_soon(...)` on any other.

#[cfg(Py_3_12)]
mod plain;
mod stock;

use crate::event_loop::{self, Counter, Counts};
use crate::handle::{self, HandleObject, Owner};
use crate::job::{Entry, context_keyword};
use crate::names::{CALL_SOON, GET_DEBUG, IS_RUNNING, TIMER_HANDLE_CANCELLED};
use crate::sys::object::boolean;
use crate::sys::{Layout, Object, Res, call, context};

#[cfg(Py_3_12)]
pub(crate) use plain::{
    call_at, call_later, cancel, create_native_task, create_task, is_plain, makes_native_futures, makes_native_tasks,
};

/// Tells the handles how to ask the loops that they belong to. Called once, by the module's initialisation.
pub(crate) fn init() {
    static OWNER: Owner = Owner { timer_cancelled, debug_enabled };
    handle::register_owner(&OWNER);
}

/// `loop.call_soon(callback[, argument], context=context)`. Runs Python code unless the loop is ours or a stock one.
#[inline]
pub(crate) fn call_soon(event_loop: &Object, entry: Entry) -> Res<()> {
    if let Some(native) = event_loop::plain(event_loop) {
        if native.just_queues() && context::is_context(&entry.context) {
            return native.push(entry);
        }
    } else if let Some(ready) = stock::ready_queue(event_loop, &entry.context) {
        let handle = handle::new(handle::Kind::Plain, event_loop, false, handle::Work::Entry(entry))?;
        return crate::sys::deque::append(&ready, handle.as_object());
    }
    call_soon_in_python(event_loop, &entry)
}

fn call_soon_in_python(event_loop: &Object, entry: &Entry) -> Res<()> {
    let keywords = context_keyword()?;
    let (callback, argument) = (entry.job.callback)(&entry.target, entry.argument.as_deref())?;
    match argument {
        Some(argument) => {
            call::call_method(&CALL_SOON, &[event_loop, &callback, &argument, &entry.context], Some(keywords))
        }
        None => call::call_method(&CALL_SOON, &[event_loop, &callback, &entry.context], Some(keywords)),
    }
    .map(drop)
}

/// `loop.is_running() is True`
#[inline]
pub(crate) fn is_running(event_loop: &Object) -> Res<bool> {
    if let Some(native) = event_loop::plain(event_loop) {
        return Ok(native.is_running());
    }
    match stock::running_flag(event_loop) {
        Some(running) => Ok(running),
        None => Ok(call::call_method(&IS_RUNNING, &[event_loop], None)?.is(boolean(true))),
    }
}

/// Counts something that has happened on a loop, if it is one of ours.
#[inline]
pub(crate) fn count(event_loop: &Object, what: impl FnOnce(&Counts) -> &Counter) {
    if let Some(native) = event_loop::TYPE.downcast(event_loop) {
        what(&native.counts).one();
    }
}

/// `bool(loop.get_debug())`
#[inline]
pub(crate) fn debug_enabled(event_loop: &Object) -> Res<bool> {
    if let Some(native) = event_loop::plain(event_loop) {
        return Ok(native.debug_is_on());
    }
    match stock::debug_flag(event_loop) {
        Some(debug) => Ok(debug),
        None => call::is_true(&*call::call_method(&GET_DEBUG, &[event_loop], None)?),
    }
}

/// `loop._timer_handle_cancelled(timer)`; and what `loop.get_debug()` says, if the loop is plain.
fn timer_cancelled(event_loop: &Object, timer: &HandleObject) -> Res<Option<bool>> {
    if let Some(native) = event_loop::plain(event_loop) {
        native.timer_cancelled(timer);
        return Ok(Some(native.debug_is_on()));
    }
    call::call_method(&TIMER_HANDLE_CANCELLED, &[event_loop, timer.as_object()], None)?;
    Ok(None)
}
