//! `self._waiters`: the futures of those who wait, first come first.

use crate::future::{self, FutureObject};
use crate::graft::coroutine::Coroutine;
use crate::graft::running::Running;
use crate::names::{REMOVE_ITEM, WAITERS};
use crate::sys::deque::{self, Deque};
use crate::sys::object::boolean;
use crate::sys::{Layout, Object, Owned, Res, call};

/// The object as a future of exactly our type, which belongs to the loop.
#[inline]
pub(super) fn as_waiter<'a>(object: &'a Object, running: &Running) -> Option<&'a FutureObject> {
    future::TYPE.downcast_exact(object).filter(|waiter| waiter.belongs_to(running.event_loop()))
}

/// `owner._waiters.remove(waiter)`, with the attribute, if it was to be had natively.
#[inline]
pub(super) fn remove(coroutine: &Coroutine, owner: &Object, found: Option<Owned>, waiter: &Object) -> Res<()> {
    let removed = match found.and_then(deque::downcast) {
        Some(waiters) => deque::remove(&waiters, waiter),
        None => remove_in_python(owner, waiter),
    };
    if removed.is_err() {
        coroutine.now_removes();
    }
    removed
}

#[cold]
fn remove_in_python(owner: &Object, waiter: &Object) -> Res<()> {
    let waiters = call::getattr(owner, &WAITERS)?;
    call::call_method(&REMOVE_ITEM, &[&*waiters, waiter], None).map(drop)
}

/// `if not waiter.done(): waiter.set_result(True)`
#[inline]
pub(super) fn wake(waiter: &FutureObject) -> Res<()> {
    if waiter.is_pending() { future::set_result(waiter, boolean(true).own()) } else { Ok(()) }
}

/// All of them, if each is a waiter of the loop.
pub(super) fn all(waiters: &Deque, running: &Running) -> Option<Vec<Owned>> {
    let items: Vec<Owned> = (0..deque::len(waiters)).filter_map(|index| deque::item(waiters, index)).collect();
    items.iter().all(|item| as_waiter(item, running).is_some()).then_some(items)
}
