//! Running an entry, as its handle would run.

use crate::sys::error::{fetch, restore};
use crate::sys::{Layout, Raised, Res, context, panics};

use super::finish_step::over;
use super::object::LoopObject;
use super::ready::as_handle;
use crate::handle;
use crate::job::Entry;

#[allow(clippy::inline_always)] // once for each thing that runs, and two places call it
#[inline(always)]
pub(super) fn run_entry(core: &LoopObject, entry: Entry) -> Res<()> {
    let Entry { context, argument, target, job } = entry;
    match context::run(&context, || {
        panics::here("run of an entry");
        over(core, (job.run)(&target, argument.as_deref()))
    }) {
        Ok(()) => Ok(()),
        Err(raised) => report(core, Entry { job, target, argument, context }, raised),
    }
}

#[cold]
fn report(core: &LoopObject, entry: Entry, raised: Raised) -> Res<()> {
    let exception = fetch(raised);
    let handle = as_handle(core.as_object(), entry)?;
    handle::report(&handle, restore(exception))
}
