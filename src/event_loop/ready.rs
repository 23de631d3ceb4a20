//! The ready queue: what the loop runs next, first in, first out.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::sys::gc::{Visited, Visitor};
use crate::sys::memory::make_room;
use crate::sys::part::Native;
use crate::sys::{Layout, Object, Owned, Res, panics};

use crate::handle::{self, HandleObject, Kind, Work};
use crate::job::Entry;

/// Something to run.
pub(super) enum Ready {
    /// A step, a wake-up, a future's callback.
    Entry(Entry),
    Handle(Owned<HandleObject>),
    /// Something else that has `_cancelled` and `_run()`, which Python code put here.
    Foreign(Owned),
}

/// No Python code runs while the cell is borrowed.
#[derive(Default)]
pub(super) struct ReadyQueue(RefCell<VecDeque<Ready>>);

impl ReadyQueue {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    #[allow(clippy::inline_always)] // once for each thing that runs
    #[inline(always)]
    pub(super) fn push(&self, ready: Ready) -> Res<()> {
        let mut queue = self.0.borrow_mut();
        panics::here("ready queue");
        make_room(&mut *queue)?;
        queue.push_back(ready);
        Ok(())
    }

    /// The next push will not fail, unless others come before it.
    #[inline]
    pub(super) fn make_room(&self) -> Res<()> {
        make_room(&mut *self.0.borrow_mut())
    }

    /// Takes the next, and has the one behind it fetched from memory meanwhile: it may have been made long ago.
    #[inline]
    pub(super) fn pop(&self) -> Option<Ready> {
        let mut queue = self.0.borrow_mut();
        let next = queue.pop_front();
        match queue.front() {
            Some(Ready::Entry(entry)) => entry.target.prefetch(),
            Some(Ready::Handle(handle)) => handle.prefetch(),
            Some(Ready::Foreign(_)) | None => {}
        }
        next
    }

    /// Gives back the memory of a queue that was long once.
    pub(super) fn shrink(&self) {
        const SHORT: usize = 1024;
        let mut queue = self.0.borrow_mut();
        if queue.is_empty() && queue.capacity() > SHORT {
            queue.shrink_to(SHORT);
        }
    }

    /// What is queued, as handles; entries become handles for good, so that who looks twice sees the same.
    pub(super) fn handles(&self, event_loop: &Object) -> Res<Vec<Owned>> {
        let mut handles = Vec::new();
        loop {
            let index = handles.len();
            make_room(&mut handles)?;
            let entry = match self.0.borrow().get(index) {
                None => return Ok(handles),
                Some(Ready::Handle(handle)) => {
                    handles.push(handle.as_object().own());
                    continue;
                }
                Some(Ready::Foreign(object)) => {
                    handles.push(object.clone());
                    continue;
                }
                Some(Ready::Entry(entry)) => entry.clone(),
            };
            let target = entry.target.clone();
            let made = as_handle(event_loop, entry)?;
            handles.push(made.as_object().own());
            // Making a handle may have run the collector, and so anything.
            let mut queue = self.0.borrow_mut();
            let same = matches!(queue.get(index), Some(Ready::Entry(entry)) if entry.target.is(&*target));
            let replaced = same.then(|| std::mem::replace(&mut queue[index], Ready::Handle(made)));
            drop(queue);
            drop(replaced);
        }
    }
}

impl Native for ReadyQueue {
    fn visit(&self, visitor: Visitor) -> Visited {
        // Never borrowed otherwise while the collector runs.
        let Ok(queue) = self.0.try_borrow() else { return Visited::Continue(()) };
        for ready in queue.iter() {
            match ready {
                Ready::Entry(entry) => entry.visit(visitor)?,
                Ready::Handle(handle) => visitor.object(&**handle)?,
                Ready::Foreign(object) => visitor.object(&**object)?,
            }
        }
        Visited::Continue(())
    }

    fn clear(&self) {
        drop(self.0.take());
    }
}

/// The entry as a handle, for those who look at it.
pub(super) fn as_handle(event_loop: &Object, entry: Entry) -> Res<Owned<HandleObject>> {
    handle::new(Kind::Plain, event_loop, false, Work::Entry(entry))
}
