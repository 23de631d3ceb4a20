//! What a dict holds at a place, read where the interpreter keeps it.
//!
//! `PyDict_Next` says the same, by a call that looks at the kind of dict anew each time. The layout is that of CPython 3.11
//! to 3.15; a trial on dicts of our own shows first whether this interpreter has it, and else nothing is read here.

use std::cell::Cell;
use std::ptr;

use pyo3::ffi;

use super::attached::Attached;
use super::error::fetch;
use super::instance_values::{Entry, Keys};
use super::intern::{ADD, Name, VALUE};
use super::object::{boolean, none};
use super::{Layout, Object, Owned, Res, containers};

/// `Keys.kind`: the names are strings, and the values are beside them.
const OF_STRINGS: u8 = 1;

#[derive(Clone, Copy)]
enum Reads {
    Untried,
    Yes,
    /// Or that is being tried.
    No,
}

static READS: Attached<Cell<Reads>> = Attached::new(Cell::new(Reads::Untried));

/// A look at a dict's entries. To be used at once: they are the dict's until Python code runs.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    dict: &'a Object,
    first: *const Entry,
    /// How many there are; 0 if they are not known.
    count: usize,
}

impl<'a> Look<'a> {
    #[inline]
    pub(crate) fn at(dict: &'a Object) -> Self {
        let (first, count) = if matches!(READS.get(), Reads::Yes) { entries(dict) } else { (ptr::null(), 0) };
        Look { dict, first, count }
    }

    /// What `dict_peek` of `containers.rs` says, where the name is likely to be at the place that it had in the last
    /// dict: as in those of a class's instances, whose `__init__` sets attributes in one order.
    #[inline]
    pub(crate) fn peek(self, key: &Name) -> *mut ffi::PyObject {
        let value = read(self.first, self.count, usize::try_from(key.place()).unwrap_or(0), key.object());
        if value.is_null() { peek_elsewhere(self.dict, key) } else { value }
    }

    /// As `dict_get_named`, and `peek`.
    #[inline]
    pub(crate) fn get(self, name: &Name) -> Option<Owned> {
        // SAFETY: a borrowed reference, made owned before anything else runs.
        unsafe { Object::from_nullable(self.peek(name)) }.map(Layout::own)
    }

    /// What the dict holds under the name, if that is an `int` and no subclass's; as `peek` looks for it.
    #[inline]
    pub(crate) fn int(self, name: &Name) -> Option<i64> {
        // SAFETY: a borrowed reference, of an object that runs nothing when its value is asked.
        let value = unsafe { Object::from_nullable(self.peek(name)) };
        value.filter(|value| containers::is_exact_int(value)).and_then(|value| containers::int_clamped(value).ok())
    }
}

#[inline(never)]
fn peek_elsewhere(dict: &Object, key: &Name) -> *mut ffi::PyObject {
    if matches!(READS.get(), Reads::Untried) { peek_first(dict, key) } else { peek_farther(dict, key) }
}

#[cold]
fn peek_first(dict: &Object, key: &Name) -> *mut ffi::PyObject {
    READS.set(Reads::No);
    match is_as_described() {
        Ok(true) => READS.set(Reads::Yes),
        Ok(false) => {}
        Err(raised) => drop(fetch(raised)),
    }
    peek_farther(dict, key)
}

/// The same where dicts are not as described here, or this one is of another kind, or the name is elsewhere.
fn peek_farther(dict: &Object, key: &Name) -> *mut ffi::PyObject {
    let (mut place, mut name, mut value) = (key.place(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: a live dict, and a place of some dict: what is there in this one, if it has so many, is looked at.
    let is_there = unsafe { ffi::PyDict_Next(dict.as_ptr(), &raw mut place, &raw mut name, &raw mut value) };
    if is_there != 0 && ptr::eq(name, key.object().as_ptr()) { value } else { peek_anywhere(dict, key) }
}

#[cold]
fn peek_anywhere(dict: &Object, key: &Name) -> *mut ffi::PyObject {
    let (mut place, mut name) = (0, ptr::null_mut());
    // SAFETY: a live dict, which nothing changes meanwhile.
    while unsafe { ffi::PyDict_Next(dict.as_ptr(), &raw mut place, &raw mut name, ptr::null_mut()) } != 0 {
        if ptr::eq(name, key.object().as_ptr()) {
            key.set_place(place - 1);
            break;
        }
    }
    containers::dict_peek(dict, key)
}

/// Where the dict's entries begin, and how many there are, if it has no values elsewhere, and its keys are strings.
#[inline]
fn entries(dict: &Object) -> (*const Entry, usize) {
    let dict = dict.as_ptr().cast::<ffi::PyDictObject>();
    // SAFETY: a live dict, and its keys.
    unsafe {
        let keys = (*dict).ma_keys.cast::<Keys>();
        if (*dict).ma_values.is_null() && (*keys).kind == OF_STRINGS {
            (Keys::entries(keys), (*keys).count)
        } else {
            (ptr::null(), 0)
        }
    }
}

/// The address of the value at the place, where this very name is; or NULL.
#[inline]
fn read(first: *const Entry, count: usize, place: usize, name: &Object) -> *mut ffi::PyObject {
    if place >= count {
        return ptr::null_mut();
    }
    // SAFETY: so many entries there are, of a dict that nothing has changed since.
    unsafe {
        let entry = first.add(place);
        if ptr::eq((*entry).name, name.as_ptr()) { (*entry).value } else { ptr::null_mut() }
    }
}

/// Of strings, with many of them, and with something else.
fn is_as_described() -> Res<bool> {
    let (first, second) = (VALUE.object(), ADD.object());
    let read = |dict: &Object, place, name| {
        let (first, count) = entries(dict);
        read(first, count, place, name)
    };
    let holds = |dict: &Object, place, name, expected: &Object| ptr::eq(read(dict, place, name), expected.as_ptr());
    let lacks = |dict: &Object, place, name| read(dict, place, name).is_null();
    let dict = containers::new_dict()?;
    containers::dict_set(&dict, first, none())?;
    containers::dict_set(&dict, second, boolean(true))?;
    let has_two = holds(&dict, 0, first, none())
        && holds(&dict, 1, second, boolean(true))
        && [(0, second), (1, first), (2, first)].into_iter().all(|(place, name)| lacks(&dict, place, name));
    if !has_two {
        return Ok(false);
    }
    let many = containers::new_dict()?;
    for number in 0..MANY {
        containers::dict_set(&many, &*containers::string_of(&number.to_string())?, none())?;
    }
    containers::dict_set(&many, second, boolean(false))?;
    let has_many = holds(&many, MANY, second, boolean(false)) && lacks(&many, MANY + 1, second);
    containers::dict_set(&dict, none(), none())?;
    Ok(has_many && lacks(&dict, 0, second) && lacks(&dict, 1, second))
}

/// So many that an index of bytes does not do.
const MANY: usize = 300;
