//! What is asked of a socket, and of Python's object for it: the system calls on which transports live.
//!
//! The descriptor is Python's `socket.socket`'s, which closes it. So it is looked up there at each use: one that was
//! closed or detached meanwhile has none, and no byte goes to whoever got the number since.
//!
//! None of these waits, whatever the socket's timeout. A call that a signal has interrupted did nothing, as one did for which
//! there was nothing to do: [`Outcome::NotNow`].

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use pyo3::ffi;

use super::addresses::{InternetAddress, Source};
use super::attached::Attached;
use super::bytes::{self, Buffer, Held, NewBytes};
use super::intern::SETBLOCKING;
use super::object::boolean;
use super::{Layout, Object, Owned, Res, Type, call, types};

/// `PySocketSockObject`'s beginning.
#[repr(C)]
pub(super) struct SocketHead {
    head: ffi::PyObject,
    pub(super) fd: c_int,
    pub(super) family: c_int,
    pub(super) kind: c_int,
    pub(super) protocol: c_int,
    errorhandler: *const c_void,
    /// Nanoseconds; less than nothing for a socket that blocks, nothing for one that does not.
    pub(super) timeout: i64,
}

/// `socket.socket`, once its objects were found to begin with a [`SocketHead`]. It is kept for good.
static KNOWN: Attached<Cell<Option<&'static Type>>> = Attached::new(Cell::new(None));

/// Is all of the head as it was found to be, and not just the descriptor?
static IS_WHOLE: Attached<Cell<bool>> = Attached::new(Cell::new(false));

/// From now on sockets of the class of this one are known, if its descriptor, this number, is where it is looked for.
pub(crate) fn know(socket: &Object, number: c_int) -> bool {
    let class = socket.class();
    // SAFETY: the object is long enough, and all of it was initialised.
    let fits = class.basic_size() >= size_of::<SocketHead>()
        && unsafe { (*socket.as_ptr().cast::<SocketHead>()).fd } == number;
    if fits && !is_known(socket) {
        KNOWN.set(Some(types::keep(class)));
    }
    fits
}

/// The same of all that is looked up in a socket: its numbers are these, and it is seen whether it blocks.
pub(crate) fn know_wholly(probe: &Object, [fd, family, kind, protocol]: [c_int; 4]) -> Res<bool> {
    if !know(probe, fd) {
        return Ok(false);
    }
    let mut fits = true;
    for blocks in [true, false] {
        call::call_method(&SETBLOCKING, &[probe, boolean(blocks)], None)?;
        // SAFETY: an instance of a class whose objects are long enough.
        let now = unsafe {
            let head = &*probe.as_ptr().cast::<SocketHead>();
            (head.fd, head.family, head.kind, head.protocol, head.timeout.signum())
        };
        fits = fits && now == (fd, family, kind, protocol, if blocks { -1 } else { 0 });
    }
    IS_WHOLE.set(fits);
    Ok(fits)
}

/// Is it a known socket of which all is known?
pub(super) fn is_known_wholly(socket: &Object) -> bool {
    IS_WHOLE.get() && is_known(socket)
}

/// Is it of exactly the class that is known?
#[inline]
pub(crate) fn is_known(socket: &Object) -> bool {
    KNOWN.get().is_some_and(|known| ptr::eq(known, socket.class()))
}

/// The descriptor of a known socket; negative if it was closed or detached. `None` if it is something else.
#[inline]
pub(crate) fn descriptor(socket: &Object) -> Option<c_int> {
    // SAFETY: an instance of a class whose objects begin so.
    is_known(socket).then(|| unsafe { (*socket.as_ptr().cast::<SocketHead>()).fd })
}

/// Is it a known socket, that is open and does not block?
pub(crate) fn does_not_block(socket: &Object) -> bool {
    // SAFETY: an instance of a class whose objects begin so.
    is_known_wholly(socket) && unsafe { (*socket.as_ptr().cast::<SocketHead>()).timeout == 0 }
}

