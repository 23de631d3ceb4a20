//! Asking which files are ready: in each iteration, as asyncio's loops do, if the program has the loop watch any.
//!
//! Where nothing has come since a look that found nothing, a look more would find nothing: the poller's doorbell says so
//! ([`crate::io`]), and is believed for 40 µs.
//!
//! A loop that watches nothing but its own wake-up has nothing to ask for: calls from other threads are in the ready
//! queue by themselves. So while it is busy it asks but every 40 µs or so; that is for signals whose handlers are
//! Python's own, which run then, and for other threads, which get the GIL. The looks of a busy loop in between keep it.

use crate::io::{Errno, Event, Events, Poller, Woken};
use crate::names::SELECT;
use crate::sys::clock::Moment;
use crate::sys::error::{Builtin, raise};
use crate::sys::memory::no_memory;
use crate::sys::os_error::raise_os_error;
use crate::sys::threads::{check_signals, detached};
use crate::sys::{Layout, Res, call, containers, panics};

use super::finish_step::finish_step;
use super::idle::Idle;
use super::object::LoopObject;
use super::ready::Ready;
use super::selector;
use super::time::time;
use super::watchers::{Direction, as_handle};
use crate::handle;
use crate::versions;

/// The longest wait, in seconds: a day, as asyncio has it.
const LONGEST: f64 = 24.0 * 3600.0;
const LONGEST_WHOLE: i64 = 24 * 3600;

/// How long to wait.
#[derive(Clone, Copy, PartialEq)]
enum Wait {
    No,
    Seconds(f64),
    ForEver,
}

impl Wait {
    /// A millisecond or more?
    fn is_long(self) -> bool {
        match self {
            Wait::No => false,
            Wait::Seconds(seconds) => seconds >= 1e-3,
            Wait::ForEver => true,
        }
    }

    /// For the poller. Rounded up, as asyncio's selectors do: better a little late than a loop that wakes up before the
    /// time.
    fn milliseconds(self) -> Option<i32> {
        match self {
            Wait::No => Some(0),
            #[allow(clippy::cast_possible_truncation)] // a day at most
            Wait::Seconds(seconds) => Some((seconds * 1e3).ceil() as i32),
            Wait::ForEver => None,
        }
    }
}

/// What may have happened meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Polled {
    /// No Python code has run, in no thread.
    Nothing,
    Anything,
}

/// Puts the watchers of files that are ready into the queue. Waits for some if there is nothing else to run.
#[inline]
pub(super) fn poll(core: &LoopObject) -> Res<Polled> {
    let now = Moment::now();
    if core.has_work() {
        let is_soon = |last| !now.is_tens_of_microseconds_after(last);
        let last = core.last_poll.get();
        if last.is_some_and(is_soon) {
            if core.watchers.is_silent() {
                return Ok(Polled::Nothing);
            }
            return look(core);
        }
        core.last_poll.set(Some(now));
        core.counts.polls(last, now);
        ask(core, Wait::No)?;
        core.counts.polled();
        return Ok(Polled::Anything);
    }
    tidy(core, now);
    let wait = time_to_wait(core)?;
    core.counts.polls(core.last_poll.get(), now);
    core.counts.falls_asleep(now);
    let asked = ask(core, wait);
    let after = Moment::now();
    core.counts.wakes_up(after);
    asked?;
    core.counts.polled();
    core.last_poll.set(Some(after));
    Ok(Polled::Anything)
}

/// Frees memory that was of no use for a second. Runs no Python code.
fn tidy(core: &LoopObject, now: Moment) {
    if core.last_tidy.get().is_some_and(|last| !now.is_about_a_second_after(last)) {
        return;
    }
    core.last_tidy.set(Some(now));
    core.ready.shrink();
    handle::trim_memory();
}

fn time_to_wait(core: &LoopObject) -> Res<Wait> {
    let Some(when) = core.timers.first() else {
        return Ok(Wait::ForEver);
    };
    let seconds = when - time(core)?;
    if seconds.is_nan() && versions::NAN_TIMER_FAILS {
        return Err(raise(Builtin::ValueError.class(), c"cannot convert float NaN to integer"));
    }
    Ok(if seconds >= 0.0 { Wait::Seconds(seconds.min(LONGEST)) } else { Wait::No })
}

