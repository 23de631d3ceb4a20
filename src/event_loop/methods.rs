//! The loop as Python code, that is the class in `_loop.py`, sees it.

use std::ffi::c_int;

use pyo3::ffi;

use crate::names::{ADD_READER, ADD_WRITER, REMOVE_READER, REMOVE_WRITER, WRITE_TO_SELF};
use crate::sys::args::{self, Arguments};
use crate::sys::error::{Builtin, raise};
use crate::sys::object::{boolean, none};
use crate::sys::part::Native;
use crate::sys::slots::{Method, getset, noargs, not_deleted, one, setattro, variadic};
use crate::sys::typeobj::TypeBuilder;
use crate::sys::{Layout, Object, Owned, Res, call, clock, containers};

use super::calls::{add_file, call_at, call_base, call_later, call_soon, call_soon_threadsafe, remove_file};
use super::create::{create_future, create_task};
use super::object::LoopObject;
use super::plain::set_attribute;
use super::ready::{Ready, as_handle};
use super::run::{is_cancelled, run_once, run_until_stopped};
use super::wake::wake_up;
use super::watchers::Direction;
use crate::handle;

fn add_reader(core: &LoopObject, arguments: Arguments<'_>) -> Res<Owned> {
    add_file(core, Direction::Read, &ADD_READER, arguments)
}

fn add_writer(core: &LoopObject, arguments: Arguments<'_>) -> Res<Owned> {
    add_file(core, Direction::Write, &ADD_WRITER, arguments)
}

fn remove_reader(core: &LoopObject, fd: &Object) -> Res<Owned> {
    remove_file(core, Direction::Read, &REMOVE_READER, fd)
}

fn remove_writer(core: &LoopObject, fd: &Object) -> Res<Owned> {
    remove_file(core, Direction::Write, &REMOVE_WRITER, fd)
}

fn time(_core: &LoopObject) -> Res<Owned> {
    containers::float(clock::monotonic())
}

fn stop(core: &LoopObject) {
    core.stopping.set(true);
}

fn is_running(core: &LoopObject) -> bool {
    core.is_running()
}

fn is_closed(core: &LoopObject) -> bool {
    core.closed.get()
}

fn get_debug(core: &LoopObject) -> Owned {
    core.debug.get().unwrap_or_else(|| boolean(false).own())
}

fn set_debug(core: &LoopObject, value: Option<&Object>) -> Res<()> {
    let value = not_deleted(core.as_object(), c"_debug", value)?;
    core.debug_is_on.set(call::is_true(value)?);
    core.debug.set(value.own());
    Ok(())
}

fn set_closed(core: &LoopObject, value: Option<&Object>) -> Res<()> {
    core.closed.set(call::is_true(not_deleted(core.as_object(), c"_closed", value)?)?);
    Ok(())
}

fn is_stopping(core: &LoopObject) -> bool {
    core.stopping.get()
}

fn set_stopping(core: &LoopObject, value: Option<&Object>) -> Res<()> {
    core.stopping.set(call::is_true(not_deleted(core.as_object(), c"_stopping", value)?)?);
    Ok(())
}

fn get_thread_id(core: &LoopObject) -> Owned {
    core.thread_id.get_or_none()
}

fn set_thread_id(core: &LoopObject, value: Option<&Object>) -> Res<()> {
    let value = not_deleted(core.as_object(), c"_thread_id", value)?;
    drop(core.thread_id.replace(args::given(Some(value)).map(Layout::own)));
    Ok(())
}

fn get_clock_resolution(core: &LoopObject) -> Res<Owned> {
    containers::float(core.clock_resolution.get())
}

fn set_clock_resolution(core: &LoopObject, value: Option<&Object>) -> Res<()> {
    let value = containers::float_value(not_deleted(core.as_object(), c"_clock_resolution", value)?)?;
    core.clock_resolution.set(value);
    Ok(())
}

