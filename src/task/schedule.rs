//! A step as work for a loop.

use crate::job::{Entry, Job};
use crate::sched;
use crate::sys::{Layout, Object, Owned, Res};

use super::step::step;
use super::{TaskObject, step_wrapper, target};

/// A step as work for a loop: of the target, a task; the argument is an exception to throw into its coroutine.
static STEP: Job = Job {
    run: |task, exception| step(target(task)?, exception.map(Layout::own)).map(drop),
    callback: |task, exception| Ok((step_wrapper::new(task, exception)?, None)),
    stop: None,
    takes_several: false,
    needs_context: true,
};

/// Asks the loop to do a step soon, throwing the exception if there is one.
#[inline]
pub(super) fn call_soon(task: &TaskObject, event_loop: &Object, exception: Option<Owned>) -> Res<()> {
    let target = task.as_object().own();
    sched::call_soon(event_loop, Entry { job: &STEP, target, argument: exception, context: task.context.get_or_none() })
}
