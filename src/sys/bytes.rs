//! `bytes`, and the memory of whatever else has bytes (the buffer protocol).

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr;

use pyo3::ffi;

use super::intern::CAST;
use super::{Layout, Object, Owned, Raised, Res, call, enter};

/// What an object of exactly the type `bytes` holds, which nobody changes.
#[inline]
pub(crate) fn of_exact(object: &Object) -> Option<&[u8]> {
    // SAFETY: a live object, of that type as was asked; its memory lives, unchanged, as long as it does.
    unsafe {
        (ffi::PyBytes_CheckExact(object.as_ptr()) != 0).then(|| {
            let length = usize::try_from(ffi::Py_SIZE(object.as_ptr())).unwrap_or(0);
            std::slice::from_raw_parts(ffi::PyBytes_AS_STRING(object.as_ptr()).cast::<u8>(), length)
        })
    }
}

/// A `bytes` of these.
#[inline]
pub(crate) fn copied(content: &[u8]) -> Res<Owned> {
    let length = ffi::Py_ssize_t::try_from(content.len()).unwrap_or(ffi::PY_SSIZE_T_MAX);
    // SAFETY: a slice's memory of that length, which is copied.
    unsafe { Owned::steal_or_raised(ffi::PyBytes_FromStringAndSize(content.as_ptr().cast(), length)) }
}

/// A `bytes` of what an object has lent, as it is now.
pub(crate) fn copied_from(memory: &Buffer) -> Res<Owned> {
    let length = ffi::Py_ssize_t::try_from(memory.len()).unwrap_or(ffi::PY_SSIZE_T_MAX);
    // SAFETY: memory of that length, which is copied.
    unsafe { Owned::steal_or_raised(ffi::PyBytes_FromStringAndSize(memory.start().cast_const().cast(), length)) }
}

/// A `bytes` that is being made: nobody else knows it yet.
pub(super) struct NewBytes(Owned);

impl NewBytes {
    #[inline]
    pub(super) fn of_length(length: usize) -> Res<NewBytes> {
        let length = ffi::Py_ssize_t::try_from(length).unwrap_or(ffi::PY_SSIZE_T_MAX);
        // SAFETY: NULL says that the memory is to be filled later.
        unsafe { Owned::steal_or_raised(ffi::PyBytes_FromStringAndSize(ptr::null(), length)).map(NewBytes) }
    }

    /// The same object as another, of that length.
    ///
    /// # Safety
    /// An exact `bytes` that nobody else has, of more than one byte, with memory for as many and the zero behind them.
    #[inline]
    pub(super) unsafe fn of_old(object: Owned, length: usize) -> NewBytes {
        let head = object.as_ptr().cast::<ffi::PyBytesObject>();
        // SAFETY: the caller's contract. The hash of what was there is forgotten.
        #[allow(deprecated)]
        unsafe {
            (*head).ob_base.ob_size = ffi::Py_ssize_t::try_from(length).unwrap_or(0);
            (*head).ob_shash = -1;
            *(&raw mut (*head).ob_sval).cast::<u8>().add(length) = 0;
        }
        NewBytes(object)
    }

    /// The memory to fill.
    #[inline]
    pub(super) fn memory(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: a `bytes` of this length that only we know, of which nothing is read.
        unsafe {
            let length = usize::try_from(ffi::PyBytes_Size(self.0.as_ptr())).unwrap_or(0);
            std::slice::from_raw_parts_mut(ffi::PyBytes_AsString(self.0.as_ptr()).cast(), length)
        }
    }

    /// The object.
    ///
    /// # Safety
    /// All of its memory has been written.
    #[inline]
    pub(super) unsafe fn into_bytes(self) -> Owned {
        self.0
    }

    /// The object, of its first bytes only. Most of its memory is likely to be in use.
    ///
    /// # Safety
    /// That many bytes of its memory have been written.
    #[inline]
    pub(super) unsafe fn shortened(self, length: usize) -> Res<Owned> {
        // SAFETY: the caller's contract.
        unsafe { self.resized(length).map(|made| made.into_bytes()) }
    }