fn get_current_handle(core: &LoopObject) -> Owned {
    core.current_handle.get_or_none()
}

fn set_current_handle(core: &LoopObject, value: Option<&Object>) -> Res<()> {
    core.current_handle.set(not_deleted(core.as_object(), c"_current_handle", value)?.own());
    Ok(())
}

fn get_task_factory(core: &LoopObject) -> Owned {
    core.task_factory.get_or_none()
}

fn set_task_factory(core: &LoopObject, value: Option<&Object>) -> Res<()> {
    core.task_factory.set(not_deleted(core.as_object(), c"_task_factory", value)?.own());
    Ok(())
}

fn get_cancelled_count(core: &LoopObject) -> Res<Owned> {
    containers::int(core.timers.cancelled.get())
}

fn set_cancelled_count(core: &LoopObject, value: Option<&Object>) -> Res<()> {
    let value = not_deleted(core.as_object(), c"_timer_cancelled_count", value)?;
    core.timers.cancelled.set(containers::int_value(value)?);
    Ok(())
}

fn timer_handle_cancelled(core: &LoopObject, timer: &Object) -> Res<()> {
    match handle::downcast(timer) {
        Some(timer) => core.timer_cancelled(timer),
        None if call::is_true(&*call::getattr(timer, &crate::names::SCHEDULED_FLAG)?)? => {
            core.timers.cancelled.set(core.timers.cancelled.get() + 1);
        }
        None => {}
    }
    Ok(())
}

fn add_callback(core: &LoopObject, object: &Object) -> Res<()> {
    if !is_cancelled(object)? {
        queue(core, object)?;
    }
    Ok(())
}

fn queue(core: &LoopObject, object: &Object) -> Res<()> {
    core.ready.push(match handle::downcast(object) {
        Some(handle) => Ready::Handle(handle.own()),
        None => Ready::Foreign(object.own()),
    })
}

/// `_write_to_self()`
fn write_to_self(core: &LoopObject) -> Res<()> {
    if core.watchers.poller().is_some() {
        return wake_up(core);
    }
    call_base(core, &WRITE_TO_SELF, Arguments::of(&[])).map(drop)
}

fn open_poller(core: &LoopObject) -> Res<()> {
    core.watchers.open()
}

/// `_own_file(fd)`; a negative number for none.
fn own_file(core: &LoopObject, fd: &Object) -> Res<()> {
    core.watchers.own(c_int::try_from(containers::int_value(fd)?).unwrap_or(-1));
    Ok(())
}

fn count_looks(core: &LoopObject) -> Res<Owned> {
    let looks = core.watchers.poller().map_or(0, |poller| poller.looks());
    containers::int(i64::try_from(looks).unwrap_or(i64::MAX))
}

fn close_poller(core: &LoopObject) {
    core.watchers.close();
}

/// `[(fd, object or None, reader or None, writer or None), …]`
fn registered_files(core: &LoopObject) -> Res<Owned> {
    let list = containers::new_list()?;
    for (fd, object, reader, writer) in core.watchers.registered()? {
        let fd = containers::int(i64::try_from(fd).unwrap_or(i64::MAX))?;
        let object = object.as_deref().unwrap_or(none());
        let [reader, writer] = [&reader, &writer].map(|entry| entry.as_ref().map_or(none(), |entry| &*entry.target));
        containers::list_append(&list, &*containers::tuple(&[&fd, object, reader, writer])?)?;
    }
    Ok(list)
}

fn list_of(items: &[Owned]) -> Res<Owned> {
    let list = containers::new_list()?;
    items.iter().try_for_each(|item| containers::list_append(&list, item))?;
    Ok(list)
}

fn ready_handles(core: &LoopObject) -> Res<Owned> {
    list_of(&core.ready.handles(core.as_object())?)
}

