//! Borrowed (`&T`) and owned ([`Owned<T>`]) references to Python objects.

use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::{self, NonNull};

use pyo3::ffi;

use super::{Raised, Res, assertions, enter};

/// Any Python object. `&Object` is a borrowed reference to it.
#[repr(transparent)]
pub(crate) struct Object(UnsafeCell<ffi::PyObject>);

/// A struct that is the memory of a Python object.
///
/// # Safety
/// The implementing type is `repr(C)` or `repr(transparent)`, begins with an [`Object`], lies only in memory of
/// CPython's allocator, and has all of its changing state in cells.
pub(crate) unsafe trait Layout: Sized {
    /// Is the object's type one whose instances have this layout? For debug assertions.
    fn fits(object: &Object) -> bool;

    /// The address, for the C API; no reference is handed over.
    #[inline]
    fn as_ptr(&self) -> *mut ffi::PyObject {
        ptr::from_ref(self).cast_mut().cast()
    }

    #[inline]
    fn as_object(&self) -> &Object {
        // SAFETY: every `Layout` begins with an `Object` (the trait's contract).
        unsafe { &*ptr::from_ref(self).cast::<Object>() }
    }

    /// A new strong reference.
    #[inline]
    fn own(&self) -> Owned<Self> {
        debug_assert!(assertions::is_attached() && assertions::is_alive(self.as_ptr()));
        // SAFETY: the object is alive as long as `&self`; the new reference is handed to `Owned`.
        unsafe {
            ffi::Py_INCREF(self.as_ptr());
            Owned(NonNull::from(self))
        }
    }

    /// Does nobody else hold a reference?
    #[inline]
    fn is_only_reference(&self) -> bool {
        // SAFETY: a live object.
        unsafe { ffi::Py_REFCNT(self.as_ptr()) == 1 }
    }

    /// Asks the processor to have the object's memory at hand soon.
    #[inline]
    fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a hint, which reads nothing.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.as_ptr().cast());
            _mm_prefetch::<_MM_HINT_T0>(self.as_ptr().cast::<i8>().wrapping_add(64));
        }
    }

    /// Identity, Python's `is`.
    #[inline]
    fn is<U: Layout>(&self, other: &U) -> bool {
        ptr::eq(self.as_ptr(), other.as_ptr())
    }

    /// A borrowed reference out of what C handed in.
    ///
    /// # Safety
    /// `ptr` points to a live object of this layout that stays alive for `'a`.
    #[inline]
    unsafe fn from_ptr<'a>(ptr: *mut ffi::PyObject) -> &'a Self {
        debug_assert!(!ptr.is_null());
        // A deallocator's object is dead already, so that only the type can be looked at.
        // SAFETY: the caller vouches for an object; its type is looked at alone.
        debug_assert!(Self::fits(unsafe { &*ptr.cast::<Object>() }));
        // SAFETY: the caller vouches for layout and lifetime.
        unsafe { &*ptr.cast::<Self>() }
    }

    /// Like [`Layout::from_ptr`], with NULL as `None`.
    ///
    /// # Safety
    /// As for [`Layout::from_ptr`], unless `ptr` is NULL.
    #[inline]
    unsafe fn from_nullable<'a>(ptr: *mut ffi::PyObject) -> Option<&'a Self> {
        debug_assert!(holds::<Self>(ptr));
        // SAFETY: the caller vouches for layout and lifetime.
        unsafe { ptr.cast::<Self>().as_ref() }
    }
}

// SAFETY: transparent over the object head, in an `UnsafeCell`.
unsafe impl Layout for Object {
    fn fits(_: &Object) -> bool {
        true
    }
}

/// A type. What can be asked of one is in [`types`](super::types).
#[repr(transparent)]
pub(crate) struct Type(UnsafeCell<ffi::PyTypeObject>);

// SAFETY: transparent over a type's head, in an `UnsafeCell`, which begins with an object's.
unsafe impl Layout for Type {
    fn fits(object: &Object) -> bool {
        // SAFETY: a live object.
        unsafe { ffi::PyType_Check(object.as_ptr()) != 0 }
    }
}

impl Object {
    /// `type(object)`
    #[inline]
    pub(crate) fn class(&self) -> &Type {
        // SAFETY: an object keeps its type alive.
        unsafe { &*self.type_ptr().cast::<Type>() }
    }

    /// The object as a type, if it is one.
    #[inline]
    pub(crate) fn as_type(&self) -> Option<&Type> {
        // SAFETY: just asked.
        Type::fits(self).then(|| unsafe { self.cast() })
    }

