//! Driving generator-like objects.

#[cfg(Py_3_12)]
use std::ffi::CStr;
use std::ffi::c_int;
use std::ptr;
#[cfg(Py_3_12)]
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;

use super::error::{Builtin, fetch, matches, raised_is, restore};
use super::intern::{THROW, VALUE};
use super::{Layout, Object, Owned, Raised, Res, call, enter};

/// What a coroutine did with a `send` or a `throw`; that it raised is an `Err`.
pub(crate) enum Sent {
    Yielded(Owned),
    Returned(Owned),
}

/// `coroutine.send(None)`, without a `StopIteration` where the object can do without.
#[inline]
pub(crate) fn send_none(coroutine: &Object) -> Res<Sent> {
    send_value(coroutine, super::object::none())
}

#[inline]
fn send_value(coroutine: &Object, value: &Object) -> Res<Sent> {
    const NEXT: c_int = ffi::PySendResult::PYGEN_NEXT as c_int;
    const RETURN: c_int = ffi::PySendResult::PYGEN_RETURN as c_int;

    let mut result = ptr::null_mut();
    // SAFETY: live objects and a place for the new reference.
    let outcome = unsafe { enter::PyIter_Send(coroutine.as_ptr(), value.as_ptr(), &raw mut result) };
    match outcome {
        // SAFETY: the outcome says that `result` is a new reference.
        NEXT => Ok(Sent::Yielded(unsafe { Owned::steal(result) })),
        // SAFETY: the outcome says that `result` is a new reference.
        RETURN => Ok(Sent::Returned(unsafe { Owned::steal(result) })),
        _ => Err(Raised),
    }
}

/// `coroutine.throw(exception)`; `StopIteration` says that it returned.
pub(crate) fn throw(coroutine: &Object, exception: &Object) -> Res<Sent> {
    match call::call_method(&THROW, &[coroutine, exception], None) {
        Ok(value) => Ok(Sent::Yielded(value)),
        Err(raised) if raised_is(Builtin::StopIteration.class()) => {
            let stop = fetch(raised);
            // Without memory to make the exception with, it has become another.
            if !matches(&stop, Builtin::StopIteration.class()) {
                return Err(restore(stop));
            }
            call::getattr(&stop, &VALUE).map(Sent::Returned)
        }
        Err(raised) => Err(raised),
    }
}

/// Raises the `StopIteration` of a generator that returns the value. The interpreter does it where its patch releases
/// differ: what the exception's arguments are for `None`, and whether the one being handled is its context (gh-128078).
pub(crate) fn raise_stop_iteration(value: &Object) -> Raised {
    #[cfg(Py_3_12)]
    if let Some(raised) = super::stop_iteration::raise(value) {
        return raised;
    }
    // SAFETY: a live object.
    unsafe { enter::_PyGen_SetStopIterationValue(value.as_ptr()) };
    Raised
}

/// A native coroutine, i.e. the result of an `async def`?
#[inline]
pub(crate) fn is_native_coroutine(object: &Object) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyCoro_CheckExact(object.as_ptr()) != 0 }
}

/// `coroutine.cr_suspended` of a native coroutine.
#[cfg(Py_3_12)]
pub(crate) fn is_suspended(coroutine: &Object) -> Res<bool> {
    static GETTER: AtomicPtr<ffi::PyGetSetDef> = AtomicPtr::new(ptr::null_mut());
    assert!(is_native_coroutine(coroutine), "a native coroutine");
    // SAFETY: the type is static, and so is its table of attributes, which ends with one that has no name; the getter of
    // one is for objects of exactly that type.
    unsafe {
        let mut entry = GETTER.load(Ordering::Relaxed);
        if entry.is_null() {
            entry = ffi::PyCoro_Type.tp_getset;
            while !(*entry).name.is_null() && CStr::from_ptr((*entry).name) != c"cr_suspended" {
                entry = entry.add(1);
            }
            GETTER.store(entry, Ordering::Relaxed);
        }
        let Some(get) = (*entry).get else { return Ok(true) };
        let answer: Owned = Owned::steal_or_raised(get(coroutine.as_ptr(), ptr::null_mut()))?;
        Ok(answer.is(super::object::boolean(true)))
    }
}

/// `types.CoroutineType`
#[cfg(Py_3_12)]
pub(crate) fn coroutine_type() -> &'static Object {
    // SAFETY: the type is static.
    unsafe { Object::from_ptr((&raw mut ffi::PyCoro_Type).cast()) }
}

/// `coroutine.send(value)`
#[cfg(Py_3_12)]
pub(crate) fn send(coroutine: &Object, value: &Object) -> Res<Sent> {
    send_value(coroutine, value)
}

/// A generator?
pub(crate) fn is_generator(object: &Object) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyGen_Check(object.as_ptr()) != 0 }
}
