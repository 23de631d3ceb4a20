//! The attributes of an instance, read where the interpreter keeps them: beside the object, in the order of the names
//! that the instances of its class share.
//!
//! The public way to them would be the object's `__dict__`. But asking for it has a price that Python code pays from
//! then on, at each access to the object's attributes: the interpreter then gives up its shortcuts for them (3.11,
//! 3.12), or makes no new ones (3.14, 3.15). What is written here replaces a value by another. The layouts are those of CPython 3.11 to 3.15; a
//! trial on an object of our own shows first whether this interpreter has them, and else there are no values to be had.

use std::cell::Cell;
use std::ffi::c_ulong;
use std::marker::PhantomData;
use std::ptr;

use pyo3::ffi;

use super::attached::Attached;
use super::error::fetch;
use super::intern::{ADD, Name, VALUE};
use super::object::{boolean, none};
use super::{Layout, Object, Owned, Res, call, containers, types};

/// The names of the attributes that instances of one class have (`PyDictKeysObject`). A name that is in it stays, at
/// its place. Or a dict's own names, or other keys, with their values (`dict_entries.rs`).
#[repr(C)]
pub(super) struct Keys {
    references: isize,
    log2_size: u8,
    log2_index_bytes: u8,
    pub(super) kind: u8,
    version: u32,
    usable: isize,
    pub(super) count: usize,
    index: [u8; 0],
}

impl Keys {
    /// Where the entries begin.
    ///
    /// # Safety
    /// Live keys, all of whose names are strings.
    #[inline]
    pub(super) unsafe fn entries(keys: *const Keys) -> *const Entry {
        // SAFETY: the caller's contract: entries follow the index, whose size is known.
        unsafe { (&raw const (*keys).index).cast::<Entry>().byte_add(1 << (*keys).log2_index_bytes) }
    }
}

/// One of them (`PyDictUnicodeEntry`).
#[repr(C)]
pub(super) struct Entry {
    pub(super) name: *mut ffi::PyObject,
    /// In a dict with values of its own.
    pub(super) value: *mut ffi::PyObject,
}

/// `Keys.kind`: the names are strings, and the values are elsewhere.
const SHARED: u8 = 2;

/// An instance's values. To be used at once: they are the instance's until Python code runs.
#[derive(Clone, Copy)]
pub(crate) struct Values<'a> {
    names: *const Keys,
    first: *const *mut ffi::PyObject,
    instance: PhantomData<&'a Object>,
}

/// A place that no name has.
pub(crate) const NOWHERE: usize = usize::MAX;

impl<'a> Values<'a> {
    /// The values of the instance, unless they are in a dict of their own.
    #[inline]
    pub(crate) fn of(instance: &'a Object) -> Option<Self> {
        match LAYOUT.get() {
            Layouts::Known => Self::read(instance),
            Layouts::Unknown => None,
            Layouts::Untried => Self::try_and_read(instance),
        }
    }

    /// The same, where values were looked at before.
    #[cfg(Py_3_12)]
    #[inline]
    pub(crate) fn of_known(instance: &'a Object) -> Option<Self> {
        if matches!(LAYOUT.get(), Layouts::Known) { Self::read(instance) } else { None }
    }

    #[cold]
    #[inline(never)]
    fn try_and_read(instance: &'a Object) -> Option<Self> {
        try_layouts().and_then(|()| Self::read(instance))
    }

    #[inline]
    fn read(instance: &'a Object) -> Option<Self> {
        let class = instance.type_ptr();
        // SAFETY: a live object and its type, which has the layout of heap types if its flags say so.
        unsafe {
            const FLAGS: c_ulong = layout::FLAGS | ffi::Py_TPFLAGS_HEAPTYPE;
            if (*class).tp_flags & FLAGS != FLAGS {
                return None;
            }
            let names = (*class.cast::<ffi::PyHeapTypeObject>()).ht_cached_keys.cast::<Keys>();
            let first = layout::values(instance.as_ptr())?;
            let shared = !names.is_null() && (*names).kind == SHARED;
            shared.then_some(Values { names, first, instance: PhantomData })
        }
    }

    /// How many names there are. As long as the number is the same, so are the names of the class.
    #[inline]
    pub(crate) fn count(self) -> usize {
        // SAFETY: the names belong to the class of a live instance.
        unsafe { (*self.names).count }
    }

    /// The place of the name, or `NOWHERE`.
    pub(crate) fn place(self, name: &Name) -> usize {
        (0..self.count())
            .find(|&place| {
                // SAFETY: as many entries as the count says follow the index; a name is a live string.
                unsafe {
                    Object::from_nullable((*Keys::entries(self.names).add(place)).name)
                        .is_some_and(|key| name.is(key) || name.equals(key))
                }
            })
            .unwrap_or(NOWHERE)
    }

