//! `asyncio.wait_for`: a `Timeout` around an `await`.
//!
//! The timeout is made when somebody looks for it, at the loop's timers ([`hidden`]), and then is one as Python code would
//! make. Native code awaits a coroutine, a future or a task inside of it, and leaves it if it has not expired. One that has
//! is left by its `__aexit__`, called as `async with` does it.
//!
//! `subject` is what is awaited, `first` the time; `second` is the hidden timeout, and while its `__aexit__` runs in
//! Python, the result or the exception.

use crate::graft::Graft;
use crate::graft::coroutine::{self, Body, Coroutine, Input, Step, become_python};
use crate::graft::running::Running;
use crate::names::TIMEOUT;
use crate::sys::error::{Builtin, handling, raise, restore, traceback};
use crate::sys::iter::{Sent, is_native_coroutine, is_suspended, send_none};
use crate::sys::object::none;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res, call, containers};
use crate::task;

use super::timeout;
use super::timeout::hidden::{self, Hidden};

pub(crate) static WAIT_FOR: Graft = Graft::new("asyncio.tasks", "wait_for", vectorcall!(wait_for));

static BODY: Body = Body::new(&WAIT_FOR, run);

/// Where the code awaits: what was given, `__aexit__` after that, `__aexit__` after an exception.
const AWAITED: u16 = 2;
const AFTER_RESULT: u16 = 3;
const AFTER_ERROR: u16 = 4;

/// Where the body is: it waits; it awaits `__aexit__`, with a result or with an exception.
const WAITS: u16 = 1;
const HAS_RESULT: u16 = 2;
const HAS_ERROR: u16 = 3;

fn wait_for(call: &Call<'_>) -> Option<Res<Owned>> {
    let (awaited, seconds) = arguments(call)?;
    let is_number = containers::is_exact_float(seconds) || containers::is_exact_int(seconds);
    if !WAIT_FOR.makes(call, is_number || seconds.is_none()) {
        return None;
    }
    Some(coroutine::new(&BODY, Some(awaited), Some(seconds)))
}

/// What is awaited, and the time.
fn arguments<'a>(call: &Call<'a>) -> Option<(&'a Object, &'a Object)> {
    let mut keywords = call.arguments.keywords();
    match (call.arguments.positional, keywords.next()) {
        (&[awaited, seconds], None) => Some((awaited, seconds)),
        (&[awaited], Some((keyword, seconds))) if TIMEOUT.is(keyword) && keywords.next().is_none() => {
            Some((awaited, seconds))
        }
        _ => None,
    }
}

fn run(coroutine: &Coroutine, input: Input) -> Res<Step> {
    match (coroutine.stage.get(), input) {
        (_, Input::Start) => begin(coroutine),
        (WAITS, Input::Value(value)) => leave(coroutine, value),
        (WAITS, Input::Error(exception)) => leave_with(coroutine, exception),
        (HAS_RESULT, Input::Value(_)) => Ok(Step::Return(coroutine.second.take().unwrap_or_else(|| none().own()))),
        (_, Input::Value(swallows)) => raise_unless(coroutine, &swallows),
        (_, Input::Error(exception)) => Err(restore(exception)),
    }
}

fn begin(coroutine: &Coroutine) -> Res<Step> {
    let (awaited, seconds) = (coroutine.subject(), coroutine.first.get_or_none());
    match enter(&awaited, &seconds)? {
        None => become_python(coroutine, &[&*awaited, &*seconds]),
        Some(entered) => {
            coroutine.second.set(entered.into_object());
            coroutine.stage.set(WAITS);
            Ok(match task::as_exact_future(&awaited) {
                Some(future) => Step::Wait(AWAITED, future.own()),
                None => Step::Await(AWAITED, awaited),
            })
        }
    }
}

/// The timeout, entered; `None`, and nothing is done, if it is not as simple as that.
fn enter(awaited: &Object, seconds: &Object) -> Res<Option<Owned<Hidden>>> {
    let takes_time = || containers::float_or_none(seconds).is_some_and(|seconds| seconds > 0.0);
    // The first goes for `timeout` and `Timeout`, too: the code names them.
    let are_on = WAIT_FOR.is_on() && timeout::ENTER.is_on() && timeout::EXIT.names_are_unchanged();
    if !are_on || !(seconds.is_none() || takes_time()) || !may_be_awaited(awaited)? {
        return Ok(None);
    }
    let Some(running) = Running::find() else { return Ok(None) };
    hidden::enter(&running, seconds)
}

/// Is it a future of ours, or a coroutine that nobody awaits yet? (An `await` in Python refuses one that is.)
fn may_be_awaited(object: &Object) -> Res<bool> {
    if task::as_exact_future(object).is_some() {
        return Ok(true);
    }
    match coroutine::downcast(object) {
        Some(native) => Ok(!native.is_suspended()),
        None => Ok(is_native_coroutine(object) && !is_suspended(object)?),
    }
}

/// What it waits in.
fn limit(coroutine: &Coroutine) -> Res<Owned<Hidden>> {
    let second = coroutine.second.get_or_none();
    let hidden = hidden::downcast(&second).map(Layout::own);
    hidden.ok_or_else(|| raise(Builtin::SystemError.class(), c"a wait_for without its timeout"))
}

/// What was awaited has this result.
fn leave(coroutine: &Coroutine, value: Owned) -> Res<Step> {
    let limit = limit(coroutine)?;
    if timeout::EXIT.is_on() && limit.leave()? {
        return Ok(Step::Return(value));
    }
    let entered = limit.timeout()?;
    coroutine.second.set(value);
    coroutine.stage.set(HAS_RESULT);
    coroutine.now_awaits(AFTER_RESULT);
    let exiting = call::call(&*timeout::EXIT.function()?, &[&*entered, none(), none(), none()])?;
    Ok(Step::Await(AFTER_RESULT, exiting))
}

/// What was awaited has raised: so does this, unless `__aexit__` raises something else, or is true.
fn leave_with(coroutine: &Coroutine, exception: Owned) -> Res<Step> {
    let limit = limit(coroutine)?;
    if timeout::EXIT.is_on() && handling(&exception, || limit.leave())? {
        return Err(restore(exception));
    }
    let entered = limit.timeout()?;
    coroutine.note_raised(&exception);
    coroutine.now_awaits(AFTER_ERROR);
    let traceback = traceback(&exception).unwrap_or_else(|| none().own());
    let arguments: [&Object; 4] = [&entered, exception.class().as_object(), &exception, &traceback];
    let exit = || -> Res<(Owned, Sent)> {
        let exiting = call::call(&*timeout::EXIT.function()?, &arguments)?;
        let sent = send_none(&exiting)?;
        Ok((exiting, sent))
    };
    let (exiting, sent) = handling(&exception, exit)?;
    coroutine.second.set(exception);
    match sent {
        Sent::Returned(swallows) => raise_unless(coroutine, &swallows),
        Sent::Yielded(yielded) => {
            coroutine.stage.set(HAS_ERROR);
            Ok(Step::Awaits(AFTER_ERROR, exiting, yielded))
        }
    }
}

/// What `__aexit__` has returned says whether the exception ends here.
fn raise_unless(coroutine: &Coroutine, swallows: &Object) -> Res<Step> {
    let swallowed = call::is_true(swallows)?;
    let exception = coroutine.second.take().filter(|_| !swallowed);
    Ok(exception.map_or_else(|| Step::Return(none().own()), Step::Reraise))
}
