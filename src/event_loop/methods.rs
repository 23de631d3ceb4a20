//! The loop as Python code, that is the class in `_loop.py`, sees it.

use std::ffi::{CStr, c_int};

use pyo3::ffi;

use crate::asyncio::loop_is_closed;
use crate::handle;
use crate::names::{
    ADD_CALLBACK, ADD_READER, ADD_WRITER, CLASS_NAME, GET_DEBUG, IS_CLOSED, IS_RUNNING, Name, REMOVE_READER,
    REMOVE_WRITER, RUN_ONCE, STOP, TIME, TIMER_HANDLE_CANCELLED, WRITE_TO_SELF,
};
use crate::sys::args::{self, Arguments};
use crate::sys::error::{Builtin, raise_format};
use crate::sys::object::{boolean, none};
use crate::sys::slots::{Method, getset, noargs, one, positional, setattro, variadic};
use crate::sys::typeobj::TypeBuilder;
use crate::sys::{Layout, Object, Owned, Raised, Res, call, clock, containers};

use super::calls::{add_file, call_at, call_later, call_soon, call_soon_threadsafe, remove_file};
use super::create::{create_future, create_task};
use super::exposed;
use super::finish_step::finish_step;
use super::forward::base;
use super::object::LoopObject;
use super::plain::{instance_dict, note_selector, plain, set_attribute};
use super::ready::Ready;
use super::run::{is_cancelled, run_once, run_until_stopped};
use super::selector::{
    poller_add, poller_files, poller_forget, poller_get, poller_modify, poller_note, poller_remove, poller_wait,
};
use super::snapshot::{counts, profile, profiled};
use super::transports::{self, ensure_fd_no_transport};
use super::wake::wake_up;
use super::watchers::Direction;

/// One of the attributes that are native. It can be deleted as those of asyncio's loops can (`mock.patch.object` does
/// that to put it back); native code goes on with the last value then.
struct Attribute {
    bit: u16,
    name: &'static CStr,
}

static DEBUG: Attribute = Attribute { bit: 1 << 0, name: c"_debug" };
static CLOSED: Attribute = Attribute { bit: 1 << 1, name: c"_closed" };
static STOPPING: Attribute = Attribute { bit: 1 << 2, name: c"_stopping" };
static THREAD_ID: Attribute = Attribute { bit: 1 << 3, name: c"_thread_id" };
static CLOCK_RESOLUTION: Attribute = Attribute { bit: 1 << 4, name: c"_clock_resolution" };
static CURRENT_HANDLE: Attribute = Attribute { bit: 1 << 5, name: c"_current_handle" };
static TASK_FACTORY: Attribute = Attribute { bit: 1 << 6, name: c"_task_factory" };
static TIMER_CANCELLED_COUNT: Attribute = Attribute { bit: 1 << 7, name: c"_timer_cancelled_count" };
static READY: Attribute = Attribute { bit: 1 << 8, name: c"_ready" };
static SCHEDULED: Attribute = Attribute { bit: 1 << 9, name: c"_scheduled" };
static TRANSPORTS: Attribute = Attribute { bit: 1 << 10, name: c"_transports" };

impl Attribute {
    /// The value that a setter got, or `None`: the attribute is deleted now.
    fn given<'a>(&self, core: &LoopObject, value: Option<&'a Object>) -> Res<Option<&'a Object>> {
        if value.is_none() {
            self.check(core)?;
        }
        let others = core.deleted.get() & !self.bit;
        core.deleted.set(if value.is_none() { others | self.bit } else { others });
        Ok(value)
    }

    /// Is it there?
    fn check(&self, core: &LoopObject) -> Res<()> {
        if core.deleted.get() & self.bit == 0 { Ok(()) } else { Err(self.missing(core)?) }
    }

    fn missing(&self, core: &LoopObject) -> Res<Raised> {
        let class = call::getattr(core.as_object().class().as_object(), &CLASS_NAME)?;
        let name = containers::string(self.name)?;
        let text = c"'%S' object has no attribute '%S'";
        Ok(raise_format(Builtin::AttributeError.class(), text, &[&*class, &*name]))
    }
}

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

