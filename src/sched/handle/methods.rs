//! Handles as Python code sees them.

use std::cell::Cell;
use std::ffi::{CStr, c_ulong};

use pyo3::ffi;

use crate::sys::attached::Attached;
use crate::sys::intern::TIMER_HANDLE_CANCELLED;
use crate::sys::object::{boolean, none};
use crate::sys::slots::{getset, inquiry, noargs, not_deleted, traverse};
use crate::sys::typeobj::TypeBuilder;
use crate::sys::{self, Layout, Object, Owned, Res, compat, containers, context};

use super::super::{debug_enabled, event_loop};
use super::object::{HandleObject, Kind, clear, dealloc, visit};
use super::run::run;
use super::thread_safe;

/// What it will call, as Python code sees it; that of a step or a wake-up is made now, for whoever looks.
fn call(handle: &HandleObject) -> Res<(Owned, Owned)> {
    let (callback, arguments) = (handle.callback.get(), handle.arguments.get());
    let (Some(job), Some(target)) = (handle.job().get(), &callback) else {
        let arguments = arguments.map_or_else(|| containers::tuple(&[]), Ok)?;
        return Ok((callback.unwrap_or_else(|| none().own()), arguments));
    };
    let (callable, argument) = (job.callback)(target, arguments.as_deref())?;
    let arguments = match argument {
        Some(several) if job.takes_several => several,
        Some(argument) => containers::tuple(&[&argument])?,
        None => containers::tuple(&[])?,
    };
    Ok((callable, arguments))
}

/// `_callback`
pub(super) fn get_callback(handle: &HandleObject) -> Res<Owned> {
    call(handle).map(|(callback, _)| callback)
}

/// `_args`: a tuple, or `None` in a handle that was cancelled.
pub(super) fn get_arguments(handle: &HandleObject) -> Res<Owned> {
    call(handle).map(|(_, arguments)| arguments)
}

fn set_call(handle: &HandleObject, callback: &Object, arguments: &Object) {
    handle.job().set(None);
    handle.callback.set(callback.own());
    handle.arguments.set(arguments.own());
}

fn set_callback(handle: &HandleObject, value: Option<&Object>) -> Res<()> {
    let value = not_deleted(handle.as_object(), c"_callback", value)?;
    let (_, arguments) = call(handle)?;
    set_call(handle, value, &arguments);
    Ok(())
}

fn set_arguments(handle: &HandleObject, value: Option<&Object>) -> Res<()> {
    let value = not_deleted(handle.as_object(), c"_args", value)?;
    let (callback, _) = call(handle)?;
    set_call(handle, &callback, value);
    Ok(())
}

fn set_when(handle: &HandleObject, value: Option<&Object>) -> Res<()> {
    handle.set_when(not_deleted(handle.as_object(), c"_when", value)?)
}

/// How often anybody has asked a handle for its context.
pub(super) static CONTEXT_LOOKS: Attached<Cell<u64>> = Attached::new(Cell::new(0));

/// `_context`; one that is not there is made when somebody asks.
fn get_context(handle: &HandleObject) -> Res<Owned> {
    CONTEXT_LOOKS.set(CONTEXT_LOOKS.get() + 1);
    if let Some(context) = handle.context.get() {
        return Ok(context);
    }
    let context = if handle.needs_context() { context::new()? } else { context::copy_current()? };
    handle.context.set(context.clone());
    Ok(context)
}

fn set_context(handle: &HandleObject, value: Option<&Object>) -> Res<()> {
    handle.context.set(not_deleted(handle.as_object(), c"_context", value)?.own());
    Ok(())
}

/// `handle.cancel()`
pub(crate) fn cancel(handle: &HandleObject) -> Res<()> {
    if handle.is_thread_safe() {
        thread_safe::wait(handle)?;
    }
    if handle.is_cancelled() {
        return Ok(());
    }
    let Some(event_loop) = handle.event_loop.get() else {
        return Ok(());
    };
    if handle.is_timer() {
        match event_loop::plain(&event_loop) {
            Some(native) => native.timer_cancelled(handle),
            None => {
                sys::call::call_method(&TIMER_HANDLE_CANCELLED, &[&*event_loop, handle.as_object()], None).map(drop)?;
            }
        }
    }
    handle.cancelled.set(boolean(true).own());
    if debug_enabled(&event_loop)? {
        // What it was to do is gone then, but a warning about a slow callback should still tell.
        handle.repr.set(sys::call::repr(handle.as_object())?);
    }
    handle.forget_work();
    Ok(())
}

fn cancelled(handle: &HandleObject) -> Res<Owned> {
    if handle.is_thread_safe() {
        thread_safe::wait(handle)?;
    }
    Ok(handle.cancelled.get_or_none())
}

/// Makes the type for the kind, on asyncio's class.
pub(super) fn build(kind: Kind, base: &Object) -> Res<()> {
    let (name, doc): (&'static CStr, &'static CStr) = match kind {
        Kind::Plain => (c"rasyncio.Handle", c"A call that the loop will make."),
        Kind::Timer => (c"rasyncio.TimerHandle", c"A call that the loop will make at a time."),
        Kind::ThreadSafe => (c"rasyncio._ThreadSafeHandle", c"A call that the loop will make, for another thread."),
    };
    let weakrefs: c_ulong = if compat::MANAGED_WEAKREFS { compat::MANAGED_WEAKREF_FLAG } else { 0 };
    let mut builder = TypeBuilder::new(&kind.class().class, name, doc)
        .size(kind.size())
        .mutable()
        .flags(ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION | weakrefs)
        .slot(ffi::Py_tp_dealloc, dealloc as unsafe extern "C" fn(_) as *mut _)
        .slot(ffi::Py_tp_traverse, traverse!(HandleObject, visit))
        .slot(ffi::Py_tp_clear, inquiry!(HandleObject, clear))
        .getsets([
            getset!(HandleObject, c"_callback", get_callback, set_callback, c"The callable, or None if cancelled."),
            getset!(HandleObject, c"_args", get_arguments, set_arguments, c"The arguments, or None if cancelled."),
            getset!(HandleObject, c"_context", get_context, set_context, c"The context that the callable runs in."),
        ])
        .methods([
            noargs!(HandleObject, c"_run", run, c"_run($self, /)\n--\n\nRun the callable in its context."),
            noargs!(HandleObject, c"cancel", cancel, c"cancel($self, /)\n--\n\nMake the loop pass over this handle."),
            noargs!(
                HandleObject,
                c"cancelled",
                cancelled,
                c"cancelled($self, /)\n--\n\nTell whether the handle was cancelled."
            ),
        ]);
    if compat::HANDLE_GET_CONTEXT {
        builder = builder.methods([noargs!(
            HandleObject,
            c"get_context",
            get_context,
            c"get_context($self, /)\n--\n\nReturn the contextvars.Context of the callable."
        )]);
    }
    if kind == Kind::Timer {
        builder = builder
            .getsets([getset!(
                HandleObject,
                c"_when",
                HandleObject::when_object,
                set_when,
                c"The time, in the loop's seconds."
            )])
            .methods([noargs!(
                HandleObject,
                c"when",
                HandleObject::when_object,
                c"when($self, /)\n--\n\nReturn the time of the call, in seconds on the clock of loop.time()."
            )]);
    }
    builder.build_on(base)
}
