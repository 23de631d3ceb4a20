//! Audit events: what a program's hooks are told.

use std::ffi::CStr;

use super::{Layout, Object, Raised, Res, enter};

/// `sys.audit(event, first, second)`. Runs the hooks that there are.
pub(crate) fn audit(event: &CStr, first: &Object, second: &Object) -> Res<()> {
    // SAFETY: a NUL-terminated name, and two live objects.
    match unsafe { enter::PySys_Audit(event.as_ptr(), [first.as_ptr(), second.as_ptr()]) } {
        0 => Ok(()),
        _ => Err(Raised),
    }
}
