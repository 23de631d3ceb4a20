//! Lists, tuples, dicts, sets, strings and integers: what is needed of them.

use std::ffi::CStr;
use std::ptr;

use pyo3::ffi;

use super::error::takes_objects;
use super::intern::Name;
use super::{Layout, Object, Owned, Raised, Res, enter};

#[cfg(Py_3_12)]
pub(crate) use super::floats::float_or_none;
pub(crate) use super::floats::{float, float_value, is_exact_float};

fn check(status: i32) -> Res<()> {
    if status < 0 { Err(Raised) } else { Ok(()) }
}

pub(crate) fn tuple(items: &[&Object]) -> Res<Owned> {
    let size = ffi::Py_ssize_t::try_from(items.len()).expect("a few items");
    // SAFETY: a new tuple whose every item is set before anyone sees it; SET_ITEM steals the reference.
    unsafe {
        let tuple: Owned = Owned::steal_or_raised(enter::PyTuple_New(size))?;
        for (i, item) in (0..).zip(items) {
            ffi::PyTuple_SET_ITEM(tuple.as_ptr(), i, item.own().into_ptr());
        }
        Ok(tuple)
    }
}

/// The `index`th item of an exact tuple.
pub(crate) fn tuple_item(tuple: &Object, index: usize) -> Res<Owned> {
    // SAFETY: a live object; `GetItem` checks type and bounds and returns a borrowed reference.
    let item = unsafe {
        Object::from_nullable(ffi::PyTuple_GetItem(tuple.as_ptr(), ffi::Py_ssize_t::try_from(index).unwrap_or(-1)))
    };
    item.map(Layout::own).ok_or(Raised)
}

/// An exact tuple of two?
pub(crate) fn is_pair(object: &Object) -> bool {
    // SAFETY: a live object; the size is that of a tuple.
    unsafe { ffi::PyTuple_CheckExact(object.as_ptr()) != 0 && ffi::PyTuple_GET_SIZE(object.as_ptr()) == 2 }
}

/// A tuple, or an instance of a subclass?
#[cfg(Py_3_12)]
pub(crate) fn is_tuple(object: &Object) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyTuple_Check(object.as_ptr()) != 0 }
}

/// A list of these.
pub(crate) fn list_of(items: Vec<Owned>) -> Res<Owned> {
    let size = ffi::Py_ssize_t::try_from(items.len()).expect("as many as fit into memory");
    // SAFETY: a new list of that size, each of whose places gets its reference before anybody sees it.
    unsafe {
        let list: Owned = Owned::steal_or_raised(enter::PyList_New(size))?;
        for (place, item) in (0..size).zip(items) {
            ffi::PyList_SET_ITEM(list.as_ptr(), place, item.into_ptr());
        }
        Ok(list)
    }
}

/// `len(object)`. May run Python code.
pub(crate) fn length(object: &Object) -> Res<usize> {
    // SAFETY: a live object.
    usize::try_from(unsafe { enter::PyObject_Length(object.as_ptr()) }).map_err(|_| Raised)
}

/// `object[key] = value`. May run Python code.
pub(crate) fn set_item(object: &Object, key: &Object, value: &Object) -> Res<()> {
    // SAFETY: live objects.
    check(unsafe { enter::PyObject_SetItem(object.as_ptr(), key.as_ptr(), value.as_ptr()) })
}

/// `item in object`. May run Python code.
pub(crate) fn contains(object: &Object, item: &Object) -> Res<bool> {
    // SAFETY: live objects.
    match unsafe { enter::PySequence_Contains(object.as_ptr(), item.as_ptr()) } {
        -1 => Err(Raised),
        found => Ok(found != 0),
    }
}

