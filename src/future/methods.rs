//! Future as Python code sees it: methods, attributes, slots.

use std::ffi::CStr;

use pyo3::ffi;

use crate::asyncio::FUTURE_REPR;
use crate::names::{CANCELLED, CONTEXT, FINISHED, LOOP, MSG, PENDING};
use crate::sys::error::{Builtin, raise};
use crate::sys::intern::EMPTY;
use crate::sys::slots::{
    Method, construct, finalizer, getset, init, keywords, no_arguments, noargs, not_deleted, one, unary,
};
use crate::sys::typeobj::{self, TypeBuilder};
use crate::sys::{Layout, Object, Owned, Res, args, call, compat, instance::Instance};
use crate::versions;

use super::finalize::finalize;
use super::object::{BLOCKING, FutureObject, LOG_TRACEBACK, State, TYPE, not_initialized};
use super::{awaited_by, callbacks, iter, object, result};

static INIT: args::Signature<1> = args::Signature { format: c"|$O:Future", names: [&LOOP], positional: 0, required: 0 };
static ADD_DONE_CALLBACK: args::Signature<2> =
    args::Signature { format: c"O|$O:add_done_callback", names: [&EMPTY, &CONTEXT], positional: 1, required: 1 };
static CANCEL: args::Signature<1> = args::Signature { format: c"|O:cancel", names: [&MSG], positional: 1, required: 0 };

/// The signature of a method with one parameter that has no keyword.
const fn of_one(format: &'static CStr) -> args::Signature<1> {
    args::Signature { format, names: [&EMPTY], positional: 1, required: 1 }
}

static SET_RESULT: args::Signature<1> = of_one(c"O:set_result");
static SET_EXCEPTION: args::Signature<1> = of_one(c"O:set_exception");
static REMOVE_DONE_CALLBACK: args::Signature<1> = of_one(c"O:remove_done_callback");

const RESULT_DOC: &CStr = c"result($self, /)\n--\n\n\
    Return the result, or raise the exception, that the future was completed with.\n\n\
    Raises CancelledError if it was cancelled and InvalidStateError if it is not done.";
const ADD_DONE_CALLBACK_DOC: &CStr = c"add_done_callback($self, fn, /, *, context=<unrepresentable>)\n--\n\n\
    Have fn(future) called by the loop when the future is done, soon if it is done already.\n\n\
    It runs in the given context, or in a copy of the current one.";
const DONE_DOC: &CStr = c"done($self, /)\n--\n\n\
    Tell whether the future has a result, has an exception or was cancelled.";
const MAKE_CANCELLED_ERROR_DOC: &CStr = c"_make_cancelled_error($self, /)\n--\n\n\
    Make the CancelledError that ends the awaiting of this future.\n\n\
    The one that a coroutine raised, or one made of the cancel message, is given out once.";
const CANCEL_DOC: &CStr = c"cancel($self, /, msg=None)\n--\n\n\
    Cancel the future and schedule its callbacks.\n\n\
    Returns False if it is done already, else True.";

const SET_RESULT_METHOD: Method = if compat::METHODS_GET_CLASS {
    keywords!(FutureObject, c"set_result", SET_RESULT, set_result_parsed, SET_RESULT_DOC)
} else {
    one!(FutureObject, c"set_result", set_result, SET_RESULT_DOC)
};

/// The function behind `Future.set_result`.
pub(super) fn set_result_function() -> ffi::PyMethodDefPointer {
    SET_RESULT_METHOD.function
}

fn initialize(future: &FutureObject, [event_loop]: [Option<&Object>; 1]) -> Res<()> {
    object::initialize(future, args::given(event_loop))
}

fn set_result(future: &FutureObject, value: &Object) -> Res<()> {
    result::set_result(future, value.own())
}

fn set_result_parsed(future: &FutureObject, [value]: [Option<&Object>; 1]) -> Res<()> {
    set_result(future, value.expect("a required argument"))
}

fn set_exception_parsed(future: &FutureObject, [exception]: [Option<&Object>; 1]) -> Res<()> {
    result::set_exception(future, exception.expect("a required argument"))
}

fn add_done_callback(future: &FutureObject, [callback, context]: [Option<&Object>; 2]) -> Res<()> {
    let callback = callback.expect("a required argument");
    callbacks::add(future, callback, context)?;
    awaited_by::note_callback(future, callback)
}

fn remove_done_callback(future: &FutureObject, callback: &Object) -> Res<Owned> {
    crate::sys::containers::int(i64::try_from(callbacks::remove(future, callback)?).unwrap_or(i64::MAX))
}

fn remove_done_callback_parsed(future: &FutureObject, [callback]: [Option<&Object>; 1]) -> Res<Owned> {
    remove_done_callback(future, callback.expect("a required argument"))
}

fn cancel(future: &FutureObject, [message]: [Option<&Object>; 1]) -> Res<bool> {
    if !future.is_initialized() {
        return Err(not_initialized());
    }
    result::cancel(future, message)
}

