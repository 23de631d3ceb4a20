//! Driving a native coroutine: one step of its body after the other, until it waits or ends.
//!
//! What it awaits may be native as well, and await a third, and so on: each is [`one_deeper`].

use crate::future;
use crate::names::CLOSE;
use crate::sys::error::{self, Builtin, fetch, raise, restore};
use crate::sys::iter::{self, Sent, send_none};
use crate::sys::object::none;
use crate::sys::recursion::one_deeper;
use crate::sys::{Layout, Object, Owned, Raised, Res, call, panics};

use super::object::{Coroutine, State, Waits};
use super::{Body, Input, Step, shown};

/// What awaiting something came to: the coroutine is suspended, or its body goes on.
enum Outcome {
    Suspended(Owned),
    /// The coroutine that it has become has ended, and so has it.
    Ended(Owned),
    Input(Input),
}

impl Coroutine {
    /// `send(value)`
    #[inline]
    pub(super) fn send(&self, value: &Object) -> Res<Sent> {
        match self.state.get() {
            State::Created if value.is_none() => self.run(Input::Start),
            State::Created => {
                Err(raise(Builtin::TypeError.class(), c"can't send non-None value to a just-started coroutine"))
            }
            State::Suspended => {
                let waits = self.waits.get();
                match waits {
                    Waits::Step => return self.run(Input::Value(none().own())),
                    Waits::Folded => return self.send_folded(value),
                    _ => {}
                }
                let Some(awaited) = self.awaited.get() else { return Err(reused()) };
                self.state.set(State::Running);
                let sent = match waits {
                    Waits::Future => advance(&awaited),
                    _ if value.is_none() => one_deeper(|| send_none(&awaited)),
                    _ => one_deeper(|| iter::send(&awaited, value)),
                };
                self.go_on(waits, sent)
            }
            State::Running => Err(raise(Builtin::ValueError.class(), c"coroutine already executing")),
            State::Done => Err(reused()),
        }
    }

    /// `throw(exception)`
    pub(super) fn throw(&self, exception: Owned) -> Res<Sent> {
        match self.state.get() {
            State::Created => {
                shown::add_to_traceback(self, &exception);
                self.finish();
                Err(restore(exception))
            }
            State::Suspended => match self.waits.get() {
                Waits::Folded => {
                    self.unfold()?;
                    self.throw(exception)
                }
                Waits::Step if self.make_yielder()? => self.throw(exception),
                Waits::Step | Waits::Future => {
                    self.awaited.clear();
                    self.run(Input::Error(exception))
                }
                waits => {
                    let Some(awaited) = self.awaited.get() else { return Err(reused()) };
                    self.state.set(State::Running);
                    let sent = one_deeper(|| iter::throw(&awaited, &exception));
                    self.go_on(waits, sent)
                }
            },
            State::Running => Err(raise(Builtin::ValueError.class(), c"coroutine already executing")),
            State::Done => Err(reused()),
        }
    }

    /// A bare `yield` becomes what it stands for, that awaits its next step as the coroutine does. False if it stands for
    /// nothing.
    #[cold]
    pub(super) fn make_yielder(&self) -> Res<bool> {
        let Some(make) = self.body()?.yielder else { return Ok(false) };
        let yielded_from = make()?;
        drop(send_none(&yielded_from)?);
        if (self.state.get(), self.waits.get()) == (State::Suspended, Waits::Step) {
            self.awaited.set(yielded_from);
            self.waits.set(Waits::Coroutine);
        }
        Ok(self.waits.get() == Waits::Coroutine)
    }

    /// `close()`, of a suspended one: what it awaits is closed first.
    pub(super) fn close_suspended(&self) -> Res<Sent> {
        let exit = || call::call0(error::generator_exit());
        if self.is_folded() {
            self.unfold()?;
        }
        let waits = self.waits.get();
        if matches!(waits, Waits::Coroutine | Waits::Itself) {
            let Some(awaited) = self.awaited.get() else { return Err(reused()) };
            self.state.set(State::Running);
            let closed = one_deeper(|| call::call_method(&CLOSE, &[&*awaited], None));
            if waits == Waits::Itself {
                return match closed {
                    Ok(value) => {
                        self.finish();
                        Ok(Sent::Returned(value))
                    }
                    Err(raised) => {
                        error::keeping_raised(|| self.finish());
                        Err(raised)
                    }
                };
            }
            self.awaited.clear();
            return match closed {
                Ok(_) => self.run(Input::Error(exit()?)),
                Err(raised) => self.run(Input::Error(fetch(raised))),
            };
        }
        self.throw(exit()?)
    }

