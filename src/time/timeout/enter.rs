//! `Timeout.__aenter__`.

use crate::graft::Graft;
use crate::graft::coroutine::{self, Body, Coroutine, Input, Step, become_python};
use crate::graft::running::Running;
use crate::job::{Entry, Job};
use crate::state::thread;
use crate::sys::object::none;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res, call, clock, containers, context, types};
use crate::task::{self, TaskObject};

use super::{CANCELLING, Found, HANDLER, MODULE, SHAPE, STATE, TASK, Timeout, WHEN};

pub(crate) static ENTER: Graft = Graft::new(MODULE, "Timeout.__aenter__", vectorcall!(aenter));

static BODY: Body = Body::new(&ENTER, run);

/// The time is over: `timeout._on_timeout()`. The target is the timeout, the argument the function.
static TIME_IS_OVER: Job = Job {
    run: |timeout, function| function.map_or(Ok(()), |function| call::call1(function, timeout).map(drop)),
    callback: |timeout, function| match function {
        Some(function) => Ok((types::bind(function, timeout)?, None)),
        None => Ok((timeout.own(), None)), // the collector has taken the handle apart
    },
    stop: None,
    takes_several: false,
    needs_context: true,
};

fn aenter(call: &Call<'_>) -> Option<Res<Owned>> {
    let [timeout] = call.positional()?;
    if !ENTER.makes(call, SHAPE.fits(timeout)) {
        return None;
    }
    Some(coroutine::new(&BODY, Some(timeout), None))
}

fn run(coroutine: &Coroutine, _: Input) -> Res<Step> {
    let timeout = coroutine.subject();
    let running = Running::find().filter(|_| ENTER.is_on());
    match running {
        Some(running) if enter(&running, &timeout)? => Ok(Step::Return(timeout)),
        _ => become_python(coroutine, &[&*timeout]),
    }
}

/// `__aenter__()`, where that is known; false, and nothing is done, if it is not as simple as that.
fn enter(running: &Running, timeout: &Object) -> Res<bool> {
    let Some((attributes, found)) = SHAPE.of(timeout).zip(Found::get()) else { return Ok(false) };
    let (Some(created), Some(entered)) = (found.created.get(), found.entered.get()) else { return Ok(false) };
    let Some(when) = attributes.get(WHEN).filter(|when| is_new(attributes, &created) && comes(when)) else {
        return Ok(false);
    };
    let Some((task, cancelling)) = current_task(running)? else { return Ok(false) };
    // What the attributes held is nothing whose end runs Python code.
    let cancelling = containers::int(i64::from(cancelling))?;
    attributes.set_each(&[(STATE, &entered), (TASK, &task), (CANCELLING, &cancelling)])?;
    if let Some(seconds) = containers::float_or_none(&when) {
        let entry = Entry {
            job: &TIME_IS_OVER,
            target: timeout.own(),
            argument: found.on_timeout.get(),
            context: context::copy_current()?,
        };
        let timer = running.call_at(seconds, Some(&when), entry)?;
        SHAPE.set(timeout, HANDLER, timer.as_object())?;
    }
    Ok(true)
}

/// The task that runs, and how often it was asked to end, if it is one of exactly ours and without attributes of its own.
pub(super) fn current_task(running: &Running) -> Res<Option<(Owned, i32)>> {
    let Some(current) = thread::current_task(running.event_loop())? else { return Ok(None) };
    let native = task::TYPE.downcast_exact(&current).filter(|task| task.future().has_no_attributes());
    let cancelling = native.map(TaskObject::cancels_requested);
    Ok(cancelling.map(|cancelling| (current, cancelling)))
}

fn is_new(timeout: Timeout<'_>, created: &Object) -> bool {
    let may_be_set = timeout.get(CANCELLING).is_none_or(|before| containers::is_exact_int(&before));
    timeout.holds(STATE, created) && timeout.holds(TASK, none()) && timeout.holds(HANDLER, none()) && may_be_set
}

/// Is it a time that has not come yet, or never comes?
fn comes(when: &Object) -> bool {
    let is_later = || containers::float_or_none(when).is_some_and(|when| when > clock::monotonic());
    when.is_none() || (containers::is_exact_float(when) && is_later())
}
