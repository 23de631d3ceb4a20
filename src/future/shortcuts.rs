//! Callbacks that only complete a future: `future.set_result`, and what `asyncio.sleep` gives to its timer.

use crate::asyncio::{self, SET_RESULT_UNLESS_CANCELLED};
use crate::job::{Job, shortcuts};
use crate::sys::typeobj::{bound_object, is_bound_function};
use crate::sys::{Layout, Object, Owned, Res, containers};

use super::object::{FutureObject, State, TYPE, initialize_new};
use super::result::set_result;

/// `future.set_result(value)`; the target is the bound method.
static SET_RESULT: Job = Job {
    run: |method, value| match (bound_future(method), value) {
        (Some(future), Some(value)) => set_result(&future, value.own()),
        _ => Ok(()), // the collector has taken the handle apart
    },
    callback: |method, value| Ok((method.own(), value.map(Layout::own))),
    stop: None,
    takes_several: false,
    needs_context: false,
};

/// `_set_result_unless_cancelled(future, value)`; the argument is the tuple of both.
static SET_RESULT_UNLESS: Job = Job {
    run: |_, arguments| {
        let Some(arguments) = arguments else { return Ok(()) };
        let (future, value) = (containers::tuple_item(arguments, 0)?, containers::tuple_item(arguments, 1)?);
        match TYPE.downcast_exact(&future) {
            Some(future) if future.state() == State::Cancelled => Ok(()),
            Some(future) => set_result(future, value),
            None => Ok(()),
        }
    },
    callback: |function, arguments| Ok((function.own(), arguments.map(Layout::own))),
    stop: None,
    takes_several: true,
    needs_context: false,
};

fn bound_future(method: &Object) -> Option<Owned<FutureObject>> {
    bound_object(method).and_then(|object| TYPE.downcast_exact(object).map(Layout::own))
}

#[inline]
fn job_of(callback: &Object, arguments: &[&Object]) -> Option<&'static Job> {
    match arguments {
        [_] if is_bound_function(callback, super::methods::set_result_function())
            && bound_future(callback).is_some() =>
        {
            Some(&SET_RESULT)
        }
        [future, _]
            if TYPE.is_exact(future) && SET_RESULT_UNLESS_CANCELLED.find().is_some_and(|known| known.is(callback)) =>
        {
            Some(&SET_RESULT_UNLESS)
        }
        _ => None,
    }
}

/// A new future of the loop.
pub(crate) fn make(event_loop: &Object) -> Res<Owned<FutureObject>> {
    asyncio::prepare();
    let future = TYPE.allocate()?;
    initialize_new(&future, event_loop)?;
    Ok(future)
}

/// Tells the scheduler. Called once, by the module's initialisation.
pub(super) fn init() {
    shortcuts::register_future(TYPE.as_object(), |event_loop| make(event_loop).map(Owned::into_object));
    shortcuts::register_callbacks(job_of);
}
