//! epoll, level-triggered, where an event says its descriptor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::Timespec;

/// Events that a wait may bring.
const EVENTS: usize = 256;

pub struct Poll {
    epoll: OwnedFd,
    patience: Option<Timespec>,
}

impl Poll {
    /// One that waits for so long, or for ever.
    ///
    /// # Errors
    /// The system has no descriptor left; the time is beyond what it knows.
    pub fn new(patience: Option<Duration>) -> io::Result<Self> {
        let patience = patience.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, patience })
    }

    /// Wait for bytes from a file from now on, until it is closed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add(&self, file: impl AsFd) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, &file, data(&file), EventFlags::IN)?)
    }

    /// Wait for something else.
    ///
    /// # Errors
    /// The kernel's.
    pub fn modify(&self, file: impl AsFd, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, &file, data(&file), flags)?)
    }

    /// Put what happens into `events`, nothing if nothing did within its patience.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(&self, events: &mut Vec<Event>) -> io::Result<()> {
        events.clear();
        events.reserve(EVENTS);
        loop {
            match epoll::wait(&self.epoll, spare_capacity(events), self.patience.as_ref()) {
                Err(Errno::INTR) => (),
                found => return Ok(found.map(drop)?),
            }
        }
    }
}

/// A descriptor as an index, which is small: the kernel gives out the smallest that is free.
#[must_use]
pub fn number(file: impl AsFd) -> usize {
    file.as_fd().as_raw_fd().unsigned_abs() as usize
}

/// The descriptor that an event is about.
#[must_use]
pub fn number_of(event: &Event) -> usize {
    usize::try_from(event.data.u64()).unwrap_or(usize::MAX)
}

fn data(file: impl AsFd) -> EventData {
    EventData::new_u64(number(file) as u64)
}
