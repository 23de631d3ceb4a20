//! A ready-queue entry as an object that asyncio's own `_run_once` can run.
//!
//! It offers what that loop (and a debugger) asks of an `asyncio.Handle`: `_run()`, `_cancelled`, `cancel()`, the
//! callback with its arguments, the context. The callback objects are made only when somebody asks.

use std::cell::Cell;
use std::mem::offset_of;
use std::ops::ControlFlow;

use pyo3::ffi;

use crate::asyncio::{EVENTS_GLOBALS, FORMAT_CALLBACK_SOURCE};
use crate::sys::error::{self, fetch, handling, is_exit, restore};
use crate::sys::freelist::Freelist;
use crate::sys::gc::{Visited, Visitor, untrack};
use crate::sys::intern::{
    CALL_EXCEPTION_HANDLER, DEBUG_KEYWORD, EXCEPTION, GET_DEBUG, HANDLE, HANDLE_CLASS, MESSAGE,
    PRIVATE_SOURCE_TRACEBACK,
};
use crate::sys::lazy::Once;
use crate::sys::object::{boolean, none};
use crate::sys::slots::{getset, inquiry, noargs, traverse, unary};
use crate::sys::typeobj::{StaticType, TypeBuilder};
use crate::sys::{Field, Layout, Object, Owned, Raised, Res, call, compat, containers, context};

use super::{Entry, Job};

/// `job` is set in every handle that exists; `target` is let go by `cancel()` and by the collector.
#[repr(C)]
struct HandleObject {
    head: Object,
    job: Cell<Option<&'static Job>>,
    target: Field,
    argument: Field,
    context: Field,
    event_loop: Field,
    /// `True` or `False`, as the object that the loop reads.
    cancelled: Field,
}

// SAFETY: repr(C), begins with the head, all cells.
unsafe impl Layout for HandleObject {}

static TYPE: StaticType<HandleObject> = StaticType::new();
static FREELIST: Freelist = Freelist::new();

pub(super) fn new(event_loop: &Object, entry: Entry) -> Res<Owned> {
    let handle: Owned<HandleObject> = FREELIST.allocate(&TYPE)?;
    handle.job.set(Some(entry.job));
    handle.target.set(entry.target);
    drop(handle.argument.replace(entry.argument));
    handle.context.set(entry.context);
    handle.event_loop.set(event_loop.own());
    handle.cancelled.set(boolean(false).own());
    Ok(handle.into_object())
}

/// `handle._run()`: errors go to the loop's exception handler, exits through.
fn run(handle: &HandleObject) -> Res<()> {
    let (Some(job), Some(target), Some(entry_context)) = (handle.job.get(), handle.target.get(), handle.context.get())
    else {
        return Ok(());
    };
    let argument = handle.argument.get();
    match context::run(&entry_context, || (job.run)(&target, argument.as_deref())) {
        Ok(()) => Ok(()),
        Err(raised) => report(handle, raised),
    }
}

#[cold]
fn report(handle: &HandleObject, raised: Raised) -> Res<()> {
    let exception = fetch(raised);
    if is_exit(&exception) {
        return Err(restore(exception));
    }
    handling(&exception, || {
        let (Some(event_loop), Some(shown)) = (handle.event_loop.get(), as_asyncio_handle(handle)?) else {
            return Ok(());
        };
        let (callback, arguments) = callback_and_arguments(handle)?;
        let source = if compat::FORMAT_CALLBACK_TAKES_DEBUG {
            static DEBUG: Once = Once::new();
            let keywords = DEBUG.get_or_init(|| containers::tuple(&[DEBUG_KEYWORD.object()]))?;
            let debug = call::call_method(&GET_DEBUG, &[&*event_loop], None)?;
            call::call_with_keywords(FORMAT_CALLBACK_SOURCE.get()?, &[&callback, &arguments, &debug], keywords)?
        } else {
            call::call(FORMAT_CALLBACK_SOURCE.get()?, &[&callback, &arguments])?
        };
        let report = containers::new_dict()?;
        containers::dict_set(&report, MESSAGE.object(), &*containers::format1(c"Exception in callback %S", &source)?)?;
        containers::dict_set(&report, EXCEPTION.object(), &exception)?;
        containers::dict_set(&report, HANDLE.object(), &shown)?;
        call::call_method(&CALL_EXCEPTION_HANDLER, &[&*event_loop, &report], None).map(drop)
    })
}

fn callback_and_arguments(handle: &HandleObject) -> Res<(Owned, Owned)> {
    let (Some(job), Some(target)) = (handle.job.get(), handle.target.get()) else {
        return Ok((none().own(), none().own()));
    };
    let (callback, argument) = (job.callback)(&target, handle.argument.get().as_deref())?;
    let arguments = match &argument {
        Some(argument) => containers::tuple(&[argument])?,
        None => containers::tuple(&[])?,
    };
    Ok((callback, arguments))
}

