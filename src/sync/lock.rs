//! `asyncio.Lock`: `acquire`, `release`, and `async with`.
//!
//! `release` wakes up the first who waits and leaves `_locked` false: whoever it wakes up takes the lock when it goes on,
//! unless another does so before. One that is cancelled then wakes up the next, so that the wake-up is not lost.

use crate::asyncio;
use crate::future::FutureObject;
use crate::graft::Graft;
use crate::graft::coroutine::{self, Body, Coroutine, Input, Step, become_python};
use crate::graft::running::Running;
use crate::graft::shape::{Attributes, Shape};
use crate::names::{
    ACQUIRE as ACQUIRE_NAME, LOCKED as LOCKED_NAME, PRIVATE_GET_LOOP, PRIVATE_LOOP, RELEASE as RELEASE_NAME,
    WAITERS as WAITERS_NAME, WAKE_UP_FIRST,
};
use crate::sys::deque::{self, Deque};
use crate::sys::error::{handling, restore};
use crate::sys::object::{boolean, none};
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res, call};

use super::{bound, waiters};

const LOCKS: &str = "asyncio.locks";

pub(crate) static ACQUIRE: Graft = Graft::new(LOCKS, "Lock.acquire", vectorcall!(acquire));
pub(crate) static RELEASE: Graft = Graft::new(LOCKS, "Lock.release", vectorcall!(release));
pub(crate) static ENTER: Graft =
    Graft::new(LOCKS, "_ContextManagerMixin.__aenter__", vectorcall!(enter)).with(&["asyncio.locks:Lock"]);
pub(crate) static EXIT: Graft =
    Graft::new(LOCKS, "_ContextManagerMixin.__aexit__", vectorcall!(exit)).with(&["asyncio.locks:Lock"]);

static ACQUIRE_BODY: Body = Body::new(&ACQUIRE, run_acquire);
static ENTER_BODY: Body = Body::new(&ENTER, run_enter);
static EXIT_BODY: Body = Body::new(&EXIT, run_exit);

static LOCK: Shape<3> = Shape::new(
    LOCKS,
    "Lock",
    [&WAITERS_NAME, &LOCKED_NAME, &PRIVATE_LOOP],
    &[&PRIVATE_GET_LOOP, &WAKE_UP_FIRST, &ACQUIRE_NAME, &RELEASE_NAME],
);
const WAITERS: usize = 0;
const LOCKED: usize = 1;
const LOOP: usize = 2;

fn acquire(call: &Call<'_>) -> Option<Res<Owned>> {
    let [lock] = call.positional()?;
    if !ACQUIRE.makes(call, LOCK.fits(lock)) {
        return None;
    }
    Some(coroutine::new(&ACQUIRE_BODY, Some(lock), None))
}

/// `first` is the future that waits.
fn run_acquire(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let lock = coroutine.subject();
    match input {
        Input::Start => {
            let Some(attributes) = LOCK.of(&lock).filter(|_| ACQUIRE.is_on()) else {
                return become_python(coroutine, &[&*lock]);
            };
            match take(attributes) {
                Some(taken) => taken.map(|()| Step::Return(boolean(true).own())),
                None => wait(coroutine, &lock, attributes),
            }
        }
        Input::Value(_) => {
            remove(coroutine, &lock)?;
            set_locked(&lock, true)?;
            Ok(Step::Return(boolean(true).own()))
        }
        Input::Error(exception) => {
            handling(&exception, || pass_on(coroutine, &lock, &exception))?;
            Err(restore(exception))
        }
    }
}

/// Takes the lock, if it is free and nobody waits, or all who do are cancelled. `None`, and nothing is done, if not.
fn take(attributes: Attributes<'_, 3>) -> Option<Res<()>> {
    if attributes.flag(LOCKED)? {
        return None;
    }
    let waiters = attributes.get(WAITERS)?;
    let is_free = waiters.is_none() || deque::downcast(waiters).is_some_and(|waiters| all_cancelled(&waiters));
    is_free.then(|| attributes.set(LOCKED, boolean(true)))
}

/// Is each of them a future of ours that was cancelled?
fn all_cancelled(waiters: &Deque) -> bool {
    (0..deque::len(waiters)).all(|index| {
        let waiter = deque::item(waiters, index);
        waiter.is_some_and(|waiter| crate::future::TYPE.downcast_exact(&waiter).is_some_and(FutureObject::is_cancelled))
    })
}

