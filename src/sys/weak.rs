//! Weak references.

use std::ptr;

use pyo3::ffi;

use super::{Layout, Object, Owned, Res, enter};

/// One without a callback; all of an object's are one.
pub(crate) fn reference(object: &Object) -> Res<Owned> {
    // SAFETY: a live object; a new reference, or NULL with the exception set.
    unsafe { Owned::steal_or_raised(enter::PyWeakref_NewRef(object.as_ptr(), ptr::null_mut())) }
}

/// Is it exactly a `weakref.ref`?
#[cfg(Py_3_12)]
#[inline]
pub(crate) fn is_reference(object: &Object) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyWeakref_CheckRefExact(object.as_ptr()) != 0 }
}

/// One whose callback is called when the object is gone.
pub(crate) fn reference_with(object: &Object, callback: &Object) -> Res<Owned> {
    // SAFETY: live objects; a new reference, or NULL with the exception set.
    unsafe { Owned::steal_or_raised(enter::PyWeakref_NewRef(object.as_ptr(), callback.as_ptr())) }
}

/// What one that [`reference`] has made refers to, if that is still there.
pub(crate) fn target(reference: &Object) -> Option<Owned> {
    // SAFETY: a live object; the functions check that it is a weak reference.
    unsafe {
        #[cfg(Py_3_13)]
        {
            let mut found = ptr::null_mut();
            match ffi::PyWeakref_GetRef(reference.as_ptr(), &raw mut found) {
                1 => Some(Owned::steal(found)),
                _ => None,
            }
        }
        #[cfg(not(Py_3_13))]
        Object::from_nullable(ffi::PyWeakref_GetObject(reference.as_ptr()))
            .filter(|found| !found.is_none())
            .map(Layout::own)
    }
}
