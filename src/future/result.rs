//! How a future gets done: result, exception, cancellation, and how these are read.

use crate::asyncio;
use crate::sys::error::{
    self, Builtin, is_exception, is_exception_class, matches, raise, set_cause_and_context, set_traceback,
};
use crate::sys::{Layout, Object, Owned, Raised, Res, call, containers};
use crate::versions;

use super::callbacks;
use super::object::{FutureObject, LOG_TRACEBACK, State, not_initialized};

/// What a future that is done has for those who await it.
pub(crate) enum Outcome {
    Value(Owned),
    Exception(Owned),
}

#[cold]
fn invalid_state() -> Raised {
    asyncio::invalid_state(c"invalid state")
}

fn require_pending(future: &FutureObject) -> Res<()> {
    if !future.is_initialized() {
        return Err(not_initialized());
    }
    if future.is_pending() { Ok(()) } else { Err(invalid_state()) }
}

/// `Future.set_result(value)`
#[inline]
pub(crate) fn set_result(future: &FutureObject, value: Owned) -> Res<()> {
    require_pending(future)?;
    future.result.set(value);
    future.become_done(State::Finished);
    callbacks::schedule(future)
}

/// `Future.set_exception(exception)`, of an instance or a class.
pub(crate) fn set_exception(future: &FutureObject, given: &Object) -> Res<()> {
    require_pending(future)?;
    let exception = if is_exception_class(given) {
        let made = call::call0(given)?;
        // The class's constructor may have completed the future.
        if !future.is_pending() {
            return Err(invalid_state());
        }
        made
    } else {
        given.own()
    };
    if !is_exception(&exception) {
        return Err(raise(Builtin::TypeError.class(), c"invalid exception object"));
    }
    let exception = without_stop_iteration(exception)?;
    if !future.is_pending() {
        return Err(invalid_state());
    }
    drop(future.exception_traceback.replace(error::traceback(&exception)));
    future.exception.set(exception);
    future.become_done(State::Finished);
    callbacks::schedule(future)?;
    future.flags.put(LOG_TRACEBACK, true);
    Ok(())
}

/// A `StopIteration` raised by an `await` would look like the end of the coroutine.
fn without_stop_iteration(exception: Owned) -> Res<Owned> {
    let text = c"StopIteration interacts badly with generators and cannot be raised into a Future";
    let stop_iteration = Builtin::StopIteration.class();
    if versions::STOP_ITERATION_CONVERTED {
        if !matches(&exception, stop_iteration) {
            return Ok(exception);
        }
        let replacement = call::call1(Builtin::RuntimeError.class(), &*containers::string(text)?)?;
        set_cause_and_context(&replacement, &exception);
        return Ok(replacement);
    }
    if exception.class().is(stop_iteration) {
        return Err(raise(Builtin::TypeError.class(), text));
    }
    Ok(exception)
}

/// `Future.cancel(msg)`: false if the future was done.
pub(crate) fn cancel(future: &FutureObject, message: Option<&Object>) -> Res<bool> {
    future.flags.put(LOG_TRACEBACK, false);
    if !future.is_pending() {
        return Ok(false);
    }
    future.become_done(State::Cancelled);
    drop(future.cancel_message.replace(message.map(Layout::own)));
    callbacks::schedule(future)?;
    Ok(true)
}

/// The exception of a cancelled future. The one that a coroutine raised is given to the first who asks and then
/// forgotten, so that no cycle through its traceback lasts (gh-124958).
pub(crate) fn make_cancelled_error(future: &FutureObject) -> Res<Owned> {
    if let Some(exception) = future.cancelled_error.take() {
        return Ok(exception);
    }
    let class = asyncio::cancelled_error()?;
    match future.cancel_message.get() {
        Some(message) if !message.is_none() => call::call1(class, &message),
        _ => call::call0(class),
    }
}

/// What a done future holds; `InvalidStateError` if it is not done. The exception counts as retrieved.
#[inline]
pub(crate) fn outcome(future: &FutureObject) -> Res<Outcome> {
    match future.state.get() {
        State::Finished if !future.exception.is_set() => {
            future.flags.put(LOG_TRACEBACK, false);
            Ok(Outcome::Value(future.result.get_or_none()))
        }
        _ => failed_outcome(future),
    }
}

#[cold]
fn failed_outcome(future: &FutureObject) -> Res<Outcome> {
    match future.state.get() {
        State::Pending if !future.is_initialized() => Err(asyncio::invalid_state(c"Future object is not initialized.")),
        State::Pending => Err(asyncio::invalid_state(c"Result is not set.")),
        State::Cancelled => Ok(Outcome::Exception(make_cancelled_error(future)?)),
        State::Finished => {
            future.flags.put(LOG_TRACEBACK, false);
            let exception = future.exception.get_or_none();
            // The traceback grows each time it is raised; the first to raise it sees it as it was (gh-90082).
            let traceback = future.exception_traceback.take();
            set_traceback(&exception, traceback.as_deref().unwrap_or(crate::sys::object::none()));
            Ok(Outcome::Exception(exception))
        }
    }
}

/// `Future.result()`
pub(super) fn result(future: &FutureObject) -> Res<Owned> {
    match outcome(future)? {
        Outcome::Value(value) => Ok(value),
        Outcome::Exception(exception) => Err(error::raise_object(&exception)),
    }
}

/// `Future.exception()`
pub(crate) fn exception(future: &FutureObject) -> Res<Owned> {
    match future.state.get() {
        State::Pending if !future.is_initialized() => Err(asyncio::invalid_state(c"Future object is not initialized.")),
        State::Pending => Err(asyncio::invalid_state(c"Exception is not set.")),
        State::Cancelled => Err(error::raise_object(&*make_cancelled_error(future)?)),
        State::Finished => {
            if future.exception.is_set() {
                future.flags.put(LOG_TRACEBACK, false);
            }
            Ok(future.exception.get_or_none())
        }
    }
}