/// The items of an exact list or an exact tuple; `None` of anything else.
pub(crate) fn items(object: &Object) -> Res<Option<Vec<Owned>>> {
    // SAFETY: a live object; the items of an exact list or tuple are borrowed, and owned before anything else runs.
    unsafe {
        let object = object.as_ptr();
        let is_list = ffi::PyList_CheckExact(object) != 0;
        if !is_list && ffi::PyTuple_CheckExact(object) == 0 {
            return Ok(None);
        }
        let count = if is_list { ffi::PyList_GET_SIZE(object) } else { ffi::PyTuple_GET_SIZE(object) };
        let mut items = super::memory::vec_for(usize::try_from(count).unwrap_or(0))?;
        for i in 0..count {
            let item = if is_list { ffi::PyList_GET_ITEM(object, i) } else { ffi::PyTuple_GET_ITEM(object, i) };
            items.push(Object::from_ptr(item).own());
        }
        Ok(Some(items))
    }
}

pub(crate) fn new_list() -> Res<Owned> {
    // SAFETY: no precondition but attachment.
    unsafe { Owned::steal_or_raised(enter::PyList_New(0)) }
}

pub(crate) fn list_len(list: &Object) -> usize {
    // SAFETY: a live object; the function checks that it is a list.
    usize::try_from(unsafe { ffi::PyList_Size(list.as_ptr()) }).unwrap_or(0)
}

/// The `index`th item, or `None` past the end: the list may have shrunk meanwhile.
pub(crate) fn list_item(list: &Object, index: usize) -> Option<Owned> {
    (index < list_len(list)).then(|| {
        // SAFETY: within bounds (nothing ran since the check); `GetItem` returns a borrowed reference.
        unsafe {
            let item = ffi::PyList_GetItem(list.as_ptr(), ffi::Py_ssize_t::try_from(index).unwrap_or(0));
            Object::from_ptr(item).own()
        }
    })
}

pub(crate) fn list_append(list: &Object, item: &Object) -> Res<()> {
    // SAFETY: a live list; `Append` makes its own reference.
    check(unsafe { ffi::PyList_Append(list.as_ptr(), item.as_ptr()) })
}

/// `list.extend(iterable)`
pub(crate) fn list_extend(list: &Object, iterable: &Object) -> Res<()> {
    // SAFETY: a slice assignment at the end of a live list.
    check(unsafe {
        enter::PyList_SetSlice(
            list.as_ptr(),
            ffi::PY_SSIZE_T_MAX,
            ffi::PY_SSIZE_T_MAX,
            // PySequence_List makes a list of any iterable, so that iterating is over before the slice changes.
            Owned::<Object>::steal_or_raised(enter::PySequence_List(iterable.as_ptr()))?.as_ptr(),
        )
    })
}

/// `list[:] = items`
pub(crate) fn list_replace(list: &Object, items: &Object) -> Res<()> {
    // SAFETY: live objects (the first a list, else the call fails); attached to the interpreter. The list is whole
    // when what was in it is dropped.
    check(unsafe { enter::PyList_SetSlice(list.as_ptr(), 0, ffi::PyList_Size(list.as_ptr()), items.as_ptr()) })
}

pub(crate) fn new_dict() -> Res<Owned> {
    // SAFETY: no precondition but attachment.
    unsafe { Owned::steal_or_raised(enter::PyDict_New()) }
}

/// The exact type `dict`?
pub(crate) fn is_exact_dict(object: &Object) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyDict_CheckExact(object.as_ptr()) != 0 }
}

pub(crate) fn dict_len(dict: &Object) -> usize {
    // SAFETY: a live object; the function checks that it is a dict.
    usize::try_from(unsafe { ffi::PyDict_Size(dict.as_ptr()) }).unwrap_or(0)
}

/// `dict.get(key)`; hashing and comparing may run Python code.
pub(crate) fn dict_get(dict: &Object, key: &Object) -> Res<Option<Owned>> {
    // SAFETY: a live dict; the borrowed result is made owned before anything else runs.
    unsafe {
        let value = enter::PyDict_GetItemWithError(dict.as_ptr(), key.as_ptr());
        match Object::from_nullable(value) {
            Some(value) => Ok(Some(value.own())),
            None if ffi::PyErr_Occurred().is_null() => Ok(None),
            None => Err(Raised),
        }
    }
}

/// What the dict, of an object's attributes, holds under the name.
#[inline]
pub(crate) fn dict_get_named(dict: &Object, name: &Name) -> Option<Owned> {
    // SAFETY: a borrowed reference, made owned before anything else runs.
    unsafe { Object::from_nullable(dict_peek(dict, name)) }.map(Layout::own)
}