/// A method without arguments: what native code does, or what asyncio's own or a replacement of it does.
#[inline]
fn unless_replaced(core: &LoopObject, name: &Name, native: impl FnOnce(&LoopObject) -> Res<Owned>) -> Res<Owned> {
    match plain(core.as_object()) {
        Some(core) => native(core),
        None => base(core, name, Arguments::of(&[])),
    }
}

fn time(core: &LoopObject) -> Res<Owned> {
    unless_replaced(core, &TIME, |_| containers::float(clock::monotonic()))
}

fn stop(core: &LoopObject) -> Res<Owned> {
    unless_replaced(core, &STOP, |core| {
        core.stopping.set(true);
        Ok(none().own())
    })
}

fn is_running(core: &LoopObject) -> Res<Owned> {
    unless_replaced(core, &IS_RUNNING, |core| Ok(boolean(core.is_running()).own()))
}

fn is_closed(core: &LoopObject) -> Res<Owned> {
    unless_replaced(core, &IS_CLOSED, |core| Ok(boolean(core.closed.get()).own()))
}

fn get_debug(core: &LoopObject) -> Res<Owned> {
    unless_replaced(core, &GET_DEBUG, |core| Ok(debug_of(core)))
}

fn debug_of(core: &LoopObject) -> Owned {
    core.debug.get().unwrap_or_else(|| boolean(false).own())
}

fn run_once_or_base(core: &LoopObject) -> Res<Owned> {
    unless_replaced(core, &RUN_ONCE, |core| run_once(core).map(|()| none().own()))
}

fn closed_flag(core: &LoopObject) -> Res<Owned> {
    CLOSED.check(core)?;
    Ok(boolean(core.closed.get()).own())
}

fn debug_value(core: &LoopObject) -> Res<Owned> {
    DEBUG.check(core)?;
    Ok(debug_of(core))
}

fn set_debug(core: &LoopObject, value: Option<&Object>) -> Res<()> {
    let Some(value) = DEBUG.given(core, value)? else { return Ok(()) };
    core.debug_is_on.set(call::is_true(value)?);
    core.note_special();
    core.note_observed();
    core.debug.set(value.own());
    Ok(())
}

fn set_closed(core: &LoopObject, value: Option<&Object>) -> Res<()> {
    let Some(value) = CLOSED.given(core, value)? else { return Ok(()) };
    core.closed.set(call::is_true(value)?);
    core.note_special();
    Ok(())
}

fn is_stopping(core: &LoopObject) -> Res<Owned> {
    STOPPING.check(core)?;
    Ok(boolean(core.stopping.get()).own())
}

fn set_stopping(core: &LoopObject, value: Option<&Object>) -> Res<()> {
    let Some(value) = STOPPING.given(core, value)? else { return Ok(()) };
    core.stopping.set(call::is_true(value)?);
    Ok(())
}

fn get_thread_id(core: &LoopObject) -> Res<Owned> {
    THREAD_ID.check(core)?;
    Ok(core.thread_id.get_or_none())
}

fn set_thread_id(core: &LoopObject, value: Option<&Object>) -> Res<()> {
    let Some(value) = THREAD_ID.given(core, value)? else { return Ok(()) };
    drop(core.thread_id.replace(args::given(Some(value)).map(Layout::own)));
    // A loop that ends leaves nothing undone.
    if core.is_running() { Ok(()) } else { finish_step(core) }
}

fn get_clock_resolution(core: &LoopObject) -> Res<Owned> {
    CLOCK_RESOLUTION.check(core)?;
    containers::float(core.clock_resolution.get())
}

fn set_clock_resolution(core: &LoopObject, value: Option<&Object>) -> Res<()> {
    let Some(value) = CLOCK_RESOLUTION.given(core, value)? else { return Ok(()) };
    core.clock_resolution.set(containers::float_value(value)?);
    Ok(())
}

fn get_current_handle(core: &LoopObject) -> Res<Owned> {
    CURRENT_HANDLE.check(core)?;
    Ok(core.current_handle.get_or_none())
}

