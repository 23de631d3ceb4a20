//! The memory of a transport, and its type.
//!
//! It begins with the slots of `asyncio.transports._FlowControlMixin`, which Python code reads and writes at any time.
//! Behind them is what `_SelectorSocketTransport` has as attributes; Python code reads and sets these through
//! `attributes.rs`, and so may change any of them whenever it runs. Besides,
//!
//! * `sock`, `server`, `context`, `empty_waiter`, `write_ready`: asyncio's own functions alone.
//! * `protocol`, `is_buffered`, `protocol_connected`: `methods.rs`.
//! * `queue`, `exposed`, `is_left`, `writer`: `writing.rs`, and `exposed.rs`, which moves what is to be sent.
//! * `reader`, `paused`, `expected`: `reading.rs`.
//! * `closing`, `conn_lost`, `eof`: `closing.rs`.
//! * `patched`: when an attribute is set that hides a method; for good.

use std::cell::Cell;
use std::mem::offset_of;

use crate::names::{EXTRA, HIGH_WATER, LOW_WATER, Name, PRIVATE_LOOP, PROTOCOL_PAUSED};
use crate::sys::life::{Life, object};
use crate::sys::part::Own;
use crate::sys::typeobj::StaticType;
use crate::sys::{Field, Object, Type, sockets};

use super::super::send_queue::SendQueue;

object! {
    pub(crate) struct TransportObject: TYPE {
        head: Object,
        pub(super) extra: Field,
        pub(super) high_water: Field,
        pub(super) event_loop: Field,
        pub(super) low_water: Field,
        pub(super) protocol_paused: Field,
        pub(super) sock: Field,
        pub(super) protocol: Field,
        pub(super) server: Field,
        /// The context that callbacks run in, if it was given.
        pub(super) context: Field,
        pub(super) empty_waiter: Field,
        /// What Python code has set for `_read_ready_cb` and `_write_ready`, if it has.
        pub(super) read_ready_cb: Field,
        pub(super) write_ready: Field,
        /// What is to be sent, while Python code has it.
        pub(super) exposed: Field,
        /// `_buffer_size`, while Python code has the buffer.
        pub(super) exposed_size: Field,
        /// The transport itself, while it has a protocol: as asyncio's, which has methods of its own as attributes, it
        /// does not die before the collector comes, whoever forgets it.
        pub(super) itself: Field,
        /// Tells the present reader, and the present writer, of the loop's from those before.
        pub(super) reader: Field,
        pub(super) writer: Field,
        pub(super) queue: Own<SendQueue>,
        /// How many bytes are likely to come at once.
        pub(super) expected: Cell<i32>,
        pub(super) fd: Cell<i32>,
        pub(super) conn_lost: Cell<i32>,
        pub(super) protocol_connected: Cell<bool>,
        pub(super) is_buffered: Cell<bool>,
        pub(super) closing: Cell<bool>,
        pub(super) paused: Cell<bool>,
        pub(super) eof: Cell<bool>,
        /// What is to be sent will be, after the present step.
        pub(super) is_left: Cell<bool>,
        pub(super) patched: Cell<bool>,
    }
}

impl Life for TransportObject {}

pub(super) static TYPE: StaticType<TransportObject> = StaticType::new();

impl TransportObject {
    /// The descriptor, if the socket is still the one, and open.
    #[inline]
    pub(super) fn descriptor(&self) -> Option<i32> {
        let socket = self.sock.get()?;
        sockets::descriptor(&socket).filter(|&fd| fd >= 0 && fd == self.fd.get())
    }

    pub(super) fn is_reading(&self) -> bool {
        !self.closing.get() && !self.paused.get()
    }

    #[inline]
    pub(super) fn is_exposed(&self) -> bool {
        self.exposed.is_set()
    }
}

/// Is it `asyncio.transports._FlowControlMixin`, with its slots where the struct has them?
pub(super) fn has_slots(class: &Type) -> bool {
    let slots: [(&Name, usize); 4] = [
        (&HIGH_WATER, offset_of!(TransportObject, high_water)),
        (&PRIVATE_LOOP, offset_of!(TransportObject, event_loop)),
        (&LOW_WATER, offset_of!(TransportObject, low_water)),
        (&PROTOCOL_PAUSED, offset_of!(TransportObject, protocol_paused)),
    ];
    let extra = (&EXTRA, offset_of!(TransportObject, extra));
    class.basic_size() == offset_of!(TransportObject, sock)
        && slots.into_iter().all(|(name, place)| class.slot_offset(name) == Some(place))
        && class.ancestors().iter().any(|base| base.slot_offset(extra.0) == Some(extra.1))
}
