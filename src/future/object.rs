//! The memory of a future: layout, states, initialisation, and the collector's view of it.
//!
//! Who changes a field, and when (but for the collector, which clears all of them):
//!
//! * `event_loop`, `source_traceback`: [`initialize`], and nobody later.
//! * `first_callback`, `callbacks`: `callbacks.rs`, while the future is pending; scheduling them takes them out first.
//! * `result`, `exception`, `exception_traceback`, then `state`: `result.rs`, once, when the future gets done. The
//!   first who asks for the exception takes the traceback.
//! * `cancel_message`: `cancel()` of a future and of a task, and anybody through the attribute.
//! * `cancelled_error`: the last step of a cancelled task; taken by the first who asks for the exception.
//! * `awaited_by`, `awaited_by_is_set`: `awaited_by.rs`, when a task begins to wait and when it is woken up.
//! * `flags`: `BLOCKING` is set by the iterator that yields the future and cleared by the task that acknowledges it;
//!   `LOG_TRACEBACK` is set with an exception and cleared by who asks for it, by `cancel()` and by the finaliser. Both
//!   can be set through attributes, the second to false only.
//! * `task_flags`: the task that the future is the head of.

use std::cell::Cell;
use std::ffi::CStr;

use crate::asyncio;
use crate::sched;
use crate::state::thread;
use crate::sys::error::{Builtin, raise, raise_format};
#[cfg(not(Py_3_14))]
use crate::sys::field::NoField;
use crate::sys::field::{Link, Pair};
use crate::sys::freelist::FEW;
use crate::sys::instance::Instance;
#[cfg(Py_3_13)]
use crate::sys::instance_values::Values;
#[cfg(Py_3_12)]
use crate::sys::intern::Name;
use crate::sys::life::{Life, object};
use crate::sys::part::{Kept, Part, zeroed};
use crate::sys::typeobj::StaticType;
use crate::sys::{Field, Flags, Layout, Object, Owned, Raised, Res, compat};
use crate::versions;

use super::waiter::WaiterJob;

/// What has become of a future.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub(crate) enum State {
    Pending = 0,
    Cancelled = 1,
    Finished = 2,
}

zeroed!(State::Pending);

object! {
    /// The struct is laid out as the `FutureObj` of this version of CPython, as far as debuggers and profilers look at
    /// it, so that they can read ours. The loop is the first to go when it is cleared: whatever a finaliser does to the future, it then finds it
    /// uninitialised.
    pub(crate) struct FutureObject: TYPE {
        head: Object,
        /// Set by initialisation; an object without a loop is not initialised.
        pub(super) event_loop: Field,
        /// The first callback and its context, or the object that waits and what to do with it.
        pub(super) first_callback: Pair<WaiterJob>,
        /// A list of `(callback, context)`, or of waiters, for the second callback and on.
        pub(super) callbacks: Link,
        pub(super) exception: Link,
        /// The traceback that the exception had when it was set; `result()` puts it back, once.
        pub(super) exception_traceback: Field,
        pub(super) result: Link,
        pub(super) source_traceback: Field,
        pub(super) cancel_message: Link,
        /// The exception that ended a cancelled task, for the first who asks.
        pub(super) cancelled_error: Field,
        /// The task that awaits this future, or a set of them (3.14 on).
        pub(super) awaited_by: OfCallGraph,
        pub(super) state: Cell<State>,
        /// For CPython's debugger.
        is_task: Kept<bool>,
        /// Which of the two, if there is something.
        pub(super) awaited_by_is_set: Cell<bool>,
        pub(super) flags: Flags,
        /// The bits that a task adds; here because the byte would be padding otherwise.
        pub(crate) task_flags: Flags,
        pub(super) instance: Instance,
    }
}

impl Life for FutureObject {
    #[inline]
    fn needs_finalizer(&self) -> bool {
        self.logs_traceback() || !TYPE.is_exact(&self.head)
    }
}

/// The future holds an exception that nobody has asked for.
pub(super) const LOG_TRACEBACK: u8 = 1;
/// Somebody awaits the future: set by its iterator, cleared by the task that acknowledges it.
pub(super) const BLOCKING: u8 = 2;

pub(crate) static TYPE: StaticType<FutureObject> = StaticType::keeping(FEW);

// Where CPython 3.14's `.AsyncioDebug` section says that things are.
#[cfg(Py_3_14)]
const _: () = assert!(
    std::mem::offset_of!(FutureObject, awaited_by) == 96
        && std::mem::offset_of!(FutureObject, is_task) == 108
        && std::mem::offset_of!(FutureObject, awaited_by_is_set) == 109
);
const _: () = assert!(std::mem::offset_of!(FutureObject, event_loop) == 16);

/// A field that futures have from 3.14 on.
#[cfg(Py_3_14)]
type OfCallGraph = Field;
#[cfg(not(Py_3_14))]
type OfCallGraph = NoField;

impl FutureObject {
    /// The name in the type's spec.
    pub(crate) const NAME: &'static CStr = c"_asyncio.Future";
    /// Where debuggers find `awaited_by`, `is_task` and `awaited_by_is_set`.
    pub(crate) const LAYOUT: [usize; 3] = [
        std::mem::offset_of!(FutureObject, awaited_by),
        std::mem::offset_of!(FutureObject, is_task),
        std::mem::offset_of!(FutureObject, awaited_by_is_set),
    ];
    /// Where the instance's attributes are, for the type's spec.
    pub(crate) const INSTANCE_OFFSET: usize = std::mem::offset_of!(FutureObject, instance);