fn set_current_handle(core: &LoopObject, value: Option<&Object>) -> Res<()> {
    let Some(value) = CURRENT_HANDLE.given(core, value)? else { return Ok(()) };
    core.current_handle.set(value.own());
    Ok(())
}

fn get_task_factory(core: &LoopObject) -> Res<Owned> {
    TASK_FACTORY.check(core)?;
    Ok(core.task_factory.get_or_none())
}

fn set_task_factory(core: &LoopObject, value: Option<&Object>) -> Res<()> {
    let Some(value) = TASK_FACTORY.given(core, value)? else { return Ok(()) };
    core.task_factory.set(value.own());
    Ok(())
}

fn get_cancelled_count(core: &LoopObject) -> Res<Owned> {
    TIMER_CANCELLED_COUNT.check(core)?;
    containers::int(core.timers.cancelled.get())
}

fn set_cancelled_count(core: &LoopObject, value: Option<&Object>) -> Res<()> {
    let Some(value) = TIMER_CANCELLED_COUNT.given(core, value)? else { return Ok(()) };
    core.timers.cancelled.set(containers::int_value(value)?);
    Ok(())
}

fn timer_handle_cancelled(core: &LoopObject, timer: &Object) -> Res<()> {
    let Some(core) = plain(core.as_object()) else {
        return base(core, &TIMER_HANDLE_CANCELLED, Arguments::of(&[timer])).map(drop);
    };
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
    let Some(core) = plain(core.as_object()) else {
        return base(core, &ADD_CALLBACK, Arguments::of(&[object])).map(drop);
    };
    if !is_cancelled(object)? {
        queue(core, object)?;
    }
    Ok(())
}

fn queue(core: &LoopObject, object: &Object) -> Res<()> {
    core.enqueue(match handle::downcast(object) {
        Some(handle) => Ready::Handle(handle.own()),
        None => Ready::Foreign(object.own()),
    })
}

/// `_write_to_self()`
fn write_to_self(core: &LoopObject) -> Res<()> {
    if core.watchers.poller().is_some() && plain(core.as_object()).is_some() {
        return wake_up(core);
    }
    base(core, &WRITE_TO_SELF, Arguments::of(&[])).map(drop)
}

/// `_open_poller(selector)`: waits natively; the selector shows the poller's files.
fn open_poller(core: &LoopObject, selector: &Object) -> Res<()> {
    core.watchers.open()?;
    core.own_selector.set(selector.own());
    Ok(())
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
    core.own_selector.clear();
    core.watchers.close();
}

/// `_runs_natively()`: is nothing replaced that native code stands in for?
fn runs_natively(core: &LoopObject) -> bool {
    plain(core.as_object()).is_some()
}

/// `_poller_fileno()`
fn poller_fileno(core: &LoopObject) -> Res<Owned> {
    let poller = core.watchers.poller().ok_or_else(loop_is_closed)?;
    containers::int(i64::from(poller.fileno()))
}

/// `_selector_changed(changed)`: was something of the poller's selector replaced?
fn selector_changed(core: &LoopObject, changed: &Object) -> Res<()> {
    note_selector(core, call::is_true(changed)?);
    Ok(())
}

fn get_ready(core: &LoopObject) -> Res<Owned> {
    READY.check(core)?;
    exposed::ready(core)
}

fn set_ready(core: &LoopObject, value: Option<&Object>) -> Res<()> {
    let Some(value) = READY.given(core, value)? else { return Ok(()) };
    exposed::set_ready(core, value.own());
    Ok(())
}

fn get_scheduled(core: &LoopObject) -> Res<Owned> {
    SCHEDULED.check(core)?;
    exposed::scheduled(core)
}

fn set_scheduled(core: &LoopObject, value: Option<&Object>) -> Res<()> {
    let Some(value) = SCHEDULED.given(core, value)? else { return Ok(()) };
    exposed::set_scheduled(core, value.own());
    Ok(())
}

