//! `asyncio.Semaphore` and `BoundedSemaphore`: `acquire`, `release`, `locked`.
//!
//! Who releases hands what it had to the first who waits: `_value` is what nobody has been promised. One that is
//! cancelled after it was promised something gives it back, and whoever goes on then wakes up as many as there is
//! something for, so that no wake-up is lost; up to 3.12.1 it is one at most.

use crate::asyncio;
use crate::graft::coroutine::{self, Body, Coroutine, Input, Step, become_python};
use crate::graft::running::Running;
use crate::graft::shape::{Attributes, Shape};
use crate::graft::{Graft, Mentions};
use crate::names::{
    ACQUIRE as ACQUIRE_NAME, BOUND_VALUE, CANCELLED_METHOD, DONE, LOCKED_METHOD, Name, PRIVATE_GET_LOOP, PRIVATE_LOOP,
    PRIVATE_VALUE, RELEASE as RELEASE_NAME, SEMAPHORE_WAKE_UP_NEXT, WAITERS as WAITERS_NAME,
};
use crate::sys::deque;
use crate::sys::error::{fetch, handling};
use crate::sys::object::{boolean, none};
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res, call, containers};

use super::lock::LOCKS;
use super::waiters::{self, Next};

pub(crate) static ACQUIRE: Graft = Graft::new(LOCKS, "Semaphore.acquire", vectorcall!(acquire)).with(BOTH);
pub(crate) static RELEASE: Graft = Graft::new(LOCKS, "Semaphore.release", vectorcall!(release)).with(BOTH);
pub(crate) static LOCKED: Graft = Graft::new(LOCKS, "Semaphore.locked", vectorcall!(locked)).with(BOTH);
pub(crate) static BOUNDED_RELEASE: Graft =
    Graft::new(LOCKS, "BoundedSemaphore.release", vectorcall!(release_bounded)).with(BOTH);

const BOTH: &[&str] = &["asyncio.locks:Semaphore", "asyncio.locks:BoundedSemaphore"];

static BODY: Body = Body::new(&ACQUIRE, run).calling(&["remove", "_wake_up_next"]);
/// The first of the body's calls is that of its removal, this the second.
const WAKES_UP: u16 = 1;

/// Who goes on wakes up as many as there is something for (3.13.0 and later).
static WAKES_ALL: Mentions = Mentions::new(&ACQUIRE, &DONE);

static PASSED_OVER: [&Name; 5] =
    [&ACQUIRE_NAME, &LOCKED_METHOD, &PRIVATE_GET_LOOP, &RELEASE_NAME, &SEMAPHORE_WAKE_UP_NEXT];

const fn shape(class: &'static str) -> Shape<4> {
    Shape::new(LOCKS, class, [&WAITERS_NAME, &PRIVATE_VALUE, &PRIVATE_LOOP, &BOUND_VALUE], &PASSED_OVER)
        .with_subclasses()
}

static SEMAPHORE: Shape<4> = shape("Semaphore");
static BOUNDED: Shape<4> = shape("BoundedSemaphore");
const WAITERS: usize = 0;
const VALUE: usize = 1;
const LOOP: usize = 2;
const BOUND: usize = 3;

/// Is it exactly a `Semaphore`?
pub(super) fn is_exact(object: &Object) -> bool {
    SEMAPHORE.is_exact(object)
}

/// Is it exactly a `BoundedSemaphore`?
pub(super) fn is_exactly_bounded(object: &Object) -> bool {
    BOUNDED.is_exact(object)
}

/// Is it a `Semaphore` that native code may look at?
#[inline]
pub(super) fn fits(object: &Object) -> bool {
    SEMAPHORE.fits(object)
}

/// Is it such a `BoundedSemaphore`?
#[inline]
pub(super) fn fits_bounded(object: &Object) -> bool {
    BOUNDED.fits(object)
}

/// Of either class.
#[inline]
fn attributes(semaphore: &Object) -> Option<Attributes<'_, 4>> {
    if fits(semaphore) { SEMAPHORE.of(semaphore) } else { BOUNDED.of(semaphore) }
}

