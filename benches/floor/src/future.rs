//! The least possible future; a task if it owns a coroutine.
//!
//! It is its own iterator: asked while it is pending it yields itself, asked when it is done it ends with the result.
//! One task or one callback can wait for it.

use std::mem::{offset_of, take};
use std::ptr;

use pyo3_ffi as ffi;

use crate::event_loop::{Entry, push};
use crate::{Object, floor, no, none, own, plain, refuse, table};

/// Every pointer is a reference, or NULL.
#[repr(C)]
pub(crate) struct Future {
    head: ffi::PyObject,
    /// The result, or the exception if it has failed; NULL while it is pending.
    value: Object,
    failed: bool,
    /// The task to step or the function to call when it is done.
    waiter: Option<ptr::NonNull<ffi::PyObject>>,
    /// What a task drives.
    pub(crate) coroutine: Object,
    /// `_log_destroy_pending`, which `gather` sets.
    log: Object,
}

/// A future of the floor?
pub(crate) fn is_future(object: Object) -> bool {
    // SAFETY: all callers have a live object.
    unsafe { ffi::Py_TYPE(object) == floor(|floor| floor.future_type) }
}

/// A future, or a task if there is a coroutine, whose reference it takes. Without memory NULL, with an exception.
pub(crate) fn new(coroutine: Object) -> *mut Future {
    let (spare, class) = floor(|floor| (floor.spare.pop(), floor.future_type));
    // SAFETY: memory for an instance, kept or new, of which all fields are set.
    unsafe {
        let future: *mut Future = match spare {
            Some(memory) => ffi::PyObject_Init(memory.cast(), class).cast(),
            None => ffi::PyType_GenericAlloc(class, 0).cast(),
        };
        if future.is_null() {
            ffi::Py_XDECREF(coroutine);
            return future;
        }
        (*future).value = ptr::null_mut();
        (*future).failed = false;
        (*future).waiter = None;
        (*future).coroutine = coroutine;
        (*future).log = ptr::null_mut();
        future
    }
}

unsafe extern "C" fn dealloc(object: Object) {
    let future: *mut Future = object.cast();
    // SAFETY: a dead object, whose references are given back.
    unsafe {
        ffi::Py_XDECREF((*future).value);
        ffi::Py_XDECREF((*future).waiter.map_or(ptr::null_mut(), ptr::NonNull::as_ptr));
        ffi::Py_XDECREF((*future).coroutine);
        ffi::Py_XDECREF((*future).log);
        ffi::Py_DECREF(ffi::Py_TYPE(object).cast());
    }
    floor(|floor| floor.spare.push(future));
}

pub(crate) fn is_done(future: *mut Future) -> bool {
    // SAFETY: a live future.
    unsafe { !(*future).value.is_null() }
}

/// Gives the future its result or its exception, and hands who waits for it to the loop. Takes the reference.
pub(crate) fn complete(future: *mut Future, value: Object, failed: bool) {
    // SAFETY: a live future.
    unsafe {
        (*future).value = value;
        (*future).failed = failed;
        if let Some(waiter) = take(&mut (*future).waiter) {
            wake(future, waiter.as_ptr());
        }
    }
}

/// Takes the reference to who waited.
fn wake(future: *mut Future, waiter: Object) {
    push(if is_future(waiter) { Entry::Step(waiter.cast()) } else { Entry::Call(waiter, own(future.cast())) });
}

/// Lets a task or a function wait. False, with an exception, if there is one already.
pub(crate) fn wait(future: *mut Future, waiter: Object) -> bool {
    // SAFETY: live objects.
    unsafe {
        if is_done(future) {
            wake(future, own(waiter));
        } else if (*future).waiter.is_some() {
            refuse(c"only one task or callback can wait for a future of the floor");
            return false;
        } else {
            (*future).waiter = ptr::NonNull::new(own(waiter));
        }
        true
    }
}

/// A new reference to the result, or NULL with an exception.
pub(crate) fn result(future: *mut Future) -> Object {
    // SAFETY: a live future, whose value is an exception if it has failed.
    unsafe {
        match (*future).value {
            value if value.is_null() => return refuse(c"the future is not done"),
            exception if (*future).failed => ffi::PyErr_SetObject(ffi::Py_TYPE(exception).cast(), exception),
            value => return own(value),
        }
    }
    ptr::null_mut()
}

