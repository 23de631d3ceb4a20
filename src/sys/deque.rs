//! An exact `collections.deque`, by the C functions behind its methods.

use std::ffi::c_int;
use std::ptr;

use once_cell::sync::OnceCell;
use pyo3::ffi;

use super::error::{Builtin, raise};
use super::intern::{APPEND, Name};
#[cfg(Py_3_12)]
use super::intern::{POPLEFT, REMOVE};
use super::lazy::Lazy;
use super::{Layout, Object, Owned, Raised, Res, call};

static DEQUE: Lazy = Lazy::new("collections", "deque");

/// A method of the type, and the C function behind it, if it is the plain one that it has always been.
struct Method {
    name: &'static Name,
    flags: c_int,
    function: OnceCell<Option<ffi::PyCFunction>>,
}

impl Method {
    const fn new(name: &'static Name, flags: c_int) -> Self {
        Method { name, flags, function: OnceCell::new() }
    }
}

static APPEND_METHOD: Method = Method::new(&APPEND, ffi::METH_O);
#[cfg(Py_3_12)]
static POPLEFT_METHOD: Method = Method::new(&POPLEFT, ffi::METH_NOARGS);
#[cfg(Py_3_12)]
static REMOVE_METHOD: Method = Method::new(&REMOVE, ffi::METH_O);

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
    // SAFETY: a live object with a variable part, whose length is where all of these have it.
    usize::try_from(unsafe { ffi::Py_SIZE(deque.as_ptr()) }).unwrap_or(0)
}

/// The object as a deque, if it is one.
#[inline]
pub(crate) fn downcast(object: Owned) -> Option<Owned<Deque>> {
    // SAFETY: just asked.
    Deque::fits(&object).then(|| unsafe { Owned::steal(object.into_ptr()) })
}

/// Calls the method, with the argument if it takes one.
#[inline]
fn call_method(deque: &Deque, method: &'static Method, argument: Option<&Object>) -> Res<Owned> {
    let class = DEQUE.get()?;
    match method.function.get_or_try_init(|| find_function(class, method))? {
        // SAFETY: the deque type's own function, called as CPython calls it; a new reference, or NULL.
        Some(function) => unsafe {
            Owned::steal_or_raised(function(deque.as_ptr(), argument.map_or(ptr::null_mut(), Layout::as_ptr)))
        },
        None => match argument {
            Some(argument) => call::call_method(method.name, &[deque.as_object(), argument], None),
            None => call::call_method(method.name, &[deque.as_object()], None),
        },
    }
}

/// Looking up an attribute of a builtin type runs no Python code, so that nobody waits here with the GIL in hand.
fn find_function(class: &Object, wanted: &Method) -> Result<Option<ffi::PyCFunction>, Raised> {
    let method = call::getattr(class, wanted.name)?;
    // SAFETY: an object whose exact type is the method descriptor has that layout, and its definition is static; the
    // union's field is the one that the flags name.
    unsafe {
        if !ptr::eq(method.type_ptr(), &raw mut ffi::PyMethodDescr_Type) {
            return Ok(None);
        }
        let definition = (*method.as_ptr().cast::<ffi::PyMethodDescrObject>()).d_method;
        let plain = (*definition).ml_flags & !ffi::METH_COEXIST == wanted.flags;
        Ok(plain.then(|| (*definition).ml_meth.PyCFunction))
    }
}

/// `deque.append(item)`
#[inline]
pub(crate) fn append(deque: &Deque, item: &Object) -> Res<()> {
    call_method(deque, &APPEND_METHOD, Some(item)).map(drop)
}

/// `deque.popleft()`
#[cfg(Py_3_12)]
#[inline]
pub(crate) fn popleft(deque: &Deque) -> Res<Owned> {
    call_method(deque, &POPLEFT_METHOD, None)
}

/// `deque.remove(item)`: compares from the left, which may run Python code if there are such items.
#[cfg(Py_3_12)]
#[inline]
pub(crate) fn remove(deque: &Deque, item: &Object) -> Res<()> {
    if first(deque).is_some_and(|first| first.is(item)) {
        return popleft(deque).map(drop);
    }
    call_method(deque, &REMOVE_METHOD, Some(item)).map(drop)
}

/// The first item.
#[cfg(Py_3_12)]
#[inline]
pub(crate) fn first(deque: &Deque) -> Option<Owned> {
    item(deque, 0)
}

/// The `index`th item, or `None` past the end.
#[cfg(Py_3_12)]
#[inline]
pub(crate) fn item(deque: &Deque, index: usize) -> Option<Owned> {
    if index >= len(deque) {
        return None;
    }
    let index = ffi::Py_ssize_t::try_from(index).ok()?;
    // SAFETY: a live deque, within its bounds; a new reference.
    unsafe { Owned::steal_nullable(ffi::PySequence_GetItem(deque.as_ptr(), index)) }
}
