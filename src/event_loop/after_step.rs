//! What a piece of work leaves to be done right after it, before the next one runs.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use crate::sys::gc::{Visited, Visitor};
use crate::sys::memory::make_room;
use crate::sys::part::Native;
use crate::sys::{Owned, Res};

use crate::job::Job;

/// Work that runs in the context of the step that has left it.
pub(super) struct Left {
    pub(super) job: &'static Job,
    pub(super) target: Owned,
}

/// No Python code runs while the cell is borrowed.
#[derive(Default)]
pub(super) struct AfterStep {
    left: RefCell<VecDeque<Left>>,
    is_due: Cell<bool>,
}

impl AfterStep {
    /// Is there anything?
    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.is_due.get()
    }

    pub(super) fn add(&self, work: Left) -> Res<()> {
        let mut left = self.left.borrow_mut();
        make_room(&mut *left)?;
        left.push_back(work);
        self.is_due.set(true);
        Ok(())
    }

    pub(super) fn next(&self) -> Option<Left> {
        let next = self.left.borrow_mut().pop_front();
        self.is_due.set(next.is_some());
        next
    }
}

impl Native for AfterStep {
    fn visit(&self, visitor: Visitor) -> Visited {
        // Never borrowed otherwise while the collector runs.
        let Ok(left) = self.left.try_borrow() else { return Visited::Continue(()) };
        left.iter().try_for_each(|work| visitor.object(&*work.target))
    }

    fn clear(&self) {
        self.is_due.set(false);
        drop(self.left.take());
    }
}
