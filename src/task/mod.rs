//! Task: a coroutine, driven by an event loop.
//!
//! A task is a future whose result is what its coroutine returns. How it gets there:
//!
//! 1. [`construct`] checks the coroutine and asks the loop to run the first step soon (or [`eager`] runs it at once).
//! 2. [`step`] sends `None` into the coroutine, or throws an exception into it, and looks at what comes out. If the
//!    coroutine *returned*, the task has its result; if it *raised*, its exception. Either completes the future, which
//!    schedules whoever awaits the task.
//! 3. If it *yielded*, it awaits something; [`suspend`] finds out what. For a future, the task becomes its waiter and
//!    sleeps. For a bare `yield`, the next step is scheduled at once.
//! 4. When the future is done, the loop calls [`wakeup`], which goes to 2: with `None` if there is a result (the
//!    coroutine fetches it itself, through the iterator that it yielded from), with the exception if there is one.
//! 5. [`cancel`] cancels what the task waits for, or leaves a note (`MUST_CANCEL`) for the next step to throw
//!    `CancelledError`.
//!
//! While a step runs, the task is the current task of its loop ([`crate::state::thread`]) and the loop has entered the
//! task's context. Only the files here touch a task's fields. Any call into the coroutine, the loop or a foreign
//! awaitable can run Python code that does anything to the task, so each is made with references of our own, and state
//! is read again after it.

mod cancel;
mod construct;
mod eager;
mod methods;
mod name;
mod object;
mod schedule;
mod step;
mod step_wrapper;
mod suspend;
mod wakeup;

use crate::future::{self, FutureObject};
use crate::job::shortcuts::{self, Tasks};
use crate::sys::error::{Builtin, raise_format};
use crate::sys::{Object, Res};

#[cfg(Py_3_12)]
pub(crate) use construct::make;
pub(crate) use name::show as show_name;
pub(crate) use object::{LAYOUT, TYPE, TaskObject, is_alive_in, is_pending_in};

/// Makes the types. Called once, by the module's initialisation, after the future's.
pub(crate) fn init(module: &Object) -> Res<()> {
    static TASKS: Tasks = Tasks {
        coroutine: |object| TYPE.downcast(object)?.coroutine.get(),
        is_unfinished: |object| TYPE.downcast(object).is_some_and(|task| task.future().is_pending()),
    };
    methods::init(module)?;
    shortcuts::register_task(TYPE.as_object(), construct::make_lazily, &TASKS);
    step_wrapper::init(module)
}

/// The object as a future, if it is exactly a `Future` or a `Task`: then nothing in it can be overridden.
#[inline]
pub(crate) fn as_exact_future(object: &Object) -> Option<&FutureObject> {
    future::TYPE.downcast_exact(object).or_else(|| TYPE.downcast_exact(object).map(TaskObject::future))
}

/// The same, if nothing about it can be overridden: it has no attributes of its own, either.
#[cfg(Py_3_12)]
#[inline]
pub(crate) fn as_plain_future(object: &Object) -> Option<&FutureObject> {
    as_exact_future(object).filter(|future| future.has_no_attributes())
}

/// The object as a future, if it is a `Future` or `Task` of ours or of a subclass.
#[inline]
pub(crate) fn as_native_future(object: &Object) -> Option<&FutureObject> {
    as_exact_future(object).or_else(|| future::TYPE.downcast(object))
}

/// The target of a step or a wake-up. It is something else only if somebody has meddled with a handle: `TypeError` then.
#[inline]
fn target(object: &Object) -> Res<&TaskObject> {
    TYPE.downcast(object).ok_or_else(|| {
        raise_format(Builtin::TypeError.class(), c"an event loop's handle was changed: it has %R", &[object])
    })
}
