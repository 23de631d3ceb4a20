//! `asyncio.ensure_future`, of a future or a coroutine.
//!
//! Another awaitable is awaited by a coroutine that its body makes, in Python.

use crate::graft::Graft;
use crate::graft::coroutine;
use crate::graft::loop_argument::loop_argument;
use crate::graft::running::Running;
use crate::names::CLOSE;
use crate::sys::args::Arguments;
use crate::sys::error::{Builtin, fetch, handling, matches, restore};
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Raised, Res, call};
use crate::task;

pub(crate) static ENSURE_FUTURE: Graft = Graft::new("asyncio.tasks", "ensure_future", vectorcall!(ensure_future));

fn ensure_future(call: &Call<'_>) -> Option<Res<Owned>> {
    let &[awaited] = call.arguments.positional else { return None };
    let given = loop_argument(call).ok()?;
    if !ENSURE_FUTURE.takes(call) {
        return None;
    }
    if let Some(future) = task::as_exact_future(awaited) {
        let fits = given.is_none_or(|given| future.has_no_attributes() && future.belongs_to(given));
        return fits.then(|| Ok(awaited.own()));
    }
    if !coroutine::is_coroutine(awaited) {
        return None;
    }
    let running = Running::find().filter(|running| given.is_none_or(|given| given.is(running.event_loop())))?;
    if running.makes_native_tasks() {
        return Some(running.create_native_task(awaited));
    }
    let made = running.create_task(Arguments::of(&[awaited]))?;
    Some(made.map_err(|raised| failed(awaited, raised)))
}

/// The task factory has raised. After a `RuntimeError` nobody will await the coroutine.
#[cold]
fn failed(awaited: &Object, raised: Raised) -> Raised {
    let exception = fetch(ENSURE_FUTURE.raised_by("create_task", raised));
    if matches(&exception, Builtin::RuntimeError.class()) {
        let close = || call::call_method(&CLOSE, &[awaited], None);
        if let Err(raised) = handling(&exception, close) {
            return ENSURE_FUTURE.raised_by("close", raised);
        }
    }
    restore(exception)
}
