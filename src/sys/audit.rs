//! Audit events: what a program's hooks are told.

use std::ffi::{CStr, c_int};

use super::{Layout, Object, Raised, Res, enter};

/// `sys.audit(event, first, second)`. Runs the hooks that there are.
pub(crate) fn audit(event: &CStr, first: &Object, second: &Object) -> Res<()> {
    // SAFETY: a NUL-terminated name, and two live objects.
    match unsafe { enter::PySys_Audit(event.as_ptr(), [first.as_ptr(), second.as_ptr()]) } {
        0 => Ok(()),
        _ => Err(Raised),
    }
}

/// `sys.audit("socket.__new__", socket, family, type, protocol)`
pub(crate) fn audit_socket(socket: &Object, numbers: [c_int; 3]) -> Res<()> {
    // SAFETY: a NUL-terminated name, a live object and three numbers.
    match unsafe { enter::PySys_Audit_numbers(c"socket.__new__".as_ptr(), socket.as_ptr(), numbers) } {
        0 => Ok(()),
        _ => Err(Raised),
    }
}
