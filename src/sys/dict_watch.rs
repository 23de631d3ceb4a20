//! Noticing that a dict has changed since it was last looked at (3.12 on; before, nothing is ever known to be unchanged).
//!
//! One dict at a time is remembered. The interpreter tells us before it changes or frees a watched dict.

#[cfg(Py_3_12)]
mod watcher {
    use std::cell::Cell;
    use std::ffi::c_int;
    use std::ptr;

    use once_cell::sync::OnceCell;
    use pyo3::ffi;

    use crate::sys::attached::Attached;
    use crate::sys::{Layout, Object};

    type Callback = extern "C" fn(c_int, *mut ffi::PyObject, *mut ffi::PyObject, *mut ffi::PyObject) -> c_int;

    // Public since 3.12; pyo3-ffi does not declare all of them.
    unsafe extern "C" {
        fn PyDict_AddWatcher(callback: Callback) -> c_int;
        fn PyDict_Watch(watcher: c_int, dict: *mut ffi::PyObject) -> c_int;
        fn PyDict_Unwatch(watcher: c_int, dict: *mut ffi::PyObject) -> c_int;
    }

    /// The dict that has not changed, or null.
    static UNCHANGED: Attached<Cell<*mut ffi::PyObject>> = Attached::new(Cell::new(ptr::null_mut()));

    /// Our watcher's number; `None` if the interpreter has no place for another watcher.
    static WATCHER: OnceCell<Option<c_int>> = OnceCell::new();

    extern "C" fn changes(_: c_int, dict: *mut ffi::PyObject, _: *mut ffi::PyObject, _: *mut ffi::PyObject) -> c_int {
        if ptr::eq(UNCHANGED.get(), dict) {
            UNCHANGED.set(ptr::null_mut());
        }
        0
    }

    #[inline]
    pub(crate) fn is_unchanged(dict: &Object) -> bool {
        ptr::eq(UNCHANGED.get(), dict.as_ptr())
    }

    pub(crate) fn remember(dict: &Object) {
        let watcher = WATCHER.get_or_init(|| {
            // SAFETY: a function that stays; an error means that all places are taken.
            let id = unsafe { PyDict_AddWatcher(changes) };
            if id < 0 {
                crate::sys::error::clear();
            }
            (id >= 0).then_some(id)
        });
        let Some(watcher) = *watcher else {
            return;
        };
        let before = UNCHANGED.replace(ptr::null_mut());
        // SAFETY: our own watcher, and exact dicts: the one before is alive, for its end would have been told us.
        unsafe {
            if !before.is_null() {
                PyDict_Unwatch(watcher, before);
            }
            if PyDict_Watch(watcher, dict.as_ptr()) == 0 {
                UNCHANGED.set(dict.as_ptr());
            } else {
                crate::sys::error::clear();
            }
        }
    }
}

#[cfg(not(Py_3_12))]
mod watcher {
    use crate::sys::Object;

    pub(crate) fn is_unchanged(_: &Object) -> bool {
        false
    }

    pub(crate) fn remember(_: &Object) {}
}

pub(crate) use watcher::{is_unchanged, remember};
