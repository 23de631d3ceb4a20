//! The memory of a native coroutine.

use std::cell::Cell;

use crate::sys::error::{Builtin, raise};
use crate::sys::field::Link;
use crate::sys::freelist::FEW;
use crate::sys::instance::Weakrefs;
use crate::sys::life::{Life, object};
use crate::sys::part::zeroed;
use crate::sys::typeobj::StaticType;
use crate::sys::{Field, Layout, Object, Owned, Res};

use super::{Body, shown};

/// How far a coroutine is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum State {
    /// Or taken apart.
    Done = 0,
    Created = 1,
    Suspended = 2,
    Running = 3,
}

zeroed!(State::Done);

/// What a suspended coroutine waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Waits {
    /// The next step, after a bare `yield`.
    Step = 0,
    /// A future of ours.
    Future = 1,
    /// Another coroutine, whose end is an input of the body.
    Coroutine = 2,
    /// The coroutine that it has become.
    Itself = 3,
    /// A future of ours that coroutines await which it awaits, and which were not made (`fold.rs`).
    Folded = 4,
}

zeroed!(Waits::Step);

/// The coroutine is where its code calls the function of that number among the body's `calls`, counted down from here.
pub(super) const CALLS: u16 = u16::MAX;

object! {
    pub(crate) struct Coroutine: TYPE {
        head: Object,
        pub(crate) subject: Link,
        pub(crate) first: Link,
        pub(crate) second: Link,
        pub(super) awaited: Link,
        /// A coroutine of Python's own, for its frame.
        pub(super) shown: Field,
        pub(super) name: Field,
        pub(super) qualname: Field,
        pub(super) body: Cell<Option<&'static Body>>,
        pub(super) state: Cell<State>,
        pub(super) waits: Cell<Waits>,
        /// The code's await of that number is where it is, or was last, from one on; zero before the first; or [`CALLS`].
        pub(super) place: Cell<u16>,
        /// Where the body is.
        pub(crate) stage: Cell<u16>,
        weakrefs: Weakrefs,
    }
}

impl Life for Coroutine {
    #[inline]
    fn needs_finalizer(&self) -> bool {
        self.state.get() != State::Done
    }

    #[inline]
    fn disarm(&self) {
        self.state.set(State::Done);
        if let Some(shown) = self.shown.take() {
            shown::forget(&shown);
        }
    }
}

pub(super) static TYPE: StaticType<Coroutine> = StaticType::keeping(FEW);

/// A coroutine of the body, with what it is called with.
#[inline]
pub(crate) fn new(body: &'static Body, subject: Option<&Object>, first: Option<&Object>) -> Res<Owned> {
    let made = TYPE.allocate()?;
    made.body.set(Some(body));
    made.state.set(State::Created);
    if let Some(subject) = subject {
        made.subject.fill(subject.own());
    }
    if let Some(first) = first {
        made.first.fill(first.own());
    }
    Ok(made.into_object())
}

/// The object as a native coroutine, if it is one.
#[inline]
pub(crate) fn downcast(object: &Object) -> Option<&Coroutine> {
    TYPE.downcast_exact(object)
}

impl Coroutine {
    /// Does it wait, so that nobody else may await it?
    #[inline]
    pub(crate) fn is_suspended(&self) -> bool {
        self.state.get() == State::Suspended
    }

    pub(super) fn body(&self) -> Res<&'static Body> {
        self.body.get().ok_or_else(|| raise(Builtin::SystemError.class(), c"a coroutine that was taken apart"))
    }

    /// The body does what its code does by the call of that number: what that raises comes from there.
    pub(crate) fn now_calls(&self, number: u16) {
        self.place.set(CALLS - number);
    }

    /// The body does what its code does by the await of that number: what that raises comes from there.
    pub(crate) fn now_awaits(&self, number: u16) {
        self.place.set(number + 1);
    }

    /// The same, of a body that names no calls: it removes itself from those who wait.
    pub(crate) fn now_removes(&self) {
        self.now_calls(0);
    }

    /// The body has this exception raised where it is: the traceback names it. It is handled, and may be raised again.
    #[cold]
    pub(crate) fn note_raised(&self, exception: &Object) {
        shown::add_to_traceback(self, exception);
    }

    /// What is kept in the body's first field, which it has set.
    #[inline]
    pub(crate) fn subject(&self) -> Owned {
        self.subject.get_or_none()
    }

    /// The end: nothing is kept. The state is set first, for letting go may run Python code.
    #[inline]
    pub(super) fn finish(&self) {
        self.state.set(State::Done);
        self.waits.set(Waits::Step);
        for field in [&self.subject, &self.first, &self.second, &self.awaited] {
            field.clear();
        }
        if let Some(shown) = self.shown.take() {
            shown::forget(&shown);
        }
    }
}
