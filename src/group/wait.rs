//! `asyncio.wait`, for futures of the running loop in a list, a tuple or a set.
//!
//! `wait` looks at its arguments and awaits `_wait`, which does the waiting. When that goes on, and something of asyncio's
//! was replaced meanwhile, what is left to do is done by looking it up, in Python ([`super::waiting`]).

use crate::graft::Graft;
use crate::graft::coroutine::{self, Body, Coroutine, Input, Step};
use crate::graft::running::Running;
use crate::names::{ALL_COMPLETED, RETURN_WHEN, TIMEOUT};
use crate::state::thread;
use crate::sys::error::{handling, restore};
use crate::sys::lazy::Lazy;
use crate::sys::object::none;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res, containers};
use crate::task;
use crate::versions;

use super::waiting::{self, INNER, TYPE, Waiting};

pub(crate) static WAIT: Graft = Graft::new("asyncio.tasks", "wait", vectorcall!(wait));

/// `first` is the tuple of `timeout` and `return_when`.
static BODY: Body = Body::new(&WAIT, run).with_keywords(&[&TIMEOUT, &RETURN_WHEN]);
/// `first` is the tuple of `timeout`, `return_when` and the loop, `second` the call as [`Waiting`].
static INNER_BODY: Body = Body::new(&INNER, run_inner).packed().calling(&["remove_done_callback", "done"]);
const LEAVES: u16 = 0;
const SORTS: u16 = 1;

static RELEASE_WAITER: Lazy = Lazy::new("asyncio.tasks", "_release_waiter");

fn wait(call: &Call<'_>) -> Option<Res<Owned>> {
    let &[futures] = call.arguments.positional else { return None };
    let (mut timeout, mut condition) = (none(), ALL_COMPLETED.object());
    for (keyword, value) in call.arguments.keywords() {
        if TIMEOUT.is(keyword) {
            timeout = value;
        } else if RETURN_WHEN.is(keyword) {
            condition = value;
        } else {
            return None;
        }
    }
    if !WAIT.makes(call, true) {
        return None;
    }
    Some(containers::tuple(&[timeout, condition]).and_then(|given| coroutine::new(&BODY, Some(futures), Some(&*given))))
}

fn run(coroutine: &Coroutine, input: Input) -> Res<Step> {
    match input {
        Input::Start => match begin(coroutine)? {
            Some(inner) => Ok(Step::Await(0, inner)),
            None => coroutine::in_python(coroutine).map(Step::Become),
        },
        Input::Value(value) => Ok(Step::Return(value)),
        Input::Error(exception) => Err(restore(exception)),
    }
}

/// The coroutine of `_wait`; `None`, and nothing is done, if that is for Python code.
fn begin(coroutine: &Coroutine) -> Res<Option<Owned>> {
    let (futures, given) = (coroutine.subject(), coroutine.first.get_or_none());
    let (timeout, condition) = (containers::tuple_item(&given, 0)?, containers::tuple_item(&given, 1)?);
    let is_number = containers::is_exact_int(&timeout) || containers::is_exact_float(&timeout);
    if !(timeout.is_none() || is_number) || !waiting::is_condition(&condition) || !WAIT.is_on() {
        return Ok(None);
    }
    let Some(running) = Running::find().filter(Running::makes_native_futures) else { return Ok(None) };
    let is_usual = |item: &Owned| task::as_plain_future(item).is_some_and(|it| it.belongs_to(running.event_loop()));
    let listed = if containers::is_exact_set(&futures) { listed(&futures)? } else { futures };
    let Some(items) = containers::items(&listed)?.filter(|items| !items.is_empty() && items.iter().all(is_usual))
    else {
        return Ok(None);
    };
    drop(items);
    INNER.keep_body()?;
    let set = containers::new_set(Some(&listed))?;
    let given = containers::tuple(&[&timeout, &condition, running.event_loop()])?;
    coroutine::new(&INNER_BODY, Some(&*set), Some(&*given)).map(Some)
}

/// `list(set)`
fn listed(set: &Object) -> Res<Owned> {
    let list = containers::new_list()?;
    containers::list_extend(&list, set)?;
    Ok(list)
}

fn run_inner(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let waiting = coroutine.second.get_or_none();
    let waiting = TYPE.downcast_exact(&waiting);
    match (input, waiting) {
        (Input::Value(_), Some(waiting)) => {
            leave(coroutine, waiting)?;
            waiting.sorted().map(Step::Return).inspect_err(|_| coroutine.now_calls(SORTS))
        }
        (Input::Error(exception), Some(waiting)) => {
            handling(&exception, || leave(coroutine, waiting))?;
            Err(restore(exception))
        }
        (Input::Error(exception), None) => Err(restore(exception)),
        (Input::Start | Input::Value(_), _) => start(coroutine),
    }
}

fn leave(coroutine: &Coroutine, waiting: &Waiting) -> Res<()> {
    waiting.leave(waiting.as_object()).inspect_err(|_| coroutine.now_calls(LEAVES))
}

fn start(coroutine: &Coroutine) -> Res<Step> {
    let (set, given) = (coroutine.subject(), coroutine.first.get_or_none());
    let (timeout, condition) = (containers::tuple_item(&given, 0)?, containers::tuple_item(&given, 1)?);
    let python = || coroutine::in_python(coroutine).map(Step::Become);
    // One that does not fit a float, or is not a number, is for Python code.
    let seconds = if timeout.is_none() { None } else { Some(containers::float_or_none(&timeout).unwrap_or(f64::NAN)) };
    if seconds.is_some_and(f64::is_nan) || !WAIT.is_on() {
        return python();
    }
    let Some(running) = Running::find() else { return python() };
    let Some(waiter) = running.new_future()? else { return python() };
    let waiting = TYPE.allocate()?;
    waiting.graft.set(Some(&WAIT));
    if let Some(seconds) = seconds {
        match running.call_later(seconds, RELEASE_WAITER.get()?, &[waiter.as_object()]) {
            Some(timer) => waiting.timer.set(timer?),
            None => return python(),
        }
    }
    if versions::AWAITED_BY {
        let current = thread::current_task(running.event_loop())?;
        if let Some(current) = current.filter(|current| task::as_native_future(current).is_some()) {
            waiting.current.set(current);
        }
    }
    let futures = listed(&set)?;
    waiting.counter.set(containers::list_len(&futures));
    waiting.futures.set(futures);
    waiting.condition.set(condition);
    waiting.waiter.set(waiter.as_object().own());
    coroutine.second.set(waiting.as_object().own());
    waiting.begin(waiting.as_object())?;
    Ok(Step::Wait(0, waiter))
}
