//! Task as Python code sees it: methods, attributes, slots.

use std::ffi::CStr;

use pyo3::ffi;

use crate::asyncio::{TASK_GET_STACK, TASK_PRINT_STACK, TASK_REPR};
use crate::future;
use crate::names::{FILE, LIMIT, MSG};
use crate::sys::error::{Builtin, raise};
use crate::sys::instance::Instance;
use crate::sys::object::none;
use crate::sys::slots::{Method, construct, finalizer, getset, init, keywords, noargs, not_deleted, one, unary};
use crate::sys::typeobj::TypeBuilder;
use crate::sys::{Layout, Object, Owned, Res, args, call};
use crate::versions;

use super::object::{self, TYPE};
use super::{TaskObject, cancel, construct as making, name};

static CANCEL: args::Signature<1> = args::Signature { format: c"|O:cancel", names: [&MSG], positional: 1, required: 0 };
static GET_STACK: args::Signature<1> =
    args::Signature { format: c"|$O:get_stack", names: [&LIMIT], positional: 0, required: 0 };
static PRINT_STACK: args::Signature<2> =
    args::Signature { format: c"|$OO:print_stack", names: [&LIMIT, &FILE], positional: 0, required: 0 };

fn set_result(_task: &TaskObject, _result: &Object) -> Res<()> {
    Err(raise(Builtin::RuntimeError.class(), c"Task does not support set_result operation"))
}

fn set_exception(_task: &TaskObject, _exception: &Object) -> Res<()> {
    Err(raise(Builtin::RuntimeError.class(), c"Task does not support set_exception operation"))
}

fn cancel_method(task: &TaskObject, [message]: [Option<&Object>; 1]) -> Res<bool> {
    cancel::cancel(task, message)
}

fn get_stack(task: &TaskObject, [limit]: [Option<&Object>; 1]) -> Res<Owned> {
    call::call(TASK_GET_STACK.get()?, &[task.as_object(), limit.unwrap_or(none())])
}

fn print_stack(task: &TaskObject, [limit, file]: [Option<&Object>; 2]) -> Res<Owned> {
    call::call(TASK_PRINT_STACK.get()?, &[task.as_object(), limit.unwrap_or(none()), file.unwrap_or(none())])
}

fn get_coroutine(task: &TaskObject) -> Owned {
    task.coroutine.get_or_none()
}

fn get_context(task: &TaskObject) -> Owned {
    task.context.get_or_none()
}

fn get_waiting_for(task: &TaskObject) -> Owned {
    task.waiting_for.get_or_none()
}

fn set_log_destroy_pending(task: &TaskObject, value: Option<&Object>) -> Res<()> {
    let value = call::is_true(not_deleted(task.as_object(), c"_log_destroy_pending", value)?)?;
    task.set_log_destroy_pending(value);
    Ok(())
}

fn repr(task: &TaskObject) -> Res<Owned> {
    call::call1(TASK_REPR.get()?, task.as_object())
}

const SET_RESULT_DOC: &CStr = c"set_result($self, result, /)\n--\n\n\
    Raise RuntimeError: a task's result is what its coroutine returns.";
const SET_EXCEPTION_DOC: &CStr = c"set_exception($self, exception, /)\n--\n\n\
    Raise RuntimeError: a task's exception is what its coroutine raises.";
const CANCEL_DOC: &CStr = c"cancel($self, /, msg=None)\n--\n\n\
    Have CancelledError thrown into the coroutine at its next step.\n\n\
    The coroutine may catch it, so the task need not end cancelled. Returns False if the task is done, else \
    True.";
const CANCELLING_DOC: &CStr = c"cancelling($self, /)\n--\n\n\
    Return how many cancel() calls were not taken back by uncancel().";
const UNCANCEL_DOC: &CStr = c"uncancel($self, /)\n--\n\n\
    Take one cancel() call back and return how many remain.\n\n\
    For those who caught the CancelledError on purpose, as timeouts and task groups do.";
const GET_STACK_DOC: &CStr = c"get_stack($self, /, *, limit=None)\n--\n\n\
    Return the frames of the coroutine, innermost last; those of the traceback if it has failed.\n\n\
    A suspended coroutine has one frame. limit keeps the innermost frames, or the outermost of a traceback.";
