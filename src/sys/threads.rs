//! Threads, and detaching from the interpreter to wait.

use pyo3::ffi;

use super::{Raised, Res, enter};

/// Tells one running thread from another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thread(std::ffi::c_ulong);

impl Thread {
    /// By Python's number of it.
    pub(crate) fn numbered(identity: std::ffi::c_ulong) -> Thread {
        Thread(identity)
    }

    pub(crate) fn current() -> Thread {
        unsafe extern "C" {
            // Exported by every CPython; pyo3-ffi does not declare it.
            fn PyThread_get_thread_ident() -> std::ffi::c_ulong;
        }
        // SAFETY: no precondition.
        Thread(unsafe { PyThread_get_thread_ident() })
    }
}

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
    match unsafe { enter::PyErr_CheckSignals() } {
        0 => Ok(()),
        _ => Err(Raised),
    }
}
