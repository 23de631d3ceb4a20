//! What is asked of a pipe or a terminal, and of Python's object for it.
//!
//! The descriptor is the object's, which closes it: that of a file is an `_io.FileIO`'s, whatever is around it, or it is
//! a socket's. So it is looked up there at each use: one that was closed or detached meanwhile has none, and no byte goes
//! to whoever got the number since.
//!
//! Unlike a socket, a file has no call that never waits. Whether it does is a flag that all who have opened it in common
//! share, as a program and its children share a terminal, and any of them may reset it. So other threads may run while
//! the system is asked, as in `os.read` and `os.write`.

use std::cell::Cell;
use std::ffi::c_int;

use pyo3::ffi;

use super::attached::Attached;
use super::bytes::{self, Held};
use super::lazy::Lazy;
use super::sockets::{self, LARGE, Outcome, Received, Sent, in_two_parts, outcome};
use super::threads::detached;
use super::{Layout, Object, Res};

/// The beginning of a `FileIO`.
#[repr(C)]
struct FileHead {
    head: ffi::PyObject,
    fd: c_int,
}

static FILE: Lazy = Lazy::new("_io", "FileIO");

/// Do files begin with a [`FileHead`], as was found?
static IS_KNOWN: Attached<Cell<bool>> = Attached::new(Cell::new(false));

/// Is it exactly a `FileIO`?
#[inline]
fn is_file(object: &Object) -> bool {
    FILE.find().is_some_and(|class| object.class().is(class))
}

/// Files are known from now on, if this one, which was never opened, has no descriptor where it is looked for.
pub(crate) fn know(unopened: &Object) -> bool {
    let is_long_enough = is_file(unopened) && unopened.class().basic_size() >= size_of::<FileHead>();
    // SAFETY: the object is long enough, and all of it was initialised.
    let known = is_long_enough && unsafe { (*unopened.as_ptr().cast::<FileHead>()).fd } == -1;
    IS_KNOWN.set(known);
    known
}

/// The descriptor of a file or a socket that is known; negative if it was closed or detached. `None` if it is something
/// else.
#[inline]
pub(crate) fn descriptor(owner: &Object) -> Option<c_int> {
    if IS_KNOWN.get() && is_file(owner) {
        // SAFETY: an instance of a class whose objects begin so.
        return Some(unsafe { (*owner.as_ptr().cast::<FileHead>()).fd });
    }
    sockets::descriptor(owner)
}

/// May it be read into several pieces of memory at once? Of what is no pipe, each piece may be a read of its own.
pub(crate) fn takes_parts(fd: c_int) -> bool {
    // SAFETY: zeroes are a value of it; the system writes into it.
    let mode = unsafe {
        let mut status: libc::stat = std::mem::zeroed();
        if libc::fstat(fd, &raw mut status) == 0 { status.st_mode } else { 0 }
    };
    mode & libc::S_IFMT == libc::S_IFIFO
}

/// `read(2)`: what has come, up to the length of `scratch`, as a `bytes`. If it takes parts, so many bytes are likely.
/// Other threads may run meanwhile.
#[inline]
pub(crate) fn read(fd: c_int, expected: usize, scratch: &mut [u8]) -> Res<Received> {
    if expected >= LARGE {
        return in_two_parts(expected.min(scratch.len()), scratch, |parts| {
            // SAFETY: pieces of memory, which nobody else looks at.
            detached(|| outcome(unsafe { libc::readv(fd, parts.as_ptr(), 2) }))
        });
    }
    // SAFETY: memory of that length, which nobody else looks at.
    match detached(|| outcome(unsafe { libc::read(fd, scratch.as_mut_ptr().cast(), scratch.len()) })) {
        Outcome::Done(count) => Ok(Received::Bytes(bytes::copied(&scratch[..count])?, count)),
        Outcome::NotNow => Ok(Received::NotNow),
        Outcome::Failed(errno) => Ok(Received::Failed(errno)),
    }
}

/// `write(2)` of the piece. Other threads may run meanwhile.
#[inline]
pub(crate) fn write(fd: c_int, piece: &Held) -> Sent {
    let (start, wanted) = (piece.start(), piece.len());
    // SAFETY: a piece that is held, and so memory of that length; the system only reads it.
    let outcome = detached(|| outcome(unsafe { libc::write(fd, start.cast(), wanted) }));
    Sent { outcome, wanted }
}
