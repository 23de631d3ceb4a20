//! Waiting with Linux's epoll, level-triggered: a descriptor is reported for as long as it is ready, as asyncio's
//! selectors do.
//!
//! By `rustix`, a thin safe layer: of the portable crates, `mio` is edge-triggered only, and `polling` takes four system
//! calls more for each wait and reports urgent data, on which an asyncio program would spin.

use std::cell::Cell;
use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::{read, write};

use super::doorbell::Doorbell;
use super::{Errno, Event, Interest, Policy, Woken};

/// What the waker's events carry in the place of a descriptor.
const WAKER: u64 = u64::MAX;

/// Waits for file descriptors; another thread can wake it up.
///
/// [`Poller::wait`] and [`Poller::wake`] may run in any thread, and touch nothing but the two descriptors; the cells are
/// for those who hold the GIL.
pub(crate) struct Poller {
    epoll: OwnedFd,
    waker: OwnedFd,
    /// How many descriptors there are, the waker among them.
    registered: Cell<usize>,
    /// Memory for what a wait finds, while nobody has it.
    spare: Cell<Events>,
    /// Says whether it is worth while to look at the descriptors.
    bell: Doorbell,
    /// How often somebody has looked.
    looks: Cell<u64>,
}

/// What a wait has found, in the system's order.
#[derive(Default)]
pub(crate) struct Events(Vec<epoll::Event>);

impl Events {
    /// The descriptors that are ready.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Event> {
        self.0.iter().filter_map(|event| {
            let (key, flags) = (event.data.u64(), event.flags);
            if key == WAKER {
                return None;
            }
            // An error or a hang-up is for the reader as well as for the writer to find.
            let ready =
                Interest { readable: flags.intersects(!EventFlags::OUT), writable: flags.intersects(!EventFlags::IN) };
            Some(Event { fd: c_int::try_from(key).expect("a descriptor that was added"), ready })
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<rustix::io::Errno> for Errno {
    fn from(errno: rustix::io::Errno) -> Self {
        Errno(errno.raw_os_error())
    }
}

fn flags(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, interest.readable);
    flags.set(EventFlags::OUT, interest.writable);
    flags
}

/// A descriptor that Python code gave us.
#[expect(unsafe_code, reason = "a descriptor that Python code owns")]
fn borrowed<'a>(fd: c_int) -> BorrowedFd<'a> {
    debug_assert!(fd >= 0);
    // SAFETY: not negative (checked by the table of files). It need not be open: nothing but epoll's own call sees it,
    // and answers with an error then.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

impl Poller {
    pub(crate) fn new(policy: Policy) -> Result<Poller, Errno> {
        let poller = Poller {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            waker: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            registered: Cell::new(1),
            spare: Cell::default(),
            bell: Doorbell::new(policy)?,
            looks: Cell::new(0),
        };
        epoll::add(&poller.epoll, &poller.waker, EventData::new_u64(WAKER), EventFlags::IN)?;
        Ok(poller)
    }

    /// The poller's own descriptor, which is readable when a descriptor is ready.
    pub(crate) fn fileno(&self) -> c_int {
        self.epoll.as_raw_fd()
    }

    pub(crate) fn add(&self, fd: c_int, interest: Interest) -> Result<(), Errno> {
        epoll::add(&self.epoll, borrowed(fd), data(fd), flags(interest))?;
        self.registered.set(self.registered.get() + 1);
        Ok(())
    }

    /// Like [`Poller::add`], for one event: from then on it is known, but not reported, until it is armed again.
    pub(crate) fn add_once(&self, fd: c_int, interest: Interest) -> Result<(), Errno> {
        epoll::add(&self.epoll, borrowed(fd), data(fd), flags(interest) | EventFlags::ONESHOT)?;
        self.registered.set(self.registered.get() + 1);
        Ok(())
    }

    /// Arms one that was added for one event: for another, or for all that come. The number may have become another
    /// file's since, which the poller does not know.
    pub(crate) fn arm(&self, fd: c_int, interest: Interest, once: bool) -> Result<(), Errno> {
        let mut flags = flags(interest);
        flags.set(EventFlags::ONESHOT, once);
        match epoll::modify(&self.epoll, borrowed(fd), data(fd), flags) {
            Err(rustix::io::Errno::NOENT) => Ok(epoll::add(&self.epoll, borrowed(fd), data(fd), flags)?),
            armed => Ok(armed?),
        }
    }

    pub(crate) fn modify(&self, fd: c_int, interest: Interest) -> Result<(), Errno> {
        Ok(epoll::modify(&self.epoll, borrowed(fd), data(fd), flags(interest))?)
    }

    /// Of one that was added. That the descriptor is closed already, and so gone, is no error.
    pub(crate) fn remove(&self, fd: c_int) {
        self.registered.set(self.registered.get() - 1);
        let _ = epoll::delete(&self.epoll, borrowed(fd));
    }

    /// Would a look find nothing that the last one has not found?
    #[inline]
    pub(crate) fn is_silent(&self) -> bool {
        self.bell.is_silent()
    }

    /// How often somebody has looked.
    pub(crate) fn looks(&self) -> u64 {
        self.looks.get()
    }

    /// A look at the descriptors begins, in a loop that `is_busy` and so will look again soon. Gives memory for a wait,
    /// with room for all that can be ready at once: one wait sees as much as one of asyncio's selectors. `None` if there
    /// is no memory.
    #[inline]
    pub(crate) fn begin_look(&self, is_busy: bool) -> Option<Events> {
        self.looks.set(self.looks.get() + 1);
        self.bell.before_look(self.epoll.as_fd(), is_busy);
        let mut events = self.spare.take();
        events.0.clear();
        events.0.try_reserve(self.registered.get()).is_ok().then_some(events)
    }

    /// The look is over; keeps the memory for the next one.
    #[inline]
    pub(crate) fn end_look(&self, woken: Result<Woken, Errno>, events: Events) {
        self.bell.after_look(woken == Ok(Woken::Normally) && events.is_empty());
        self.spare.set(events);
    }

    /// Waits until a descriptor is ready, somebody calls [`Poller::wake`], a signal comes, or the time (in
    /// milliseconds; `None` is for ever) is over. `events`, which was lent by this poller, has then what is ready.
    pub(crate) fn wait(&self, milliseconds: Option<i32>, events: &mut Events) -> Result<Woken, Errno> {
        let timeout =
            milliseconds.map(|ms| Timespec { tv_sec: i64::from(ms / 1000), tv_nsec: i64::from(ms % 1000) * 1_000_000 });
        events.0.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut events.0), timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Woken::BySignal),
            Err(errno) => return Err(errno.into()),
        }
        if events.0.iter().any(|event| event.data.u64() == WAKER) {
            let _ = read(&self.waker, &mut [0; 8]);
        }
        Ok(Woken::Normally)
    }

    /// Makes the present wait, or the next one, end. From any thread.
    pub(crate) fn wake(&self) {
        // It fails only when the counter is full, and then the waker is ready anyway.
        let _ = write(&self.waker, &1_u64.to_ne_bytes());
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        let waker = &self.waker;
        self.bell.close(|| {
            let _ = write(waker, &1_u64.to_ne_bytes());
        });
    }
}

fn data(fd: c_int) -> EventData {
    EventData::new_u64(u64::from(fd.unsigned_abs()))
}
