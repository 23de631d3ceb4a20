//! Watching files for native code, which waits for them without a handle.

use std::ffi::c_int;
use std::rc::Rc;

use crate::io::Poller;
use crate::sys::{Res, containers};

use super::object::{LoopObject, check_closed};
use super::watchers::{Direction, no_descriptor};
use crate::asyncio::loop_is_closed;
use crate::job::Entry;

impl LoopObject {
    /// The poller, unless it watches files for others than handles and entries of ours: then asyncio's own methods, by
    /// way of `loop._selector`, sort it out.
    #[inline]
    pub(super) fn own_poller(&self) -> Option<Rc<Poller>> {
        self.watchers.poller().filter(|_| !self.watchers.has_foreign())
    }

    /// Can entries wait for files?
    #[inline]
    pub(crate) fn watches_natively(&self) -> bool {
        self.watchers.is_open() && !self.watchers.has_foreign()
    }

    /// Has the entry wait for the descriptor, as long as it is ready in each iteration. Who waited before is stopped.
    pub(crate) fn watch(&self, fd: c_int, direction: Direction, watcher: Entry) -> Res<()> {
        check_closed(self)?;
        if fd < 0 {
            return Err(no_descriptor(&*containers::int(i64::from(fd))?));
        }
        let poller = self.own_poller().ok_or_else(loop_is_closed)?;
        match self.watchers.put(&poller, fd, None, direction, watcher)? {
            Some(before) => before.stop(),
            None => Ok(()),
        }
    }

    /// Nobody waits for the descriptor any more; who did is stopped. Of a loop that is closed nobody does.
    pub(crate) fn unwatch(&self, fd: c_int, direction: Direction) -> Res<()> {
        let Some(poller) = self.own_poller() else { return Ok(()) };
        match self.watchers.take(&poller, fd, direction)? {
            Some(removed) => removed.stop(),
            None => Ok(()),
        }
    }

    /// Was the loop told to stop after this iteration?
    #[inline]
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Lends memory for a read, as much as is read at once. No Python code may run in it.
    pub(crate) fn read_with<T>(&self, read: impl FnOnce(&mut [u8]) -> T) -> Res<T> {
        self.scratch.read_with(read)
    }

    /// The same where other threads may run in it.
    pub(crate) fn read_detached<T>(&self, read: impl FnOnce(&mut [u8]) -> T) -> Res<T> {
        self.scratch.read_detached(read)
    }
}
