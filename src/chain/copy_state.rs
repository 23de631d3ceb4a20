//! `asyncio.futures._copy_future_state`: a future of a loop's gets the outcome of one of a thread's that is finished.

use crate::future::{self, FutureObject};
use crate::graft::Graft;
use crate::sys::object::none;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res};

use super::concurrent::{self, Finished};

pub(crate) static COPY_STATE: Graft =
    Graft::new("asyncio.futures", "_copy_future_state", vectorcall!(copy_future_state)).with(&[concurrent::CLASS]);

fn copy_future_state(call: &Call<'_>) -> Option<Res<Owned>> {
    let [source, destination] = call.positional()?;
    if !COPY_STATE.takes(call) {
        return None;
    }
    copy(source, destination).map(|copied| copied.map(|()| none().own()))
}

/// A future of exactly our type, about which nothing can be overridden.
pub(super) fn as_destination(object: &Object) -> Option<&FutureObject> {
    future::TYPE.downcast_exact(object).filter(|future| future.has_no_attributes())
}

/// `_copy_future_state(source, destination)`; `None`, and nothing is done, if that is for Python code.
pub(super) fn copy(source: &Object, destination: &Object) -> Option<Res<()>> {
    let future = as_destination(destination)?;
    if !COPY_STATE.is_on() || !concurrent::is_one(source) {
        return None;
    }
    let outcome = concurrent::outcome(source)?;
    if future.is_cancelled() {
        return Some(Ok(()));
    }
    if !future.is_pending() {
        return None;
    }
    // Its loop may be closed.
    let (called, set) = match outcome {
        Finished::Result(value) => ("set_result", future::set_result(future, value)),
        Finished::Exception(exception) => ("set_exception", future::set_exception(future, &exception)),
    };
    Some(set.map_err(|raised| COPY_STATE.raised_by(called, raised)))
}
