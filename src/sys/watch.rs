//! Have certain classes and dicts changed since somebody has looked at them?
//!
//! From 3.12 on the interpreter tells: a watcher sets a flag, and asking costs a look at it. Before that, each class and
//! dict has a number that changes with it. Where no watcher is to be had (others may have taken them all), the answer is
//! always yes, and who asks has to look.

use std::cell::{Cell, RefCell};

use super::attached::Attached;
use super::memory::make_room;
use super::{Layout, Object, Owned, Res};

/// Something of what is watched may have changed since [`begin`] was called, or the last look was [`unsettled`].
static ATTENTION: Attached<Cell<bool>> = Attached::new(Cell::new(true));
/// The same, without what [`unsettle`] has to say.
static CHANGED: Attached<Cell<bool>> = Attached::new(Cell::new(true));
/// What is watched; the references are kept for good.
static WATCHED: Attached<RefCell<Vec<Watched>>> = Attached::new(RefCell::new(Vec::new()));

struct Watched {
    object: Owned,
    #[cfg(not(Py_3_12))]
    version: Cell<u64>,
}

/// Forgets an answer that holds only as long as nothing changes.
type Forget = fn();

/// Who wants to be called at each change.
static ON_CHANGE: Attached<Cell<Option<Forget>>> = Attached::new(Cell::new(None));

/// How often something that is watched has changed; from one on.
#[cfg(Py_3_12)]
static CHANGES: Attached<Cell<usize>> = Attached::new(Cell::new(1));

/// The same number means that nothing has changed that [`watch_now`] tells of.
#[cfg(Py_3_12)]
#[inline]
pub(crate) fn changes() -> usize {
    CHANGES.get()
}

/// Are changes told, so that [`on_change`] can be counted on as long as [`changed`] says no?
pub(crate) const TELLS: bool = cfg!(Py_3_12);

/// Has the function called at each change, the only one. It runs no Python code.
pub(crate) fn on_change(forget: Forget) {
    ON_CHANGE.set(Some(forget));
}

/// Watches a class or a dict from now on, for those who count [`changes`]. Are changes of it told?
#[cfg(Py_3_12)]
pub(crate) fn watch_now(object: &Object) -> Res<bool> {
    keep(object)?;
    Ok(watchers::are_there() && watchers::watch(object))
}

/// Must anybody look?
#[inline]
pub(crate) fn attention() -> bool {
    ATTENTION.get() || versions_differ()
}

/// Has anything changed since [`begin`]?
pub(crate) fn changed() -> bool {
    CHANGED.get() || versions_differ()
}

/// A look at all that is watched begins: changes from now on will be noticed.
pub(crate) fn begin() {
    let all_told = remember_versions();
    CHANGED.set(!all_told);
    ATTENTION.set(!all_told);
}

/// [`attention`] is wanted until the next look.
pub(crate) fn unsettle() {
    ATTENTION.set(true);
}

/// Watches a class or a dict.
pub(crate) fn watch(object: &Object) -> Res<()> {
    if keep(object)? {
        CHANGED.set(true);
        ATTENTION.set(true);
    }
    Ok(())
}

/// Adds it to what is watched; false if it is already.
fn keep(object: &Object) -> Res<bool> {
    if WATCHED.borrow().iter().any(|watched| watched.object.is(object)) {
        return Ok(false);
    }
    let watched = Watched {
        object: object.own(),
        #[cfg(not(Py_3_12))]
        version: Cell::new(0),
    };
    let mut all = WATCHED.borrow_mut();
    make_room(&mut *all)?;
    all.push(watched);
    Ok(true)
}

#[cfg(Py_3_12)]
#[inline]
fn versions_differ() -> bool {
    false
}

#[cfg(Py_3_12)]
fn remember_versions() -> bool {
    let watched: Vec<Owned> = WATCHED.borrow().iter().map(|watched| watched.object.clone()).collect();
    watchers::are_there() && watched.iter().all(|object| watchers::watch(object))
}

