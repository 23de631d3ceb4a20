//! What is asked of a type.

use std::ptr;

use pyo3::ffi;

#[cfg(Py_3_12)]
use super::Field;
#[cfg(Py_3_12)]
use super::Res;
use super::intern::Name;
use super::object::Type;
use super::{Layout, Object, Owned, containers};

/// What a class is known by without a reference: its address, and the version tag, which changes whenever the class (or
/// a base of it) does, and which no other ever gets. One without a tag is never the same.
#[derive(Clone, Copy)]
pub(crate) struct Identity {
    class: *const Type,
    version: u32,
}

impl Identity {
    /// Of no class.
    pub(crate) const NOBODY: Identity = Identity { class: ptr::null(), version: 0 };

    #[inline]
    pub(crate) fn is(self, other: Identity) -> bool {
        self.version == other.version && ptr::eq(self.class, other.class) && self.version != 0
    }

    /// Can it ever be the same again?
    pub(crate) fn is_known(self) -> bool {
        self.version != 0
    }
}

impl Type {
    #[inline]
    pub(super) fn as_type_ptr(&self) -> *mut ffi::PyTypeObject {
        self.as_ptr().cast()
    }

    #[inline]
    pub(crate) fn identity(&self) -> Identity {
        // SAFETY: a live type.
        Identity { class: self, version: unsafe { (*self.as_type_ptr()).tp_version_tag } }
    }

    /// Gives the class a tag, if it has none and there is one left for it. Has it one now?
    pub(crate) fn assign_version(&self) -> bool {
        #[cfg(Py_3_12)]
        {
            unsafe extern "C" {
                fn PyUnstable_Type_AssignVersionTag(class: *mut ffi::PyTypeObject) -> std::ffi::c_int;
            }
            // SAFETY: a live type.
            unsafe { PyUnstable_Type_AssignVersionTag(self.as_type_ptr()) };
        }
        #[cfg(not(Py_3_12))]
        {
            // Looking something up in it does that.
            // SAFETY: a live type and a NUL-terminated name; a new reference, or NULL with an error set.
            let found: super::Res<Owned> = unsafe {
                Owned::steal_or_raised(super::enter::PyObject_GetAttrString(self.as_ptr(), c"__init__".as_ptr()))
            };
            if found.is_err() {
                super::raised::clear();
            }
        }
        self.identity().is_known()
    }

    /// The tag; 0 if it has none.
    #[cfg(not(Py_3_12))]
    pub(super) fn version(&self) -> u32 {
        self.identity().version
    }

    /// `class.__basicsize__`
    pub(crate) fn basic_size(&self) -> usize {
        // SAFETY: a live type.
        usize::try_from(unsafe { (*self.as_type_ptr()).tp_basicsize }).unwrap_or(0)
    }

    /// Can its attributes be set?
    pub(crate) fn can_be_changed(&self) -> bool {
        // SAFETY: a live type.
        let flags = unsafe { ffi::PyType_GetFlags(self.as_type_ptr()) };
        flags & (ffi::Py_TPFLAGS_HEAPTYPE | ffi::Py_TPFLAGS_IMMUTABLETYPE) == ffi::Py_TPFLAGS_HEAPTYPE
    }

    /// `class.__mro__`, the class itself first.
    pub(crate) fn ancestors(&self) -> Vec<Owned<Type>> {
        // SAFETY: a live type's tuple of types (or NULL), borrowed, and read before anything else runs.
        unsafe {
            let mro = (*self.as_type_ptr()).tp_mro;
            let Some(mro) = Object::from_nullable(mro) else { return Vec::new() };
            let count = ffi::PyTuple_GET_SIZE(mro.as_ptr());
            let item = |i| Object::from_ptr(ffi::PyTuple_GET_ITEM(mro.as_ptr(), i));
            (0..count).filter_map(|i| item(i).as_type()).map(Layout::own).collect()
        }
    }

    /// Where instances of the class keep the attribute, which one of the class's own `__slots__` made.
    pub(crate) fn slot_offset(&self, name: &Name) -> Option<usize> {
        // SAFETY: a live type's dict (or NULL). The descriptor is borrowed from it, and read before anything else runs;
        // its exact type says that it has that layout, and its definition lives as long as it does.
        unsafe {
            let dict = Object::from_nullable((*self.as_type_ptr()).tp_dict)?;
            let member = Object::from_nullable(containers::dict_peek(dict, name))?;
            if !ptr::eq(member.type_ptr(), &raw mut ffi::PyMemberDescr_Type) {
                return None;
            }
            usize::try_from((*(*member.as_ptr().cast::<ffi::PyMemberDescrObject>()).d_member).offset).ok()
        }
    }

    /// What looking the name up in the class finds, without the metaclass. Runs no Python code.
    #[cfg(Py_3_12)]
    pub(crate) fn find(&self, name: &Name) -> Option<Owned> {
        self.ancestors().iter().find_map(|class| {
            // SAFETY: a live type's dict, or NULL; borrowed, and made owned before anything else runs.
            unsafe {
                let dict = Object::from_nullable((*class.as_type_ptr()).tp_dict)?;
                containers::dict_get_named(dict, name)
            }
        })
    }

