//! Has a program replaced something of asyncio's that native code stands in for?
//!
//! Python code knows what that would be (`python/rasyncio/_replaced.py`): it is asked about each class of loops, and
//! about what all loops depend on (the clock, the handles, the selector, the modules' names), as often as that has
//! changed ([`watch`]). Where something was replaced, our methods call asyncio's own, and these call the replacement.

use std::cell::Cell;

use crate::sys::attached::Attached;
use crate::sys::error::{self, Builtin, raise};
use crate::sys::{Field, Layout, Object, Res, call, watch};

/// The functions of Python's that answer.
struct Questions {
    /// Would asyncio's own code do for loops of this class what native code does?
    about_class: Field,
    /// Is all that all loops depend on as asyncio was made?
    about_all: Field,
    /// Is all that transports depend on as asyncio was made?
    about_transports: Field,
    /// Is all that TLS depends on as asyncio was made?
    about_tls: Field,
    /// The last answers to these three.
    all_as_made: Cell<bool>,
    transports_as_made: Cell<bool>,
    tls_as_made: Cell<bool>,
}

static QUESTIONS: Attached<Questions> = Attached::new(Questions {
    about_class: Field::unset(),
    about_all: Field::unset(),
    about_transports: Field::unset(),
    about_tls: Field::unset(),
    all_as_made: Cell::new(false),
    transports_as_made: Cell::new(false),
    tls_as_made: Cell::new(false),
});

/// `_ask_about_replacements(about_class, about_all, *watched)`, with the classes and dicts on which the answer to the
/// second question depends.
pub(crate) fn ask_about_replacements(_module: &Object, arguments: &[&Object]) -> Res<()> {
    let [about_class, about_all, watched @ ..] = arguments else {
        return Err(raise(Builtin::TypeError.class(), c"two functions were expected"));
    };
    QUESTIONS.about_class.set((*about_class).own());
    QUESTIONS.about_all.set((*about_all).own());
    watched.iter().try_for_each(|object| watch::watch(object))
}

/// `_ask_about_transports(about_transports, *watched)`
pub(crate) fn ask_about_transports(_module: &Object, arguments: &[&Object]) -> Res<()> {
    let [about_transports, watched @ ..] = arguments else {
        return Err(raise(Builtin::TypeError.class(), c"a function was expected"));
    };
    QUESTIONS.about_transports.set((*about_transports).own());
    watched.iter().try_for_each(|object| watch::watch(object))
}

/// The same about TLS, with what its answer depends on.
pub(crate) fn ask_about_tls(about_tls: &Object, watched: &[&Object]) -> Res<()> {
    QUESTIONS.about_tls.set(about_tls.own());
    watched.iter().try_for_each(|object| watch::watch(object))
}

/// Is all that all loops depend on as asyncio was made?
#[inline]
pub(crate) fn all_as_made() -> bool {
    !watch::attention() || look_at_all()
}

/// Is all that transports depend on as asyncio was made?
#[inline]
pub(crate) fn transports_as_made() -> bool {
    if watch::attention() {
        look_at_all();
    }
    QUESTIONS.transports_as_made.get()
}

/// Is all that TLS depends on as asyncio was made?
#[inline]
pub(crate) fn tls_as_made() -> bool {
    if watch::attention() {
        look_at_all();
    }
    QUESTIONS.tls_as_made.get()
}

#[cold]
fn look_at_all() -> bool {
    if !watch::changed() {
        return QUESTIONS.all_as_made.get();
    }
    // What changes from now on makes the answer void; whoever comes here meanwhile gets the careful one.
    watch::begin();
    QUESTIONS.all_as_made.set(false);
    QUESTIONS.transports_as_made.set(false);
    QUESTIONS.tls_as_made.set(false);
    // Without our loop's Python half, native handles are made for unchanged loops of asyncio's only.
    let as_made = !QUESTIONS.about_all.is_set() || answer(&QUESTIONS.about_all, &[]);
    QUESTIONS.all_as_made.set(as_made);
    let transports = QUESTIONS.about_transports.is_set() && answer(&QUESTIONS.about_transports, &[]);
    QUESTIONS.transports_as_made.set(transports);
    let tls = QUESTIONS.about_tls.is_set() && answer(&QUESTIONS.about_tls, &[]);
    QUESTIONS.tls_as_made.set(tls);
    if !as_made {
        watch::unsettle();
    }
    as_made
}

/// Are loops of this class, which derives from ours, as asyncio's would be?
pub(crate) fn class_as_made(class: &Object) -> bool {
    answer(&QUESTIONS.about_class, &[class])
}

/// An error (at the end of the interpreter, say) counts as no.
fn answer(question: &Field, about: &[&Object]) -> bool {
    let Some(question) = question.get() else { return false };
    call::call(&question, about).and_then(|answer| call::is_true(&answer)).unwrap_or_else(|raised| {
        drop(error::fetch(raised));
        false
    })
}