    /// The loop, or `RuntimeError` if the future is not initialised.
    pub(crate) fn require_loop(&self) -> Res<Owned> {
        self.event_loop.get().ok_or_else(not_initialized)
    }

    pub(crate) fn event_loop(&self) -> Option<Owned> {
        self.event_loop.get()
    }

    #[inline]
    pub(crate) fn belongs_to(&self, event_loop: &Object) -> bool {
        self.event_loop.holds(event_loop)
    }

    #[inline]
    pub(crate) fn is_initialized(&self) -> bool {
        self.event_loop.is_set()
    }

    #[inline]
    pub(crate) fn state(&self) -> State {
        self.state.get()
    }

    #[cfg(Py_3_12)]
    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.state.get() == State::Cancelled
    }

    /// Was it cancelled, or does it hold an exception?
    #[cfg(Py_3_12)]
    #[inline]
    pub(crate) fn has_failed(&self) -> bool {
        self.is_cancelled() || self.exception.is_set()
    }

    /// How many attributes it has in its `__dict__`, if they are not beside the object.
    #[cfg(Py_3_12)]
    #[inline]
    pub(crate) fn count_of_attributes(&self) -> usize {
        self.instance.count(self.as_object())
    }

    /// Has its `__dict__` that name, if its attributes are not beside the object?
    #[cfg(Py_3_12)]
    pub(crate) fn has_attribute(&self, name: &Name) -> bool {
        self.instance.holds(self.as_object(), name)
    }

    /// Has nobody given it attributes of its own, which may hide methods? (Of a future or task of exactly our type.)
    #[cfg(Py_3_12)]
    #[inline]
    pub(crate) fn has_no_attributes(&self) -> bool {
        // Beside the object at first, from 3.13 on.
        #[cfg(Py_3_13)]
        if let Some(values) = Values::of(self.as_object()) {
            return (0..values.count()).all(|place| values.peek(place).is_null());
        }
        self.count_of_attributes() == 0
    }

    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        self.state.get() == State::Pending
    }

    /// From pending to another state; what the future is to hold then is in place.
    #[inline]
    pub(super) fn become_done(&self, state: State) {
        debug_assert!(self.is_pending() && self.is_initialized() && state != State::Pending);
        debug_assert!(!(self.result.is_set() && self.exception.is_set()));
        debug_assert_eq!(self.result.is_set() || self.exception.is_set(), state == State::Finished);
        self.state.set(state);
    }

    /// Does somebody await the future whose task has not acknowledged it yet?
    #[inline]
    pub(crate) fn is_blocking(&self) -> bool {
        self.flags.has(BLOCKING)
    }

    /// The task of the one who awaits the future takes note of it.
    #[inline]
    pub(crate) fn acknowledge(&self) {
        self.flags.put(BLOCKING, false);
    }

    pub(crate) fn forget_traceback_log(&self) {
        self.flags.put(LOG_TRACEBACK, false);
    }

    pub(crate) fn logs_traceback(&self) -> bool {
        self.flags.has(LOG_TRACEBACK)
    }

    pub(crate) fn mark_as_task(&self) {
        self.is_task.set(true);
    }

    pub(crate) fn cancel_message(&self) -> &Field {
        &self.cancel_message
    }

    pub(crate) fn source_traceback(&self) -> Option<Owned> {
        self.source_traceback.get()
    }

    /// Keeps the exception that a cancelled coroutine ended with, for the first who asks for it.
    pub(crate) fn keep_cancelled_error(&self, exception: Owned) {
        self.cancelled_error.set(exception);
    }
}

#[cold]
pub(super) fn not_initialized() -> Raised {
    raise(Builtin::RuntimeError.class(), c"Future object is not initialized.")
}

/// `Future.__init__`, also for the future in a task.
#[inline]
pub(crate) fn initialize(future: &FutureObject, event_loop: Option<&Object>) -> Res<()> {
    if future.is_initialized() {
        initialize_again(future)?;
    }
    // What can be set before the initialisation.
    future.cancel_message.clear();
    future.awaited_by_is_set.set(false);
    future.awaited_by.clear();
    asyncio::prepare();
    let event_loop = match event_loop {
        Some(event_loop) => event_loop.own(),
        None => thread::event_loop()?,
    };
    future.event_loop.set(event_loop.clone());
    note_source(future, &event_loop)
}

/// The same for a future that was made just now, of which nobody else knows; [`asyncio::prepare`] was called before.
#[inline]
pub(crate) fn initialize_new(future: &FutureObject, event_loop: &Object) -> Res<()> {
    future.event_loop.fill(event_loop.own());
    note_source(future, event_loop)
}

/// In debug mode, where it was made.
#[inline]
fn note_source(future: &FutureObject, event_loop: &Object) -> Res<()> {
    if sched::debug_enabled(event_loop)? && !compat::is_finalizing() {
        future.source_traceback.set(asyncio::extract_stack()?);
    }
    Ok(())
}

#[cold]
fn initialize_again(future: &FutureObject) -> Res<()> {
    if versions::INIT_ONCE {
        let text = c"%T object is already initialized";
        return Err(raise_format(Builtin::RuntimeError.class(), text, &[future.as_object()]));
    }
    future.renew(future.as_object());
    future.state.set(State::Pending);
    future.flags.put(LOG_TRACEBACK | BLOCKING, false);
    Ok(())
}