/// A real `asyncio.Handle` for the same call; `None` if the collector has taken ours apart.
fn as_asyncio_handle(handle: &HandleObject) -> Res<Option<Owned>> {
    let (Some(event_loop), Some(context)) = (handle.event_loop.get(), handle.context.get()) else {
        return Ok(None);
    };
    let Some(class) = containers::dict_get(EVENTS_GLOBALS.get()?, HANDLE_CLASS.object())? else {
        return Ok(None);
    };
    let (callback, arguments) = callback_and_arguments(handle)?;
    let shown = call::call(&class, &[&callback, &arguments, &event_loop, &context])?;
    // Debug mode may have been switched on since; the place that it would show is not where the call was made.
    call::setattr(&shown, &PRIVATE_SOURCE_TRACEBACK, none())?;
    Ok(Some(shown))
}

fn repr(handle: &HandleObject) -> Res<Owned> {
    match as_asyncio_handle(handle)? {
        Some(shown) if !is_cancelled(handle) => call::repr(&shown),
        _ => containers::string(c"<Handle cancelled>"),
    }
}

fn cancel(handle: &HandleObject) {
    if !is_cancelled(handle) {
        handle.cancelled.set(boolean(true).own());
        handle.target.clear();
        handle.argument.clear();
    }
}

fn is_cancelled(handle: &HandleObject) -> bool {
    handle.cancelled.holds(boolean(true))
}

fn get_context(handle: &HandleObject) -> Owned {
    handle.context.get_or_none()
}

fn get_loop(handle: &HandleObject) -> Owned {
    handle.event_loop.get_or_none()
}

fn get_callback(handle: &HandleObject) -> Res<Owned> {
    callback_and_arguments(handle).map(|(callback, _)| callback)
}

fn get_arguments(handle: &HandleObject) -> Res<Owned> {
    callback_and_arguments(handle).map(|(_, arguments)| arguments)
}

fn get_source_traceback(_handle: &HandleObject) {}

fn visit(handle: &HandleObject, visitor: Visitor) -> Visited {
    visitor.class_of(&handle.head)?;
    visitor.field(&handle.target)?;
    visitor.field(&handle.argument)?;
    visitor.field(&handle.context)?;
    visitor.field(&handle.event_loop)?;
    ControlFlow::Continue(())
}

fn clear(handle: &HandleObject) {
    handle.target.clear();
    handle.argument.clear();
    handle.context.clear();
    handle.event_loop.clear();
}

unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    error::guard((), || {
        // SAFETY: CPython calls the slot with a dead instance of the type, once.
        unsafe {
            let handle = HandleObject::from_ptr(object);
            untrack(handle);
            clear(handle);
            handle.cancelled.clear();
            FREELIST.free(object, &TYPE);
        }
    });
}

/// Makes the type. Called once, by the module's initialisation.
pub(crate) fn init(module: &Object) -> Res<()> {
    let cancelled = ffi::PyMemberDef {
        name: c"_cancelled".as_ptr(),
        type_code: ffi::Py_T_OBJECT_EX,
        offset: ffi::Py_ssize_t::try_from(offset_of!(HandleObject, cancelled)).expect("a small offset"),
        flags: ffi::Py_READONLY,
        doc: std::ptr::null(),
    };
    TypeBuilder::new(&TYPE, c"rasyncio.Handle", c"A step or a callback in a stock loop's queue.")
        .flags(ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION)
        .slot(ffi::Py_tp_dealloc, dealloc as unsafe extern "C" fn(_) as *mut _)
        .slot(ffi::Py_tp_traverse, traverse!(HandleObject, visit))
        .slot(ffi::Py_tp_clear, inquiry!(HandleObject, clear))
        .slot(ffi::Py_tp_repr, unary!(HandleObject, repr))
        .members([cancelled])
        .getsets([
            getset!(HandleObject, c"_callback", get_callback, c"The callable, or None if cancelled."),
            getset!(HandleObject, c"_args", get_arguments, c"The callable's arguments, or None if cancelled."),
            getset!(HandleObject, c"_context", get_context, c"The context that the callable runs in."),
            getset!(HandleObject, c"_loop", get_loop, c"The event loop."),
            getset!(HandleObject, c"_source_traceback", get_source_traceback, c"None: debug mode is off."),
        ])
        .methods([
            noargs!(HandleObject, c"_run", run, c"_run($self, /)\n--\n\nRun the callable in its context."),
            noargs!(HandleObject, c"cancel", cancel, c"cancel($self, /)\n--\n\nMake the loop pass over this handle."),
            noargs!(
                HandleObject,
                c"cancelled",
                is_cancelled,
                c"cancelled($self, /)\n--\n\nTell whether the handle was cancelled."
            ),
            noargs!(
                HandleObject,
                c"get_context",
                get_context,
                c"get_context($self, /)\n--\n\nReturn the contextvars.Context of the callable."
            ),
        ])
        .build(module, None)
}
