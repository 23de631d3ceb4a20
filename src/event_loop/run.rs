//! Running: iterations, until somebody calls `stop()`.

use crate::names::{CANCELLED_FLAG, FINISH_ITERATION, PRIVATE_RUN, RUN_IN_DEBUG_MODE, RUN_ONCE};
use crate::sys::args::Arguments;
use crate::sys::{Layout, Object, Owned, Res, call};

use super::exposed;
use super::finish_step::over;
use super::forward::base;
use super::object::LoopObject;
use super::plain::plain;
use super::poll::{Polled, poll};
use super::profile::Timed;
use super::ready::{Ready, as_handle};
use super::run_entry::run_entry;
use super::time::end_of_due;
use crate::handle::{self, HandleObject};
use crate::job::Entry;
use crate::replaced::all_as_made;

/// Runs the loop until it is told to stop. An exit (`KeyboardInterrupt`, `SystemExit`) ends it too; what was ready then
/// stays so.
pub(super) fn run_until_stopped(core: &LoopObject) -> Res<()> {
    core.last_poll.set(None);
    core.counts.while_running(|| iterate(core))
}

fn iterate(core: &LoopObject) -> Res<()> {
    loop {
        match plain(core.as_object()) {
            Some(core) => run_once(core)?,
            None => call::call_method(&RUN_ONCE, &[core.as_object()], None).map(drop)?,
        }
        if core.stopping.get() {
            return Ok(());
        }
    }
}

/// One iteration. (See the module's text for its parts.)
pub(super) fn run_once(core: &LoopObject) -> Res<()> {
    if core.is_exposed() && !exposed::take_back(core)? {
        return run_once_in_python(core);
    }
    if !core.timers.is_empty() {
        core.timers.drop_cancelled();
        if core.is_exposed() {
            // What was dropped has run Python code.
            return run_once_in_python(core);
        }
    }
    if poll(core)? == Polled::Anything && core.is_exposed() {
        // A signal's handler, or another thread during the wait.
        return finish_in_python(core);
    }
    if !core.timers.is_empty() {
        let end = end_of_due(core)?;
        if core.is_exposed() {
            return finish_in_python(core);
        }
        loop {
            // Room comes first: a timer that is out of the heap must not be lost.
            core.ready.make_room()?;
            let Some(timer) = core.timers.pop_due(end) else { break };
            core.counts.timer_is_late(end - timer.when());
            core.ready.push(Ready::Handle(timer))?;
        }
    }
    let mut left = core.ready.len();
    core.counts.iterates(left);
    while left > 0 {
        core.counts.takes();
        let Some(ready) = core.ready.pop() else { return run_exposed(core, left) };
        left -= 1;
        run(core, ready)?;
    }
    Ok(())
}

/// The rest of an iteration, after somebody has emptied the queue or has taken it ([`exposed`]).
#[cold]
fn run_exposed(core: &LoopObject, left: usize) -> Res<()> {
    for _ in 0..left {
        core.counts.takes();
        let ready = match core.ready.pop() {
            Some(ready) => ready,
            None => match exposed::pop(core)? {
                Some(ready) => ready,
                None => break,
            },
        };
        run_slowly(core, ready)?;
    }
    Ok(())
}

#[cold]
fn run_once_in_python(core: &LoopObject) -> Res<()> {
    base(core, &RUN_ONCE, Arguments::of(&[])).map(drop)
}

/// What comes after the wait, with the containers that Python code has.
#[cold]
fn finish_in_python(core: &LoopObject) -> Res<()> {
    call::call_method(&FINISH_ITERATION, &[core.as_object()], None).map(drop)
}

/// Only cold code gets what is ready as a whole, put together again: so it stays in registers.
#[inline]
fn run(core: &LoopObject, ready: Ready) -> Res<()> {
    match ready {
        Ready::Entry(entry) if runs_natively(core) => run_entry(core, entry),
        Ready::Handle(handle) if runs_natively(core) => {
            if handle.is_cancelled() {
                core.counts.cancelled.one();
                Ok(())
            } else {
                handle::run(&handle, |outcome| over(core, outcome))
            }
        }
        Ready::Entry(Entry { job, target, argument, context }) => {
            run_slowly(core, Ready::Entry(Entry { job, target, argument, context }))
        }
        Ready::Handle(handle) => run_slowly(core, Ready::Handle(handle)),
        Ready::Foreign(object) => run_slowly(core, Ready::Foreign(object)),
    }
}

/// Neither in debug mode nor profiled, and nobody has replaced what handles do.
#[inline]
fn runs_natively(core: &LoopObject) -> bool {
    !core.is_observed.get() && all_as_made()
}

#[cold]
fn run_slowly(core: &LoopObject, ready: Ready) -> Res<()> {
    if !core.profile.is_on() {
        let outcome = run_in_python(core, ready);
        return over(core, outcome);
    }
    let timed = Timed::begin(&ready);
    let outcome = run_observed(core, ready);
    if let Some(timed) = timed {
        core.profile.end(timed);
    }
    outcome
}

/// As it would run if nobody timed it.
fn run_observed(core: &LoopObject, ready: Ready) -> Res<()> {
    let natively = !core.debug_is_on() && all_as_made();
    match ready {
        Ready::Entry(entry) if natively => run_entry(core, entry),
        Ready::Handle(handle) if natively && !handle.is_cancelled() => {
            handle::run(&handle, |outcome| over(core, outcome))
        }
        ready => {
            let outcome = run_in_python(core, ready);
            over(core, outcome)
        }
    }
}

fn run_in_python(core: &LoopObject, ready: Ready) -> Res<()> {
    let handle: Owned = match ready {
        Ready::Entry(entry) => as_handle(core.as_object(), entry)?.into_object(),
        Ready::Handle(handle) => handle.into_object(),
        Ready::Foreign(object) => object,
    };
    if is_cancelled(&handle)? {
        core.counts.cancelled.one();
        return Ok(());
    }
    if core.debug_is_on.get() {
        return call::call_method(&RUN_IN_DEBUG_MODE, &[core.as_object(), &*handle], None).map(drop);
    }
    call::call_method(&PRIVATE_RUN, &[&*handle], None).map(drop)
}

/// `handle._cancelled`, of any object.
pub(super) fn is_cancelled(object: &Object) -> Res<bool> {
    match handle::downcast(object) {
        Some(handle) => Ok(HandleObject::is_cancelled(handle)),
        None => call::is_true(&*call::getattr(object, &CANCELLED_FLAG)?),
    }
}
