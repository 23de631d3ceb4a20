//! The memory of a reading transport, its type, and the kind of transport that it is.
//!
//! It begins as that of all transports, without what flow control has: the water marks stay unset, and `event_loop` is an
//! attribute of ours. Besides,
//!
//! * `pipe`, `owner`: `end.rs`.
//! * `expected`, `parts`: `reading.rs`.

use std::cell::Cell;
use std::ops::Deref;

use crate::job::Job;
use crate::names::{ADD_READER, IS_READING, MAX_SIZE, Name, READ_READY};
use crate::sys::attached::Attached;
use crate::sys::life::{Life, object};
use crate::sys::typeobj::StaticType;
use crate::sys::{Field, Type};

use super::super::base::{BaseObject, Receives, Transport};
use super::end::End;
use super::reading;

object! {
    pub(in crate::net) struct ReadPipeObject: TYPE {
        base: BaseObject,
        pub(super) pipe: Field,
        pub(super) owner: Field,
        /// How many bytes are likely to come at once.
        pub(super) expected: Cell<i32>,
        /// Whether it may be read into several pieces of memory: more than nothing, or less; nothing is "not asked yet".
        pub(super) parts: Cell<i32>,
    }
}

impl Life for ReadPipeObject {}

pub(super) static TYPE: StaticType<ReadPipeObject> = StaticType::new();

impl Deref for ReadPipeObject {
    type Target = BaseObject;

    #[inline]
    fn deref(&self) -> &BaseObject {
        &self.base
    }
}

static CLASS: Attached<Cell<Option<&'static Type>>> = Attached::new(Cell::new(None));

impl Transport for ReadPipeObject {
    const PASSED_OVER: &'static [&'static Name] = &[&ADD_READER, &IS_READING, &MAX_SIZE, &READ_READY];

    fn instances() -> &'static Attached<Cell<Option<&'static Type>>> {
        &CLASS
    }

    #[inline]
    fn has_all(&self) -> bool {
        self.owner.is_set()
    }
}

impl Receives for ReadPipeObject {
    const READ: &'static Job = &reading::READ;
}

impl End for ReadPipeObject {
    fn pipe(&self) -> &Field {
        &self.pipe
    }

    #[inline]
    fn owner(&self) -> &Field {
        &self.owner
    }
}
