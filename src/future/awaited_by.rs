//! Who awaits a future: the edges of asyncio's call graph (3.14 on).
//!
//! The first waiter is stored bare, from the second on they are in a set. CPython's debugger reads both forms.

use crate::sys::object::none;
use crate::sys::{Layout, Object, Owned, Res, containers};
use crate::versions;

use super::FutureObject;

/// Notes that `waiter` awaits the future.
#[inline]
pub(crate) fn add_to_awaited_by(future: &FutureObject, waiter: &Object) -> Res<()> {
    if !versions::AWAITED_BY {
        return Ok(());
    }
    match future.awaited_by.get() {
        None => {
            future.awaited_by_is_set.set(false);
            future.awaited_by.set(waiter.own());
        }
        Some(waiters) if future.awaited_by_is_set.get() => containers::set_add(&waiters, waiter)?,
        Some(first) => {
            let waiters = containers::new_set(None)?;
            // The second one first, as C does; their classes may see the comparison.
            containers::set_add(&waiters, waiter)?;
            containers::set_add(&waiters, &first)?;
            // Hashing a task of a subclass is Python code: look again at what is there.
            if future.awaited_by.holds(&*first) {
                future.awaited_by.set(waiters);
                future.awaited_by_is_set.set(true);
            }
        }
    }
    Ok(())
}

/// Notes that `waiter` no longer does; no error if it never did.
#[inline]
pub(crate) fn discard_from_awaited_by(future: &FutureObject, waiter: &Object) -> Res<()> {
    if !versions::AWAITED_BY {
        return Ok(());
    }
    if future.awaited_by_is_set.get() {
        return match future.awaited_by.get() {
            Some(waiters) => containers::set_discard(&waiters, waiter),
            None => Ok(()),
        };
    }
    if future.awaited_by.holds(waiter) {
        future.awaited_by.clear();
    }
    Ok(())
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
