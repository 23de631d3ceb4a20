//! `asyncio.Event`: `wait` and `set`.
//!
//! `set` completes the futures of all who wait, and each of these removes its own from `_waiters` when it goes on.

use crate::graft::Graft;
use crate::graft::coroutine::{self, Body, Coroutine, Input, Step, become_python};
use crate::graft::running::Running;
use crate::graft::shape::{Attributes, Shape};
use crate::names::{
    CLEAR, PRIVATE_GET_LOOP, PRIVATE_LOOP, PRIVATE_VALUE, SET_EVENT, WAIT_EVENT, WAITERS as WAITERS_NAME,
};
use crate::sys::deque;
use crate::sys::error::{handling, restore};
use crate::sys::object::{boolean, none};
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res};

use super::{bound, waiters};

pub(crate) static WAIT: Graft = Graft::new("asyncio.locks", "Event.wait", vectorcall!(wait));
pub(crate) static SET: Graft = Graft::new("asyncio.locks", "Event.set", vectorcall!(set));

static BODY: Body = Body::new(&WAIT, run);

static EVENT: Shape<3> =
    Shape::new("asyncio.locks", "Event", [&WAITERS_NAME, &PRIVATE_VALUE, &PRIVATE_LOOP], &[&PRIVATE_GET_LOOP])
        .with_subclasses();
/// An event that is part of another object, whose methods nobody but native code calls.
pub(super) static INNER: Shape<3> = Shape::new(
    "asyncio.locks",
    "Event",
    [&WAITERS_NAME, &PRIVATE_VALUE, &PRIVATE_LOOP],
    &[&CLEAR, &PRIVATE_GET_LOOP, &SET_EVENT, &WAIT_EVENT],
);
const WAITERS: usize = 0;
pub(super) const VALUE: usize = 1;
const LOOP: usize = 2;

fn wait(call: &Call<'_>) -> Option<Res<Owned>> {
    let [event] = call.positional()?;
    if !WAIT.makes(call, EVENT.fits(event)) {
        return None;
    }
    Some(coroutine::new(&BODY, Some(event), None))
}

fn run(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let event = coroutine.subject();
    match input {
        Input::Start => begin(coroutine, &event),
        Input::Value(_) => {
            remove(coroutine, &event)?;
            Ok(Step::Return(boolean(true).own()))
        }
        Input::Error(exception) => {
            handling(&exception, || remove(coroutine, &event))?;
            Err(restore(exception))
        }
    }
}

fn begin(coroutine: &Coroutine, event: &Object) -> Res<Step> {
    let Some(attributes) = EVENT.of(event).filter(|_| WAIT.is_on()) else {
        return become_python(coroutine, &[event]);
    };
    match (attributes.flag(VALUE), attributes.get(WAITERS).and_then(deque::downcast)) {
        (Some(true), _) => Ok(Step::Return(boolean(true).own())),
        (Some(false), Some(waiters)) => {
            let Some(future) = bound::new_future(attributes, LOOP)? else {
                return become_python(coroutine, &[event]);
            };
            deque::append(&waiters, future.as_object())?;
            coroutine.first.set(future.as_object().own());
            Ok(Step::Wait(0, future))
        }
        _ => become_python(coroutine, &[event]),
    }
}

/// `self._waiters.remove(fut)`
fn remove(coroutine: &Coroutine, event: &Object) -> Res<()> {
    let future = coroutine.first.get_or_none();
    let attributes = EVENT.of(event).filter(|_| WAIT.names_are_unchanged());
    waiters::remove(coroutine, event, &WAITERS_NAME, attributes.and_then(|attributes| attributes.get(WAITERS)), &future)
}

fn set(call: &Call<'_>) -> Option<Res<Owned>> {
    let [event] = call.positional()?;
    if !SET.takes(call) {
        return None;
    }
    set_after(EVENT.of(event)?, || Ok(())).map(|done| done.map(|()| none().own()))
}

/// `set()`, after what comes first, which runs no Python code. `None`, and nothing is done, if it is not as simple as
/// that.
#[inline]
pub(super) fn set_after(attributes: Attributes<'_, 3>, first: impl FnOnce() -> Res<()>) -> Option<Res<()>> {
    if attributes.flag(VALUE)? {
        return Some(first());
    }
    let waiting = attributes.get(WAITERS).and_then(deque::downcast)?;
    let set = || first().and_then(|()| attributes.set(VALUE, boolean(true)));
    if deque::len(&waiting) == 0 {
        return Some(set());
    }
    let running = Running::find()?;
    if let Some(only) = waiters::only(&waiting) {
        let waiter = waiters::as_waiter(&only, &running)?;
        return Some(set().and_then(|()| waiters::wake(waiter)));
    }
    waiters::all_belong_to(&waiting, &running).then(|| set().and_then(|()| waiters::wake_all(&waiting)))
}

/// `wait()`, where native code may do it.
pub(super) fn new_wait(event: &Object) -> Res<Owned> {
    coroutine::new(&BODY, Some(event), None)
}