/// Has small pieces of data sent at once (`TCP_NODELAY`), if it is a known socket of TCP's; also where whoever made it
/// has left the protocol to the system.
pub(crate) fn set_no_delay(socket: &Object) -> Outcome {
    if !is_known_wholly(socket) {
        return Outcome::NotNow;
    }
    // SAFETY: an instance of a class whose objects begin so.
    let head = unsafe { &*socket.as_ptr().cast::<SocketHead>() };
    let is_stream = head.kind == libc::SOCK_STREAM;
    let is_internet = head.family == libc::AF_INET || head.family == libc::AF_INET6;
    if !is_stream || !is_internet || !(head.protocol == libc::IPPROTO_TCP || head.protocol == 0) {
        return Outcome::NotNow;
    }
    let on: c_int = 1;
    let size = libc::socklen_t::try_from(size_of::<c_int>()).unwrap_or(0);
    // SAFETY: an option of that size, which is only read.
    let set = unsafe { libc::setsockopt(head.fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, (&raw const on).cast(), size) };
    match outcome(isize::try_from(set).unwrap_or(-1)) {
        // With the protocol left to the system, it need not be TCP.
        Outcome::Failed(_) if head.protocol == 0 => Outcome::NotNow,
        other => other,
    }
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// So many bytes.
    Done(usize),
    NotNow,
    /// An `errno`.
    Failed(c_int),
}

#[inline]
pub(super) fn outcome(result: isize) -> Outcome {
    match usize::try_from(result) {
        Ok(count) => Outcome::Done(count),
        Err(_) => failed(),
    }
}

#[cold]
fn failed() -> Outcome {
    match std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) {
        libc::EAGAIN | libc::EINTR => Outcome::NotNow,
        errno => Outcome::Failed(errno),
    }
}

/// What was received.
pub(crate) enum Received {
    /// Of this length; nothing at the end.
    Bytes(Owned, usize),
    NotNow,
    /// An `errno`.
    Failed(c_int),
}

/// From so many bytes on they are received into their own object.
pub(crate) const LARGE: usize = 4096;

/// Receives what has come, up to the length of `scratch`, as a `bytes`. About `expected` bytes are likely.
#[inline]
pub(crate) fn receive_likely(fd: c_int, expected: usize, scratch: &mut [u8]) -> Res<Received> {
    if expected < LARGE { receive(fd, scratch) } else { receive_expected(fd, expected.min(scratch.len()), scratch) }
}

/// `recv(2)`: what has come, up to the length of `scratch`, as a `bytes`.
#[inline]
fn receive(fd: c_int, scratch: &mut [u8]) -> Res<Received> {
    match receive_raw(fd, scratch) {
        Outcome::Done(count) => Ok(Received::Bytes(bytes::copied(&scratch[..count])?, count)),
        Outcome::NotNow => Ok(Received::NotNow),
        Outcome::Failed(errno) => Ok(Received::Failed(errno)),
    }
}

fn receive_expected(fd: c_int, expected: usize, scratch: &mut [u8]) -> Res<Received> {
    // SAFETY: pieces of memory, which nobody else looks at.
    in_two_parts(expected, scratch, |parts| unsafe { receive_parts(fd, parts) })
}

/// `recvmsg(2)`, into two pieces of memory.
///
/// # Safety
/// They are the caller's, who has no use for what is in them.
#[inline]
pub(super) unsafe fn receive_parts(fd: c_int, parts: &mut [libc::iovec; 2]) -> Outcome {
    // SAFETY: the caller's pieces of memory. A message of zeroes is an empty one.
    outcome(unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = parts.as_mut_ptr();
        // A number of its own, for its type is not the same in glibc and musl.
        message.msg_iovlen = 2;
        libc::recvmsg(fd, &raw mut message, libc::MSG_DONTWAIT)
    })
}

