//! `self._waiters`: the futures of those who wait, first come first.

use crate::future::{self, FutureObject};
use crate::graft::coroutine::Coroutine;
use crate::graft::running::Running;
use crate::names::{DONE, Name, REMOVE_ITEM, SET_RESULT};
use crate::sys::deque::{self, Deque};
use crate::sys::object::{boolean, none};
use crate::sys::{Layout, Object, Owned, Res, call};

/// The object as a future of exactly our type, which belongs to the loop.
#[inline]
pub(super) fn as_waiter<'a>(object: &'a Object, running: &Running) -> Option<&'a FutureObject> {
    as_plain_future(object).filter(|waiter| waiter.belongs_to(running.event_loop()))
}

/// The object as a future of exactly our type, which has no attribute that could hide a method.
#[inline]
fn as_plain_future(object: &Object) -> Option<&FutureObject> {
    future::TYPE.downcast_exact(object).filter(|future| future.has_no_attributes())
}

/// Are all up to the first that still waits the running loop's, so that [`wake_next`] does what Python code would?
#[inline]
pub(super) fn can_wake_next(waiters: &Deque) -> bool {
    deque::len(waiters) == 0 || Running::find().is_some_and(|running| next_is_plain(waiters, &running))
}

fn next_is_plain(waiters: &Deque, running: &Running) -> bool {
    let mut index = 0;
    while let Some(waiter) = deque::item(waiters, index) {
        match as_waiter(&waiter, running) {
            None => return false,
            Some(waiter) if waiter.is_pending() => return true,
            Some(_) => index += 1,
        }
    }
    true
}

/// `Queue._wakeup_next(waiters)`: takes out those who are done, and wakes up the first who still waits.
#[inline]
pub(super) fn wake_next(waiters: &Deque) -> Res<()> {
    while deque::len(waiters) > 0 {
        let waiter = deque::popleft(waiters)?;
        match as_plain_future(&waiter) {
            Some(future) if future.is_pending() => return future::set_result(future, none().own()),
            Some(_) => {}
            None if call::is_true(&*call::call_method(&DONE, &[&*waiter], None)?)? => {}
            None => return call::call_method(&SET_RESULT, &[&*waiter, none()], None).map(drop),
        }
    }
    Ok(())
}

/// `owner.name.remove(waiter)`, with the attribute, if it was to be had natively.
#[inline]
pub(crate) fn remove(
    coroutine: &Coroutine,
    owner: &Object,
    name: &Name,
    found: Option<Owned>,
    waiter: &Object,
) -> Res<()> {
    let removed = match found.and_then(deque::downcast) {
        Some(waiters) => deque::remove(&waiters, waiter),
        None => remove_in_python(owner, name, waiter),
    };
    if removed.is_err() {
        coroutine.now_removes();
    }
    removed
}

#[cold]
pub(super) fn remove_in_python(owner: &Object, name: &Name, waiter: &Object) -> Res<()> {
    let waiters = call::getattr(owner, name)?;
    call::call_method(&REMOVE_ITEM, &[&*waiters, waiter], None).map(drop)
}

/// `if not waiter.done(): waiter.set_result(True)`
#[inline]
pub(super) fn wake(waiter: &FutureObject) -> Res<()> {
    if waiter.is_pending() { future::set_result(waiter, boolean(true).own()) } else { Ok(()) }
}

/// Is each of them a waiter of the loop?
#[inline]
pub(super) fn all_belong_to(waiters: &Deque, running: &Running) -> bool {
    let belongs = |waiter: Owned| as_waiter(&waiter, running).is_some();
    (0..deque::len(waiters)).all(|index| deque::item(waiters, index).is_some_and(belongs))
}

/// Wakes all of them, who [`all_belong_to`] the running loop: that runs no Python code.
#[inline]
pub(super) fn wake_all(waiters: &Deque) -> Res<()> {
    let waiter = |index| deque::item(waiters, index);
    (0..deque::len(waiters)).filter_map(waiter).try_for_each(|waiter| as_plain_future(&waiter).map_or(Ok(()), wake))
}
