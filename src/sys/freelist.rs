//! Memory of dead objects, kept for the next one of the type.
//!
//! An object goes in when its deallocator has cleared it: all fields not set, no weak references, no attributes, not
//! tracked, never finalised (the collector's mark of that cannot be taken back). It comes out as `tp_alloc` would have
//! made it. Only objects of the exact type qualify; a subclass may have another size.
//!
//! Besides the allocator's time this saves collections: the collector counts what is allocated, not what is used again.

use std::cell::{Cell, RefCell};
use std::ptr;

use pyo3::ffi;

use super::attached::Attached;
use super::memory::has_room;
use super::part::Part;
use super::{Layout, Owned, Res, assertions, enter};

/// How many objects are worth keeping in any case.
pub(crate) const FEW: usize = 256;

/// The memory of dead objects of one type.
pub(crate) struct Freelist(Attached<List>);

struct List {
    /// No Python code runs while it is borrowed.
    items: RefCell<Vec<*mut ffi::PyObject>>,
    /// The least length since the last `trim`: so many were of no use.
    lowest: Cell<usize>,
    limit: usize,
}

impl Freelist {
    /// Of up to `limit` objects. One with a limit of more than [`FEW`] has to be trimmed now and then.
    pub(crate) const fn new(limit: usize) -> Self {
        Freelist(Attached::new(List { items: RefCell::new(Vec::new()), lowest: Cell::new(0), limit }))
    }

    /// A new, tracked object of the exact type `class`, zeroed.
    ///
    /// # Safety
    /// As for [`allocate_zeroed`], and the class is always the same.
    #[inline]
    pub(super) unsafe fn allocate<T: Layout + Part>(&self, class: *mut ffi::PyTypeObject) -> Res<Owned<T>> {
        let Some(memory) = self.pop() else {
            // SAFETY: the caller's contract.
            return unsafe { allocate_zeroed(class) };
        };
        debug_assert!(assertions::is_blank(memory, T::keeps), "used after it was freed");
        // SAFETY: memory of a dead object of this type, cleared and untracked.
        unsafe {
            ffi::PyObject_Init(memory, class);
            ffi::PyObject_GC_Track(memory.cast());
            Ok(Owned::steal(memory))
        }
    }

    /// Frees a dead object of `class` or of a subclass, or keeps its memory.
    ///
    /// # Safety
    /// The object's reference count is zero, and it is as the module's text says.
    #[inline]
    pub(super) unsafe fn free<T: Layout + Part>(&self, object: *mut ffi::PyObject, class: *mut ffi::PyTypeObject) {
        // SAFETY: the caller's contract; the type outlives its last instance because we still hold the reference
        // that the instance had to it.
        unsafe {
            debug_assert!(ffi::Py_REFCNT(object) == 0 && T::fits(&*object.cast()));
            let actual = ffi::Py_TYPE(object);
            let fits = ptr::eq(actual, class) && ffi::PyObject_GC_IsFinalized(object) == 0;
            debug_assert!(!fits || assertions::is_blank(object, T::keeps), "not cleared");
            if fits && self.push(object) {
                enter::Py_DECREF(actual.cast());
            } else {
                free(object);
            }
        }
    }

    /// Frees what was of no use since it was called last, but for a few. Runs no Python code.
    pub(crate) fn trim(&self) {
        for _ in FEW..self.0.lowest.get() {
            let Some(memory) = self.pop() else { break };
            // SAFETY: memory of a dead object whose type is one of our static references, so still there.
            unsafe {
                if let Some(free) = (*ffi::Py_TYPE(memory)).tp_free {
                    free(memory.cast());
                }
            }
        }
        let mut items = self.0.items.borrow_mut();
        items.shrink_to(FEW);
        self.0.lowest.set(items.len());
    }

    #[inline]
    fn pop(&self) -> Option<*mut ffi::PyObject> {
        let mut items = self.0.items.borrow_mut();
        let memory = items.pop()?;
        self.0.lowest.set(self.0.lowest.get().min(items.len()));
        Some(memory)
    }

    /// Keeps it, if there is room.
    #[inline]
    fn push(&self, memory: *mut ffi::PyObject) -> bool {
        let mut items = self.0.items.borrow_mut();
        let kept = items.len() < self.0.limit && has_room(&mut *items);
        if kept {
            items.push(memory);
        }
        kept
    }
}

/// A new instance of the class, in zeroed memory: what `tp_new` has to begin with.
///
/// # Safety
/// The class is a live type whose instances have the layout `T`; the caller makes of the zeroes what `T` wants.
pub(super) unsafe fn allocate_zeroed<T: Layout>(class: *mut ffi::PyTypeObject) -> Res<Owned<T>> {
    // SAFETY: the caller's contract.
    unsafe { Owned::steal_or_raised(enter::PyType_GenericAlloc(class, 0)) }
}

/// The end of a deallocator: frees the memory, and gives up the reference that the instance had to its type.
///
/// # Safety
/// The object is dead, untracked, and empty.
pub(super) unsafe fn free(object: *mut ffi::PyObject) {
    // SAFETY: the caller's contract; the type outlives the memory, for its reference is given up last.
    unsafe {
        let class = ffi::Py_TYPE(object);
        if let Some(free) = (*class).tp_free {
            free(object.cast());
        }
        enter::Py_DECREF(class.cast());
    }
}
