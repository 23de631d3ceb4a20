//! `loop.run_in_executor`, of a loop of ours: the executor's `submit`, and a future of the loop's that follows its future.
//!
//! The default executor is made by the body in Python, by its first call.

use crate::graft::Graft;
use crate::names::{CHECK_DEFAULT_EXECUTOR, DEFAULT_EXECUTOR, LOOP, SUBMIT};
use crate::sched;
use crate::sys::error::fetch;
use crate::sys::lazy::Once;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Object, Owned, Res, call, containers};

use super::wrap_future::{WRAP_FUTURE, wrap};

pub(crate) static RUN_IN_EXECUTOR: Graft =
    Graft::new("asyncio.base_events", "BaseEventLoop.run_in_executor", vectorcall!(run_in_executor));

fn run_in_executor(call: &Call<'_>) -> Option<Res<Owned>> {
    let &[event_loop, ref submitted @ ..] = call.arguments.positional else { return None };
    let &[executor, _, ..] = submitted else { return None };
    if call.arguments.has_keywords() || !RUN_IN_EXECUTOR.takes(call) || !sched::makes_native_futures(event_loop) {
        return None;
    }
    if !executor.is_none() {
        return Some(run(event_loop, submitted));
    }
    let default = call::getattr(event_loop, &DEFAULT_EXECUTOR).map_err(fetch).ok().filter(|it| !it.is_none())?;
    let run_by_default = || {
        call::call_method(&CHECK_DEFAULT_EXECUTOR, &[event_loop], None)
            .map_err(|raised| RUN_IN_EXECUTOR.raised_by("_check_default_executor", raised))?;
        let mut submitted = submitted.to_vec();
        submitted[0] = &default;
        run(event_loop, &submitted)
    };
    Some(run_by_default())
}

/// `wrap_future(executor.submit(func, *args), loop=event_loop)`, of `[executor, func, *args]`. The first of the two
/// functions is looked up before the other is called.
fn run(event_loop: &Object, submitted: &[&Object]) -> Res<Owned> {
    let function = WRAP_FUTURE.function()?;
    let source =
        call::call_method(&SUBMIT, submitted, None).map_err(|raised| RUN_IN_EXECUTOR.raised_by("submit", raised))?;
    let is_on = RUN_IN_EXECUTOR.is_on() && WRAP_FUTURE.is_on();
    let wrapped = if is_on { wrap(&source, event_loop) } else { None };
    wrapped
        .unwrap_or_else(|| call::call_with_keywords(&function, &[&*source, event_loop], loop_keyword()?))
        .map_err(|raised| RUN_IN_EXECUTOR.raised_by("wrap_future+", raised))
}

/// `("loop",)`
fn loop_keyword() -> Res<&'static Object> {
    static KEYWORD: Once = Once::new();
    KEYWORD.get_or_init(|| containers::tuple(&[LOOP.object()]))
}