fn pop_ready(core: &LoopObject) -> Res<Owned> {
    match core.ready.pop() {
        Some(Ready::Entry(entry)) => as_handle(core.as_object(), entry).map(Owned::into_object),
        Some(Ready::Handle(handle)) => Ok(handle.into_object()),
        Some(Ready::Foreign(object)) => Ok(object),
        None => Err(raise(Builtin::IndexError.class(), c"pop from an empty deque")),
    }
}

fn clear_ready(core: &LoopObject) {
    core.ready.clear();
}

fn count_ready(core: &LoopObject) -> Res<Owned> {
    containers::int(i64::try_from(core.ready.len()).unwrap_or(i64::MAX))
}

fn scheduled_handles(core: &LoopObject) -> Res<Owned> {
    list_of(&core.timers.handles()?)
}

fn clear_scheduled(core: &LoopObject) {
    core.timers.clear();
}

fn count_scheduled(core: &LoopObject) -> Res<Owned> {
    containers::int(i64::try_from(core.timers.len()).unwrap_or(i64::MAX))
}

/// What asyncio's loops have.
fn public_methods() -> [Method; 13] {
    [
        variadic!(
            LoopObject,
            c"call_soon",
            call_soon,
            c"call_soon($self, callback, *args, context=None)\n--\n\nCall the callback in the next iteration; first in, first out."
        ),
        variadic!(
            LoopObject,
            c"call_soon_threadsafe",
            call_soon_threadsafe,
            c"call_soon_threadsafe($self, callback, *args, context=None)\n--\n\nLike call_soon(), from any thread."
        ),
        variadic!(
            LoopObject,
            c"call_later",
            call_later,
            c"call_later($self, delay, callback, *args, context=None)\n--\n\nCall the callback after the delay, in seconds."
        ),
        variadic!(
            LoopObject,
            c"call_at",
            call_at,
            c"call_at($self, when, callback, *args, context=None)\n--\n\nCall the callback at a time, in seconds on the clock of time()."
        ),
        noargs!(LoopObject, c"create_future", create_future, c"create_future($self, /)\n--\n\nMake a future of this loop."),
        variadic!(
            LoopObject,
            c"create_task",
            create_task,
            c"Make a task of the coroutine, by the task factory if there is one."
        ),
        noargs!(LoopObject, c"time", time, c"time($self, /)\n--\n\nThe loop's clock, in seconds; that of time.monotonic()."),
        noargs!(LoopObject, c"stop", stop, c"stop($self, /)\n--\n\nLet the loop end after this iteration."),
        noargs!(LoopObject, c"is_running", is_running, c"is_running($self, /)\n--\n\nTell whether the loop runs."),
        noargs!(LoopObject, c"is_closed", is_closed, c"is_closed($self, /)\n--\n\nTell whether the loop was closed."),
        noargs!(LoopObject, c"get_debug", get_debug, c"get_debug($self, /)\n--\n\nTell whether debug mode is on."),
        noargs!(LoopObject, c"_run_once", run_once, c"_run_once($self, /)\n--\n\nRun one iteration."),
        noargs!(
            LoopObject,
            c"_run_until_stopped",
            run_until_stopped,
            c"_run_until_stopped($self, /)\n--\n\nRun iterations until stop() is called; the inner part of run_forever()."
        ),
    ]
}

/// What asyncio's transports and other parts call on a loop.
fn internal_methods() -> [Method; 7] {
    [
        variadic!(
            LoopObject,
            c"_add_reader",
            add_reader,
            c"_add_reader($self, fd, callback, *args, context=None)\n--\n\n"
        ),
        variadic!(
            LoopObject,
            c"_add_writer",
            add_writer,
            c"_add_writer($self, fd, callback, *args, context=None)\n--\n\n"
        ),
        one!(LoopObject, c"_remove_reader", remove_reader, c"_remove_reader($self, fd, /)\n--\n\n"),
        one!(LoopObject, c"_remove_writer", remove_writer, c"_remove_writer($self, fd, /)\n--\n\n"),
        one!(LoopObject, c"_add_callback", add_callback, c"_add_callback($self, handle, /)\n--\n\n"),
        one!(
            LoopObject,
            c"_timer_handle_cancelled",
            timer_handle_cancelled,
            c"_timer_handle_cancelled($self, handle, /)\n--\n\n"
        ),
        noargs!(
            LoopObject,
            c"_write_to_self",
            write_to_self,
            c"_write_to_self($self, /)\n--\n\nEnd the wait for files, if there is one."
        ),
    ]
}