    /// Is it the other, or a subclass of it?
    #[cfg(Py_3_12)]
    pub(crate) fn is_subclass_of(&self, other: &Type) -> bool {
        // SAFETY: live types; this looks at the one's `__mro__`.
        unsafe { ffi::PyType_IsSubtype(self.as_type_ptr(), other.as_type_ptr()) != 0 }
    }

    /// Are attributes of the class's instances set in the generic way (no `__setattr__`, no `__delattr__`)?
    #[cfg(Py_3_12)]
    pub(crate) fn has_generic_setattr(&self) -> bool {
        // SAFETY: a live type.
        let setattr = unsafe { (*self.as_type_ptr()).tp_setattro };
        setattr.is_some_and(|f| ptr::fn_addr_eq(f, ffi::PyObject_GenericSetAttr as ffi::setattrofunc))
    }

    /// Are attributes of the class's instances found in the generic way (no `__getattribute__`, no `__getattr__`)?
    pub(crate) fn has_generic_getattr(&self) -> bool {
        // SAFETY: a live type.
        let getattr = unsafe { (*self.as_type_ptr()).tp_getattro };
        getattr.is_some_and(|f| ptr::fn_addr_eq(f, ffi::PyObject_GenericGetAttr as ffi::getattrofunc))
    }
}

/// What the dict, of a module's names, holds under the name, if that is a class. Nothing is kept of it.
#[inline]
pub(crate) fn peek_identity(dict: &Object, name: &Name) -> Identity {
    // SAFETY: a borrowed reference (or NULL), looked at before anything else runs.
    let class = unsafe { Object::from_nullable(containers::dict_peek(dict, name)) };
    class.and_then(Object::as_type).map_or(Identity::NOBODY, Type::identity)
}

/// The class, which is never let go from now on.
pub(crate) fn keep(class: &Type) -> &'static Type {
    // SAFETY: the reference is given up by nobody.
    unsafe { Type::from_ptr(class.own().into_ptr()) }
}

/// `type`
pub(crate) fn type_type() -> &'static Object {
    // SAFETY: the type of types is static.
    unsafe { Object::from_ptr((&raw mut ffi::PyType_Type).cast()) }
}

/// Has the class no `__new__` but that of `object`?
#[cfg(Py_3_12)]
pub(crate) fn has_new_of_object(class: &Type) -> bool {
    // SAFETY: live types, whose slots are compared.
    unsafe {
        match (ffi::PyBaseObject_Type.tp_new, (*class.as_type_ptr()).tp_new) {
            (Some(of_object), Some(new)) => ptr::fn_addr_eq(new, of_object),
            _ => false,
        }
    }
}

/// A new instance of the class, as `object.__new__` makes it; `None` if the class has another `__new__`.
#[cfg(Py_3_12)]
pub(crate) fn new_instance(class: &Type) -> Option<Res<Owned>> {
    has_new_of_object(class).then(|| plain_instance(class))
}

/// A new instance of a class of Python's, as `object.__new__` makes it, whatever `__new__` the class has got since it was
/// looked at.
#[cfg(Py_3_12)]
pub(crate) fn plain_instance(class: &Type) -> Res<Owned> {
    let no_arguments = containers::tuple(&[])?;
    // SAFETY: a class whose base is `object`; a new reference.
    unsafe { Owned::steal_or_raised(super::enter::new_object(class.as_type_ptr(), no_arguments.as_ptr())) }
}

/// A function as the method of an object.
#[cfg(Py_3_12)]
pub(crate) fn bind(function: &Object, object: &Object) -> Res<Owned> {
    // SAFETY: live objects; a new reference.
    unsafe { Owned::steal_or_raised(super::enter::PyMethod_New(function.as_ptr(), object.as_ptr())) }
}

/// The function and the object of a bound method, if it is exactly one.
#[cfg(Py_3_12)]
#[inline]
pub(crate) fn unbind(method: &Object) -> Option<(Owned, Owned)> {
    unsafe extern "C" {
        static mut PyMethod_Type: ffi::PyTypeObject;
        fn PyMethod_Function(method: *mut ffi::PyObject) -> *mut ffi::PyObject;
        fn PyMethod_Self(method: *mut ffi::PyObject) -> *mut ffi::PyObject;
    }
    if !ptr::eq(method.type_ptr(), &raw mut PyMethod_Type) {
        return None;
    }
    // SAFETY: an exact method; borrowed references, made owned before anything else runs.
    unsafe {
        let (function, object) = (PyMethod_Function(method.as_ptr()), PyMethod_Self(method.as_ptr()));
        Some((Object::from_ptr(function).own(), Object::from_ptr(object).own()))
    }
}

/// Has the class itself, without its bases, this value under the name? An unset field is that of none.
#[cfg(Py_3_12)]
pub(crate) fn member_is(class: &Type, name: &Object, value: &Field) -> bool {
    // SAFETY: a live type's dict, or NULL: static builtin types keep theirs elsewhere, and do not change.
    match unsafe { Object::from_nullable((*class.as_type_ptr()).tp_dict) } {
        Some(dict) => containers::dict_holds(dict, name, value),
        None => true,
    }
}

/// Is it the class's `__mro__`?
#[cfg(Py_3_12)]
pub(crate) fn mro_is(class: &Type, mro: &Field) -> bool {
    // SAFETY: a live type.
    mro.is_exactly_at(unsafe { (*class.as_type_ptr()).tp_mro })
}
