//! What a loop has done since it was made: counters and histograms that are always on.
//!
//! What counts is in the way of every callback, so each place has an instruction or two for it, and reads the clock only
//! where it is read anyway. Whoever does a thing counts it: `run.rs` iterations and callbacks, `poll.rs` waits, `calls.rs`
//! calls from other threads, and those above the loop what they know (tasks, connections, bytes). All that changes does
//! with the GIL held, but for [`Pulse`], which the watchdog's thread reads without it.
//!
//! How long things wait in the ready queue is sampled: after each look at the poller, what the iteration
//! queues first is the probe ([`Counts::queued`]), and when it is its turn ([`Counts::takes`]), its time is known.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::histogram::Histogram;
use crate::sys::clock::Moment;
use crate::sys::part::Native;
use crate::sys::threads::Thread;
use crate::sys::visible::Visible;

/// Builds with the feature `uncounted` count nothing: what counting costs is the difference (`make bench-counting`).
const IS_ON: bool = cfg!(not(feature = "uncounted"));

/// A number that only grows.
#[derive(Default)]
pub(crate) struct Counter(Cell<u64>);

impl Counter {
    #[inline]
    pub(crate) fn add(&self, count: usize) {
        if !IS_ON {
            return;
        }
        self.0.set(self.0.get().wrapping_add(count as u64));
    }

    #[inline]
    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }
}

/// Of the loops that run now.
pub(crate) static RUNNING: Visible<Pulse> = Visible::new();

/// What another thread can see of a loop without the GIL: whether it gets on.
///
/// Only the thread that runs the loop writes it.
#[derive(Default)]
pub(crate) struct Pulse {
    /// Python's number of the thread that runs the loop.
    thread: AtomicU64,
    /// Grows by one with each thing that is taken out of the queue, and with each wait.
    beats: AtomicU64,
    /// The loop waits for files and timers.
    waits: AtomicBool,
}

impl Pulse {
    #[inline]
    fn beat(&self) -> u64 {
        let beats = self.beats.load(Ordering::Relaxed);
        self.beats.store(beats + 1, Ordering::Relaxed);
        beats
    }

    pub(crate) fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    pub(crate) fn thread(&self) -> u64 {
        self.thread.load(Ordering::Relaxed)
    }

    pub(crate) fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }
}

/// The beat of a probe that is not on its way.
const NO_BEAT: u64 = u64::MAX;

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) pulse: Pulse,
    pub(super) iterations: Counter,
    pub(super) polls: Counter,
    pub(super) waits: Counter,
    /// Handles that were cancelled before it was their turn.
    pub(super) cancelled: Counter,
    pub(super) threadsafe_calls: Counter,
    /// In ticks of the cheap clock.
    asleep: Cell<u64>,
    /// The present wait, which other threads see.
    asleep_since: Cell<Option<Moment>>,
    /// The same: of runs that are over.
    ran: Cell<u64>,
    running_since: Cell<Option<Moment>>,
    most_ready: Cell<usize>,
    /// By how much timers were late, in nanoseconds.
    pub(super) timer_lateness: Histogram,
    /// How long things were in the ready queue, in ticks.
    ready_wait: Histogram,
    /// How long the loop was busy between two looks at the poller, in ticks.
    gaps: Histogram,
    is_probe_wanted: Cell<bool>,
    /// The beat with which the probe will run, and when it was queued. (At first it is the first, which finds nothing.)
    probe: Cell<u64>,
    probe_queued: Cell<Option<Moment>>,
    pub(crate) tasks_made: Counter,
    pub(crate) tasks_returned: Counter,
    pub(crate) tasks_failed: Counter,
    pub(crate) tasks_cancelled: Counter,
    /// Freed before they were done.
    pub(crate) tasks_lost: Counter,
    pub(crate) connections_made: Counter,
    pub(crate) connections_lost: Counter,
    pub(crate) bytes_received: Counter,
    pub(crate) bytes_sent: Counter,
}

impl Native for Counts {}

impl Counts {
    /// An iteration is about to run so many things.
    #[inline]
    pub(super) fn iterates(&self, ready: usize) {
        if !IS_ON {
            return;
        }
        self.iterations.one();
        if ready > self.most_ready.get() {
            self.most_ready.set(ready);
        }
    }

    /// The next thing is about to be taken out of the queue, to be run unless it is cancelled.
    #[inline]
    pub(super) fn takes(&self) {
        if !IS_ON {
            return;
        }
        if self.pulse.beat() == self.probe.get() {
            self.probe_runs();
        }
    }

