//! Is this loop asyncio's own, unchanged?
//!
//! Then `loop.call_soon(callback, *args, context=context)` has one outcome, known beforehand: a handle at the end of
//! `loop._ready`. The questions below are asked on every call, so that a subclass, a mock, a monkeypatch of a class or
//! of an instance, and debug mode all get what they would get from CPython. Answers about classes are kept for as long
//! as the class's version tag says that it has not changed; an instance is asked each time, without making the dict of
//! its attributes ([`Values`]).

use std::cell::Cell;
use std::ffi::CStr;
use std::ptr;

use pyo3::ffi;

use crate::asyncio::{BASE_EVENTS_GLOBALS, EVENTS_GLOBALS};
use crate::handle;
use crate::names::{
    CALL_SOON, CHECK_CLOSED, CLOSED, DEBUG, GET_DEBUG, HANDLE_CLASS, HANDLE_INIT, IS_RUNNING, Name, PRIVATE_CALL_SOON,
    PRIVATE_RUN, READY, THREAD_ID,
};
use crate::sys::attached::Attached;
use crate::sys::deque::{self, Deque};
use crate::sys::instance_values::{NOWHERE, Values};
use crate::sys::object::{boolean, none};
use crate::sys::types::{Identity, peek_identity};
use crate::sys::{Layout, Object, Owned, Res, Type, call, containers, context, error, typeobj};

/// What is known of the loop class seen last, and of `asyncio.events.Handle`.
struct Facts {
    class: Cell<Identity>,
    handle: Cell<Identity>,
    /// The class's scheduling methods are those of `BaseEventLoop`, and handles run as asyncio's do.
    schedules: Cell<bool>,
    /// So is `get_debug`.
    tells_debug: Cell<bool>,
    /// So is `is_running`.
    tells_running: Cell<bool>,
}

impl Facts {
    fn forget(&self) {
        self.schedules.set(false);
        self.tells_debug.set(false);
        self.tells_running.set(false);
    }
}

static FACTS: Attached<Facts> = Attached::new(Facts {
    class: Cell::new(Identity::NOBODY),
    handle: Cell::new(Identity::NOBODY),
    schedules: Cell::new(false),
    tells_debug: Cell::new(false),
    tells_running: Cell::new(false),
});

/// What is asked of a loop's own attributes.
#[derive(Clone, Copy)]
enum Attribute {
    Ready,
    Debug,
    Closed,
    ThreadId,
    CallSoon,
    PrivateCallSoon,
    CheckClosed,
    GetDebug,
    IsRunning,
}

/// Their names, in that order.
static NAMES: [&Name; 9] =
    [&READY, &DEBUG, &CLOSED, &THREAD_ID, &CALL_SOON, &PRIVATE_CALL_SOON, &CHECK_CLOSED, &GET_DEBUG, &IS_RUNNING];

/// Where the instances of the class in `FACTS` keep them.
struct Places {
    /// How many names the class's instances had.
    count: Cell<usize>,
    of: [Cell<usize>; NAMES.len()],
}

static PLACES: Attached<Places> =
    Attached::new(Places { count: Cell::new(NOWHERE), of: [const { Cell::new(NOWHERE) }; NAMES.len()] });

/// The attributes of a loop, of the class in `FACTS`. They are looked up while no Python code can run.
enum Attributes<'a> {
    Values(Values<'a>),
    Dict(Owned),
}

impl<'a> Attributes<'a> {
    #[inline]
    fn of(event_loop: &'a Object) -> Option<Self> {
        let Some(values) = Values::of(event_loop) else {
            return typeobj::instance_dict(event_loop).map(Attributes::Dict);
        };
        if values.count() != PLACES.count.get() {
            for (place, name) in PLACES.of.iter().zip(NAMES) {
                place.set(values.place(name));
            }
            PLACES.count.set(values.count());
        }
        Some(Attributes::Values(values))
    }

    #[inline]
    fn peek(&self, attribute: Attribute) -> *mut ffi::PyObject {
        match self {
            Attributes::Values(values) => values.peek(PLACES.of[attribute as usize].get()),
            Attributes::Dict(dict) => containers::dict_peek(dict, NAMES[attribute as usize]),
        }
    }

    #[inline]
    fn lacks(&self, attribute: Attribute) -> bool {
        self.peek(attribute).is_null()
    }

    /// The attribute, if it is `True` or `False`.
    #[inline]
    fn flag(&self, attribute: Attribute) -> Option<bool> {
        let value = self.peek(attribute);
        let is = |truth: bool| ptr::eq(value, boolean(truth).as_ptr());
        if is(false) { Some(false) } else { is(true).then_some(true) }
    }

    /// Does `call_soon` neither refuse, nor check, nor do anything of this loop's own?
    #[inline]
    fn append_at_once(&self) -> bool {
        self.flag(Attribute::Debug) == Some(false)
            && self.flag(Attribute::Closed) == Some(false)
            && self.lacks(Attribute::CallSoon)
            && self.lacks(Attribute::PrivateCallSoon)
            && self.lacks(Attribute::CheckClosed)
            && self.lacks(Attribute::GetDebug)
    }

