//! Is this loop one of ours, with nothing replaced that we would pass over?
//!
//! Asked at every call, so that a subclass that overrides `call_soon`, a mock on an instance, a patched class, a faked
//! clock get what they would get from asyncio. The answer about a class is kept for as long as its version tag says that
//! neither it nor a base has changed; what all loops depend on is watched ([`super::replaced`]); an instance is looked
//! at more closely once one of the names was set as an attribute of it or its `__dict__` was handed out, until neither
//! is so any more.

use std::cell::Cell;

use crate::names::{
    ADD_CALLBACK, ADD_READER, ADD_WRITER, CALL_AT, CALL_LATER, CALL_SOON, CHECK_CLOSED, CREATE_FUTURE, CREATE_TASK,
    ENSURE_FD_NO_TRANSPORT, GET_DEBUG, IS_CLOSED, IS_RUNNING, Name, PRIVATE_CALL_SOON, PROCESS_EVENTS,
    PROCESS_SELF_DATA, PUBLIC_REMOVE_READER, PUBLIC_REMOVE_WRITER, READ_FROM_SELF, REMOVE_READER, REMOVE_WRITER,
    RUN_ONCE, SELECTOR, SOCK_ACCEPT, SOCK_CONNECT, SOCK_CONNECT_CB, SOCK_READ_DONE, SOCK_RECV, SOCK_RECV_INTO,
    SOCK_RECVFROM, SOCK_RECVFROM_INTO, SOCK_SENDALL, SOCK_SENDTO, SOCK_WRITE_DONE, TIME, TIMER_HANDLE_CANCELLED,
    WRITE_TO_SELF,
};
use crate::sys::attached::Attached;
use crate::sys::types::Identity;
use crate::sys::{Layout, Object, Owned, Res, containers, typeobj, watch};
#[cfg(Py_3_12)]
use crate::sys::{Type, native_function};

use super::object::{LoopObject, TYPE};
use crate::replaced;

/// What Rust code does itself instead of calling the method of that name, where asyncio's own code calls it.
/// (`python/rasyncio/_replaced.py` gets the list from here.)
static PASSED_OVER: [&Name; 34] = [
    &ADD_CALLBACK,
    &ADD_READER,
    &ADD_WRITER,
    &CALL_AT,
    &CALL_LATER,
    &CALL_SOON,
    &CHECK_CLOSED,
    &ENSURE_FD_NO_TRANSPORT,
    &GET_DEBUG,
    &IS_CLOSED,
    &IS_RUNNING,
    &PRIVATE_CALL_SOON,
    &PROCESS_EVENTS,
    &PROCESS_SELF_DATA,
    &PUBLIC_REMOVE_READER,
    &PUBLIC_REMOVE_WRITER,
    &READ_FROM_SELF,
    &REMOVE_READER,
    &REMOVE_WRITER,
    &RUN_ONCE,
    &SOCK_ACCEPT,
    &SOCK_CONNECT,
    &SOCK_CONNECT_CB,
    &SOCK_READ_DONE,
    &SOCK_RECV,
    &SOCK_RECVFROM,
    &SOCK_RECVFROM_INTO,
    &SOCK_RECV_INTO,
    &SOCK_SENDALL,
    &SOCK_SENDTO,
    &SOCK_WRITE_DONE,
    &TIME,
    &TIMER_HANDLE_CANCELLED,
    &WRITE_TO_SELF,
];

/// `_passed_over()`: their names.
pub(crate) fn passed_over(_module: &Object) -> Res<Owned> {
    let list = containers::new_list()?;
    PASSED_OVER.iter().try_for_each(|name| containers::list_append(&list, name.object()))?;
    Ok(list)
}

/// What is known of a class.
struct Known {
    class: Cell<Identity>,
    is_plain: Cell<bool>,
}

impl Known {
    const fn nothing() -> Self {
        Known { class: Cell::new(Identity::NOBODY), is_plain: Cell::new(false) }
    }

    #[inline]
    fn about(&self, class: Identity) -> Option<bool> {
        self.class.get().is(class).then(|| self.is_plain.get())
    }
}

/// Of the class used last, and of the one before.
static KNOWN: Attached<[Known; 2]> = Attached::new([const { Known::nothing() }; 2]);

/// The loop, if it is one of ours and does what ours do.
#[inline]
#[expect(unsafe_code, reason = "the class was looked at before, and asking again would cost more")]
pub(crate) fn plain(event_loop: &Object) -> Option<&LoopObject> {
    let is_plain = match KNOWN[0].about(event_loop.class().identity()) {
        Some(is_plain) => is_plain,
        None => ask(event_loop),
    };
    // SAFETY: only classes that derive from our type are known as plain, and their instances begin with its layout.
    let core: &LoopObject = if is_plain { unsafe { event_loop.cast() } } else { return None };
    let must_look = core.look_closer.get() || (!watch::TELLS && watch::attention());
    if must_look { look_closer(core) } else { Some(core) }
}