/// What `_loop.py` builds its views of queue, timers and files on.
fn inspection_methods() -> [Method; 13] {
    [
        noargs!(LoopObject, c"_open_poller", open_poller, c"_open_poller($self, /)\n--\n\nWait natively."),
        one!(
            LoopObject,
            c"_own_file",
            own_file,
            c"_own_file($self, fd, /)\n--\n\nSay that nothing comes by this file but the loop's own wake-up."
        ),
        noargs!(
            LoopObject,
            c"_count_looks",
            count_looks,
            c"_count_looks($self, /)\n--\n\nTell how often the loop has asked its poller."
        ),
        noargs!(LoopObject, c"_close_poller", close_poller, c"_close_poller($self, /)\n--\n\n"),
        noargs!(LoopObject, c"_registered_files", registered_files, c"_registered_files($self, /)\n--\n\n"),
        noargs!(LoopObject, c"_ready_handles", ready_handles, c"_ready_handles($self, /)\n--\n\n"),
        one!(LoopObject, c"_ready_append", queue, c"_ready_append($self, handle, /)\n--\n\n"),
        noargs!(LoopObject, c"_ready_pop", pop_ready, c"_ready_pop($self, /)\n--\n\n"),
        noargs!(LoopObject, c"_ready_clear", clear_ready, c"_ready_clear($self, /)\n--\n\n"),
        noargs!(LoopObject, c"_ready_count", count_ready, c"_ready_count($self, /)\n--\n\n"),
        noargs!(LoopObject, c"_scheduled_handles", scheduled_handles, c"_scheduled_handles($self, /)\n--\n\n"),
        noargs!(LoopObject, c"_scheduled_clear", clear_scheduled, c"_scheduled_clear($self, /)\n--\n\n"),
        noargs!(LoopObject, c"_scheduled_count", count_scheduled, c"_scheduled_count($self, /)\n--\n\n"),
    ]
}

/// Adds what this module gives to the loop's type.
pub(crate) fn describe(builder: TypeBuilder<LoopObject>) -> TypeBuilder<LoopObject> {
    builder
        .life()
        .slot(ffi::Py_tp_setattro, setattro!(LoopObject, set_attribute))
        .methods(public_methods())
        .methods(internal_methods())
        .methods(inspection_methods())
        .getsets([
            getset!(LoopObject, c"_debug", get_debug, set_debug, c"Whether debug mode is on."),
            getset!(LoopObject, c"_closed", is_closed, set_closed, c"Whether the loop was closed."),
            getset!(
                LoopObject,
                c"_stopping",
                is_stopping,
                set_stopping,
                c"Whether the loop ends after this iteration."
            ),
            getset!(
                LoopObject,
                c"_thread_id",
                get_thread_id,
                set_thread_id,
                c"The thread that runs the loop, or None."
            ),
            getset!(
                LoopObject,
                c"_clock_resolution",
                get_clock_resolution,
                set_clock_resolution,
                c"Of the loop's clock, in seconds."
            ),
            getset!(
                LoopObject,
                c"_current_handle",
                get_current_handle,
                set_current_handle,
                c"The handle that runs, in debug mode; else None."
            ),
            getset!(LoopObject, c"_task_factory", get_task_factory, set_task_factory, c"The task factory, or None."),
            getset!(
                LoopObject,
                c"_timer_cancelled_count",
                get_cancelled_count,
                set_cancelled_count,
                c"How many of the scheduled timers have been cancelled."
            ),
        ])
}