/// Where about `expected` bytes are likely: they are received into their own object, and the rest into `scratch`; as
/// many as that has room for at most. The call gets the two pieces of memory, and says how much of them the system has
/// written, from their beginning.
pub(super) fn in_two_parts(
    expected: usize,
    scratch: &mut [u8],
    receive: impl FnOnce(&mut [libc::iovec; 2]) -> Outcome,
) -> Res<Received> {
    let mut made = NewBytes::of_length(expected)?;
    let rest = scratch.len().saturating_sub(expected);
    let memory = made.memory();
    let start = memory.as_ptr().cast::<u8>();
    let mut parts = [part(start, memory.len()), part(scratch.as_ptr(), rest)];
    match receive(&mut parts) {
        Outcome::Done(count) if count == expected => {
            // SAFETY: the system has written all of it.
            Ok(Received::Bytes(unsafe { made.into_bytes() }, count))
        }
        Outcome::Done(count) if count < expected => {
            // SAFETY: the system has written that much of it.
            let beginning = unsafe { std::slice::from_raw_parts(start, count) };
            Ok(Received::Bytes(bytes::copied(beginning)?, count))
        }
        Outcome::Done(count) => {
            let mut all = NewBytes::of_length(count)?;
            let (first, second) = all.memory().split_at_mut(expected);
            first.copy_from_slice(made.memory());
            for (place, byte) in second.iter_mut().zip(&*scratch) {
                place.write(*byte);
            }
            // SAFETY: the system has written the first part, and the second was just written.
            Ok(Received::Bytes(unsafe { all.into_bytes() }, count))
        }
        Outcome::NotNow => Ok(Received::NotNow),
        Outcome::Failed(errno) => Ok(Received::Failed(errno)),
    }
}

/// `recv(2)`: what has come, into the memory.
#[inline]
pub(crate) fn receive_raw(fd: c_int, memory: &mut [u8]) -> Outcome {
    // SAFETY: memory of that length, which nobody else looks at.
    outcome(unsafe { libc::recv(fd, memory.as_mut_ptr().cast(), memory.len(), libc::MSG_DONTWAIT) })
}

/// `recv(2)` into memory that an object has lent for it.
#[inline]
pub(crate) fn receive_into(fd: c_int, memory: &Buffer) -> Outcome {
    // SAFETY: memory of that length that may be written to.
    outcome(unsafe { libc::recv(fd, memory.start().cast(), memory.len(), libc::MSG_DONTWAIT) })
}

pub(super) fn part(start: *const u8, length: usize) -> libc::iovec {
    libc::iovec { iov_base: start.cast_mut().cast(), iov_len: length }
}

/// As many pieces go out at once: `IOV_MAX`.
const MOST_PIECES: usize = 1024;
/// For as many there is room without asking for memory.
const FEW_PIECES: usize = 16;

/// What came of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) outcome: Outcome,
    /// How many bytes were to be sent.
    pub(crate) wanted: usize,
}

/// `send(2)` of the piece, without its first `skipped` bytes, and without the signal for a connection that is gone.
#[inline]
pub(crate) fn send(fd: c_int, piece: &Held, skipped: usize) -> Sent {
    let wanted = piece.len() - skipped;
    // SAFETY: a piece that is held, and so memory of that length; the system only reads it.
    let sent =
        unsafe { libc::send(fd, piece.start().add(skipped).cast(), wanted, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) };
    Sent { outcome: outcome(sent), wanted }
}

/// Pieces of so many bytes together are sent as one that they are copied into: the system takes longer to read a list
/// of pieces than it takes to copy this much.
const COPIED: usize = 8 * 1024;

/// Sends the pieces, without the first `skipped` bytes: of [`MOST_PIECES`] at most.
pub(crate) fn send_several<'a>(
    fd: c_int,
    pieces: impl ExactSizeIterator<Item = &'a Held> + Clone,
    skipped: usize,
) -> Sent {
    let mut lengths = pieces.clone().map(Held::len);
    match lengths.try_fold(0, |sum, length| Some(sum + length).filter(|&sum| sum <= COPIED)) {
        Some(length) => send_copied(fd, pieces, skipped, length - skipped),
        None => send_listed(fd, pieces, skipped),
    }
}

