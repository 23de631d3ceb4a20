//! Handing work to event loops, and our own event loop.
//!
//! Futures and tasks describe what they want done as an [`Entry`] and give it to [`call_soon`]. How it gets to the
//! loop is this module's affair: straight into the queue of our own loop ([`event_loop`]); as a native handle if the
//! loop is asyncio's own and nobody has changed it ([`stock`]); by `loop.call_soon(...)` on any other.

mod event_loop;
mod handle;
pub(crate) mod shortcuts;
mod stock;

use crate::sys::gc::{Visited, Visitor};
use crate::sys::intern::{CALL_SOON, CONTEXT, GET_DEBUG, IS_RUNNING};
use crate::sys::lazy::Once;
use crate::sys::object::boolean;
use crate::sys::{Layout, Object, Owned, Res, call, containers, context};

pub(crate) use event_loop::init;

/// A kind of work. The functions get the entry's target and argument.
pub(crate) struct Job {
    /// Does it; the caller has entered the entry's context.
    pub(crate) run: fn(target: &Object, argument: Option<&Object>) -> Res<()>,
    /// The same as a Python callable and its argument, for loops that want these and for people who look.
    pub(crate) callback: fn(target: &Object, argument: Option<&Object>) -> Res<Callback>,
    /// The callable's argument, then, is the tuple of several.
    pub(crate) takes_several: bool,
    /// It runs no code of the program, so that no one could tell in which context.
    pub(crate) needs_context: bool,
}

/// A callable, and its one argument if it has one.
pub(crate) type Callback = (Owned, Option<Owned>);

/// One piece of work for a loop.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) job: &'static Job,
    pub(crate) target: Owned,
    pub(crate) argument: Option<Owned>,
    /// What `call_soon` gets as `context=`.
    pub(crate) context: Owned,
}

impl Entry {
    fn visit(&self, visitor: Visitor) -> Visited {
        visitor.address(self.target.as_ptr())?;
        if let Some(argument) = &self.argument {
            visitor.address(argument.as_ptr())?;
        }
        visitor.address(self.context.as_ptr())
    }
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

/// `("context",)`
fn context_keyword() -> Res<&'static Object> {
    static CONTEXT_KEYWORD: Once = Once::new();
    CONTEXT_KEYWORD.get_or_init(|| containers::tuple(&[CONTEXT.object()]))
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
