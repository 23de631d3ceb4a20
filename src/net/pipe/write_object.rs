//! The memory of a writing transport, its type, and the kind of transport that it is.
//!
//! It begins as that of all transports. Besides,
//!
//! * `pipe`, `owner`: `end.rs`.
//! * `buffer`: the bytearray of what has to wait, which asyncio's own functions and `writing.rs` fill and empty alike,
//!   and anybody may look into.

use std::cell::Cell;
use std::ops::Deref;

use crate::names::{GET_WRITE_BUFFER_SIZE, MAYBE_PAUSE_PROTOCOL, MAYBE_RESUME_PROTOCOL, Name, WRITE_READY};
use crate::sys::attached::Attached;
use crate::sys::life::{Life, object};
use crate::sys::typeobj::StaticType;
use crate::sys::{Field, Type};

use super::super::base::{BaseObject, Transport};
use super::end::End;

object! {
    pub(in crate::net) struct WritePipeObject: TYPE {
        base: BaseObject,
        pub(super) pipe: Field,
        pub(super) owner: Field,
        pub(super) buffer: Field,
    }
}

impl Life for WritePipeObject {}

pub(super) static TYPE: StaticType<WritePipeObject> = StaticType::new();

impl Deref for WritePipeObject {
    type Target = BaseObject;

    #[inline]
    fn deref(&self) -> &BaseObject {
        &self.base
    }
}

static CLASS: Attached<Cell<Option<&'static Type>>> = Attached::new(Cell::new(None));

impl Transport for WritePipeObject {
    const PASSED_OVER: &'static [&'static Name] =
        &[&GET_WRITE_BUFFER_SIZE, &MAYBE_PAUSE_PROTOCOL, &MAYBE_RESUME_PROTOCOL, &WRITE_READY];

    fn instances() -> &'static Attached<Cell<Option<&'static Type>>> {
        &CLASS
    }

    #[inline]
    fn has_all(&self) -> bool {
        self.owner.is_set()
    }
}

impl End for WritePipeObject {
    fn pipe(&self) -> &Field {
        &self.pipe
    }

    #[inline]
    fn owner(&self) -> &Field {
        &self.owner
    }
}
