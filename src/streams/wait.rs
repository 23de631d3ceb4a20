//! `StreamReader._wait_for_data`: a future in `_waiter`, which is done when something was fed.

use crate::graft::Graft;
use crate::graft::coroutine::{self, Body, Coroutine, Input, Step, become_python};
use crate::graft::running::Running;
use crate::names::PRIVATE_WAITER;
use crate::sys::error::{handling, restore};
use crate::sys::object::none;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res, call};

use super::STREAMS;
use super::reader::{READER, at_end, belongs_to, has_no_waiter, is_paused, set_waiter};

pub(crate) static WAIT_FOR_DATA: Graft = Graft::new(STREAMS, "StreamReader._wait_for_data", vectorcall!(wait_for_data));

static BODY: Body = Body::new(&WAIT_FOR_DATA, run);

fn wait_for_data(call: &Call<'_>) -> Option<Res<Owned>> {
    let [reader, name] = call.positional()?;
    if !WAIT_FOR_DATA.makes(call, READER.fits(reader)) {
        return None;
    }
    Some(new(reader, name))
}

/// `reader._wait_for_data(name)`
#[inline]
pub(super) fn new(reader: &Object, name: &Object) -> Res<Owned> {
    coroutine::new(&BODY, Some(reader), Some(name))
}

fn run(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let reader = coroutine.subject();
    match input {
        Input::Start => begin(coroutine, &reader),
        Input::Value(_) => forget_waiter(&reader).map(|()| Step::Return(none().own())),
        Input::Error(exception) => {
            handling(&exception, || forget_waiter(&reader))?;
            Err(restore(exception))
        }
    }
}

fn begin(coroutine: &Coroutine, object: &Object) -> Res<Step> {
    let python = || become_python(coroutine, &[object, &*coroutine.first.get_or_none()]);
    let Some(reader) = READER.of(object).filter(|_| WAIT_FOR_DATA.is_on()) else { return python() };
    let is_usual = has_no_waiter(reader) && at_end(reader) == Some(false) && is_paused(reader) == Some(false);
    let running = Running::find().filter(|running| is_usual && belongs_to(reader, running));
    let Some(running) = running else { return python() };
    let Some(future) = running.new_future()? else { return python() };
    set_waiter(reader, future.as_object())?;
    Ok(Step::Wait(0, future))
}

/// `self._waiter = None`
#[inline]
fn forget_waiter(object: &Object) -> Res<()> {
    match READER.of(object) {
        Some(reader) if has_no_waiter(reader) => Ok(()),
        Some(reader) => set_waiter(reader, none()),
        None => call::setattr(object, &PRIVATE_WAITER, none()),
    }
}
