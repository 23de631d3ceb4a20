//! The memory of a loop: layout, what it refers to, its end.

use std::cell::Cell;

use crate::sys::clock::Moment;
use crate::sys::life::{Life, object};
use crate::sys::part::Own;
use crate::sys::typeobj::StaticType;
use crate::sys::{Field, Object, Res};

use super::idle::Idle;
use super::ready::{Ready, ReadyQueue};
use super::timers::TimerHeap;
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
        /// When the poller was asked last; not set at the beginning of a run.
        pub(super) last_poll: Own<Cell<Option<Moment>>>,
        /// When memory that is of no use was freed last.
        pub(super) last_tidy: Own<Cell<Option<Moment>>>,
        pub(super) idle: Own<Idle>,
        pub(super) closed: Cell<bool>,
        pub(super) stopping: Cell<bool>,
        /// Is `debug` true?
        pub(super) debug_is_on: Cell<bool>,
        /// An attribute of the instance may hide one of the methods that we would not call.
        pub(super) shadowed: Cell<bool>,
        /// Seconds.
        pub(super) clock_resolution: Cell<f64>,
        /// What `get_debug()` returns, unless that is `False`.
        pub(super) debug: Field,
        /// A number while the loop runs.
        pub(super) thread_id: Field,
        /// The handle that runs, in debug mode.
        pub(super) current_handle: Field,
        pub(super) task_factory: Field,
    }
}

impl Life for LoopObject {}

pub(crate) static TYPE: StaticType<LoopObject> = StaticType::new();

impl LoopObject {
    /// Queues an entry.
    #[inline]
    pub(crate) fn push(&self, entry: crate::job::Entry) -> Res<()> {
        self.ready.push(Ready::Entry(entry))
    }

    /// Does `call_soon` do nothing but queue?
    #[inline]
    pub(crate) fn just_queues(&self) -> bool {
        !self.closed.get() && !self.debug_is_on.get()
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