/// The address that the dict, of an object's attributes, holds under the name, or NULL: for comparing. An error (there
/// is none with strings as keys) counts as NULL.
#[inline]
pub(crate) fn dict_peek(dict: &Object, key: &Name) -> *mut ffi::PyObject {
    // SAFETY: a live dict and an interned string as key.
    unsafe {
        let value = enter::PyDict_GetItemWithError(dict.as_ptr(), key.object().as_ptr());
        if value.is_null() && !ffi::PyErr_Occurred().is_null() {
            enter::PyErr_Clear();
        }
        value
    }
}

/// Has the dict, whose keys are strings, this value under the name? An unset field is that of none.
#[cfg(Py_3_12)]
pub(crate) fn dict_holds(dict: &Object, name: &Object, value: &super::Field) -> bool {
    // SAFETY: a live dict and a string; a borrowed reference, of which the address is compared.
    unsafe {
        let found = enter::PyDict_GetItemWithError(dict.as_ptr(), name.as_ptr());
        if found.is_null() && !ffi::PyErr_Occurred().is_null() {
            enter::PyErr_Clear();
            return false;
        }
        value.is_exactly_at(found)
    }
}

pub(crate) fn dict_set(dict: &Object, key: &Object, value: &Object) -> Res<()> {
    // SAFETY: a live dict; it makes its own references.
    check(unsafe { enter::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), value.as_ptr()) })
}

/// A key's place in a dict: it is hashed once, by [`DictPlace::find`], whatever is done there then.
#[cfg(not(Py_3_14))]
pub(crate) struct DictPlace<'a> {
    dict: &'a Object,
    key: &'a Object,
    hash: ffi::Py_hash_t,
}

#[cfg(not(Py_3_14))]
impl<'a> DictPlace<'a> {
    #[inline]
    pub(crate) fn find(dict: &'a Object, key: &'a Object) -> Res<Self> {
        // SAFETY: a live object.
        match unsafe { enter::PyObject_Hash(key.as_ptr()) } {
            -1 => Err(Raised),
            hash => Ok(DictPlace { dict, key, hash }),
        }
    }

    pub(crate) fn get(&self) -> Res<Option<Owned>> {
        // SAFETY: a live dict and the key's hash; the borrowed result is made owned before anything else runs.
        unsafe {
            let value = enter::_PyDict_GetItem_KnownHash(self.dict.as_ptr(), self.key.as_ptr(), self.hash);
            match Object::from_nullable(value) {
                Some(value) => Ok(Some(value.own())),
                None if ffi::PyErr_Occurred().is_null() => Ok(None),
                None => Err(Raised),
            }
        }
    }

    pub(crate) fn set(&self, value: &Object) -> Res<()> {
        let (dict, key) = (self.dict.as_ptr(), self.key.as_ptr());
        // SAFETY: a live dict and the key's hash; it makes its own references.
        check(unsafe { enter::_PyDict_SetItem_KnownHash(dict, key, value.as_ptr(), self.hash) })
    }

    pub(crate) fn delete(&self) -> Res<()> {
        // SAFETY: a live dict and the key's hash.
        check(unsafe { enter::_PyDict_DelItem_KnownHash(self.dict.as_ptr(), self.key.as_ptr(), self.hash) })
    }
}

/// The same where nobody uses it.
#[cfg(Py_3_14)]
pub(crate) struct DictPlace<'a>(&'a Object, &'a Object);

#[cfg(Py_3_14)]
impl<'a> DictPlace<'a> {
    #[allow(clippy::unnecessary_wraps)]
    pub(crate) fn find(dict: &'a Object, key: &'a Object) -> Res<Self> {
        Ok(DictPlace(dict, key))
    }

    pub(crate) fn get(&self) -> Res<Option<Owned>> {
        dict_get(self.0, self.1)
    }

    pub(crate) fn set(&self, value: &Object) -> Res<()> {
        dict_set(self.0, self.1, value)
    }

