//! `asyncio.Condition`: `wait`, `wait_for`, `notify`, `notify_all`.
//!
//! Who waits lets go of the lock, waits for a future in `_waiters`, and takes the lock again whatever has happened: a
//! cancellation that comes meanwhile is raised when it has the lock. What is raised then may come after a notification,
//! which is passed on to the next, so that it is not lost; up to 3.12.1 it is not.
//!
//! A condition has methods of its lock's as attributes. Native code looks through those of a plain `Lock`.
//!
//! Of the coroutine of `wait`, `first` is the future, and later the last cancellation that came while it took the lock
//! again; `second` is what was raised before. Of that of `wait_for`, `first` is the predicate.

use crate::asyncio;
use crate::graft::coroutine::{self, Body, Coroutine, Input, Step, become_python, to_drive};
use crate::graft::running::Running;
use crate::graft::shape::{Attributes, Shape};
use crate::graft::{Graft, Mentions};
use crate::names::{
    ACQUIRE as ACQUIRE_NAME, LOCKED_METHOD, NOTIFY as NOTIFY_NAME, PRIVATE_GET_LOOP, PRIVATE_LOOP, PRIVATE_NOTIFY,
    RELEASE as RELEASE_NAME, WAIT_EVENT as WAIT_NAME, WAITERS as WAITERS_NAME,
};
use crate::sys::deque::{self, Deque};
use crate::sys::error::{fetch, handling, raise_object, restore};
use crate::sys::object::{boolean, none};
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Raised, Res, call, containers, types};

use super::lock::LOCKS;
use super::{bound, lock, waiters};

/// Whose methods are passed over.
const CLASSES: &[&str] = &["asyncio.locks:Lock"];

pub(crate) static WAIT: Graft = Graft::new(LOCKS, "Condition.wait", vectorcall!(wait)).with(CLASSES);
pub(crate) static WAIT_FOR: Graft = Graft::new(LOCKS, "Condition.wait_for", vectorcall!(wait_for)).with(CLASSES);
pub(crate) static NOTIFY: Graft = Graft::new(LOCKS, "Condition.notify", vectorcall!(notify)).with(CLASSES);
pub(crate) static NOTIFY_ALL: Graft = Graft::new(LOCKS, "Condition.notify_all", vectorcall!(notify_all)).with(CLASSES);

static WAIT_BODY: Body = Body::new(&WAIT, run_wait).calling(&["remove", "_notify", "raise", "acquire"]);
const NOTIFIES: u16 = 1;
const RAISES: u16 = 2;
const ACQUIRES: u16 = 3;
static WAIT_FOR_BODY: Body = Body::new(&WAIT_FOR, run_wait_for).calling(&["predicate", "predicate", "while", "wait"]);
const ASKS_AGAIN: u16 = 0;
const ASKS_FIRST: u16 = 1;
const DECIDES: u16 = 2;
const CALLS_WAIT: u16 = 3;

/// Where the coroutine of `wait` is.
const WAITING: u16 = 1;
const ACQUIRING: u16 = 2;

/// A notification is passed on, and a cancellation raised again as it came (3.13.0 and later).
static PASSES_ON: Mentions = Mentions::new(&WAIT, &PRIVATE_NOTIFY);

static CONDITION: Shape<5> = Shape::new(
    LOCKS,
    "Condition",
    [&WAITERS_NAME, &PRIVATE_LOOP, &LOCKED_METHOD, &ACQUIRE_NAME, &RELEASE_NAME],
    &[&NOTIFY_NAME, &PRIVATE_GET_LOOP, &PRIVATE_NOTIFY, &WAIT_NAME],
)
.with_subclasses();
const WAITERS: usize = 0;
const LOOP: usize = 1;
const LOCKED: usize = 2;
const ACQUIRE: usize = 3;
const RELEASE: usize = 4;

/// Is it exactly of the class?
pub(super) fn is_exact(object: &Object) -> bool {
    CONDITION.is_exact(object)
}

/// Is it a condition that native code may look at?
pub(super) fn fits(object: &Object) -> bool {
    CONDITION.fits(object)
}

/// The lock whose method the attribute is, if it is the grafted one.
#[inline]
fn lock_by(attributes: Attributes<'_, 5>, place: usize, method: &Graft) -> Option<Owned> {
    let (function, lock) = types::unbind(&*attributes.get(place)?)?;
    method.is_function(&function).then_some(lock)
}

/// Is `self.locked()` true? `None` if that is for Python code to say.
#[inline]
fn is_locked(attributes: Attributes<'_, 5>) -> Option<bool> {
    lock::is_locked(&*lock_by(attributes, LOCKED, &lock::LOCKED)?)
}

fn waiting(attributes: Attributes<'_, 5>) -> Option<Owned<Deque>> {
    attributes.get(WAITERS).and_then(deque::downcast)
}

