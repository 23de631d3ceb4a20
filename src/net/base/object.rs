//! How the memory of each transport begins.
//!
//! First come the slots of `asyncio.transports._FlowControlMixin`, which Python code reads and writes at any time. (Of a
//! transport without flow control, all but the first stay as they were made, and the kind has `_loop`.)
//! Behind them is what `_SelectorTransport` has as attributes; Python code reads and sets these through
//! [`attributes`](super::attributes), and so may change any of them whenever it runs. Besides,
//!
//! * `sock`, `server`, `context`: asyncio's own functions alone.
//! * `reader`, `writer`: `watching.rs`.
//! * `protocol`, `protocol_connected`, `closing`, `conn_lost`, `paused`: asyncio's own functions, and the kinds'.
//! * `patched`: when an attribute is set that hides a method; for good.

use std::cell::Cell;
use std::mem::offset_of;

use crate::names::{EXTRA, HIGH_WATER, LOW_WATER, Name, PRIVATE_LOOP, PROTOCOL_PAUSED};
use crate::sys::life::object;
use crate::sys::{Field, Object, Type, containers, sockets};

object! {
    pub(in crate::net) struct BaseObject: any of [] {
        head: Object,
        pub(in crate::net) extra: Field,
        pub(in crate::net) high_water: Field,
        pub(in crate::net) event_loop: Field,
        pub(in crate::net) low_water: Field,
        pub(in crate::net) protocol_paused: Field,
        pub(in crate::net) sock: Field,
        pub(in crate::net) protocol: Field,
        pub(in crate::net) server: Field,
        /// The context that callbacks run in, if it was given.
        pub(in crate::net) context: Field,
        /// Tells the present reader, and the present writer, of the loop's from those before.
        pub(super) reader: Field,
        pub(super) writer: Field,
        pub(in crate::net) fd: Cell<i32>,
        pub(in crate::net) conn_lost: Cell<i32>,
        pub(in crate::net) protocol_connected: Cell<bool>,
        pub(in crate::net) closing: Cell<bool>,
        pub(in crate::net) paused: Cell<bool>,
        pub(in crate::net) patched: Cell<bool>,
    }
}

impl BaseObject {
    /// The descriptor, if the socket is still the one, and open.
    #[inline]
    pub(in crate::net) fn descriptor(&self) -> Option<i32> {
        let socket = self.sock.get()?;
        sockets::descriptor(&socket).filter(|&fd| fd >= 0 && fd == self.fd.get())
    }

    /// The high water mark, or nothing if it is no number that we know.
    #[inline]
    pub(in crate::net) fn high_mark(&self) -> usize {
        #[cfg(Py_3_12)]
        let mark = self.high_water.small_int().or_else(|| self.any_high_mark());
        #[cfg(not(Py_3_12))]
        let mark = self.any_high_mark();
        mark.and_then(|mark| usize::try_from(mark).ok()).unwrap_or(0)
    }

    #[cfg_attr(Py_3_12, cold)]
    #[inline(never)]
    fn any_high_mark(&self) -> Option<i64> {
        let mark = self.high_water.get().filter(|mark| containers::is_exact_int(mark));
        mark.and_then(|mark| containers::int_clamped(&mark).ok())
    }

    pub(in crate::net) fn is_reading(&self) -> bool {
        !self.closing.get() && !self.paused.get()
    }

    /// Does anything wait for the descriptor to be writable?
    #[inline]
    pub(in crate::net) fn has_writer(&self) -> bool {
        self.writer.is_set()
    }
}

/// Is it `asyncio.transports._FlowControlMixin`, with its slots where the struct has them?
pub(super) fn has_slots(class: &Type) -> bool {
    let slots: [(&Name, usize); 4] = [
        (&HIGH_WATER, offset_of!(BaseObject, high_water)),
        (&PRIVATE_LOOP, offset_of!(BaseObject, event_loop)),
        (&LOW_WATER, offset_of!(BaseObject, low_water)),
        (&PROTOCOL_PAUSED, offset_of!(BaseObject, protocol_paused)),
    ];
    class.basic_size() == offset_of!(BaseObject, sock)
        && slots.into_iter().all(|(name, place)| class.slot_offset(name) == Some(place))
        && inherits_extra(class)
}

/// Is it one of asyncio's classes that have nothing but `_extra`, as `asyncio.ReadTransport`?
pub(super) fn has_extra(class: &Type) -> bool {
    class.basic_size() == offset_of!(BaseObject, high_water) && inherits_extra(class)
}

fn inherits_extra(class: &Type) -> bool {
    class.ancestors().iter().any(|base| base.slot_offset(&EXTRA) == Some(offset_of!(BaseObject, extra)))
}