    /// Runs the body with the input, and with what comes of what it then does.
    fn run(&self, input: Input) -> Res<Sent> {
        let body = self.body()?;
        self.state.set(State::Running);
        self.waits.set(Waits::Step);
        panics::here("body of a coroutine");
        self.follow(body, (body.run)(self, input))
    }

    /// Does what the body has said, and runs it with what comes of that.
    pub(super) fn follow(&self, body: &'static Body, mut step: Res<Step>) -> Res<Sent> {
        loop {
            let outcome = match step {
                Err(raised) => return Err(self.fail(raised)),
                Ok(Step::Return(value)) => {
                    self.finish();
                    return Ok(Sent::Returned(value));
                }
                Ok(Step::Reraise(exception)) => {
                    self.finish();
                    return Err(restore(exception));
                }
                Ok(Step::Yield(place)) => {
                    self.place.set(place + 1);
                    self.state.set(State::Suspended);
                    return Ok(Sent::Yielded(none().own()));
                }
                Ok(Step::Wait(place, future)) => {
                    self.place.set(place + 1);
                    self.awaited.set(future.as_object().own());
                    self.settle(Waits::Future, future::advance(&future))
                }
                Ok(Step::WaitFolded(place, future)) => {
                    self.place.set(place + 1);
                    self.awaited.set(future.as_object().own());
                    self.settle(Waits::Folded, future::advance(&future))
                }
                Ok(Step::Await(place, inner)) => {
                    self.place.set(place + 1);
                    self.awaited.set(inner.clone());
                    self.settle(Waits::Coroutine, one_deeper(|| send_none(&inner)))
                }
                Ok(Step::Awaits(place, inner, yielded)) => {
                    self.place.set(place + 1);
                    self.awaited.set(inner);
                    self.settle(Waits::Coroutine, Ok(Sent::Yielded(yielded)))
                }
                Ok(Step::Become(inner)) => {
                    self.awaited.set(inner.clone());
                    self.settle(Waits::Itself, one_deeper(|| send_none(&inner)))
                }
                Ok(Step::BecomeAndThrow(inner, exception)) => {
                    self.awaited.set(inner.clone());
                    self.settle(Waits::Itself, one_deeper(|| iter::throw(&inner, &exception)))
                }
            };
            match outcome? {
                Outcome::Suspended(value) => return Ok(Sent::Yielded(value)),
                Outcome::Ended(value) => return Ok(Sent::Returned(value)),
                Outcome::Input(input) => {
                    self.waits.set(Waits::Step);
                    panics::here("body of a coroutine");
                    step = (body.run)(self, input);
                }
            }
        }
    }

    fn go_on(&self, waits: Waits, sent: Res<Sent>) -> Res<Sent> {
        match self.settle(waits, sent)? {
            Outcome::Suspended(value) => Ok(Sent::Yielded(value)),
            Outcome::Ended(value) => Ok(Sent::Returned(value)),
            Outcome::Input(input) => self.run(input),
        }
    }

    /// What became of what it awaits.
    #[inline]
    fn settle(&self, waits: Waits, sent: Res<Sent>) -> Res<Outcome> {
        match sent {
            Ok(Sent::Yielded(value)) => {
                self.state.set(State::Suspended);
                self.waits.set(waits);
                Ok(Outcome::Suspended(value))
            }
            Ok(Sent::Returned(value)) => {
                if waits == Waits::Itself {
                    self.finish();
                    return Ok(Outcome::Ended(value));
                }
                self.awaited.clear();
                Ok(Outcome::Input(Input::Value(value)))
            }
            Err(raised) if waits == Waits::Itself => {
                error::keeping_raised(|| self.finish());
                Err(raised)
            }
            Err(raised) => {
                let exception = fetch(raised);
                self.awaited.clear();
                Ok(Outcome::Input(Input::Error(exception)))
            }
        }
    }

    /// The body has raised.
    #[cold]
    fn fail(&self, raised: Raised) -> Raised {
        let exception = fetch(raised);
        shown::add_to_traceback(self, &exception);
        self.finish();
        restore(exception)
    }
}

/// One step of whoever awaits the future.
#[inline]
fn advance(awaited: &Object) -> Res<Sent> {
    match crate::task::as_native_future(awaited) {
        Some(future) => future::advance(future),
        None => Err(reused()),
    }
}

#[cold]
pub(super) fn reused() -> Raised {
    raise(Builtin::RuntimeError.class(), c"cannot reuse already awaited coroutine")
}
