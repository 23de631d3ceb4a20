//! The transport of datagrams, UDP's or Unix's.
//!
//! `DatagramTransport` (in `python/rasyncio/_transports.py`) derives from this module's type and from asyncio's own
//! `_SelectorDatagramTransport`. What happens for each datagram is here: receiving it ([`reading`]), sending it
//! ([`writing`]). All the rest is asyncio's, and works on the same object, for its private attributes are ours.
//!
//! Any call of the protocol's may close, abort, pause or send by the transport, or run another loop. So nothing of the
//! transport is remembered across one.

mod attributes;
mod methods;
mod native;
mod object;
mod reading;
mod writing;

use crate::sys::Object;
use crate::sys::slots::{Method, one};

/// What the module has of it, for `_transports.py`.
pub(super) fn functions() -> [Method; 2] {
    [
        one!(
            Object,
            c"_datagram_transport_core",
            methods::make_type,
            c"_datagram_transport_core($module, flow_control, /)\n--\n\nMake the native half of datagrams' transport."
        ),
        one!(
            Object,
            c"_adopt_datagram_transport_class",
            methods::adopt_class,
            c"_adopt_datagram_transport_class($module, cls, /)\n--\n\nGive the class the native methods as its own."
        ),
    ]
}
