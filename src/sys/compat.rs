//! How the C API differs between CPython 3.11 and 3.15, as far as one place can say it. (How `asyncio` differs is in
//! [`crate::versions`].)

use pyo3::ffi;

/// Some methods get their class from the interpreter, by a convention with messages of its own.
pub(crate) const METHODS_GET_CLASS: bool = cfg!(Py_3_12);
/// Deleting an attribute is refused with a text that names it.
pub(crate) const DELETE_NAMES_ATTRIBUTE: bool = cfg!(Py_3_14);
/// Classes with `__slots__` leave the place of their instances' weak references to the interpreter.
pub(crate) const MANAGED_WEAKREFS: bool = cfg!(Py_3_12);
/// The flag of such a class.
#[cfg(Py_3_12)]
pub(crate) const MANAGED_WEAKREF_FLAG: std::ffi::c_ulong = ffi::Py_TPFLAGS_MANAGED_WEAKREF;
#[cfg(not(Py_3_12))]
pub(crate) const MANAGED_WEAKREF_FLAG: std::ffi::c_ulong = 0;
/// Freeing a chain of objects recurses unless their types prevent it.
pub(crate) const DEALLOC_RECURSES: bool = !cfg!(Py_3_14);

/// Does the interpreter have at least this patch release of the minor version that this is built for?
pub(crate) fn runs_patch(release: std::ffi::c_ulong) -> bool {
    // SAFETY: a constant of the interpreter, 0xXXYYZZ.. for X.Y.Z.
    let version = unsafe { ffi::Py_Version };
    (version >> 8) & 0xff >= release
}

/// The raised exception, as a strong reference with its traceback in it, or NULL; clears the indicator.
///
/// # Safety
/// The thread is attached.
pub(crate) unsafe fn get_raised_exception() -> *mut ffi::PyObject {
    #[cfg(Py_3_12)]
    // SAFETY: no precondition but attachment.
    unsafe {
        ffi::PyErr_GetRaisedException()
    }
    #[cfg(not(Py_3_12))]
    // SAFETY: the three references that `Fetch` hands over are normalised, and all but the exception given up.
    unsafe {
        let (mut class, mut value, mut traceback) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
        ffi::PyErr_Fetch(&raw mut class, &raw mut value, &raw mut traceback);
        if class.is_null() {
            return std::ptr::null_mut();
        }
        super::enter::PyErr_NormalizeException(&raw mut class, &raw mut value, &raw mut traceback);
        if !traceback.is_null() {
            ffi::PyException_SetTraceback(value, traceback);
            super::enter::Py_DECREF(traceback);
        }
        super::enter::Py_DECREF(class);
        value
    }
}

/// Sets the error indicator; steals the reference.
///
/// # Safety
/// `exception` is a strong reference to an instance of `BaseException`.
pub(crate) unsafe fn set_raised_exception(exception: *mut ffi::PyObject) {
    #[cfg(Py_3_12)]
    // SAFETY: the caller's contract.
    unsafe {
        ffi::PyErr_SetRaisedException(exception);
    }
    #[cfg(not(Py_3_12))]
    // SAFETY: `Restore` steals all three; class and traceback are made owned first.
    unsafe {
        let class = ffi::Py_TYPE(exception).cast::<ffi::PyObject>();
        ffi::Py_INCREF(class);
        ffi::PyErr_Restore(class, exception, ffi::PyException_GetTraceback(exception));
    }
}

/// Is the interpreter shutting down?
pub(crate) fn is_finalizing() -> bool {
    #[cfg(Py_3_13)]
    // SAFETY: no precondition.
    unsafe {
        ffi::Py_IsFinalizing() != 0
    }
    #[cfg(not(Py_3_13))]
    {
        unsafe extern "C" {
            fn _Py_IsFinalizing() -> std::ffi::c_int;
        }
        // SAFETY: an exported function without precondition (public as Py_IsFinalizing from 3.13 on).
        unsafe { _Py_IsFinalizing() != 0 }
    }
}
