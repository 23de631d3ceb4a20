//! The memory of a loop: layout, what it refers to, its end.
//!
//! Who changes a field, and when (always with the GIL held; but for the collector, which clears all of them):
//!
//! * `ready`, `timers`: whoever schedules, in any thread; one iteration, in the thread that runs the loop. `exposed.rs`
//!   takes both out while Python code has them.
//! * `watchers`: readers and writers, in any thread; the poller's wait, which has let go of the GIL, only reads.
//! * `transports`: whoever makes a transport, in any thread.
//! * `after_step`: what runs in a step, in the thread that runs the loop; whoever finishes the step.
//! * `counts`: whoever does what is counted.
//! * `profile`: `run.rs`, and whoever turns it on.
//! * `scratch`: who reads from a file; never while Python code runs.
//! * `last_poll`, `last_tidy`, `idle`: `poll.rs`, in the thread that runs the loop; `wake.rs` reads and sets the state of
//!   `idle` from any.
//! * `closed`, `debug_is_on`, `debug`, `stopping`, `thread_id`, `clock_resolution`, `current_handle`, `task_factory`,
//!   `deleted`: asyncio's Python code, through the attributes of these names (`methods.rs`); `stop()` too.
//! * `exposed`: `exposed.rs`. `is_special` follows it, `closed` and `debug_is_on` ([`LoopObject::note_special`]);
//!   `is_observed` follows `debug_is_on` and `profile` ([`LoopObject::note_observed`]).
//! * `look_closer`, `may_make_its_own`, `selector_was_changed`: `plain.rs`, when something of the instance is set. `own_selector`: when the
//!   poller is opened and closed.

use std::cell::Cell;

use crate::sys::clock::Moment;
use crate::sys::life::{Life, object};
use crate::sys::part::Own;
use crate::sys::typeobj::StaticType;
use crate::sys::{Field, Object, Res};

use super::after_step::AfterStep;
use super::counts::Counts;
use super::idle::Idle;
use super::profile::Profile;
use super::ready::ReadyQueue;
use super::scratch::Scratch;
use super::timers::TimerHeap;
use super::transport_table::TransportTable;
use super::watchers::Watchers;
use crate::asyncio::loop_is_closed;
use crate::handle::HandleObject;

object! {
    /// The native half of an event loop; the Python class's attributes are behind it, and a deallocator of that class
    /// has run its finaliser and cleared them before ours is called.
    pub(crate) struct LoopObject: TYPE {
        head: Object,
        pub(super) ready: Own<ReadyQueue>,
        pub(super) timers: Own<TimerHeap>,
        pub(super) watchers: Own<Watchers>,
        pub(super) after_step: Own<AfterStep>,
        pub(super) transports: Own<TransportTable>,
        pub(super) scratch: Own<Scratch>,
        pub(crate) counts: Own<Counts>,
        pub(super) profile: Own<Profile>,
        /// When the poller was asked last; not set at the beginning of a run.
        pub(super) last_poll: Own<Cell<Option<Moment>>>,
        /// When memory that is of no use was freed last.
        pub(super) last_tidy: Own<Cell<Option<Moment>>>,
        pub(super) idle: Own<Idle>,
        pub(super) closed: Cell<bool>,
        pub(super) stopping: Cell<bool>,
        /// Is `debug` true?
        pub(super) debug_is_on: Cell<bool>,
        /// What runs is looked at more closely: in debug mode, or by [`super::profile`].
        pub(super) is_observed: Cell<bool>,
        /// The instance may have an attribute with the name of a method that Rust code passes over ([`super::plain`]).
        pub(super) look_closer: Cell<bool>,
        /// The instance may have its own `create_future` or `create_task` ([`super::plain::makes_natively`]).
        pub(super) may_make_its_own: Cell<bool>,
        /// The selector is not the one that the loop was made with, or something of it was replaced.
        pub(super) selector_was_changed: Cell<bool>,
        /// Python code has the ready queue, or the timers ([`super::exposed`]).
        pub(super) exposed: Cell<bool>,
        /// The loop is closed, in debug mode, or exposed: to schedule something is more than to queue it.
        is_special: Cell<bool>,
        /// Which attributes have been deleted ([`super::methods`]).
        pub(super) deleted: Cell<u16>,
        /// Seconds.
        pub(super) clock_resolution: Cell<f64>,
        /// What `get_debug()` returns, unless that is `False`.
        pub(super) debug: Field,
        /// A number while the loop runs.
        pub(super) thread_id: Field,
        /// The handle that runs, in debug mode.
        pub(super) current_handle: Field,
        pub(super) task_factory: Field,
        /// The selector that shows the poller's files, if the loop waits natively.
        pub(super) own_selector: Field,
    }
}

impl Life for LoopObject {}

pub(crate) static TYPE: StaticType<LoopObject> = StaticType::new();

impl LoopObject {
    /// Is there something to run, or may there be, or shall the loop end?
    #[inline]
    pub(super) fn has_work(&self) -> bool {
        self.ready.len() > 0 || self.stopping.get() || self.is_exposed()
    }

    /// Does Python code have the ready queue, or the timers? ([`super::exposed`])
    #[inline]
    pub(super) fn is_exposed(&self) -> bool {
        self.exposed.get()
    }

    /// Does `call_soon` do nothing but queue?
    #[inline]
    pub(crate) fn just_queues(&self) -> bool {
        !self.is_special.get()
    }

    /// One of the three has changed that make a loop special.
    pub(super) fn note_special(&self) {
        self.is_special.set(self.closed.get() || self.debug_is_on.get() || self.exposed.get());
    }

    /// Debug mode, or profiling, has been turned on or off.
    pub(super) fn note_observed(&self) {
        self.is_observed.set(self.debug_is_on.get() || self.profile.is_on());
    }

    #[cfg(Py_3_12)]
    #[inline]
    pub(crate) fn has_task_factory(&self) -> bool {
        self.task_factory.get().is_some_and(|factory| !factory.is_none())
    }

    pub(crate) fn debug_is_on(&self) -> bool {
        self.debug_is_on.get()
    }

    #[inline]
    pub(crate) fn is_running(&self) -> bool {
        self.thread_id.is_set()
    }

    /// `_timer_handle_cancelled(handle)`
    #[inline]
    pub(crate) fn timer_cancelled(&self, handle: &HandleObject) {
        if handle.is_scheduled() {
            self.timers.cancelled.set(self.timers.cancelled.get() + 1);
        }
    }
}

/// The loop, which must not be closed.
pub(super) fn check_closed(core: &LoopObject) -> Res<()> {
    if core.closed.get() { Err(loop_is_closed()) } else { Ok(()) }
}
