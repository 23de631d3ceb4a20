//! The memory of a handle, and the types.

use std::cell::Cell;
use std::mem::offset_of;
use std::ops::ControlFlow;

use pyo3::ffi;

use crate::asyncio::{self, EVENTS_GLOBALS};
use crate::sys::error::{Builtin, guard, raise};
use crate::sys::freelist::Freelist;
use crate::sys::gc::{Visited, Visitor, untrack};
use crate::sys::intern::{
    ARGS, CALLBACK, CANCELLED_FLAG, HANDLE_CLASS, LOCK, Name, PRIVATE_CONTEXT, PRIVATE_LOOP, PRIVATE_REPR,
    PRIVATE_SOURCE_TRACEBACK, SCHEDULED_FLAG, THREAD_SAFE_HANDLE_CLASS, TIMER_HANDLE_CLASS, WHEN,
};
use crate::sys::object::{boolean, none};
use crate::sys::typeobj::{self, StaticType};
use crate::sys::{Field, Layout, Object, Owned, Res, compat, containers, context};

use super::super::{Entry, Job, shortcuts};
use super::methods;

/// One struct for all kinds. The `Field`s up to `second` are the slots of the Python base classes, which code of theirs
/// reads and writes at any time; so each holds an object or nothing, and nothing is taken for granted about them.
#[repr(C)]
pub(crate) struct HandleObject {
    head: Object,
    /// `None`, a tuple, or not set if `argument` or `job` say what the arguments are.
    pub(super) arguments: Field,
    /// The callable; the target, if there is a `job`.
    pub(super) callback: Field,
    pub(super) cancelled: Field,
    pub(super) context: Field,
    pub(super) event_loop: Field,
    pub(super) repr: Field,
    pub(super) source_traceback: Field,
    #[cfg(not(Py_3_12))]
    weakrefs: Cell<*mut ffi::PyObject>,
    /// `_scheduled` of a timer, `_lock` of a thread-safe handle.
    pub(super) first: Field,
    /// `_when` of a timer; not set while nobody has asked for it and `when` says it.
    pub(super) second: Field,
    /// A single argument, without a tuple.
    pub(super) argument: Field,
    pub(super) job: Cell<Option<&'static Job>>,
    pub(super) when: Cell<f64>,
}

// SAFETY: repr(C), begins with the head, all cells.
unsafe impl Layout for HandleObject {}

const SLOTS: usize = 7;
/// The size of `asyncio.Handle`'s instances.
const BASE_SIZE: usize = offset_of!(HandleObject, first);

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
    freelist: Freelist,
}

impl Class {
    const fn new() -> Self {
        Class { class: StaticType::new(), freelist: Freelist::new() }
    }
}

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

    /// asyncio's class, and its own slots behind those of `asyncio.Handle`.
    fn base(self) -> (&'static Name, &'static [&'static Name]) {
        static OF_TIMER: [&Name; 2] = [&SCHEDULED_FLAG, &WHEN];
        static OF_THREAD_SAFE: [&Name; 1] = [&LOCK];
        match self {
            Kind::Plain => (&HANDLE_CLASS, &[]),
            Kind::Timer => (&TIMER_HANDLE_CLASS, &OF_TIMER),
            Kind::ThreadSafe => (&THREAD_SAFE_HANDLE_CLASS, &OF_THREAD_SAFE),
        }
    }
}

/// What a handle is to run.
pub(crate) enum Work<'a> {
    /// In the given context, or a copy of the current one.
    Call {
        callback: &'a Object,
        arguments: &'a [&'a Object],
        context: Option<&'a Object>,
    },
    Entry(Entry),
}

/// A handle for the work, not of a timer.
pub(crate) fn new(kind: Kind, event_loop: &Object, debug: bool, work: Work<'_>) -> Res<Owned<HandleObject>> {
    let handle = allocate(kind)?;
    match work {
        Work::Call { callback, arguments, context } => {
            let given = context.filter(|context| !context.is_none());
            let shortcut = if debug || given.is_some() { None } else { shortcuts::recognise(callback, arguments) };
            handle.callback.set(callback.own());
            set_arguments(&handle, arguments)?;
            match (shortcut, given) {
                (Some(job), _) => take_shortcut(&handle, job),
                (None, Some(given)) => handle.context.set(given.own()),
                (None, None) => handle.context.set(context::copy_current()?),
            }
        }
        Work::Entry(entry) => {
            handle.job.set(Some(entry.job));
            handle.callback.set(entry.target);
            drop(handle.argument.replace(entry.argument));
            handle.context.set(entry.context);
        }
    }
    handle.event_loop.set(event_loop.own());
    handle.cancelled.set(boolean(false).own());
    handle.repr.set(none().own());
    handle.source_traceback.set(if debug { asyncio::extract_debug_stack()? } else { none().own() });
    Ok(handle)
}

/// The handle keeps callback and arguments, for who looks at them, and has no context until somebody asks.
fn take_shortcut(handle: &HandleObject, job: &'static Job) {
    handle.job.set(Some(job));
    if let Some(several) = handle.arguments.get() {
        handle.argument.set(several);
    }
}

/// A handle of a timer. `given` is the time as an object, if the caller has one.
pub(crate) fn new_timer(
    event_loop: &Object,
    debug: bool,
    work: Work<'_>,
    when: f64,
    given: Option<&Object>,
) -> Res<Owned<HandleObject>> {
    let handle = new(Kind::Timer, event_loop, debug, work)?;
    handle.when.set(when);
    if let Some(given) = given {
        handle.second.set(given.own());
    }
    handle.first.set(boolean(false).own());
    Ok(handle)
}

