//! FutureIter: what `await future` iterates.
//!
//! It yields the future itself, once, to the task that drives the coroutine; when it is asked again the future must
//! be done, and it ends with the result or raises. Results are handed over without a `StopIteration` where the
//! interpreter does not need one: through `am_send`, and from 3.12 to 3.14, where `await` calls `tp_iternext`, for
//! `None`. (There `next(iterator)` ends with `StopIteration()` instead of `StopIteration(None)`, and a tracer does not
//! see it end; the exception would make each `await` of a future 650 instructions longer.)

use pyo3::ffi;

use crate::sys::error::{self, Builtin, is_exception, is_exception_class, raise, restore};
use crate::sys::freelist::FEW;
use crate::sys::iter::{Sent, raise_stop_iteration};
use crate::sys::life::{Life, object};
use crate::sys::object::none;
use crate::sys::slots::{noargs, one, positional, sender, unary};
use crate::sys::typeobj::{StaticType, TypeBuilder};
use crate::sys::{Field, Layout, Object, Owned, Raised, Res, args, call, type_name, typeobj};
use crate::versions;

use super::object::{BLOCKING, FutureObject, not_initialized};
use super::result;

object! {
    /// `future` is not set in an iterator that was thrown into or closed, or (up to 3.13) has delivered.
    struct IteratorObject: TYPE {
        head: Object,
        future: Field<FutureObject>,
    }
}

impl Life for IteratorObject {}

static TYPE: StaticType<IteratorObject> = StaticType::keeping(FEW);

/// `future.__await__()`
#[allow(clippy::inline_always)] // once for each await, and two places call it
#[inline(always)]
pub(crate) fn new(future: &FutureObject) -> Res<Owned> {
    if !future.is_initialized() {
        return Err(not_initialized());
    }
    let iterator = TYPE.allocate()?;
    iterator.future.set(future.own());
    Ok(iterator.into_object())
}

/// One step; `None` if the iterator is exhausted.
#[inline]
fn advance(iterator: &IteratorObject) -> Res<Option<Sent>> {
    let Some(future) = iterator.future.get() else {
        return Ok(None);
    };
    if !versions::ITERATOR_KEEPS_FUTURE && !future.is_pending() {
        iterator.future.clear();
    }
    step(&future).map(Some)
}

/// One step of whoever iterates the future.
#[inline]
pub(crate) fn step(future: &FutureObject) -> Res<Sent> {
    if !future.is_pending() {
        return result::result(future).map(Sent::Returned);
    }
    if future.flags.has(BLOCKING) {
        return Err(raise(Builtin::RuntimeError.class(), c"await wasn't used with future"));
    }
    future.flags.put(BLOCKING, true);
    Ok(Sent::Yielded(future.as_object().own()))
}

/// `am_send`
#[inline]
fn am_send(iterator: &IteratorObject) -> Res<Sent> {
    match advance(iterator)? {
        Some(sent) => Ok(sent),
        None if versions::SEND_TO_EXHAUSTED_FAILS => Err(exhausted()),
        None => Ok(Sent::Returned(none().own())),
    }
}

/// `tp_iternext`: NULL without an exception is a `StopIteration` without a value.
fn next(iterator: &IteratorObject) -> Option<Owned> {
    match advance(iterator) {
        Ok(Some(Sent::Yielded(future))) => Some(future),
        Ok(Some(Sent::Returned(value))) => {
            if !(versions::AWAIT_ITERATES && value.is_none()) {
                let _ = raise_stop_iteration(&value);
            }
            None
        }
        Ok(None) | Err(Raised) => None,
    }
}

/// Raises the `StopIteration` of an exhausted iterator, which has no value.
#[cold]
fn exhausted() -> Raised {
    match call::call0(Builtin::StopIteration.class()) {
        Ok(stop) => error::raise_object(&stop),
        Err(raised) => raised,
    }
}