    pub(crate) fn delete(&self) -> Res<()> {
        dict_pop(self.0, self.1).map(drop)
    }
}

/// `dict.pop(key, None)`. An empty dict does not look at the key.
#[cfg(Py_3_13)]
pub(crate) fn dict_pop(dict: &Object, key: &Object) -> Res<Option<Owned>> {
    let mut value = ptr::null_mut();
    // SAFETY: a live dict, and a place for the new reference, which is NULL if there is none.
    unsafe {
        check(enter::PyDict_Pop(dict.as_ptr(), key.as_ptr(), &raw mut value).min(0))?;
        Ok(Owned::steal_nullable(value))
    }
}

/// `dict.pop(key, None)`
#[cfg(not(Py_3_13))]
pub(crate) fn dict_pop(dict: &Object, key: &Object) -> Res<Option<Owned>> {
    let place = DictPlace::find(dict, key)?;
    let value = place.get()?;
    if value.is_some() {
        place.delete()?;
    }
    Ok(value)
}

/// An empty `set`, or one of the items of `iterable`.
pub(crate) fn new_set(iterable: Option<&Object>) -> Res<Owned> {
    // SAFETY: NULL or a live iterable.
    unsafe { Owned::steal_or_raised(enter::PySet_New(iterable.map_or(ptr::null_mut(), Layout::as_ptr))) }
}

pub(crate) fn new_frozenset(iterable: &Object) -> Res<Owned> {
    // SAFETY: a live iterable.
    unsafe { Owned::steal_or_raised(enter::PyFrozenSet_New(iterable.as_ptr())) }
}

pub(crate) fn set_add(set: &Object, item: &Object) -> Res<()> {
    // SAFETY: a live set; it makes its own reference.
    check(unsafe { enter::PySet_Add(set.as_ptr(), item.as_ptr()) })
}

pub(crate) fn set_discard(set: &Object, item: &Object) -> Res<()> {
    // SAFETY: a live set.
    check(unsafe { enter::PySet_Discard(set.as_ptr(), item.as_ptr()) })
}

pub(crate) fn set_contains(set: &Object, item: &Object) -> Res<bool> {
    // SAFETY: a live set.
    match unsafe { enter::PySet_Contains(set.as_ptr(), item.as_ptr()) } {
        -1 => Err(Raised),
        found => Ok(found != 0),
    }
}

pub(crate) fn set_len(set: &Object) -> usize {
    // SAFETY: a live object; the function checks that it is a set.
    usize::try_from(unsafe { ffi::PySet_Size(set.as_ptr()) }).unwrap_or(0)
}

pub(crate) fn string(text: &CStr) -> Res<Owned> {
    // SAFETY: a NUL-terminated text in UTF-8.
    unsafe { Owned::steal_or_raised(ffi::PyUnicode_FromString(text.as_ptr())) }
}

/// A string of a text made at run time.
pub(crate) fn string_of(text: &str) -> Res<Owned> {
    let size = ffi::Py_ssize_t::try_from(text.len()).unwrap_or(0);
    // SAFETY: a text of that many bytes of UTF-8.
    unsafe { Owned::steal_or_raised(ffi::PyUnicode_FromStringAndSize(text.as_ptr().cast(), size)) }
}

/// A string in `PyUnicode_FromFormat`'s language, for one object (`%S`, `%R`).
pub(crate) fn format1(format: &CStr, object: &Object) -> Res<Owned> {
    assert!(takes_objects(format, 1));
    // SAFETY: the format has one conversion, of an object, as was just checked.
    unsafe { Owned::steal_or_raised(enter::PyUnicode_FromFormat(format.as_ptr(), object.as_ptr())) }
}

/// A string?
#[cfg(Py_3_12)]
pub(crate) fn is_string(object: &Object) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyUnicode_Check(object.as_ptr()) != 0 }
}

/// The exact type `str`?
pub(crate) fn is_exact_string(object: &Object) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyUnicode_CheckExact(object.as_ptr()) != 0 }
}

/// The exact type `list`?
pub(crate) fn is_exact_list(object: &Object) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyList_CheckExact(object.as_ptr()) != 0 }
}

