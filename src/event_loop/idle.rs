//! The loop's thread with nothing to run, and how other threads end its wait.
//!
//! To put a thread to sleep and wake it up again takes a few system calls and the scheduler: some tens of microseconds.
//! A thread that answers the loop at once (a future of Rust's, a short function in an executor) is done before that. So
//! a wait that follows one which another thread has ended within about 100 µs may begin *awake*: the loop's thread looks
//! for about 40 µs whether it is called, and goes to sleep then.
//!
//! That does not always help. The caller may keep the GIL for a while after its call, or need the processor. So now and
//! then some waits are tried in this way, and some asleep from the beginning; those that follow go on with it only if
//! that was clearly faster. A loop that waits for files and timers always sleeps; one that is called by threads as well
//! looks at its files while it is awake.
//!
//! All but [`Idle::stay_awake`] is called with the GIL held. Who adds to the ready queue calls `wake` afterwards; the
//! loop's thread looks at the queue before it begins. `stay_awake` runs without the GIL, and touches nothing but the
//! state, nor may its `look` touch anything of Python's.

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::sys::clock::Moment;
use crate::sys::part::Native;

/// The loop's thread runs, or has been called.
const CALLED: u8 = 0;
/// It looks at the state.
const AWAKE: u8 = 1;
/// It sleeps in the poller, or is about to.
const ASLEEP: u8 = 2;

/// How many short waits are tried in each way.
const TRIALS: u32 = 32;
/// How many there are until the next trials.
const PERIOD: u32 = 256 * TRIALS;

/// What short waits took that began in one way.
struct Tried {
    waits: Cell<u32>,
    /// From the beginning of each to that of the next, in ticks of the clock.
    ticks: Cell<u64>,
}

impl Tried {
    const fn new() -> Self {
        Tried { waits: Cell::new(0), ticks: Cell::new(0) }
    }

    fn add(&self, ticks: u64) {
        self.waits.set(self.waits.get().saturating_add(1));
        self.ticks.set(self.ticks.get().saturating_add(ticks));
    }

    fn clear(&self) {
        self.waits.set(0);
        self.ticks.set(0);
    }

    /// The average, if there were enough.
    fn average(&self) -> Option<u64> {
        let waits = self.waits.get();
        (waits >= TRIALS / 2).then(|| self.ticks.get() / u64::from(waits))
    }
}

pub(super) struct Idle {
    state: AtomicU8,
    /// When the wait began that is not over.
    began: Cell<Option<Moment>>,
    /// Did another thread end the last wait soon?
    was_short: Cell<bool>,
    /// When the last wait was chosen for which there was a choice, and whether it began awake.
    chosen: Cell<Option<(Moment, bool)>>,
    /// How many there were in this period.
    count: Cell<u32>,
    awake: Tried,
    asleep: Tried,
    /// What the trials have shown.
    awake_is_faster: Cell<bool>,
}

impl Native for Idle {}

impl Default for Idle {
    fn default() -> Self {
        Idle {
            state: AtomicU8::new(CALLED),
            began: Cell::new(None),
            was_short: Cell::new(false),
            chosen: Cell::new(None),
            count: Cell::new(0),
            awake: Tried::new(),
            asleep: Tried::new(),
            awake_is_faster: Cell::new(false),
        }
    }
}

impl Idle {
    /// Should the wait that is about to begin do so awake?
    pub(super) fn choose_awake(&self) -> bool {
        if !self.was_short.get() {
            self.chosen.set(None);
            return false;
        }
        let now = Moment::now();
        if let Some((last, was_awake)) = self.chosen.get() {
            let tried = if was_awake { &self.awake } else { &self.asleep };
            tried.add(now.ticks_since(last));
        }
        let count = self.count.get();
        self.count.set((count + 1) % PERIOD);
        if count == 0 {
            self.awake.clear();
            self.asleep.clear();
        }
        if count == 2 * TRIALS {
            let averages = self.awake.average().zip(self.asleep.average());
            self.awake_is_faster.set(averages.is_some_and(|(awake, asleep)| awake < asleep / 4 * 3));
        }
        let awake = count < TRIALS || (count >= 2 * TRIALS && self.awake_is_faster.get());
        self.chosen.set(Some((now, awake)));
        awake
    }

    /// The loop's thread is about to wait, awake at first.
    pub(super) fn begin_awake(&self) {
        self.begin();
        self.state.store(AWAKE, Ordering::Release);
    }

    /// The loop's thread is about to sleep, whether it was awake before or not.
    pub(super) fn fall_asleep(&self) {
        if self.began.get().is_none() {
            self.begin();
        }
        self.state.store(ASLEEP, Ordering::Release);
    }

    fn begin(&self) {
        self.began.set(Some(Moment::now()));
        self.was_short.set(false);
    }

    /// Waits for some tens of microseconds, detached, for a call or until `look` finds something: has it come?
    pub(super) fn stay_awake(&self, mut look: impl FnMut() -> bool) -> bool {
        let start = Moment::now();
        while self.state.load(Ordering::Acquire) == AWAKE {
            if look() {
                return true;
            }
            if Moment::now().is_tens_of_microseconds_after(start) {
                return false;
            }
            // The one who is to call may need this processor.
            std::thread::yield_now();
        }
        true
    }

    /// The wait is over, whatever has ended it.
    pub(super) fn end(&self) {
        self.state.store(CALLED, Ordering::Release);
        self.began.set(None);
    }

    /// Calls the loop's thread; does it sleep, so that the poller must wake it up? Only the first call of many says so.
    pub(super) fn wake(&self) -> bool {
        let state = self.state.swap(CALLED, Ordering::AcqRel);
        if state != CALLED {
            if let Some(began) = self.began.get() {
                self.was_short.set(!Moment::now().is_about_100_microseconds_after(began));
            }
        }
        state == ASLEEP
    }
}
