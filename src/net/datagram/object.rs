//! The memory of a transport of datagrams, and its type.
//!
//! Behind what all transports begin with is what `_SelectorDatagramTransport` has as attributes, which Python code reads
//! and sets. Besides,
//!
//! * `address`: asyncio's own functions alone.
//! * `buffer`, a deque of what has to wait, and `buffer_size`: `writing.rs`.
//! * `source`, `source_tuple`, `skips`: `reading.rs`. The tuple is one that was made of that address and is the
//!   protocol's, too; it is never changed.
//! * `family`: the first who asks for it.

use std::cell::Cell;
use std::ops::Deref;

use crate::sys::addresses::InternetAddress;
use crate::sys::life::{Life, object};
use crate::sys::typeobj::StaticType;
use crate::sys::{Field, Object, sockets};

use super::super::base::BaseObject;

object! {
    pub(in crate::net) struct DatagramObject: TYPE {
        base: BaseObject,
        pub(super) address: Field,
        pub(super) buffer: Field,
        pub(super) buffer_size: Field,
        /// Where the last datagram has come from, as a tuple.
        pub(super) source_tuple: Field,
        pub(super) source: Cell<InternetAddress>,
        /// That many events are still taken for one datagram each.
        pub(super) skips: Cell<i32>,
        /// The socket's; zero is "not asked yet".
        pub(super) family: Cell<i32>,
    }
}

impl Life for DatagramObject {}

pub(super) static TYPE: StaticType<DatagramObject> = StaticType::new();

impl Deref for DatagramObject {
    type Target = BaseObject;

    #[inline]
    fn deref(&self) -> &BaseObject {
        &self.base
    }
}

impl DatagramObject {
    /// The family of the socket, of this descriptor.
    #[inline]
    pub(super) fn family_of(&self, fd: i32) -> i32 {
        if self.family.get() == 0 {
            self.family.set(sockets::family(fd).unwrap_or(0));
        }
        self.family.get()
    }

    /// The address that the tuple means to the socket, if that is known here.
    #[inline]
    pub(super) fn address_of(&self, fd: i32, tuple: &Object) -> Option<InternetAddress> {
        if self.source_tuple.holds(tuple) {
            return Some(self.source.get());
        }
        InternetAddress::of_tuple(self.family_of(fd), tuple)
    }
}
