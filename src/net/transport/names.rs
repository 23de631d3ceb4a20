//! `transport._extra`: the socket, its own name and its peer's, for `get_extra_info()`.
//!
//! asyncio puts all three there when the transport is made. A peer's name comes with the connection that was accepted, and
//! is put there too. The object for the socket, and the tuple of an internet address, are made when somebody asks; the
//! address itself was asked for in time.

use crate::names::{GETPEERNAME, GETSOCKNAME, Name, PEERNAME, SOCKET, SOCKNAME};
use crate::sys::error::{Builtin, raised_is};
use crate::sys::lazy::Lazy;
use crate::sys::object::none;
use crate::sys::{Layout, Object, Owned, Res, call, containers, raised, sockets};

use super::object::TransportObject;

static TRANSPORT_SOCKET: Lazy = Lazy::new("asyncio.trsock", "TransportSocket");

/// Asks what the names are, of a new transport's socket with that descriptor.
pub(super) fn ask(transport: &TransportObject, sock: &Object, fd: i32) -> Res<()> {
    let extra = transport.extra.get_or_none();
    if containers::contains(&extra, PEERNAME.object())? {
        if let Some(own_name) = sockets::internet_name(fd) {
            transport.own_name.set(own_name);
            transport.untold.set(sock.own());
            return Ok(());
        }
    }
    containers::set_item(&extra, SOCKET.object(), &*call::call1(TRANSPORT_SOCKET.get()?, sock)?)?;
    containers::set_item(&extra, SOCKNAME.object(), &*name(sock, &GETSOCKNAME)?)?;
    if containers::contains(&extra, PEERNAME.object())? {
        return Ok(());
    }
    containers::set_item(&extra, PEERNAME.object(), &*name(sock, &GETPEERNAME)?)
}

/// `sock.getsockname()` and its like; `None` if the system has none to tell.
fn name(sock: &Object, method: &Name) -> Res<Owned> {
    match call::call_method(method, &[sock], None) {
        Err(_) if raised_is(Builtin::OSError.class()) => {
            raised::clear();
            Ok(none().own())
        }
        named => named,
    }
}

/// Makes what is in `_extra`, for whoever looks.
#[inline]
pub(super) fn tell(transport: &TransportObject) -> Res<()> {
    if transport.untold.is_set() { tell_now(transport) } else { Ok(()) }
}

#[cold]
fn tell_now(transport: &TransportObject) -> Res<()> {
    let sock = transport.untold.get_or_none();
    let shown = call::call1(TRANSPORT_SOCKET.get()?, &sock)?;
    let own_name = transport.own_name.get().to_tuple()?;
    // All of that has run Python code, perhaps.
    if transport.untold.is_set() {
        let extra = transport.extra.get_or_none();
        containers::set_item(&extra, SOCKET.object(), &shown)?;
        containers::set_item(&extra, SOCKNAME.object(), &own_name)?;
        transport.untold.clear();
    }
    Ok(())
}
