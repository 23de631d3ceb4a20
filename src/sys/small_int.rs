//! The value of a small `int`, read where it is: what `PyUnstable_Long_IsCompact` and `PyUnstable_Long_CompactValue` of
//! CPython's headers do (3.12 on), which are no functions that a library could be linked to.

use pyo3::ffi;

use super::{Layout, Object};

/// `PyLongObject` of a small number: the sign and the count of digits, and the only digit.
#[repr(C)]
struct SmallInt {
    head: ffi::PyObject,
    tag: usize,
    digit: u32,
}

/// The lower bits of the tag; the count of digits is above them.
const SIGN: usize = 3;
/// The least tag of a number of two digits.
const TWO_DIGITS: usize = 2 << 3;

/// The value of an exact `int` of one digit; of all else, nothing.
#[inline]
pub(super) fn value(object: &Object) -> Option<i64> {
    // SAFETY: an exact `int` has this layout, and room for at least one digit, which is set if the count is not zero.
    unsafe {
        if ffi::PyLong_CheckExact(object.as_ptr()) == 0 {
            return None;
        }
        let int = object.as_ptr().cast::<SmallInt>();
        let tag = (*int).tag;
        if tag >= TWO_DIGITS {
            return None;
        }
        let digit = i64::from((*int).digit);
        Some(match tag & SIGN {
            0 => digit,
            1 => 0,
            _ => -digit,
        })
    }
}
