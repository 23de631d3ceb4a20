//! Input and output: for now, waiting for file descriptors.
//!
//! [`Poller`] is all that the scheduler knows of it. Where there is none for the platform yet, the event loop goes
//! through a selector of Python's `selectors` instead.

#[cfg(target_os = "linux")]
mod doorbell;
#[cfg(target_os = "linux")]
mod epoll;
#[cfg(not(target_os = "linux"))]
mod unsupported;

#[cfg(target_os = "linux")]
pub(crate) use epoll::{Events, Poller};
#[cfg(not(target_os = "linux"))]
pub(crate) use unsupported::{Events, Poller};

use std::ffi::c_int;

/// A number of the operating system for what went wrong (`errno`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) c_int);

/// Whether the poller has a bell that says, without a system call, when a look at the files is worth while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    Never,
    /// If the system has one to give, and it pays.
    IfItPays,
    /// From the first idle look on; there is no poller without one.
    Always,
}

/// What to wait for on a file descriptor, or what has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interest {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

/// A file descriptor that is ready.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) fd: c_int,
    pub(crate) ready: Interest,
}

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Events, the time, or a call of [`Poller::wake`].
    Normally,
    /// A signal of the operating system.
    BySignal,
}
