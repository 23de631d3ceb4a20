//! The monotonic clock, and a cheaper one that only tells roughly how much time has passed.

use std::cell::Cell;
use std::sync::OnceLock;

use rustix::time::{ClockId, clock_gettime};

use super::part::Native;

/// Seconds of the clock that Python's `time.monotonic()` reads, to the last bit.
#[inline]
pub(crate) fn monotonic() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    #[allow(clippy::cast_precision_loss)] // Python rounds so, too
    let nanoseconds = (now.tv_sec * 1_000_000_000 + now.tv_nsec) as f64;
    nanoseconds / 1e9
}

/// A moment on the cheap clock: the processor's time-stamp counter where there is one, for reading the monotonic clock
/// costs as much as a tenth of a task's step.
#[derive(Clone, Copy)]
pub(crate) struct Moment(u64);

impl Native for Cell<Option<Moment>> {}

impl Moment {
    #[inline]
    pub(crate) fn now() -> Moment {
        Moment(ticker::read())
    }

    /// The time since the other moment in the clock's own unit, which is a nanosecond or a part of one.
    #[inline]
    pub(crate) fn ticks_since(self, other: Moment) -> u64 {
        self.0.wrapping_sub(other.0)
    }

    /// Has about a second passed since the other moment? (As roughly as below.)
    #[inline]
    pub(crate) fn is_about_a_second_after(self, other: Moment) -> bool {
        self.ticks_since(other) > ticker::ABOUT_A_SECOND
    }

    /// Have about 100 µs passed since the other moment? (As roughly as below.)
    #[inline]
    pub(crate) fn is_about_100_microseconds_after(self, other: Moment) -> bool {
        self.ticks_since(other) > ticker::ABOUT_100_MICROSECONDS
    }

    /// Have about 40 µs passed since the other moment? (The counter's rate is near the processor's nominal one: with 1
    /// to 6 GHz it is 17 to 100 µs. A jump of the counter, back or forth, counts as yes.)
    #[inline]
    pub(crate) fn is_tens_of_microseconds_after(self, other: Moment) -> bool {
        self.ticks_since(other) > ticker::ABOUT_40_MICROSECONDS
    }
}

/// The two clocks at one time.
#[derive(Clone, Copy)]
struct Both {
    ticks: Moment,
    seconds: f64,
}

impl Both {
    fn now() -> Both {
        Both { ticks: Moment::now(), seconds: monotonic() }
    }
}

/// When the process first asked how long a tick is, or [`begin`] was called.
static BEGINNING: OnceLock<Both> = OnceLock::new();

/// The rate of the cheap clock is measured from now on.
pub(crate) fn begin() {
    BEGINNING.get_or_init(Both::now);
}

/// How long a tick of the cheap clock is, as far as is known now.
pub(crate) struct Rate {
    seconds_per_tick: f64,
}

impl Rate {
    /// Right to a thousandth: if it must, it waits until it can tell.
    pub(crate) fn now() -> Rate {
        /// In seconds; the two clocks are read within a microsecond.
        const ENOUGH: f64 = 1e-3;
        let beginning = BEGINNING.get_or_init(Both::now);
        loop {
            let now = Both::now();
            let (seconds, ticks) = (now.seconds - beginning.seconds, now.ticks.ticks_since(beginning.ticks));
            if seconds >= ENOUGH {
                #[allow(clippy::cast_precision_loss)] // a thousandth will do
                return Rate { seconds_per_tick: seconds / ticks.max(1) as f64 };
            }
        }
    }

    #[allow(clippy::cast_precision_loss)] // it is not that exact
    pub(crate) fn seconds(&self, ticks: u64) -> f64 {
        ticks as f64 * self.seconds_per_tick
    }
}

#[cfg(all(target_arch = "x86_64", not(feature = "counted-clock")))]
mod ticker {
    pub(super) const ABOUT_A_SECOND: u64 = 2_500_000_000;
    pub(super) const ABOUT_100_MICROSECONDS: u64 = 250_000;
    pub(super) const ABOUT_40_MICROSECONDS: u64 = 100_000;

    #[inline]
    pub(super) fn read() -> u64 {
        // SAFETY: every x86-64 processor has the instruction.
        unsafe { std::arch::x86_64::_rdtsc() }
    }
}

#[cfg(not(any(target_arch = "x86_64", feature = "counted-clock")))]
mod ticker {
    use super::{ClockId, clock_gettime};

    pub(super) const ABOUT_A_SECOND: u64 = 1_000_000_000;
    pub(super) const ABOUT_100_MICROSECONDS: u64 = 100_000;
    pub(super) const ABOUT_40_MICROSECONDS: u64 = 40_000;

    #[inline]
    pub(super) fn read() -> u64 {
        let now = clock_gettime(ClockId::Monotonic);
        (now.tv_sec * 1_000_000_000 + now.tv_nsec).unsigned_abs()
    }
}

/// Time passes by being looked at, about 200 ns each time, so that what a program does depends on no clock
/// (`make bench-guard`).
#[cfg(feature = "counted-clock")]
mod ticker {
    use std::sync::atomic::{AtomicU64, Ordering};

    pub(super) const ABOUT_A_SECOND: u64 = 5_000_000;
    pub(super) const ABOUT_100_MICROSECONDS: u64 = 500;
    pub(super) const ABOUT_40_MICROSECONDS: u64 = 200;

    static LOOKS: AtomicU64 = AtomicU64::new(0);

    /// By this text in the file a build with this clock can be told from others.
    #[used]
    static MARK: [u8; 23] = *b"rasyncio: counted-clock";

    #[inline]
    pub(super) fn read() -> u64 {
        LOOKS.fetch_add(1, Ordering::Relaxed)
    }
}