/// `locked()`: there is nothing, or somebody waits who is not cancelled. `None` if that is for Python code to say.
#[inline]
fn is_locked(attributes: Attributes<'_, 4>) -> Option<bool> {
    if attributes.int(VALUE)? == 0 {
        return Some(true);
    }
    let waiters = attributes.get(WAITERS)?;
    if waiters.is_none() {
        return Some(false);
    }
    waiters::all_are_cancelled(&*deque::downcast(waiters)?).map(|all| !all)
}

/// `self._value -= 1`
#[inline]
fn take(attributes: Attributes<'_, 4>) -> Option<Res<()>> {
    let left = attributes.int(VALUE)?.checked_sub(1)?;
    Some(containers::int(left).and_then(|left| attributes.set(VALUE, &left)))
}

/// Who is next. `None` if that is for Python code to say.
#[inline]
fn next(attributes: Attributes<'_, 4>) -> Option<Next> {
    let waiters = attributes.get(WAITERS)?;
    if waiters.is_none() {
        return Some(Next::Nobody);
    }
    let waiters = deque::downcast(waiters)?;
    if deque::len(&waiters) == 0 { Some(Next::Nobody) } else { waiters::next(&waiters, &Running::find()?) }
}

fn acquire(call: &Call<'_>) -> Option<Res<Owned>> {
    let [semaphore] = call.positional()?;
    if !ACQUIRE.makes(call, fits(semaphore) || fits_bounded(semaphore)) {
        return None;
    }
    Some(coroutine::new(&BODY, Some(semaphore), None))
}

/// `first` is the future that waits.
fn run(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let semaphore = coroutine.subject();
    match input {
        Input::Start => begin(coroutine, &semaphore),
        Input::Value(_) => match remove(coroutine, &semaphore) {
            Ok(()) => {
                wake_more(coroutine, &semaphore)?;
                Ok(Step::Return(boolean(true).own()))
            }
            Err(raised) => interrupted(coroutine, &semaphore, fetch(raised)),
        },
        Input::Error(exception) => {
            let raised = match handling(&exception, || remove(coroutine, &semaphore)) {
                Ok(()) => exception,
                Err(raised) => fetch(raised),
            };
            interrupted(coroutine, &semaphore, raised)
        }
    }
}

fn begin(coroutine: &Coroutine, semaphore: &Object) -> Res<Step> {
    let python = || become_python(coroutine, &[semaphore]);
    let Some(attributes) = attributes(semaphore).filter(|_| ACQUIRE.is_on()) else { return python() };
    match is_locked(attributes) {
        Some(false) => take(attributes).map_or_else(python, |taken| taken.map(|()| Step::Return(boolean(true).own()))),
        Some(true) => match waiters::queue_up(attributes, WAITERS, LOOP)? {
            Some(future) => {
                coroutine.first.set(future.as_object().own());
                Ok(Step::Wait(0, future))
            }
            None => python(),
        },
        None => python(),
    }
}

/// `self._waiters.remove(fut)`
fn remove(coroutine: &Coroutine, semaphore: &Object) -> Res<()> {
    let found = attributes(semaphore).filter(|_| ACQUIRE.names_are_unchanged()).and_then(|found| found.get(WAITERS));
    waiters::remove(coroutine, semaphore, &WAITERS_NAME, found, &coroutine.first.get_or_none())
}

/// The `except` and the `finally`, for what was raised.
#[cold]
fn interrupted(coroutine: &Coroutine, semaphore: &Object, exception: Owned) -> Res<Step> {
    coroutine.note_raised(&exception);
    handling(&exception, || {
        let gives_back = asyncio::is_cancelled_error(&exception)? && was_promised(&coroutine.first.get_or_none())?;
        if gives_back {
            let value = call::getattr(semaphore, &PRIVATE_VALUE)?;
            call::setattr(semaphore, &PRIVATE_VALUE, &*containers::add(&value, &*containers::int(1)?)?)?;
        }
        if WAKES_ALL.get() {
            wake_more(coroutine, semaphore)
        } else if gives_back {
            coroutine.now_calls(WAKES_UP);
            call::call_method(&SEMAPHORE_WAKE_UP_NEXT, &[semaphore], None).map(drop)
        } else {
            Ok(())
        }
    })?;
    Ok(Step::Reraise(exception))
}

