//! Platforms without a native poller yet: making one fails.

use std::ffi::c_int;

use super::{Errno, Event, Interest, Woken};

/// Cannot be made.
pub(crate) enum Poller {}

impl Poller {
    pub(crate) fn new() -> Result<Poller, Errno> {
        Err(Errno(rustix::io::Errno::NOSYS.raw_os_error()))
    }

    pub(crate) fn add(&self, _: c_int, _: Interest) -> Result<(), Errno> {
        match *self {}
    }

    pub(crate) fn modify(&self, _: c_int, _: Interest) -> Result<(), Errno> {
        match *self {}
    }

    pub(crate) fn remove(&self, _: c_int) {
        match *self {}
    }

    pub(crate) fn wait(&self, _: Option<i32>, _: impl FnMut(Event)) -> Result<Woken, Errno> {
        match *self {}
    }

    pub(crate) fn wake(&self) {
        match *self {}
    }
}
