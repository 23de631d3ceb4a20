//! What listens: accepting connections.
//!
//! A server's listening sockets are watched by an [`acceptor`]. For each event it accepts as many connections as asyncio's
//! own `_accept_connection` would ([`accepting`]), and makes of each what that makes: the coroutine
//! `_accept_connection2`, in a task; from 3.12 on that is grafted ([`connection`]). All that comes then is the transports'
//! ([`super::transport`]).
//!
//! Where something was replaced that this passes over, or in debug mode, asyncio's own `_accept_connection` is called,
//! with the arguments that it was to be called with.

mod accepting;
mod acceptor;
mod attached;
#[cfg(Py_3_12)]
mod connection;

pub(crate) use acceptor::{init, methods};
pub(super) use attached::{attach, detach};
#[cfg(Py_3_12)]
pub(crate) use connection::ACCEPT_CONNECTION;
