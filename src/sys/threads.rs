//! Detaching from the interpreter to wait.

use pyo3::ffi;

use super::{Raised, Res};

/// Runs `wait` while other threads may hold the GIL. It must not touch any Python object.
pub(crate) fn detached<T>(wait: impl FnOnce() -> T) -> T {
    struct Reattach(*mut ffi::PyThreadState);
    impl Drop for Reattach {
        fn drop(&mut self) {
            // SAFETY: the thread state that `SaveThread` handed out, in the same thread.
            unsafe { ffi::PyEval_RestoreThread(self.0) };
        }
    }
    // SAFETY: the thread is attached (contract of `sys`), and is again when the guard is dropped.
    let _reattach = Reattach(unsafe { ffi::PyEval_SaveThread() });
    wait()
}

/// Runs the Python handlers of signals that have arrived (in the main thread); they may raise.
pub(crate) fn check_signals() -> Res<()> {
    // SAFETY: no precondition but attachment.
    match unsafe { ffi::PyErr_CheckSignals() } {
        0 => Ok(()),
        _ => Err(Raised),
    }
}
