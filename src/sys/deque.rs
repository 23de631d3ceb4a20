//! Appending to an exact `collections.deque` without a method lookup.

use std::ptr;

use once_cell::sync::OnceCell;
use pyo3::ffi;

use super::error::{Builtin, raise};
use super::intern::APPEND;
use super::lazy::Lazy;
use super::{Layout, Object, Owned, Raised, Res, call};

static DEQUE: Lazy = Lazy::new("collections", "deque");

/// The C function behind `deque.append`, if it is the plain `METH_O` method that it has always been.
static APPEND_FUNCTION: OnceCell<Option<ffi::PyCFunction>> = OnceCell::new();

/// An instance of exactly `collections.deque`.
#[repr(transparent)]
pub(crate) struct Deque(Object);

// SAFETY: transparent over an object.
unsafe impl Layout for Deque {
    #[inline]
    fn fits(object: &Object) -> bool {
        DEQUE.find().is_some_and(|class| object.class().is(class))
    }
}

/// A new one.
pub(crate) fn new() -> Res<Owned<Deque>> {
    let made = call::call0(DEQUE.get()?)?;
    downcast(made).ok_or_else(|| raise(Builtin::TypeError.class(), c"collections.deque makes something else"))
}

/// How long it is.
pub(crate) fn len(deque: &Deque) -> usize {
    // SAFETY: a live object, whose length is a number that it keeps.
    usize::try_from(unsafe { ffi::PyObject_Size(deque.as_ptr()) }).unwrap_or(0)
}

/// The object as a deque, if it is one.
#[inline]
pub(crate) fn downcast(object: Owned) -> Option<Owned<Deque>> {
    // SAFETY: just asked.
    Deque::fits(&object).then(|| unsafe { Owned::steal(object.into_ptr()) })
}

/// `deque.append(item)`
#[inline]
pub(crate) fn append(deque: &Deque, item: &Object) -> Res<()> {
    let class = DEQUE.get()?;
    match APPEND_FUNCTION.get_or_try_init(|| find_append_function(class))? {
        // SAFETY: the deque type's own function, called as CPython calls it; a new reference to None, or NULL.
        Some(append) => unsafe { Owned::<Object>::steal_or_raised(append(deque.as_ptr(), item.as_ptr())) },
        None => call::call_method(&APPEND, &[deque.as_object(), item], None),
    }
    .map(drop)
}

/// Looking up an attribute of a builtin type runs no Python code, so that nobody waits here with the GIL in hand.
fn find_append_function(class: &Object) -> Result<Option<ffi::PyCFunction>, Raised> {
    let method = call::getattr(class, &APPEND)?;
    // SAFETY: an object whose exact type is the method descriptor has that layout, and its definition is static; the
    // union's field is the one that the flags name.
    unsafe {
        if !ptr::eq(method.type_ptr(), &raw mut ffi::PyMethodDescr_Type) {
            return Ok(None);
        }
        let definition = (*method.as_ptr().cast::<ffi::PyMethodDescrObject>()).d_method;
        let plain = (*definition).ml_flags & !ffi::METH_COEXIST == ffi::METH_O;
        Ok(plain.then(|| (*definition).ml_meth.PyCFunction))
    }
}
