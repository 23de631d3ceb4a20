//! `loop.sock_recv`, `sock_sendall` and their kin.
//!
//! What a program calls are coroutine functions of the loop's Python half (`python/rasyncio/_loop.py`), so that what they
//! return is a coroutine in every respect. Each asks the method here that begins with `_try_`, which answers
//!
//! * `False`: this is not for native code; asyncio's own method does it. So it is on a loop that is closed, in debug mode,
//!   with a selector of Python's, or with anything replaced that asyncio's code would call; and with a socket that is not
//!   exactly a `socket.socket` as it was made (one of TLS, of gevent, a mock), or arguments that asyncio refuses or that
//!   are rare.
//! * the result, if there was something to receive, or room to send, at once;
//! * else an operation ([`operation`]) that waits for the file, to be awaited.
//!
//! As with asyncio, it is in the callback of the loop that the operation is tried again: the bytes are out of the socket,
//! or in it, before the task runs that awaits them. A descriptor is looked up in the socket at each try, so that what
//! waits for a socket that was closed meanwhile never reads from, or writes to, another that has its number.

mod attempt;
mod methods;
mod operation;
mod python_socket;

pub(crate) use methods::methods;
pub(crate) use operation::init;
pub(super) use python_socket::usable;
