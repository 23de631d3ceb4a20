//! Python exceptions: raising, catching, and what becomes of panics.

use std::any::Any;
use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::ffi;

use super::{Layout, Object, Owned, Raised, Res, enter, panics};

/// The builtin exception classes that we raise.
#[derive(Clone, Copy)]
pub(crate) enum Builtin {
    AttributeError,
    BlockingIOError,
    Exception,
    InterruptedError,
    OSError,
    OverflowError,
    RuntimeError,
    StopIteration,
    SystemError,
    TypeError,
    ValueError,
}

impl Builtin {
    pub(crate) fn class(self) -> &'static Object {
        // SAFETY: the builtin exception classes live as long as the interpreter.
        unsafe {
            Object::from_ptr(match self {
                Builtin::AttributeError => ffi::PyExc_AttributeError,
                Builtin::BlockingIOError => ffi::PyExc_BlockingIOError,
                Builtin::Exception => ffi::PyExc_Exception,
                Builtin::InterruptedError => ffi::PyExc_InterruptedError,
                Builtin::OSError => ffi::PyExc_OSError,
                Builtin::OverflowError => ffi::PyExc_OverflowError,
                Builtin::SystemError => ffi::PyExc_SystemError,
                Builtin::RuntimeError => ffi::PyExc_RuntimeError,
                Builtin::StopIteration => ffi::PyExc_StopIteration,
                Builtin::TypeError => ffi::PyExc_TypeError,
                Builtin::ValueError => ffi::PyExc_ValueError,
            })
        }
    }
}

/// `GeneratorExit`
#[cfg(Py_3_12)]
pub(crate) fn generator_exit() -> &'static Object {
    // SAFETY: a builtin exception class lives as long as the interpreter.
    unsafe { Object::from_ptr(ffi::PyExc_GeneratorExit) }
}

/// Raises `class(text)`.
#[cold]
pub(crate) fn raise(class: &Object, text: &CStr) -> Raised {
    // SAFETY: a live class and a NUL-terminated text.
    unsafe { enter::PyErr_SetString(class.as_ptr(), text.as_ptr()) };
    Raised
}

/// Like [`raise`], for a text made at run time. (An exception made by `PyO3` would be let go late: inside a slot `PyO3`
/// does not know that the thread is attached, and puts references aside.)
#[cold]
pub(crate) fn raise_text(class: &Object, text: &str) -> Raised {
    let size = ffi::Py_ssize_t::try_from(text.len()).unwrap_or(0);
    // SAFETY: a live class and a text of that many bytes of UTF-8.
    unsafe {
        let message = Owned::<Object>::steal_or_raised(ffi::PyUnicode_FromStringAndSize(text.as_ptr().cast(), size));
        if let Ok(message) = message {
            enter::PyErr_SetObject(class.as_ptr(), message.as_ptr());
        }
    }
    Raised
}

/// Has the format that many conversions, all of them of objects (`%R`, `%S`, `%T`)?
pub(super) fn takes_objects(format: &CStr, count: usize) -> bool {
    let text = format.to_string_lossy();
    let conversions = || text.split('%').skip(1);
    conversions().count() == count && conversions().all(|conversion| conversion.starts_with(['R', 'S', 'T']))
}

/// Raises `class` with a text in `PyErr_Format`'s language; the only conversions allowed are `%R`, `%S` and `%T`
/// (repr, str and qualified type name of an object), one for each of `objects` (at most two).
#[cold]
pub(crate) fn raise_format(class: &Object, format: &CStr, objects: &[&Object]) -> Raised {
    assert!(objects.len() <= 2 && takes_objects(format, objects.len()));
    let arguments = [0, 1].map(|i: usize| objects.get(i).map_or(ptr::null_mut(), |o| o.as_ptr()));
    // SAFETY: the format has as many object conversions as there are objects, as was just checked.
    unsafe { enter::PyErr_Format(class.as_ptr(), format.as_ptr(), arguments) };
    Raised
}

/// Raises an exception that exists already, as the `raise` statement does: the exception being handled becomes its
/// `__context__`.
pub(crate) fn raise_object(exception: &Object) -> Raised {
    // SAFETY: a live exception object; its type is alive with it.
    unsafe { enter::PyErr_SetObject(exception.type_ptr().cast(), exception.as_ptr()) };
    Raised
}

