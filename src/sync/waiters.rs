//! `self._waiters`: the futures of those who wait, first come first.

use crate::future::{self, FutureObject};
use crate::graft::coroutine::Coroutine;
use crate::graft::running::Running;
use crate::graft::shape::Attributes;
use crate::names::{DONE, Name, REMOVE_ITEM, SET_RESULT};
use crate::sys::deque::{self, Deque};
use crate::sys::object::{boolean, none};
use crate::sys::{Layout, Object, Owned, Res, call};

use super::bound;

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

/// Queues up, behind those who wait already, with a new future of the running loop. A deque is made if there is none
/// yet. `None`, and nothing is done, if that is for Python code.
pub(super) fn queue_up<const N: usize>(
    attributes: Attributes<'_, N>,
    place: usize,
    event_loop: usize,
) -> Res<Option<Owned<FutureObject>>> {
    let Some(present) = attributes.get(place) else { return Ok(None) };
    let waiters = if present.is_none() {
        if !Running::find().is_some_and(|running| bound::fits(attributes, event_loop, &running)) {
            return Ok(None);
        }
        let made = deque::new()?;
        attributes.set(place, made.as_object())?;
        made
    } else {
        let Some(waiters) = deque::downcast(present) else { return Ok(None) };
        waiters
    };
    let Some(future) = bound::new_future(attributes, event_loop)? else { return Ok(None) };
    deque::append(&waiters, future.as_object())?;
    Ok(Some(future))
}

/// Are all of them cancelled? `None` if somebody else's future is to be asked that.
#[inline]
pub(super) fn all_are_cancelled(waiters: &Deque) -> Option<bool> {
    let mut index = 0;
    while let Some(waiter) = deque::item(waiters, index) {
        if !as_plain_future(&waiter)?.is_cancelled() {
            return Some(false);
        }
        index += 1;
    }
    Some(true)
}

/// Who is next.
pub(super) enum Next {
    /// The first that still waits.
    Is(Owned<FutureObject>),
    /// There is none.
    Nobody,
}

/// Who is next. `None` if a future before it, or itself, is not the running loop's.
#[inline]
pub(super) fn next(waiters: &Deque, running: &Running) -> Option<Next> {
    let mut index = 0;
    while let Some(waiter) = deque::item(waiters, index) {
        let waiter = as_waiter(&waiter, running)?;
        if waiter.is_pending() {
            return Some(Next::Is(waiter.own()));
        }
        index += 1;
    }
    Some(Next::Nobody)
}

/// The first so many that still wait. `None` if a future before the last of them is not the running loop's.
pub(super) fn pending(waiters: &Deque, count: i64, running: &Running) -> Option<Vec<Owned<FutureObject>>> {
    let count = usize::try_from(count).unwrap_or(0);
    let (mut found, mut index) = (Vec::new(), 0);
    while found.len() < count {
        let Some(waiter) = deque::item(waiters, index) else { break };
        let waiter = as_waiter(&waiter, running)?;
        if waiter.is_pending() {
            found.push(waiter.own());
        }
        index += 1;
    }
    Some(found)
}

/// Are all up to the first that still waits the running loop's, so that [`wake_next`] does what Python code would?
#[inline]
pub(super) fn can_wake_next(waiters: &Deque) -> bool {
    deque::len(waiters) == 0 || Running::find().is_some_and(|running| next(waiters, &running).is_some())
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

/// Who waits alone.
#[inline]
pub(super) fn only(waiters: &Deque) -> Option<Owned> {
    if deque::len(waiters) == 1 { deque::first(waiters) } else { None }
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
