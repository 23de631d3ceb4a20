//! `StreamReader._wait_for_data`: a future in `_waiter`, which is done when something was fed.

use crate::future::FutureObject;
use crate::graft::Graft;
use crate::graft::coroutine::{self, Body, Coroutine, Inner, Input, Step, become_python};
use crate::graft::running::Running;
use crate::names::PRIVATE_WAITER;
use crate::sys::error::{handling, restore};
use crate::sys::object::none;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res, call};

use super::STREAMS;
use super::reader::{READER, Reader, at_end, belongs_to, has_no_waiter, is_paused, set_waiter};

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
    let usual = READER.of(object).filter(|_| WAIT_FOR_DATA.is_on()).and_then(for_data);
    match usual {
        Some(future) => Ok(Step::Wait(0, future?)),
        None => become_python(coroutine, &[object, &*coroutine.first.get_or_none()]),
    }
}

/// A future that is the reader's `_waiter` now. `None`, and nothing is done, if that is for Python code.
#[inline]
fn for_data(reader: Reader<'_>) -> Option<Res<Owned<FutureObject>>> {
    let is_usual = has_no_waiter(reader) && !at_end(reader)? && !is_paused(reader)?;
    let running = Running::find().filter(|running| is_usual && belongs_to(reader, running))?;
    let future = match running.new_future() {
        Ok(future) => future?,
        Err(raised) => return Some(Err(raised)),
    };
    Some(set_waiter(reader, future.as_object()).map(|()| future))
}

/// What a function does that awaits it, of which native code does all: it waits itself, at its own `await` of that number.
/// `None`, and nothing is done, if the coroutine has to be made.
#[inline]
pub(super) fn folded(place: u16, reader: Reader<'_>) -> Option<Res<Step>> {
    Some(for_data(reader)?.map(|future| Step::WaitFolded(place, future)))
}

/// The coroutine that such a function has not made, which waits for the future.
#[cold]
pub(super) fn unfolded(reader: &Object, name: &Object, future: &FutureObject) -> Res<Owned> {
    Inner { body: &BODY, subject: reader, first: Some(name), second: None, place: 0 }.waiting_for(future)
}

/// The wait is over, and there is nothing left to do of it; and taking data out is all there is to do with them.
#[inline]
fn is_over(reader: Reader<'_>) -> bool {
    has_no_waiter(reader) && is_paused(reader) == Some(false)
}

/// Goes on, where that is over, with the reader that a folded coroutine has as its subject. `None`, and nothing is done, if
/// the coroutines that were not made have to.
#[inline]
pub(super) fn woken(
    coroutine: &Coroutine,
    graft: &Graft,
    go_on: impl FnOnce(&Object, Reader<'_>) -> Option<Res<Step>>,
) -> Option<Res<Step>> {
    let object = coroutine.subject();
    let reader = READER.of(&object).filter(|&reader| graft.is_on() && is_over(reader))?;
    go_on(&object, reader)
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
