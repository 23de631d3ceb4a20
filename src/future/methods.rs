//! Future as Python code sees it: methods, attributes, slots.

use pyo3::ffi;

use crate::asyncio::FUTURE_REPR;
use crate::sys::error::{Builtin, raise};
use crate::sys::intern::{CANCELLED, CONTEXT, EMPTY, FINISHED, LOOP, MSG, PENDING};
use crate::sys::slots::{Method, construct, finalizer, getset, init, inquiry, keywords, noargs, one, traverse, unary};
use crate::sys::typeobj::{self, TypeBuilder};
use crate::sys::{Layout, Object, Owned, Res, args, call, compat, instance::Instance};

use super::finalize::finalize;
use super::object::{BLOCKING, FutureObject, LOG_TRACEBACK, State, TYPE, dealloc, not_initialized};
use super::{awaited_by, callbacks, iter, object, result};

static INIT: args::Signature<1> = args::Signature { format: c"|$O:Future", names: [&LOOP], positional: 0, required: 0 };
static ADD_DONE_CALLBACK: args::Signature<2> =
    args::Signature { format: c"O|$O:add_done_callback", names: [&EMPTY, &CONTEXT], positional: 1, required: 1 };
static CANCEL: args::Signature<1> = args::Signature { format: c"|O:cancel", names: [&MSG], positional: 1, required: 0 };

fn initialize(future: &FutureObject, [event_loop]: [Option<&Object>; 1]) -> Res<()> {
    object::initialize(future, args::given(event_loop))
}

fn set_result(future: &FutureObject, value: &Object) -> Res<()> {
    result::set_result(future, value.own())
}

fn add_done_callback(future: &FutureObject, [callback, context]: [Option<&Object>; 2]) -> Res<()> {
    callbacks::add(future, callback.expect("a required argument"), context)
}

fn remove_done_callback(future: &FutureObject, callback: &Object) -> Res<Owned> {
    crate::sys::containers::int(i64::try_from(callbacks::remove(future, callback)?).unwrap_or(i64::MAX))
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

fn set_blocking(future: &FutureObject, value: &Object) -> Res<()> {
    if !future.is_initialized() {
        return Err(not_initialized());
    }
    let value = call::is_true(value)?;
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

fn set_log_traceback(future: &FutureObject, value: &Object) -> Res<()> {
    if call::is_true(value)? {
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

fn set_cancel_message(future: &FutureObject, value: &Object) {
    future.cancel_message.set(value.own());
}

/// The methods that CPython defines on `Task` a second time, just as they are.
pub(crate) const INHERITED_BY_TASK: [Method; 2] = [MAKE_CANCELLED_ERROR, CLASS_GETITEM];

const MAKE_CANCELLED_ERROR: Method = noargs!(
    FutureObject,
    c"_make_cancelled_error",
    result::make_cancelled_error,
    c"_make_cancelled_error($self, /)\n--\n\nMake the CancelledError that ends the awaiting of this future.\n\nThe one that a coroutine raised, or one made of the cancel message, is given out once."
);

const CLASS_GETITEM: Method = one!(
    Object,
    c"__class_getitem__",
    typeobj::generic_alias,
    c"__class_getitem__($type, item, /)\n--\n\nA generic alias, for annotations.",
    ffi::METH_CLASS
);

fn methods() -> [Method; 12] {
    [
        noargs!(
            FutureObject,
            c"result",
            result::result,
            c"result($self, /)\n--\n\nReturn the result, or raise the exception, that the future was completed with.\n\nRaises CancelledError if it was cancelled and InvalidStateError if it is not done."
        ),
        noargs!(
            FutureObject,
            c"exception",
            result::exception,
            c"exception($self, /)\n--\n\nReturn the exception that was set, None if a result was.\n\nRaises CancelledError if the future was cancelled and InvalidStateError if it is not done."
        ),
        one!(
            FutureObject,
            c"set_result",
            set_result,
            c"set_result($self, result, /)\n--\n\nComplete the future with a result and schedule its callbacks.\n\nRaises InvalidStateError if it is done."
        ),
        one!(
            FutureObject,
            c"set_exception",
            result::set_exception,
            c"set_exception($self, exception, /)\n--\n\nComplete the future with an exception (a class or an instance) and schedule its callbacks.\n\nRaises InvalidStateError if it is done."
        ),
        keywords!(
            FutureObject,
            c"add_done_callback",
            ADD_DONE_CALLBACK,
            add_done_callback,
            c"add_done_callback($self, fn, /, *, context=<unrepresentable>)\n--\n\nHave fn(future) called by the loop when the future is done, soon if it is done already.\n\nIt runs in the given context, or in a copy of the current one."
        ),
        one!(
            FutureObject,
            c"remove_done_callback",
            remove_done_callback,
            c"remove_done_callback($self, fn, /)\n--\n\nRemove every callback that equals fn and return how many there were."
        ),
        keywords!(
            FutureObject,
            c"cancel",
            CANCEL,
            cancel,
            c"cancel($self, /, msg=None)\n--\n\nCancel the future and schedule its callbacks.\n\nReturns False if it is done already, else True."
        ),
        noargs!(
            FutureObject,
            c"cancelled",
            cancelled,
            c"cancelled($self, /)\n--\n\nTell whether the future was cancelled."
        ),
        noargs!(
            FutureObject,
            c"done",
            done,
            c"done($self, /)\n--\n\nTell whether the future has a result, has an exception or was cancelled."
        ),
        noargs!(
            FutureObject,
            c"get_loop",
            get_loop,
            c"get_loop($self, /)\n--\n\nReturn the event loop that the future belongs to."
        ),
        MAKE_CANCELLED_ERROR,
        CLASS_GETITEM,
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
    if compat::AWAITED_BY {
        getsets.push(getset!(
            FutureObject,
            c"_asyncio_awaited_by",
            awaited_by::frozen,
            c"A frozenset of the tasks that await the future, or None."
        ));
    }
    getsets
}

/// Makes the type. Called once, by the module's initialisation.
pub(super) fn init(module: &Object) -> Res<()> {
    TypeBuilder::new(
        &TYPE,
        FutureObject::NAME,
        c"Future(*, loop=None)\n--\n\nA result that will be there later: awaitable, with callbacks, bound to one event loop.\n\nNot thread-safe: to be used from the thread of its loop.",
    )
    .flags(ffi::Py_TPFLAGS_BASETYPE | Instance::TYPE_FLAGS)
    .slot(ffi::Py_tp_new, ffi::PyType_GenericNew as unsafe extern "C" fn(_, _, _) -> _ as *mut _)
    .slot(ffi::Py_tp_init, init!(FutureObject, INIT, initialize))
    .slot(ffi::Py_tp_dealloc, dealloc as unsafe extern "C" fn(_) as *mut _)
    .slot(ffi::Py_tp_finalize, finalizer!(FutureObject, finalize))
    .slot(ffi::Py_tp_traverse, traverse!(FutureObject, object::visit))
    .slot(ffi::Py_tp_clear, inquiry!(FutureObject, object::clear))
    .slot(ffi::Py_tp_repr, unary!(FutureObject, repr))
    .slot(ffi::Py_tp_iter, unary!(FutureObject, iter::new))
    .slot(ffi::Py_am_await, unary!(FutureObject, iter::new))
    .members(Instance::members(FutureObject::INSTANCE_OFFSET))
    .methods(methods())
    .getsets(inherited_getsets())
    .build(module, None)?;
    TYPE.set_vectorcall(construct!(FutureObject, object::allocate, INIT, initialize));
    TYPE.add_to(module, c"Future")
}