    /// The address of the value at the place, or NULL if the instance has none there.
    #[inline]
    pub(crate) fn peek(self, place: usize) -> *mut ffi::PyObject {
        if place < self.count() {
            // SAFETY: an instance has room for as many values as its class can have names.
            unsafe { *self.first.add(place) }
        } else {
            ptr::null_mut()
        }
    }

    /// The value at the place.
    #[inline]
    pub(crate) fn get(self, place: usize) -> Option<Owned> {
        // SAFETY: a value of a live instance, made owned before anything else runs.
        unsafe { Object::from_nullable(self.peek(place)) }.map(Layout::own)
    }
}

/// Looking into them, too, and changing them is for the code that stands in for a class's own methods.
#[cfg(Py_3_12)]
impl Values<'_> {
    /// The value at the place, if that is a small `int`.
    #[inline]
    pub(crate) fn small_int(self, place: usize) -> Option<i64> {
        // SAFETY: a value of a live instance; it is looked into before anything else runs.
        unsafe { Object::from_nullable(self.peek(place)) }.and_then(super::small_int::value)
    }

    /// Replaces the value at a place that has one; false, and nothing is done, if it has none.
    #[inline]
    pub(crate) fn replace(self, place: usize, value: Owned) -> bool {
        if self.peek(place).is_null() {
            return false;
        }
        // SAFETY: the place of a value, which a dict of the instance, if it has one, shares: its size does not change. The
        // value before is let go of when the new one is there.
        unsafe {
            let slot = self.first.cast_mut().add(place);
            let before: Owned = Owned::steal(slot.replace(value.into_ptr()));
            drop(before);
        }
        true
    }

    /// Sets the value at a place that the class has and the instance has none at, of an instance without a dict; false,
    /// and nothing is done, if it is not that.
    #[inline]
    pub(crate) fn insert(self, instance: &Object, place: usize, value: &Object) -> bool {
        INSERTS.get() && self.place_value(instance, place, value)
    }

    fn place_value(self, instance: &Object, place: usize, value: &Object) -> bool {
        if place >= self.count() || !self.peek(place).is_null() {
            return false;
        }
        // SAFETY: these are the instance's values, which have room for each name of its class. There is no dict that
        // would have to count it, or to tell of it.
        unsafe {
            if !layout::append(instance.as_ptr(), self.first, place) {
                return false;
            }
            *self.first.cast_mut().add(place) = value.own().into_ptr();
        }
        true
    }
}

/// Have values been set by [`Values::insert`], and was their order right?
#[cfg(Py_3_12)]
static INSERTS: Attached<Cell<bool>> = Attached::new(Cell::new(false));

/// Tries that on an instance of the class, which has two names.
#[cfg(Py_3_12)]
fn try_inserting(class: &Object) -> Res<bool> {
    let instance = call::call0(class)?;
    let Some(values) = Values::read(&instance) else { return Ok(false) };
    let set = values.place_value(&instance, 1, boolean(true)) && values.place_value(&instance, 0, none());
    let dict = call::getattr(&instance, &super::intern::ATTRIBUTE_DICT)?;
    let expected = containers::new_dict()?;
    containers::dict_set(&expected, ADD.object(), boolean(true))?;
    containers::dict_set(&expected, VALUE.object(), none())?;
    Ok(set && call::equal(&*call::repr(&dict)?, &*call::repr(&expected)?)?)
}

/// Values are in the object itself (`PyDictValues`).
#[cfg(Py_3_13)]
mod layout {
    use std::ffi::c_ulong;

    use pyo3::ffi;

    /// `Py_TPFLAGS_INLINE_VALUES`, which pyo3-ffi does not declare, and `Py_TPFLAGS_MANAGED_DICT`.
    pub(super) const FLAGS: c_ulong = 1 << 2 | ffi::Py_TPFLAGS_MANAGED_DICT;

    #[repr(C)]
    struct InlineValues {
        capacity: u8,
        size: u8,
        embedded: u8,
        valid: u8,
        values: [*mut ffi::PyObject; 0],
    }

    /// # Safety
    /// A live instance of a class with these flags.
    #[inline]
    pub(super) unsafe fn values(instance: *mut ffi::PyObject) -> Option<*const *mut ffi::PyObject> {
        // SAFETY: the flags say that the values follow the object proper.
        unsafe {
            let size = (*ffi::Py_TYPE(instance)).tp_basicsize;
            let inline = instance.cast::<InlineValues>().byte_offset(size);
            ((*inline).valid != 0).then_some((&raw const (*inline).values).cast())
        }
    }

