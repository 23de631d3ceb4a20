//! What a plain loop of ours does when it is asked by native code, without a call of its methods.

use crate::asyncio::{FUTURES_GLOBALS, TASKS_GLOBALS};
use crate::event_loop::{self, LoopObject};
use crate::handle;
use crate::job::shortcuts;
use crate::names::{CANCEL, FUTURE_CLASS, TASK_CLASS};
use crate::replaced;
use crate::sys::args::Arguments;
use crate::sys::{Object, Owned, Res, call, containers};

/// Is it a plain loop of ours, open, and not in debug mode? Runs no Python code, but when something has changed.
#[inline]
pub(crate) fn is_plain(event_loop: &Object) -> bool {
    as_plain(event_loop).is_some()
}

#[inline]
fn as_plain(event_loop: &Object) -> Option<&LoopObject> {
    event_loop::plain(event_loop).filter(|core| core.just_queues())
}

/// The loop, if it is a plain one that makes futures and tasks as ours do.
#[inline]
fn as_maker(event_loop: &Object) -> Option<&LoopObject> {
    as_plain(event_loop).filter(|core| event_loop::makes_natively(core))
}

/// Would `loop.create_future()` make a future of exactly our type?
#[inline]
pub(crate) fn makes_native_futures(event_loop: &Object) -> bool {
    as_maker(event_loop).is_some()
        && FUTURES_GLOBALS.find().is_some_and(|globals| {
            containers::dict_get_named(globals, &FUTURE_CLASS).is_some_and(|class| shortcuts::future(&class).is_some())
        })
}

/// Would `loop.create_task(coroutine)` make a task of exactly our type, without a task factory?
#[inline]
pub(crate) fn makes_native_tasks(event_loop: &Object) -> bool {
    as_maker(event_loop).is_some_and(|core| !core.has_task_factory())
        && TASKS_GLOBALS.find().is_some_and(|globals| {
            containers::dict_get_named(globals, &TASK_CLASS).is_some_and(|class| shortcuts::task(&class).is_some())
        })
}

/// `loop.create_task(coroutine)`, where [`makes_native_tasks`].
#[inline]
pub(crate) fn create_native_task(event_loop: &Object, coroutine: &Object) -> Res<Owned> {
    shortcuts::make_task(coroutine, event_loop)
}

/// `loop.create_task(...)`; `None` if that is a method of somebody else's.
pub(crate) fn create_task(event_loop: &Object, arguments: Arguments<'_>) -> Option<Res<Owned>> {
    as_maker(event_loop).map(|core| event_loop::create_task(core, arguments))
}

/// `loop.call_later(seconds, callback, *arguments)`; `None` if the loop is not plain.
pub(crate) fn call_later(
    event_loop: &Object,
    seconds: f64,
    callback: &Object,
    arguments: &[&Object],
) -> Option<Res<Owned>> {
    as_plain(event_loop).map(|core| event_loop::call_later_plainly(core, seconds, callback, arguments))
}

/// `handle.cancel()`
pub(crate) fn cancel(timer: &Object) -> Res<()> {
    match handle::downcast(timer) {
        Some(native) if replaced::all_as_made() => handle::cancel(native),
        _ => call::call_method(&CANCEL, &[timer], None).map(drop),
    }
}
