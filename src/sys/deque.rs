//! Appending to an exact `collections.deque` without a method lookup.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;

use super::intern::APPEND;
use super::lazy::Lazy;
use super::{Layout, Object, Raised, Res, call};

static DEQUE: Lazy = Lazy::new("collections", "deque");
/// The method table's entry of `deque.append`: static data of the interpreter.
static APPEND_DEFINITION: AtomicPtr<ffi::PyMethodDef> = AtomicPtr::new(ptr::null_mut());

/// An instance of exactly `collections.deque`?
#[inline]
pub(crate) fn is_deque(object: &Object) -> bool {
    DEQUE.get().is_ok_and(|class| ptr::eq(object.type_ptr(), class.as_ptr().cast()))
}

/// `deque.append(item)`, for an exact deque.
#[inline]
pub(crate) fn append(deque: &Object, item: &Object) -> Res<()> {
    debug_assert!(is_deque(deque));
    let definition = APPEND_DEFINITION.load(Ordering::Relaxed);
    if definition.is_null() {
        return append_first(deque, item);
    }
    // SAFETY: `append_first` stored a METH_O entry of the deque type, which is called as CPython calls it. It returns
    // a new reference to None, or NULL.
    unsafe {
        let result = ((*definition).ml_meth.PyCFunction)(deque.as_ptr(), item.as_ptr());
        if result.is_null() {
            return Err(Raised);
        }
        ffi::Py_DECREF(result);
    }
    Ok(())
}

#[cold]
fn append_first(deque: &Object, item: &Object) -> Res<()> {
    let method = call::getattr(DEQUE.get()?, &APPEND)?;
    // SAFETY: an object whose exact type is the method descriptor has that layout; the definition is static.
    unsafe {
        if ptr::eq(method.type_ptr(), &raw mut ffi::PyMethodDescr_Type) {
            let definition = (*method.as_ptr().cast::<ffi::PyMethodDescrObject>()).d_method;
            if (*definition).ml_flags & !ffi::METH_COEXIST == ffi::METH_O {
                APPEND_DEFINITION.store(definition, Ordering::Relaxed);
            }
        }
    }
    call::call(&method, &[deque, item]).map(drop)
}
