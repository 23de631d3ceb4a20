//! `Timeout.__aexit__`, of a timeout that has not expired.

use crate::graft::Graft;
use crate::graft::coroutine::{self, Body, Coroutine, Input, Step};
use crate::graft::running::Running;
use crate::handle;
use crate::replaced;
use crate::sys::object::none;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res, containers};

use super::{Found, HANDLER, MODULE, SHAPE, STATE};

pub(crate) static EXIT: Graft = Graft::new(MODULE, "Timeout.__aexit__", vectorcall!(aexit));

static BODY: Body = Body::new(&EXIT, run).packed();

fn aexit(call: &Call<'_>) -> Option<Res<Owned>> {
    let [timeout, raised @ ..] = call.positional::<4>()?;
    if !EXIT.makes(call, SHAPE.fits(timeout)) {
        return None;
    }
    if raised.iter().all(|each| each.is_none()) {
        return Some(coroutine::new(&BODY, Some(timeout), None));
    }
    Some(containers::tuple(&raised).and_then(|raised| coroutine::new(&BODY, Some(timeout), Some(&raised))))
}

fn run(coroutine: &Coroutine, _: Input) -> Res<Step> {
    if EXIT.is_on() && leave(&coroutine.subject())? {
        return Ok(Step::Return(none().own()));
    }
    coroutine::in_python(coroutine).map(Step::Become)
}

/// `__aexit__(...)`, where that is known; false, and nothing is done, if it is not as simple as that.
pub(super) fn leave(timeout: &Object) -> Res<bool> {
    let Some((attributes, found)) = SHAPE.of(timeout).zip(Found::get()) else { return Ok(false) };
    let (Some(entered), Some(exited)) = (found.entered.get(), found.exited.get()) else { return Ok(false) };
    let handler = attributes.get(HANDLER).filter(|_| attributes.holds(STATE, &entered) && Running::find().is_some());
    let Some(handler) = handler else { return Ok(false) };
    if handler.is_none() {
        attributes.set(STATE, &exited)?;
        return Ok(true);
    }
    let Some(native) = handle::downcast(&handler).filter(|_| replaced::all_as_made()) else { return Ok(false) };
    handle::cancel(native)?;
    // What the timer was to do is let go of, which may run Python code. If that has done something to the timeout, the
    // body begins anew, and cancels once more what is cancelled.
    let Some(attributes) = SHAPE.of(timeout).filter(|attributes| attributes.holds(STATE, &entered)) else {
        return Ok(false);
    };
    attributes.set(HANDLER, none())?; // the handle is ours, too: nothing ends
    attributes.set(STATE, &exited)?;
    Ok(true)
}
