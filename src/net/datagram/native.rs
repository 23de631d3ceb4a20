//! The kind of transport that this is.

use std::cell::Cell;

use crate::job::Job;
use crate::names::{ADD_READER, HEADER_SIZE, IS_CLOSING, MAX_SIZE, Name, READ_READY, SENDTO};
use crate::sys::attached::Attached;
use crate::sys::{Type, sockets};

use super::super::base::{Receives, Transport};
use super::object::DatagramObject;
use super::reading;

static CLASS: Attached<Cell<Option<&'static Type>>> = Attached::new(Cell::new(None));

impl Transport for DatagramObject {
    const PASSED_OVER: &'static [&'static Name] =
        &[&ADD_READER, &HEADER_SIZE, &IS_CLOSING, &MAX_SIZE, &READ_READY, &SENDTO];

    fn instances() -> &'static Attached<Cell<Option<&'static Type>>> {
        &CLASS
    }

    #[inline]
    fn has_all(&self) -> bool {
        self.sock.get().is_some_and(|socket| sockets::is_known(&socket))
    }
}

impl Receives for DatagramObject {
    const READ: &'static Job = &reading::READ;
}
