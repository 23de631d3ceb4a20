//! The least possible event loop: one queue, worked off until a future is done. No contexts are entered.

use std::ptr;

use pyo3_ffi as ffi;

use crate::future::{self, Future, complete, is_done, is_future, wait};
use crate::{Object, floor, keywords, no, none, own, plain, refuse, table};

/// What is ready. All pointers are references.
pub(crate) enum Entry {
    Step(*mut Future),
    /// A function and its argument, or NULL.
    Call(Object, Object),
}

pub(crate) fn push(entry: Entry) {
    floor(|floor| floor.ready.push_back(entry));
}

/// Drives a task's coroutine as far as it goes. Takes the reference.
fn step(task: *mut Future) {
    let mut value = ptr::null_mut();
    floor(|floor| floor.current = task.cast());
    // SAFETY: a live task, and a place for the new reference.
    let outcome = unsafe { ffi::PyIter_Send((*task).coroutine, ffi::Py_None(), &raw mut value) };
    floor(|floor| floor.current = ptr::null_mut());
    // SAFETY: the references to what was yielded, which the coroutine or the queue keeps alive, and to the task.
    unsafe {
        match outcome {
            ffi::PySendResult::PYGEN_NEXT if value == ffi::Py_None() => return push(Entry::Step(task)),
            ffi::PySendResult::PYGEN_RETURN => complete(task, value, false),
            ffi::PySendResult::PYGEN_NEXT => {
                let waits = if is_future(value) { wait(value.cast(), task.cast()) } else { wait_foreign(value, task) };
                ffi::Py_DECREF(value);
                if !waits {
                    complete(task, take_raised(), true);
                }
            }
            ffi::PySendResult::PYGEN_ERROR => complete(task, take_raised(), true),
        }
        ffi::Py_DECREF(task.cast());
    }
}

/// Lets a task wait for what is not ours, like the future that `gather` makes. That hands the task to `call_soon`.
fn wait_foreign(future: Object, task: *mut Future) -> bool {
    let (blocking, add_done_callback) = floor(|floor| (floor.blocking, floor.add_done_callback));
    // SAFETY: live objects.
    unsafe {
        if ffi::PyObject_SetAttr(future, blocking, ffi::Py_False()) < 0 {
            return false;
        }
        let answer = ffi::PyObject_CallMethodOneArg(future, add_done_callback, task.cast());
        ffi::Py_XDECREF(answer);
        !answer.is_null()
    }
}

/// A new reference to the exception that is raised, which then is no longer.
#[allow(deprecated)] // is the same for all versions
fn take_raised() -> Object {
    let (mut class, mut value, mut traceback) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: three places, and three references that are kept or given back.
    unsafe {
        ffi::PyErr_Fetch(&raw mut class, &raw mut value, &raw mut traceback);
        ffi::PyErr_NormalizeException(&raw mut class, &raw mut value, &raw mut traceback);
        if !traceback.is_null() {
            ffi::PyException_SetTraceback(value, traceback);
        }
        ffi::Py_XDECREF(traceback);
        ffi::Py_DECREF(class);
    }
    value
}

/// Runs a callback. Takes both references; false, with an exception, if it failed.
fn call(function: Object, argument: Object) -> bool {
    // SAFETY: live objects.
    unsafe {
        let answer = if argument.is_null() {
            ffi::PyObject_CallNoArgs(function)
        } else {
            ffi::PyObject_CallOneArg(function, argument)
        };
        ffi::Py_DECREF(function);
        ffi::Py_XDECREF(argument);
        ffi::Py_XDECREF(answer);
        !answer.is_null()
    }
}

/// `call_soon(callback[, argument])`
unsafe extern "C" fn call_soon(_: Object, arguments: *const Object, count: ffi::Py_ssize_t, _: Object) -> Object {
    // SAFETY: CPython hands over so many live objects.
    unsafe {
        push(match count {
            2 if is_future(*arguments) => Entry::Step(own(*arguments).cast()), // from `wait_foreign`
            2 => Entry::Call(own(*arguments), own(*arguments.add(1))),
            1 => Entry::Call(own(*arguments), ptr::null_mut()),
            _ => return refuse(c"the floor's call_soon() takes a callback and no more than one argument"),
        });
    }
    none()
}

unsafe extern "C" fn create_future(_: Object, _: Object) -> Object {
    future::new(ptr::null_mut()).cast()
}

/// `create_task(coroutine)`
unsafe extern "C" fn create_task(_: Object, arguments: *const Object, count: ffi::Py_ssize_t, _: Object) -> Object {
    if count != 1 {
        return refuse(c"create_task() takes a coroutine");
    }
    // SAFETY: CPython hands over one live object.
    let task = future::new(own(unsafe { *arguments }));
    if !task.is_null() {
        push(Entry::Step(own(task.cast()).cast()));
    }
    task.cast()
}

/// `_run(future)`: until it is done; then its result.
unsafe extern "C" fn run(slf: Object, target: Object) -> Object {
    if !is_future(target) {
        return refuse(c"not a future of the floor");
    }
    floor(|floor| floor.running = slf);
    let result = work_off(target);
    floor(|floor| floor.running = ptr::null_mut());
    result
}

fn work_off(target: Object) -> Object {
    while !is_done(target.cast()) {
        match floor(|floor| floor.ready.pop_front()) {
            Some(Entry::Step(task)) => step(task),
            Some(Entry::Call(function, argument)) => {
                if !call(function, argument) {
                    return ptr::null_mut();
                }
            }
            None => return refuse(c"nothing is ready, and the floor waits for neither time nor files nor threads"),
        }
    }
    future::result(target.cast())
}

/// Forgets what is still in the queue, and never frees it.
unsafe extern "C" fn close(_: Object, _: Object) -> Object {
    floor(|floor| floor.ready.clear());
    none()
}

pub(crate) fn new_type() -> Object {
    let methods = table([
        keywords(c"call_soon", call_soon),
        keywords(c"create_task", create_task),
        plain(c"create_future", ffi::METH_NOARGS, create_future),
        plain(c"get_debug", ffi::METH_NOARGS, no),
        plain(c"close", ffi::METH_NOARGS, close),
        plain(c"_run", ffi::METH_O, run),
    ]);
    let slots = [ffi::PyType_Slot { slot: ffi::Py_tp_methods, pfunc: methods.cast() }];
    crate::new_type::<ffi::PyObject>(c"floor.Loop", slots)
}
