//! Waiting for the descriptor, to be readable or writable.
//!
//! A reader or a writer is an entry in the loop's table of files. Each has an argument of its own, which the transport
//! keeps for as long as the entry is the present one: an entry that is in the ready queue already when reading is paused
//! or the transport is closed does nothing, as a cancelled handle would.

use crate::event_loop::{Direction, LoopObject};
use crate::job::{Entry, Job};
use crate::sys::{Field, Layout, Object, Owned, Res, containers, context};

use super::object::{TYPE, TransportObject};

impl TransportObject {
    /// The argument of the present reader or writer.
    fn token(&self, direction: Direction) -> &Field {
        match direction {
            Direction::Read => &self.reader,
            Direction::Write => &self.writer,
        }
    }

    /// Is it the argument of the present one?
    #[inline]
    pub(super) fn is_present(&self, direction: Direction, argument: Option<&Object>) -> bool {
        argument.is_some_and(|argument| self.token(direction).holds(argument))
    }
}

/// The context that callbacks are to run in.
pub(super) fn context(transport: &TransportObject) -> Res<Owned> {
    transport.context.get().map_or_else(context::copy_current, Ok)
}

/// Begins to wait, by that job.
pub(super) fn start(
    transport: &TransportObject,
    core: &LoopObject,
    direction: Direction,
    job: &'static Job,
) -> Res<()> {
    let context = context(transport)?;
    // Any new object will do.
    let argument = containers::new_list()?;
    transport.token(direction).set(argument.clone());
    let target = transport.as_object().own();
    core.watch(transport.fd.get(), direction, Entry { job, target, argument: Some(argument), context })
}

/// Waits no more.
pub(super) fn stop(transport: &TransportObject, core: &LoopObject, direction: Direction) -> Res<()> {
    transport.token(direction).clear();
    core.unwatch(transport.fd.get(), direction)
}

/// Others have stopped the one with that argument.
pub(super) fn stopped(transport: &Object, direction: Direction, argument: Option<&Object>) {
    let transport = TYPE.expect(transport);
    if transport.is_present(direction, argument) {
        transport.token(direction).clear();
    }
}
