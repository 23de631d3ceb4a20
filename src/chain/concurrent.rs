//! `concurrent.futures.Future`: the outcome of one that is finished.
//!
//! asyncio asks `done()`, `cancelled()`, `exception()` and `result()`, which take the future's lock one after the other
//! (3.15: `_get_snapshot()`, without a lock). A future that is finished stays so: its outcome can be read where it is,
//! as long as these methods are those of the class (`Graft::with`), and the instance hides none.

use crate::graft::shape::Shape;
use crate::names::{
    ASYNCIO_FUTURE_BLOCKING, CANCELLED_METHOD, DONE, EXCEPTION, FINISHED, GET_RESULT_MANGLED, GET_SNAPSHOT,
    PRIVATE_EXCEPTION, PRIVATE_RESULT, RESULT, STATE,
};
use crate::sys::error::{Builtin, is_exception, matches};
use crate::sys::lazy::Lazy;
use crate::sys::{Layout, Object, Owned};

/// The class, for `Graft::with`.
pub(super) const CLASS: &str = "concurrent.futures._base:Future";

static FUTURE: Shape<3> = Shape::new(
    "concurrent.futures._base",
    "Future",
    [&STATE, &PRIVATE_RESULT, &PRIVATE_EXCEPTION],
    &[&CANCELLED_METHOD, &DONE, &EXCEPTION, &GET_RESULT_MANGLED, &GET_SNAPSHOT, &RESULT],
);
const ITS_STATE: usize = 0;
const ITS_RESULT: usize = 1;
const ITS_EXCEPTION: usize = 2;

/// What `_convert_future_exc` makes others of, in some release.
static CONVERTED: [Lazy; 3] = [
    Lazy::new("concurrent.futures._base", "CancelledError"),
    Lazy::new("concurrent.futures._base", "InvalidStateError"),
    Lazy::new("concurrent.futures._base", "TimeoutError"),
];

/// What became of it.
pub(super) enum Finished {
    Result(Owned),
    Exception(Owned),
}

/// Is it exactly one, and nothing that `isfuture` takes for one of asyncio's?
pub(super) fn is_one(object: &Object) -> bool {
    FUTURE.fits(object) && object.class().find(&ASYNCIO_FUTURE_BLOCKING).is_none()
}

/// The outcome of one that is finished, unless asyncio makes something else of it. Runs no Python code.
pub(super) fn outcome(object: &Object) -> Option<Finished> {
    let attributes = FUTURE.of(object)?;
    if !attributes.holds(ITS_STATE, FINISHED.object()) {
        return None;
    }
    let (result, exception) = (attributes.get(ITS_RESULT)?, attributes.get(ITS_EXCEPTION)?);
    if exception.is_none() {
        return Some(Finished::Result(result));
    }
    // A future refuses, or converts, what is no exception, and a `StopIteration`.
    let is_usual = is_exception(&exception)
        && !matches(&exception, Builtin::StopIteration.class())
        && !CONVERTED.iter().any(|class| class.find().is_none_or(|class| exception.class().is(class)));
    is_usual.then_some(Finished::Exception(exception))
}
