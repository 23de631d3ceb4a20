//! Cancelling a task.

use crate::names::CANCEL;
use crate::sys::object::none;
use crate::sys::{Layout, Object, Owned, Res, call, containers};
use crate::versions;

use super::TaskObject;

/// `Task.cancel(msg)`: asks what the task waits for to be cancelled, or has the next step throw `CancelledError`.
///
/// A chain of tasks that await each other recurses through the method call, which counts the depth and raises
/// `RecursionError` for a cycle (gh-80637).
pub(super) fn cancel(task: &TaskObject, message: Option<&Object>) -> Res<bool> {
    let message = message.unwrap_or(none());
    task.future().forget_traceback_log();
    if !task.future().is_pending() {
        return Ok(false);
    }
    task.cancels_requested.set(task.cancels_requested.get().saturating_add(1));
    if let Some(awaited) = task.waiting_for.get() {
        if call::is_true(&*call::call_method(&CANCEL, &[&*awaited, message], None)?)? {
            return Ok(true);
        }
    }
    task.set_must_cancel(true);
    task.future().cancel_message().set(message.own());
    Ok(true)
}

/// `Task.cancelling()`
pub(super) fn cancelling(task: &TaskObject) -> Res<Owned> {
    containers::int(i64::from(task.cancels_requested.get()))
}

/// `Task.uncancel()`
pub(super) fn uncancel(task: &TaskObject) -> Res<Owned> {
    let requested = task.cancels_requested.get();
    if requested > 0 {
        task.cancels_requested.set(requested - 1);
        if requested == 1 && versions::UNCANCEL_CLEARS_MUST_CANCEL {
            task.set_must_cancel(false);
        }
    }
    cancelling(task)
}
