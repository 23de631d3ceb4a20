//! The kind of transport that this is.

use std::cell::Cell;

use crate::job::Job;
use crate::names::{
    ADD_READER, CALL_CONNECTION_LOST, CLOSE, GET_WRITE_BUFFER_SIZE, IS_CLOSING, IS_READING, MAX_SIZE,
    MAYBE_PAUSE_PROTOCOL, MAYBE_RESUME_PROTOCOL, Name, PAUSE_READING, READ_READY, READ_READY_BUFFERED, READ_READY_DATA,
    READ_READY_EOF, RESUME_READING, WRITE, WRITE_READY, WRITE_SENDMSG, WRITELINES,
};
use crate::sys::attached::Attached;
use crate::sys::{Res, Type};
use crate::versions;

use super::super::base::{Receives, Transport};
use super::object::TransportObject;
use super::{exposed, names, reading, writing};

static CLASS: Attached<Cell<Option<&'static Type>>> = Attached::new(Cell::new(None));

/// The method that the writer is.
pub(super) const WRITER: &Name = if versions::SENDS_FROM_BYTEARRAY { &WRITE_READY } else { &WRITE_SENDMSG };

impl Transport for TransportObject {
    const PASSED_OVER: &'static [&'static Name] = &[
        &ADD_READER,
        &CALL_CONNECTION_LOST,
        &CLOSE,
        &GET_WRITE_BUFFER_SIZE,
        &IS_CLOSING,
        &IS_READING,
        &MAX_SIZE,
        &MAYBE_PAUSE_PROTOCOL,
        &MAYBE_RESUME_PROTOCOL,
        &PAUSE_READING,
        &READ_READY,
        &READ_READY_BUFFERED,
        &READ_READY_DATA,
        &READ_READY_EOF,
        &RESUME_READING,
        &WRITE,
        WRITER,
        &WRITELINES,
    ];

    fn instances() -> &'static Attached<Cell<Option<&'static Type>>> {
        &CLASS
    }

    #[inline]
    fn finish(&self) -> Res<()> {
        writing::finish(self)
    }

    #[inline]
    fn tell_names(&self) -> Res<()> {
        names::tell(self)
    }

    #[inline]
    fn has_all(&self) -> bool {
        exposed::taken_back(self)
    }
}

impl Receives for TransportObject {
    const READ: &'static Job = &reading::READ;
}
