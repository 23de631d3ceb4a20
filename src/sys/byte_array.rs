//! An exact `bytearray`, by the C functions behind its methods.
//!
//! Its memory moves whenever its length changes, and Python code may change that whenever it runs. So what is in it is
//! lent only to functions that run none.
//!
//! Where there is no memory for another length, even a shorter one, an array is as it was; from 3.15 on it is empty. So
//! who forgets such an error asks first what that has left ([`forgive`]).

use std::ffi::c_int;
use std::ptr;

use pyo3::ffi;

use super::bytes;
use super::error::fetch;
#[cfg(not(Py_3_15))]
use super::spare_memory;
use super::{Layout, Object, Owned, Raised, Res};

// What pyo3-ffi declares as never unwinding does not run Python code.
use ffi::PyByteArray_Resize;

/// An instance of exactly `bytearray`.
#[repr(transparent)]
pub(crate) struct ByteArray(Object);

// SAFETY: transparent over an object.
unsafe impl Layout for ByteArray {
    #[inline]
    fn fits(object: &Object) -> bool {
        bytes::is_bytearray(object)
    }
}

/// The object as a bytearray, if it is one.
#[inline]
pub(crate) fn downcast(object: Owned) -> Option<Owned<ByteArray>> {
    // SAFETY: just asked.
    ByteArray::fits(&object).then(|| unsafe { Owned::steal(object.into_ptr()) })
}

/// `len(array)`
#[inline]
pub(crate) fn len(array: &ByteArray) -> usize {
    // SAFETY: a live object with a variable part, whose length is where all of these have it.
    usize::try_from(unsafe { ffi::Py_SIZE(array.as_ptr()) }).unwrap_or(0)
}

/// What is in it now.
///
/// # Safety
/// Nothing runs that could change it while the slice is used.
#[inline]
unsafe fn content(array: &ByteArray) -> &[u8] {
    // SAFETY: a live bytearray, whose memory is that long.
    unsafe { std::slice::from_raw_parts(ffi::PyByteArray_AsString(array.as_ptr()).cast::<u8>(), len(array)) }
}

#[inline]
fn resize(array: &ByteArray, length: usize) -> Res<()> {
    let length = ffi::Py_ssize_t::try_from(length).unwrap_or(ffi::PY_SSIZE_T_MAX);
    #[cfg(not(Py_3_15))]
    // SAFETY: a live bytearray, attached to the interpreter.
    if length > 0 && unsafe { spare_memory::fill(array.as_ptr().cast(), length) } {
        return Ok(());
    }
    // SAFETY: a live bytearray, attached to the interpreter.
    let outcome: c_int = unsafe { PyByteArray_Resize(array.as_ptr(), length) };
    if outcome == 0 { Ok(()) } else { Err(Raised) }
}

/// Forgets why an array could not be changed, if it still has all that was in it. Else that is an error, for it is lost.
#[cold]
pub(crate) fn forgive(array: &ByteArray, before: usize, raised: Raised) -> Res<()> {
    if len(array) == before {
        drop(fetch(raised));
        return Ok(());
    }
    Err(raised)
}

/// `array.clear()`; `BufferError` if somebody has a view of it.
#[inline]
fn empty(array: &ByteArray) -> Res<()> {
    #[cfg(not(Py_3_15))]
    // SAFETY: a live bytearray, attached to the interpreter.
    if unsafe { spare_memory::empty(array.as_ptr().cast()) } {
        return Ok(());
    }
    resize(array, 0)
}

/// `array.extend(more)`; `BufferError` if somebody has a view of it.
#[inline]
pub(crate) fn extend(array: &ByteArray, more: &[u8]) -> Res<()> {
    let before = len(array);
    resize(array, before.saturating_add(more.len()))?;
    // SAFETY: as much memory was just made behind what there was; the slice is not of the array, whose memory has just
    // moved.
    unsafe {
        let place = ffi::PyByteArray_AsString(array.as_ptr()).cast::<u8>().add(before);
        ptr::copy_nonoverlapping(more.as_ptr(), place, more.len());
    }
    Ok(())
}

/// Is there memory for so many bytes that an empty array can have, and whose pages the process has already?
#[inline]
pub(super) fn has_spare(array: &ByteArray, length: usize) -> bool {
    #[cfg(not(Py_3_15))]
    {
        len(array) == 0 && ffi::Py_ssize_t::try_from(length).is_ok_and(spare_memory::is_there)
    }
    #[cfg(Py_3_15)]
    {
        let _ = (array, length);
        false
    }
}

/// Makes the array longer, by so many bytes at its end that are to be written, from that place on; `BufferError` if somebody
/// has a view of it.
///
/// # Safety
/// Nothing runs until they have been written, or have been cut off again.
pub(super) unsafe fn grow(array: &ByteArray, by: usize) -> Res<*mut u8> {
    let before = len(array);
    resize(array, before.saturating_add(by))?;
    // SAFETY: a live bytearray, behind whose first bytes there are as many more now.
    Ok(unsafe { ffi::PyByteArray_AsString(array.as_ptr()).cast::<u8>().add(before) })
}

/// Makes the array that short again. Its memory stays, until it is given another length.
///
/// # Safety
/// It has been longer since it was lent last, and nobody has a view of it.
pub(super) unsafe fn cut(array: &ByteArray, length: usize) {
    debug_assert!(length <= len(array));
    let length = ffi::Py_ssize_t::try_from(length).unwrap_or(0);
    // SAFETY: a live bytearray, which has memory for as much and a zero behind it. So does its own function, where it keeps
    // the memory; that could fail.
    unsafe {
        (*array.as_ptr().cast::<ffi::PyVarObject>()).ob_size = length;
        *ffi::PyByteArray_AsString(array.as_ptr()).offset(length) = 0;
    }
}

/// The same, and gives back what memory is left over. Fails if that has left less in it.
///
/// # Safety
/// As for [`cut`].
pub(super) unsafe fn cut_exactly(array: &ByteArray, length: usize) -> Res<()> {
    let done = if length == 0 { empty(array) } else { resize(array, length) };
    let Err(raised) = done else { return Ok(()) };
    if len(array) > length {
        // SAFETY: the caller's contract; it is as it was.
        unsafe { cut(array, length) };
    }
    forgive(array, length, raised)
}

/// `bytes(array[:count])`, which is then deleted from it; `BufferError`, and nothing is deleted, if somebody has a view.
#[inline]
pub(crate) fn take_first(array: &ByteArray, count: usize) -> Res<Owned> {
    // SAFETY: making a `bytes` runs nothing that could change the array.
    let taken = unsafe {
        let all = content(array);
        bytes::copied(&all[..count.min(all.len())])?
    };
    if count < len(array) {
        bytes::delete_first(array.as_object(), count)?;
    } else {
        empty(array)?;
    }
    Ok(taken)
}

/// `array.find(wanted, start)`
#[inline]
pub(crate) fn find(array: &ByteArray, wanted: &[u8], start: usize) -> Option<usize> {
    // SAFETY: searching runs nothing that could change the array.
    let rest = unsafe { content(array).get(start..)? };
    bytes::find(rest, wanted).map(|place| start + place)
}