fn get_transports(core: &LoopObject) -> Res<Owned> {
    TRANSPORTS.check(core)?;
    transports::show(core)?.ok_or(()).or_else(|()| Err(TRANSPORTS.missing(core)?))
}

fn set_transports(core: &LoopObject, value: Option<&Object>) -> Res<()> {
    let Some(value) = TRANSPORTS.given(core, value)? else { return Ok(()) };
    transports::set(core, value);
    Ok(())
}

const CALL_SOON_DOC: &CStr = c"call_soon($self, callback, *args, context=None)\n--\n\n\
    Call the callback in the next iteration; first in, first out.";
const CALL_SOON_THREADSAFE_DOC: &CStr = c"call_soon_threadsafe($self, callback, *args, context=None)\n--\n\n\
    Like call_soon(), from any thread.";
const CALL_LATER_DOC: &CStr = c"call_later($self, delay, callback, *args, context=None)\n--\n\n\
    Call the callback after the delay, in seconds.";
const CALL_AT_DOC: &CStr = c"call_at($self, when, callback, *args, context=None)\n--\n\n\
    Call the callback at a time, in seconds on the clock of time().";
const CREATE_FUTURE_DOC: &CStr = c"create_future($self, /)\n--\n\n\
    Make a future of this loop.";
const CREATE_TASK_DOC: &CStr = c"Make a task of the coroutine, by the task factory if there is one.";
const TIME_DOC: &CStr = c"time($self, /)\n--\n\n\
    The loop's clock, in seconds; that of time.monotonic().";
const IS_CLOSED_DOC: &CStr = c"is_closed($self, /)\n--\n\n\
    Tell whether the loop was closed.";
const PRIVATE_RUN_UNTIL_STOPPED_DOC: &CStr = c"_run_until_stopped($self, /)\n--\n\n\
    Run iterations until stop() is called; the inner part of run_forever().";
const PRIVATE_WRITE_TO_SELF_DOC: &CStr = c"_write_to_self($self, /)\n--\n\n\
    End the wait for files, if there is one.";
const PRIVATE_OWN_FILE_DOC: &CStr = c"_own_file($self, fd, /)\n--\n\n\
    Say that nothing comes by this file but the loop's own wake-up.";
const PRIVATE_PROFILE_DOC: &CStr = c"_profile($self, on, /)\n--\n\n\
    Begin to time what runs, or end that.";
const PRIVATE_PROFILED_DOC: &CStr = c"_profiled($self, /)\n--\n\n\
    Tell what was found: of each function, steps, seconds in all, of the longest, and between steps.";
const PRIVATE_COUNTS_DOC: &CStr = c"_counts($self, /)\n--\n\n\
    Tell what the loop has counted, in seconds and bytes.";
const PRIVATE_COUNT_LOOKS_DOC: &CStr = c"_count_looks($self, /)\n--\n\n\
    Tell how often the loop has asked its poller.";

/// What asyncio's loops have.
fn public_methods() -> [Method; 13] {
    [
        variadic!(LoopObject, c"call_soon", call_soon, CALL_SOON_DOC),
        variadic!(LoopObject, c"call_soon_threadsafe", call_soon_threadsafe, CALL_SOON_THREADSAFE_DOC),
        variadic!(LoopObject, c"call_later", call_later, CALL_LATER_DOC),
        variadic!(LoopObject, c"call_at", call_at, CALL_AT_DOC),
        noargs!(LoopObject, c"create_future", create_future, CREATE_FUTURE_DOC),
        variadic!(LoopObject, c"create_task", create_task, CREATE_TASK_DOC),
        noargs!(LoopObject, c"time", time, TIME_DOC),
        noargs!(LoopObject, c"stop", stop, c"stop($self, /)\n--\n\nLet the loop end after this iteration."),
        noargs!(LoopObject, c"is_running", is_running, c"is_running($self, /)\n--\n\nTell whether the loop runs."),
        noargs!(LoopObject, c"is_closed", is_closed, IS_CLOSED_DOC),
        noargs!(LoopObject, c"get_debug", get_debug, c"get_debug($self, /)\n--\n\nTell whether debug mode is on."),
        noargs!(LoopObject, c"_run_once", run_once_or_base, c"_run_once($self, /)\n--\n\nRun one iteration."),
        noargs!(LoopObject, c"_run_until_stopped", run_until_stopped, PRIVATE_RUN_UNTIL_STOPPED_DOC),
    ]
}

