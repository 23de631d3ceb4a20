//! Waiting for the descriptor, to be readable or writable.
//!
//! A reader or a writer is an entry in the loop's table of files. Each has an argument of its own, which the transport
//! keeps for as long as the entry is the present one: an entry that is in the ready queue already when reading is paused
//! or the transport is closed does nothing, as a cancelled handle would.
//!
//! An entry is made where nothing of the transport is replaced, and stands for the class's method: what an instance is
//! given afterwards under its name is called by the next entry only, as asyncio's handles keep the method that they were
//! made with.

use crate::event_loop::{Direction, LoopObject};
use crate::job::{Entry, Job};
use crate::sys::{Layout, Object, Owned, Res, containers, context};

use super::native::Transport;
use super::object::BaseObject;

/// The context that callbacks are to run in.
pub(in crate::net) fn context(transport: &BaseObject) -> Res<Owned> {
    transport.context.get().map_or_else(context::copy_current, Ok)
}

/// Begins to wait, by that job.
pub(in crate::net) fn start<T: Transport>(
    transport: &T,
    core: &LoopObject,
    direction: Direction,
    job: &'static Job,
) -> Res<()> {
    let context = context(transport)?;
    // Any new object will do.
    let argument = containers::new_list()?;
    transport.token(direction).set(argument.clone());
    let target = transport.as_object().own();
    let entry = Entry { job, target, argument: Some(argument), context };
    core.watch(transport.fd.get(), direction, entry).inspect_err(|_| transport.token(direction).clear())
}

/// Waits no more.
pub(in crate::net) fn stop<T: Transport>(transport: &T, core: &LoopObject, direction: Direction) -> Res<()> {
    transport.token(direction).clear();
    core.unwatch(transport.fd.get(), direction)
}

/// Others have stopped the one with that argument.
pub(in crate::net) fn stopped<T: Transport>(transport: &Object, direction: Direction, argument: Option<&Object>) {
    let transport = T::class().expect(transport);
    if transport.is_present(direction, argument) {
        transport.token(direction).clear();
    }
}