    /// Notes that the value at the place comes next in the order of the attributes. False, and nothing is done, if the
    /// instance has a dict: its address is three words before it.
    ///
    /// # Safety
    /// An instance, and its values; it has none at the place, and room for it.
    #[inline]
    pub(super) unsafe fn append(instance: *mut ffi::PyObject, first: *const *mut ffi::PyObject, place: usize) -> bool {
        // SAFETY: the order is behind the room for values, a byte for each; the head is before the first of them.
        unsafe {
            let values = first.cast_mut().byte_sub(size_of::<InlineValues>()).cast::<InlineValues>();
            let (capacity, size) = (usize::from((*values).capacity), (*values).size);
            let dict = *instance.cast::<*const u8>().sub(3);
            let Ok(index) = u8::try_from(place) else { return false };
            if !dict.is_null() || usize::from(size) >= capacity {
                return false;
            }
            *first.cast_mut().add(capacity).cast::<u8>().add(usize::from(size)) = index;
            (*values).size = size + 1;
            true
        }
    }
}

/// One word before the object is its dict, or the address of its values less one.
#[cfg(all(Py_3_12, not(Py_3_13)))]
mod layout {
    use std::ffi::c_ulong;

    use pyo3::ffi;

    pub(super) const FLAGS: c_ulong = ffi::Py_TPFLAGS_MANAGED_DICT;

    /// # Safety
    /// A live instance of a class with these flags.
    #[inline]
    pub(super) unsafe fn values(instance: *mut ffi::PyObject) -> Option<*const *mut ffi::PyObject> {
        // SAFETY: the flag says that the word is there. Addresses are even; an odd one is one less than the values'.
        unsafe {
            let word = *instance.cast::<*const u8>().sub(3);
            (word.addr() % 2 == 1).then_some(word.add(1).cast())
        }
    }

    /// Notes that the value at the place comes next in the order of the attributes. An instance that has values has no
    /// dict.
    ///
    /// # Safety
    /// An instance, and its values; it has none at the place, and room for it.
    #[inline]
    pub(super) unsafe fn append(_instance: *mut ffi::PyObject, first: *const *mut ffi::PyObject, place: usize) -> bool {
        // SAFETY: two bytes before the values is how many there are, and before that, backwards, their order; one byte
        // before the values is for how much there is room, and for these two.
        unsafe {
            let size = first.cast_mut().cast::<u8>().sub(2);
            let count = usize::from(*size) + 1;
            let room = usize::from(*size.add(1));
            let Ok(index) = u8::try_from(place) else { return false };
            if count + 2 > room {
                return false;
            }
            *size.sub(count) = index;
            *size += 1;
            true
        }
    }
}

/// One word before the object is the address of its values, or NULL.
#[cfg(not(Py_3_12))]
mod layout {
    use std::ffi::c_ulong;

    use pyo3::ffi;

    /// `Py_TPFLAGS_MANAGED_DICT`, which pyo3-ffi declares for later versions only.
    pub(super) const FLAGS: c_ulong = 1 << 4;

    /// # Safety
    /// A live instance of a class with these flags.
    #[inline]
    pub(super) unsafe fn values(instance: *mut ffi::PyObject) -> Option<*const *mut ffi::PyObject> {
        // SAFETY: the flag says that the word is there.
        let word = unsafe { *instance.cast::<*const *mut ffi::PyObject>().sub(4) };
        (!word.is_null()).then_some(word)
    }
}

#[derive(Clone, Copy)]
enum Layouts {
    Untried,
    Known,
    /// Or they are being tried.
    Unknown,
}

static LAYOUT: Attached<Cell<Layouts>> = Attached::new(Cell::new(Layouts::Untried));

#[cold]
fn try_layouts() -> Option<()> {
    // The trial runs Python code, which may come back here.
    LAYOUT.set(Layouts::Unknown);
    match values_are_where_expected() {
        Ok(true) => LAYOUT.set(Layouts::Known),
        Ok(false) => {}
        Err(raised) => drop(fetch(raised)),
    }
    matches!(LAYOUT.get(), Layouts::Known).then_some(())
}

fn values_are_where_expected() -> Res<bool> {
    let no_bases = containers::tuple(&[])?;
    let class = call::call(types::type_type(), &[VALUE.object(), &no_bases, &*containers::new_dict()?])?;
    let first = call::call0(&class)?;
    let second = call::call0(&class)?;
    call::setattr(&first, &VALUE, none())?;
    call::setattr(&first, &ADD, boolean(true))?;
    call::setattr(&second, &ADD, boolean(false))?;
    let holds = |instance: &Object, expected: [*mut ffi::PyObject; 2]| {
        Values::read(instance).is_some_and(|values| {
            values.count() == 2
                && [values.place(&VALUE), values.place(&ADD)] == [0, 1]
                && [values.peek(0), values.peek(1)] == expected
        })
    };
    let expected = holds(&first, [none().as_ptr(), boolean(true).as_ptr()])
        && holds(&second, [ptr::null_mut(), boolean(false).as_ptr()]);
    #[cfg(Py_3_12)]
    INSERTS.set(expected && try_inserting(&class)?);
    Ok(expected)
}