    /// `_ready`, if it is an exact deque.
    #[inline]
    fn ready(&self) -> Option<Owned<Deque>> {
        let ready = match self {
            Attributes::Values(values) => values.get(PLACES.of[Attribute::Ready as usize].get()),
            Attributes::Dict(dict) => containers::dict_get_named(dict, &READY),
        };
        ready.and_then(deque::downcast)
    }
}

/// The queue that `call_soon` would append to.
#[inline]
pub(crate) fn ready_queue(event_loop: &Object, entry_context: &Object) -> Option<Owned<Deque>> {
    look_up_class(event_loop);
    if !FACTS.schedules.get() || !handle_class_unchanged() || !context::is_context(entry_context) {
        return None;
    }
    Attributes::of(event_loop).filter(Attributes::append_at_once)?.ready()
}

/// What `get_debug()` would return.
#[inline]
pub(crate) fn debug_flag(event_loop: &Object) -> Option<bool> {
    look_up_class(event_loop);
    if !FACTS.tells_debug.get() {
        return None;
    }
    Attributes::of(event_loop).filter(|own| own.lacks(Attribute::GetDebug))?.flag(Attribute::Debug)
}

/// What `is_running()` would return.
#[inline]
pub(crate) fn running_flag(event_loop: &Object) -> Option<bool> {
    look_up_class(event_loop);
    if !FACTS.tells_running.get() {
        return None;
    }
    let attributes = Attributes::of(event_loop).filter(|own| own.lacks(Attribute::IsRunning))?;
    let thread_id = attributes.peek(Attribute::ThreadId);
    (!thread_id.is_null()).then(|| !ptr::eq(thread_id, none().as_ptr()))
}

/// Brings `FACTS` up to date for the loop's class.
#[inline]
fn look_up_class(event_loop: &Object) {
    if !event_loop.class().identity().is(FACTS.class.get()) {
        find_facts(event_loop);
    }
}

#[inline]
fn handle_class_unchanged() -> bool {
    EVENTS_GLOBALS.find().is_some_and(|globals| peek_identity(globals, &HANDLE_CLASS).is(FACTS.handle.get()))
}

#[cold]
fn find_facts(event_loop: &Object) {
    let class = event_loop.class();
    FACTS.forget();
    // A loop may be made and used before asyncio is imported, or without it; it is no stock loop then.
    if let Err(raised) = try_find_facts(class) {
        drop(error::fetch(raised));
        FACTS.forget();
    }
    PLACES.count.set(NOWHERE);
    // The look-ups above have given a class that had none a version tag.
    FACTS.class.set(class.identity());
}

fn try_find_facts(class: &Type) -> Res<()> {
    if !class.has_generic_getattr() {
        return Ok(());
    }
    let base_events = BASE_EVENTS_GLOBALS.get()?;
    let plain_data = lacks_attribute(class, &DEBUG)? && lacks_attribute(class, &CLOSED)?;
    FACTS.tells_debug.set(plain_data && defines(class, &GET_DEBUG, c"BaseEventLoop.get_debug", base_events)?);
    FACTS.tells_running.set(
        lacks_attribute(class, &THREAD_ID)? && defines(class, &IS_RUNNING, c"BaseEventLoop.is_running", base_events)?,
    );
    let schedules = FACTS.tells_debug.get()
        && lacks_attribute(class, &READY)?
        && defines(class, &CALL_SOON, c"BaseEventLoop.call_soon", base_events)?
        && defines(class, &PRIVATE_CALL_SOON, c"BaseEventLoop._call_soon", base_events)?
        && defines(class, &CHECK_CLOSED, c"BaseEventLoop._check_closed", base_events)?;
    if !schedules {
        return Ok(());
    }
    let events = EVENTS_GLOBALS.get()?;
    let Some(handle) = containers::dict_get(events, HANDLE_CLASS.object())? else {
        return Ok(());
    };
    let Some(handle) = handle.as_type() else {
        return Ok(());
    };
    let handle_is_plain = handle::has_slots_of_handle(handle)
        && defines(handle, &HANDLE_INIT, c"Handle.__init__", events)?
        && defines(handle, &PRIVATE_RUN, c"Handle._run", events)?;
    FACTS.handle.set(handle.identity());
    FACTS.schedules.set(handle_is_plain && handle.identity().is_known());
    Ok(())
}

fn lacks_attribute(class: &Type, name: &Name) -> Res<bool> {
    Ok(call::getattr_optional(class.as_object(), name)?.is_none())
}

/// Is the class's method the function of that qualified name, from the module with these globals?
fn defines(class: &Type, name: &Name, qualified_name: &CStr, globals: &Object) -> Res<bool> {
    match call::getattr_optional(class.as_object(), name)? {
        Some(method) => typeobj::is_function_of(&method, qualified_name, globals),
        None => Ok(false),
    }
}
