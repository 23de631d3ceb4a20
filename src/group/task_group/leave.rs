//! `TaskGroup.__aexit__`, of a body that has not raised.
//!
//! In newer releases it awaits `_aexit`, which waits for the tasks; in older ones it does that itself. Whatever else than
//! the end of the tasks comes to the one that waits is for its own body, which goes on from there: it is begun anew, on
//! attributes that lead it straight to its `await`, where it gets what has come ([`in_python`]).

use crate::asyncio;
use crate::future;
use crate::graft::coroutine::{self, Body, Coroutine, Input, Step};
use crate::graft::running::Running;
use crate::graft::{Graft, Mentions};
use crate::names::{
    BASE_ERROR as BASE_ERROR_NAME, ERRORS as ERRORS_NAME, EXITING as EXITING_NAME, INNER_EXIT, ON_COMPLETED_FUT,
    PARENT_CANCEL_REQUESTED, PARENT_TASK, PRIVATE_LOOP, TASKS as TASKS_NAME,
};
use crate::sys::error::{handling, restore};
use crate::sys::iter::{Sent, send_none};
use crate::sys::object::{boolean, none};
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res, call, containers};
use crate::versions;

use super::{BASE_ERROR, CANCEL_REQUESTED, COMPLETED, ERRORS, EXITING, GROUP, Group, LOOP, MODULE, PARENT, tasks_of};

pub(crate) static EXIT: Graft = Graft::new(MODULE, "TaskGroup.__aexit__", vectorcall!(exit));
/// What newer releases await in it.
static INNER: Graft = Graft::inner(MODULE, "TaskGroup._aexit");
static AWAITS_INNER: Mentions = Mentions::new(&EXIT, &INNER_EXIT);

static BODY: Body = Body::new(&EXIT, run);
static INNER_BODY: Body = Body::new(&INNER, run_inner);
/// Of older releases.
static ONLY_BODY: Body = Body::new(&EXIT, run_inner);

fn exit(call: &Call<'_>) -> Option<Res<Owned>> {
    let [group, kind, exception, traceback] = call.positional()?;
    let has_returned = [kind, exception, traceback].iter().all(|each| each.is_none());
    if !EXIT.makes(call, has_returned && GROUP.fits(group)) {
        return None;
    }
    let body = if AWAITS_INNER.get() { &BODY } else { &ONLY_BODY };
    Some(coroutine::new(body, Some(group), None))
}

/// `__aexit__` of newer releases: whatever comes of `_aexit`, the group lets go of its parent and of errors.
fn run(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let group = coroutine.subject();
    match input {
        Input::Start => {
            let Some(attributes) = GROUP.of(&group).filter(|_| EXIT.is_on()) else {
                return from_the_start(coroutine);
            };
            if is_over(attributes) {
                attributes.set(EXITING, boolean(true))?;
                forget(&group)?;
                return Ok(Step::Return(result()));
            }
            INNER.keep_body()?;
            Ok(Step::Await(0, coroutine::new(&INNER_BODY, Some(&*group), None)?))
        }
        Input::Value(value) => {
            forget(&group)?;
            Ok(Step::Return(value))
        }
        Input::Error(exception) => {
            handling(&exception, || forget(&group))?;
            Err(restore(exception))
        }
    }
}

/// What it returns when all is well.
fn result() -> Owned {
    if versions::TASK_GROUP_CANCEL { boolean(true).own() } else { none().own() }
}

fn forget(group: &Object) -> Res<()> {
    if let Some(attributes) = GROUP.of(group).filter(|_| EXIT.is_on()) {
        // Letting go of the parent, which runs, or of a list of no errors, runs no Python code.
        if attributes.get(ERRORS).is_some_and(|errors| is_empty_list(&errors)) {
            attributes.set(PARENT, none())?;
            attributes.set(ERRORS, none())?;
            return attributes.set(BASE_ERROR, none());
        }
    }
    [&PARENT_TASK, &ERRORS_NAME, &BASE_ERROR_NAME].iter().try_for_each(|name| call::setattr(group, name, none()))
}

fn is_empty_list(object: &Object) -> bool {
    containers::is_exact_list(object) && containers::list_len(object) == 0
}

