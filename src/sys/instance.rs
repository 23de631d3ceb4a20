//! Instance attributes and weak references: in the object up to 3.12, managed by the interpreter from 3.13 on.

use std::ffi::c_ulong;

use pyo3::ffi;

use super::gc::{Visited, Visitor};
use super::part::Part;
use super::{Layout, Object, enter};

#[cfg(not(Py_3_13))]
mod place {
    use std::ffi::{CStr, c_int};
    use std::ops::ControlFlow;
    use std::ptr;

    use super::{Visited, Visitor, c_ulong, ffi};
    use crate::sys::{Field, Object};
    #[cfg(Py_3_12)]
    use crate::sys::{containers, intern::Name};

    /// The end of an object's struct that holds its `__dict__` and its weak references.
    #[repr(C)]
    pub(crate) struct Instance {
        dict: Field,
        // A borrowed list head that only CPython looks at.
        weakrefs: std::cell::Cell<*mut ffi::PyObject>,
    }

    impl Instance {
        pub(crate) const TYPE_FLAGS: c_ulong = 0;

        /// The pseudo-members that tell `PyType_FromSpec` where the two places are, for an `Instance` at `offset`.
        pub(crate) fn members(offset: usize) -> Vec<ffi::PyMemberDef> {
            let member = |name: &'static CStr, offset: usize| ffi::PyMemberDef {
                name: name.as_ptr(),
                type_code: ffi::structmember::T_PYSSIZET,
                offset: ffi::Py_ssize_t::try_from(offset).expect("a small offset"),
                flags: ffi::structmember::READONLY as c_int,
                doc: ptr::null(),
            };
            vec![
                member(c"__dictoffset__", offset + std::mem::offset_of!(Instance, dict)),
                member(c"__weaklistoffset__", offset + std::mem::offset_of!(Instance, weakrefs)),
            ]
        }

        #[cfg(Py_3_12)]
        #[inline]
        pub(crate) fn count(&self, _owner: &Object) -> usize {
            self.dict.get().map_or(0, |dict| super::size_of_dict(super::Layout::as_ptr(&*dict)))
        }

        /// Has its `__dict__` that name?
        #[cfg(Py_3_12)]
        pub(crate) fn holds(&self, _owner: &Object, name: &Name) -> bool {
            self.dict.get().is_some_and(|dict| !containers::dict_peek(&dict, name).is_null())
        }

        pub(super) fn visit_dict(&self, _owner: &Object, visitor: Visitor) -> Visited {
            self.dict.show(visitor)?;
            ControlFlow::Continue(())
        }

        pub(super) fn clear_dict(&self, _owner: &Object) {
            self.dict.clear();
        }
    }
}

#[cfg(Py_3_13)]
mod place {
    use std::ops::ControlFlow;

    use super::{Layout, Visited, Visitor, c_ulong, ffi};
    use crate::sys::intern::Name;
    use crate::sys::{Object, containers, enter};

    // Exported by CPython from 3.13 on; pyo3-ffi does not declare it.
    unsafe extern "C" {
        fn PyObject_VisitManagedDict(
            object: *mut ffi::PyObject,
            visit: ffi::visitproc,
            argument: *mut std::ffi::c_void,
        ) -> std::ffi::c_int;
    }

    /// Where the address of the dict is, in words from the object (`MANAGED_DICT_OFFSET`).
    const DICT: isize = -3;

    /// Nothing: the interpreter keeps both in front of the object.
    #[repr(C)]
    pub(crate) struct Instance {}

    impl Instance {
        pub(crate) const TYPE_FLAGS: c_ulong = ffi::Py_TPFLAGS_MANAGED_DICT | ffi::Py_TPFLAGS_MANAGED_WEAKREF;

        pub(crate) fn members(_offset: usize) -> Vec<ffi::PyMemberDef> {
            Vec::new()
        }

