//! The timer heap.
//!
//! The same binary heap as Python's `heapq` makes of the same pushes and pops, step by step: so timers of equal time run
//! in the very order in which they would run on asyncio's own loop. A timer that is cancelled stays until it comes to
//! the top, or until more than half of more than a hundred are cancelled; then these are all thrown out.

use std::cell::{Cell, RefCell};

use crate::sys::gc::{Visited, Visitor};
use crate::sys::{Layout, Owned};

use super::super::handle::HandleObject;

struct Timer {
    /// A copy, so that comparing touches no handle.
    when: f64,
    handle: Owned<HandleObject>,
}

/// No Python code runs while the cell is borrowed.
pub(super) struct TimerHeap {
    timers: RefCell<Vec<Timer>>,
    /// How many of them have been cancelled.
    pub(super) cancelled: Cell<i64>,
}

/// Fewer timers than these are not swept.
const SWEPT_ABOVE: usize = 100;

impl TimerHeap {
    pub(super) const fn new() -> Self {
        TimerHeap { timers: RefCell::new(Vec::new()), cancelled: Cell::new(0) }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.timers.borrow().is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.timers.borrow().len()
    }

    pub(super) fn push(&self, handle: Owned<HandleObject>) {
        handle.set_scheduled(true);
        let mut timers = self.timers.borrow_mut();
        timers.push(Timer { when: handle.when(), handle });
        let last = timers.len() - 1;
        rise(&mut timers, 0, last);
    }

    /// The time of the first timer.
    #[inline]
    pub(super) fn first(&self) -> Option<f64> {
        self.timers.borrow().first().map(|timer| timer.when)
    }

    /// Takes the first timer out if it is due before `end`. A time that is no number is always due.
    pub(super) fn pop_due(&self, end: f64) -> Option<Owned<HandleObject>> {
        let due = self.first().is_some_and(|when| when < end || when.is_nan());
        if due { self.pop() } else { None }
    }

    fn pop(&self) -> Option<Owned<HandleObject>> {
        let popped = {
            let mut timers = self.timers.borrow_mut();
            let last = timers.pop()?;
            if let Some(first) = timers.first_mut() {
                let first = std::mem::replace(first, last);
                sink(&mut timers, 0);
                first
            } else {
                last
            }
        };
        popped.handle.set_scheduled(false);
        Some(popped.handle)
    }

    /// Lets go of timers that were cancelled: of those at the top, or of all if they are many.
    #[inline]
    pub(super) fn drop_cancelled(&self) {
        if !self.is_empty() {
            self.drop_cancelled_if_any();
        }
    }

    fn drop_cancelled_if_any(&self) {
        #[allow(clippy::cast_precision_loss)]
        let many = self.len() > SWEPT_ABOVE && self.cancelled.get() as f64 / self.len() as f64 > 0.5;
        if many {
            self.sweep();
            return;
        }
        while self.timers.borrow().first().is_some_and(|timer| timer.handle.is_cancelled()) {
            self.cancelled.set(self.cancelled.get() - 1);
            if let Some(handle) = self.pop() {
                handle.release();
            }
        }
    }

    fn sweep(&self) {
        let (kept, swept): (Vec<_>, Vec<_>) =
            self.timers.take().into_iter().partition(|timer| !timer.handle.is_cancelled());
        self.cancelled.set(0);
        {
            let mut timers = self.timers.borrow_mut();
            *timers = kept;
            for index in (0..timers.len() / 2).rev() {
                sink(&mut timers, index);
            }
        }
        for timer in swept {
            timer.handle.set_scheduled(false);
            timer.handle.release();
        }
    }

    pub(super) fn clear(&self) {
        for timer in self.timers.take() {
            timer.handle.release();
        }
    }

    /// The handles in the order of the heap, as `loop._scheduled` shows them.
    pub(super) fn handles(&self) -> Vec<Owned> {
        self.timers.borrow().iter().map(|timer| timer.handle.as_object().own()).collect()
    }

    pub(super) fn visit(&self, visitor: Visitor) -> Visited {
        for timer in self.timers.borrow().iter() {
            timer.handle.visit_as_part(visitor)?;
        }
        Visited::Continue(())
    }
}

/// Moves the timer at `index` towards `top`, to its place (heapq's `_siftdown`).
fn rise(timers: &mut [Timer], top: usize, mut index: usize) {
    while index > top {
        let parent = (index - 1) / 2;
        if timers[index].when < timers[parent].when {
            timers.swap(index, parent);
            index = parent;
        } else {
            break;
        }
    }
}

/// Moves the timer at `index` to its place below (heapq's `_siftup`): all the way down along the earlier children,
/// then up again.
fn sink(timers: &mut [Timer], index: usize) {
    let end = timers.len();
    let mut place = index;
    while place < end / 2 {
        let mut child = 2 * place + 1;
        if child + 1 < end && !(timers[child].when < timers[child + 1].when) {
            child += 1;
        }
        timers.swap(place, child);
        place = child;
    }
    rise(timers, index, place);
}
