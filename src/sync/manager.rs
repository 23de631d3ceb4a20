//! `async with` of locks, semaphores and conditions: the methods of `_ContextManagerMixin`.
//!
//! They call `acquire` and `release` of their object; native code passes over these where it stands in for them, too. Who
//! enters a `Lock` waits for it without the coroutine of `acquire`, which is made when somebody looks for it.

use crate::graft::Graft;
use crate::graft::coroutine::{self, Body, Coroutine, Fold, Input, Step, become_python};
use crate::sys::error::restore;
use crate::sys::object::none;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res};

use super::lock::LOCKS;
use super::{condition, lock, semaphore};

pub(crate) static ENTER: Graft = Graft::new(LOCKS, "_ContextManagerMixin.__aenter__", vectorcall!(enter)).with(CLASSES);
pub(crate) static EXIT: Graft = Graft::new(LOCKS, "_ContextManagerMixin.__aexit__", vectorcall!(exit)).with(CLASSES);

/// In which `acquire` and `release` are looked up. (`BoundedSemaphore` has the one of its base, and may get its own.)
const CLASSES: &[&str] =
    &["asyncio.locks:Lock", "asyncio.locks:Semaphore", "asyncio.locks:BoundedSemaphore", "asyncio.locks:Condition"];

static ENTER_BODY: Body = Body::new(&ENTER, run_enter).folding(Fold {
    unfold: |coroutine, future| lock::unfolded(&coroutine.subject(), future),
    woken: |coroutine, future| lock::acquired(&coroutine.subject(), future),
});
static EXIT_BODY: Body = Body::new(&EXIT, run_exit);

/// A class of theirs.
struct Managed {
    is_exact: fn(&Object) -> bool,
    /// Of a subclass, too.
    fits: fn(&Object) -> bool,
    /// What must be on for `enter` to do what `acquire` would, and for `exit` to do what `release` would.
    acquire: &'static Graft,
    release: &'static Graft,
    enter: fn(&Object, u16) -> Option<Res<Step>>,
    exit: fn(&Object) -> Option<Res<()>>,
}

static MANAGED: [Managed; 4] = [
    Managed {
        is_exact: lock::is_exact,
        fits: lock::fits,
        acquire: &lock::ACQUIRE,
        release: &lock::RELEASE,
        enter: lock::enter_folded,
        exit: lock::let_go,
    },
    Managed {
        is_exact: semaphore::is_exact,
        fits: semaphore::fits,
        acquire: &semaphore::ACQUIRE,
        release: &semaphore::RELEASE,
        enter: semaphore::enter,
        exit: semaphore::let_go,
    },
    Managed {
        is_exact: semaphore::is_exactly_bounded,
        fits: semaphore::fits_bounded,
        acquire: &semaphore::ACQUIRE,
        release: &semaphore::BOUNDED_RELEASE,
        enter: semaphore::enter,
        exit: semaphore::let_go_bounded,
    },
    Managed {
        is_exact: condition::is_exact,
        fits: condition::fits,
        acquire: &condition::WAIT,
        release: &condition::WAIT,
        enter: condition::enter,
        exit: condition::let_go,
    },
];

#[inline]
fn managed(object: &Object) -> Option<&'static Managed> {
    let of = |fits: fn(&Managed) -> fn(&Object) -> bool| MANAGED.iter().find(|managed| fits(managed)(object));
    of(|managed| managed.is_exact).or_else(|| of(|managed| managed.fits))
}

fn enter(call: &Call<'_>) -> Option<Res<Owned>> {
    let [object] = call.positional()?;
    let managed = managed(object)?;
    if !ENTER.makes(call, managed.acquire.names_are_unchanged()) {
        return None;
    }
    Some(coroutine::new(&ENTER_BODY, Some(object), None))
}

fn run_enter(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let object = coroutine.subject();
    match input {
        Input::Start => managed(&object)
            .filter(|managed| ENTER.is_on_itself() && managed.acquire.is_on())
            .and_then(|managed| (managed.enter)(&object, 0))
            .unwrap_or_else(|| become_python(coroutine, &[&*object])),
        Input::Value(_) => Ok(Step::Return(none().own())),
        Input::Error(exception) => Err(restore(exception)),
    }
}

fn exit(call: &Call<'_>) -> Option<Res<Owned>> {
    let [object, ..] = call.positional::<4>()?;
    let managed = managed(object)?;
    if !EXIT.makes(call, managed.release.names_are_unchanged()) {
        return None;
    }
    Some(coroutine::new(&EXIT_BODY, Some(object), None))
}

fn run_exit(coroutine: &Coroutine, _: Input) -> Res<Step> {
    let object = coroutine.subject();
    let released = managed(&object)
        .filter(|managed| EXIT.is_on_itself() && managed.release.is_on())
        .and_then(|managed| (managed.exit)(&object));
    match released {
        Some(done) => done.map(|()| Step::Return(none().own())),
        None => become_python(coroutine, &[&*object, none(), none(), none()]),
    }
}
