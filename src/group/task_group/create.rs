//! `TaskGroup.create_task`, of a coroutine.
//!
//! With an eager task factory the task may have run to its end when the loop returns it. Some releases then look at once
//! what became of it, and do not take it into the group.

use crate::future::{self, FutureObject, Waiter};
use crate::graft::coroutine;
use crate::graft::running::Running;
use crate::graft::{Graft, Mentions};
use crate::names::{
    ABORTING as ABORTING_NAME, ADD_DONE_CALLBACK, CANCEL, DONE, NAME, ON_TASK_DONE as ON_TASK_DONE_NAME, PARENT_TASK,
    TASKS as TASKS_NAME,
};
use crate::sys::args::Arguments;
use crate::sys::intern::ADD;
use crate::sys::iter::is_native_coroutine;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res, call, containers};
use crate::task;
use crate::versions;

use super::done::{self, TASK_DONE};
use super::{ABORTING, ENTERED, EXITING, GROUP, LOOP, MODULE, PARENT, tasks_of};

pub(crate) static CREATE_TASK: Graft = Graft::new(MODULE, "TaskGroup.create_task", vectorcall!(create_task));

/// Does the function's code look at once at a task that is done when it is made? (gh-128588)
static LOOKS_AT_ONCE: Mentions = Mentions::new(&CREATE_TASK, &DONE);

fn create_task(call: &Call<'_>) -> Option<Res<Owned>> {
    let &[group, coroutine] = call.arguments.positional else { return None };
    if !hands_on(call.arguments) || !CREATE_TASK.takes_itself(call) {
        return None;
    }
    let attributes = GROUP.of(group)?;
    let is_open = attributes.flag(ENTERED)? && !attributes.flag(ABORTING)?;
    let tasks = tasks_of(attributes)?;
    if !is_open || (attributes.flag(EXITING)? && containers::set_len(&tasks) == 0) {
        return None;
    }
    let running = Running::find().filter(|running| attributes.holds(LOOP, running.event_loop()))?;
    if !coroutine::is_coroutine(coroutine) {
        return None;
    }
    if is_native_coroutine(coroutine) && !call.arguments.has_keywords() && running.makes_native_tasks() {
        let parent = attributes.get(PARENT)?;
        return Some(create_plainly(&running, group, &tasks, &parent, coroutine));
    }
    let made = running.create_task(call.arguments.without_first())?;
    let made = made.map_err(|raised| CREATE_TASK.raised_by("^create_task", raised));
    Some(made.and_then(|task| join(group, task)))
}

/// No Python code runs meanwhile.
#[inline]
fn create_plainly(
    running: &Running,
    group: &Object,
    tasks: &Object,
    parent: &Object,
    coroutine: &Object,
) -> Res<Owned> {
    let made = running.create_native_task(coroutine)?;
    if let Some(task) = task::as_exact_future(&made) {
        join_natively(group, task, tasks, parent)?;
    }
    Ok(made)
}

/// Are its keywords those that the loop's method gets?
fn hands_on(arguments: Arguments<'_>) -> bool {
    if versions::CREATE_TASK_KEYWORDS {
        return true;
    }
    // 3.12 names the task itself, when it is made.
    arguments.keywords().all(|(keyword, _)| cfg!(Py_3_13) && NAME.is(keyword))
}

/// The task becomes one of the group's. It may have run already, and done anything to the group.
fn join(group: &Object, made: Owned) -> Res<Owned> {
    let task = task::as_exact_future(&made).filter(|task| task.has_no_attributes());
    let attributes = GROUP.of(group).filter(|_| CREATE_TASK.is_on_itself());
    let found = attributes.and_then(|attributes| Some((tasks_of(attributes)?, attributes.get(PARENT)?)));
    let (Some(task), Some((tasks, parent))) = (task, found) else {
        return join_in_python(group, &made).map(|()| made);
    };
    if versions::TASK_GROUP_MAY_LOOK_AT_ONCE && !task.is_pending() && LOOKS_AT_ONCE.get() {
        done::task_is_done(group, task.as_object())?;
        return Ok(made);
    }
    join_natively(group, task, &tasks, &parent)?;
    leave_if_aborting(group, &made)?;
    Ok(made)
}

#[inline]
fn join_natively(group: &Object, task: &FutureObject, tasks: &Object, parent: &Object) -> Res<()> {
    if task::as_native_future(parent).is_some() {
        future::add_to_awaited_by(task, parent)?;
    }
    containers::set_add(tasks, task.as_object())?;
    future::add_waiter(task, Waiter { target: group.own(), kind: &TASK_DONE })
}

/// As the body does it with a task of somebody else's, or of a group that is not plain any more.
#[cold]
fn join_in_python(group: &Object, task: &Object) -> Res<()> {
    let is_done = || call::is_true(&*call::call_method(&DONE, &[task], None)?);
    if versions::AWAITED_BY {
        let parent = call::getattr(group, &PARENT_TASK)?;
        if let (Some(task), Some(_)) = (task::as_native_future(task), task::as_native_future(&parent)) {
            future::add_to_awaited_by(task, &parent)?;
        }
    }
    if versions::TASK_GROUP_MAY_LOOK_AT_ONCE && LOOKS_AT_ONCE.get() && is_done()? {
        return call::call_method(&ON_TASK_DONE_NAME, &[group, task], None).map(drop);
    }
    call::call_method(&ADD, &[&*call::getattr(group, &TASKS_NAME)?, task], None)?;
    let callback = call::getattr(group, &ON_TASK_DONE_NAME)?;
    call::call_method(&ADD_DONE_CALLBACK, &[task, &*callback], None)?;
    leave_if_aborting(group, task)
}

/// A task that has run at once may have cancelled the group before it was one of it (gh-155418).
fn leave_if_aborting(group: &Object, task: &Object) -> Res<()> {
    if !versions::TASK_GROUP_CANCEL || !call::is_true(&*call::getattr(group, &ABORTING_NAME)?)? {
        return Ok(());
    }
    if call::is_true(&*call::call_method(&DONE, &[task], None)?)? {
        return Ok(());
    }
    call::call_method(&CANCEL, &[task], None).map(drop)
}