/// Queues up, behind those who wait already.
fn wait(coroutine: &Coroutine, lock: &Object, attributes: Attributes<'_, 3>) -> Res<Step> {
    let python = || become_python(coroutine, &[lock]);
    let (Some(_), Some(present)) = (attributes.flag(LOCKED), attributes.get(WAITERS)) else { return python() };
    let Some(running) = Running::find() else { return python() };
    let waiters = if present.is_none() {
        if !bound::fits(attributes, LOOP, &running) {
            return python();
        }
        let made = deque::new()?;
        attributes.set(WAITERS, made.as_object())?;
        made
    } else {
        match deque::downcast(present) {
            Some(waiters) if waiters::all_belong_to(&waiters, &running) => waiters,
            _ => return python(),
        }
    };
    let Some(future) = bound::new_future(attributes, LOOP)? else { return python() };
    deque::append(&waiters, future.as_object())?;
    coroutine.first.set(future.as_object().own());
    Ok(Step::Wait(0, future))
}

/// `self._waiters.remove(fut)`
fn remove(coroutine: &Coroutine, lock: &Object) -> Res<()> {
    let future = coroutine.first.get_or_none();
    let attributes = LOCK.of(lock).filter(|_| ACQUIRE.names_are_unchanged());
    waiters::remove(coroutine, lock, &WAITERS_NAME, attributes.and_then(|attributes| attributes.get(WAITERS)), &future)
}

/// `self._locked = value`
fn set_locked(lock: &Object, value: bool) -> Res<()> {
    match LOCK.of(lock).filter(|_| ACQUIRE.names_are_unchanged()) {
        Some(attributes) => attributes.set(LOCKED, boolean(value)),
        None => call::setattr(lock, &LOCKED_NAME, boolean(value)),
    }
}

/// The waiter leaves the queue; if it was cancelled, the next may have to be woken up.
fn pass_on(coroutine: &Coroutine, lock: &Object, exception: &Object) -> Res<()> {
    remove(coroutine, lock)?;
    if asyncio::is_cancelled_error(exception)? && !call::is_true(&*call::getattr(lock, &LOCKED_NAME)?)? {
        call::call_method(&WAKE_UP_FIRST, &[lock], None)?;
    }
    Ok(())
}

fn release(call: &Call<'_>) -> Option<Res<Owned>> {
    let [lock] = call.positional()?;
    if !RELEASE.takes(call) {
        return None;
    }
    let_go(LOCK.of(lock)?).map(|done| done.map(|()| none().own()))
}

/// `None`, and nothing is done, if it is not as simple as that.
fn let_go(attributes: Attributes<'_, 3>) -> Option<Res<()>> {
    if !attributes.flag(LOCKED)? {
        return None;
    }
    let unlock = || attributes.set(LOCKED, boolean(false));
    let waiters = attributes.get(WAITERS)?;
    if waiters.is_none() {
        return Some(unlock());
    }
    let waiters = deque::downcast(waiters)?;
    let Some(first) = deque::first(&waiters) else { return Some(unlock()) };
    let running = Running::find()?;
    let first = waiters::as_waiter(&first, &running)?;
    Some(unlock().and_then(|()| waiters::wake(first)))
}

fn enter(call: &Call<'_>) -> Option<Res<Owned>> {
    let [lock] = call.positional()?;
    if !ENTER.makes(call, LOCK.fits(lock)) {
        return None;
    }
    Some(coroutine::new(&ENTER_BODY, Some(lock), None))
}

fn run_enter(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let lock = coroutine.subject();
    match input {
        Input::Start => {
            let Some(attributes) = LOCK.of(&lock).filter(|_| ENTER.is_on()) else {
                return become_python(coroutine, &[&*lock]);
            };
            match take(attributes) {
                Some(taken) => taken.map(|()| Step::Return(none().own())),
                None => Ok(Step::Await(0, coroutine::new(&ACQUIRE_BODY, Some(&*lock), None)?)),
            }
        }
        Input::Value(_) => Ok(Step::Return(none().own())),
        Input::Error(exception) => Err(restore(exception)),
    }
}

fn exit(call: &Call<'_>) -> Option<Res<Owned>> {
    let [lock, ..] = call.positional::<4>()?;
    if !EXIT.makes(call, LOCK.fits(lock)) {
        return None;
    }
    Some(coroutine::new(&EXIT_BODY, Some(lock), None))
}

fn run_exit(coroutine: &Coroutine, _: Input) -> Res<Step> {
    let lock = coroutine.subject();
    let released = LOCK.of(&lock).filter(|_| EXIT.is_on()).and_then(let_go);
    match released {
        Some(done) => done.map(|()| Step::Return(none().own())),
        None => become_python(coroutine, &[&*lock, none(), none(), none()]),
    }
}
