//! Which steps block their loop: a thread that looks at the loops' pulses ([`crate::event_loop::RUNNING`]) now and then,
//! without the GIL.
//!
//! A loop whose pulse has not changed for the threshold, and which does not wait, is blocked by the step that it is in.
//! Then, and when the step is over, the thread attaches to the interpreter and tells the reporter, a Python callable
//! (`python/rasyncio/_watch.py`), which looks at the blocked thread's stack. As long as nothing blocks, the thread neither
//! attaches nor writes anything that a loop reads.
//!
//! There is one thread at most. [`end`] waits for it, and is called before the interpreter ends; a forked child has none
//! ([`after_fork_in_child`]). What is known of it ([`WATCHDOG`]) is touched by attached threads only.

use std::cell::RefCell;
use std::ffi::CStr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::event_loop::RUNNING;
use crate::sys::attached::Attached;
use crate::sys::error::{Builtin, raise, write_unraisable};
use crate::sys::os_error::raise_os_error;
use crate::sys::slots::{Method, noargs, one, positional};
use crate::sys::threads::{attached, detached, is_in_main_interpreter, spawn};
use crate::sys::{Layout, Object, Owned, Res, call, containers, object};

/// A step is noticed this part of the threshold late at most.
const LOOKS_PER_THRESHOLD: u32 = 8;
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// Tells the thread to end.
#[derive(Default)]
struct Stop {
    is_wanted: Mutex<bool>,
    said: Condvar,
}

impl Stop {
    fn say(&self) {
        *self.is_wanted.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.said.notify_all();
    }