/// Is the exception that is being raised one of `class`?
pub(crate) fn raised_is(class: &Object) -> bool {
    // SAFETY: the indicator is set (the caller has a `Raised`), `class` is alive.
    unsafe { ffi::PyErr_ExceptionMatches(class.as_ptr()) != 0 }
}

/// Is it an instance of the class (or the class itself), by the real type and no `__instancecheck__`?
pub(crate) fn matches(exception: &Object, class: &Object) -> bool {
    // SAFETY: two live objects.
    unsafe { ffi::PyErr_GivenExceptionMatches(exception.as_ptr(), class.as_ptr()) != 0 }
}

/// Is it an instance of `BaseException`?
pub(crate) fn is_exception(object: &Object) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyExceptionInstance_Check(object.as_ptr()) != 0 }
}

/// Is it a class that derives from `BaseException`?
pub(crate) fn is_exception_class(object: &Object) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyExceptionClass_Check(object.as_ptr()) != 0 }
}

/// Is it `KeyboardInterrupt` or `SystemExit`, which a loop lets through?
pub(crate) fn is_exit(exception: &Object) -> bool {
    // SAFETY: the two classes are immortal builtins.
    unsafe {
        ffi::PyErr_GivenExceptionMatches(exception.as_ptr(), ffi::PyExc_KeyboardInterrupt) != 0
            || ffi::PyErr_GivenExceptionMatches(exception.as_ptr(), ffi::PyExc_SystemExit) != 0
    }
}

pub(crate) fn set_traceback(exception: &Object, traceback: &Object) {
    // SAFETY: an exception and a traceback or None; the function takes its own references.
    unsafe { ffi::PyException_SetTraceback(exception.as_ptr(), traceback.as_ptr()) };
}

/// The exception's `__traceback__`, if it has one.
pub(crate) fn traceback(exception: &Object) -> Option<Owned> {
    // SAFETY: an exception; NULL means that there is none, and is no error.
    unsafe { Owned::steal_nullable(ffi::PyException_GetTraceback(exception.as_ptr())) }
}

/// `exception.__cause__ = cause` and `exception.__context__ = cause`.
pub(crate) fn set_cause_and_context(exception: &Object, cause: &Object) {
    // SAFETY: both functions steal the reference that they are given.
    unsafe {
        ffi::PyException_SetCause(exception.as_ptr(), cause.own().into_ptr());
        ffi::PyException_SetContext(exception.as_ptr(), cause.own().into_ptr());
    }
}

/// Clears the indicator and returns the exception, with its traceback in it.
pub(crate) fn fetch(_: Raised) -> Owned {
    fetch_if_set().expect("an error indicator that is set")
}

/// Like [`fetch`], but nothing need be raised.
pub(crate) fn fetch_if_set() -> Option<Owned> {
    // SAFETY: the compat function returns a strong reference or NULL.
    unsafe { Owned::steal_nullable(super::compat::get_raised_exception()) }
}

/// Sets the indicator to the very exception (no new context).
pub(crate) fn restore(exception: Owned) -> Raised {
    // SAFETY: an exception object whose reference the function steals.
    unsafe { super::compat::set_raised_exception(exception.into_ptr()) };
    Raised
}

/// Runs `work` with no exception raised and raises `first` after it; if `work` raised one too, that one is raised
/// with `first` as its `__context__`.
pub(crate) fn chain<T>(first: Raised, work: impl FnOnce() -> Res<T>) -> Raised {
    let first = fetch(first);
    match work() {
        Ok(_) => restore(first),
        Err(second) => {
            let second = fetch(second);
            // SAFETY: both are exceptions; the reference to the first is stolen.
            unsafe { ffi::PyException_SetContext(second.as_ptr(), first.into_ptr()) };
            restore(second)
        }
    }
}

/// Reports the raised exception through `sys.unraisablehook` and clears it.
pub(crate) fn write_unraisable(_: Raised, culprit: &Object) {
    // SAFETY: the indicator is set (the caller had a `Raised`).
    unsafe { enter::PyErr_WriteUnraisable(culprit.as_ptr()) };
}

/// Emits a warning of a builtin category; an error if the filters turn it into one.
pub(crate) fn warn_deprecated(text: &CStr) -> Res<()> {
    // SAFETY: a builtin category and a NUL-terminated text.
    match unsafe { enter::PyErr_WarnEx(ffi::PyExc_DeprecationWarning, text.as_ptr(), 1) } {
        0 => Ok(()),
        _ => Err(Raised),
    }
}

