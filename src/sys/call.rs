//! Calls and attribute access. Each of these can run any Python code.

use std::ptr;

use pyo3::ffi;

use super::intern::Name;
use super::{Layout, Object, Owned, Raised, Res, enter};
#[cfg(not(Py_3_13))]
use super::{error, raised};

#[inline]
pub(crate) fn call0(callable: &Object) -> Res<Owned> {
    // SAFETY: a live callable; the result is a new reference or NULL with the exception set.
    unsafe { Owned::steal_or_raised(enter::PyObject_CallNoArgs(callable.as_ptr())) }
}

#[inline]
pub(crate) fn call1(callable: &Object, argument: &Object) -> Res<Owned> {
    // SAFETY: live objects; the result is a new reference or NULL with the exception set.
    unsafe { Owned::steal_or_raised(enter::PyObject_CallOneArg(callable.as_ptr(), argument.as_ptr())) }
}

/// Positional arguments only.
pub(crate) fn call(callable: &Object, arguments: &[&Object]) -> Res<Owned> {
    // SAFETY: `&Object` is a plain pointer to an object, so the slice is the array that vectorcall wants.
    unsafe {
        Owned::steal_or_raised(enter::PyObject_Vectorcall(
            callable.as_ptr(),
            arguments.as_ptr().cast(),
            arguments.len(),
            ptr::null_mut(),
        ))
    }
}

/// `callable(*arguments)`, with a tuple, or whatever else there is in its place (`TypeError` then).
pub(crate) fn call_tuple(callable: &Object, arguments: &Object) -> Res<Owned> {
    // SAFETY: live objects; the function checks that it is a tuple.
    unsafe { Owned::steal_or_raised(enter::PyObject_CallObject(callable.as_ptr(), arguments.as_ptr())) }
}

/// The last arguments are keywords, named by the tuple `keywords`.
pub(crate) fn call_with_keywords(callable: &Object, arguments: &[&Object], keywords: &Object) -> Res<Owned> {
    // SAFETY: `&Object` is a plain pointer to an object, so the slice is the array that vectorcall wants: first the
    // positional arguments, then one for each item of the tuple.
    unsafe {
        Owned::steal_or_raised(enter::PyObject_Vectorcall(
            callable.as_ptr(),
            arguments.as_ptr().cast(),
            positional(arguments, Some(keywords)),
            keywords.as_ptr(),
        ))
    }
}

/// A method of `arguments[0]`; the last arguments are keywords if a tuple `keywords` names them.
pub(crate) fn call_method(name: &Name, arguments: &[&Object], keywords: Option<&Object>) -> Res<Owned> {
    let positional = positional(arguments, keywords);
    assert!(positional > 0, "an object to call the method of");
    // SAFETY: the slice is an array of objects: first the one that has the method, then the positional arguments, then
    // one for each item of the tuple.
    unsafe {
        Owned::steal_or_raised(enter::PyObject_VectorcallMethod(
            name.object().as_ptr(),
            arguments.as_ptr().cast(),
            positional,
            keywords.map_or(ptr::null_mut(), Layout::as_ptr),
        ))
    }
}

/// How many of the arguments come before those that the tuple names. Panics if it is none, or names more than there are.
fn positional(arguments: &[&Object], keywords: Option<&Object>) -> usize {
    let Some(keywords) = keywords else { return arguments.len() };
    // SAFETY: a live object; the function checks that it is a tuple, or answers -1.
    let named = usize::try_from(unsafe { ffi::PyTuple_Size(keywords.as_ptr()) });
    arguments.len().checked_sub(named.expect("a tuple of keywords")).expect("a value for each keyword")
}

#[inline]
pub(crate) fn getattr(object: &Object, name: &Name) -> Res<Owned> {
    // SAFETY: live objects; the result is a new reference or NULL with the exception set.
    unsafe { Owned::steal_or_raised(enter::PyObject_GetAttr(object.as_ptr(), name.object().as_ptr())) }
}

