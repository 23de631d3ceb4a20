//! The garbage collector's visits.

use std::ffi::{c_int, c_void};
use std::ops::ControlFlow;

use pyo3::ffi;

use super::{Layout, Object, enter};

/// Stops with what the visitor answered, if that is not zero.
pub(crate) type Visited = ControlFlow<c_int>;

/// What `tp_traverse` was called with.
#[derive(Clone, Copy)]
pub(crate) struct Visitor {
    pub(crate) visit: ffi::visitproc,
    pub(crate) argument: *mut c_void,
}

impl Visitor {
    /// Shows a reference that the visited object holds.
    #[inline]
    pub(crate) fn object<T: Layout>(self, object: &T) -> Visited {
        // SAFETY: the collector's own function with the argument that belongs to it, and a live object.
        match unsafe { (self.visit)(object.as_ptr(), self.argument) } {
            0 => ControlFlow::Continue(()),
            stop => ControlFlow::Break(stop),
        }
    }

    /// A heap type is kept alive by its instances, so each of them shows it to the collector.
    #[inline]
    pub(crate) fn class_of(self, object: &Object) -> Visited {
        self.object(object.class())
    }
}

/// Ends tracking before an object is taken apart, so that no collection sees it half cleared (bpo-31061).
///
/// # Safety
/// An object of a GC type.
#[inline]
pub(super) unsafe fn untrack<T: Layout>(object: &T) {
    // SAFETY: the caller's contract.
    unsafe { ffi::PyObject_GC_UnTrack(object.as_ptr().cast()) }
}

/// Has its finaliser run?
pub(crate) fn is_finalized<T: Layout>(object: &T) -> bool {
    // SAFETY: a live object; the function asks whether it is of a GC type.
    unsafe { ffi::PyObject_GC_IsFinalized(object.as_ptr()) != 0 }
}

/// In a finaliser: is it the last reference that went, and not the collector that came? The first leaves no reference
/// but the finaliser's own; garbage has one from inside of its cycle besides.
pub(crate) fn is_freed_by_count<T: Layout>(object: &T) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::Py_REFCNT(object.as_ptr()) == 1 }
}

/// Does anybody hold a reference, i.e. has its deallocation not begun?
pub(crate) fn is_alive<T: Layout>(object: &T) -> bool {
    // SAFETY: memory of an object.
    unsafe { ffi::Py_REFCNT(object.as_ptr()) > 0 }
}

/// Runs the finaliser of an object whose deallocator has been called, if it has not run yet; true if it has brought the
/// object back to life: then the deallocator must leave it alone.
///
/// # Safety
/// An object of a GC type with a finaliser, in the type's deallocator: nobody has a reference to it.
pub(super) unsafe fn is_revived_by_finalizer<T: Layout>(object: &T) -> bool {
    // SAFETY: the caller's contract.
    unsafe { enter::PyObject_CallFinalizerFromDealloc(object.as_ptr()) < 0 }
}
