//! Numbers of seconds and the like: `float`, and what is as good as one.

use pyo3::ffi;

#[cfg(Py_3_12)]
use super::error::fetch;
use super::raised::occurred;
#[cfg(Py_3_12)]
use super::small_int;
use super::{Layout, Object, Owned, Raised, Res, enter};

pub(crate) fn float(value: f64) -> Res<Owned> {
    // SAFETY: no precondition but attachment.
    unsafe { Owned::steal_or_raised(ffi::PyFloat_FromDouble(value)) }
}

/// `float(object)`, for numbers only. May run Python code.
#[inline]
pub(crate) fn float_value(object: &Object) -> Res<f64> {
    exact_float(object).map_or_else(|| any_float_value(object), Ok)
}

/// The value of an exact `float`, or of an exact `int` that is small: of another, the interpreter makes a `float` first.
#[inline]
fn exact_float(object: &Object) -> Option<f64> {
    if is_exact_float(object) {
        // SAFETY: an object of exactly that type has this layout.
        return Some(unsafe { (*object.as_ptr().cast::<ffi::PyFloatObject>()).ob_fval });
    }
    #[cfg(Py_3_12)]
    #[allow(clippy::cast_precision_loss)] // one digit of theirs is 30 bits
    return small_int::value(object).map(|value| value as f64);
    #[cfg(not(Py_3_12))]
    None
}

fn any_float_value(object: &Object) -> Res<f64> {
    // SAFETY: a live object.
    let value = unsafe { enter::PyFloat_AsDouble(object.as_ptr()) };
    #[allow(clippy::float_cmp)] // the very value that tells of an error
    if value == -1.0 && occurred() { Err(Raised) } else { Ok(value) }
}

/// The value of an exact `float`, or of an exact `int` that fits.
#[cfg(Py_3_12)]
#[inline]
pub(crate) fn float_or_none(object: &Object) -> Option<f64> {
    exact_float(object).or_else(|| large_int_as_float(object))
}

#[cfg(Py_3_12)]
#[cold]
fn large_int_as_float(object: &Object) -> Option<f64> {
    // SAFETY: a live object.
    let is_int = unsafe { ffi::PyLong_CheckExact(object.as_ptr()) != 0 };
    if !is_int {
        return None;
    }
    any_float_value(object).map_err(|raised| drop(fetch(raised))).ok()
}

/// The exact type `float`?
pub(crate) fn is_exact_float(object: &Object) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyFloat_CheckExact(object.as_ptr()) != 0 }
}
