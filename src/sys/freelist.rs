//! Memory of dead objects, kept for the next one of the type.
//!
//! An object goes in when its deallocator has cleared it: all fields not set, no weak references, no attributes, not
//! tracked, never finalised (the collector's mark of that cannot be taken back). It comes out as `tp_alloc` would have
//! made it. Only objects of the exact type qualify; a subclass may have another size.

use std::cell::Cell;
use std::ptr;

use pyo3::ffi;

use super::attached::Attached;
use super::typeobj::StaticType;
use super::{Layout, Owned, Res};

const CAPACITY: usize = 256;

/// The memory of up to 256 objects of one type.
pub(crate) struct Freelist {
    items: Attached<[Cell<*mut ffi::PyObject>; CAPACITY]>,
    len: Attached<Cell<usize>>,
}

impl Freelist {
    pub(crate) const fn new() -> Self {
        Freelist {
            items: Attached::new([const { Cell::new(ptr::null_mut()) }; CAPACITY]),
            len: Attached::new(Cell::new(0)),
        }
    }

    /// A new, tracked object of the exact type `class`, zeroed.
    #[inline]
    pub(crate) fn allocate<T: Layout>(&self, class: &StaticType<T>) -> Res<Owned<T>> {
        let Some(last) = self.len.get().checked_sub(1) else {
            // SAFETY: a ready type whose instances have the layout T; allocation zeroes and tracks them.
            return unsafe { Owned::steal_or_raised(ffi::PyType_GenericAlloc(class.as_ptr(), 0)) };
        };
        self.len.set(last);
        // SAFETY: entries below `len` are memory of dead objects of this type, cleared and untracked.
        unsafe {
            let memory = self.items[last].get();
            ffi::PyObject_Init(memory, class.as_ptr());
            ffi::PyObject_GC_Track(memory.cast());
            Ok(Owned::steal(memory))
        }
    }

    /// Frees a dead object of `class` or of a subclass, or keeps its memory.
    ///
    /// # Safety
    /// The object's reference count is zero, and it is as the module's text says.
    #[inline]
    pub(crate) unsafe fn free<T: Layout>(&self, object: *mut ffi::PyObject, class: &StaticType<T>) {
        // SAFETY: the caller's contract; the type outlives its last instance because we still hold the reference
        // that the instance had to it.
        unsafe {
            let actual = ffi::Py_TYPE(object);
            let len = self.len.get();
            if len < CAPACITY && ptr::eq(actual, class.as_ptr()) && ffi::PyObject_GC_IsFinalized(object) == 0 {
                self.items[len].set(object);
                self.len.set(len + 1);
            } else if let Some(free) = (*actual).tp_free {
                free(object.cast());
            }
            ffi::Py_DECREF(actual.cast());
        }
    }
}
