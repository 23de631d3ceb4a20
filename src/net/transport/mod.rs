//! The transport of a connected stream socket, TCP's or Unix's.
//!
//! `SocketTransport` (in `python/rasyncio/_transports.py`) derives from this module's type and from asyncio's own
//! `_SelectorSocketTransport`. What happens for each piece of data is here: receiving it ([`reading`]), sending it
//! ([`writing`]), the end ([`closing`]). All the rest is asyncio's, and works on the same object, for its private
//! attributes are ours ([`attributes`], [`exposed`]). Each native method first asks whether asyncio's own would do just
//! that ([`native`]); else it calls that one.
//!
//! The descriptor belongs to the Python socket, which closes it. The transport looks it up there each time, and never
//! closes it by number.
//!
//! Any call of the protocol's may close, abort, pause or write to the transport, exchange the protocol, or run another
//! loop. So nothing of the transport is remembered across one.

mod attributes;
mod closing;
mod exposed;
mod methods;
mod native;
mod object;
mod reading;
mod writing;

use crate::replaced::ask_about_transports;
use crate::sys::slots::{Method, one, positional};
use crate::sys::{Object, Res, containers, sockets};

/// `_know_sockets(socket, fd)`: are sockets like this one, whose descriptor that is, what we take them for?
fn know_sockets(_module: &Object, arguments: &[&Object]) -> Res<bool> {
    let [socket, fd] = arguments else {
        let class = crate::sys::error::Builtin::TypeError.class();
        return Err(crate::sys::error::raise(class, c"a socket and its descriptor were expected"));
    };
    Ok(i32::try_from(containers::int_clamped(fd)?).is_ok_and(|fd| sockets::know(socket, fd)))
}

/// `_is_known_socket(socket)`
fn is_known_socket(_module: &Object, socket: &Object) -> bool {
    sockets::is_known(socket)
}

/// What the module has of it, for `_transports.py`.
pub(crate) fn functions() -> [Method; 5] {
    [
        one!(
            Object,
            c"_socket_transport_core",
            methods::make_type,
            c"_socket_transport_core($module, flow_control, /)\n--\n\nMake the native half of a socket's transport."
        ),
        one!(
            Object,
            c"_adopt_transport_class",
            methods::adopt_class,
            c"_adopt_transport_class($module, cls, /)\n--\n\nGive the class the native methods as its own."
        ),
        positional!(
            Object,
            c"_know_sockets",
            know_sockets,
            c"_know_sockets($module, sock, fd, /)\n--\n\nTell whether native code can look into such sockets."
        ),
        one!(
            Object,
            c"_is_known_socket",
            is_known_socket,
            c"_is_known_socket($module, sock, /)\n--\n\nTell whether it is one that native code can look into."
        ),
        positional!(
            Object,
            c"_ask_about_transports",
            ask_about_transports,
            c"_ask_about_transports($module, about_transports, /, *watched)\n--\n\nSay who knows what was replaced."
        ),
    ]
}
