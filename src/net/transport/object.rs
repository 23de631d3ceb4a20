//! The memory of a stream's transport, and its type.
//!
//! Behind what all transports begin with is what `_SelectorSocketTransport` has as attributes; Python code reads and sets
//! these through `attributes.rs`, and so may change any of them whenever it runs. Besides,
//!
//! * `empty_waiter`, `write_ready`: asyncio's own functions alone.
//! * `is_buffered`, `itself`, `tls`: `methods.rs`, with the protocol.
//! * `queue`, `exposed`, `is_left`: `writing.rs`, and `exposed.rs`, which moves what is to be sent.
//! * `read_ready_cb`, `expected`: `reading.rs`.
//! * `untold`, `own_name`: `names.rs`.
//! * `eof`: `writing.rs`.
//! * `writer_is_forgotten`: `closing.rs`.

use std::cell::Cell;
use std::ops::Deref;

use crate::sys::Field;
use crate::sys::addresses::InternetAddress;
use crate::sys::life::{Life, object};
use crate::sys::part::Own;
use crate::sys::typeobj::StaticType;

use super::super::base::BaseObject;
use super::super::send_queue::SendQueue;
use super::super::tls::TlsObject;

object! {
    pub(in crate::net) struct TransportObject: TYPE {
        base: BaseObject,
        pub(super) empty_waiter: Field,
        /// What was set for `_read_ready_cb` and `_write_ready`; the usual if nothing was. (None for the first says that
        /// the reader is forgotten.)
        pub(super) read_ready_cb: Field,
        pub(super) write_ready: Field,
        /// What is to be sent, while Python code has it.
        pub(super) exposed: Field,
        /// `_buffer_size`, while Python code has the buffer.
        pub(super) exposed_size: Field,
        /// The transport itself, while it has a protocol: as asyncio's, which has methods of its own as attributes, it
        /// does not die before the collector comes, whoever forgets it.
        pub(super) itself: Field,
        /// The socket, as long as it and its name are not in `extra`.
        pub(super) untold: Field,
        pub(super) own_name: Cell<InternetAddress>,
        /// What the program has of TLS, if the protocol is asyncio's for it.
        pub(super) tls: Field<TlsObject>,
        pub(super) queue: Own<SendQueue>,
        /// How many bytes are likely to come at once.
        pub(super) expected: Cell<i32>,
        pub(super) is_buffered: Cell<bool>,
        pub(super) eof: Cell<bool>,
        /// `_write_ready` is None: asyncio's own transport does not know any more what it would call to write at once.
        pub(super) writer_is_forgotten: Cell<bool>,
        /// What is to be sent will be, after the present step.
        pub(super) is_left: Cell<bool>,
    }
}

impl Life for TransportObject {}

pub(super) static TYPE: StaticType<TransportObject> = StaticType::new();

impl Deref for TransportObject {
    type Target = BaseObject;

    #[inline]
    fn deref(&self) -> &BaseObject {
        &self.base
    }
}

impl TransportObject {
    #[inline]
    pub(super) fn is_exposed(&self) -> bool {
        self.exposed.is_set()
    }
}
