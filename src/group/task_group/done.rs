//! `TaskGroup._on_task_done`, of a task that has a result or was cancelled.
//!
//! The task calls it natively. Who looks at the task's callbacks sees the group's method. One that has failed has the
//! group abort, in Python, which may call any task's `cancel`: that runs in the context of the group's task.

use crate::future::{self, FutureObject, WaiterJob};
use crate::graft::Graft;
use crate::job::Job;
use crate::names::PARENT_TASK;
use crate::sys::error::fetch;
use crate::sys::object::{boolean, none};
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res, call, containers, context, types};
use crate::task;

use super::{COMPLETED, GROUP, MODULE, PARENT, tasks_of};

pub(crate) static ON_TASK_DONE: Graft = Graft::new(MODULE, "TaskGroup._on_task_done", vectorcall!(on_task_done));

/// A task of the group, the target, is done.
pub(super) static TASK_DONE: WaiterJob = WaiterJob {
    job: Job {
        run: |group, task| {
            let task = task.unwrap_or(none());
            natively(group, task).unwrap_or_else(|| context::run(&parents_context(group), || in_python(group, task)))
        },
        callback: |group, task| Ok((method_of(group)?, task.map(Layout::own))),
        stop: None,
        takes_several: false,
        needs_context: false,
    },
    context: parents_context,
};

/// A copy of the context of the group's task.
#[cold]
fn parents_context(group: &Object) -> Owned {
    let copy = call::getattr(group, &PARENT_TASK).and_then(|parent| match task::TYPE.downcast(&parent) {
        Some(parent) => parent.copy_of_context(),
        None => context::copy_current(),
    });
    copy.unwrap_or_else(|raised| {
        drop(fetch(raised));
        context::shared_empty()
    })
}

/// The group's method, of the function that it was when the task was made.
fn method_of(group: &Object) -> Res<Owned> {
    types::bind(&*ON_TASK_DONE.function()?, group)
}

#[cold]
fn in_python(group: &Object, task: &Object) -> Res<()> {
    call::call(&*ON_TASK_DONE.function()?, &[group, task]).map(drop)
}

/// `group._on_task_done(task)`
pub(super) fn task_is_done(group: &Object, task: &Object) -> Res<()> {
    natively(group, task).unwrap_or_else(|| in_python(group, task))
}

fn on_task_done(call: &Call<'_>) -> Option<Res<Owned>> {
    let [group, task] = call.positional()?;
    if !ON_TASK_DONE.takes_itself(call) {
        return None;
    }
    natively(group, task).map(|done| done.map(|()| none().own()))
}

/// `None`, and nothing is done, if it is not as simple as that.
#[inline]
fn natively(group: &Object, task: &Object) -> Option<Res<()>> {
    if !ON_TASK_DONE.is_on_itself() {
        return None;
    }
    let attributes = GROUP.of(group)?;
    let done = task::as_exact_future(task).filter(|task| task.has_no_attributes())?;
    if done.is_pending() || (done.has_failed() && !done.is_cancelled()) {
        return None;
    }
    let (tasks, parent) = (tasks_of(attributes)?, attributes.get(PARENT)?);
    let completed = attributes.get(COMPLETED)?;
    let waiting = future::TYPE.downcast_exact(&completed);
    if !completed.is_none() && !waiting.is_some_and(FutureObject::has_no_attributes) {
        return None;
    }
    Some(remove(&tasks, done, &parent, waiting))
}

#[inline]
fn remove(tasks: &Object, task: &FutureObject, parent: &Object, waiting: Option<&FutureObject>) -> Res<()> {
    containers::set_discard(tasks, task.as_object())?;
    if task::as_native_future(parent).is_some() {
        future::discard_from_awaited_by(task, parent)?;
    }
    match waiting.filter(|waiting| containers::set_len(tasks) == 0 && waiting.is_pending()) {
        Some(waiting) => future::set_result(waiting, boolean(true).own()),
        None => Ok(()),
    }
}