fn cancelled(future: &FutureObject) -> bool {
    future.is_initialized() && future.state() == State::Cancelled
}

fn done(future: &FutureObject) -> bool {
    future.is_initialized() && !future.is_pending()
}

fn get_loop(future: &FutureObject) -> Res<Owned> {
    future.require_loop()
}

fn repr(future: &FutureObject) -> Res<Owned> {
    if !future.is_initialized() {
        return Err(not_initialized());
    }
    call::call1(FUTURE_REPR.get()?, future.as_object())
}

fn get_state(future: &FutureObject) -> Res<Owned> {
    if !future.is_initialized() {
        return Err(not_initialized());
    }
    let name = match future.state() {
        State::Pending => &PENDING,
        State::Cancelled => &CANCELLED,
        State::Finished => &FINISHED,
    };
    Ok(name.object().own())
}

fn get_blocking(future: &FutureObject) -> bool {
    future.is_initialized() && future.flags.has(BLOCKING)
}

fn set_blocking(future: &FutureObject, value: Option<&Object>) -> Res<()> {
    if compat::DELETE_NAMES_ATTRIBUTE {
        not_deleted(future.as_object(), c"_asyncio_future_blocking", value)?;
    }
    if !future.is_initialized() {
        return Err(not_initialized());
    }
    let value = call::is_true(not_deleted(future.as_object(), c"_asyncio_future_blocking", value)?)?;
    future.flags.put(BLOCKING, value);
    Ok(())
}

fn get_event_loop(future: &FutureObject) -> Owned {
    future.event_loop.get_or_none()
}

fn get_result(future: &FutureObject) -> Res<Owned> {
    if !future.is_initialized() {
        return Err(not_initialized());
    }
    Ok(future.result.get_or_none())
}

fn get_exception(future: &FutureObject) -> Res<Owned> {
    if !future.is_initialized() {
        return Err(not_initialized());
    }
    Ok(future.exception.get_or_none())
}

fn get_log_traceback(future: &FutureObject) -> Res<bool> {
    if !future.is_initialized() {
        return Err(not_initialized());
    }
    Ok(future.flags.has(LOG_TRACEBACK))
}

fn set_log_traceback(future: &FutureObject, value: Option<&Object>) -> Res<()> {
    if call::is_true(not_deleted(future.as_object(), c"_log_traceback", value)?)? {
        return Err(raise(Builtin::ValueError.class(), c"_log_traceback can only be set to False"));
    }
    future.flags.put(LOG_TRACEBACK, false);
    Ok(())
}

fn get_source_traceback(future: &FutureObject) -> Owned {
    future.source_traceback.get_or_none()
}

fn get_cancel_message(future: &FutureObject) -> Owned {
    future.cancel_message.get_or_none()
}

fn set_cancel_message(future: &FutureObject, value: Option<&Object>) -> Res<()> {
    future.cancel_message.set(not_deleted(future.as_object(), c"_cancel_message", value)?.own());
    Ok(())
}

const EXCEPTION_DOC: &CStr = c"exception($self, /)\n--\n\n\
    Return the exception that was set, None if a result was.\n\n\
    Raises CancelledError if the future was cancelled and InvalidStateError if it is not done.";
const REMOVE_DONE_CALLBACK_DOC: &CStr = c"remove_done_callback($self, fn, /)\n--\n\n\
    Remove every callback that equals fn and return how many there were.";
const SET_RESULT_DOC: &CStr = c"set_result($self, result, /)\n--\n\n\
    Complete the future with a result and schedule its callbacks.\n\n\
    Raises InvalidStateError if it is done.";
const SET_EXCEPTION_DOC: &CStr = c"set_exception($self, exception, /)\n--\n\n\
    Complete the future with an exception (a class or an instance) and schedule its callbacks.\n\n\
    Raises InvalidStateError if it is done.";
const GET_LOOP_DOC: &CStr = c"get_loop($self, /)\n--\n\nReturn the event loop that the future belongs to.";

