//! The ready queue: what the loop runs next, first in, first out.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::sys::gc::{Visited, Visitor};
use crate::sys::memory::{make_room, no_memory, vec_for};
use crate::sys::part::Native;
use crate::sys::{Field, Layout, Object, Owned, Res, panics};

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
pub(super) struct ReadyQueue {
    queue: RefCell<VecDeque<Ready>>,
    /// Python's deque, while Python code has it ([`super::exposed`]); the queue is empty then.
    pub(super) exposed: Field,
}

impl ReadyQueue {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.queue.borrow().len()
    }

    #[allow(clippy::inline_always)] // once for each thing that runs
    #[inline(always)]
    pub(super) fn push(&self, ready: Ready) -> Res<()> {
        let mut queue = self.queue.borrow_mut();
        panics::here("ready queue");
        make_room(&mut *queue)?;
        queue.push_back(ready);
        Ok(())
    }

    /// As many pushes will not fail.
    pub(super) fn reserve(&self, count: usize) -> Res<()> {
        self.queue.borrow_mut().try_reserve(count).map_err(|_| no_memory())
    }

    /// The next push will not fail, unless others come before it.
    #[inline]
    pub(super) fn make_room(&self) -> Res<()> {
        make_room(&mut *self.queue.borrow_mut())
    }

    /// Takes the next, and has the one behind it fetched from memory meanwhile: it may have been made long ago.
    #[inline]
    pub(super) fn pop(&self) -> Option<Ready> {
        let mut queue = self.queue.borrow_mut();
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
        let mut queue = self.queue.borrow_mut();
        if queue.is_empty() && queue.capacity() > SHORT {
            queue.shrink_to(SHORT);
        }
    }

    /// Lets go of what is in the native queue.
    pub(super) fn empty(&self) {
        drop(self.queue.take());
    }

    /// Makes handles of all entries.
    pub(super) fn make_handles(&self, event_loop: &Object) -> Res<()> {
        let mut index = 0;
        loop {
            let entry = match self.queue.borrow().get(index) {
                None => return Ok(()),
                Some(Ready::Entry(entry)) => entry.clone(),
                Some(Ready::Handle(_) | Ready::Foreign(_)) => {
                    index += 1;
                    continue;
                }
            };
            let target = entry.target.clone();
            let made = as_handle(event_loop, entry)?;
            // Making a handle may have run the collector, and so anything.
            let mut queue = self.queue.borrow_mut();
            let same = matches!(queue.get(index), Some(Ready::Entry(entry)) if entry.target.is(&*target));
            let replaced = same.then(|| std::mem::replace(&mut queue[index], Ready::Handle(made)));
            drop(queue);
            drop(replaced);
        }
    }

    /// The handles, if there is nothing else.
    pub(super) fn handles(&self) -> Res<Option<Vec<Owned>>> {
        let queue = self.queue.borrow();
        let mut handles = vec_for(queue.len())?;
        for ready in queue.iter() {
            handles.push(match ready {
                Ready::Handle(handle) => handle.as_object().own(),
                Ready::Foreign(object) => object.clone(),
                Ready::Entry(_) => return Ok(None),
            });
        }
        Ok(Some(handles))
    }
}

impl Native for ReadyQueue {
    fn visit(&self, visitor: Visitor) -> Visited {
        self.exposed.show(visitor)?;
        // Never borrowed otherwise while the collector runs.
        let Ok(queue) = self.queue.try_borrow() else { return Visited::Continue(()) };
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
        self.exposed.clear();
        self.empty();
    }
}

/// The entry as a handle, for a program that looks at it.
pub(super) fn as_handle(event_loop: &Object, entry: Entry) -> Res<Owned<HandleObject>> {
    handle::new(Kind::Plain, event_loop, false, Work::Entry(entry))
}