    /// The same bytes with more memory, whose first part holds what has been written.
    ///
    /// # Safety
    /// That many bytes of its memory have been written.
    pub(super) unsafe fn lengthened(self, written: usize, length: usize) -> Res<NewBytes> {
        debug_assert!(written <= length);
        // SAFETY: the caller's contract.
        unsafe { self.resized(length) }
    }

    /// # Safety
    /// What is kept of its memory counts as written, or is to be written later.
    unsafe fn resized(self, length: usize) -> Res<NewBytes> {
        // pyo3-ffi does not declare it.
        unsafe extern "C" {
            fn _PyBytes_Resize(object: *mut *mut ffi::PyObject, length: ffi::Py_ssize_t) -> c_int;
        }
        let mut object = self.0.into_ptr();
        // SAFETY: a `bytes` that only we know; the reference is the function's, which leaves another in its place, or
        // NULL with the exception set.
        unsafe {
            if usize::try_from(ffi::Py_SIZE(object)) == Ok(length) {
                return Ok(NewBytes(Owned::steal(object)));
            }
            let length = ffi::Py_ssize_t::try_from(length).unwrap_or(ffi::PY_SSIZE_T_MAX);
            match _PyBytes_Resize(&raw mut object, length) {
                0 => Ok(NewBytes(Owned::steal(object))),
                _ => Err(Raised),
            }
        }
    }
}

/// Memory that an object has lent: it stays where it is, and as long as it is, until this is dropped.
pub(crate) struct Buffer(Box<ffi::Py_buffer>);

impl Buffer {
    /// For reading; bytes in a row.
    pub(crate) fn of(object: &Object) -> Res<Buffer> {
        Buffer::get(object, ffi::PyBUF_SIMPLE)
    }

    /// For writing into; bytes in a row.
    pub(crate) fn writable(object: &Object) -> Res<Buffer> {
        Buffer::get(object, ffi::PyBUF_WRITABLE)
    }

    fn get(object: &Object, flags: c_int) -> Res<Buffer> {
        let mut view = Box::new(ffi::Py_buffer::new());
        // SAFETY: a live object, and a place for the view, which stays where it is.
        match unsafe { enter::PyObject_GetBuffer(object.as_ptr(), &raw mut *view, flags) } {
            0 => Ok(Buffer(view)),
            _ => Err(Raised),
        }
    }

    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.0.len).unwrap_or(0)
    }

    /// The first byte. What is there is the object's, and others may change it at any time.
    pub(crate) fn start(&self) -> *mut u8 {
        self.0.buf.cast()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: a view that was got, and is released once.
        unsafe { enter::PyBuffer_Release(&raw mut *self.0) };
    }
}

/// `memoryview(object)[start:]`, of bytes whatever the object's items are.
pub(crate) fn view_from(object: &Object, start: usize) -> Res<Owned> {
    // SAFETY: a live object; a new reference, or NULL with the exception set.
    let view: Owned = unsafe { Owned::steal_or_raised(enter::PyMemoryView_FromObject(object.as_ptr()))? };
    let format = super::containers::string(c"B")?;
    let view = call::call_method(&CAST, &[&*view, &*format], None)?;
    rest_of(&view, start)
}

/// `view[start:]`, of a memoryview.
pub(crate) fn rest_of(view: &Object, start: usize) -> Res<Owned> {
    let start = ffi::Py_ssize_t::try_from(start).unwrap_or(ffi::PY_SSIZE_T_MAX);
    // SAFETY: a live object; a new reference, or NULL with the exception set.
    unsafe { Owned::steal_or_raised(enter::PySequence_GetSlice(view.as_ptr(), start, ffi::PY_SSIZE_T_MAX)) }
}

/// `b"".join(pieces)`, of objects of exactly the type `bytes`.
pub(crate) fn joined(pieces: &[Owned]) -> Res<Owned> {
    if let [only] = pieces {
        return Ok(only.clone());
    }
    let contents = || pieces.iter().filter_map(|piece| of_exact(piece));
    let mut made = NewBytes::of_length(contents().map(<[u8]>::len).sum())?;
    let mut rest = made.memory();
    for content in contents() {
        let (places, behind) = rest.split_at_mut(content.len());
        // SAFETY: as many places as there are bytes, which nobody else knows yet.
        unsafe { ptr::copy_nonoverlapping(content.as_ptr(), places.as_mut_ptr().cast(), content.len()) };
        rest = behind;
    }
    // SAFETY: as many were written as there are.
    Ok(unsafe { made.into_bytes() })
}