const PRINT_STACK_DOC: &CStr = c"print_stack($self, /, *, limit=None, file=None)\n--\n\n\
    Print what get_stack(limit=limit) returns to file, sys.stderr by default.";
const GET_CORO_DOC: &CStr = c"get_coro($self, /)\n--\n\n\
    Return the coroutine, None after an eager start that ran to the end.";

fn methods() -> Vec<Method> {
    let mut methods = vec![
        one!(TaskObject, c"set_result", set_result, SET_RESULT_DOC),
        one!(TaskObject, c"set_exception", set_exception, SET_EXCEPTION_DOC),
        keywords!(TaskObject, c"cancel", CANCEL, cancel_method, CANCEL_DOC),
        noargs!(TaskObject, c"cancelling", cancel::cancelling, CANCELLING_DOC),
        noargs!(TaskObject, c"uncancel", cancel::uncancel, UNCANCEL_DOC),
        keywords!(TaskObject, c"get_stack", GET_STACK, get_stack, GET_STACK_DOC),
        keywords!(TaskObject, c"print_stack", PRINT_STACK, print_stack, PRINT_STACK_DOC),
        noargs!(TaskObject, c"get_name", name::get, c"get_name($self, /)\n--\n\nReturn the task's name."),
        one!(TaskObject, c"set_name", name::set, c"set_name($self, value, /)\n--\n\nSet the name to str(value)."),
        noargs!(TaskObject, c"get_coro", get_coroutine, GET_CORO_DOC),
    ];
    if versions::TASK_GET_CONTEXT {
        methods.push(noargs!(
            TaskObject,
            c"get_context",
            get_context,
            c"get_context($self, /)\n--\n\nReturn the contextvars.Context that the coroutine runs in."
        ));
    }
    methods.extend(future::shared_methods());
    methods
}

fn getsets() -> Vec<ffi::PyGetSetDef> {
    let mut getsets = if versions::TASK_REDEFINES_GETSETS { future::inherited_getsets() } else { Vec::new() };
    getsets.extend([
        getset!(
            TaskObject,
            c"_log_destroy_pending",
            TaskObject::log_destroy_pending,
            set_log_destroy_pending,
            c"Whether the loop is told if the task is destroyed while it is pending."
        ),
        getset!(
            TaskObject,
            c"_must_cancel",
            TaskObject::must_cancel,
            c"Whether the next step throws CancelledError into the coroutine."
        ),
        getset!(TaskObject, c"_coro", get_coroutine, c"The coroutine, or None."),
        getset!(TaskObject, c"_fut_waiter", get_waiting_for, c"What the coroutine is waiting for, or None."),
    ]);
    getsets
}

/// Makes the type. Called once, by the module's initialisation.
pub(super) fn init(module: &Object) -> Res<()> {
    let doc = if versions::EAGER_TASKS {
        c"Task(coro, *, loop=None, name=None, context=None, eager_start=False)\n--\n\n\
            A coroutine, driven by an event loop; a future of what it returns."
    } else {
        c"Task(coro, *, loop=None, name=None, context=None)\n--\n\n\
            A coroutine, driven by an event loop; a future of what it returns."
    };
    TypeBuilder::new(&TYPE, TaskObject::NAME, doc)
        .flags(ffi::Py_TPFLAGS_BASETYPE | Instance::TYPE_FLAGS)
        .slot(ffi::Py_tp_new, ffi::PyType_GenericNew as unsafe extern "C" fn(_, _, _) -> _ as *mut _)
        .slot(ffi::Py_tp_init, init!(TaskObject, making::SIGNATURE, making::initialize))
        .life()
        .slot(ffi::Py_tp_finalize, finalizer!(TaskObject, object::finalize))
        .slot(ffi::Py_tp_repr, unary!(TaskObject, repr))
        .slot(ffi::Py_tp_iter, future::iterator_slot())
        .slot(ffi::Py_am_await, future::iterator_slot())
        .methods(methods())
        .getsets(getsets())
        .build(module, Some(future::TYPE.as_ptr()))?;
    TYPE.set_vectorcall(construct!(TaskObject, TYPE, making::SIGNATURE, making::initialize));
    TYPE.add_to(module, c"Task")
}
