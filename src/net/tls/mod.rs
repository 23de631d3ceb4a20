//! TLS, as asyncio has it: `SSLProtocol` and the transport that it gives to the program, over a real `ssl.SSLObject`.
//!
//! How a connection starts, how it is lost, and whatever goes wrong are asyncio's own Python code. What is here is what
//! happens for all that comes: hands are shaken ([`handshake`]); ciphertext becomes plaintext for the program's protocol
//! ([`reading`]), what the program writes becomes ciphertext for the transport beneath ([`writing`]); the ends are told
//! of each other's ([`shutdown`]). All state stays where asyncio has it, in the attributes of the `SSLProtocol`
//! ([`protocol`]) and in the two `MemoryBIO`s, and is looked up there each time, so that Python code may take over, and
//! hand back, between any two calls.
//!
//! The [`engine`] knows no sockets. By one of two routes it moves bytes between the BIOs and the program: `openssl` calls
//! the library that `_ssl` has mapped; `memorybio` calls the methods of `_ssl`'s objects.
//!
//! Each native function asks first whether asyncio's own would do just that ([`protocol::native`]); else it calls that
//! one. Any call of the program's protocol may close, abort, pause or write, or run another loop: so nothing is
//! remembered across one, and no cell is borrowed.

mod attributes;
mod engine;
mod handshake;
mod known;
mod methods;
mod object;
mod protocol;
mod reading;
mod shutdown;
mod writing;

use crate::sys::Object;
use crate::sys::slots::{Method, one, positional};

pub(super) use known::{is_ssl_protocol, link};
pub(super) use object::TlsObject;
pub(super) use protocol::{Native, native};
pub(super) use reading::{receive, received};
pub(super) use writing::{Handed, register};

/// What the module has of it, for `_tls.py`.
pub(super) fn functions() -> [Method; 4] {
    [
        one!(
            Object,
            c"_tls_transport_core",
            methods::make_type,
            c"_tls_transport_core($module, flow_control, /)\n--\n\nMake the native half of TLS's transport."
        ),
        one!(
            Object,
            c"_adopt_tls_transport_class",
            methods::adopt_class,
            c"_adopt_tls_transport_class($module, cls, /)\n--\n\nGive the class the native methods as its own."
        ),
        positional!(
            Object,
            c"_ask_about_tls",
            known::ask,
            c"_ask_about_tls($module, about_tls, link, ssl_protocol, states, binds_timeouts, errors, /, *watched)\n--\n\n\
              Say who knows what was replaced, who makes a transport, and what asyncio's objects are."
        ),
        positional!(
            Object,
            c"_know_openssl",
            known::know_openssl,
            c"_know_openssl($module, path, socket, context, incoming, outgoing, /)\n--\n\n\
              Tell whether native code can look into such objects of _ssl, whose file that is."
        ),
    ]
}
