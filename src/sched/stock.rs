//! Is this loop asyncio's own, unchanged?
//!
//! Then `loop.call_soon(callback, *args, context=context)` has one outcome, known beforehand: a handle at the end of
//! `loop._ready`. The questions below are asked on every call, so that a subclass, a mock, a monkeypatch of a class or
//! of an instance, and debug mode all get what they would get from CPython. Answers about classes are kept for as long
//! as the class's version tag says that it has not changed; answers about an instance, for as long as a watcher of its
//! dict has seen no change ([`dict_watch`]).

use std::cell::Cell;
use std::ffi::CStr;
use std::ptr;

use pyo3::ffi;

use super::handle;
use crate::asyncio::{BASE_EVENTS_GLOBALS, EVENTS_GLOBALS};
use crate::sys::attached::Attached;
use crate::sys::intern::{
    CALL_SOON, CHECK_CLOSED, CLOSED, DEBUG, GET_DEBUG, HANDLE_CLASS, HANDLE_INIT, IS_RUNNING, Name, PRIVATE_CALL_SOON,
    PRIVATE_RUN, READY, THREAD_ID,
};
use crate::sys::object::{boolean, none};
use crate::sys::{Layout, Object, Owned, Res, call, containers, context, deque, dict_watch, error, typeobj};

/// What is known of the loop class seen last, and of `asyncio.events.Handle`.
struct Facts {
    class: Cell<*mut ffi::PyTypeObject>,
    class_version: Cell<u32>,
    handle: Cell<*mut ffi::PyObject>,
    handle_version: Cell<u32>,
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
    class: Cell::new(ptr::null_mut()),
    class_version: Cell::new(0),
    handle: Cell::new(ptr::null_mut()),
    handle_version: Cell::new(0),
    schedules: Cell::new(false),
    tells_debug: Cell::new(false),
    tells_running: Cell::new(false),
});

/// What the attributes of the loop looked at last say. Good as long as they have not changed.
struct Attributes {
    /// `call_soon` would append to `_ready`, an exact deque.
    appends: Cell<bool>,
    debug: Cell<Option<bool>>,
    running: Cell<Option<bool>>,
}

static ATTRIBUTES: Attached<Attributes> =
    Attached::new(Attributes { appends: Cell::new(false), debug: Cell::new(None), running: Cell::new(None) });

/// The queue that `call_soon` would append to.
#[inline]
pub(crate) fn ready_queue(event_loop: &Object, entry_context: &Object) -> Option<Owned> {
    let attributes = look_up(event_loop)?;
    let appends = FACTS.schedules.get() && ATTRIBUTES.appends.get() && handle_class_unchanged();
    if appends && context::is_context(entry_context) {
        containers::dict_get_named(&attributes, &READY).filter(|ready| deque::is_deque(ready))
    } else {
        None
    }
}

/// What `get_debug()` would return.
#[inline]
pub(crate) fn debug_flag(event_loop: &Object) -> Option<bool> {
    look_up(event_loop)?;
    if FACTS.tells_debug.get() { ATTRIBUTES.debug.get() } else { None }
}

/// What `is_running()` would return.
#[inline]
pub(crate) fn running_flag(event_loop: &Object) -> Option<bool> {
    look_up(event_loop)?;
    if FACTS.tells_running.get() { ATTRIBUTES.running.get() } else { None }
}

/// Brings `FACTS` and `ATTRIBUTES` up to date for the loop, and returns its attributes' dict; `None` if it is no stock
/// loop at all.
#[inline]
fn look_up(event_loop: &Object) -> Option<Owned> {
    look_up_class(event_loop);
    if !FACTS.tells_debug.get() {
        return None;
    }
    let dict = typeobj::instance_dict(event_loop)?;
    if !dict_watch::is_unchanged(&dict) {
        read_attributes(&dict);
    }
    Some(dict)
}

fn read_attributes(dict: &Object) {
    let peek = |name: &Name| containers::dict_peek(dict, name);
    let lacks = |name: &Name| peek(name).is_null();
    let flag = |name: &Name| {
        let value = peek(name);
        let is = |truth: bool| ptr::eq(value, boolean(truth).as_ptr());
        if is(false) { Some(false) } else { is(true).then_some(true) }
    };
    ATTRIBUTES.debug.set(if lacks(&GET_DEBUG) { flag(&DEBUG) } else { None });
    let thread_id = peek(&THREAD_ID);
    let tells_running = lacks(&IS_RUNNING) && !thread_id.is_null();
    ATTRIBUTES.running.set(tells_running.then(|| !ptr::eq(thread_id, none().as_ptr())));
    let plain = ATTRIBUTES.debug.get() == Some(false)
        && flag(&CLOSED) == Some(false)
        && lacks(&CALL_SOON)
        && lacks(&PRIVATE_CALL_SOON)
        && lacks(&CHECK_CLOSED);
    let ready = containers::dict_get_named(dict, &READY);
    ATTRIBUTES.appends.set(plain && ready.is_some_and(|ready| deque::is_deque(&ready)));
    dict_watch::remember(dict);
}

/// Brings `FACTS` up to date for the loop's class.
#[inline]
fn look_up_class(event_loop: &Object) {
    let class = event_loop.type_ptr();
    let version = typeobj::version(class);
    if version == 0 || version != FACTS.class_version.get() || !ptr::eq(class, FACTS.class.get()) {
        find_facts(event_loop);
    }
}

#[inline]
fn handle_class_unchanged() -> bool {
    let handle = FACTS.handle.get();
    EVENTS_GLOBALS.get().is_ok_and(|globals| ptr::eq(containers::dict_peek(globals, &HANDLE_CLASS), handle))
        && typeobj::version(handle.cast()) == FACTS.handle_version.get()
}

#[cold]
fn find_facts(event_loop: &Object) {
    let class = typeobj::class_of(event_loop);
    FACTS.forget();
    // A loop may be made and used before asyncio is imported, or without it; it is no stock loop then.
    if let Err(raised) = try_find_facts(class) {
        drop(error::fetch(raised));
        FACTS.forget();
    }
    // The look-ups above have given a class that had none a version tag.
    FACTS.class.set(class.as_ptr().cast());
    FACTS.class_version.set(typeobj::version(class.as_ptr().cast()));
}

fn try_find_facts(class: &Object) -> Res<()> {
    if !typeobj::has_generic_getattr(class) {
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
    let handle_is_plain = typeobj::is_type(&handle)
        && handle::has_slots_of_handle(&handle)
        && defines(&handle, &HANDLE_INIT, c"Handle.__init__", events)?
        && defines(&handle, &PRIVATE_RUN, c"Handle._run", events)?;
    // The class is compared by address only, and while it is in asyncio.events's namespace, which keeps it alive.
    FACTS.handle.set(handle.as_ptr());
    FACTS.handle_version.set(typeobj::version(handle.as_ptr().cast()));
    FACTS.schedules.set(handle_is_plain && FACTS.handle_version.get() != 0);
    Ok(())
}

fn lacks_attribute(class: &Object, name: &Name) -> Res<bool> {
    Ok(call::getattr_optional(class, name)?.is_none())
}

/// Is the class's method the function of that qualified name, from the module with these globals?
fn defines(class: &Object, name: &Name, qualified_name: &CStr, globals: &Object) -> Res<bool> {
    match call::getattr_optional(class, name)? {
        Some(method) => typeobj::is_function_of(&method, qualified_name, globals),
        None => Ok(false),
    }
}
