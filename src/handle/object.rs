//! The memory of a handle, and the types.

use std::cell::Cell;
use std::mem::offset_of;
use std::ops::ControlFlow;
use std::ptr;

use pyo3::ffi;

use crate::names::{
    ARGS, CALLBACK, CANCELLED_FLAG, HANDLE_CLASS, LOCK, Name, PRIVATE_CONTEXT, PRIVATE_LOOP, PRIVATE_REPR,
    PRIVATE_SOURCE_TRACEBACK, SCHEDULED_FLAG, THREAD_SAFE_HANDLE_CLASS, TIMER_HANDLE_CLASS, WHEN,
};
use crate::sys::error::guard_dealloc;
use crate::sys::freelist::Freelist;
use crate::sys::gc::{Visited, Visitor, untrack};
use crate::sys::instance::clear_weakrefs;
use crate::sys::object::{boolean, none};
use crate::sys::trash;
use crate::sys::typeobj::{self, StaticType};
use crate::sys::{Field, Layout, Object, Owned, Res, compat, containers};

use crate::job::Job;

/// What all kinds begin with: the slots of `asyncio.Handle`, which Python code reads and writes at any time; so each
/// holds an object or nothing, and nothing is taken for granted about them. Behind it is what the kind adds.
#[repr(C)]
pub(crate) struct HandleObject {
    head: Object,
    /// The tuple of arguments, or not set if there are none. With a `job`, its argument.
    pub(super) arguments: Field,
    /// The callable. With a `job`, its target.
    pub(super) callback: Field,
    pub(super) cancelled: Field,
    /// Not set if the work needs none, or an empty one.
    pub(super) context: Field,
    pub(super) event_loop: Field,
    pub(super) repr: Field,
    pub(super) source_traceback: Field,
    #[cfg(not(Py_3_12))]
    weakrefs: Cell<*mut ffi::PyObject>,
}

// SAFETY: repr(C), begins with the head, all cells.
#[expect(unsafe_code, reason = "a layout")]
unsafe impl Layout for HandleObject {
    fn keeps(place: usize) -> bool {
        (WHEN_OFFSET..WHEN_OFFSET + size_of::<f64>()).contains(&place)
    }

    fn fits(object: &Object) -> bool {
        [&PLAIN, &TIMER, &THREAD_SAFE].iter().any(|kind| kind.class.is_exact(object))
    }
}

#[repr(C)]
struct PlainObject {
    base: HandleObject,
    job: Cell<Option<&'static Job>>,
}

#[repr(C)]
pub(super) struct TimerObject {
    base: HandleObject,
    /// `_scheduled`
    pub(super) scheduled: Field,
    /// `_when`, if somebody has given or asked for it as an object.
    pub(super) when_object: Field,
    job: Cell<Option<&'static Job>>,
    /// Seconds on the loop's clock.
    pub(super) when: Cell<f64>,
}

#[repr(C)]
struct ThreadSafeObject {
    base: HandleObject,
    /// `_lock`; never set by us, see [`super::thread_safe`].
    lock: Field,
    job: Cell<Option<&'static Job>>,
}

const WHEN_OFFSET: usize = offset_of!(TimerObject, when);
const SLOTS: usize = 7;

/// Which of asyncio's classes a handle is one of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Timer,
    ThreadSafe,
}

/// A type, and memory of its dead objects.
pub(super) struct Class {
    pub(super) class: StaticType<HandleObject>,
    pub(super) freelist: Freelist,
}

impl Class {
    const fn new() -> Self {
        Class { class: StaticType::new(), freelist: Freelist::new(KEPT) }
    }
}

/// How many dead handles of each kind are kept, until the loop has time to free those that it did not need. Another
/// thread can hand in half as many before it has to give up the GIL.
const KEPT: usize = 1 << 16;

static PLAIN: Class = Class::new();
static TIMER: Class = Class::new();
static THREAD_SAFE: Class = Class::new();

