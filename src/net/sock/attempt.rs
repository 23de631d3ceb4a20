//! One try of an operation: the system call, or the socket's own method where that makes addresses or other sockets.
//!
//! `None` is "not now", where asyncio catches `BlockingIOError` or `InterruptedError`.

use std::cell::Cell;
use std::ffi::c_int;

use crate::event_loop::{Direction, LoopObject};
use crate::names::{ACCEPT, CONNECT, GETSOCKOPT, Name, RECV, RECVFROM, RECVFROM_INTO, SENDTO, SETBLOCKING};
use crate::sys::attached::Attached;
use crate::sys::bytes::{self, Buffer, Held};
use crate::sys::error::{Builtin, raise_object, raised_is};
use crate::sys::object::{boolean, none};
use crate::sys::os_error::raise_os_error;
use crate::sys::sockets::{self, Outcome, Received, Sent};
use crate::sys::{Layout, Object, Owned, Res, call, containers, raised};

/// What is to be done with which socket.
pub(super) struct Request<'a> {
    pub(super) event_loop: &'a LoopObject,
    pub(super) socket: &'a Object,
    /// The method's arguments behind the socket, `None` for those that there are not.
    pub(super) first: &'a Object,
    pub(super) second: &'a Object,
    /// How many bytes have been sent.
    pub(super) sent: &'a Cell<usize>,
}

type Try = fn(&Request<'_>) -> Res<Option<Owned>>;

/// A kind of operation.
pub(super) struct Kind {
    /// What it waits for.
    pub(super) direction: Direction,
    /// The first try.
    pub(super) begin: Try,
    /// Those after a wait.
    pub(super) go_on: Try,
}

impl Kind {
    const fn reads(tries: Try) -> Kind {
        Kind { direction: Direction::Read, begin: tries, go_on: tries }
    }

    const fn writes(begin: Try, go_on: Try) -> Kind {
        Kind { direction: Direction::Write, begin, go_on }
    }
}

pub(super) static RECEIVE: Kind = Kind::reads(receive);
pub(super) static RECEIVE_INTO: Kind = Kind::reads(receive_into);
pub(super) static RECEIVE_FROM: Kind = Kind::reads(|request| by_method(&RECVFROM, request));
pub(super) static RECEIVE_FROM_INTO: Kind = Kind::reads(|request| by_method(&RECVFROM_INTO, request));
pub(super) static SEND_ALL: Kind = Kind::writes(send_all, send_all);
pub(super) static SEND_TO: Kind =
    Kind::writes(|request| by_method(&SENDTO, request), |request| by_method(&SENDTO, request));
pub(super) static CONNECTS: Kind = Kind::writes(|request| by_method(&CONNECT, request), finish_connecting);
pub(super) static ACCEPTS: Kind = Kind::reads(accept);

/// The socket's descriptor of now.
fn descriptor(socket: &Object) -> Res<c_int> {
    match sockets::descriptor(socket) {
        Some(fd) if fd >= 0 => Ok(fd),
        _ => Err(raise_os_error(libc::EBADF)),
    }
}

/// For more than that the socket's own method has an object of that size.
const MOST: usize = 256 * 1024;

/// How large the last piece was.
static EXPECTED: Attached<Cell<usize>> = Attached::new(Cell::new(0));

/// `socket.recv(first)`
fn receive(request: &Request<'_>) -> Res<Option<Owned>> {
    let fd = descriptor(request.socket)?;
    let most = usize::try_from(containers::int_clamped(request.first)?).unwrap_or(0);
    if most > MOST {
        return by_method(&RECV, request);
    }
    let received =
        request.event_loop.read_with(|scratch| sockets::receive_likely(fd, EXPECTED.get(), &mut scratch[..most]));
    match received?? {
        Received::Bytes(bytes, count) => {
            EXPECTED.set(count);
            Ok(Some(bytes))
        }
        Received::NotNow => Ok(None),
        Received::Failed(errno) => Err(raise_os_error(errno)),
    }
}

/// The number of bytes.
pub(super) fn counted(count: usize) -> Res<Owned> {
    containers::int(i64::try_from(count).unwrap_or(i64::MAX))
}

/// `socket.recv_into(first)`
fn receive_into(request: &Request<'_>) -> Res<Option<Owned>> {
    let memory = Buffer::writable(request.first)?;
    if memory.len() == 0 {
        return counted(0).map(Some);
    }
    match sockets::receive_into(descriptor(request.socket)?, &memory) {
        Outcome::Done(count) => counted(count).map(Some),
        Outcome::NotNow => Ok(None),
        Outcome::Failed(errno) => Err(raise_os_error(errno)),
    }
}

/// `socket.send(first)`, until all is sent.
fn send_all(request: &Request<'_>) -> Res<Option<Owned>> {
    let fd = descriptor(request.socket)?;
    let held = match bytes::of_exact(request.first) {
        Some(_) => Held::Bytes(request.first.own()),
        None => Held::lent(request.first)?,
    };
    let Sent { outcome, wanted } = sockets::send(fd, &held, request.sent.get());
    match outcome {
        Outcome::Done(count) => {
            request.sent.set(request.sent.get() + count);
            Ok((count == wanted).then(|| none().own()))
        }
        Outcome::NotNow => Ok(None),
        Outcome::Failed(errno) => Err(raise_os_error(errno)),
    }
}

/// `None` if it was one of the two errors that say "not now".
fn unless_blocked(outcome: Res<Owned>) -> Res<Option<Owned>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(_) if raised_is(Builtin::BlockingIOError.class()) || raised_is(Builtin::InterruptedError.class()) => {
            raised::clear();
            Ok(None)
        }
        Err(raised) => Err(raised),
    }
}

/// `socket.name(first, second)`, with those of the two that there are.
fn by_method(name: &Name, request: &Request<'_>) -> Res<Option<Owned>> {
    let arguments = [request.socket, request.first, request.second];
    let count = if request.second.is_none() { 2 } else { 3 };
    unless_blocked(call::call_method(name, &arguments[..count], None))
}

/// `socket.accept()`; the new socket does not block.
fn accept(request: &Request<'_>) -> Res<Option<Owned>> {
    let accepted = call::call_method(&ACCEPT, &[request.socket], None).and_then(|pair| {
        let connection = containers::tuple_item(&pair, 0)?;
        call::call_method(&SETBLOCKING, &[&*connection, boolean(false)], None)?;
        Ok(pair)
    });
    unless_blocked(accepted)
}

/// Asks what has become of a connection that was on its way.
fn finish_connecting(request: &Request<'_>) -> Res<Option<Owned>> {
    let (level, option) = (containers::int(libc::SOL_SOCKET.into())?, containers::int(libc::SO_ERROR.into())?);
    let asked = call::call_method(&GETSOCKOPT, &[request.socket, &*level, &*option], None).and_then(|errno| {
        if containers::int_value(&errno)? == 0 {
            return Ok(none().own());
        }
        let text = containers::format1(c"Connect call failed %S", request.first)?;
        Err(raise_object(&*call::call(Builtin::OSError.class(), &[&*errno, &*text])?))
    });
    unless_blocked(asked)
}