fn set_arguments(handle: &HandleObject, arguments: &[&Object]) -> Res<()> {
    match arguments {
        [] => {}
        [argument] => handle.argument.set(argument.own()),
        several => handle.arguments.set(containers::tuple(several)?),
    }
    Ok(())
}

impl HandleObject {
    /// `handle._cancelled`, which anybody may have set to anything.
    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        !self.cancelled.holds(boolean(false))
    }

    /// The time of a timer, in the loop's seconds.
    #[inline]
    pub(crate) fn when(&self) -> f64 {
        self.when.get()
    }

    /// Takes note of whether a timer is in its loop's heap.
    #[inline]
    pub(crate) fn set_scheduled(&self, scheduled: bool) {
        self.first.set(boolean(scheduled).own());
    }

    #[inline]
    pub(crate) fn is_scheduled(&self) -> bool {
        self.first.holds(boolean(true))
    }

    /// Is it a timer's?
    pub(crate) fn is_timer(&self) -> bool {
        TIMER.class.is_exact(&self.head)
    }

    pub(crate) fn is_thread_safe(&self) -> bool {
        THREAD_SAFE.class.is_exact(&self.head)
    }

    /// Forgets what it was to do.
    pub(super) fn forget_work(&self) {
        self.job.set(None);
        self.argument.clear();
        self.callback.set(none().own());
        self.arguments.set(none().own());
    }
}

/// The object as a handle of ours.
#[inline]
pub(crate) fn downcast(object: &Object) -> Option<&HandleObject> {
    [&PLAIN, &TIMER, &THREAD_SAFE].into_iter().find_map(|kind| kind.class.downcast_exact(object))
}

#[inline]
fn allocate(kind: Kind) -> Res<Owned<HandleObject>> {
    let class = kind.class();
    if class.class.as_ptr().is_null() {
        make(kind)?;
    }
    class.freelist.allocate(&class.class)
}

#[cold]
fn make(kind: Kind) -> Res<()> {
    if kind != Kind::Plain && PLAIN.class.as_ptr().is_null() {
        make(Kind::Plain)?;
    }
    let (name, own_slots) = kind.base();
    let unknown = || raise(Builtin::RuntimeError.class(), c"rasyncio does not know the handles of this asyncio");
    let globals = EVENTS_GLOBALS.get()?;
    let Some(base) = containers::dict_get(globals, name.object())?.filter(|base| typeobj::is_type(base)) else {
        return Err(unknown());
    };
    let handle = match kind {
        Kind::Plain => Some(base.clone()),
        _ => containers::dict_get(globals, HANDLE_CLASS.object())?,
    };
    if !handle.is_some_and(|handle| is_as_expected(&handle, &base, own_slots)) {
        return Err(unknown());
    }
    methods::build(kind, &base)
}

/// Are the slots of the two classes where the struct has them? Whoever replaces asyncio's classes by others, or builds a
/// Python that has others, is told.
fn is_as_expected(handle: &Object, class: &Object, own_slots: &[&Name]) -> bool {
    let slots: [&Name; SLOTS] =
        [&ARGS, &CALLBACK, &CANCELLED_FLAG, &PRIVATE_CONTEXT, &PRIVATE_LOOP, &PRIVATE_REPR, &PRIVATE_SOURCE_TRACEBACK];
    let place = |index: usize| offset_of!(HandleObject, arguments) + index * size_of::<Field>();
    let own_place = |index: usize| BASE_SIZE + index * size_of::<Field>();
    typeobj::basic_size(handle) == BASE_SIZE
        && typeobj::basic_size(class) == own_place(own_slots.len())
        && (0..).zip(slots).all(|(i, name)| typeobj::slot_offset(handle, name) == Some(place(i)))
        && (0..).zip(own_slots).all(|(i, name)| typeobj::slot_offset(class, name) == Some(own_place(i)))
}

pub(super) fn visit(handle: &HandleObject, visitor: Visitor) -> Visited {
    visitor.class_of(&handle.head)?;
    for field in fields(handle) {
        visitor.field(field)?;
    }
    ControlFlow::Continue(())
}

fn fields(handle: &HandleObject) -> [&Field; 10] {
    [
        &handle.callback,
        &handle.argument,
        &handle.arguments,
        &handle.context,
        &handle.event_loop,
        &handle.source_traceback,
        &handle.repr,
        &handle.first,
        &handle.second,
        &handle.cancelled,
    ]
}

/// `tp_clear`. What is left is a handle that does nothing.
pub(super) fn clear(handle: &HandleObject) {
    handle.job.set(None);
    fields(handle).into_iter().for_each(Field::clear);
}

pub(super) unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    guard((), || {
        // SAFETY: CPython calls the slot with a dead instance of one of the types, once.
        unsafe {
            let handle = HandleObject::from_ptr(object);
            untrack(handle);
            ffi::PyObject_ClearWeakRefs(object);
            clear(handle);
            let class =
                [&TIMER, &THREAD_SAFE].into_iter().find(|class| class.class.is_exact(&handle.head)).unwrap_or(&PLAIN);
            class.freelist.free(object, &class.class);
        }
    });
}

const _: () = assert!(compat::MANAGED_WEAKREFS == (BASE_SIZE == 16 + SLOTS * 8));