/// `send(2)` of a copy of the pieces, which are of that length altogether.
fn send_copied<'a>(fd: c_int, pieces: impl Iterator<Item = &'a Held>, skipped: usize, wanted: usize) -> Sent {
    let mut memory = [const { MaybeUninit::<u8>::uninit() }; COPIED];
    let (mut rest, mut skip) = (&mut memory[..wanted], skipped);
    for piece in pieces {
        let length = piece.len() - skip;
        let (place, behind) = rest.split_at_mut(length);
        // SAFETY: a piece that is held, and so memory of that length and more; as many places, which only we know.
        unsafe { ptr::copy_nonoverlapping(piece.start().add(skip), place.as_mut_ptr().cast(), length) };
        (rest, skip) = (behind, 0);
    }
    debug_assert!(rest.is_empty());
    // SAFETY: memory of that length, all of which was written; the system only reads it.
    let sent = unsafe { libc::send(fd, memory.as_ptr().cast(), wanted, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) };
    Sent { outcome: outcome(sent), wanted }
}

/// `sendmsg(2)`
fn send_listed<'a>(fd: c_int, pieces: impl ExactSizeIterator<Item = &'a Held>, skipped: usize) -> Sent {
    let mut few = [part(ptr::null(), 0); FEW_PIECES];
    let mut many = Vec::new();
    let parts = if pieces.len() > FEW_PIECES && many.try_reserve_exact(MOST_PIECES).is_ok() {
        many.resize(pieces.len().min(MOST_PIECES), part(ptr::null(), 0));
        &mut many[..]
    } else {
        &mut few[..]
    };
    let (mut count, mut wanted, mut skip) = (0, 0, skipped);
    for (place, piece) in parts.iter_mut().zip(pieces) {
        let length = piece.len() - skip;
        *place = part(piece.start().wrapping_add(skip), length);
        skip = 0;
        count += 1;
        wanted += length;
    }
    // SAFETY: pieces that are held, and so memory of those lengths; the system only reads it. A message of zeroes is an
    // empty one.
    let sent = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = parts.as_mut_ptr();
        message.msg_iovlen = count;
        libc::sendmsg(fd, &raw const message, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT)
    };
    Sent { outcome: outcome(sent), wanted }
}

/// `recvfrom(2)`: a datagram, up to the length of `scratch`, and where it has come from.
#[inline]
pub(crate) fn receive_from(fd: c_int, scratch: &mut [u8]) -> Res<(Received, Source)> {
    let mut source = Source::room();
    let (place, mut length) = source.as_raw();
    // SAFETY: memory of these lengths, which nobody else looks at.
    let received = unsafe { libc::recvfrom(fd, scratch.as_mut_ptr().cast(), scratch.len(), 0, place, &raw mut length) };
    let received = match outcome(received) {
        Outcome::Done(count) => {
            source.set_length(length);
            Received::Bytes(bytes::copied(&scratch[..count])?, count)
        }
        Outcome::NotNow => Received::NotNow,
        Outcome::Failed(errno) => Received::Failed(errno),
    };
    Ok((received, source))
}

/// `sendto(2)`: a datagram.
#[inline]
pub(crate) fn send_to(fd: c_int, data: &Held, destination: &InternetAddress) -> Outcome {
    let (place, length) = destination.as_raw();
    // SAFETY: a piece that is held and an address, and so memory of those lengths; the system only reads it.
    outcome(unsafe { libc::sendto(fd, data.start().cast(), data.len(), libc::MSG_NOSIGNAL, place, length) })
}

/// The family that the system has for a socket.
pub(crate) fn family(fd: c_int) -> Option<c_int> {
    let mut family = 0;
    let mut length = libc::socklen_t::try_from(size_of::<c_int>()).unwrap_or(0);
    // SAFETY: a number, and its length.
    let status =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_DOMAIN, (&raw mut family).cast(), &raw mut length) };
    (status == 0).then_some(family)
}

/// The socket's own name, if it is of the internet's.
pub(crate) fn internet_name(fd: c_int) -> Option<InternetAddress> {
    let mut name = Source::room();
    let (place, mut length) = name.as_raw();
    // SAFETY: room for an address of that length.
    if unsafe { libc::getsockname(fd, place, &raw mut length) } != 0 {
        return None;
    }
    name.set_length(length);
    name.as_internet()
}
