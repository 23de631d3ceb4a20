//! The memory of a handle, and the types.
//!
//! Who changes a field, and when (but for the collector, which clears all of them): `new.rs` sets all of them, once, and
//! Python code may set any of asyncio's at any time, through asyncio's own descriptors or ours (`show.rs`). Besides,
//!
//! * `cancelled`, `repr`, and `callback`, `arguments`, `job`, which are forgotten then: `cancel.rs`.
//! * `context`: `run.rs`, for the time of a run, if the handle has none of its own; `show.rs`, for whoever looks.
//! * `scheduled`: the loop's timers, when they take the handle in and let it out.
//! * `when`, `when_object`: `show.rs`; the object is made when somebody asks for it.

use std::cell::Cell;
use std::mem::offset_of;

use crate::names::{
    ARGS, CALLBACK, CANCELLED_FLAG, HANDLE_CLASS, LOCK, Name, PRIVATE_CONTEXT, PRIVATE_LOOP, PRIVATE_REPR,
    PRIVATE_SOURCE_TRACEBACK, SCHEDULED_FLAG, THREAD_SAFE_HANDLE_CLASS, TIMER_HANDLE_CLASS, WHEN,
};
use crate::sys::field::Link;
use crate::sys::instance::Weakrefs;
use crate::sys::life::{Life, object};
use crate::sys::object::{boolean, none};
use crate::sys::part::Kept;
use crate::sys::typeobj::{StaticType, bound_object};
use crate::sys::{Field, Layout, Object, Owned, Res, Type, compat, containers};

use crate::job::Job;

object! {
    /// What all kinds begin with: the slots of `asyncio.Handle`, which Python code reads and writes at any time; so each
    /// holds an object or nothing, and nothing is taken for granted about them. Behind it is what the kind adds.
    pub(crate) struct HandleObject: any of [PLAIN, TIMER, THREAD_SAFE] {
        head: Object,
        /// The tuple of arguments, or not set if there are none. With a `job`, its argument.
        pub(super) arguments: Link,
        /// The callable. With a `job`, its target.
        pub(super) callback: Link,
        pub(super) cancelled: Field,
        /// Not set if the work needs none, or an empty one.
        pub(super) context: Field,
        pub(super) event_loop: Field,
        pub(super) repr: Field,
        pub(super) source_traceback: Field,
        weakrefs: Weakrefs,
    }
}

object! {
    pub(super) struct PlainHandle: PLAIN {
        base: HandleObject,
        job: Cell<Option<&'static Job>>,
    }
}

object! {
    pub(super) struct TimerHandle: TIMER {
        base: HandleObject,
        /// `_scheduled`
        pub(super) scheduled: Field,
        /// `_when`, if somebody has given or asked for it as an object.
        pub(super) when_object: Field,
        job: Cell<Option<&'static Job>>,
        /// Seconds on the loop's clock.
        pub(super) when: Kept<f64>,
    }
}

object! {
    pub(super) struct ThreadSafeHandle: THREAD_SAFE {
        base: HandleObject,
        /// `_lock`; never set by us, see [`super::thread_safe`].
        lock: Field,
        job: Cell<Option<&'static Job>>,
    }
}

impl Life for PlainHandle {
    #[inline]
    fn disarm(&self) {
        disarm(&self.base, &self.job);
    }
}

impl Life for TimerHandle {
    #[inline]
    fn disarm(&self) {
        disarm(&self.base, &self.job);
    }
}

impl Life for ThreadSafeHandle {
    #[inline]
    fn disarm(&self) {
        disarm(&self.base, &self.job);
    }
}

/// What is left is a handle that does nothing: a callable is not called without its arguments.
#[inline]
fn disarm(handle: &HandleObject, job: &Cell<Option<&'static Job>>) {
    job.set(None);
    handle.callback.clear();
}

const SLOTS: usize = 7;

/// Which of asyncio's classes a handle is one of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Timer,
    ThreadSafe,
}

/// How many dead handles of each kind are kept, until the loop has time to free those that it did not need. Another
/// thread can hand in half as many before it has to give up the GIL.
const KEPT: usize = 1 << 16;

pub(super) static PLAIN: StaticType<PlainHandle> = StaticType::keeping(KEPT);
pub(super) static TIMER: StaticType<TimerHandle> = StaticType::keeping(KEPT);
pub(super) static THREAD_SAFE: StaticType<ThreadSafeHandle> = StaticType::keeping(KEPT);

impl Kind {
    /// asyncio's class, and its own slots behind those of `asyncio.Handle`.
    pub(super) fn base(self) -> (&'static Name, &'static [&'static Name]) {
        static OF_TIMER: [&Name; 2] = [&SCHEDULED_FLAG, &WHEN];
        static OF_THREAD_SAFE: [&Name; 1] = [&LOCK];
        match self {
            Kind::Plain => (&HANDLE_CLASS, &[]),
            Kind::Timer => (&TIMER_HANDLE_CLASS, &OF_TIMER),
            Kind::ThreadSafe => (&THREAD_SAFE_HANDLE_CLASS, &OF_THREAD_SAFE),
        }
    }
}

impl HandleObject {
    #[inline]
    pub(super) fn as_timer(&self) -> Option<&TimerHandle> {
        TIMER.downcast_exact(&self.head)
    }

