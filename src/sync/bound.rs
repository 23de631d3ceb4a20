//! `_LoopBoundMixin._get_loop()`: an object belongs to the loop that it was first waited on in.

use crate::future::FutureObject;
use crate::graft::running::Running;
use crate::graft::shape::Attributes;
use crate::sys::object::none;
use crate::sys::{Owned, Res};

/// Would `_get_loop()` of the object, whose `_loop` is at that place, return the running loop?
#[inline]
pub(super) fn fits<const N: usize>(attributes: Attributes<'_, N>, event_loop: usize, running: &Running) -> bool {
    attributes.holds(event_loop, running.event_loop())
        || attributes.lacks(event_loop)
        || attributes.holds(event_loop, none())
}

/// A new future of the loop that the object belongs to; `None`, and nothing is done, if that is another than the running
/// one, or not plain. It is noted if it is the first.
#[inline]
pub(super) fn new_future<const N: usize>(
    attributes: Attributes<'_, N>,
    event_loop: usize,
) -> Res<Option<Owned<FutureObject>>> {
    let Some(running) = Running::find().filter(Running::makes_native_futures) else { return Ok(None) };
    if !fits(attributes, event_loop, &running) {
        return Ok(None);
    }
    if !attributes.holds(event_loop, running.event_loop()) {
        attributes.set(event_loop, running.event_loop())?;
    }
    running.make_future().map(Some)
}
