//! Threads: detaching from the interpreter to wait, and threads of our own.

#[cfg(target_os = "linux")]
use std::mem::MaybeUninit;
use std::thread::JoinHandle;

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

    /// Python's number of it: `threading.get_ident()`.
    pub(crate) fn number(self) -> u64 {
        self.0
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

/// Starts a thread that gets no signals: those are for threads that Python knows.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    let _blocked = SignalsBlocked::all();
    std::thread::Builder::new().name(name.to_owned()).spawn(body)
}

/// The calling thread gets no signals, and those that it makes meanwhile never do.
#[cfg(target_os = "linux")]
struct SignalsBlocked(libc::sigset_t);

#[cfg(target_os = "linux")]
impl SignalsBlocked {
    fn all() -> Self {
        let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        // SAFETY: places for sets; the first call makes the one that the second reads, and that writes the other.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            SignalsBlocked(before.assume_init())
        }
    }
}

#[cfg(target_os = "linux")]
impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: the set that the thread had.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}

/// Elsewhere they come as they come.
#[cfg(not(target_os = "linux"))]
struct SignalsBlocked;

#[cfg(not(target_os = "linux"))]
impl SignalsBlocked {
    fn all() -> Self {
        SignalsBlocked
    }
}

/// Runs `work` attached to the main interpreter, in a thread that Python does not know. Whoever ends the interpreter must
/// have waited for the thread before: later, there is nothing to attach to.
pub(crate) fn attached<T>(work: impl FnOnce() -> T) -> T {
    struct Detach(ffi::PyGILState_STATE);
    impl Drop for Detach {
        fn drop(&mut self) {
            // SAFETY: what `Ensure` returned in the same thread, once.
            unsafe { ffi::PyGILState_Release(self.0) };
        }
    }
    // SAFETY: the interpreter is there, by the caller's contract.
    let _detach = Detach(unsafe { ffi::PyGILState_Ensure() });
    work()
}

/// Is the thread attached to the main interpreter?
pub(crate) fn is_in_main_interpreter() -> bool {
    // SAFETY: attached, so that there are interpreters.
    unsafe { ffi::PyInterpreterState_Get() == ffi::PyInterpreterState_Main() }
}
