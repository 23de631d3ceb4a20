//! The methods of a handle, as Python code calls them: ours, unless somebody has replaced any of asyncio's.
//!
//! Then it is asyncio's own method of the base class that runs, or what was put in its place.

use crate::names::{CANCEL, CANCELLED_METHOD, GET_CONTEXT, LOCK, Name, PRIVATE_RUN, WHEN_METHOD};
use crate::replaced::all_as_made;
use crate::sys::lazy::Lazy;
use crate::sys::object::none;
use crate::sys::{Layout, Owned, Res, call, typeobj};

use super::cancel as native_cancel;
use super::object::HandleObject;
use super::run as native_run;
use super::show;

/// What a lock of asyncio's own handles is made by.
static RLOCK: Lazy = Lazy::new("threading", "RLock");

#[inline]
fn unless_replaced(handle: &HandleObject, name: &Name, native: fn(&HandleObject) -> Res<Owned>) -> Res<Owned> {
    if all_as_made() { native(handle) } else { base(handle, name) }
}

/// `super().name()`
#[cold]
fn base(handle: &HandleObject, name: &Name) -> Res<Owned> {
    if handle.lacks_lock() {
        call::setattr(handle.as_object(), &LOCK, &*call::call0(RLOCK.get()?)?)?;
    }
    let class = handle.as_object().class().as_object();
    let bases = call::call(typeobj::super_type(), &[class, handle.as_object()])?;
    call::call0(&*call::getattr(&bases, name)?)
}

pub(super) fn run(handle: &HandleObject) -> Res<Owned> {
    unless_replaced(handle, &PRIVATE_RUN, |handle| native_run::run(handle, |outcome| outcome).map(|()| none().own()))
}

pub(super) fn cancel(handle: &HandleObject) -> Res<Owned> {
    unless_replaced(handle, &CANCEL, |handle| native_cancel::cancel(handle).map(|()| none().own()))
}

pub(super) fn cancelled(handle: &HandleObject) -> Res<Owned> {
    unless_replaced(handle, &CANCELLED_METHOD, native_cancel::cancelled)
}

pub(super) fn get_context(handle: &HandleObject) -> Res<Owned> {
    unless_replaced(handle, &GET_CONTEXT, show::get_context)
}

pub(super) fn when(handle: &HandleObject) -> Res<Owned> {
    unless_replaced(handle, &WHEN_METHOD, HandleObject::when_object)
}
