//! The cells that our objects are made of.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr;

use pyo3::ffi;

#[cfg(not(Py_3_14))]
use super::attached::Attached;
use super::gc::{Visited, Visitor};
use super::{Layout, Object, Owned, trash};

/// A nullable strong reference inside an object; all zeroes is "not set".
///
/// The old value is always let go *after* the new one is in place: its finalizer may come back to this very field.
#[repr(transparent)]
pub(crate) struct Field<T: Layout = Object>(Cell<*mut ffi::PyObject>, PhantomData<T>);

impl<T: Layout> Field<T> {
    pub(crate) const fn unset() -> Self {
        Field(Cell::new(ptr::null_mut()), PhantomData)
    }

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

    /// Is it set, to the object at this address?
    #[inline]
    pub(crate) fn is_at(&self, address: *const ffi::PyObject) -> bool {
        self.is_set() && ptr::eq(self.0.get(), address)
    }

    /// Is its object at this address? NULL is that of none.
    #[inline]
    #[cfg(Py_3_12)]
    pub(super) fn is_exactly_at(&self, address: *mut ffi::PyObject) -> bool {
        ptr::eq(self.0.get(), address)
    }

    /// The address of its object, which lives as long as it is in the field; NULL if there is none.
    #[inline]
    #[cfg(Py_3_12)]
    pub(super) fn peek(&self) -> *mut ffi::PyObject {
        self.0.get()
    }

    /// Its value, if that is a small `int`.
    #[cfg(Py_3_12)]
    #[inline]
    pub(crate) fn small_int(&self) -> Option<i64> {
        // SAFETY: a field that is set holds a strong reference, so the object is alive; it is looked into at once.
        unsafe { Object::from_nullable(self.0.get()) }.and_then(super::small_int::value)
    }

    #[inline]
    pub(crate) fn show(&self, visitor: Visitor) -> Visited {
        // SAFETY: a field that is set holds a strong reference, so the object is alive.
        match unsafe { self.0.get().cast::<Object>().as_ref() } {
            Some(object) => visitor.object(object),
            None => Visited::Continue(()),
        }
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

    /// Sets a field of an object that was made just now, before anything else could run: there is nothing to let go.
    #[inline]
    pub(crate) fn fill(&self, value: Owned<T>) {
        debug_assert!(!self.is_set());
        self.0.set(value.into_ptr());
    }

    #[inline]
    pub(crate) fn replace(&self, value: Option<Owned<T>>) -> Option<Owned<T>> {
        let old = self.0.replace(value.map_or(ptr::null_mut(), Owned::into_ptr));
        // SAFETY: the field's reference becomes the caller's.
        (!old.is_null()).then(|| unsafe { Owned::steal(old) })
    }

    #[inline]
    pub(crate) fn clear(&self) {
        if self.is_set() {
            drop(self.take());
        }
    }

    /// An owned copy or `None` (the Python object).
    #[inline]
    pub(crate) fn get_or_none(&self) -> Owned {
        self.get().map_or_else(|| super::object::none().own(), Owned::into_object)
    }
}

impl<T: Layout> Default for Field<T> {
    fn default() -> Self {
        Field::unset()
    }
}

/// In the place of a [`Field`] that objects do not have on this version of Python: takes no memory, and is not set.
#[cfg(not(Py_3_14))]
pub(crate) struct NoField;

#[cfg(not(Py_3_14))]
impl Deref for NoField {
    type Target = Field;

    fn deref(&self) -> &Field {
        static UNSET: Attached<Field> = Attached::new(Field::unset());
        debug_assert!(!UNSET.is_set());
        &UNSET
    }
}

/// A reference by which objects can make a chain of any length: letting go of it does not recurse deeply.
#[repr(transparent)]
pub(crate) struct Link(Field);

impl Link {
    #[inline]
    pub(crate) fn clear(&self) {
        if self.0.is_set() {
            if let Some(object) = self.0.take() {
                trash::let_go(object);
            }
        }
    }
}

impl Deref for Link {
    type Target = Field;

    #[inline]
    fn deref(&self) -> &Field {
        &self.0
    }
}

/// A nullable strong reference, or a reference to something static of Rust; all zeroes is "nothing".
///
/// The two are told apart by the lowest bit of the address, which is zero in that of an object.
#[repr(transparent)]
pub(crate) struct ObjectOrStatic<T: 'static>(Cell<*mut ffi::PyObject>, PhantomData<&'static T>);

/// What an [`ObjectOrStatic`] holds.
pub(crate) enum Content<T: 'static> {
    Nothing,
    Object(Owned),
    Static(&'static T),
}

impl<T: 'static> Clone for Content<T> {
    fn clone(&self) -> Self {
        match self {
            Content::Nothing => Content::Nothing,
            Content::Object(object) => Content::Object(object.clone()),
            Content::Static(place) => Content::Static(place),
        }
    }
}

impl<T: 'static> ObjectOrStatic<T> {
    const TAG: usize = 1;

    #[inline]
    pub(crate) fn show(&self, visitor: Visitor) -> Visited {
        let address = self.0.get();
        if address.is_null() || address.addr() & Self::TAG != 0 {
            return Visited::Continue(());
        }
        // SAFETY: an address without the tag is that of an object, which the field holds a strong reference to.
        visitor.object(unsafe { &*address.cast::<Object>() })
    }

    #[inline]
    pub(crate) fn take(&self) -> Content<T> {
        let address = self.0.replace(ptr::null_mut());
        if address.is_null() {
            Content::Nothing
        } else if address.addr() & Self::TAG == 0 {
            // SAFETY: the field's reference becomes the caller's.
            Content::Object(unsafe { Owned::steal(address) })
        } else {
            // SAFETY: `set` tagged the address of a `&'static T`.
            Content::Static(unsafe { &*address.map_addr(|a| a & !Self::TAG).cast::<T>() })
        }
    }

    /// Replaces what there was.
    #[inline]
    pub(crate) fn set(&self, content: Content<T>) {
        const { assert!(align_of::<T>() > Self::TAG) };
        let address = match content {
            Content::Nothing => ptr::null_mut(),
            Content::Object(object) => object.into_ptr(),
            Content::Static(place) => {
                ptr::from_ref(place).cast_mut().cast::<ffi::PyObject>().map_addr(|a| a | Self::TAG)
            }
        };
        let before = ObjectOrStatic::<T>(Cell::new(self.0.replace(address)), PhantomData);
        drop(before.take());
    }
}

/// An object with another beside it, or with something static: they come and go together, and nothing is beside no
/// object.
#[repr(C)]
pub(crate) struct Pair<T: 'static> {
    pub(super) object: Link,
    pub(super) beside: ObjectOrStatic<T>,
}

impl<T: 'static> Pair<T> {
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.object.is_set()
    }

    #[inline]
    pub(crate) fn take(&self) -> Option<(Owned, Content<T>)> {
        let (object, beside) = (self.object.take(), self.beside.take());
        object.map(|object| (object, beside))
    }

    #[inline]
    pub(crate) fn set(&self, object: Owned, beside: Content<T>) {
        self.object.set(object);
        self.beside.set(beside);
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
