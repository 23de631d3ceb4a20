//! What a coroutine yielded: what it awaits, or a mistake.

use std::ffi::CStr;

use crate::future::{self, AwaitedBy, FutureObject, Waiter};
use crate::names::{ADD_DONE_CALLBACK, ASYNCIO_FUTURE_BLOCKING, CANCEL, CONTEXT, GET_LOOP, PRIVATE_LOOP};
use crate::sys::error::{Builtin, fetch, raise_format};
use crate::sys::iter::is_generator;
use crate::sys::lazy::Once;
use crate::sys::object::boolean;
use crate::sys::{Layout, Object, Res, call, containers};

use super::{TaskObject, as_exact_future, as_native_future, schedule, wakeup};

/// Puts the task to sleep until what it awaits is done. Mistakes are thrown into the coroutine by its next step.
#[inline]
pub(super) fn suspend(task: &TaskObject, event_loop: &Object, awaited: &Object) -> Res<()> {
    if awaited.is(task) {
        return throw_soon(task, event_loop, c"Task cannot await on itself: %R", &[task.as_object()]);
    }
    if let Some(future) = as_exact_future(awaited) {
        return wait_for_native(task, event_loop, future);
    }
    if awaited.is_none() {
        // A bare `yield`, as in `asyncio.sleep(0)`.
        return schedule::call_soon(task, event_loop, None);
    }
    match call::getattr_optional(awaited, &ASYNCIO_FUTURE_BLOCKING)? {
        Some(blocking) if !blocking.is_none() => wait_for_foreign(task, event_loop, awaited, &blocking),
        _ => bad_yield(task, event_loop, awaited),
    }
}

/// A future of exactly our type: nothing of it is overridden, so the task becomes its waiter natively.
#[inline]
fn wait_for_native(task: &TaskObject, event_loop: &Object, future: &FutureObject) -> Res<()> {
    if !future.belongs_to(event_loop) {
        return other_loop(task, event_loop, future.as_object());
    }
    if !future.is_blocking() {
        return not_awaited(task, event_loop, future.as_object());
    }
    // May hash tasks of subclasses, to which the future is still being awaited.
    future::add_to_awaited_by(future, task.as_object())?;
    future.acknowledge();
    future::add_waiter(future, Waiter { target: task.as_object().own(), kind: &wakeup::WAKE_UP })?;
    now_waits_for(task, future.as_object())
}

/// A subclass, or any object that does as futures do: through its own methods.
fn wait_for_foreign(task: &TaskObject, event_loop: &Object, awaited: &Object, blocking: &Object) -> Res<()> {
    static CONTEXT_KEYWORD: Once = Once::new();

    let blocking = call::is_true(blocking)?;
    let its_loop = match call::getattr_optional(awaited, &GET_LOOP)? {
        Some(get_loop) => call::call0(&get_loop)?,
        None => call::getattr(awaited, &PRIVATE_LOOP)?,
    };
    if !its_loop.is(event_loop) {
        return other_loop(task, event_loop, awaited);
    }
    if !blocking {
        return not_awaited(task, event_loop, awaited);
    }
    if let Some(future) = as_native_future(awaited) {
        future::add_to_awaited_by(future, task.as_object())?;
    } else if let Some(theirs) = AwaitedBy::of_theirs(awaited) {
        theirs.add(task.as_object())?;
    }
    call::setattr(awaited, &ASYNCIO_FUTURE_BLOCKING, boolean(false))?;
    let keywords = CONTEXT_KEYWORD.get_or_init(|| containers::tuple(&[CONTEXT.object()]))?;
    let (wake_up, context) = (wakeup::callable(task)?, task.context.get_or_none());
    call::call_method(&ADD_DONE_CALLBACK, &[awaited, &wake_up, &context], Some(keywords))?;
    now_waits_for(task, awaited)
}

/// The last part of waiting; a cancellation that came during this very step goes to what is awaited (bpo-34872).
#[inline]
fn now_waits_for(task: &TaskObject, awaited: &Object) -> Res<()> {
    task.waiting_for.set(awaited.own());
    if !task.must_cancel() {
        return Ok(());
    }
    // The method may replace the message (gh-126138).
    let message = task.future().cancel_message().get_or_none();
    if call::is_true(&*call::call_method(&CANCEL, &[awaited, &message], None)?)? {
        task.set_must_cancel(false);
    }
    Ok(())
}

#[cold]
fn other_loop(task: &TaskObject, event_loop: &Object, awaited: &Object) -> Res<()> {
    let text = c"Task %R got Future %R attached to a different loop";
    throw_soon(task, event_loop, text, &[task.as_object(), awaited])
}

#[cold]
fn not_awaited(task: &TaskObject, event_loop: &Object, awaited: &Object) -> Res<()> {
    let text = c"yield was used instead of yield from in task %R with %R";
    throw_soon(task, event_loop, text, &[task.as_object(), awaited])
}

#[cold]
fn bad_yield(task: &TaskObject, event_loop: &Object, yielded: &Object) -> Res<()> {
    if is_generator(yielded) {
        let text = c"yield was used instead of yield from for generator in task %R with %R";
        return throw_soon(task, event_loop, text, &[task.as_object(), yielded]);
    }
    throw_soon(task, event_loop, c"Task got bad yield: %R", &[yielded])
}

#[cold]
fn throw_soon(task: &TaskObject, event_loop: &Object, text: &CStr, objects: &[&Object]) -> Res<()> {
    let exception = fetch(raise_format(Builtin::RuntimeError.class(), text, objects));
    schedule::call_soon(task, event_loop, Some(exception))
}