/// What native code that stands in for asyncio's functions does itself instead of calling the loop.
static MAKERS: [&Name; 2] = [&CREATE_FUTURE, &CREATE_TASK];

/// Of the class used last: are both methods of those names ours?
#[cfg(Py_3_12)]
static MAKES: Attached<Known> = Attached::new(Known::nothing());

/// Do `create_future` and `create_task` of this loop, a plain one, do what ours do? Runs no Python code.
#[cfg(Py_3_12)]
#[inline]
pub(crate) fn makes_natively(core: &LoopObject) -> bool {
    let class = core.as_object().class();
    let makes = match MAKES.about(class.identity()) {
        Some(makes) => makes,
        None => look_at_makers(class),
    };
    makes && (!core.may_make_its_own.get() || has_no_maker_of_its_own(core))
}

#[cfg(Py_3_12)]
#[cold]
fn look_at_makers(class: &Type) -> bool {
    let is_ours = |name: &&Name| class.find(name).is_some_and(|method| native_function::is_for(&method, name));
    let makes = MAKERS.iter().all(is_ours);
    MAKES.class.set(class.identity());
    MAKES.is_plain.set(makes);
    makes
}

#[cfg(Py_3_12)]
#[cold]
fn has_no_maker_of_its_own(core: &LoopObject) -> bool {
    let dict = typeobj::existing_dict(core.as_object());
    dict.is_none_or(|dict| MAKERS.iter().all(|name| containers::dict_peek(&dict, name).is_null()))
}

#[cold]
fn ask(event_loop: &Object) -> bool {
    let [first, second] = &*KNOWN;
    let class = event_loop.class().identity();
    let known = second.about(class);
    second.class.set(first.class.get());
    second.is_plain.set(first.is_plain.get());
    // Forgotten, should anything change during the question.
    first.class.set(Identity::NOBODY);
    let (is_plain, holds) = match known {
        Some(is_plain) => (is_plain, true),
        None if !TYPE.is_instance(event_loop) => (false, true),
        None => ask_about_ours(event_loop),
    };
    first.class.set(if holds { event_loop.class().identity() } else { Identity::NOBODY });
    first.is_plain.set(is_plain);
    is_plain
}

/// The answer, and whether it holds until something changes. Without a version tag (it has changed too often to get one),
/// changes of the class would not be noticed.
fn ask_about_ours(event_loop: &Object) -> (bool, bool) {
    watch::on_change(forget);
    let class = event_loop.class();
    class.assign_version();
    let identity = class.identity();
    let is_plain = identity.is_known()
        && class.has_generic_getattr()
        && replaced::all_as_made()
        && replaced::class_as_made(class.as_object());
    let same = event_loop.class().identity().is(identity);
    (is_plain && same, same && !(watch::TELLS && watch::changed()))
}

/// Something has changed: what was known of classes of ours may not be so any more.
fn forget() {
    KNOWN.iter().for_each(|known| known.class.set(Identity::NOBODY));
}

#[cold]
fn look_closer(core: &LoopObject) -> Option<&LoopObject> {
    let is_plain = replaced::all_as_made() && (!core.look_closer.get() || has_nothing_of_its_own(core));
    is_plain.then_some(core)
}

/// Runs no Python code.
fn has_nothing_of_its_own(core: &LoopObject) -> bool {
    if core.selector_was_changed.get() {
        return false;
    }
    let Some(dict) = typeobj::existing_dict(core.as_object()) else {
        core.look_closer.set(false);
        return true;
    };
    if PASSED_OVER.iter().any(|name| !containers::dict_peek(&dict, name).is_null()) {
        return false;
    }
    // Who has the dict may put something into it at any time.
    let held_elsewhere = typeobj::reference_count(&dict) > 2;
    core.look_closer.set(held_elsewhere);
    true
}

/// `tp_setattro`: notes that an attribute of the instance may hide a method.
pub(super) fn set_attribute(core: &LoopObject, name: &Object, value: Option<&Object>) -> Res<()> {
    if MAKERS.iter().any(|maker| maker.equals(name)) {
        core.may_make_its_own.set(true);
    }
    if PASSED_OVER.iter().any(|passed| passed.equals(name)) {
        core.look_closer.set(true);
    } else if SELECTOR.equals(name) {
        note_selector(core, !value.is_some_and(|value| core.own_selector.holds(value)));
    }
    typeobj::set_generic_attribute(core.as_object(), name, value)
}

/// Is the loop's selector another than it was made with, or was something replaced on it? (A selector of Python's is
/// always asked by `self._selector.select()`, whatever it is.)
pub(super) fn note_selector(core: &LoopObject, changed: bool) {
    let changed = changed && core.own_selector.is_set();
    core.selector_was_changed.set(changed);
    if changed {
        core.look_closer.set(true);
    }
}

/// `__dict__`, for whoever wants to look into it or to change it.
pub(super) fn instance_dict(core: &LoopObject) -> Res<Owned> {
    core.look_closer.set(true);
    core.may_make_its_own.set(true);
    typeobj::instance_dict(core.as_object()).ok_or(crate::sys::Raised)
}
