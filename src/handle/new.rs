//! Making handles.

use crate::asyncio;
use crate::job::{Entry, Job, shortcuts};
use crate::sys::life::Life;
use crate::sys::object::{Extends, boolean, none};
use crate::sys::typeobj::StaticType;
use crate::sys::{Layout, Object, Owned, Res, call, containers, context};

use super::methods;
use super::object::{HandleObject, Kind, PLAIN, THREAD_SAFE, TIMER};

/// What a handle is to run.
pub(crate) enum Work<'a> {
    /// In the given context, or a copy of the current one.
    Call {
        callback: &'a Object,
        arguments: &'a [&'a Object],
        context: Option<&'a Object>,
    },
    Entry(Entry),
}

#[inline]
fn allocate(kind: Kind) -> Res<Owned<HandleObject>> {
    match kind {
        Kind::Plain => allocate_of(&PLAIN, kind),
        Kind::Timer => allocate_of(&TIMER, kind),
        Kind::ThreadSafe => allocate_of(&THREAD_SAFE, kind),
    }
}

#[inline]
fn allocate_of<T: Life + Extends<HandleObject>>(class: &StaticType<T>, kind: Kind) -> Res<Owned<HandleObject>> {
    if class.as_ptr().is_null() {
        methods::make(kind)?;
    }
    Ok(class.allocate()?.into_base())
}

/// `callback(argument)`, without a tuple for the one argument.
static CALL_WITH_ONE: Job = Job {
    run: |callback, argument| match argument {
        Some(argument) => call::call1(callback, argument).map(drop),
        None => Ok(()), // the collector has taken the handle apart
    },
    callback: |callback, argument| Ok((callback.own(), argument.map(Layout::own))),
    stop: None,
    takes_several: false,
    needs_context: true,
};

/// A handle for the work, not of a timer.
pub(crate) fn new(kind: Kind, event_loop: &Object, debug: bool, work: Work<'_>) -> Res<Owned<HandleObject>> {
    let handle = allocate(kind)?;
    handle.event_loop.fill(event_loop.own());
    handle.cancelled.fill(boolean(false).own());
    handle.repr.fill(none().own());
    if let Some(timer) = handle.as_timer() {
        timer.scheduled.fill(boolean(false).own());
    }
    match work {
        Work::Call { callback, arguments, context } => {
            let given = context.filter(|context| !context.is_none());
            handle.callback.fill(callback.own());
            let shortcut = if debug || given.is_some() { None } else { shortcuts::job_of(callback, arguments) };
            match arguments {
                [] => {}
                [argument] => {
                    handle.job().set(Some(&CALL_WITH_ONE));
                    handle.arguments.fill((*argument).own());
                }
                several => handle.arguments.set(containers::tuple(several)?),
            }
            match (shortcut, given) {
                (Some(job), _) => handle.job().set(Some(job)),
                (None, Some(given)) => handle.context.set(given.own()),
                (None, None) => {
                    // Many of these may be pending for long: an empty context is made when it is needed.
                    let current = context::copy_current()?;
                    if kind == Kind::Plain || !context::is_empty(&current) {
                        handle.context.set(current);
                    }
                }
            }
        }
        Work::Entry(entry) => {
            handle.job().set(Some(entry.job));
            handle.callback.fill(entry.target);
            if let Some(argument) = entry.argument {
                handle.arguments.fill(argument);
            }
            handle.context.fill(entry.context);
        }
    }
    handle.source_traceback.set(if debug { asyncio::extract_debug_stack()? } else { none().own() });
    Ok(handle)
}

/// A handle of a timer. `given` is the time as an object, if the caller has one.
pub(crate) fn new_timer(
    event_loop: &Object,
    debug: bool,
    work: Work<'_>,
    when: f64,
    given: Option<&Object>,
) -> Res<Owned<HandleObject>> {
    let handle = new(Kind::Timer, event_loop, debug, work)?;
    if let Some(timer) = handle.as_timer() {
        timer.when.set(when);
        drop(timer.when_object.replace(given.map(Layout::own)));
    }
    Ok(handle)
}
