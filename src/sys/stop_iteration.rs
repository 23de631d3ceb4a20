//! Raising `StopIteration(value)`, by which an iterator says what it returns.
//!
//! `await` of anything but Python's own coroutines gets its result so, up to 3.14. Calling the class costs more than all
//! else of an await that does not wait. So the exception is made in place: allocated by its class, its two fields filled.
//! Whether they are where they are expected, an exception that the class has made shows first. That of `True`, which
//! outlives any exception, is kept and raised again, unless somebody has it, or has left something in it.

use std::cell::Cell;
use std::ptr;

use pyo3::ffi;

use super::attached::Attached;
use super::error::{Builtin, fetch};
use super::object::boolean;
use super::{Field, Layout, Object, Owned, Raised, Res, call, containers};

/// `PyStopIterationObject`, of CPython 3.11 to 3.15.
#[repr(C)]
struct StopIteration {
    head: ffi::PyObject,
    dict: *mut ffi::PyObject,
    arguments: *mut ffi::PyObject,
    notes: *mut ffi::PyObject,
    traceback: *mut ffi::PyObject,
    context: *mut ffi::PyObject,
    cause: *mut ffi::PyObject,
    suppress_context: u8,
    value: *mut ffi::PyObject,
}

#[derive(Clone, Copy)]
enum Fields {
    Untried,
    Known,
    /// Or they are being tried.
    Unknown,
}

static FIELDS: Attached<Cell<Fields>> = Attached::new(Cell::new(Fields::Untried));
/// `StopIteration(True)`
static TRUE: Attached<Field> = Attached::new(Field::unset());

/// Raises it, as long as no exception is being handled: that would be its context, in some releases. `None`, and nothing
/// is done, if the interpreter has to do it.
#[inline]
pub(super) fn raise(value: &Object) -> Option<Raised> {
    match FIELDS.get() {
        Fields::Known => {}
        Fields::Unknown => return None,
        Fields::Untried => try_fields()?,
    }
    // SAFETY: no precondition but attachment; a new reference, or NULL.
    let handled: Option<Owned> = unsafe { Owned::steal_nullable(ffi::PyErr_GetHandledException()) };
    // What is a tuple or an exception, the class is called with in ways of its own.
    if handled.is_some() || containers::is_tuple(value) || super::error::is_exception(value) {
        return None;
    }
    let exception = if value.is(boolean(true)) { kept()? } else { make(value)? };
    // SAFETY: the reference is given away.
    unsafe { ffi::PyErr_SetRaisedException(exception.into_ptr()) };
    Some(Raised)
}

fn make(value: &Object) -> Option<Owned> {
    let arguments = containers::tuple(&[value]).map_err(|raised| drop(fetch(raised))).ok()?;
    let class = Builtin::StopIteration.class().as_type()?.as_type_ptr();
    // SAFETY: a new object of the class, with all fields zero, of which nobody else knows: each gets its reference.
    unsafe {
        let allocate = (*class).tp_alloc?;
        let made = allocate(class, 0);
        if made.is_null() {
            super::raised::clear();
            return None;
        }
        let fields = made.cast::<StopIteration>();
        (*fields).arguments = arguments.into_ptr();
        (*fields).value = value.own().into_ptr();
        Some(Owned::steal(made))
    }
}

fn kept() -> Option<Owned> {
    if let Some(kept) = TRUE.take() {
        if kept.is_only_reference() && is_as_made(&kept, boolean(true)) {
            TRUE.set(kept.clone());
            return Some(kept);
        }
    }
    let made = make(boolean(true))?;
    TRUE.set(made.clone());
    Some(made)
}

/// Has nobody put anything into it?
fn is_as_made(exception: &Object, value: &Object) -> bool {
    // SAFETY: an exception of exactly the class, whose fields are known; they are compared, and the tuple is looked into.
    unsafe {
        let fields = exception.as_ptr().cast::<StopIteration>();
        let others = [(*fields).dict, (*fields).notes, (*fields).traceback, (*fields).context, (*fields).cause];
        let arguments = (*fields).arguments;
        others.iter().all(|other| other.is_null())
            && (*fields).suppress_context == 0
            && ptr::eq((*fields).value, value.as_ptr())
            && ffi::PyTuple_CheckExact(arguments) != 0
            && ffi::PyTuple_GET_SIZE(arguments) == 1
            && ptr::eq(ffi::PyTuple_GET_ITEM(arguments, 0), value.as_ptr())
    }
}

#[cold]
fn try_fields() -> Option<()> {
    FIELDS.set(Fields::Unknown);
    let tried = || -> Res<bool> {
        let class = Builtin::StopIteration.class();
        let value = containers::new_list()?;
        let made = call::call1(class, &value)?;
        let size = class.as_type().map_or(0, |class| {
            // SAFETY: a live type.
            unsafe { (*class.as_type_ptr()).tp_basicsize }
        });
        Ok(usize::try_from(size) == Ok(size_of::<StopIteration>()) && is_as_made(&made, &value))
    };
    match tried() {
        Ok(true) => FIELDS.set(Fields::Known),
        Ok(false) => {}
        Err(raised) => drop(fetch(raised)),
    }
    matches!(FIELDS.get(), Fields::Known).then_some(())
}
