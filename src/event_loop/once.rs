//! Waiting for one event of a file, as the `sock_*` operations do.
//!
//! asyncio adds a file to the poller for each wait, and removes it after that. Here a file that nobody else waits for is
//! *armed*: the poller reports one event, and from then on knows the file but says nothing of it, whatever comes. The
//! next wait arms it again: one system call in the place of two, in a quarter of their time.
//!
//! Nothing is remembered of whose file it is: arming asks the system, which answers for the file that has the number now.
//! So where a socket was closed and another one has its number, or was put there by `dup2`, that one is added; and what
//! the system still knows of the first, should it live on under another number, reports nothing.
//!
//! `loop._selector` shows the file while somebody waits, as asyncio's does, and not after that. For who looks there, the
//! wait becomes an ordinary one, by a handle; and so it does when somebody else waits for the file too.
//!
//! No Python code runs in these functions, but for what letting go of an entry runs, last.

use std::ffi::c_int;

use crate::asyncio::loop_is_closed;
use crate::io::{Errno, Poller};
use crate::job::Entry;
use crate::sys::memory::no_memory;
use crate::sys::os_error::raise_os_error;
use crate::sys::{Layout, Object, Res};

use super::object::LoopObject;
use super::watchers::{Armed, Direction, Watched, Watchers, as_handle};

impl Direction {
    fn other(self) -> Direction {
        match self {
            Direction::Read => Direction::Write,
            Direction::Write => Direction::Read,
        }
    }
}

/// Is it the target's own entry, or the handle that this has become?
#[inline]
fn is_of(watcher: &Entry, target: &Object) -> bool {
    watcher.target.is(target) || as_handle(watcher).is_some_and(|handle| handle.runs(target))
}

impl Watchers {
    /// Changes what is known of a file that has its place in the table.
    #[inline]
    fn change<T>(&self, fd: c_int, change: impl FnOnce(&mut Watched) -> T) -> Option<T> {
        let mut files = self.table.borrow_mut();
        let file = files.get_mut(usize::try_from(fd).ok()?)?;
        let before = usize::from(file.is_registered());
        let changed = change(file);
        self.watched.set(self.watched.get() + usize::from(file.is_registered()) - before);
        Some(changed)
    }

    /// Makes the entry the file's reader or writer, and returns the one before.
    fn wait_once(&self, poller: &Poller, fd: c_int, direction: Direction, watcher: Entry) -> Res<Option<Entry>> {
        self.disown_if(fd);
        if !self.make_place(fd) {
            return Err(no_memory());
        }
        let wait = |file: &mut Watched| {
            let (was_registered, interest) = (file.is_registered(), file.interest());
            let before = file.place(direction).replace(watcher);
            let alone = file.place(direction.other()).is_none();
            let was_known = was_registered || file.armed != Armed::Always;
            let (armed, told) = match file.armed {
                Armed::Always if !was_registered => (Armed::Once, poller.add_once(fd, file.interest())),
                Armed::Always if interest == file.interest() => (Armed::Always, Ok(())),
                Armed::Always => (Armed::Always, poller.modify(fd, file.interest())),
                Armed::Once | Armed::Spent if alone => (Armed::Once, poller.arm(fd, file.interest(), true)),
                Armed::Once | Armed::Spent => (Armed::Always, poller.arm(fd, file.interest(), false)),
            };
            file.armed = armed;
            // As with asyncio's selectors, a file that cannot be changed is forgotten.
            let forgotten = told.is_err().then(|| std::mem::take(file));
            (told, was_known, before, forgotten)
        };
        // What is let go of, is so when the table is not borrowed any more.
        let Some((told, was_known, before, _forgotten)) = self.change(fd, wait) else { return Ok(None) };
        match told {
            Ok(()) => Ok(before),
            Err(Errno(errno)) => {
                if was_known {
                    poller.remove(fd);
                }
                Err(raise_os_error(errno))
            }
        }
    }

    /// Does the target wait for the file?
    #[inline]
    fn is_waiting(&self, fd: c_int, direction: Direction, target: &Object) -> bool {
        let waits = |file: &mut Watched| file.place(direction).as_ref().is_some_and(|watcher| is_of(watcher, target));
        self.change(fd, waits).unwrap_or(false)
    }

    /// Waits for another event, if one has come.
    fn wait_again(&self, poller: &Poller, fd: c_int) -> Res<()> {
        let arm = |file: &mut Watched| {
            if file.armed != Armed::Spent {
                return Ok(());
            }
            file.armed = Armed::Once;
            poller.arm(fd, file.interest(), true)
        };
        self.change(fd, arm).unwrap_or(Ok(())).map_err(|errno| raise_os_error(errno.0))
    }

    /// The target waits no longer, if it does.
    #[inline]
    fn stop_waiting(&self, poller: &Poller, fd: c_int, direction: Direction, target: &Object) {
        let stop = |file: &mut Watched| {
            let watcher = file.place(direction).take_if(|watcher| is_of(watcher, target))?;
            let forgotten = match (file.is_registered(), file.armed) {
                (false, Armed::Spent) => {
                    let mut forgotten = Watched::default();
                    forgotten.object = file.object.take();
                    forgotten
                }
                (true, _) if poller.modify(fd, file.interest()).is_ok() => Watched::default(),
                _ => {
                    poller.remove(fd);
                    std::mem::take(file)
                }
            };
            Some((watcher, forgotten))
        };
        let removed = self.change(fd, stop);
        drop(removed);
    }

    /// Waits for all events of the file from now on, as long as somebody waits.
    pub(super) fn arm_for_all(&self, fd: c_int) -> Res<()> {
        let Some(poller) = self.poller() else { return Ok(()) };
        let arm = |file: &mut Watched| {
            if file.armed == Armed::Always || !file.is_registered() {
                return Ok(());
            }
            file.armed = Armed::Always;
            poller.arm(fd, file.interest(), false)
        };
        self.change(fd, arm).unwrap_or(Ok(())).map_err(|errno| raise_os_error(errno.0))
    }
}

impl LoopObject {
    /// Has the entry queued once when the file is ready. Who waited for the same before is stopped, as with asyncio.
    pub(crate) fn wait_once(&self, fd: c_int, direction: Direction, watcher: Entry) -> Res<()> {
        let poller = self.own_poller().ok_or_else(loop_is_closed)?;
        match self.watchers.wait_once(&poller, fd, direction, watcher)? {
            Some(before) => before.stop(),
            None => Ok(()),
        }
    }

    /// Does the entry's target still wait for the file, now that the entry runs? Another may by now, or nobody.
    #[inline]
    pub(crate) fn is_waiting(&self, fd: c_int, direction: Direction, target: &Object) -> bool {
        self.watchers.is_waiting(fd, direction, target)
    }

    /// The file was not ready, after all: has the entry queued once more.
    pub(crate) fn wait_again(&self, fd: c_int) -> Res<()> {
        self.watchers.poller().map_or(Ok(()), |poller| self.watchers.wait_again(&poller, fd))
    }

    /// The target waits no longer, if it still does.
    #[inline]
    pub(crate) fn stop_waiting(&self, fd: c_int, direction: Direction, target: &Object) {
        if let Some(poller) = self.watchers.poller() {
            self.watchers.stop_waiting(&poller, fd, direction, target);
        }
    }
}