/// Asks in between, with the GIL: to let go of it and take it back costs as much as the look. Mostly nothing is there.
#[inline]
fn look(core: &LoopObject) -> Res<Polled> {
    let Some(poller) = core.watchers.poller() else { return ask_selector(core, Wait::No).map(|()| Polled::Anything) };
    let mut events = poller.begin_look(true).ok_or_else(no_memory)?;
    let woken = poller.wait(Some(0), &mut events);
    if woken == Ok(Woken::Normally) && events.is_empty() {
        poller.end_look(woken, events);
        return Ok(Polled::Nothing);
    }
    serve(core, &poller, woken, events).map(|()| Polled::Anything)
}

#[cold]
fn ask(core: &LoopObject, wait: Wait) -> Res<()> {
    match core.watchers.poller() {
        Some(poller) => ask_natively(core, &poller, wait),
        None => ask_selector(core, wait),
    }
}

/// `self._select(timeout)` of the Python class, which has a selector of Python's.
fn ask_selector(core: &LoopObject, wait: Wait) -> Res<()> {
    let timeout = match wait {
        Wait::No => containers::int(0)?,
        #[allow(clippy::float_cmp)] // what `time_to_wait` has put there
        Wait::Seconds(seconds) if seconds == LONGEST => containers::int(LONGEST_WHOLE)?,
        Wait::Seconds(seconds) => containers::float(seconds)?,
        Wait::ForEver => crate::sys::object::none().own(),
    };
    call::call_method(&SELECT, &[core.as_object(), &*timeout], None).map(drop)
}

fn ask_natively(core: &LoopObject, poller: &Poller, wait: Wait) -> Res<()> {
    // The interpreter runs signal handlers only while it runs Python code. They, or whatever ran since, may have found
    // something to do; nothing runs from the look at the queue to the wait.
    check_signals()?;
    if core.after_step.is_due() {
        finish_step(core)?;
    }
    let watches = !core.watchers.is_quiet();
    let mut events = poller.begin_look(watches && wait == Wait::No).ok_or_else(no_memory)?;
    if now_or_later(core, wait).is_long() && core.idle.choose_awake() {
        core.idle.begin_awake();
        if let Some(woken) = detached(|| stay_awake(&core.idle, poller, watches, &mut events)) {
            return serve(core, poller, woken, events);
        }
        // A signal that came meanwhile does not end the wait below.
        check_signals().inspect_err(|_| core.idle.end())?;
    }
    let wait = now_or_later(core, wait);
    if wait != Wait::No {
        core.idle.fall_asleep();
    }
    let woken = detached(|| {
        panics::here("poller");
        poller.wait(wait.milliseconds(), &mut events)
    });
    serve(core, poller, woken, events)
}

/// Waits for a short time without sleeping, for a call and for the program's files; `None` if neither has come.
fn stay_awake(idle: &Idle, poller: &Poller, watches: bool, events: &mut Events) -> Option<Result<Woken, Errno>> {
    let mut found = None;
    let look = || {
        if watches {
            let woken = poller.wait(Some(0), events);
            found = (!events.is_empty() || woken != Ok(Woken::Normally)).then_some(woken);
        }
        found.is_some()
    };
    let is_over = idle.stay_awake(look);
    found.or_else(|| is_over.then(|| poller.wait(Some(0), events)))
}

/// As long as that, unless there is something to run.
fn now_or_later(core: &LoopObject, wait: Wait) -> Wait {
    if core.has_work() { Wait::No } else { wait }
}

/// The wait is over: what for?
fn serve(core: &LoopObject, poller: &Poller, woken: Result<Woken, Errno>, events: Events) -> Res<()> {
    core.idle.end();
    let served = match woken {
        Ok(Woken::Normally) => events.iter().try_for_each(|event| make_ready(core, poller, event)),
        Ok(Woken::BySignal) => check_signals(),
        Err(errno) => Err(raise_os_error(errno.0)),
    };
    poller.end_look(woken, events);
    served
}

fn make_ready(core: &LoopObject, poller: &Poller, event: Event) -> Res<()> {
    if core.watchers.has_foreign() && core.watchers.is_foreign(event.fd) {
        return selector::process(core, event);
    }
    for (direction, watcher) in core.watchers.ready(event).into_iter().flatten() {
        match as_handle(&watcher) {
            Some(handle) if handle.is_cancelled() => remove(core, poller, event, direction)?,
            Some(handle) => core.enqueue(Ready::Handle(handle.own()))?,
            None => core.enqueue(Ready::Entry(watcher))?,
        }
    }
    Ok(())
}

#[cold]
fn remove(core: &LoopObject, poller: &Poller, event: Event, direction: Direction) -> Res<()> {
    let fd = containers::int(i64::from(event.fd))?;
    core.watchers.remove(poller, &fd, direction).map(drop)
}
