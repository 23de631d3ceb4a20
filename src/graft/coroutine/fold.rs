//! Coroutines that are made when somebody looks for them.
//!
//! `readline` awaits `readuntil`, that awaits `_wait_for_data`, and that a future. Where all three are native and nobody looks,
//! the first waits for the future itself, and is *folded*: when the future has a result its body does what all three would
//! do. Whatever else comes unfolds it first: who asks for `cr_await`, throws something into it or closes it, a future that
//! was cancelled or has failed, and a body that leaves something to Python code. Then the others are made as they would be, and
//! all goes on as if they had been there from the start.
//!
//! `awaited` is the future meanwhile, and `waits` is [`Waits::Folded`].

use crate::future::FutureObject;
use crate::sys::iter::Sent;
use crate::sys::{Layout, Object, Owned, Res, panics};

use super::drive::reused;
use super::object::{Coroutine, State, TYPE, Waits};
use super::{Body, Step, downcast};

/// How a body does without the coroutine that it awaits.
pub(crate) struct Fold {
    /// Makes that one, which waits for the future. Runs no Python code.
    pub(crate) unfold: fn(&Coroutine, &FutureObject) -> Res<Owned>,
    /// Goes on, as the future has a result. `None`, and nothing is done, if that one has to.
    pub(crate) woken: fn(&Coroutine, &FutureObject) -> Option<Res<Step>>,
}

/// A coroutine that is awaited by a folded one, and waits.
pub(crate) struct Inner<'a> {
    pub(crate) body: &'static Body,
    pub(crate) subject: &'a Object,
    pub(crate) first: Option<&'a Object>,
    pub(crate) second: Option<&'a Object>,
    /// Its `await` of that number, which is its body's stage, too.
    pub(crate) place: u16,
}

impl Inner<'_> {
    /// Makes it; it waits for the future.
    pub(crate) fn waiting_for(self, future: &FutureObject) -> Res<Owned> {
        self.suspended(Waits::Future, future.as_object().own())
    }

    /// Makes it; it awaits this coroutine.
    pub(crate) fn awaiting(self, coroutine: Owned) -> Res<Owned> {
        self.suspended(Waits::Coroutine, coroutine)
    }

    /// Runs no Python code.
    fn suspended(self, waits: Waits, awaited: Owned) -> Res<Owned> {
        let made = TYPE.allocate().inspect_err(|_| abandon(&awaited))?;
        made.body.set(Some(self.body));
        made.subject.fill(self.subject.own());
        for (field, value) in [(&made.first, self.first), (&made.second, self.second)] {
            if let Some(value) = value {
                field.fill(value.own());
            }
        }
        made.awaited.fill(awaited);
        made.waits.set(waits);
        made.now_awaits(self.place);
        made.stage.set(self.place);
        made.state.set(State::Suspended);
        Ok(made.into_object())
    }
}

/// Coroutines that have never begun, and are of no use: they die without a word.
#[cold]
fn abandon(awaited: &Object) {
    let mut next = Some(awaited.own());
    while let Some(object) = next {
        next = downcast(&object).and_then(|coroutine| {
            coroutine.state.set(State::Done);
            coroutine.awaited.get()
        });
    }
}

impl Coroutine {
    #[inline]
    pub(super) fn is_folded(&self) -> bool {
        (self.state.get(), self.waits.get()) == (State::Suspended, Waits::Folded)
    }

    /// `send`, to a folded one.
    #[inline]
    pub(super) fn send_folded(&self, value: &Object) -> Res<Sent> {
        let body = self.body()?;
        let (Some(fold), Some(awaited)) = (&body.fold, self.awaited.get()) else { return Err(reused()) };
        let future =
            crate::task::as_native_future(&awaited).filter(|future| !future.is_pending() && !future.has_failed());
        if let Some(future) = future {
            self.state.set(State::Running);
            panics::here("body of a folded coroutine");
            if let Some(step) = (fold.woken)(self, future) {
                return self.follow(body, step);
            }
            self.state.set(State::Suspended);
        }
        self.unfold()?;
        self.send(value)
    }

    /// Makes what a folded one awaits.
    #[cold]
    pub(super) fn unfold(&self) -> Res<()> {
        let Some(fold) = &self.body()?.fold else { return Err(reused()) };
        let awaited = self.awaited.get();
        let future = awaited.as_deref().and_then(crate::task::as_native_future).ok_or_else(reused)?;
        let inner = (fold.unfold)(self, future)?;
        self.awaited.set(inner);
        self.waits.set(Waits::Coroutine);
        Ok(())
    }
}