    #[cold]
    fn probe_runs(&self) {
        self.probe.set(NO_BEAT);
        if let Some(queued) = self.probe_queued.take() {
            self.ready_wait.add(Moment::now().ticks_since(queued));
        }
    }

    /// Something is about to be queued behind so many others.
    #[inline]
    pub(super) fn queued(&self, behind: impl FnOnce() -> usize) {
        if IS_ON && self.is_probe_wanted.get() {
            self.queue_probe(behind());
        }
    }

    #[cold]
    fn queue_probe(&self, behind: usize) {
        self.is_probe_wanted.set(false);
        self.probe.set(self.pulse.beats() + behind as u64);
        self.probe_queued.set(Some(Moment::now()));
    }

    /// It has been asked, and what has come is queued.
    pub(super) fn polled(&self) {
        if !IS_ON {
            return;
        }
        self.is_probe_wanted.set(true);
    }

    /// A timer that was due so many seconds ago is queued.
    #[inline]
    pub(super) fn timer_is_late(&self, seconds: f64) {
        if !IS_ON {
            return;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // what is no number, or below zero, is zero
        self.timer_lateness.add((seconds * 1e9) as u64);
    }

    /// The poller is about to be asked, for the first time after some tens of microseconds, or after a wait.
    pub(super) fn polls(&self, last: Option<Moment>, now: Moment) {
        if !IS_ON {
            return;
        }
        self.polls.one();
        if let Some(last) = last {
            self.gaps.add(now.ticks_since(last));
        }
    }

    /// The wait for files and timers begins.
    pub(super) fn falls_asleep(&self, now: Moment) {
        if !IS_ON {
            return;
        }
        self.asleep_since.set(Some(now));
        self.waits.one();
        self.pulse.beat();
        self.pulse.waits.store(true, Ordering::Relaxed);
    }

    /// It is over.
    pub(super) fn wakes_up(&self, now: Moment) {
        if !IS_ON {
            return;
        }
        self.pulse.waits.store(false, Ordering::Relaxed);
        if let Some(since) = self.asleep_since.take() {
            self.asleep.set(self.asleep.get() + now.ticks_since(since));
        }
    }

    /// Runs the loop, by `run`; a run within another is part of it.
    pub(super) fn while_running<T>(&self, run: impl FnOnce() -> T) -> T {
        /// Also if there is a panic.
        struct End<'a>(&'a Counts);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                if let Some(since) = self.0.running_since.take() {
                    self.0.ran.set(self.0.ran.get() + Moment::now().ticks_since(since));
                }
            }
        }
        if self.running_since.get().is_some() {
            return run();
        }
        self.running_since.set(Some(Moment::now()));
        let _end = End(self);
        self.pulse.thread.store(Thread::current().number(), Ordering::Relaxed);
        RUNNING.show(&self.pulse, run)
    }

    /// For how long the loop has run, and for how long of that it has waited, in ticks of the cheap clock.
    pub(super) fn ticks_so_far(&self) -> (u64, u64) {
        let now = Moment::now();
        let until_now = |since: &Cell<Option<Moment>>| since.get().map_or(0, |since| now.ticks_since(since));
        (self.ran.get() + until_now(&self.running_since), self.asleep.get() + until_now(&self.asleep_since))
    }

    /// For how long it has been busy since it looked at the poller, or began to run: at this moment, in the same.
    pub(super) fn present_gap(&self, last_poll: Option<Moment>) -> u64 {
        let Some(began) = self.running_since.get() else { return 0 };
        if self.asleep_since.get().is_some() {
            return 0;
        }
        let now = Moment::now();
        now.ticks_since(began).min(last_poll.map_or(u64::MAX, |last| now.ticks_since(last)))
    }

    /// How many callbacks have begun.
    pub(super) fn callbacks(&self) -> u64 {
        self.pulse.beats() - self.waits.get() - self.cancelled.get()
    }

    /// How many tasks of ours are not done.
    pub(super) fn tasks_alive(&self) -> u64 {
        let ends = [&self.tasks_returned, &self.tasks_failed, &self.tasks_cancelled, &self.tasks_lost];
        self.tasks_made.get().saturating_sub(ends.iter().map(|end| end.get()).sum())
    }

    pub(super) fn most_ready(&self) -> usize {
        self.most_ready.get()
    }

    /// How long the loop was busy between two looks at the poller, in ticks of the cheap clock.
    pub(super) fn gaps(&self) -> &Histogram {
        &self.gaps
    }

    /// How long things were in the ready queue, in ticks of the cheap clock.
    pub(super) fn ready_wait(&self) -> &Histogram {
        &self.ready_wait
    }
}