/// The methods that CPython defines on `Future` and, just as they are, a second time on `Task`.
pub(crate) fn shared_methods() -> [Method; 8] {
    [
        noargs!(FutureObject, c"result", result::result, RESULT_DOC),
        if compat::METHODS_GET_CLASS {
            no_arguments!(FutureObject, c"exception", result::exception, EXCEPTION_DOC)
        } else {
            noargs!(FutureObject, c"exception", result::exception, EXCEPTION_DOC)
        },
        keywords!(FutureObject, c"add_done_callback", ADD_DONE_CALLBACK, add_done_callback, ADD_DONE_CALLBACK_DOC),
        if compat::METHODS_GET_CLASS {
            keywords!(
                FutureObject,
                c"remove_done_callback",
                REMOVE_DONE_CALLBACK,
                remove_done_callback_parsed,
                REMOVE_DONE_CALLBACK_DOC
            )
        } else {
            one!(FutureObject, c"remove_done_callback", remove_done_callback, REMOVE_DONE_CALLBACK_DOC)
        },
        noargs!(
            FutureObject,
            c"cancelled",
            cancelled,
            c"cancelled($self, /)\n--\n\nTell whether the future was cancelled."
        ),
        noargs!(FutureObject, c"done", done, DONE_DOC),
        noargs!(FutureObject, c"_make_cancelled_error", result::make_cancelled_error, MAKE_CANCELLED_ERROR_DOC),
        one!(
            Object,
            c"__class_getitem__",
            typeobj::generic_alias,
            c"__class_getitem__($type, object, /)\n--\n\nA generic alias, for annotations.",
            ffi::METH_CLASS
        ),
    ]
}

/// The methods that `Task` has in its own way, or inherits.
fn own_methods() -> [Method; 4] {
    [
        SET_RESULT_METHOD,
        if compat::METHODS_GET_CLASS {
            keywords!(FutureObject, c"set_exception", SET_EXCEPTION, set_exception_parsed, SET_EXCEPTION_DOC)
        } else {
            one!(FutureObject, c"set_exception", result::set_exception, SET_EXCEPTION_DOC)
        },
        keywords!(FutureObject, c"cancel", CANCEL, cancel, CANCEL_DOC),
        if compat::METHODS_GET_CLASS {
            no_arguments!(FutureObject, c"get_loop", get_loop, GET_LOOP_DOC)
        } else {
            noargs!(FutureObject, c"get_loop", get_loop, GET_LOOP_DOC)
        },
    ]
}

/// The attributes of futures, and of tasks.
pub(crate) fn inherited_getsets() -> Vec<ffi::PyGetSetDef> {
    let mut getsets = vec![
        getset!(FutureObject, c"_state", get_state, c"'PENDING', 'CANCELLED' or 'FINISHED'."),
        getset!(
            FutureObject,
            c"_asyncio_future_blocking",
            get_blocking,
            set_blocking,
            c"Set by the iterator that yielded the future, for the task that drives it."
        ),
        getset!(FutureObject, c"_loop", get_event_loop, c"The event loop, None before initialisation."),
        getset!(FutureObject, c"_callbacks", callbacks::list, c"A new list of (callback, context), or None."),
        getset!(FutureObject, c"_result", get_result, c"The result, or None."),
        getset!(FutureObject, c"_exception", get_exception, c"The exception, or None."),
        getset!(
            FutureObject,
            c"_log_traceback",
            get_log_traceback,
            set_log_traceback,
            c"Whether an exception that nobody retrieves will be logged; can be switched off only."
        ),
        getset!(
            FutureObject,
            c"_source_traceback",
            get_source_traceback,
            c"Where the future was made, in debug mode; else None."
        ),
        getset!(
            FutureObject,
            c"_cancel_message",
            get_cancel_message,
            set_cancel_message,
            c"What cancel() was called with, for the CancelledError."
        ),
    ];
    if versions::AWAITED_BY {
        getsets.push(getset!(
            FutureObject,
            c"_asyncio_awaited_by",
            awaited_by::frozen,
            c"A frozenset of the tasks that await the future, or None."
        ));
    }
    getsets
}

/// `tp_iter` and `am_await`, which a task's type has as its own.
pub(crate) fn iterator_slot() -> *mut std::ffi::c_void {
    unary!(FutureObject, iter::new)
}

/// Makes the type. Called once, by the module's initialisation.
pub(super) fn init(module: &Object) -> Res<()> {
    TypeBuilder::new(
        &TYPE,
        FutureObject::NAME,
        c"Future(*, loop=None)\n--\n\n\
        A result that will be there later: awaitable, with callbacks, bound to one event loop.\n\n\
        Not thread-safe: to be used from the thread of its loop.",
    )
    .flags(ffi::Py_TPFLAGS_BASETYPE | Instance::TYPE_FLAGS)
    .slot(ffi::Py_tp_new, ffi::PyType_GenericNew as unsafe extern "C" fn(_, _, _) -> _ as *mut _)
    .slot(ffi::Py_tp_init, init!(FutureObject, INIT, initialize))
    .life()
    .slot(ffi::Py_tp_finalize, finalizer!(FutureObject, finalize))
    .slot(ffi::Py_tp_repr, unary!(FutureObject, repr))
    .slot(ffi::Py_tp_iter, iterator_slot())
    .slot(ffi::Py_am_await, iterator_slot())
    .members(Instance::members(FutureObject::INSTANCE_OFFSET))
    .methods(shared_methods())
    .methods(own_methods())
    .getsets(inherited_getsets())
    .build(module, None)?;
    TYPE.set_vectorcall(construct!(FutureObject, TYPE, INIT, initialize));
    TYPE.add_to(module, c"Future")
}
