//! Noticing that a dict has changed since it was last looked at (3.12 on; before, none is ever known to be unchanged).
//!
//! One dict at a time is remembered. The interpreter tells us before it changes or frees a watched dict.

#[cfg(Py_3_12)]
mod watcher {
    use std::cell::Cell;
    use std::ffi::c_int;
    use std::ptr;

    use pyo3::ffi;

    use crate::sys::attached::Attached;
    use crate::sys::error::{clear, fetch};
    use crate::sys::intern::NAME;
    use crate::sys::object::none;
    use crate::sys::{Layout, Object, Raised, Res, call, containers, typeobj};

    type Callback = extern "C" fn(c_int, *mut ffi::PyObject, *mut ffi::PyObject, *mut ffi::PyObject) -> c_int;

    // Public since 3.12; pyo3-ffi does not declare all of them.
    unsafe extern "C" {
        fn PyDict_AddWatcher(callback: Callback) -> c_int;
        fn PyDict_Watch(watcher: c_int, dict: *mut ffi::PyObject) -> c_int;
        fn PyDict_Unwatch(watcher: c_int, dict: *mut ffi::PyObject) -> c_int;
    }

    /// The dict that has not changed, or null.
    static UNCHANGED: Attached<Cell<*mut ffi::PyObject>> = Attached::new(Cell::new(ptr::null_mut()));

    #[derive(Clone, Copy)]
    enum Watcher {
        Untried,
        /// The interpreter has no place for another one, or does not tell of all changes; or we are still trying.
        Unusable,
        Number(c_int),
    }

    static WATCHER: Attached<Cell<Watcher>> = Attached::new(Cell::new(Watcher::Untried));

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
        if let Watcher::Untried = WATCHER.get() {
            // Trying runs Python code, which may come back here.
            WATCHER.set(Watcher::Unusable);
            match add_watcher() {
                Ok(watcher) => WATCHER.set(watcher),
                Err(raised) => drop(fetch(raised)),
            }
        }
        if let Watcher::Number(watcher) = WATCHER.get() {
            watch(watcher, dict);
        }
    }

    fn watch(watcher: c_int, dict: &Object) {
        let before = UNCHANGED.replace(ptr::null_mut());
        // SAFETY: our own watcher, and exact dicts: the one before is alive, for its end would have been told us.
        unsafe {
            if !before.is_null() {
                PyDict_Unwatch(watcher, before);
            }
            if PyDict_Watch(watcher, dict.as_ptr()) == 0 {
                UNCHANGED.set(dict.as_ptr());
            } else {
                clear();
            }
        }
    }

    fn add_watcher() -> Res<Watcher> {
        // SAFETY: a function that stays; an error says that all places are taken.
        let watcher = unsafe { PyDict_AddWatcher(changes) };
        if watcher < 0 {
            return Err(Raised);
        }
        Ok(if tells_of_attributes(watcher)? { Watcher::Number(watcher) } else { Watcher::Unusable })
    }

    /// 3.13.0 tells nothing of the attributes of instances, later patches do: a trial shows it.
    fn tells_of_attributes(watcher: c_int) -> Res<bool> {
        let bases = containers::tuple(&[])?;
        let class = call::call(typeobj::type_type(), &[NAME.object(), &bases, &*containers::new_dict()?])?;
        let instance = call::call0(&class)?;
        let Some(dict) = typeobj::instance_dict(&instance) else {
            return Ok(false);
        };
        watch(watcher, &dict);
        call::setattr(&instance, &NAME, none())?;
        let told = !is_unchanged(&dict);
        UNCHANGED.set(ptr::null_mut());
        Ok(told)
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