fn wait(call: &Call<'_>) -> Option<Res<Owned>> {
    let [condition] = call.positional()?;
    if !WAIT.makes(call, CONDITION.fits(condition)) {
        return None;
    }
    Some(coroutine::new(&WAIT_BODY, Some(condition), None))
}

fn run_wait(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let condition = coroutine.subject();
    match (coroutine.stage.get(), input) {
        (WAITING, Input::Value(_)) => {
            let removed = remove(coroutine, &condition);
            waited(coroutine, &condition, removed.err().map(fetch))
        }
        (WAITING, Input::Error(exception)) => {
            let removed = handling(&exception, || remove(coroutine, &condition));
            waited(coroutine, &condition, Some(removed.map_or_else(fetch, |()| exception)))
        }
        (ACQUIRING, Input::Value(_)) => finish(coroutine, &condition),
        (ACQUIRING, Input::Error(exception)) => not_acquired(coroutine, &condition, exception),
        _ => begin(coroutine, &condition),
    }
}

fn begin(coroutine: &Coroutine, condition: &Object) -> Res<Step> {
    let python = || become_python(coroutine, &[condition]);
    let Some(attributes) = CONDITION.of(condition).filter(|_| WAIT.is_on()) else { return python() };
    let (Some(true), Some(waiting)) = (is_locked(attributes), waiting(attributes)) else { return python() };
    let Some(lock) = lock_by(attributes, RELEASE, &lock::RELEASE) else { return python() };
    let Some(future) = bound::new_future(attributes, LOOP)? else { return python() };
    deque::append(&waiting, future.as_object())?;
    match lock::let_go(&lock) {
        Some(Ok(())) => {
            coroutine.first.set(future.as_object().own());
            coroutine.stage.set(WAITING);
            Ok(Step::Wait(0, future))
        }
        released => {
            deque::remove(&waiting, future.as_object())?;
            released.map_or_else(python, |failed| failed.map(|()| Step::Return(none().own())))
        }
    }
}

/// `self._waiters.remove(fut)`
fn remove(coroutine: &Coroutine, condition: &Object) -> Res<()> {
    let found = CONDITION.of(condition).filter(|_| WAIT.names_are_unchanged()).and_then(|found| found.get(WAITERS));
    waiters::remove(coroutine, condition, &WAITERS_NAME, found, &coroutine.first.get_or_none())
}

/// It waits no more: the lock is taken again.
fn waited(coroutine: &Coroutine, condition: &Object, raised: Option<Owned>) -> Res<Step> {
    coroutine.first.clear();
    if let Some(raised) = raised {
        coroutine.note_raised(&raised);
        coroutine.second.set(raised);
    }
    coroutine.stage.set(ACQUIRING);
    acquire(coroutine, condition)
}

/// `await self.acquire()`
fn acquire(coroutine: &Coroutine, condition: &Object) -> Res<Step> {
    let lock = CONDITION.of(condition).filter(|_| WAIT.is_on());
    let lock = lock.and_then(|attributes| lock_by(attributes, ACQUIRE, &lock::ACQUIRE));
    match lock.and_then(|lock| lock::enter(&lock, 1)) {
        Some(Ok(Step::Return(_))) => finish(coroutine, condition),
        Some(Ok(step)) => Ok(step),
        Some(Err(raised)) => not_acquired(coroutine, condition, fetch(raised)),
        None => acquire_in_python(coroutine, condition),
    }
}

#[cold]
fn acquire_in_python(coroutine: &Coroutine, condition: &Object) -> Res<Step> {
    coroutine.now_calls(ACQUIRES);
    match call::call_method(&ACQUIRE_NAME, &[condition], None).and_then(to_drive) {
        Ok(acquiring) => Ok(Step::Await(1, acquiring)),
        Err(raised) => not_acquired(coroutine, condition, fetch(raised)),
    }
}

/// Raised by `await self.acquire()`, a cancellation is kept for later.
#[cold]
fn not_acquired(coroutine: &Coroutine, condition: &Object, exception: Owned) -> Res<Step> {
    coroutine.note_raised(&exception);
    if !asyncio::is_cancelled_error(&exception)? {
        return fail(coroutine, condition, exception);
    }
    coroutine.first.set(exception);
    acquire(coroutine, condition)
}

/// It has the lock again.
fn finish(coroutine: &Coroutine, condition: &Object) -> Res<Step> {
    let (cancelled, before) = (coroutine.first.take(), coroutine.second.get());
    match (cancelled, before) {
        (None, None) => Ok(Step::Return(boolean(true).own())),
        (None, Some(before)) => fail(coroutine, condition, before),
        (Some(cancelled), before) => {
            let raise = || raise_again(&cancelled);
            let raised = fetch(before.map_or_else(raise, |before| handling(&before, raise)));
            coroutine.now_calls(RAISES);
            coroutine.note_raised(&raised);
            fail(coroutine, condition, raised)
        }
    }
}