/// Raises `StopIteration` with the value, whose reference it takes.
#[allow(deprecated)] // is the same for all versions
fn stop_iteration(mut value: Object) {
    // SAFETY: live objects; the exception that is changed is nobody else's.
    unsafe {
        let mut stop = floor(|floor| floor.stop);
        if stop.is_null() || ffi::Py_REFCNT(stop.cast()) > 1 {
            ffi::Py_XDECREF(stop.cast());
            stop = ffi::PyObject_CallNoArgs(ffi::PyExc_StopIteration).cast();
            floor(|floor| floor.stop = stop);
        }
        if !stop.is_null() {
            std::mem::swap(&mut (*stop).value, &mut value);
            ffi::PyErr_Restore(own(ffi::PyExc_StopIteration), own(stop.cast()), ptr::null_mut());
        }
        ffi::Py_DECREF(value);
    }
}

/// `await`, from 3.15 on.
unsafe extern "C" fn am_send(slf: Object, _: Object, place: *mut Object) -> ffi::PySendResult {
    let done = is_done(slf.cast());
    let value = if done { result(slf.cast()) } else { own(slf) };
    // SAFETY: CPython's place for the new reference.
    unsafe { *place = value };
    match value {
        _ if !done => ffi::PySendResult::PYGEN_NEXT,
        value if value.is_null() => ffi::PySendResult::PYGEN_ERROR,
        _ => ffi::PySendResult::PYGEN_RETURN,
    }
}

/// `await`, up to 3.14. An end without an exception is one with None.
unsafe extern "C" fn iternext(slf: Object) -> Object {
    if !is_done(slf.cast()) {
        return own(slf);
    }
    match result(slf.cast()) {
        failure if failure.is_null() => {}
        // SAFETY: always there; the reference is not needed.
        nothing if nothing == unsafe { ffi::Py_None() } => unsafe { ffi::Py_DECREF(nothing) },
        value => stop_iteration(value),
    }
    ptr::null_mut()
}

unsafe extern "C" fn done(slf: Object, _: Object) -> Object {
    // SAFETY: no requirement.
    unsafe { ffi::PyBool_FromLong(is_done(slf.cast()).into()) }
}

unsafe extern "C" fn get_result(slf: Object, _: Object) -> Object {
    result(slf.cast())
}

unsafe extern "C" fn exception(slf: Object, _: Object) -> Object {
    let future: *mut Future = slf.cast();
    // SAFETY: a live future.
    match unsafe { ((*future).value, (*future).failed) } {
        (value, _) if value.is_null() => refuse(c"the future is not done"),
        (_, false) => none(),
        (value, true) => own(value),
    }
}

unsafe extern "C" fn set_result(slf: Object, value: Object) -> Object {
    if is_done(slf.cast()) {
        return refuse(c"the future is done already");
    }
    complete(slf.cast(), own(value), false);
    none()
}

unsafe extern "C" fn add_done_callback(slf: Object, callback: Object) -> Object {
    if wait(slf.cast(), callback) { none() } else { ptr::null_mut() }
}

pub(crate) fn new_type() -> Object {
    let log = ffi::PyMemberDef {
        name: c"_log_destroy_pending".as_ptr(),
        type_code: ffi::Py_T_OBJECT_EX,
        offset: offset_of!(Future, log).try_into().expect("small"),
        ..ffi::PyMemberDef::default()
    };
    let methods = [
        plain(c"done", ffi::METH_NOARGS, done),
        plain(c"cancelled", ffi::METH_NOARGS, no),
        plain(c"result", ffi::METH_NOARGS, get_result),
        plain(c"exception", ffi::METH_NOARGS, exception),
        plain(c"set_result", ffi::METH_O, set_result),
        plain(c"add_done_callback", ffi::METH_O, add_done_callback),
    ];
    let slots = [
        (ffi::Py_tp_dealloc, dealloc as *mut _),
        (ffi::Py_am_await, ffi::PyObject_SelfIter as *mut _),
        (ffi::Py_am_send, am_send as *mut _),
        (ffi::Py_tp_iternext, iternext as *mut _),
        (ffi::Py_tp_members, table([log]).cast()),
        (ffi::Py_tp_methods, table(methods).cast()),
    ];
    crate::new_type::<Future>(c"floor.Future", slots.map(|(slot, pfunc)| ffi::PyType_Slot { slot, pfunc }))
}
