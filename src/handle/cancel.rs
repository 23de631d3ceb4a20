//! Cancelling a handle.
//!
//! A cancelled handle stays where it is, in a queue or a heap, and forgets its work; whoever takes it out passes over
//! it. A timer's loop is told, for it counts those that it should sweep.

use std::cell::Cell;

use crate::sys::attached::Attached;
use crate::sys::object::boolean;
use crate::sys::{self, Layout, Object, Owned, Res};

use super::object::HandleObject;
use super::thread_safe;

/// How to ask the loop that a handle belongs to, whatever loop that is. `sched`, which is above, knows.
pub(crate) struct Owner {
    /// `loop._timer_handle_cancelled(timer)`; and whether debug mode is on, if no Python code had to run for it.
    pub(crate) timer_cancelled: fn(event_loop: &Object, timer: &HandleObject) -> Res<Option<bool>>,
    /// `bool(loop.get_debug())`
    pub(crate) debug_enabled: fn(event_loop: &Object) -> Res<bool>,
}

static OWNER: Attached<Cell<Option<&'static Owner>>> = Attached::new(Cell::new(None));

/// Called once, by the module's initialisation, before there is any handle.
pub(crate) fn register_owner(owner: &'static Owner) {
    OWNER.set(Some(owner));
}

/// `handle.cancel()`
pub(crate) fn cancel(handle: &HandleObject) -> Res<()> {
    if handle.is_thread_safe() {
        thread_safe::wait(handle)?;
    }
    if handle.is_cancelled() {
        return Ok(());
    }
    let (Some(event_loop), Some(owner)) = (handle.event_loop.get(), OWNER.get()) else {
        return Ok(());
    };
    let debug = if handle.is_timer() { (owner.timer_cancelled)(&event_loop, handle)? } else { None };
    handle.cancelled.set(boolean(true).own());
    if debug.map_or_else(|| (owner.debug_enabled)(&event_loop), Ok)? {
        // What it was to do is gone then, but a warning about a slow callback should still tell.
        handle.repr.set(sys::call::repr(handle.as_object())?);
    }
    handle.forget_work();
    Ok(())
}

pub(super) fn cancelled(handle: &HandleObject) -> Res<Owned> {
    if handle.is_thread_safe() {
        thread_safe::wait(handle)?;
    }
    Ok(handle.cancelled.get_or_none())
}