/// `None` if there is no such attribute (`AttributeError`); other exceptions are errors.
pub(crate) fn getattr_optional(object: &Object, name: &Name) -> Res<Option<Owned>> {
    #[cfg(Py_3_13)]
    {
        let mut value = ptr::null_mut();
        // SAFETY: live objects and a place for the new reference.
        match unsafe { enter::PyObject_GetOptionalAttr(object.as_ptr(), name.object().as_ptr(), &raw mut value) } {
            -1 => Err(Raised),
            0 => Ok(None),
            // SAFETY: 1 says that `value` holds a new reference.
            _ => Ok(Some(unsafe { Owned::steal(value) })),
        }
    }
    #[cfg(not(Py_3_13))]
    match getattr(object, name) {
        Err(Raised) if error::raised_is(error::Builtin::AttributeError.class()) => {
            raised::clear();
            Ok(None)
        }
        found => found.map(Some),
    }
}

pub(crate) fn setattr(object: &Object, name: &Name, value: &Object) -> Res<()> {
    // SAFETY: live objects.
    match unsafe { enter::PyObject_SetAttr(object.as_ptr(), name.object().as_ptr(), value.as_ptr()) } {
        0 => Ok(()),
        _ => Err(Raised),
    }
}

/// `object[key]`
pub(crate) fn get_item(object: &Object, key: &Object) -> Res<Owned> {
    // SAFETY: live objects; the result is a new reference or NULL with the exception set.
    unsafe { Owned::steal_or_raised(enter::PyObject_GetItem(object.as_ptr(), key.as_ptr())) }
}

/// `bool(object)`
#[inline]
pub(crate) fn is_true(object: &Object) -> Res<bool> {
    // SAFETY: a live object.
    match unsafe { enter::PyObject_IsTrue(object.as_ptr()) } {
        -1 => Err(Raised),
        truth => Ok(truth != 0),
    }
}

/// `isinstance(object, class)`, with `__instancecheck__`.
pub(crate) fn is_instance(object: &Object, class: &Object) -> Res<bool> {
    // SAFETY: live objects.
    match unsafe { enter::PyObject_IsInstance(object.as_ptr(), class.as_ptr()) } {
        -1 => Err(Raised),
        truth => Ok(truth != 0),
    }
}

/// `issubclass(class, base)`, with `__subclasscheck__`.
pub(crate) fn is_subclass(class: &Object, base: &Object) -> Res<bool> {
    // SAFETY: live objects.
    match unsafe { enter::PyObject_IsSubclass(class.as_ptr(), base.as_ptr()) } {
        -1 => Err(Raised),
        truth => Ok(truth != 0),
    }
}

/// `left is right or left == right`
pub(crate) fn equal(left: &Object, right: &Object) -> Res<bool> {
    // SAFETY: live objects.
    match unsafe { enter::PyObject_RichCompareBool(left.as_ptr(), right.as_ptr(), ffi::Py_EQ) } {
        -1 => Err(Raised),
        truth => Ok(truth != 0),
    }
}

/// `left > right`
#[cfg(Py_3_12)]
pub(crate) fn greater(left: &Object, right: &Object) -> Res<bool> {
    // SAFETY: live objects.
    match unsafe { enter::PyObject_RichCompareBool(left.as_ptr(), right.as_ptr(), ffi::Py_GT) } {
        -1 => Err(Raised),
        truth => Ok(truth != 0),
    }
}

/// `str(object)`
pub(crate) fn str(object: &Object) -> Res<Owned> {
    // SAFETY: a live object; the result is a new reference or NULL with the exception set.
    unsafe { Owned::steal_or_raised(enter::PyObject_Str(object.as_ptr())) }
}

/// `repr(object)`
pub(crate) fn repr(object: &Object) -> Res<Owned> {
    // SAFETY: a live object; the result is a new reference or NULL with the exception set.
    unsafe { Owned::steal_or_raised(enter::PyObject_Repr(object.as_ptr())) }
}
