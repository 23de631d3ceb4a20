//! Waking a task up when what it awaits is done.

use crate::future::{self, AwaitedBy, Outcome, WaiterJob};
use crate::job::Job;
use crate::names::RESULT;
use crate::sys::error::{caught, fetch};
use crate::sys::object::none;
use crate::sys::slots::one;
use crate::sys::typeobj::StaticMethod;
use crate::sys::{Layout, Object, Owned, Res, call};

use super::step::{StepResult, step};
use super::{TYPE, TaskObject, as_exact_future, as_native_future, target};

/// A task as the waiter of a future.
pub(super) static WAKE_UP: WaiterJob = WaiterJob {
    job: Job {
        run: |task, future| wake_up(target(task)?, future.unwrap_or(none())).map(drop),
        callback: |task, future| Ok((callable(target(task)?)?, future.map(Layout::own))),
        stop: None,
        takes_several: false,
        needs_context: true,
    },
    context: |task| TYPE.expect(task).context.get_or_none(),
};

/// Goes on with the task's coroutine. A result is not handed over: the coroutine fetches it from the future, through
/// the iterator that it is suspended in. A panic is thrown into it, as an exception of the future's is.
#[inline]
fn wake_up(task: &TaskObject, awaited: &Object) -> Res<StepResult> {
    if let Some(future) = as_native_future(awaited) {
        future::discard_from_awaited_by(future, task.as_object())?;
    } else if let Some(theirs) = AwaitedBy::of_theirs(awaited) {
        theirs.discard(task.as_object())?;
    }
    let outcome = caught("wake-up", || match as_exact_future(awaited) {
        Some(future) => future::outcome(future),
        None => call::call_method(&RESULT, &[awaited], None).map(Outcome::Value),
    });
    match outcome.unwrap_or_else(Err) {
        Ok(Outcome::Value(_)) => step(task, None),
        Ok(Outcome::Exception(exception)) => step(task, Some(exception)),
        Err(raised) => step(task, Some(fetch(raised))),
    }
}

fn wake_up_from_python(task: &TaskObject, awaited: &Object) -> Res<Owned> {
    wake_up(task, awaited).map(StepResult::into_object)
}

static CALLABLE: StaticMethod = StaticMethod::new(one!(TaskObject, c"task_wakeup", wake_up_from_python, c""));

/// The wake-up as a callback, `Task.task_wakeup`; two of the same task are equal.
pub(super) fn callable(task: &TaskObject) -> Res<Owned> {
    CALLABLE.bind(task)
}