        /// How many attributes the object has in its `__dict__`, if that was made. (They may be beside it: see `instance_values.rs`.)
        #[allow(clippy::unused_self)]
        #[inline]
        pub(crate) fn count(&self, owner: &Object) -> usize {
            // SAFETY: an object whose type has a managed dict, so that the word is there, with a dict or NULL.
            let dict = unsafe { *owner.as_ptr().cast::<*mut ffi::PyObject>().offset(DICT) };
            super::size_of_dict(dict)
        }

        /// Has its `__dict__`, if that was made, that name?
        #[allow(clippy::unused_self)]
        pub(crate) fn holds(&self, owner: &Object, name: &Name) -> bool {
            // SAFETY: as in `count`; a lookup of an interned string runs no Python code that could free the dict.
            let dict = unsafe { Object::from_nullable(*owner.as_ptr().cast::<*mut ffi::PyObject>().offset(DICT)) };
            dict.is_some_and(|dict| !containers::dict_peek(dict, name).is_null())
        }

        #[allow(clippy::unused_self)]
        #[inline]
        pub(super) fn visit_dict(&self, owner: &Object, visitor: Visitor) -> Visited {
            // SAFETY: an object whose type has a managed dict, and the collector's own function and argument.
            match unsafe { PyObject_VisitManagedDict(owner.as_ptr(), visitor.visit, visitor.argument) } {
                0 => ControlFlow::Continue(()),
                stop => ControlFlow::Break(stop),
            }
        }

        #[allow(clippy::unused_self)]
        #[inline]
        pub(super) fn clear_dict(&self, owner: &Object) {
            // SAFETY: an object whose type has a managed dict.
            unsafe { enter::PyObject_ClearManagedDict(owner.as_ptr()) };
        }
    }
}

/// The end of an object's struct that holds its weak references, if it has no `__dict__`.
#[cfg(not(Py_3_12))]
#[repr(transparent)]
pub(crate) struct Weakrefs(std::cell::Cell<*mut ffi::PyObject>);

/// Nothing: the interpreter keeps them in front of the object ([`super::compat::MANAGED_WEAKREF_FLAG`]).
#[cfg(Py_3_12)]
#[repr(C)]
pub(crate) struct Weakrefs {}

// SAFETY: zero is "none". They are gone when the object dies.
unsafe impl Part for Weakrefs {
    const HAS_WEAKREFS: bool = true;
}

pub(crate) use place::Instance;

/// Of a dict, or NULL.
#[cfg(Py_3_12)]
#[inline]
fn size_of_dict(dict: *mut ffi::PyObject) -> usize {
    if dict.is_null() {
        return 0;
    }
    // SAFETY: an object's dict.
    usize::try_from(unsafe { (*dict.cast::<ffi::PyDictObject>()).ma_used }).unwrap_or(0)
}

// SAFETY: zero is "no attributes" and "no references"; the rest is the interpreter's. The weak references are gone when
// the object dies.
unsafe impl Part for Instance {
    const HAS_WEAKREFS: bool = true;

    #[inline]
    fn visit(&self, owner: &Object, visitor: Visitor) -> Visited {
        self.visit_dict(owner, visitor)
    }

    #[inline]
    fn release(&self, owner: &Object) {
        self.clear_dict(owner);
    }

    fn renew(&self, _owner: &Object) {}
}

/// Clears the weak references to a dying object, wherever its type keeps them.
///
/// # Safety
/// An object in its type's deallocator: nobody has a reference to it.
#[inline]
pub(super) unsafe fn clear_weakrefs<T: Layout>(object: &T) {
    // SAFETY: the type's own offset of the list, which is zero if there is none; the rest is the caller's contract.
    unsafe {
        let offset = (*object.as_object().type_ptr()).tp_weaklistoffset;
        let list = object.as_ptr().cast::<*mut ffi::PyObject>().byte_offset(offset);
        if offset != 0 && !(*list).is_null() {
            enter::PyObject_ClearWeakRefs(object.as_ptr());
        }
    }
}