    #[inline]
    pub(super) fn type_ptr(&self) -> *mut ffi::PyTypeObject {
        // SAFETY: the object is alive.
        unsafe { ffi::Py_TYPE(self.as_ptr()) }
    }

    #[inline]
    pub(crate) fn is_none(&self) -> bool {
        self.is(none())
    }

    /// Reinterprets the reference as a typed one.
    ///
    /// # Safety
    /// The object has the layout `T`, i.e. its type is the one made for `T` or a subclass.
    #[inline]
    pub(crate) unsafe fn cast<T: Layout>(&self) -> &T {
        // SAFETY: the caller vouches for the layout; the lifetime is that of `&self`.
        unsafe { T::from_ptr(self.as_ptr()) }
    }
}

/// A layout that begins with the other: what is true of its objects is true of these.
///
/// # Safety
/// The other is its first field, and it is `repr(C)`.
pub(crate) unsafe trait Extends<Base: Layout>: Layout {}

/// `None`.
#[inline]
pub(crate) fn none() -> &'static Object {
    // SAFETY: None lives as long as the interpreter.
    unsafe { Object::from_ptr(ffi::Py_None()) }
}

/// `True` or `False`.
#[inline]
pub(crate) fn boolean(value: bool) -> &'static Object {
    // SAFETY: the two bools live as long as the interpreter.
    unsafe { Object::from_ptr(if value { ffi::Py_True() } else { ffi::Py_False() }) }
}

/// A strong reference to a Python object.
#[repr(transparent)]
pub(crate) struct Owned<T: Layout = Object>(NonNull<T>);

impl<T: Layout> Owned<T> {
    /// Takes over a strong reference that C returned.
    ///
    /// # Safety
    /// `ptr` is a strong reference, now ours, to a live object of layout `T`.
    #[inline]
    pub(crate) unsafe fn steal(ptr: *mut ffi::PyObject) -> Self {
        debug_assert!(!ptr.is_null() && holds::<T>(ptr));
        // SAFETY: the caller vouches that it is not NULL.
        Owned(unsafe { NonNull::new_unchecked(ptr.cast()) })
    }

    /// Takes over what a C function returned: NULL says that it raised.
    ///
    /// # Safety
    /// `ptr` is NULL with the error indicator set, or as for [`Owned::steal`].
    #[inline]
    pub(crate) unsafe fn steal_or_raised(ptr: *mut ffi::PyObject) -> Res<Self> {
        debug_assert!(holds::<T>(ptr));
        debug_assert!(!ptr.is_null() || super::raised::occurred());
        NonNull::new(ptr.cast()).map(Owned).ok_or(Raised)
    }

    /// Takes over what a C function returned for which NULL is no error.
    ///
    /// # Safety
    /// `ptr` is NULL, or as for [`Owned::steal`].
    #[inline]
    pub(crate) unsafe fn steal_nullable(ptr: *mut ffi::PyObject) -> Option<Self> {
        debug_assert!(holds::<T>(ptr));
        NonNull::new(ptr.cast()).map(Owned)
    }

    /// Gives the reference away to C.
    #[inline]
    pub(crate) fn into_ptr(self) -> *mut ffi::PyObject {
        ManuallyDrop::new(self).0.as_ptr().cast()
    }

    /// The same reference, as one to what the object begins with.
    #[inline]
    pub(crate) fn into_base<Base: Layout>(self) -> Owned<Base>
    where
        T: Extends<Base>,
    {
        // SAFETY: an object of the longer layout is one of the shorter.
        unsafe { Owned::steal(self.into_ptr()) }
    }

    #[inline]
    pub(crate) fn into_object(self) -> Owned {
        // SAFETY: the same reference, seen as the object that every layout begins with.
        unsafe { Owned::steal(self.into_ptr()) }
    }
}

impl<T: Layout> Deref for Owned<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the reference that we own keeps the object alive.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Layout> Clone for Owned<T> {
    #[inline]
    fn clone(&self) -> Self {
        self.own()
    }
}

impl<T: Layout> Drop for Owned<T> {
    #[inline]
    fn drop(&mut self) {
        debug_assert!(assertions::is_attached() && assertions::is_alive(self.as_ptr()));
        // SAFETY: we own this reference and give it up exactly once. The thread is attached (contract of `sys`).
        unsafe { enter::Py_DECREF(self.as_ptr()) }
    }
}

/// Is it NULL, or a live object of the layout? For debug assertions.
fn holds<T: Layout>(object: *mut ffi::PyObject) -> bool {
    // SAFETY: the callers have a pointer to an object, or NULL.
    object.is_null() || unsafe { assertions::is_alive(object) && T::fits(&*object.cast::<Object>()) }
}
