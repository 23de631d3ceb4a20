//! Ways around Python calls whose outcome is known, told to the scheduler by the modules that know.
//!
//! The scheduler knows neither futures nor tasks. When asyncio's class is the native one, `create_future` and
//! `create_task` make the object directly; and a callback that would do nothing but complete a native future does so
//! without a call, and without a context, since no Python code of the program runs in it.

use std::cell::Cell;

use crate::sys::attached::Attached;
use crate::sys::{Layout, Object, Owned, Res};

use super::Job;

/// Makes a future of the loop.
type MakeFuture = fn(event_loop: &Object) -> Res<Owned>;
/// Makes a task of the coroutine and the loop; name and context, if they were given.
type MakeTask =
    fn(coroutine: &Object, event_loop: &Object, name: Option<&Object>, context: Option<&Object>) -> Res<Owned>;
/// The coroutine of a native task.
pub(crate) fn coroutine_of(object: &Object) -> Option<Owned> {
    TASKS.get().and_then(|tasks| (tasks.coroutine)(object))
}

/// Is it a native task that is not done?
pub(crate) fn is_unfinished_task(object: &Object) -> bool {
    TASKS.get().is_some_and(|tasks| (tasks.is_unfinished)(object))
}

/// Makes a task of our own type, of the loop.
#[cfg(Py_3_12)]
#[inline]
pub(crate) fn make_task(coroutine: &Object, event_loop: &Object) -> Res<Owned> {
    let make = TASK.get().expect("a type that was made");
    make(coroutine, event_loop, None, None)
}

/// The job that does what calling the callback would do. It will get the callback as its target, and as its argument
/// the callback's only one, or the tuple of several.
type FindJob = fn(callback: &Object, arguments: &[&Object]) -> Option<&'static Job>;

static FUTURE: Attached<Cell<Option<MakeFuture>>> = Attached::new(Cell::new(None));
static FUTURE_CLASS: Attached<Cell<Option<&'static Object>>> = Attached::new(Cell::new(None));
static TASK: Attached<Cell<Option<MakeTask>>> = Attached::new(Cell::new(None));
static TASK_CLASS: Attached<Cell<Option<&'static Object>>> = Attached::new(Cell::new(None));
/// What is asked of an object that may be a task.
pub(crate) struct Tasks {
    /// Its coroutine, if it is one that has any.
    pub(crate) coroutine: fn(&Object) -> Option<Owned>,
    /// Is it one that is not done?
    pub(crate) is_unfinished: fn(&Object) -> bool,
}

static TASKS: Attached<Cell<Option<&'static Tasks>>> = Attached::new(Cell::new(None));
static FIND_JOB: Attached<Cell<Option<FindJob>>> = Attached::new(Cell::new(None));

pub(crate) fn register_future(class: &'static Object, make: MakeFuture) {
    FUTURE_CLASS.set(Some(class));
    FUTURE.set(Some(make));
}

pub(crate) fn register_task(class: &'static Object, make: MakeTask, tasks: &'static Tasks) {
    TASK_CLASS.set(Some(class));
    TASK.set(Some(make));
    TASKS.set(Some(tasks));
}

pub(crate) fn register_callbacks(find: FindJob) {
    FIND_JOB.set(Some(find));
}

/// How to make an instance of the class natively, if it is the native future class.
#[inline]
pub(crate) fn future(class: &Object) -> Option<MakeFuture> {
    FUTURE.get().filter(|_| FUTURE_CLASS.get().is_some_and(|native| native.is(class)))
}

/// How to make an instance of the class natively, if it is the native task class.
#[inline]
pub(crate) fn task(class: &Object) -> Option<MakeTask> {
    TASK.get().filter(|_| TASK_CLASS.get().is_some_and(|native| native.is(class)))
}

/// The job that does what calling the callback would do, if there is one.
#[inline]
pub(crate) fn job_of(callback: &Object, arguments: &[&Object]) -> Option<&'static Job> {
    FIND_JOB.get().and_then(|find| find(callback, arguments))
}