/// The exact type `tuple`?
#[cfg(Py_3_12)]
pub(crate) fn is_exact_tuple(object: &Object) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyTuple_CheckExact(object.as_ptr()) != 0 }
}

/// The exact type `set`?
pub(crate) fn is_exact_set(object: &Object) -> bool {
    ptr::eq(object.type_ptr(), &raw mut ffi::PySet_Type)
}

/// The length of an exact `list`, `set` or `dict`.
#[cfg(Py_3_12)]
pub(crate) fn builtin_len(object: &Object) -> Option<usize> {
    if !(is_exact_list(object) || is_exact_set(object) || is_exact_dict(object)) {
        return None;
    }
    // SAFETY: a live object, of a type whose length is not Python code's affair.
    usize::try_from(unsafe { ffi::PyObject_Size(object.as_ptr()) }).ok()
}

/// The exact type `int`?
pub(crate) fn is_exact_int(object: &Object) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyLong_CheckExact(object.as_ptr()) != 0 }
}

pub(crate) fn int(value: i64) -> Res<Owned> {
    // SAFETY: no precondition but attachment.
    unsafe { Owned::steal_or_raised(ffi::PyLong_FromLongLong(value)) }
}

/// An error unless the object is an integer that fits a C `int`.
pub(crate) fn check_c_int(object: &Object) -> Res<()> {
    // SAFETY: a live object.
    let value = unsafe { enter::PyLong_AsLong(object.as_ptr()) };
    if value == -1 && super::raised::occurred() {
        return Err(Raised);
    }
    if std::ffi::c_int::try_from(value).is_err() {
        let class = super::error::Builtin::OverflowError.class();
        return Err(super::error::raise(class, c"Python int too large to convert to C int"));
    }
    Ok(())
}

/// `left + right`
pub(crate) fn add(left: &Object, right: &Object) -> Res<Owned> {
    // SAFETY: two live objects.
    unsafe { Owned::steal_or_raised(enter::PyNumber_Add(left.as_ptr(), right.as_ptr())) }
}

/// `tuple(list)`
pub(crate) fn tuple_of(list: &Object) -> Res<Owned> {
    // SAFETY: a live object; the function checks that it is a list.
    unsafe { Owned::steal_or_raised(enter::PyList_AsTuple(list.as_ptr())) }
}

/// An integer; `OverflowError` if it does not fit.
#[inline]
pub(crate) fn int_value(object: &Object) -> Res<i64> {
    #[cfg(Py_3_12)]
    if let Some(value) = super::small_int::value(object) {
        return Ok(value);
    }
    any_int_value(object)
}

fn any_int_value(object: &Object) -> Res<i64> {
    // SAFETY: a live object.
    let value = unsafe { enter::PyLong_AsLongLong(object.as_ptr()) };
    if value == -1 && super::raised::occurred() { Err(Raised) } else { Ok(value) }
}

/// An integer, if it is exactly one that fits.
#[cfg(Py_3_12)]
pub(crate) fn exact_int(object: &Object) -> Option<i64> {
    if !is_exact_int(object) {
        return None;
    }
    int_value(object).map_err(|raised| drop(super::error::fetch(raised))).ok()
}

/// An integer; what does not fit is the least or the greatest that does.
#[inline]
pub(crate) fn int_clamped(object: &Object) -> Res<i64> {
    #[cfg(Py_3_12)]
    if let Some(value) = super::small_int::value(object) {
        return Ok(value);
    }
    any_int_clamped(object)
}

fn any_int_clamped(object: &Object) -> Res<i64> {
    let mut overflow = 0;
    // SAFETY: a live object, and a place for the sign of what does not fit.
    let value = unsafe { enter::PyLong_AsLongLongAndOverflow(object.as_ptr(), &raw mut overflow) };
    match overflow {
        0 if value == -1 && super::raised::occurred() => Err(Raised),
        0 => Ok(value),
        sign => Ok(if sign < 0 { i64::MIN } else { i64::MAX }),
    }
}

/// A string for a message.
pub(crate) fn text_of(string: &Object) -> String {
    super::lazy::to_py(string).to_string()
}
