//! Which entries of dicts lead to one of some objects, by their addresses.
//!
//! To look runs no Python code, and so changes nothing: a program can have tens of thousands of names.

use std::ptr;

use pyo3::ffi;

use super::object::Type;
use super::{Layout, Object, Owned, Res, containers, memory};

/// The objects that are looked for.
pub(crate) struct Wanted(Vec<usize>);

impl Wanted {
    /// Those at the addresses.
    pub(crate) fn at(mut addresses: Vec<usize>) -> Self {
        addresses.sort_unstable();
        Wanted(addresses)
    }

    /// Names and values of the exact dict's entries that are wanted, or whose value has what is wanted right there: items
    /// of a tuple, default arguments of a function. And of all that has to be looked into: classes that can be changed,
    /// class methods and static methods. `None` of anything else than a dict.
    pub(crate) fn in_dict(&self, dict: &Object) -> Res<Option<Vec<(Owned, Owned)>>> {
        if !containers::is_exact_dict(dict) {
            return Ok(None);
        }
        let mut found = Vec::new();
        let (mut place, mut name, mut value) = (0, ptr::null_mut(), ptr::null_mut());
        // SAFETY: a live dict, which nothing changes meanwhile: no object is made, and none let go of.
        while unsafe { ffi::PyDict_Next(dict.as_ptr(), &raw mut place, &raw mut name, &raw mut value) } != 0 {
            // SAFETY: borrowed from the dict.
            let (name, value) = unsafe { (Object::from_ptr(name), Object::from_ptr(value)) };
            if self.leads_here(value) {
                memory::make_room(&mut found)?;
                found.push((name.own(), value.own()));
            }
        }
        Ok(Some(found))
    }

    fn has(&self, object: *mut ffi::PyObject) -> bool {
        self.0.binary_search(&object.addr()).is_ok()
    }

    fn leads_here(&self, value: &Object) -> bool {
        let object = value.as_ptr();
        if self.has(object) {
            return true;
        }
        // SAFETY: a live object, asked for its class; of a function two borrowed references are asked for, or NULL.
        unsafe {
            if ffi::PyTuple_CheckExact(object) != 0 {
                self.is_in_tuple(object)
            } else if ffi::PyFunction_Check(object) != 0 {
                self.is_in_tuple(ffi::PyFunction_GetDefaults(object))
                    || self.is_in_values(ffi::PyFunction_GetKwDefaults(object))
            } else {
                value.as_type().is_some_and(Type::can_be_changed)
                    || ptr::eq(ffi::Py_TYPE(object), &raw const ffi::PyClassMethod_Type)
                    || ptr::eq(ffi::Py_TYPE(object), &raw const ffi::PyStaticMethod_Type)
            }
        }
    }

    /// # Safety
    ///
    /// NULL or a live object.
    unsafe fn is_in_tuple(&self, tuple: *mut ffi::PyObject) -> bool {
        // SAFETY: an exact tuple, whose items are borrowed.
        unsafe {
            !tuple.is_null()
                && ffi::PyTuple_CheckExact(tuple) != 0
                && (0..ffi::PyTuple_GET_SIZE(tuple)).any(|place| self.has(ffi::PyTuple_GET_ITEM(tuple, place)))
        }
    }

    /// # Safety
    ///
    /// NULL or a live object.
    unsafe fn is_in_values(&self, dict: *mut ffi::PyObject) -> bool {
        // SAFETY: a live object, asked for its class.
        if dict.is_null() || unsafe { ffi::PyDict_CheckExact(dict) } == 0 {
            return false;
        }
        let (mut place, mut value) = (0, ptr::null_mut());
        // SAFETY: a live dict, which nothing changes meanwhile.
        while unsafe { ffi::PyDict_Next(dict, &raw mut place, ptr::null_mut(), &raw mut value) } != 0 {
            if self.has(value) {
                return true;
            }
        }
        false
    }
}