    /// Waits for so long, or until it is said; was it?
    fn wait(&self, pause: Duration) -> bool {
        let is_wanted = self.is_wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.said.wait_timeout_while(is_wanted, pause, |is_wanted| !*is_wanted);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

struct Watchdog {
    stop: Arc<Stop>,
    /// Until somebody waits for its end.
    thread: Option<JoinHandle<()>>,
    reporter: Owned,
}

/// The one that there is.
static WATCHDOG: Attached<RefCell<Option<Watchdog>>> = Attached::new(RefCell::new(None));

/// The reporter of the one that there is.
fn reporter() -> Option<Owned> {
    WATCHDOG.borrow().as_ref().map(|watchdog| watchdog.reporter.clone())
}

/// A loop's pulse when it was looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Beat {
    /// The pulse's address: which loop's it is, for as long as it is shown.
    loop_: usize,
    thread: u64,
    beats: u64,
}

/// A step that is under way, as far as is known.
struct Step {
    beat: Beat,
    since: Instant,
    is_reported: bool,
}

/// The steps under way in loops that do not wait.
fn look() -> Vec<Beat> {
    let mut beats = Vec::new();
    RUNNING.each(|pulse| {
        if !pulse.waits() {
            let loop_ = std::ptr::from_ref(pulse).addr();
            beats.push(Beat { loop_, thread: pulse.thread(), beats: pulse.beats() });
        }
    });
    beats
}

/// What the reporter is told of.
enum Event {
    /// The step blocks its loop.
    Blocks {
        /// For how long the reporter had to wait for the GIL.
        waited: Duration,
        /// Whether it was still under way after that.
        goes_on: bool,
    },
    /// A step that did is over.
    IsOver,
}

fn run(threshold: Duration, stop: &Arc<Stop>) {
    let pause = (threshold / LOOKS_PER_THRESHOLD).max(SHORTEST_PAUSE);
    let mut steps: Vec<Step> = Vec::new();
    loop {
        let is_last = stop.wait(pause);
        let (now, beats) = (Instant::now(), look());
        let (still, over): (Vec<Step>, Vec<Step>) = steps.into_iter().partition(|step| beats.contains(&step.beat));
        steps = still;
        for over in over.iter().filter(|step| step.is_reported) {
            attached(|| report(stop, over.beat, now - over.since, &Event::IsOver));
        }
        if is_last {
            return;
        }
        for beat in beats {
            if !steps.iter().any(|step| step.beat == beat) {
                steps.push(Step { beat, since: now, is_reported: false });
            }
        }
        for step in steps.iter_mut().filter(|step| !step.is_reported && now - step.since >= threshold) {
            step.is_reported = true;
            attached(|| {
                let waited = now.elapsed();
                let goes_on = look().contains(&step.beat);
                report(stop, step.beat, step.since.elapsed(), &Event::Blocks { waited, goes_on });
            });
        }
    }
}

/// `reporter(thread, beats, seconds, waited, goes_on)`, the last two being `None` when it is over.
fn report(stop: &Arc<Stop>, beat: Beat, time: Duration, event: &Event) {
    let is_mine = |watchdog: &&Watchdog| Arc::ptr_eq(&watchdog.stop, stop);
    let Some(reporter) = WATCHDOG.borrow().as_ref().filter(is_mine).map(|watchdog| watchdog.reporter.clone()) else {
        return;
    };
    let call = || {
        let number = |number: u64| containers::int(i64::try_from(number).unwrap_or(-1));
        let (waited, goes_on) = match event {
            Event::Blocks { waited, goes_on } => {
                (containers::float(waited.as_secs_f64())?, object::boolean(*goes_on).own())
            }
            Event::IsOver => (object::none().own(), object::none().own()),
        };
        let (thread, beats) = (number(beat.thread)?, number(beat.beats)?);
        let seconds = containers::float(time.as_secs_f64())?;
        call::call(&reporter, &[&thread, &beats, &seconds, &waited, &goes_on]).map(drop)
    };
    if let Err(raised) = call() {
        write_unraisable(raised, &reporter);
    }
}

/// `_watch(threshold, reporter)`; the threshold is in seconds.
fn begin(_module: &Object, arguments: &[&Object]) -> Res<()> {
    let [threshold, reporter] = arguments else {
        return Err(raise(Builtin::TypeError.class(), c"_watch() takes a threshold and a reporter"));
    };
    if !is_in_main_interpreter() {
        return Err(raise(Builtin::RuntimeError.class(), c"steps can be watched in the main interpreter only"));
    }
    let Ok(threshold) = Duration::try_from_secs_f64(containers::float_value(threshold)?) else {
        return Err(raise(Builtin::ValueError.class(), c"the threshold must be a number of seconds"));
    };
    // While the last one's end is waited for, another thread may begin one.
    while WATCHDOG.borrow().is_some() {
        end();
    }
    let stop = Arc::new(Stop::default());
    let its_stop = Arc::clone(&stop);
    match spawn("rasyncio watch", move || run(threshold, &its_stop)) {
        Ok(thread) => {
            WATCHDOG.replace(Some(Watchdog { stop, thread: Some(thread), reporter: reporter.own() }));
            Ok(())
        }
        Err(error) => Err(raise_os_error(error.raw_os_error().unwrap_or(0))),
    }
}

/// Ends the thread, if there is one, and waits for it, which tells of what is over; unless it is the calling one, that is
/// the reporter's call.
pub(crate) fn end() {
    let (stop, thread) = match &mut *WATCHDOG.borrow_mut() {
        Some(watchdog) => (Arc::clone(&watchdog.stop), watchdog.thread.take()),
        None => return,
    };
    stop.say();
    if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
        // Whatever has become of it.
        let _ = detached(|| thread.join());
    }
    let ended = WATCHDOG.borrow_mut().take_if(|watchdog| Arc::ptr_eq(&watchdog.stop, &stop));
    drop(ended);
}

/// `_unwatch(reporter)`: ends the one with that reporter.
fn unwatch(_module: &Object, of: &Object) {
    if reporter().is_some_and(|reporter| reporter.is(of)) {
        end();
    }
}

/// `_watching()`
fn watching(_module: &Object) -> Owned {
    reporter().unwrap_or_else(|| object::none().own())
}

/// The child has none. (Its handle is not waited for: what it stands for is the parent's.)
pub(crate) fn after_fork_in_child() {
    RUNNING.after_fork();
    std::mem::forget(WATCHDOG.take());
}

const WATCH_DOC: &CStr = c"_watch($module, threshold, reporter, /)\n--\n\n\
    Have the reporter called, in another thread, when a step of a loop takes longer than that, in seconds.";
const UNWATCH_DOC: &CStr = c"_unwatch($module, reporter, /)\n--\n\nEnd that.";
const WATCHING_DOC: &CStr = c"_watching($module, /)\n--\n\nReturn the reporter, or None.";

/// What the module has of it, for `_watch.py`.
pub(crate) fn functions() -> [Method; 3] {
    [
        positional!(Object, c"_watch", begin, WATCH_DOC),
        one!(Object, c"_unwatch", unwatch, UNWATCH_DOC),
        noargs!(Object, c"_watching", watching, WATCHING_DOC),
    ]
}
