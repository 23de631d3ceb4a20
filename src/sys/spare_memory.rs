//! Memory of bytearrays that were emptied, for those that are filled next.
//!
//! A stream's buffer is filled by a message, emptied when that is read, and filled by the next. The interpreter has the
//! allocator make its memory anew each time, and give it back: for more than 512 bytes that is much work, and for much more
//! the system's, whose page faults cost more than all that is done with the bytes.
//!
//! So an array that is emptied here becomes as one is that was just made: without memory. What it had goes to the next
//! that has none and needs at least half of it, in the same thread or another. So arrays that are empty keep nothing, and
//! what is kept for all of them is little.
//!
//! Up to 3.14: after that the memory of an array is a `bytes`.

use std::cell::{Cell, RefCell};
use std::ffi::c_char;
use std::ptr;

use pyo3::ffi::{self, PyByteArrayObject};

use super::attached::Attached;
use super::memory::has_room;

/// Less than that the interpreter's own allocator makes quickly.
const LEAST: ffi::Py_ssize_t = 513;
/// How much is kept, in bytes, and in how many pieces.
const MOST: ffi::Py_ssize_t = 512 * 1024;
const PIECES: usize = 128;
/// So many pieces are looked at for one that fits: those that came last.
const LOOKS: usize = 8;

/// A piece of the memory that `PyMem_Malloc` makes.
struct Piece {
    start: *mut c_char,
    length: ffi::Py_ssize_t,
}

/// No Python code runs while the cell is borrowed.
struct Spare {
    pieces: RefCell<Vec<Piece>>,
    /// How long they are together.
    total: Cell<ffi::Py_ssize_t>,
}

static SPARE: Attached<Spare> = Attached::new(Spare { pieces: RefCell::new(Vec::new()), total: Cell::new(0) });

/// Empties the array, and keeps its memory. False, and nothing is done, if that is not worth it, or somebody has a view of
/// the array.
///
/// # Safety
/// A live bytearray.
#[inline]
pub(super) unsafe fn empty(array: *mut PyByteArrayObject) -> bool {
    // SAFETY: the interpreter's headers declare the struct. Nobody has a view of its memory, which is not its own any more
    // when it is kept: the array is as a new one, which has none.
    unsafe {
        let piece = Piece { start: (*array).ob_bytes, length: (*array).ob_alloc };
        if (*array).ob_exports != 0 || !keep(piece) {
            return false;
        }
        (*array).ob_bytes = ptr::null_mut();
        (*array).ob_start = ptr::null_mut();
        (*array).ob_alloc = 0;
        (*array).ob_base.ob_size = 0;
    }
    true
}

/// Makes an array that has no memory so many bytes long, which are yet to be written. False, and nothing is done, if there is
/// no memory that fits, or the array has some, or somebody has a view of it.
///
/// # Safety
/// A live bytearray; the length is not negative.
#[inline]
pub(super) unsafe fn fill(array: *mut PyByteArrayObject, length: ffi::Py_ssize_t) -> bool {
    // SAFETY: the interpreter's headers declare the struct. One without memory is empty. The piece is longer than the length;
    // it is the array's own from now on, which frees it by the allocator that has made it.
    unsafe {
        if !(*array).ob_bytes.is_null() || (*array).ob_exports != 0 {
            return false;
        }
        let Some(piece) = take(length) else { return false };
        *piece.start.offset(length) = 0;
        (*array).ob_bytes = piece.start;
        (*array).ob_start = piece.start;
        (*array).ob_alloc = piece.length;
        (*array).ob_base.ob_size = length;
    }
    true
}

/// Would [`fill`] find memory for so many bytes?
pub(super) fn is_there(length: ffi::Py_ssize_t) -> bool {
    find(&SPARE.pieces.borrow(), length).is_some()
}

#[inline]
fn keep(piece: Piece) -> bool {
    let mut pieces = SPARE.pieces.borrow_mut();
    let total = SPARE.total.get().saturating_add(piece.length);
    if piece.length < LEAST || total > MOST || pieces.len() == PIECES || !has_room(&mut *pieces) {
        return false;
    }
    pieces.push(piece);
    SPARE.total.set(total);
    true
}

#[inline]
fn take(length: ffi::Py_ssize_t) -> Option<Piece> {
    let mut pieces = SPARE.pieces.borrow_mut();
    let place = find(&pieces, length)?;
    let piece = pieces.swap_remove(place);
    SPARE.total.set(SPARE.total.get() - piece.length);
    Some(piece)
}

/// One that is long enough, but not twice as long as it has to be.
#[inline]
fn find(pieces: &[Piece], length: ffi::Py_ssize_t) -> Option<usize> {
    let fits = |piece: &Piece| length < piece.length && piece.length / 2 <= length;
    let looks = pieces.len().saturating_sub(LOOKS);
    pieces[looks..].iter().rposition(fits).map(|place| looks + place)
}
