//! The calls by which Python code is entered: a callable is called, a coroutine gets a value.
//!
//! Up to 3.13 the interpreter ends daemon threads at shutdown by `pthread_exit`, wherever they wait for the GIL, and that
//! unwinds their stacks. Unwinding into Rust code would end the process (gh-87135 made such threads hang in 3.14). So the
//! frame that made the call hangs instead: the thread has nothing left to do, and the process is about to end.

use std::ffi::c_int;

use pyo3::ffi::PyObject;

unsafe extern "C-unwind" {
    fn PyObject_CallNoArgs(callable: *mut PyObject) -> *mut PyObject;
    fn PyObject_CallOneArg(callable: *mut PyObject, argument: *mut PyObject) -> *mut PyObject;
    fn PyObject_CallObject(callable: *mut PyObject, arguments: *mut PyObject) -> *mut PyObject;
    fn PyObject_Vectorcall(
        callable: *mut PyObject,
        arguments: *const *mut PyObject,
        count: usize,
        keywords: *mut PyObject,
    ) -> *mut PyObject;
    fn PyObject_VectorcallMethod(
        name: *mut PyObject,
        arguments: *const *mut PyObject,
        count: usize,
        keywords: *mut PyObject,
    ) -> *mut PyObject;
    fn PyIter_Send(coroutine: *mut PyObject, value: *mut PyObject, result: *mut *mut PyObject) -> c_int;
}

struct Hang;

impl Drop for Hang {
    fn drop(&mut self) {
        loop {
            std::thread::park();
        }
    }
}

/// Runs a call; should it be unwound, the thread stays here.
#[inline]
fn entered<T>(call: impl FnOnce() -> T) -> T {
    let hang = Hang;
    let result = call();
    std::mem::forget(hang);
    result
}

/// # Safety
/// As for the function of that name in the C API; likewise all below.
#[inline]
pub(super) unsafe fn call_no_args(callable: *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller's contract.
    entered(|| unsafe { PyObject_CallNoArgs(callable) })
}

#[inline]
pub(super) unsafe fn call_one_arg(callable: *mut PyObject, argument: *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller's contract.
    entered(|| unsafe { PyObject_CallOneArg(callable, argument) })
}

#[inline]
pub(super) unsafe fn call_object(callable: *mut PyObject, arguments: *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller's contract.
    entered(|| unsafe { PyObject_CallObject(callable, arguments) })
}

#[inline]
pub(super) unsafe fn vectorcall(
    callable: *mut PyObject,
    arguments: *const *mut PyObject,
    count: usize,
    keywords: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the caller's contract.
    entered(|| unsafe { PyObject_Vectorcall(callable, arguments, count, keywords) })
}

#[inline]
pub(super) unsafe fn vectorcall_method(
    name: *mut PyObject,
    arguments: *const *mut PyObject,
    count: usize,
    keywords: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the caller's contract.
    entered(|| unsafe { PyObject_VectorcallMethod(name, arguments, count, keywords) })
}

#[inline]
pub(super) unsafe fn send(coroutine: *mut PyObject, value: *mut PyObject, result: *mut *mut PyObject) -> c_int {
    // SAFETY: the caller's contract.
    entered(|| unsafe { PyIter_Send(coroutine, value, result) })
}