    #[inline]
    fn as_thread_safe(&self) -> Option<&ThreadSafeHandle> {
        THREAD_SAFE.downcast_exact(&self.head)
    }

    /// What to do, if not just to call.
    #[inline]
    pub(super) fn job(&self) -> &Cell<Option<&'static Job>> {
        if let Some(plain) = PLAIN.downcast_exact(&self.head) {
            &plain.job
        } else if let Some(timer) = self.as_timer() {
            &timer.job
        } else {
            &self.as_thread_safe().expect("a handle of one of the three kinds").job
        }
    }

    /// Does the work run Python code, which can tell in which context it does?
    pub(super) fn needs_context(&self) -> bool {
        self.job().get().is_none_or(|job| job.needs_context)
    }

    /// `handle._cancelled`, which anybody may have set to anything.
    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        !self.cancelled.holds(boolean(false))
    }

    /// Is that the target of what it runs, or what the method belongs to that was shown in its place?
    pub(crate) fn runs(&self, target: &Object) -> bool {
        self.callback.get().is_some_and(|it| it.is(target) || bound_object(&it).is_some_and(|owner| owner.is(target)))
    }

    /// What it runs: a callback, or the target of a job.
    pub(crate) fn target(&self) -> Option<Owned> {
        self.callback.get()
    }

    /// The time of a timer, in the loop's seconds.
    #[inline]
    pub(crate) fn when(&self) -> f64 {
        self.as_timer().map_or(f64::NAN, |timer| timer.when.get())
    }

    /// The same as an object.
    pub(crate) fn when_object(&self) -> Res<Owned> {
        let Some(timer) = self.as_timer() else {
            return Ok(none().own());
        };
        if let Some(given) = timer.when_object.get() {
            return Ok(given);
        }
        let when = containers::float(timer.when.get())?;
        timer.when_object.set(when.clone());
        Ok(when)
    }

    pub(super) fn set_when(&self, value: &Object) -> Res<()> {
        let when = containers::float_value(value)?;
        if let Some(timer) = self.as_timer() {
            timer.when.set(when);
            timer.when_object.set(value.own());
        }
        Ok(())
    }

    /// Takes note of whether a timer is in its loop's heap.
    #[inline]
    pub(crate) fn set_scheduled(&self, scheduled: bool) {
        if let Some(timer) = self.as_timer() {
            timer.scheduled.set(boolean(scheduled).own());
        }
    }

    #[inline]
    pub(crate) fn is_scheduled(&self) -> bool {
        self.as_timer().is_some_and(|timer| timer.scheduled.holds(boolean(true)))
    }

    pub(crate) fn is_timer(&self) -> bool {
        self.as_timer().is_some()
    }

    /// Is it one that has a lock in asyncio, but not yet in ours?
    pub(super) fn lacks_lock(&self) -> bool {
        self.as_thread_safe().is_some_and(|thread_safe| !thread_safe.lock.is_set())
    }

    #[inline]
    pub(super) fn is_thread_safe(&self) -> bool {
        self.as_thread_safe().is_some()
    }

    /// Forgets what it was to do.
    pub(super) fn forget_work(&self) {
        self.job().set(None);
        self.callback.set(none().own());
        self.arguments.set(none().own());
    }
}

/// The object as a handle of ours.
#[inline]
pub(crate) fn downcast(object: &Object) -> Option<&HandleObject> {
    let plain = PLAIN.downcast_exact(object).map(|handle| &handle.base);
    let timer = || TIMER.downcast_exact(object).map(|handle| &handle.base);
    let thread_safe = || THREAD_SAFE.downcast_exact(object).map(|handle| &handle.base);
    plain.or_else(timer).or_else(thread_safe)
}

/// Frees memory of dead handles that was of no use since this was called last.
pub(crate) fn trim_memory() {
    PLAIN.trim();
    TIMER.trim();
    THREAD_SAFE.trim();
}

/// Is it `asyncio.Handle` itself, with its slots where the struct has them? Whoever builds a Python that has others is
/// told.
pub(crate) fn has_slots_of_handle(class: &Type) -> bool {
    let slots: [&Name; SLOTS] =
        [&ARGS, &CALLBACK, &CANCELLED_FLAG, &PRIVATE_CONTEXT, &PRIVATE_LOOP, &PRIVATE_REPR, &PRIVATE_SOURCE_TRACEBACK];
    let place = |index: usize| offset_of!(HandleObject, arguments) + index * size_of::<Field>();
    class.basic_size() == size_of::<HandleObject>()
        && (0..).zip(slots).all(|(i, name)| class.slot_offset(name) == Some(place(i)))
}

/// Is it a subclass of `asyncio.Handle` with these slots of its own behind?
pub(super) fn has_own_slots(class: &Type, own_slots: &[&Name]) -> bool {
    let place = |index: usize| size_of::<HandleObject>() + index * size_of::<Field>();
    class.basic_size() == place(own_slots.len())
        && (0..).zip(own_slots).all(|(i, name)| class.slot_offset(name) == Some(place(i)))
        && class.ancestors().iter().any(|base| has_slots_of_handle(base))
}

const _: () = assert!(compat::MANAGED_WEAKREFS == (size_of::<HandleObject>() == 16 + SLOTS * 8));
