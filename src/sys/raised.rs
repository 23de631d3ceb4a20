//! The thread's error indicator, as Rust's `Result`.

use pyo3::PyErr;
use pyo3::ffi;

use super::{enter, py};

/// The thread's error indicator is set.
#[derive(Debug)]
#[must_use]
pub(crate) struct Raised;

pub(crate) type Res<T> = Result<T, Raised>;

impl From<PyErr> for Raised {
    fn from(error: PyErr) -> Self {
        error.restore(py());
        Raised
    }
}

/// Is the indicator set?
pub(crate) fn occurred() -> bool {
    // SAFETY: no precondition but attachment.
    unsafe { !ffi::PyErr_Occurred().is_null() }
}

/// Forgets what is being raised, if anything is.
pub(crate) fn clear() {
    // SAFETY: no precondition but attachment.
    unsafe { enter::PyErr_Clear() };
}
