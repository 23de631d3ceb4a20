//! The loop's methods that begin an operation: see the module's text.

use std::cell::Cell;
use std::ffi::{CStr, c_int};

use crate::event_loop::{LoopObject, plain};
use crate::names::CREATE_FUTURE;
use crate::sys::bytes::{Buffer, is_plain_view, of_exact, view_from};
use crate::sys::error::{Builtin, raise};
use crate::sys::object::{boolean, none};
use crate::sys::slots::{Method, one, positional};
use crate::sys::{Layout, Object, Owned, Res, call, containers};

use super::attempt::{
    ACCEPTS, CONNECTS, Kind, RECEIVE, RECEIVE_FROM, RECEIVE_FROM_INTO, RECEIVE_INTO, Request, SEND_ALL, SEND_TO,
    counted,
};
use super::operation::begin_waiting;
use super::python_socket::{never_blocks, usable};

/// The loop and the socket's descriptor, if this is for native code.
#[inline]
fn admitted<'a>(core: &'a LoopObject, socket: &Object) -> Option<(&'a LoopObject, c_int)> {
    let core = plain(core.as_object())?;
    if core.just_queues() && core.watches_natively() { usable(socket).map(|fd| (core, fd)) } else { None }
}

/// What Python code gets for an operation that is not for native code: `False`.
fn declined() -> Owned {
    boolean(false).own()
}

/// The operation: its result, or what waits for it; or `False`, if asyncio is to do it.
#[inline]
fn begin(
    (core, fd): (&LoopObject, c_int),
    kind: &'static Kind,
    socket: &Object,
    first: &Object,
    second: &Object,
) -> Res<Owned> {
    let sent = Cell::new(0);
    let request = Request { event_loop: core, socket, first, second, sent: &sent };
    match (kind.begin)(&request)? {
        Some(value) => Ok(value),
        None => wait(&request, kind, fd),
    }
}

fn wait(request: &Request<'_>, kind: &'static Kind, fd: c_int) -> Res<Owned> {
    // One that blocks does so in asyncio's own method, as far as nothing was sent. Calls have run Python code, perhaps.
    if request.sent.get() == 0 && !(never_blocks(request.socket)? && request.event_loop.watches_natively()) {
        return Ok(declined());
    }
    let future = call::call_method(&CREATE_FUTURE, &[request.event_loop.as_object()], None)?;
    request.event_loop.ensure_no_transport(fd, &*containers::int(fd.into())?)?;
    let keeps_view = std::ptr::eq(kind, &raw const SEND_ALL) && of_exact(request.first).is_none();
    let view = if keeps_view { view_from(request.first, 0)? } else { request.first.own() };
    begin_waiting(&Request { first: &view, ..*request }, kind, fd, future)
}

fn two<'a>(arguments: &[&'a Object]) -> Res<[&'a Object; 2]> {
    <[&Object; 2]>::try_from(arguments).map_err(|_| raise(Builtin::TypeError.class(), c"two arguments were expected"))
}

fn three<'a>(arguments: &[&'a Object]) -> Res<[&'a Object; 3]> {
    <[&Object; 3]>::try_from(arguments).map_err(|_| raise(Builtin::TypeError.class(), c"three arguments were expected"))
}

/// A number of bytes that asyncio's method would try to receive.
fn is_size(size: &Object) -> bool {
    containers::is_exact_int(size) && matches!(containers::int_clamped(size), Ok(1..=0x7fff_ffff))
}

/// `_try_recv(sock, n)`
fn try_recv(core: &LoopObject, arguments: &[&Object]) -> Res<Owned> {
    let [socket, size] = two(arguments)?;
    match admitted(core, socket) {
        Some(place) if is_size(size) => begin(place, &RECEIVE, socket, size, none()),
        _ => Ok(declined()),
    }
}

/// `_try_recv_into(sock, buf)`
fn try_recv_into(core: &LoopObject, arguments: &[&Object]) -> Res<Owned> {
    let [socket, buffer] = two(arguments)?;
    match admitted(core, socket) {
        Some(place) if is_plain_view(buffer) => begin(place, &RECEIVE_INTO, socket, buffer, none()),
        _ => Ok(declined()),
    }
}

