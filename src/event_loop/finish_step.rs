//! The end of a step: what it has left is done ([`super::after_step`]).
//!
//! A transport that is written to several times in a step of a task sends all of it at once, when the step is over.
//! Work may be left only where somebody will do it ([`LoopObject::runs_steps`]); whoever is about to let the loop sleep
//! or end, or to fork, does it before.

use crate::state::thread;
use crate::sys::error::{chain, fetch, restore};
use crate::sys::{Layout, Owned, Raised, Res, context};

use super::after_step::Left;
use super::object::LoopObject;
use super::ready::as_handle;
use crate::handle;
use crate::job::{Entry, Job};

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

    /// Leaves it to be done after the present step, in its context; the job gets no argument.
    #[inline]
    pub(crate) fn leave(&self, job: &'static Job, target: Owned) -> Res<()> {
        self.after_step.add(Left { job, target })
    }
}

/// A step is over, in its context: what it has left is done.
#[allow(clippy::inline_always)] // once for each thing that runs, and nearly always the check is all
#[inline(always)]
pub(super) fn over(core: &LoopObject, outcome: Res<()>) -> Res<()> {
    if core.after_step.is_due() { finish_step_of(core, outcome) } else { outcome }
}

#[inline(never)]
fn finish_step_of(core: &LoopObject, outcome: Res<()>) -> Res<()> {
    match outcome {
        Ok(()) => finish_step(core),
        Err(raised) => Err(chain(raised, || finish_step(core))),
    }
}

/// Does what was left, and what that leaves. Errors go to the loop's exception handler; an exit goes through when all is
/// done.
pub(crate) fn finish_step(core: &LoopObject) -> Res<()> {
    while let Some(Left { job, target }) = core.after_step.next() {
        if let Err(raised) = (job.run)(&target, None) {
            failed(core, job, target, raised)?;
        }
    }
    Ok(())
}

#[cold]
fn failed(core: &LoopObject, job: &'static Job, target: Owned, raised: Raised) -> Res<()> {
    let exception = fetch(raised);
    let entry = Entry { job, target, argument: None, context: context::copy_current()? };
    let handle = as_handle(core.as_object(), entry)?;
    let reported = handle::report(&handle, restore(exception));
    reported.map_err(|raised| chain(raised, || finish_step(core)))
}