/// What asyncio's transports and other parts call on a loop.
fn internal_methods() -> [Method; 8] {
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
        one!(
            LoopObject,
            c"_ensure_fd_no_transport",
            ensure_fd_no_transport,
            c"_ensure_fd_no_transport($self, fd, /)\n--\n\n"
        ),
        noargs!(LoopObject, c"_write_to_self", write_to_self, PRIVATE_WRITE_TO_SELF_DOC),
    ]
}

/// What `_loop.py` and `_selector.py` are built on.
fn inspection_methods() -> [Method; 19] {
    [
        one!(LoopObject, c"_profile", profile, PRIVATE_PROFILE_DOC),
        noargs!(LoopObject, c"_profiled", profiled, PRIVATE_PROFILED_DOC),
        noargs!(LoopObject, c"_counts", counts, PRIVATE_COUNTS_DOC),
        one!(LoopObject, c"_own_file", own_file, PRIVATE_OWN_FILE_DOC),
        noargs!(LoopObject, c"_count_looks", count_looks, PRIVATE_COUNT_LOOKS_DOC),
        one!(LoopObject, c"_open_poller", open_poller, c"_open_poller($self, selector, /)\n--\n\nWait natively."),
        noargs!(LoopObject, c"_runs_natively", runs_natively, c"_runs_natively($self, /)\n--\n\n"),
        noargs!(LoopObject, c"_poller_fileno", poller_fileno, c"_poller_fileno($self, /)\n--\n\n"),
        noargs!(LoopObject, c"_close_poller", close_poller, c"_close_poller($self, /)\n--\n\n"),
        one!(LoopObject, c"_selector_changed", selector_changed, c"_selector_changed($self, changed, /)\n--\n\n"),
        noargs!(LoopObject, c"_instance_dict", instance_dict, c"_instance_dict($self, /)\n--\n\n"),
        positional!(
            LoopObject,
            c"_poller_add",
            poller_add,
            c"_poller_add($self, fd, fileobj, events, data, /)\n--\n\n"
        ),
        positional!(
            LoopObject,
            c"_poller_note",
            poller_note,
            c"_poller_note($self, fd, fileobj, events, data, /)\n--\n\n"
        ),
        positional!(LoopObject, c"_poller_modify", poller_modify, c"_poller_modify($self, fd, events, /)\n--\n\n"),
        one!(LoopObject, c"_poller_remove", poller_remove, c"_poller_remove($self, fd, /)\n--\n\n"),
        one!(LoopObject, c"_poller_forget", poller_forget, c"_poller_forget($self, fd, /)\n--\n\n"),
        one!(LoopObject, c"_poller_get", poller_get, c"_poller_get($self, fd, /)\n--\n\n"),
        noargs!(LoopObject, c"_poller_files", poller_files, c"_poller_files($self, /)\n--\n\n"),
        one!(LoopObject, c"_poller_wait", poller_wait, c"_poller_wait($self, seconds, /)\n--\n\n"),
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
            getset!(LoopObject, c"_debug", debug_value, set_debug, c"Whether debug mode is on."),
            getset!(LoopObject, c"_closed", closed_flag, set_closed, c"Whether the loop was closed."),
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
                c"_transports",
                get_transports,
                set_transports,
                c"The transports, by their descriptors."
            ),
            getset!(LoopObject, c"_ready", get_ready, set_ready, c"What runs next: a deque of handles."),
            getset!(
                LoopObject,
                c"_scheduled",
                get_scheduled,
                set_scheduled,
                c"The timers: a list of handles, a heap of heapq's."
            ),
            getset!(
                LoopObject,
                c"_timer_cancelled_count",
                get_cancelled_count,
                set_cancelled_count,
                c"How many of the scheduled timers have been cancelled."
            ),
        ])
}