/// `_try_recvfrom(sock, bufsize)`
fn try_recvfrom(core: &LoopObject, arguments: &[&Object]) -> Res<Owned> {
    let [socket, size] = two(arguments)?;
    match admitted(core, socket) {
        Some(place) if is_size(size) => begin(place, &RECEIVE_FROM, socket, size, none()),
        _ => Ok(declined()),
    }
}

/// `_try_recvfrom_into(sock, buf, nbytes)`
fn try_recvfrom_into(core: &LoopObject, arguments: &[&Object]) -> Res<Owned> {
    let [socket, buffer, size] = three(arguments)?;
    let Some(place) = admitted(core, socket).filter(|_| is_plain_view(buffer)) else { return Ok(declined()) };
    let size = if call::is_true(size)? { size.own() } else { counted(Buffer::of(buffer)?.len())? };
    if is_size(&size) { begin(place, &RECEIVE_FROM_INTO, socket, buffer, &size) } else { Ok(declined()) }
}

/// `_try_sendall(sock, data)`
fn try_sendall(core: &LoopObject, arguments: &[&Object]) -> Res<Owned> {
    let [socket, data] = two(arguments)?;
    match admitted(core, socket) {
        Some(place) if of_exact(data).is_some() || is_plain_view(data) => begin(place, &SEND_ALL, socket, data, none()),
        _ => Ok(declined()),
    }
}

/// `_try_sendto(sock, data, address)`
fn try_sendto(core: &LoopObject, arguments: &[&Object]) -> Res<Owned> {
    let [socket, data, address] = three(arguments)?;
    match admitted(core, socket) {
        Some(place) if !address.is_none() => begin(place, &SEND_TO, socket, data, address),
        _ => Ok(declined()),
    }
}

/// `_try_connect(sock, address)`
fn try_connect(core: &LoopObject, arguments: &[&Object]) -> Res<Owned> {
    let [socket, address] = two(arguments)?;
    match admitted(core, socket) {
        Some(place) => begin(place, &CONNECTS, socket, address, none()),
        None => Ok(declined()),
    }
}

/// `_try_accept(sock)`
fn try_accept(core: &LoopObject, socket: &Object) -> Res<Owned> {
    match admitted(core, socket) {
        Some(place) => begin(place, &ACCEPTS, socket, none(), none()),
        None => Ok(declined()),
    }
}

/// `_is_native_socket(sock)`
fn is_native_socket(core: &LoopObject, socket: &Object) -> bool {
    admitted(core, socket).is_some()
}

const RECV_DOC: &CStr = c"_try_recv($self, sock, n, /)\n--\n\n";
const RECV_INTO_DOC: &CStr = c"_try_recv_into($self, sock, buf, /)\n--\n\n";
const RECVFROM_DOC: &CStr = c"_try_recvfrom($self, sock, bufsize, /)\n--\n\n";
const RECVFROM_INTO_DOC: &CStr = c"_try_recvfrom_into($self, sock, buf, nbytes, /)\n--\n\n";
const SENDALL_DOC: &CStr = c"_try_sendall($self, sock, data, /)\n--\n\n";
const SENDTO_DOC: &CStr = c"_try_sendto($self, sock, data, address, /)\n--\n\n";
const CONNECT_DOC: &CStr = c"_try_connect($self, sock, address, /)\n--\n\n";
const IS_NATIVE_DOC: &CStr = c"_is_native_socket($self, sock, /)\n--\n\n";
const ACCEPT_DOC: &CStr = c"_try_accept($self, sock, /)\n--\n\n";

/// For the loop's type.
pub(crate) fn methods() -> [Method; 9] {
    [
        positional!(LoopObject, c"_try_recv", try_recv, RECV_DOC),
        positional!(LoopObject, c"_try_recv_into", try_recv_into, RECV_INTO_DOC),
        positional!(LoopObject, c"_try_recvfrom", try_recvfrom, RECVFROM_DOC),
        positional!(LoopObject, c"_try_recvfrom_into", try_recvfrom_into, RECVFROM_INTO_DOC),
        positional!(LoopObject, c"_try_sendall", try_sendall, SENDALL_DOC),
        positional!(LoopObject, c"_try_sendto", try_sendto, SENDTO_DOC),
        positional!(LoopObject, c"_try_connect", try_connect, CONNECT_DOC),
        one!(LoopObject, c"_is_native_socket", is_native_socket, IS_NATIVE_DOC),
        one!(LoopObject, c"_try_accept", try_accept, ACCEPT_DOC),
    ]
}
