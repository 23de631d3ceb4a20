//! Is this loop one of ours, with nothing overridden that we would pass over?
//!
//! Asked at every call, so that a subclass that overrides `call_soon`, a mock on an instance or a patched class get
//! what they would get from asyncio. The answer about a class is kept for as long as its version tag says that neither
//! it nor a base has changed; about an instance, setting one of the names as an attribute is remembered for good. (What
//! is put into `loop.__dict__` directly is not noticed.)

use std::cell::Cell;
use std::ptr;

use crate::names::{
    ADD_CALLBACK, CALL_AT, CALL_LATER, CALL_SOON, GET_DEBUG, IS_RUNNING, Name, RUN_ONCE, TIME, TIMER_HANDLE_CANCELLED,
};
use crate::sys::attached::Attached;
use crate::sys::error;
use crate::sys::types::Identity;
use crate::sys::{Layout, Object, Res, Type, call, typeobj};

use super::object::{LoopObject, TYPE};

/// What Rust code does itself instead of calling the method of that name.
static PASSED_OVER: [&Name; 9] = [
    &CALL_SOON,
    &CALL_AT,
    &CALL_LATER,
    &GET_DEBUG,
    &IS_RUNNING,
    &RUN_ONCE,
    &TIME,
    &TIMER_HANDLE_CANCELLED,
    &ADD_CALLBACK,
];

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
    (!core.shadowed.get()).then_some(core)
}

#[cold]
fn ask(event_loop: &Object) -> bool {
    let [first, second] = &*KNOWN;
    // Taken before the look-ups, during which Python code may change the class.
    let class = event_loop.class().identity();
    let known = second.about(class);
    second.class.set(first.class.get());
    second.is_plain.set(first.is_plain.get());
    let is_plain = match known {
        Some(is_plain) => is_plain,
        None if !TYPE.is_instance(event_loop) => false,
        None => overrides_nothing(event_loop.class()).unwrap_or_else(|raised| {
            drop(error::fetch(raised));
            false
        }),
    };
    first.class.set(class);
    first.is_plain.set(is_plain);
    is_plain
}

fn overrides_nothing(class: &Type) -> Res<bool> {
    if !class.has_generic_getattr() {
        return Ok(false);
    }
    let ours = TYPE.as_object();
    for name in PASSED_OVER {
        let (found, native) = (call::getattr_optional(class.as_object(), name)?, call::getattr(ours, name)?);
        let function = found.as_deref().and_then(typeobj::method_function);
        let same = match (function, typeobj::method_function(&native)) {
            (Some(function), Some(native)) => ptr::fn_addr_eq(function, native),
            _ => false,
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `tp_setattro`: notes that an attribute of the instance hides a method.
pub(super) fn set_attribute(core: &LoopObject, name: &Object, value: Option<&Object>) -> Res<()> {
    if PASSED_OVER.iter().any(|passed| passed.equals(name)) {
        core.shadowed.set(true);
    }
    typeobj::set_generic_attribute(core.as_object(), name, value)
}
