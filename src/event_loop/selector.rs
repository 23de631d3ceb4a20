//! `loop._selector` of a loop that waits natively: what `NativeSelector` in `python/rasyncio/_selector.py` is made of.
//!
//! It is one of Python's epoll selectors, whose own code runs on the loop's files and on its poller. So what a program
//! registers by it is watched by the loop as well, and what the loop watches is seen by it. A file that is registered
//! for something else than handles of ours is *foreign*: its events go through `loop._process_events()`.

use std::ffi::c_int;

use crate::asyncio::loop_is_closed;
use crate::io::{Event, Events, Interest, Poller, Woken};
use crate::names::PROCESS_EVENTS_OF;
use crate::sys::error::{Builtin, raise};
use crate::sys::memory::no_memory;
use crate::sys::object::none;
use crate::sys::os_error::raise_os_error;
use crate::sys::threads::{check_signals, detached};
use crate::sys::{Layout, Object, Owned, Res, call, containers, panics};

use super::object::LoopObject;
use super::watchers::Registered;

/// `selectors.EVENT_READ` and `EVENT_WRITE`, which are also epoll's `EPOLLIN` and, four times, `EPOLLOUT`.
const READ: i64 = 1;
const WRITE: i64 = 2;

fn poller(core: &LoopObject) -> Res<std::rc::Rc<Poller>> {
    core.watchers.poller().ok_or_else(loop_is_closed)
}

fn descriptor(fd: &Object) -> Res<c_int> {
    let overflow = || raise(Builtin::OverflowError.class(), c"Python int too large to convert to C int");
    c_int::try_from(containers::int_clamped(fd)?).map_err(|_| overflow())
}

fn interest(events: &Object) -> Res<Interest> {
    let events = containers::int_clamped(events)?;
    Ok(Interest { readable: events & READ != 0, writable: events & WRITE != 0 })
}

fn events_of(interest: Interest) -> Res<Owned> {
    containers::int(if interest.readable { READ } else { 0 } | if interest.writable { WRITE } else { 0 })
}

fn four<'a>(arguments: &[&'a Object]) -> Res<[&'a Object; 4]> {
    <[&Object; 4]>::try_from(arguments)
        .map_err(|_| raise(Builtin::TypeError.class(), c"fd, object, events and data were expected"))
}

/// `_poller_add(fd, fileobj, events, data)`: begins to watch the file.
pub(super) fn poller_add(core: &LoopObject, arguments: &[&Object]) -> Res<()> {
    let [fd, object, events, data] = four(arguments)?;
    core.watchers.watch(&*poller(core)?, descriptor(fd)?, &Registered { object, interest: interest(events)?, data })
}

/// `_poller_note(fd, fileobj, events, data)`: takes note of what a file is watched for.
pub(super) fn poller_note(core: &LoopObject, arguments: &[&Object]) -> Res<()> {
    let [fd, object, events, data] = four(arguments)?;
    core.watchers.note(descriptor(fd)?, &Registered { object, interest: interest(events)?, data });
    Ok(())
}

/// `_poller_modify(fd, events)`
pub(super) fn poller_modify(core: &LoopObject, arguments: &[&Object]) -> Res<()> {
    let [fd, events] = arguments else {
        return Err(raise(Builtin::TypeError.class(), c"fd and events were expected"));
    };
    poller(core)?.modify(descriptor(fd)?, interest(events)?).map_err(|errno| raise_os_error(errno.0))
}

/// `_poller_remove(fd)`: the poller forgets it.
pub(super) fn poller_remove(core: &LoopObject, fd: &Object) -> Res<()> {
    let fd = descriptor(fd)?;
    if let Some(poller) = core.watchers.poller().filter(|_| fd >= 0) {
        poller.remove(fd);
    }
    Ok(())
}

/// `_poller_forget(fd)`: the table forgets it. Was it there?
pub(super) fn poller_forget(core: &LoopObject, fd: &Object) -> Res<Owned> {
    let known = core.watchers.forget(descriptor(fd)?);
    Ok(crate::sys::object::boolean(known).own())
}

/// `_poller_get(fd)`: `(fileobj or None, events, data)`, or `None`.
pub(super) fn poller_get(core: &LoopObject, fd: &Object) -> Res<Owned> {
    let fd = descriptor(fd)?;
    core.watchers.make_handles(core.as_object(), fd)?;
    core.watchers.arm_for_all(fd)?;
    match core.watchers.registered_for(fd)? {
        None => Ok(none().own()),
        Some((object, interest, data)) => {
            containers::tuple(&[object.as_deref().unwrap_or(none()), &*events_of(interest)?, &*data])
        }
    }
}

/// `_poller_files()`: the descriptors.
pub(super) fn poller_files(core: &LoopObject) -> Res<Owned> {
    let list = containers::new_list()?;
    for fd in core.watchers.descriptors()? {
        containers::list_append(&list, &*containers::int(i64::from(fd))?)?;
    }
    Ok(list)
}

/// `_poller_wait(seconds)`: waits for so long at most (less than nothing: for ever), and returns
/// `[(fd, events), …]`.
pub(super) fn poller_wait(core: &LoopObject, seconds: &Object) -> Res<Owned> {
    let seconds = containers::float_value(seconds)?;
    let poller = poller(core)?;
    check_signals()?;
    let mut events = poller.begin_look(false).ok_or_else(no_memory)?;
    #[allow(clippy::cast_possible_truncation)] // saturates
    let milliseconds = (seconds >= 0.0).then(|| (seconds * 1e3).ceil() as i32);
    if milliseconds != Some(0) {
        core.idle.fall_asleep();
    }
    let woken = detached(|| {
        panics::here("poller");
        poller.wait(milliseconds, &mut events)
    });
    core.idle.end();
    let found = match woken {
        Ok(Woken::Normally) => list_of(&events),
        Ok(Woken::BySignal) => check_signals().and_then(|()| containers::new_list()),
        Err(errno) => Err(raise_os_error(errno.0)),
    };
    poller.end_look(woken, events);
    found
}

/// `[(fd, events), …]`
fn list_of(events: &Events) -> Res<Owned> {
    let list = containers::new_list()?;
    for event in events.iter() {
        let (fd, ready) = (containers::int(i64::from(event.fd))?, events_of(event.ready)?);
        containers::list_append(&list, &*containers::tuple(&[&fd, &ready])?)?;
    }
    Ok(list)
}

/// What has come for a foreign file.
#[cold]
pub(super) fn process(core: &LoopObject, event: Event) -> Res<()> {
    let (fd, ready) = (containers::int(i64::from(event.fd))?, events_of(event.ready)?);
    call::call_method(&PROCESS_EVENTS_OF, &[core.as_object(), &*fd, &*ready], None).map(drop)
}
