//! Handing work to event loops.
//!
//! Futures and tasks describe what they want done as an [`Entry`] and give it to [`call_soon`]. How it gets to the
//! loop is this module's affair: natively if the loop is asyncio's own and nobody has changed it ([`stock`]), by
//! `loop.call_soon(...)` on any other.

mod handle;
mod stock;

use crate::sys::intern::{CALL_SOON, CONTEXT, GET_DEBUG, IS_RUNNING};
use crate::sys::lazy::Once;
use crate::sys::object::boolean;
use crate::sys::{Layout, Object, Owned, Res, call, containers};

pub(crate) use handle::init;

/// A kind of work. The functions get the entry's target and argument.
pub(crate) struct Job {
    /// Does it; the caller has entered the entry's context.
    pub(crate) run: fn(target: &Object, argument: Option<&Object>) -> Res<()>,
    /// The same as a Python callable and its argument, for loops that want these and for people who look.
    pub(crate) callback: fn(target: &Object, argument: Option<&Object>) -> Res<Callback>,
}

/// A callable, and its one argument if it has one.
pub(crate) type Callback = (Owned, Option<Owned>);

/// One piece of work for a loop.
pub(crate) struct Entry {
    pub(crate) job: &'static Job,
    pub(crate) target: Owned,
    pub(crate) argument: Option<Owned>,
    /// What `call_soon` gets as `context=`.
    pub(crate) context: Owned,
}

/// `loop.call_soon(callback[, argument], context=context)`. Runs Python code unless the loop is a stock one.
#[inline]
pub(crate) fn call_soon(event_loop: &Object, entry: Entry) -> Res<()> {
    match stock::ready_queue(event_loop, &entry.context) {
        Some(ready) => crate::sys::deque::append(&ready, &*handle::new(event_loop, entry)?),
        None => call_soon_in_python(event_loop, &entry),
    }
}

static CONTEXT_KEYWORD: Once = Once::new();

fn call_soon_in_python(event_loop: &Object, entry: &Entry) -> Res<()> {
    let keywords = CONTEXT_KEYWORD.get_or_init(|| containers::tuple(&[CONTEXT.object()]))?;
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
    match stock::running_flag(event_loop) {
        Some(running) => Ok(running),
        None => Ok(call::call_method(&IS_RUNNING, &[event_loop], None)?.is(boolean(true))),
    }
}

/// `bool(loop.get_debug())`
#[inline]
pub(crate) fn debug_enabled(event_loop: &Object) -> Res<bool> {
    match stock::debug_flag(event_loop) {
        Some(debug) => Ok(debug),
        None => call::is_true(&*call::call_method(&GET_DEBUG, &[event_loop], None)?),
    }
}
