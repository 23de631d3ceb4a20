//! Platforms without a native poller yet: making one fails.

use std::ffi::c_int;

use super::{Errno, Event, Interest, Policy, Woken};

/// Cannot be made.
pub(crate) enum Poller {}

/// Cannot be had.
pub(crate) enum Events {}

impl Events {
    pub(crate) fn iter(&self) -> std::iter::Empty<Event> {
        match *self {}
    }

    pub(crate) fn is_empty(&self) -> bool {
        match *self {}
    }
}

impl Poller {
    pub(crate) fn new(_: Policy) -> Result<Poller, Errno> {
        Err(Errno(rustix::io::Errno::NOSYS.raw_os_error()))
    }

    pub(crate) fn fileno(&self) -> c_int {
        match *self {}
    }

    pub(crate) fn add(&self, _: c_int, _: Interest) -> Result<(), Errno> {
        match *self {}
    }

    pub(crate) fn add_once(&self, _: c_int, _: Interest) -> Result<(), Errno> {
        match *self {}
    }

    pub(crate) fn arm(&self, _: c_int, _: Interest, _: bool) -> Result<(), Errno> {
        match *self {}
    }

    pub(crate) fn modify(&self, _: c_int, _: Interest) -> Result<(), Errno> {
        match *self {}
    }

    pub(crate) fn remove(&self, _: c_int) {
        match *self {}
    }

    pub(crate) fn is_silent(&self) -> bool {
        match *self {}
    }

    pub(crate) fn looks(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn begin_look(&self, _: bool) -> Option<Events> {
        match *self {}
    }

    pub(crate) fn end_look(&self, _: Result<Woken, Errno>, _: Events) {
        match *self {}
    }

    pub(crate) fn wait(&self, _: Option<i32>, _: &mut Events) -> Result<Woken, Errno> {
        match *self {}
    }

    pub(crate) fn wake(&self) {
        match *self {}
    }
}