impl Kind {
    pub(super) fn class(self) -> &'static Class {
        match self {
            Kind::Plain => &PLAIN,
            Kind::Timer => &TIMER,
            Kind::ThreadSafe => &THREAD_SAFE,
        }
    }

    /// The size of our instances.
    pub(super) fn size(self) -> usize {
        match self {
            Kind::Plain => size_of::<PlainObject>(),
            Kind::Timer => size_of::<TimerObject>(),
            Kind::ThreadSafe => size_of::<ThreadSafeObject>(),
        }
    }

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
    #[expect(unsafe_code, reason = "one Rust type stands for three of Python's")]
    pub(super) fn as_timer(&self) -> Option<&TimerObject> {
        // SAFETY: instances of the type have the layout.
        TIMER.class.is_exact(&self.head).then(|| unsafe { &*ptr::from_ref(self).cast() })
    }

    #[inline]
    #[expect(unsafe_code, reason = "one Rust type stands for three of Python's")]
    fn as_thread_safe(&self) -> Option<&ThreadSafeObject> {
        // SAFETY: instances of the type have the layout.
        THREAD_SAFE.class.is_exact(&self.head).then(|| unsafe { &*ptr::from_ref(self).cast() })
    }

    /// What to do, if not just to call.
    #[inline]
    #[expect(unsafe_code, reason = "one Rust type stands for three of Python's")]
    pub(super) fn job(&self) -> &Cell<Option<&'static Job>> {
        if let Some(timer) = self.as_timer() {
            &timer.job
        } else if let Some(thread_safe) = self.as_thread_safe() {
            &thread_safe.job
        } else {
            // SAFETY: of the third type then, whose instances have the layout.
            unsafe { &(*ptr::from_ref(self).cast::<PlainObject>()).job }
        }
    }

    /// Could anyone tell in which context the work is done?
    pub(super) fn needs_context(&self) -> bool {
        self.job().get().is_none_or(|job| job.needs_context)
    }

    /// `handle._cancelled`, which anybody may have set to anything.
    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        !self.cancelled.holds(boolean(false))
    }

    /// The time of a timer, in the loop's seconds.
    #[inline]
    pub(crate) fn when(&self) -> f64 {
        self.as_timer().map_or(f64::NAN, |timer| timer.when.get())
    }

    /// The same as an object.
    pub(super) fn when_object(&self) -> Res<Owned> {
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

    pub(super) fn is_timer(&self) -> bool {
        self.as_timer().is_some()
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
    [&PLAIN, &TIMER, &THREAD_SAFE].into_iter().find_map(|kind| kind.class.downcast_exact(object))
}

/// Frees memory of dead handles that was of no use since this was called last.
pub(crate) fn trim_memory() {
    for kind in [&PLAIN, &TIMER, &THREAD_SAFE] {
        kind.freelist.trim();
    }
}

/// Is it `asyncio.Handle` itself, with its slots where the struct has them? Whoever builds a Python that has others is
/// told.
pub(crate) fn has_slots_of_handle(class: &Object) -> bool {
    let slots: [&Name; SLOTS] =
        [&ARGS, &CALLBACK, &CANCELLED_FLAG, &PRIVATE_CONTEXT, &PRIVATE_LOOP, &PRIVATE_REPR, &PRIVATE_SOURCE_TRACEBACK];
    let place = |index: usize| offset_of!(HandleObject, arguments) + index * size_of::<Field>();
    typeobj::basic_size(class) == size_of::<HandleObject>()
        && (0..).zip(slots).all(|(i, name)| typeobj::slot_offset(class, name) == Some(place(i)))
}

/// Is it a subclass of `asyncio.Handle` with these slots of its own behind?
pub(super) fn has_own_slots(class: &Object, own_slots: &[&Name]) -> bool {
    let place = |index: usize| size_of::<HandleObject>() + index * size_of::<Field>();
    typeobj::basic_size(class) == place(own_slots.len())
        && (0..).zip(own_slots).all(|(i, name)| typeobj::slot_offset(class, name) == Some(place(i)))
        && typeobj::ancestors(class).iter().any(|base| has_slots_of_handle(base))
}

pub(super) fn visit(handle: &HandleObject, visitor: Visitor) -> Visited {
    visitor.class_of(&handle.head)?;
    for field in base_fields(handle).into_iter().chain(own_fields(handle)) {
        visitor.field(field)?;
    }
    ControlFlow::Continue(())
}

fn base_fields(handle: &HandleObject) -> [&Field; 7] {
    [
        &handle.callback,
        &handle.arguments,
        &handle.context,
        &handle.event_loop,
        &handle.source_traceback,
        &handle.repr,
        &handle.cancelled,
    ]
}

fn own_fields(handle: &HandleObject) -> impl Iterator<Item = &Field> {
    let of_timer = handle.as_timer().into_iter().flat_map(|timer| [&timer.scheduled, &timer.when_object]);
    of_timer.chain(handle.as_thread_safe().map(|thread_safe| &thread_safe.lock))
}

/// `tp_clear`. What is left is a handle that does nothing.
pub(super) fn clear(handle: &HandleObject) {
    handle.job().set(None);
    base_fields(handle).into_iter().for_each(Field::clear);
    own_fields(handle).for_each(Field::clear);
}

#[expect(unsafe_code, reason = "a slot")]
pub(super) unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    let body = move || {
        // SAFETY: CPython calls the slot with a dead instance of one of the types, once.
        unsafe {
            let handle = HandleObject::from_ptr(object);
            untrack(handle);
            clear_weakrefs(handle);
            trash::clear(&handle.callback);
            trash::clear(&handle.arguments);
            clear(handle);
            let class =
                [&TIMER, &THREAD_SAFE].into_iter().find(|class| class.class.is_exact(&handle.head)).unwrap_or(&PLAIN);
            class.freelist.free(object, &class.class);
        }
    };
    // SAFETY: the deallocator's own object.
    unsafe { guard_dealloc("HandleObject::dealloc", object, body) }
}

const _: () = assert!(compat::MANAGED_WEAKREFS == (size_of::<HandleObject>() == 16 + SLOTS * 8));
