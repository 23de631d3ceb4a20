//! A bound for native code that comes back to itself by way of Python: `RecursionError`, and not the end of the stack.
//!
//! The interpreter counts its own frames. Native code that stands in for Python code has none, so it says how deep it is.

use pyo3::ffi;

use super::{Raised, Res, enter};

/// Runs what may come back to here.
#[inline]
pub(crate) fn one_deeper<T>(work: impl FnOnce() -> Res<T>) -> Res<T> {
    /// Also if there is a panic.
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            // SAFETY: made only after the call below has succeeded, in this thread.
            unsafe { ffi::Py_LeaveRecursiveCall() };
        }
    }
    // SAFETY: a static C string; non-zero means that the indicator is set.
    if unsafe { enter::Py_EnterRecursiveCall(c"".as_ptr()) } != 0 {
        return Err(Raised);
    }
    let _leave = Leave;
    work()
}