/// `raise err`; in 3.12.1 `raise exceptions.CancelledError`.
#[cold]
fn raise_again(cancelled: &Object) -> Raised {
    if PASSES_ON.get() {
        return raise_object(cancelled);
    }
    match asyncio::cancelled_error().and_then(call::call0) {
        Ok(made) => raise_object(&made),
        Err(raised) => raised,
    }
}

/// The end by an exception: from 3.13.0 on, it passes a notification on.
#[cold]
fn fail(coroutine: &Coroutine, condition: &Object, exception: Owned) -> Res<Step> {
    if PASSES_ON.get() {
        handling(&exception, || pass_on(coroutine, condition))?;
    }
    Ok(Step::Reraise(exception))
}

/// `self._notify(1)`
fn pass_on(coroutine: &Coroutine, condition: &Object) -> Res<()> {
    coroutine.now_calls(NOTIFIES);
    let attributes = CONDITION.of(condition).filter(|_| WAIT.is_on());
    match attributes.and_then(|attributes| wake(attributes, 1)) {
        Some(woken) => woken,
        None => call::call_method(&PRIVATE_NOTIFY, &[condition, &*containers::int(1)?], None).map(drop),
    }
}

/// Wakes up so many of those who wait still; `None`, and nothing is done, if that is for Python code.
fn wake(attributes: Attributes<'_, 5>, count: i64) -> Option<Res<()>> {
    let waiting = waiting(attributes)?;
    if deque::len(&waiting) == 0 {
        return Some(Ok(()));
    }
    let pending = waiters::pending(&waiting, count, &Running::find()?)?;
    Some(pending.iter().try_for_each(|waiter| crate::future::set_result(waiter, boolean(false).own())))
}

fn notify(call: &Call<'_>) -> Option<Res<Owned>> {
    let (condition, count) = if let Some([condition]) = call.positional() {
        (condition, 1)
    } else {
        let [condition, count] = call.positional()?;
        (condition, containers::exact_int(count)?)
    };
    if !NOTIFY.takes(call) {
        return None;
    }
    let attributes = CONDITION.of(condition).filter(|attributes| is_locked(*attributes) == Some(true))?;
    wake(attributes, count).map(|done| done.map(|()| none().own()))
}

fn notify_all(call: &Call<'_>) -> Option<Res<Owned>> {
    let [condition] = call.positional()?;
    if !NOTIFY_ALL.takes(call) {
        return None;
    }
    let attributes = CONDITION.of(condition).filter(|attributes| is_locked(*attributes) == Some(true))?;
    wake(attributes, i64::MAX).map(|done| done.map(|()| none().own()))
}

fn wait_for(call: &Call<'_>) -> Option<Res<Owned>> {
    let [condition, predicate] = call.positional()?;
    if !WAIT_FOR.makes(call, CONDITION.fits(condition)) {
        return None;
    }
    Some(coroutine::new(&WAIT_FOR_BODY, Some(condition), Some(predicate)))
}

/// The predicate may do anything, so that nothing is relied on after it: `self.wait()` is called.
fn run_wait_for(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let condition = coroutine.subject();
    let predicate = coroutine.first.get_or_none();
    match input {
        Input::Start if !WAIT_FOR.is_on() => return become_python(coroutine, &[&*condition, &*predicate]),
        Input::Start => coroutine.now_calls(ASKS_FIRST),
        Input::Value(_) => coroutine.now_calls(ASKS_AGAIN),
        Input::Error(exception) => return Err(restore(exception)),
    }
    let result = call::call0(&predicate)?;
    coroutine.now_calls(DECIDES);
    if call::is_true(&result)? {
        return Ok(Step::Return(result));
    }
    coroutine.now_calls(CALLS_WAIT);
    let waiting = call::call_method(&WAIT_NAME, &[&*condition], None).and_then(to_drive)?;
    Ok(Step::Await(0, waiting))
}

/// `await condition.acquire()`, as a body's step; `None`, and nothing is done, if that is for Python code.
pub(super) fn enter(condition: &Object, place: u16) -> Option<Res<Step>> {
    lock::enter(&*lock_by(CONDITION.of(condition)?, ACQUIRE, &lock::ACQUIRE)?, place)
}

/// `condition.release()`, where native code may do it; `None`, and nothing is done, if it is not as simple as that.
pub(super) fn let_go(condition: &Object) -> Option<Res<()>> {
    lock::let_go(&*lock_by(CONDITION.of(condition)?, RELEASE, &lock::RELEASE)?)
}
