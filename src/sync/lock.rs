//! `asyncio.Lock`: `acquire`, `release`, `locked`.
//!
//! `release` wakes up the first who waits and leaves `_locked` false: whoever it wakes up takes the lock when it goes on,
//! unless another does so before. One that is cancelled then wakes up the next, so that the wake-up is not lost.

use crate::asyncio;
use crate::future::FutureObject;
use crate::graft::Graft;
use crate::graft::coroutine::{self, Body, Coroutine, Inner, Input, Step, become_python};
use crate::graft::running::Running;
use crate::graft::shape::{Attributes, Shape};
use crate::names::{
    ACQUIRE as ACQUIRE_NAME, LOCKED as IS_LOCKED_NAME, PRIVATE_GET_LOOP, PRIVATE_LOOP, RELEASE as RELEASE_NAME,
    WAITERS as WAITERS_NAME, WAKE_UP_FIRST,
};
use crate::sys::deque;
use crate::sys::error::{handling, restore};
use crate::sys::object::{boolean, none};
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res, call};

use super::waiters;

pub(super) const LOCKS: &str = "asyncio.locks";

pub(crate) static ACQUIRE: Graft = Graft::new(LOCKS, "Lock.acquire", vectorcall!(acquire));
pub(crate) static RELEASE: Graft = Graft::new(LOCKS, "Lock.release", vectorcall!(release));
pub(crate) static LOCKED: Graft = Graft::new(LOCKS, "Lock.locked", vectorcall!(locked));

static BODY: Body = Body::new(&ACQUIRE, run);

static LOCK: Shape<3> = Shape::new(
    LOCKS,
    "Lock",
    [&WAITERS_NAME, &IS_LOCKED_NAME, &PRIVATE_LOOP],
    &[&PRIVATE_GET_LOOP, &WAKE_UP_FIRST, &ACQUIRE_NAME, &RELEASE_NAME],
)
.with_subclasses();
const WAITERS: usize = 0;
const IS_LOCKED: usize = 1;
const LOOP: usize = 2;

fn acquire(call: &Call<'_>) -> Option<Res<Owned>> {
    let [lock] = call.positional()?;
    if !ACQUIRE.makes(call, LOCK.fits(lock)) {
        return None;
    }
    Some(coroutine::new(&BODY, Some(lock), None))
}