/// `array += data`, of a bytearray; the result, which is another object if `array` was none.
pub(crate) fn appended(array: &Object, data: &Object) -> Res<Owned> {
    // SAFETY: live objects; a new reference, or NULL with the exception set.
    unsafe { Owned::steal_or_raised(enter::PySequence_InPlaceConcat(array.as_ptr(), data.as_ptr())) }
}

/// `del array[:count]`
pub(crate) fn delete_first(array: &Object, count: usize) -> Res<()> {
    let count = ffi::Py_ssize_t::try_from(count).unwrap_or(ffi::PY_SSIZE_T_MAX);
    // SAFETY: a live object.
    match unsafe { enter::PySequence_DelSlice(array.as_ptr(), 0, count) } {
        0 => Ok(()),
        _ => Err(Raised),
    }
}

/// Where `wanted` begins first.
#[cfg(Py_3_12)]
#[inline]
pub(crate) fn find(content: &[u8], wanted: &[u8]) -> Option<usize> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: memory of these lengths; the functions answer NULL, or an address in the first.
        let found = unsafe {
            match *wanted {
                [byte] => libc::memchr(content.as_ptr().cast(), i32::from(byte), content.len()),
                _ => libc::memmem(content.as_ptr().cast(), content.len(), wanted.as_ptr().cast(), wanted.len()),
            }
        }
        .cast::<u8>();
        (!found.is_null()).then(|| found.addr() - content.as_ptr().addr())
    }
    #[cfg(not(target_os = "linux"))]
    if wanted.is_empty() { Some(0) } else { content.windows(wanted.len()).position(|window| window == wanted) }
}

/// Is it exactly a `bytearray`?
pub(crate) fn is_bytearray(object: &Object) -> bool {
    ptr::eq(object.type_ptr(), &raw mut ffi::PyByteArray_Type)
}

/// Is it a `memoryview`? (There are no subclasses.)
pub(crate) fn is_view(object: &Object) -> bool {
    ptr::eq(object.type_ptr(), &raw mut ffi::PyMemoryView_Type)
}

/// Is it exactly a `bytearray`, or a `memoryview` of single bytes in a row? Of these, length and number of bytes are the
/// same.
pub(crate) fn is_plain_view(object: &Object) -> bool {
    if !is_view(object) {
        return is_bytearray(object);
    }
    let Ok(view) = Buffer::get(object, ffi::PyBUF_ND) else {
        super::raised::clear();
        return false;
    };
    view.0.ndim == 1 && view.0.itemsize == 1
}

/// Is it memory of a single item, that has no dimension?
pub(crate) fn is_scalar(object: &Object) -> bool {
    let view = Buffer::get(object, ffi::PyBUF_ND);
    if view.is_err() {
        super::raised::clear();
    }
    view.is_ok_and(|view| view.0.ndim == 0)
}

/// Bytes that somebody else has, and that are kept until they are used up.
pub(crate) enum Held {
    /// A `bytes`.
    Bytes(Owned),
    /// An object, and its memory.
    Lent(Owned, Buffer),
}

impl Held {
    /// Memory that an object lends, as it is now and later.
    pub(crate) fn lent(object: &Object) -> Res<Held> {
        Ok(Held::Lent(object.own(), Buffer::of(object)?))
    }

    pub(crate) fn object(&self) -> &Object {
        match self {
            Held::Bytes(object) | Held::Lent(object, _) => object,
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self {
            Held::Bytes(object) => of_exact(object).map_or(0, <[u8]>::len),
            Held::Lent(_, buffer) => buffer.len(),
        }
    }

    /// Where the bytes are. Those of a `bytes` never change; others change what they have lent.
    #[inline]
    pub(super) fn start(&self) -> *const u8 {
        match self {
            Held::Bytes(object) => of_exact(object).map_or(ptr::null(), <[u8]>::as_ptr),
            Held::Lent(_, buffer) => buffer.start().cast_const(),
        }
    }
}
