//! `asyncio.wrap_future`, of a `concurrent.futures.Future`: a future of the loop that follows it.

use crate::future;
use crate::graft::Graft;
use crate::graft::loop_argument::loop_argument;
use crate::graft::running::Running;
use crate::sched;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res};
use crate::task;

use super::chain_future::{CHAIN_FUTURE, Functions};

pub(crate) static WRAP_FUTURE: Graft = Graft::new("asyncio.futures", "wrap_future", vectorcall!(wrap_future));

fn wrap_future(call: &Call<'_>) -> Option<Res<Owned>> {
    let &[wrapped] = call.arguments.positional else { return None };
    let given = loop_argument(call).ok()?;
    if !WRAP_FUTURE.takes(call) {
        return None;
    }
    if task::as_exact_future(wrapped).is_some() {
        return Some(Ok(wrapped.own()));
    }
    match given {
        Some(event_loop) => wrap(wrapped, event_loop),
        None => wrap(wrapped, Running::find()?.event_loop()),
    }
}

/// `wrap_future(source, loop=event_loop)`; `None`, and nothing is done, if that is for Python code.
pub(super) fn wrap(source: &Object, event_loop: &Object) -> Option<Res<Owned>> {
    if !CHAIN_FUTURE.is_on() || !sched::makes_native_futures(event_loop) {
        return None;
    }
    let functions = Functions::for_source(source)?;
    Some(future::make(event_loop).and_then(|made| {
        functions
            .chain(source, made.as_object(), event_loop)
            .map_err(|raised| WRAP_FUTURE.raised_by("_chain_future", raised))?;
        Ok(made.into_object())
    }))
}
