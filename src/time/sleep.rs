//! `asyncio.sleep`.

use crate::asyncio::SET_RESULT_UNLESS_CANCELLED;
use crate::graft::Graft;
use crate::graft::coroutine::{self, Body, Coroutine, Input, Step, become_python};
use crate::graft::running::Running;
use crate::names::SLEEP0;
use crate::sched;
use crate::sys::error::{handling, restore};
use crate::sys::lazy::Lazy;
use crate::sys::object::none;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res, call, containers};

pub(crate) static SLEEP: Graft = Graft::new("asyncio.tasks", "sleep", vectorcall!(sleep));

static BODY: Body = Body::new(&SLEEP, run).yielding(sleep0);

/// `__sleep0()`
fn sleep0() -> Res<Owned> {
    call::call_method(&SLEEP0, &[TASKS.get()?], None)
}

static TASKS: Lazy = Lazy::new("asyncio", "tasks");

/// Where the body is: it has yielded once, or waits for its timer.
const YIELDED: u16 = 1;
const SLEEPS: u16 = 2;

fn sleep(call: &Call<'_>) -> Option<Res<Owned>> {
    let (delay, result) = match *call.arguments.positional {
        [delay] => (delay, none()),
        [delay, result] => (delay, result),
        _ => return None,
    };
    let is_number = containers::is_exact_int(delay) || containers::is_exact_float(delay);
    if !SLEEP.makes(call, is_number && !call.arguments.has_keywords()) {
        return None;
    }
    Some(coroutine::new(&BODY, Some(delay), Some(result)))
}

/// `subject` is the delay, `first` the result, `second` the timer's handle.
fn run(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let stage = coroutine.stage.get();
    match input {
        Input::Start => begin(coroutine),
        Input::Error(exception) => {
            if stage == SLEEPS {
                handling(&exception, || cancel(coroutine))?;
            }
            Err(restore(exception))
        }
        Input::Value(_) if stage == YIELDED => Ok(Step::Return(coroutine.first.get_or_none())),
        Input::Value(result) => {
            cancel(coroutine)?;
            Ok(Step::Return(result))
        }
    }
}

fn begin(coroutine: &Coroutine) -> Res<Step> {
    let (delay, result) = (coroutine.subject(), coroutine.first.get_or_none());
    let python = || become_python(coroutine, &[&*delay, &*result]);
    if !SLEEP.is_on() {
        return python();
    }
    // One that does not fit a float is for Python code to refuse.
    let Some(seconds) = containers::float_or_none(&delay) else { return python() };
    if seconds <= 0.0 {
        coroutine.stage.set(YIELDED);
        return Ok(Step::Yield(0));
    }
    let Some(running) = Running::find().filter(|_| !seconds.is_nan()) else { return python() };
    let Some(future) = running.new_future()? else { return python() };
    let callback = SET_RESULT_UNLESS_CANCELLED.get()?;
    match running.call_later(seconds, callback, &[future.as_object(), &*result]) {
        None => python(),
        Some(timer) => {
            coroutine.second.set(timer?);
            coroutine.stage.set(SLEEPS);
            Ok(Step::Wait(1, future))
        }
    }
}

/// `h.cancel()`
fn cancel(coroutine: &Coroutine) -> Res<()> {
    coroutine.second.take().map_or(Ok(()), |timer: Owned<Object>| sched::cancel(&timer))
}
