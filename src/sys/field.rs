//! The cells that our objects are made of.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;

use pyo3::ffi;

use super::{Layout, Object, Owned};

/// A nullable strong reference inside an object; all zeroes is "not set".
///
/// The old value is always let go *after* the new one is in place: its finalizer may come back to this very field.
#[repr(transparent)]
pub(crate) struct Field<T: Layout = Object>(Cell<*mut ffi::PyObject>, PhantomData<T>);

impl<T: Layout> Field<T> {
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        !self.0.get().is_null()
    }

    /// A strong reference of the caller's own.
    #[inline]
    pub(crate) fn get(&self) -> Option<Owned<T>> {
        // SAFETY: a field that is set holds a strong reference, so the object is alive.
        unsafe { T::from_nullable(self.0.get()) }.map(T::own)
    }

    /// Is it this object? (No reference is made.)
    #[inline]
    pub(crate) fn holds<U: Layout>(&self, object: &U) -> bool {
        ptr::eq(self.0.get(), object.as_ptr())
    }

    /// The address or NULL, for GC visitors and for comparisons.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut ffi::PyObject {
        self.0.get()
    }

    #[inline]
    pub(crate) fn take(&self) -> Option<Owned<T>> {
        let old = self.0.replace(ptr::null_mut());
        // SAFETY: the field's reference becomes the caller's.
        (!old.is_null()).then(|| unsafe { Owned::steal(old) })
    }

    #[inline]
    pub(crate) fn set(&self, value: Owned<T>) {
        drop(self.replace(Some(value)));
    }

    #[inline]
    pub(crate) fn replace(&self, value: Option<Owned<T>>) -> Option<Owned<T>> {
        let old = self.0.replace(value.map_or(ptr::null_mut(), Owned::into_ptr));
        // SAFETY: the field's reference becomes the caller's.
        (!old.is_null()).then(|| unsafe { Owned::steal(old) })
    }

    #[inline]
    pub(crate) fn clear(&self) {
        drop(self.take());
    }

    /// An owned copy or `None` (the Python object).
    #[inline]
    pub(crate) fn get_or_none(&self) -> Owned {
        self.get().map_or_else(|| super::object::none().own(), Owned::into_object)
    }
}

impl Field {
    /// Keeps an address that is no Python object in the field, for a use that the owner of the field knows of.
    #[inline]
    pub(crate) fn set_foreign(&self, address: *const ()) {
        self.0.set(address.cast_mut().cast());
    }

    /// Takes the address back; the field is then not set.
    #[inline]
    pub(crate) fn take_foreign(&self) -> *const () {
        self.0.replace(ptr::null_mut()).cast()
    }
}

/// Up to eight booleans in one byte.
#[repr(transparent)]
pub(crate) struct Flags(Cell<u8>);

impl Flags {
    #[inline]
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.0.get() & flag != 0
    }

    #[inline]
    pub(crate) fn put(&self, flag: u8, on: bool) {
        let others = self.0.get() & !flag;
        self.0.set(if on { others | flag } else { others });
    }
}

// What the objects' layouts (and CPython's own debugger, which reads them from outside) count on.
const _: () = assert!(size_of::<Field>() == size_of::<usize>() && size_of::<Flags>() == 1);