/// Makes `exception` the one being handled (`sys.exception()`) while `work` runs, as in an `except` block.
pub(crate) fn handling<T>(exception: &Object, work: impl FnOnce() -> T) -> T {
    handling_or_not(Some(exception), work)
}

/// Lets none be handled while `work` runs: it belongs to what came before.
pub(crate) fn handling_nothing<T>(work: impl FnOnce() -> T) -> T {
    handling_or_not(None, work)
}

fn handling_or_not<T>(exception: Option<&Object>, work: impl FnOnce() -> T) -> T {
    struct Handled(Option<Owned>);
    impl Drop for Handled {
        fn drop(&mut self) {
            let outer = self.0.as_ref().map_or(ptr::null_mut(), |outer| outer.as_ptr());
            // SAFETY: what there was before, or NULL for nothing; the function takes its own reference.
            unsafe { ffi::PyErr_SetHandledException(outer) };
        }
    }
    // SAFETY: a new reference, or NULL for nothing.
    let _outer = Handled(unsafe { Owned::steal_nullable(ffi::PyErr_GetHandledException()) });
    // SAFETY: an exception, or NULL for nothing; the function takes its own reference.
    unsafe { ffi::PyErr_SetHandledException(exception.map_or(ptr::null_mut(), Layout::as_ptr)) };
    work()
}

/// Runs a slot's body; a panic becomes `SystemError` and `on_panic`. The place is for panics on purpose.
#[inline]
pub(crate) fn guard<R>(place: &'static str, on_panic: R, body: impl FnOnce() -> R) -> R {
    caught(place, body).unwrap_or(on_panic)
}

/// Runs work; a panic becomes `SystemError`.
#[inline]
pub(crate) fn caught<R>(place: &'static str, work: impl FnOnce() -> R) -> Res<R> {
    catch(place, work).map_err(|payload| raise_panic(payload.as_ref()))
}

/// Runs the body of a slot that cannot raise: a panic goes to `sys.unraisablehook`, and what is being raised meanwhile
/// stays so.
#[inline]
pub(crate) fn guard_unraisable(place: &'static str, body: impl FnOnce()) {
    if let Err(payload) = catch(place, body) {
        report_panic(payload.as_ref());
    }
}

/// The same for a deallocator. An object that it could not take apart is kept for good, as it is.
///
/// # Safety
/// The object is the deallocator's.
#[inline]
pub(crate) unsafe fn guard_dealloc(place: &'static str, object: *mut ffi::PyObject, body: impl FnOnce()) {
    if let Err(payload) = catch(place, body) {
        // SAFETY: panics come before the memory is given up (freeing does not panic), so there still is an object.
        unsafe { ffi::Py_INCREF(object) };
        report_panic(payload.as_ref());
    }
}

/// Runs work. What a panic leaves behind is in cells, whole at any time; borrows of them end as it passes.
///
/// The deallocators of a chain's objects are inside of each other up to 3.13, so the frames are to be small.
#[inline]
fn catch<R>(place: &'static str, work: impl FnOnce() -> R) -> std::thread::Result<R> {
    catch_unwind(AssertUnwindSafe(move || {
        panics::here(place);
        work()
    }))
}

#[cold]
fn report_panic(payload: &(dyn Any + Send)) {
    keeping_raised(|| write_unraisable(raise_panic(payload), super::object::none()));
}

#[cold]
fn raise_panic(payload: &(dyn Any + Send)) -> Raised {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let raise = || raise_text(Builtin::SystemError.class(), &format!("rasyncio: internal error: {text}"));
    match fetch_if_set() {
        None => raise(),
        Some(before) => chain(restore(before), || Err::<(), _>(raise())),
    }
}

/// Runs work that may come while an exception is being raised, which then is so again, even if the work panics.
pub(crate) fn keeping_raised(work: impl FnOnce()) {
    struct InFlight(Option<Owned>);
    impl Drop for InFlight {
        fn drop(&mut self) {
            if let Some(exception) = self.0.take() {
                let _ = restore(exception);
            }
        }
    }
    let _in_flight = InFlight(fetch_if_set());
    work();
}
