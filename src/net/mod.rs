//! Moving bytes: the transports of our own loop, and its `sock_*` methods ([`sock`]).
//!
//! A byte comes in like this: the poller says that a descriptor is readable, the entry that waits for it joins the ready
//! queue ([`crate::event_loop`]), it runs, and the transport receives what there is and hands it to the protocol
//! ([`transport`]). A byte goes out like this: the protocol writes it, it joins the transport's queue of what is to be
//! sent ([`send_queue`]), and when the step that wrote it is over, all of the queue is sent; what the system does not
//! take waits for the descriptor to be writable. With TLS there is a layer in between ([`tls`]).
//!
//! A connection comes in by a listening socket, which is watched like any other descriptor ([`server`]).
//!
//! The types are built on asyncio's own, whose Python code does whatever is not done here, and all of it where a program
//! has replaced something, in debug mode, or on a loop that does not wait natively.

mod base;
mod datagram;
mod pipe;
mod send_queue;
pub(crate) mod server;
pub(crate) mod sock;
mod tls;
pub(crate) mod transport;

use crate::sys::slots::Method;

/// What the module has of them, for `_transports.py`.
pub(crate) fn functions() -> Vec<Method> {
    [&transport::functions()[..], &datagram::functions()[..], &pipe::functions()[..], &tls::functions()[..]].concat()
}
