//! Objects of other modules that are looked up at their first use.
//!
//! Never earlier: `import asyncio` imports our module half-way through, and whatever we import then would see an
//! asyncio that is not complete.

use std::cell::Cell;
use std::ffi::{CStr, CString};

use pyo3::ffi;
use pyo3::prelude::*;

use super::attached::Attached;
use super::raised::{Raised, occurred};
use super::{Layout, Object, Owned, Res, enter, py};

/// `module.name`, imported once.
pub(crate) struct Lazy {
    module: &'static str,
    name: &'static str,
    value: Once,
}

impl Lazy {
    pub(crate) const fn new(module: &'static str, name: &'static str) -> Self {
        Lazy { module, name, value: Once::new() }
    }

    #[inline]
    pub(crate) fn get(&self) -> Res<&Object> {
        self.value.get_or_init(|| self.import())
    }

    /// The same where the object is only compared with others: what cannot be had is none of them.
    #[inline]
    pub(crate) fn find(&self) -> Option<&Object> {
        match self.get() {
            Ok(value) => Some(value),
            Err(raised) => {
                drop(super::error::fetch(raised));
                None
            }
        }
    }

    /// The object, if it was looked up before.
    #[cfg(Py_3_12)]
    #[inline]
    pub(crate) fn known(&self) -> Option<&Object> {
        self.value.0.get()
    }

    /// It may come back here, or wait for another thread that does.
    #[cold]
    fn import(&self) -> Res<Owned> {
        // Not by PyO3, whose first exception takes a lock that its second, at the recursion limit, waits for.
        let name = |text: &str| CString::new(text).expect("a name without NUL");
        let (module, attribute) = (name(self.module), name(self.name));
        let of = |module: &Object| {
            // SAFETY: a live object and a NUL-terminated name; a new reference, or NULL with the exception set.
            unsafe { Owned::steal_or_raised(enter::PyObject_GetAttrString(module.as_ptr(), attribute.as_ptr())) }
        };
        match already_imported(&module)?.map(|module| of(&module)) {
            Some(Ok(value)) => Ok(value),
            // Not imported yet, or another thread is about to.
            absent => {
                if let Some(Err(raised)) = absent {
                    drop(super::error::fetch(raised));
                }
                // SAFETY: a NUL-terminated name; a new reference, or NULL with the exception set.
                let imported: Owned = unsafe { Owned::steal_or_raised(enter::PyImport_ImportModule(module.as_ptr())) }?;
                of(&imported)
            }
        }
    }
}

/// A Python object that is made once and lives as long as the process.
pub(crate) struct Once(Attached<Cell<Option<&'static Object>>>);

impl Once {
    pub(crate) const fn new() -> Self {
        Once(Attached::new(Cell::new(None)))
    }

    #[inline]
    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> Res<Owned>) -> Res<&'static Object> {
        match self.0.get() {
            Some(object) => Ok(object),
            None => self.init(make),
        }
    }

    #[cold]
    #[inline(never)]
    fn init(&self, make: impl FnOnce() -> Res<Owned>) -> Res<&'static Object> {
        let object = make()?;
        // Whoever was first while `make` ran Python code has won.
        Ok(self.0.get().unwrap_or_else(|| self.put(object)))
    }

    /// Puts another object in the place, which lives as long; who has the one before keeps it.
    pub(crate) fn put(&self, object: Owned) -> &'static Object {
        // SAFETY: the reference is never given up, so the object lives for good.
        let object: &'static Object = unsafe { Object::from_ptr(object.into_ptr()) };
        self.0.set(Some(object));
        object
    }
}

/// The module, if it has been imported, out of the interpreter's own table: where the program's code runs, `import` and
/// `sys.modules` may be another's, which would make the module a second time (Temporal's sandbox of workflows).
fn already_imported(module: &CStr) -> Res<Option<Owned>> {
    // SAFETY: a NUL-terminated name, and a live str; each a new reference, or NULL, the second with or without an
    // exception.
    unsafe {
        let name = Owned::<Object>::steal_or_raised(ffi::PyUnicode_FromString(module.as_ptr()))?;
        match Owned::steal_nullable(enter::PyImport_GetModule(name.as_ptr())) {
            None if occurred() => Err(Raised),
            found => Ok(found),
        }
    }
}

/// A reference for `PyO3`'s safe API.
pub(crate) fn to_py(object: &Object) -> Bound<'static, PyAny> {
    // SAFETY: a new strong reference to a live object, handed over.
    unsafe { Bound::from_owned_ptr(py(), object.own().into_ptr()) }
}

/// A reference that `PyO3`'s safe API gave us.
pub(crate) fn from_bound<'a>(object: &'a Bound<'_, PyAny>) -> &'a Object {
    // SAFETY: the `Bound` keeps the object alive.
    unsafe { Object::from_ptr(object.as_ptr()) }
}