/// `send(value)`; the value is ignored.
fn send(iterator: &IteratorObject, _value: &Object) -> Res<Owned> {
    match advance(iterator)? {
        Some(Sent::Yielded(future)) => Ok(future),
        Some(Sent::Returned(value)) => Err(raise_stop_iteration(&value)),
        None => Err(exhausted()),
    }
}

/// `throw(exception)` or, deprecated, `throw(class[, value[, traceback]])`.
fn throw(iterator: &IteratorObject, arguments: &[&Object]) -> Res<Owned> {
    let exception = thrown(arguments)?;
    iterator.future.clear();
    Err(restore(exception))
}

/// The exception that the arguments of such a `throw` say.
pub(crate) fn thrown(arguments: &[&Object]) -> Res<Owned> {
    match arguments.len() {
        0 => return Err(args::arity_error(c"throw expected at least 1 argument, got %S", 0)),
        2 | 3 if versions::THROW_SIGNATURE_DEPRECATED => error::warn_deprecated(
            c"the (type, exc, tb) signature of throw() is deprecated, use the single-arg signature instead.",
        )?,
        1..=3 => {}
        given => return Err(args::arity_error(c"throw expected at most 3 arguments, got %S", given)),
    }
    let kind = arguments[0];
    let value = args::given(arguments.get(1).copied());
    let traceback = args::given(arguments.get(2).copied());
    let type_error = Builtin::TypeError.class();
    if traceback.is_some_and(|t| !typeobj::is_traceback(t)) {
        return Err(raise(type_error, c"throw() third argument must be a traceback"));
    }
    let exception = if is_exception_class(kind) {
        instantiate(kind, value)?
    } else if is_exception(kind) {
        if value.is_some() {
            return Err(raise(type_error, c"instance exception may not have a separate value"));
        }
        kind.own()
    } else {
        let text = c"exceptions must be classes deriving BaseException or instances of such a class";
        return Err(raise(type_error, text));
    };
    if let Some(traceback) = traceback {
        error::set_traceback(&exception, traceback);
    }
    Ok(exception)
}

/// The exception of `throw(class, value)`: the value itself if it is one of the class.
fn instantiate(class: &Object, value: Option<&Object>) -> Res<Owned> {
    let exception = match value {
        Some(value) if is_exception(value) && call::is_subclass(value.class().as_object(), class)? => value.own(),
        Some(value) => call::call1(class, value)?,
        None => call::call0(class)?,
    };
    if is_exception(&exception) {
        return Ok(exception);
    }
    let text = c"calling %R should have returned an instance of BaseException, not %S";
    Err(error::raise_format(Builtin::TypeError.class(), text, &[class, &*type_name::whole(&exception)?]))
}

fn close(iterator: &IteratorObject) {
    iterator.future.clear();
}

fn identity(iterator: &IteratorObject) -> Owned {
    iterator.as_object().own()
}

/// Makes the type. Called once, by the module's initialisation.
pub(super) fn init(module: &Object) -> Res<()> {
    let builder = TypeBuilder::new(&TYPE, c"_asyncio.FutureIter", c"What awaiting a future iterates.");
    let builder =
        if versions::ITERATOR_CAN_BE_MADE { builder } else { builder.flags(ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION) };
    builder
        .life()
        .slot(ffi::Py_tp_iter, unary!(IteratorObject, identity))
        .slot(ffi::Py_tp_iternext, unary!(IteratorObject, next))
        .slot(ffi::Py_tp_getattro, ffi::PyObject_GenericGetAttr as unsafe extern "C" fn(_, _) -> _ as *mut _)
        .slot(ffi::Py_am_send, sender!(IteratorObject, am_send))
        .methods([
            one!(
                IteratorObject,
                c"send",
                send,
                c"send(value) -> the future, while it is pending.\n\nEnds with StopIteration(result) when it is done."
            ),
            positional!(
                IteratorObject,
                c"throw",
                throw,
                c"throw(exception)\n\nRaise the exception; the iterator is exhausted then."
            ),
            noargs!(IteratorObject, c"close", close, c"close()\n\nForget the future; the iterator is exhausted then."),
        ])
        .build(module, None)
}
