//! The timer heap.
//!
//! Timers of equal time run in the very order in which they would run on asyncio's own loop, for the heap is the one
//! that Python's `heapq` makes of the same pushes and pops: `BinaryHeap` goes the same ways when it pushes and pops
//! (tests compare the two); for making a heap of what is left of a list, [`heapify`] does. A timer that is cancelled
//! stays until it comes to the top, or until more than half of more than a hundred are cancelled; then these are all
//! thrown out.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::sys::gc::{Visited, Visitor};
use crate::sys::memory::{make_room, vec_for};
use crate::sys::part::Native;
use crate::sys::{Field, Layout, Owned, Res, panics};

use crate::handle::HandleObject;

struct Timer {
    /// A copy, so that comparing touches no handle.
    when: f64,
    handle: Owned<HandleObject>,
}

/// The earlier is the greater. Like the comparisons of `heapq`, it takes for equal what is not less either way, a time
/// that is no number too: the heap's order is then as odd as Python's, and no worse.
impl Ord for Timer {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        if self.when < other.when {
            Ordering::Greater
        } else if other.when < self.when {
            Ordering::Less
        } else {
            Ordering::Equal
        }
    }
}

impl PartialOrd for Timer {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Timer {}

/// No Python code runs while the cell is borrowed.
#[derive(Default)]
pub(super) struct TimerHeap {
    timers: RefCell<BinaryHeap<Timer>>,
    /// Python's list, while Python code has it ([`super::exposed`]); the heap is empty then.
    pub(super) exposed: Field,
    /// How many of them have been cancelled.
    pub(super) cancelled: Cell<i64>,
}

/// Fewer timers than these are not swept.
const SWEPT_ABOVE: usize = 100;

impl TimerHeap {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.timers.borrow().is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.timers.borrow().len()
    }

    /// `when` is the handle's.
    #[allow(clippy::inline_always)] // once for each timer
    #[inline(always)]
    pub(super) fn push(&self, handle: &Owned<HandleObject>, when: f64) -> Res<()> {
        let mut timers = self.timers.borrow_mut();
        make_room(&mut *timers)?;
        timers.push(Timer { when, handle: handle.clone() });
        drop(timers);
        handle.set_scheduled(true);
        Ok(())
    }

    /// The time of the first timer.
    #[inline]
    pub(super) fn first(&self) -> Option<f64> {
        self.timers.borrow().peek().map(|timer| timer.when)
    }

    /// Takes the first timer out if it is due before `end`. A time that is no number is always due.
    pub(super) fn pop_due(&self, end: f64) -> Option<Owned<HandleObject>> {
        let due = self.first().is_some_and(|when| when < end || when.is_nan());
        if due { self.pop() } else { None }
    }

    fn pop(&self) -> Option<Owned<HandleObject>> {
        let timer = {
            let mut timers = self.timers.borrow_mut();
            panics::here("timer heap");
            let timer = timers.pop()?;
            if let Some(next) = timers.peek() {
                next.handle.prefetch(); // it was made long ago
            }
            timer
        };
        timer.handle.set_scheduled(false);
        Some(timer.handle)
    }

    /// Lets go of timers that were cancelled: of those at the top, or of all if they are many.
    pub(super) fn drop_cancelled(&self) {
        #[allow(clippy::cast_precision_loss)]
        let many = self.len() > SWEPT_ABOVE && self.cancelled.get() as f64 / self.len() as f64 > 0.5;
        if many && self.sweep() {
            return;
        }
        while self.timers.borrow().peek().is_some_and(|timer| timer.handle.is_cancelled()) {
            self.cancelled.set(self.cancelled.get() - 1);
            drop(self.pop());
        }
    }

    /// Throws out all that were cancelled; false, and nothing is changed, if there is no memory for it.
    fn sweep(&self) -> bool {
        let is_cancelled = |timer: &Timer| timer.handle.is_cancelled();
        let count = self.timers.borrow().iter().filter(|timer| is_cancelled(timer)).count();
        let (mut kept, mut swept) = (Vec::new(), Vec::new());
        if kept.try_reserve_exact(self.len() - count).is_err() || swept.try_reserve_exact(count).is_err() {
            return false;
        }
        for timer in self.timers.take().into_vec() {
            if is_cancelled(&timer) { &mut swept } else { &mut kept }.push(timer);
        }
        heapify(&mut kept);
        // What is a heap already stays as it is.
        *self.timers.borrow_mut() = BinaryHeap::from(kept);
        self.cancelled.set(0);
        for timer in swept {
            timer.handle.set_scheduled(false);
        }
        true
    }

    /// Lets go of what is in the native heap.
    pub(super) fn empty(&self) {
        drop(self.timers.take());
    }

    /// Takes the timers over in the order of a heap, which stays as it is.
    pub(super) fn take_over(&self, handles: Vec<Owned<HandleObject>>) -> Res<()> {
        let mut timers = vec_for(handles.len())?;
        timers.extend(handles.into_iter().map(|handle| Timer { when: handle.when(), handle }));
        drop(self.timers.replace(BinaryHeap::from(timers)));
        Ok(())
    }

    /// The handles in the order of the heap.
    pub(super) fn handles(&self) -> Res<Vec<Owned>> {
        let timers = self.timers.borrow();
        let mut handles = vec_for(timers.len())?;
        handles.extend(timers.iter().map(|timer| timer.handle.as_object().own()));
        Ok(handles)
    }
}

impl Native for TimerHeap {
    fn visit(&self, visitor: Visitor) -> Visited {
        self.exposed.show(visitor)?;
        // Never borrowed otherwise while the collector runs.
        let Ok(timers) = self.timers.try_borrow() else { return Visited::Continue(()) };
        for timer in timers.iter() {
            visitor.object(&*timer.handle)?;
        }
        Visited::Continue(())
    }

    fn clear(&self) {
        self.exposed.clear();
        self.empty();
    }
}

/// `heapq.heapify`
fn heapify(timers: &mut [Timer]) {
    for index in (0..timers.len() / 2).rev() {
        sink(timers, index);
    }
}

/// Moves the timer at `top` to its place (`_siftup`): all the way down along the earlier children, then up again.
fn sink(timers: &mut [Timer], top: usize) {
    let end = timers.len();
    let mut place = top;
    while place < end / 2 {
        let mut child = 2 * place + 1;
        if child + 1 < end && timers[child] <= timers[child + 1] {
            child += 1;
        }
        timers.swap(place, child);
        place = child;
    }
    while place > top && timers[place] > timers[(place - 1) / 2] {
        timers.swap(place, (place - 1) / 2);
        place = (place - 1) / 2;
    }
}
