//! What goes next, out of turn: who waits for much that was received goes on while it is in the processor's cache.
//!
//! A program cannot tell. Only where nothing is left to run in an iteration but events of files, which one look at the poller
//! has told of, and the loop is not to stop, does something go before them: so it would be if the system had told of the
//! others a moment later. As soon as anything is called, all is first in, first out.

use std::cell::Cell;

use crate::sys::part::Native;

#[cfg(Py_3_12)]
use super::object::LoopObject;

/// `poll.rs` says what a look has found, `run.rs` begins an iteration and notes how much of it is left.
#[derive(Default)]
pub(super) struct Turn {
    /// So many events has the last look put into the queue, which was empty.
    pub(super) told: Cell<usize>,
    /// The iteration has begun with events of files only.
    only_events: Cell<bool>,
    /// How much of the iteration is left to run.
    pub(super) left: Cell<usize>,
    /// How much of that was put in front of it since the last was taken.
    in_front: Cell<usize>,
}

impl Native for Turn {}

impl Turn {
    #[inline]
    pub(super) fn begin(&self, length: usize) {
        self.only_events.set(self.told.take() == length);
        self.in_front.set(0);
    }

    /// How much there is to run in this iteration that was put in front of it.
    #[inline]
    pub(super) fn take_in_front(&self) -> usize {
        self.in_front.take()
    }
}

#[cfg(Py_3_12)]
impl LoopObject {
    /// May what is put into the queue now go next?
    #[inline]
    pub(crate) fn only_events_are_left(&self) -> bool {
        self.turn.only_events.get() && self.ready.len() == self.turn.left.get() && !self.stopping.get()
    }

    /// The last in the queue goes next, if only this was put there since [`LoopObject::only_events_are_left`].
    pub(crate) fn bring_forward(&self) {
        if self.ready.len() == self.turn.left.get() + 1 {
            self.ready.bring_forward();
            self.turn.in_front.set(1);
        }
    }
}