#[cfg(Py_3_12)]
mod watchers {
    use std::cell::Cell;
    use std::ffi::c_int;

    use pyo3::ffi::{PyObject, PyTypeObject};

    use super::{ATTENTION, Attached, CHANGED, CHANGES, Layout, ON_CHANGE, Object};
    use crate::sys::raised;

    // Exported by CPython from 3.12 on; pyo3-ffi does not declare them.
    unsafe extern "C" {
        fn PyDict_AddWatcher(
            callback: unsafe extern "C" fn(c_int, *mut PyObject, *mut PyObject, *mut PyObject) -> c_int,
        ) -> c_int;
        fn PyDict_Watch(watcher: c_int, dict: *mut PyObject) -> c_int;
        fn PyType_AddWatcher(callback: unsafe extern "C" fn(*mut PyTypeObject) -> c_int) -> c_int;
        fn PyType_Watch(watcher: c_int, class: *mut PyObject) -> c_int;
    }

    /// The numbers of our two watchers, of dicts and of classes; negative if there are none.
    static NUMBERS: Attached<Cell<Option<(c_int, c_int)>>> = Attached::new(Cell::new(None));

    fn note() {
        CHANGED.set(true);
        ATTENTION.set(true);
        CHANGES.set(CHANGES.get() + 1);
        if let Some(forget) = ON_CHANGE.get() {
            forget();
        }
    }

    unsafe extern "C" fn dict_changed(_: c_int, _: *mut PyObject, _: *mut PyObject, _: *mut PyObject) -> c_int {
        note();
        0
    }

    unsafe extern "C" fn class_changed(_: *mut PyTypeObject) -> c_int {
        note();
        0
    }

    fn numbers() -> (c_int, c_int) {
        if let Some(numbers) = NUMBERS.get() {
            return numbers;
        }
        // SAFETY: functions that touch nothing but two flags; the GIL is held where dicts and classes change.
        let numbers = unsafe { (PyDict_AddWatcher(dict_changed), PyType_AddWatcher(class_changed)) };
        if numbers.0 < 0 || numbers.1 < 0 {
            raised::clear();
        }
        NUMBERS.set(Some(numbers));
        numbers
    }

    pub(super) fn are_there() -> bool {
        let (dicts, classes) = numbers();
        dicts >= 0 && classes >= 0
    }

    /// Watching what is watched already changes nothing.
    pub(super) fn watch(object: &Object) -> bool {
        let (dicts, classes) = numbers();
        // SAFETY: a class or a dict, which lives for good; a class's changes are told only while it has a version tag.
        let told = unsafe {
            match object.as_type() {
                Some(class) => PyType_Watch(classes, object.as_ptr()) == 0 && class.assign_version(),
                None => PyDict_Watch(dicts, object.as_ptr()) == 0,
            }
        };
        if raised::occurred() {
            raised::clear();
        }
        told
    }
}

#[cfg(not(Py_3_12))]
#[inline]
fn versions_differ() -> bool {
    WATCHED.borrow().iter().any(|watched| watched.version.get() != version(&watched.object))
}

#[cfg(not(Py_3_12))]
fn remember_versions() -> bool {
    let watched: Vec<Owned> = WATCHED.borrow().iter().map(|watched| watched.object.clone()).collect();
    // A class gets its number when something is looked up in it.
    for class in watched.iter().filter_map(|object| object.as_type()) {
        class.assign_version();
    }
    WATCHED.borrow().iter().all(|watched| {
        watched.version.set(version(&watched.object));
        watched.version.get() != 0
    })
}

#[cfg(not(Py_3_12))]
fn version(object: &Object) -> u64 {
    if let Some(class) = object.as_type() {
        return u64::from(class.version());
    }
    // SAFETY: what is watched is a class or a dict.
    unsafe { (*object.as_ptr().cast::<pyo3::ffi::PyDictObject>()).ma_version_tag }
}
