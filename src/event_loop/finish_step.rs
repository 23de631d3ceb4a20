//! The end of a step: what it has left is done ([`super::after_step`]).
//!
//! A transport that is written to several times in a step of a task sends all of it at once, when the step is over.
//! Work may be left only where somebody will do it ([`LoopObject::runs_steps`]); whoever is about to let the loop sleep
//! or end, or to fork, does it before.

use crate::state::thread;
use crate::sys::error::{chain, fetch};
use crate::sys::{Layout, Res};

use super::object::LoopObject;
use super::run_entry::run_entry;
use crate::job::Entry;

impl LoopObject {
    /// Does the calling thread run this loop, so that what a step leaves is done after it?
    #[inline]
    pub(crate) fn runs_steps(&self) -> bool {
        if !self.is_running() || self.is_exposed() {
            return false;
        }
        match thread::running_loop() {
            Ok(running) => running.is_some_and(|running| running.is(self)),
            Err(raised) => {
                drop(fetch(raised));
                false
            }
        }
    }

    /// Leaves it to be done after the present step.
    pub(crate) fn leave(&self, entry: Entry) -> Res<()> {
        self.after_step.add(entry)
    }
}

/// Does what was left, and what that leaves. Errors go to the loop's exception handler; an exit goes through when all is
/// done.
#[cold]
pub(crate) fn finish_step(core: &LoopObject) -> Res<()> {
    while let Some(entry) = core.after_step.next() {
        run_entry(core, entry).map_err(|raised| chain(raised, || finish_step(core)))?;
    }
    Ok(())
}

/// The same after work that may have raised an exit, which goes through then.
#[cold]
pub(super) fn finish_step_of(core: &LoopObject, outcome: Res<()>) -> Res<()> {
    match outcome {
        Ok(()) => finish_step(core),
        Err(raised) => Err(chain(raised, || finish_step(core))),
    }
}
