//! Eager start: the first step of a task right where it is made (3.12 on).

use crate::state::{tasks, thread};
use crate::sys::error;
use crate::sys::list::Linked;
use crate::sys::{Layout, Object, Res, context};
use crate::versions;

use super::TaskObject;
use super::step::guarded;

/// Runs the coroutine until it has to wait. What it raises ends up in the task, except for exits.
#[inline]
pub(super) fn start(task: &TaskObject, event_loop: &Object) -> Res<()> {
    let task_object = task.as_object();
    let outer = thread::swap_current_task(event_loop, Some(task_object))?;
    let registered = register(task);
    let task_context = task.context.get_or_none();
    if let Err(raised) = registered.and_then(|()| context::enter(&task_context)) {
        // Nothing has happened yet, and all is undone, or the loop could not go on (gh-157301).
        return Err(error::chain(raised, || {
            task.set_log_destroy_pending(false);
            task.unlink();
            unregister(task)?;
            thread::swap_current_task(event_loop, outer.as_deref())
        }));
    }
    match guarded(task, event_loop, None) {
        Ok(_) => finish(task, event_loop, outer.as_deref(), &task_context),
        Err(raised) => Err(error::chain(raised, || finish(task, event_loop, outer.as_deref(), &task_context))),
    }
}

fn finish(task: &TaskObject, event_loop: &Object, outer: Option<&Object>, task_context: &Object) -> Res<()> {
    // Each of these has to be tried, whatever comes of the others.
    let swapped = thread::swap_current_task(event_loop, outer).map(drop);
    let unregistered = unregister(task);
    let exited = context::exit(task_context);
    let listed = if !task.future().is_pending() {
        task.coroutine.clear();
        Ok(())
    } else if versions::TASKS_PER_THREAD {
        Ok(())
    } else {
        task.list()
    };
    swapped.and(unregistered).and(exited).and(listed)
}

/// Before 3.14, `all_tasks()` looks for a task in its eager start in a container of its own.
#[inline]
fn register(task: &TaskObject) -> Res<()> {
    if versions::TASKS_PER_THREAD {
        tasks::link(task);
        return Ok(());
    }
    tasks::add_eager(task.as_object())
}

#[inline]
fn unregister(task: &TaskObject) -> Res<()> {
    if versions::TASKS_PER_THREAD { Ok(()) } else { tasks::discard_eager(task.as_object()) }
}
