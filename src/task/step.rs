//! One step of a task: from where its coroutine stands to its next `await` that has to wait, or to its end.

use crate::asyncio;
use crate::future;
use crate::state::thread;
use crate::sys::error::{self, Builtin, fetch, is_exit, raise, raise_format, restore};
use crate::sys::iter::{Sent, send_none, throw};
use crate::sys::list::Linked;
use crate::sys::object::none;
use crate::sys::{Layout, Object, Owned, Raised, Res, panics};
use crate::versions;

use super::{TaskObject, suspend};

/// What a step returns to its caller. CPython's returns what `Future.cancel` did, `True`, if the coroutine ended
/// cancelled, else `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StepResult {
    Normally,
    Cancelled,
}

impl StepResult {
    pub(super) fn into_object(self) -> Owned {
        match self {
            StepResult::Normally => none().own(),
            StepResult::Cancelled => crate::sys::object::boolean(true).own(),
        }
    }
}

#[cold]
pub(super) fn uninitialized() -> Raised {
    raise(Builtin::RuntimeError.class(), c"uninitialized Task object")
}

/// Does a step, with the task as its loop's current one. The caller holds a reference to the task and has entered its
/// context.
#[inline]
pub(super) fn step(task: &TaskObject, exception: Option<Owned>) -> Res<StepResult> {
    let event_loop = task.future().event_loop().ok_or_else(uninitialized)?;
    let entered = thread::Entered::enter(&event_loop, task.as_object())?;
    match guarded(task, &event_loop, exception) {
        Ok(stepped) => entered.leave(&event_loop, task.as_object()).map(|()| stepped),
        Err(raised) => Err(error::chain(raised, || entered.leave(&event_loop, task.as_object()))),
    }
}

/// A step of the current task. A panic in it ends the task, as an exception of its coroutine does.
#[inline]
pub(super) fn guarded(task: &TaskObject, event_loop: &Object, exception: Option<Owned>) -> Res<StepResult> {
    match error::caught("step", || send_or_throw(task, event_loop, exception)) {
        Ok(outcome) => outcome,
        Err(panicked) if task.future().is_pending() => failed(task, event_loop, panicked),
        Err(panicked) => Err(panicked),
    }
}

/// Sends `None` into the coroutine, or throws the exception, or the cancellation that is due; then does with the task
/// what the coroutine's answer asks for.
#[inline]
fn send_or_throw(task: &TaskObject, event_loop: &Object, exception: Option<Owned>) -> Res<StepResult> {
    if !task.future().is_pending() {
        return Err(already_done(task, exception.as_deref()));
    }
    let exception = if task.must_cancel() { Some(cancellation(task, exception)?) } else { exception };
    task.waiting_for.clear();
    let coroutine = task.coroutine.get().ok_or_else(uninitialized)?;
    let sent = match exception {
        None => send_none(&coroutine),
        Some(exception) => throw(&coroutine, &exception),
    };
    match sent {
        Ok(Sent::Yielded(awaited)) => suspend::suspend(task, event_loop, &awaited).map(|()| StepResult::Normally),
        Ok(Sent::Returned(value)) => {
            panics::here("end of a coroutine");
            returned(task, event_loop, value)
        }
        Err(raised) => failed(task, event_loop, raised),
    }
}

#[cold]
fn already_done(task: &TaskObject, exception: Option<&Object>) -> Raised {
    let text =
        if versions::STEP_NAME_MANGLED { c"__step(): already done: %R %R" } else { c"_step(): already done: %R %R" };
    match asyncio::invalid_state_error() {
        Ok(class) => raise_format(class, text, &[task.as_object(), exception.unwrap_or(none())]),
        Err(raised) => raised,
    }
}

/// The exception to throw when a cancellation is due: the given one if it is a cancellation itself.
fn cancellation(task: &TaskObject, given: Option<Owned>) -> Res<Owned> {
    let exception = match given {
        Some(given) if asyncio::is_cancelled_error(&given)? => given,
        _ => future::make_cancelled_error(task.future())?,
    };
    task.set_must_cancel(false);
    Ok(exception)
}

/// The coroutine has returned. It is the future's own `set_result` that is called, whatever a subclass says.
#[inline]
fn returned(task: &TaskObject, event_loop: &Object, value: Owned) -> Res<StepResult> {
    let future = task.future();
    leave_list(task);
    if task.must_cancel() {
        task.count_end(event_loop, |counts| &counts.tasks_cancelled);
        // Cancelled during its last step (bpo-30048).
        task.set_must_cancel(false);
        let message = future.cancel_message().get();
        future::cancel(future, message.as_deref())?;
    } else {
        task.count_end(event_loop, |counts| &counts.tasks_returned);
        future::set_result(future, value)?;
    }
    Ok(StepResult::Normally)
}

/// The coroutine has raised.
fn failed(task: &TaskObject, event_loop: &Object, raised: Raised) -> Res<StepResult> {
    let future = task.future();
    let exception = fetch(raised);
    leave_list(task);
    if asyncio::is_cancelled_error(&exception)? {
        task.count_end(event_loop, |counts| &counts.tasks_cancelled);
        // The very exception travels on, with its traceback, to the first who asks for the result.
        future.keep_cancelled_error(exception);
        future::cancel(future, None)?;
        return Ok(StepResult::Cancelled);
    }
    task.count_end(event_loop, |counts| &counts.tasks_failed);
    future::set_exception(future, &exception)?;
    if is_exit(&exception) {
        return Err(restore(exception));
    }
    Ok(StepResult::Normally)
}

/// From 3.14 on, a task leaves the list when it is done; before, when it dies.
#[inline]
fn leave_list(task: &TaskObject) {
    if versions::TASKS_PER_THREAD {
        task.unlink();
    }
}
