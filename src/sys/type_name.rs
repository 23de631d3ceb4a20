//! What C code calls a type, in the texts of errors.

use std::ffi::CStr;

use super::{Object, Owned, Res, enter};

/// The name that C code calls the type by: for a class written in Python its `__name__`, for another `module.name`.
pub(crate) fn whole(object: &Object) -> Res<Owned> {
    formatted(object, c"%s", 0)
}

/// At most 100 bytes of [`whole`], which is what some texts have of it.
pub(crate) fn short(object: &Object) -> Res<Owned> {
    formatted(object, c"%.100s", 0)
}

/// What comes after the last dot of [`whole`].
pub(crate) fn bare(object: &Object) -> Res<Owned> {
    // SAFETY: the name of a live object's type is a C string.
    let name = unsafe { CStr::from_ptr((*object.type_ptr()).tp_name) };
    let dot = name.to_bytes().iter().rposition(|&byte| byte == b'.');
    formatted(object, c"%s", dot.map_or(0, |dot| dot + 1))
}

/// The format is one of a C string, which begins `start` bytes into the name, at its end at most.
fn formatted(object: &Object, format: &CStr, start: usize) -> Res<Owned> {
    // SAFETY: the name of a live object's type is a C string, and only read.
    unsafe {
        let name = (*object.type_ptr()).tp_name.add(start);
        Owned::steal_or_raised(enter::PyUnicode_FromFormat(format.as_ptr(), name.cast_mut().cast()))
    }
}