/// `first` is the future that waits.
fn run(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let lock = coroutine.subject();
    match input {
        Input::Start => {
            let Some(attributes) = LOCK.of(&lock).filter(|_| ACQUIRE.is_on()) else {
                return become_python(coroutine, &[&*lock]);
            };
            match is_free(attributes) {
                Some(true) => attributes.set(IS_LOCKED, boolean(true)).map(|()| Step::Return(boolean(true).own())),
                Some(false) => wait(coroutine, &lock, attributes),
                None => become_python(coroutine, &[&*lock]),
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

/// Nobody has it, and nobody waits, or all who do are cancelled. `None` if that is for Python code to say.
fn is_free(attributes: Attributes<'_, 3>) -> Option<bool> {
    if attributes.flag(IS_LOCKED)? {
        return Some(false);
    }
    let waiters = attributes.get(WAITERS)?;
    if waiters.is_none() { Some(true) } else { waiters::all_are_cancelled(&*deque::downcast(waiters)?) }
}

fn wait(coroutine: &Coroutine, lock: &Object, attributes: Attributes<'_, 3>) -> Res<Step> {
    match waiters::queue_up(attributes, WAITERS, LOOP)? {
        Some(future) => {
            coroutine.first.set(future.as_object().own());
            Ok(Step::Wait(0, future))
        }
        None => become_python(coroutine, &[lock]),
    }
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
        Some(attributes) => attributes.set(IS_LOCKED, boolean(value)),
        None => call::setattr(lock, &IS_LOCKED_NAME, boolean(value)),
    }
}

/// The waiter leaves the queue; if it was cancelled, the next may have to be woken up.
fn pass_on(coroutine: &Coroutine, lock: &Object, exception: &Object) -> Res<()> {
    remove(coroutine, lock)?;
    if asyncio::is_cancelled_error(exception)? && !call::is_true(&*call::getattr(lock, &IS_LOCKED_NAME)?)? {
        call::call_method(&WAKE_UP_FIRST, &[lock], None)?;
    }
    Ok(())
}

fn release(call: &Call<'_>) -> Option<Res<Owned>> {
    let [lock] = call.positional()?;
    if !RELEASE.takes(call) {
        return None;
    }
    let_go(lock).map(|done| done.map(|()| none().own()))
}

/// `release()`, where native code may do it; `None`, and nothing is done, if it is not as simple as that.
pub(super) fn let_go(lock: &Object) -> Option<Res<()>> {
    let attributes = LOCK.of(lock)?;
    if !attributes.flag(IS_LOCKED)? {
        return None;
    }
    let unlock = || attributes.set(IS_LOCKED, boolean(false));
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

fn locked(call: &Call<'_>) -> Option<Res<Owned>> {
    let [lock] = call.positional()?;
    if !LOCKED.takes(call) {
        return None;
    }
    is_locked(lock).map(|is_locked| Ok(boolean(is_locked).own()))
}

/// `locked()`, where native code may say so.
pub(super) fn is_locked(lock: &Object) -> Option<bool> {
    LOCK.of(lock)?.flag(IS_LOCKED)
}

/// Is it exactly of the class?
pub(super) fn is_exact(object: &Object) -> bool {
    LOCK.is_exact(object)
}

/// Is it a lock that native code may look at?
pub(super) fn fits(object: &Object) -> bool {
    LOCK.fits(object)
}

/// `await lock.acquire()`, as a body's step; `None`, and nothing is done, if that is for Python code.
pub(super) fn enter(lock: &Object, place: u16) -> Option<Res<Step>> {
    let attributes = LOCK.of(lock)?;
    Some(if is_free(attributes)? {
        attributes.set(IS_LOCKED, boolean(true)).map(|()| Step::Return(none().own()))
    } else {
        coroutine::new(&BODY, Some(lock), None).map(|acquiring| Step::Await(place, acquiring))
    })
}

/// The same, of a body that does without the coroutine, and waits itself.
pub(super) fn enter_folded(lock: &Object, place: u16) -> Option<Res<Step>> {
    let attributes = LOCK.of(lock)?;
    if is_free(attributes)? {
        return Some(attributes.set(IS_LOCKED, boolean(true)).map(|()| Step::Return(none().own())));
    }
    match waiters::queue_up(attributes, WAITERS, LOOP) {
        Ok(future) => Some(Ok(Step::WaitFolded(place, future?))),
        Err(raised) => Some(Err(raised)),
    }
}

/// The coroutine of `acquire()` that such a body has not made, which waits for the future.
#[cold]
pub(super) fn unfolded(lock: &Object, future: &FutureObject) -> Res<Owned> {
    Inner { body: &BODY, subject: lock, first: Some(future.as_object()), second: None, place: 0 }.waiting_for(future)
}

/// Takes the lock, as the future has a result. `None`, and nothing is done, if the coroutine has to.
pub(super) fn acquired(lock: &Object, future: &FutureObject) -> Option<Res<Step>> {
    let attributes = LOCK.of(lock).filter(|_| ACQUIRE.names_are_unchanged())?;
    attributes.flag(IS_LOCKED)?;
    let waiters = attributes.get(WAITERS).and_then(deque::downcast)?;
    if !deque::first(&waiters)?.is(future) {
        return None;
    }
    // Neither the future nor what was there before ends by this.
    let taken = deque::popleft(&waiters).and_then(|_| attributes.set(IS_LOCKED, boolean(true)));
    Some(taken.map(|()| Step::Return(none().own())))
}
