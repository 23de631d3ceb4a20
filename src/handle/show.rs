//! What Python code sees of a handle's work: `_callback`, `_args`, `_context`; and copies of one.
//!
//! A handle keeps a job, a target and an argument; the callable and the tuple of arguments are made for whoever looks.

use std::cell::Cell;

use crate::names::{GETSTATE, REDUCE_EX};
use crate::sys::attached::Attached;
use crate::sys::lazy::Lazy;
use crate::sys::object::none;
use crate::sys::slots::not_deleted;
use crate::sys::{Layout, Object, Owned, Res, call, containers, context};

use super::object::HandleObject;

/// What it will call, as Python code sees it; that of a step or a wake-up is made now, for whoever looks.
fn shown_call(handle: &HandleObject) -> Res<(Owned, Owned)> {
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

/// `_callback`. One that was made for whoever looks is the handle's from now on: who looks again finds the same.
pub(super) fn get_callback(handle: &HandleObject) -> Res<Owned> {
    let (callback, arguments) = shown_call(handle)?;
    if handle.job().get().is_some() && !handle.callback.holds(&*callback) {
        set_call(handle, &callback, &arguments);
    }
    Ok(callback)
}

/// `_args`: a tuple, or `None` in a handle that was cancelled.
pub(super) fn get_arguments(handle: &HandleObject) -> Res<Owned> {
    shown_call(handle).map(|(_, arguments)| arguments)
}

fn set_call(handle: &HandleObject, callback: &Object, arguments: &Object) {
    handle.job().set(None);
    handle.callback.set(callback.own());
    handle.arguments.set(arguments.own());
}

pub(super) fn set_callback(handle: &HandleObject, value: Option<&Object>) -> Res<()> {
    let value = not_deleted(handle.as_object(), c"_callback", value)?;
    let (_, arguments) = shown_call(handle)?;
    set_call(handle, value, &arguments);
    Ok(())
}

pub(super) fn set_arguments(handle: &HandleObject, value: Option<&Object>) -> Res<()> {
    let value = not_deleted(handle.as_object(), c"_args", value)?;
    let (callback, _) = shown_call(handle)?;
    set_call(handle, &callback, value);
    Ok(())
}

pub(super) fn set_when(handle: &HandleObject, value: Option<&Object>) -> Res<()> {
    handle.set_when(not_deleted(handle.as_object(), c"_when", value)?)
}

/// How often anybody has asked a handle for its context.
pub(super) static CONTEXT_LOOKS: Attached<Cell<u64>> = Attached::new(Cell::new(0));

/// `_context`; one that is not there is made when somebody asks.
pub(super) fn get_context(handle: &HandleObject) -> Res<Owned> {
    CONTEXT_LOOKS.set(CONTEXT_LOOKS.get() + 1);
    if let Some(context) = handle.context.get() {
        return Ok(context);
    }
    let context = if handle.needs_context() { context::new()? } else { context::copy_current()? };
    handle.context.set(context.clone());
    Ok(context)
}

pub(super) fn set_context(handle: &HandleObject, value: Option<&Object>) -> Res<()> {
    handle.context.set(not_deleted(handle.as_object(), c"_context", value)?.own());
    Ok(())
}

/// `__reduce_ex__(protocol)`, as of a class whose slots are all there is to an object.
pub(super) fn reduce(handle: &HandleObject, protocol: &Object) -> Res<Owned> {
    static OBJECT: Lazy = Lazy::new("builtins", "object");
    static NEW: Lazy = Lazy::new("copyreg", "__newobj__");
    if containers::int_value(protocol)? < 2 {
        let method = call::getattr(OBJECT.get()?, &REDUCE_EX)?;
        return call::call(&method, &[handle.as_object(), protocol]);
    }
    let state = call::call_method(&GETSTATE, &[handle.as_object()], None)?;
    let class = containers::tuple(&[handle.as_object().class().as_object()])?;
    containers::tuple(&[NEW.get()?, &*class, &*state, none(), none()])
}
