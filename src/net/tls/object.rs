//! The memory of the transport that a program with TLS gets, and its type.
//!
//! First come the slots of `asyncio.transports._FlowControlMixin`, then what `_SSLProtocolTransport` has as attributes,
//! which Python code reads and sets. The rest is set once, by `_link`, before anybody has the transport; it is let go of
//! with the `SSLProtocol`, when Python code sets that attribute to something else. `checked` is `protocol.rs`'s.

use std::cell::Cell;
use std::mem::offset_of;

use crate::sys::life::{Life, object};
use crate::sys::typeobj::StaticType;
use crate::sys::{Field, Object};

use super::super::base::BaseObject;

object! {
    pub(in crate::net) struct TlsObject: TYPE {
        head: Object,
        pub(super) extra: Field,
        pub(super) high_water: Field,
        pub(super) event_loop: Field,
        pub(super) low_water: Field,
        pub(super) protocol_paused: Field,
        /// asyncio's `SSLProtocol`.
        pub(super) ssl_protocol: Field,
        /// Its `ssl.SSLObject`, the `_ssl._SSLSocket` of that, and the two `ssl.MemoryBIO`s.
        pub(super) ssl_object: Field,
        pub(super) socket: Field,
        pub(super) incoming: Field,
        pub(super) outgoing: Field,
        /// The `ssl.SSLContext` that was asked whether it reports anything: no other is used directly.
        pub(super) context: Field,
        /// With as many attributes the protocol had none that hides a method; less one.
        pub(super) checked: Cell<usize>,
        pub(super) closed: Cell<bool>,
        /// By the library's functions; else by `_ssl`'s methods.
        pub(super) is_direct: Cell<bool>,
    }
}

impl Life for TlsObject {}

pub(super) static TYPE: StaticType<TlsObject> = StaticType::new();

// It begins as all transports do; where their slots are is checked when the type is made.
const _: () = assert!(
    offset_of!(TlsObject, ssl_protocol) == offset_of!(BaseObject, sock)
        && offset_of!(TlsObject, event_loop) == offset_of!(BaseObject, event_loop)
);

impl TlsObject {
    /// Lets go of what it has of the connection.
    pub(super) fn unlink(&self) {
        let all = [&self.ssl_object, &self.socket, &self.incoming, &self.outgoing, &self.context];
        all.into_iter().for_each(Field::clear);
    }
}
