//! Who awaits a future: the edges of asyncio's call graph (3.14 on).
//!
//! The first waiter is stored bare, from the second on they are in a set. CPython's debugger reads both forms.
//!
//! Futures and tasks of CPython's own module have the same two fields in the same places. Where its state and ours are
//! one, edges go from its to ours and back, once [`link`] has found the fields in its class: a wait of our task for its
//! future is noted in that; of a wait of its task for our future we are told by the callback that it adds, which is the
//! method `task_wakeup` of the task.

use std::cell::Cell;

use crate::names::NEW;
use crate::sys::attached::Attached;
use crate::sys::foreign_fields::ForeignFields;
use crate::sys::object::none;
use crate::sys::typeobj::{bound_object, is_bound_function_named};
use crate::sys::{Field, Layout, Object, Owned, Res, call, containers};
use crate::versions;

use super::FutureObject;

static THEIRS: Attached<ForeignFields> =
    Attached::new(ForeignFields::at(FutureObject::LAYOUT[0], FutureObject::LAYOUT[2]));

/// The edges that lead from a future to those who await it.
#[derive(Clone, Copy)]
pub(crate) struct AwaitedBy<'a> {
    waiters: &'a Field,
    is_set: &'a Cell<bool>,
}

impl<'a> AwaitedBy<'a> {
    #[inline]
    pub(crate) fn of(future: &'a FutureObject) -> Self {
        AwaitedBy { waiters: &future.awaited_by, is_set: &future.awaited_by_is_set }
    }

    /// Of a future of CPython's own.
    #[inline]
    pub(crate) fn of_theirs(object: &'a Object) -> Option<Self> {
        let (waiters, is_set) = THEIRS.of(object)?;
        Some(AwaitedBy { waiters, is_set })
    }

    /// Notes that `waiter` awaits it.
    #[inline]
    pub(crate) fn add(self, waiter: &Object) -> Res<()> {
        match self.waiters.get() {
            None => {
                self.is_set.set(false);
                self.waiters.set(waiter.own());
            }
            Some(waiters) if self.is_set.get() => containers::set_add(&waiters, waiter)?,
            Some(first) => {
                let waiters = containers::new_set(None)?;
                // The second one first, as C does; their classes may see the comparison.
                containers::set_add(&waiters, waiter)?;
                containers::set_add(&waiters, &first)?;
                // Hashing a task of a subclass is Python code: look again at what is there.
                if self.waiters.holds(&*first) {
                    self.waiters.set(waiters);
                    self.is_set.set(true);
                }
            }
        }
        Ok(())
    }

    /// Notes that `waiter` no longer does; no error if it never did.
    #[inline]
    pub(crate) fn discard(self, waiter: &Object) -> Res<()> {
        if self.is_set.get() {
            return match self.waiters.get() {
                Some(waiters) => containers::set_discard(&waiters, waiter),
                None => Ok(()),
            };
        }
        if self.waiters.holds(waiter) {
            self.waiters.clear();
        }
        Ok(())
    }
}

/// Notes that `waiter` awaits the future.
#[inline]
pub(crate) fn add_to_awaited_by(future: &FutureObject, waiter: &Object) -> Res<()> {
    if versions::AWAITED_BY { AwaitedBy::of(future).add(waiter) } else { Ok(()) }
}

/// Notes that `waiter` no longer does; no error if it never did.
#[inline]
pub(crate) fn discard_from_awaited_by(future: &FutureObject, waiter: &Object) -> Res<()> {
    if versions::AWAITED_BY { AwaitedBy::of(future).discard(waiter) } else { Ok(()) }
}

/// Makes CPython's own class of futures known, with its `future_add_to_awaited_by`, if its instances have the fields.
pub(crate) fn link(class: &Object, add: &Object) -> Res<()> {
    let Some(their_type) = class.as_type() else { return Ok(()) };
    let new = || call::call_method(&NEW, &[class, class], None);
    let (sample, first, second) = (new()?, new()?, new()?);
    THEIRS.settle(their_type, &sample, |look| {
        let before = look();
        call::call(add, &[&sample, &first])?;
        let with_one = look();
        call::call(add, &[&sample, &second])?;
        let (waiters, is_set) = look();
        let bare = first.as_ptr().addr();
        Ok(before == (0, 0) && with_one == (bare, 0) && waiters != 0 && waiters != bare && is_set == 1)
    })
}

/// The task of CPython's own that waits for a future by this callback.
#[cold]
fn their_waiter(callback: &Object) -> Option<&Object> {
    let waiter = bound_object(callback).filter(|_| is_bound_function_named(callback, c"task_wakeup"))?;
    THEIRS.of(waiter).map(|_| waiter)
}

/// A callback was added to the future.
#[inline]
pub(super) fn note_callback(future: &FutureObject, callback: &Object) -> Res<()> {
    if !THEIRS.is_settled() {
        return Ok(());
    }
    match their_waiter(callback) {
        Some(waiter) if future.is_pending() => AwaitedBy::of(future).add(waiter),
        _ => Ok(()),
    }
}

/// The future is done, and the callback is about to be scheduled.
#[inline]
pub(super) fn forget_callback(future: &FutureObject, callback: &Object) -> Res<()> {
    if !THEIRS.is_settled() {
        return Ok(());
    }
    their_waiter(callback).map_or(Ok(()), |waiter| AwaitedBy::of(future).discard(waiter))
}

/// `_asyncio_awaited_by`: `None` or a new frozenset.
pub(super) fn frozen(future: &FutureObject) -> Res<Owned> {
    let Some(waiters) = future.awaited_by.get() else {
        return Ok(none().own());
    };
    if future.awaited_by_is_set.get() {
        return containers::new_frozenset(&waiters);
    }
    containers::new_frozenset(&*containers::tuple(&[&waiters])?)
}