/// Have all tasks ended, and none with an error?
fn is_over(group: Group<'_>) -> bool {
    tasks_of(group).is_some_and(|tasks| containers::set_len(&tasks) == 0) && is_well(group)
}

fn is_well(group: Group<'_>) -> bool {
    group.holds(BASE_ERROR, none())
        && group.flag(CANCEL_REQUESTED) == Some(false)
        && group.get(ERRORS).is_some_and(|errors| is_empty_list(&errors))
}

/// Waits for the tasks. `second` is the future that it waits for.
fn run_inner(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let group = coroutine.subject();
    let attributes = GROUP.of(&group).filter(|_| EXIT.is_on());
    match input {
        Input::Start => match attributes {
            Some(attributes) => wait(coroutine, attributes),
            None => from_the_start(coroutine),
        },
        Input::Value(value) => {
            let waited =
                |attributes: &Group<'_>| attributes.get(COMPLETED).is_some_and(|it| coroutine.second.holds(&*it));
            match attributes.filter(waited) {
                Some(attributes) if is_over(attributes) => {
                    attributes.set(COMPLETED, none())?;
                    Ok(Step::Return(result()))
                }
                _ => in_python(coroutine, &group, Ok(value)),
            }
        }
        Input::Error(exception) => {
            if attributes.is_some() && !asyncio::is_cancelled_error(&exception)? {
                return Err(restore(exception));
            }
            in_python(coroutine, &group, Err(exception))
        }
    }
}

fn wait(coroutine: &Coroutine, attributes: Group<'_>) -> Res<Step> {
    if is_over(attributes) {
        attributes.set(EXITING, boolean(true))?;
        return Ok(Step::Return(result()));
    }
    let waits = tasks_of(attributes).is_some_and(|tasks| containers::set_len(&tasks) > 0);
    let running = Running::find().filter(|running| attributes.holds(LOOP, running.event_loop()));
    let usual = waits && attributes.holds(COMPLETED, none()) && is_well(attributes);
    let Some(running) = running.filter(|_| usual && attributes.flag(EXITING).is_some()) else {
        return from_the_start(coroutine);
    };
    let Some(future) = running.new_future()? else { return from_the_start(coroutine) };
    attributes.set(EXITING, boolean(true))?;
    attributes.set(COMPLETED, future.as_object())?;
    coroutine.second.set(future.as_object().own());
    Ok(Step::Wait(0, future))
}

fn from_the_start(coroutine: &Coroutine) -> Res<Step> {
    coroutine::in_python(coroutine).map(Step::Become)
}

/// Goes on as the function's own body, at the `await` in its loop, with what has come there.
///
/// The body is begun with attributes that let it wait for a new future. Then they are what they were, and the future has
/// a result, or the exception is thrown into the body.
#[cold]
fn in_python(coroutine: &Coroutine, group: &Object, outcome: Result<Owned, Owned>) -> Res<Step> {
    let names = [&TASKS_NAME, &ON_COMPLETED_FUT, &PARENT_CANCEL_REQUESTED, &EXITING_NAME];
    let mut before = Vec::with_capacity(names.len());
    for name in names {
        before.push(call::getattr(group, name)?);
    }
    let future = future::make(&*call::getattr(group, &PRIVATE_LOOP)?)?;
    let python = coroutine::in_python(coroutine)?;
    let some_tasks = containers::new_set(None)?;
    containers::set_add(&some_tasks, none())?;
    let instead: [&Object; 4] = [&some_tasks, future.as_object(), boolean(false), boolean(true)];
    let put =
        |values: &[&Object]| names.iter().zip(values).try_for_each(|(name, value)| call::setattr(group, name, value));
    put(&instead)?;
    let begun = send_none(&python);
    let before: Vec<&Object> = before.iter().map(|value| &**value).collect();
    put(&before)?;
    match begun? {
        Sent::Yielded(awaited) if awaited.is(&*future) => {}
        Sent::Yielded(_) | Sent::Returned(_) => return from_the_start(coroutine),
    }
    match outcome {
        Ok(value) => {
            future::set_result(&future, value)?;
            Ok(Step::Become(python))
        }
        Err(exception) => Ok(Step::BecomeAndThrow(python, exception)),
    }
}