/// `fut.done() and not fut.cancelled()`; in 3.12.1 only the latter.
fn was_promised(waiter: &Object) -> Res<bool> {
    let ask = |method| call::is_true(&*call::call_method(method, &[waiter], None)?);
    Ok((!WAKES_ALL.get() || ask(&DONE)?) && !ask(&CANCELLED_METHOD)?)
}

/// Wakes up who waits, as long as there is something to promise; in 3.12.1 one at most.
fn wake_more(coroutine: &Coroutine, semaphore: &Object) -> Res<()> {
    while let Some(attributes) = attributes(semaphore).filter(|_| ACQUIRE.is_on()) {
        let Some(value) = attributes.int(VALUE) else { break };
        if value <= 0 {
            return Ok(());
        }
        let (Some(next), Some(taken)) = (next(attributes), value.checked_sub(1)) else { break };
        let Next::Is(waiter) = next else { return Ok(()) };
        attributes.set(VALUE, &*containers::int(taken)?)?;
        waiters::wake(&waiter)?;
        if !WAKES_ALL.get() {
            return Ok(());
        }
    }
    wake_more_in_python(coroutine, semaphore)
}

#[cold]
fn wake_more_in_python(coroutine: &Coroutine, semaphore: &Object) -> Res<()> {
    coroutine.now_calls(WAKES_UP);
    let zero = containers::int(0)?;
    while call::greater(&*call::getattr(semaphore, &PRIVATE_VALUE)?, &zero)? {
        let woken = call::call_method(&SEMAPHORE_WAKE_UP_NEXT, &[semaphore], None)?;
        if !WAKES_ALL.get() || !call::is_true(&woken)? {
            break;
        }
    }
    Ok(())
}

fn release(call: &Call<'_>) -> Option<Res<Owned>> {
    let [semaphore] = call.positional()?;
    if !RELEASE.takes(call) {
        return None;
    }
    give(attributes(semaphore)?).map(|done| done.map(|()| none().own()))
}

fn release_bounded(call: &Call<'_>) -> Option<Res<Owned>> {
    let [semaphore] = call.positional()?;
    if !BOUNDED_RELEASE.takes(call) {
        return None;
    }
    let_go_bounded(semaphore).map(|done| done.map(|()| none().own()))
}

/// To the first who waits, or to nobody. `None`, and nothing is done, if it is not as simple as that.
#[inline]
fn give(attributes: Attributes<'_, 4>) -> Option<Res<()>> {
    let value = attributes.int(VALUE)?.checked_add(1)?;
    Some(match next(attributes)? {
        Next::Is(waiter) => waiters::wake(&waiter),
        Next::Nobody => containers::int(value).and_then(|value| attributes.set(VALUE, &value)),
    })
}

/// `Semaphore.release()`, where native code may do it; `None`, and nothing is done, if it is not as simple as that.
pub(super) fn let_go(semaphore: &Object) -> Option<Res<()>> {
    give(SEMAPHORE.of(semaphore)?)
}

/// The same of `BoundedSemaphore`.
pub(super) fn let_go_bounded(semaphore: &Object) -> Option<Res<()>> {
    let attributes = BOUNDED.of(semaphore)?;
    if attributes.int(VALUE)? < attributes.int(BOUND)? { give(attributes) } else { None }
}

fn locked(call: &Call<'_>) -> Option<Res<Owned>> {
    let [semaphore] = call.positional()?;
    if !LOCKED.takes(call) {
        return None;
    }
    is_locked(attributes(semaphore)?).map(|is_locked| Ok(boolean(is_locked).own()))
}

/// `await semaphore.acquire()`, as a body's step; `None`, and nothing is done, if that is for Python code.
pub(super) fn enter(semaphore: &Object, place: u16) -> Option<Res<Step>> {
    let attributes = attributes(semaphore)?;
    Some(if is_locked(attributes)? {
        coroutine::new(&BODY, Some(semaphore), None).map(|acquiring| Step::Await(place, acquiring))
    } else {
        take(attributes)?.map(|()| Step::Return(none().own()))
    })
}
