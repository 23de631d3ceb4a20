//! Python's sockets as accepting makes them, and as they are closed, without their methods.
//!
//! A new one is what `socket.accept()` and `setblocking(False)` make. It is not made by calling the class: it takes over
//! what the listening one is (family, type, protocol, and how it raises errors). That holds for sockets of which all is
//! known: of exactly the class that is known, and as long as the layout says.

use std::cell::Cell;
use std::ffi::c_int;
use std::mem::offset_of;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::ptr;

use super::addresses::Source;
use super::attached::Attached;
use super::audit::audit_socket;
use super::intern::{CLOSE, CLOSED, IO_REFS};
use super::lazy::{Lazy, Once};
use super::object::boolean;
use super::sockets::{SocketHead, is_known, is_known_wholly};
use super::{Field, Layout, Object, Owned, Res, Type, call, containers, enter};

/// What there is of a socket behind its head that it has not of its own: the module's state, borrowed (3.12 on).
const STATE: usize = if cfg!(Py_3_12) { size_of::<usize>() } else { 0 };
const LENGTH: usize = size_of::<SocketHead>() + STATE;

/// Where a socket has the attributes that are set in Python.
#[derive(Clone, Copy)]
struct Slots {
    io_refs: usize,
    closed: usize,
}

static SLOTS: Attached<Cell<Option<Slots>>> = Attached::new(Cell::new(None));

/// Looks whether sockets of this class, which is Python's own, can be made here.
pub(crate) fn know_class(class: &Type) {
    let base = class.ancestors().into_iter().nth(1);
    let length_is_known = base.is_some_and(|base| base.basic_size() == LENGTH);
    let slots = class.slot_offset(&IO_REFS).zip(class.slot_offset(&CLOSED));
    let slots = slots.filter(|&(io_refs, closed)| {
        let fits = |offset: usize| offset >= LENGTH && offset + size_of::<usize>() <= class.basic_size();
        length_is_known && fits(io_refs) && fits(closed) && io_refs != closed
    });
    SLOTS.set(slots.map(|(io_refs, closed)| Slots { io_refs, closed }));
}

/// Can connections of such a socket be accepted here?
pub(crate) fn can_accept(listening: &Object) -> bool {
    SLOTS.get().is_some() && is_known_wholly(listening)
}

/// What came of a try.
pub(crate) enum Accepted {
    /// A socket that does not block, and the address of its peer.
    Connection(Owned, Source),
    /// Nobody waits. Or a signal came.
    NotNow,
    /// An `errno`.
    Failed(c_int),
}

/// `listening.accept()`, and `setblocking(False)` of the new socket. Runs the program's audit hooks.
pub(crate) fn accept(listening: &Object) -> Res<Accepted> {
    let Some(slots) = SLOTS.get().filter(|_| is_known(listening)) else { return Ok(Accepted::Failed(libc::EBADF)) };
    let mut source = Source::room();
    let (place, mut length) = source.as_raw();
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: a socket of the known class begins so; room for an address of that length.
    let fd = unsafe {
        let head = &*listening.as_ptr().cast::<SocketHead>();
        libc::accept4(head.fd, place, &raw mut length, flags)
    };
    if fd < 0 {
        return Ok(match std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) {
            libc::EAGAIN | libc::EINTR => Accepted::NotNow,
            errno => Accepted::Failed(errno),
        });
    }
    source.set_length(length);
    // SAFETY: the system gave it just now.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    socket_like(listening, fd, slots).map(|socket| Accepted::Connection(socket, source))
}

/// A slot of a socket, which holds a reference, or nothing.
///
/// # Safety
/// The socket is of the known class, and the offset one of its [`Slots`].
unsafe fn slot(socket: &Object, offset: usize) -> &Field {
    // SAFETY: the caller's contract; a slot has the form of a field.
    unsafe { &*socket.as_ptr().byte_add(offset).cast() }
}

/// A socket as the listening one, for the descriptor.
fn socket_like(listening: &Object, fd: OwnedFd, slots: Slots) -> Res<Owned> {
    const START: usize = offset_of!(SocketHead, fd);
    // SAFETY: an instance of the listening socket's class, which is kept for good. Before anybody sees it, all is written
    // that its base has: that is as long as `know_class` found it to be, and holds no reference.
    let (made, head) = unsafe {
        let made: Owned = Owned::steal_or_raised(enter::PyType_GenericAlloc(listening.type_ptr(), 0))?;
        let (from, to) = (listening.as_ptr(), made.as_ptr());
        ptr::copy_nonoverlapping(from.byte_add(START).cast::<u8>(), to.byte_add(START).cast::<u8>(), LENGTH - START);
        let head = to.cast::<SocketHead>();
        (*head).fd = -1;
        (*head).timeout = 0;
        (made, head)
    };
    // SAFETY: a new socket of that class.
    unsafe {
        slot(&made, slots.io_refs).fill(containers::int(0)?);
        slot(&made, slots.closed).fill(boolean(false).own());
    }
    // SAFETY: it was just written.
    let numbers = unsafe { [(*head).family, (*head).kind, (*head).protocol] };
    audit_socket(&made, numbers)?;
    // SAFETY: as above.
    unsafe { (*head).fd = fd.into_raw_fd() };
    Ok(made)
}

/// `socket.close()`, of one whose class does what it was made to do. False, and nothing is done, if that is to be called.
pub(crate) fn close(socket: &Object) -> Res<bool> {
    static BASE: Lazy = Lazy::new("_socket", "socket");
    static METHOD: Once = Once::new();
    let Some(slots) = SLOTS.get().filter(|_| is_known(socket)) else { return Ok(false) };
    // SAFETY: a socket of the known class.
    let (closed, io_refs) = unsafe { (slot(socket, slots.closed), slot(socket, slots.io_refs)) };
    let io_refs = io_refs.get().filter(|number| containers::is_exact_int(number));
    if !matches!(io_refs.map(|number| containers::int_clamped(&number)), Some(Ok(0))) {
        return Ok(false);
    }
    closed.set(boolean(true).own());
    let close = METHOD.get_or_init(|| call::getattr(BASE.get()?, &CLOSE))?;
    call::call1(close, socket).map(|_| true)
}
