//! Running a handle.

use crate::asyncio::FORMAT_CALLBACK_SOURCE;
use crate::names::{
    CALL_EXCEPTION_HANDLER, DEBUG_KEYWORD, EXCEPTION, GET_DEBUG, HANDLE, MESSAGE, RUN, SOURCE_TRACEBACK,
};
use crate::sys::error::{fetch, handling, is_exit, restore};
use crate::sys::lazy::Once;
use crate::sys::{Layout, Object, Owned, Raised, Res, call, containers, context, panics};
use crate::versions;

use super::object::HandleObject;
use super::show::{CONTEXT_LOOKS, get_arguments, get_callback};
use super::thread_safe;

/// `handle._run()`: errors go to the loop's exception handler, exits through. `after` gets the outcome, and says what it
/// is, in the context of the call.
#[inline]
pub(crate) fn run(handle: &HandleObject, after: impl Fn(Res<()>) -> Res<()>) -> Res<()> {
    if handle.is_thread_safe() {
        thread_safe::run(handle, |handle| run_now(handle, after))
    } else {
        run_now(handle, after)
    }
}

#[inline]
fn run_now(handle: &HandleObject, after: impl Fn(Res<()>) -> Res<()>) -> Res<()> {
    match call_in_context(handle, after) {
        Ok(()) => Ok(()),
        Err(raised) => report(handle, raised),
    }
}

#[inline]
fn call_in_context(handle: &HandleObject, after: impl Fn(Res<()>) -> Res<()>) -> Res<()> {
    let (Some(callback), arguments) = (handle.callback.get(), handle.arguments.get()) else {
        return Ok(()); // the collector has taken it apart
    };
    panics::here("run of a handle");
    let work = || {
        after(match (handle.job().get(), &arguments) {
            (Some(job), _) => (job.run)(&callback, arguments.as_deref()),
            (None, Some(arguments)) => call::call_tuple(&callback, arguments).map(drop),
            (None, None) => call::call0(&callback).map(drop),
        })
    };
    match handle.context.get() {
        Some(its_context) if context::is_context(&its_context) => context::run(&its_context, work),
        Some(its_context) => run_in_foreign_context(handle, &its_context),
        None if handle.needs_context() => run_in_empty_context(handle, work),
        None => work(),
    }
}

/// The context is there for the run only, if nobody looks at it and nothing is left in it.
#[inline]
fn run_in_empty_context(handle: &HandleObject, work: impl FnOnce() -> Res<()>) -> Res<()> {
    let empty = context::empty()?;
    let looks = CONTEXT_LOOKS.get();
    handle.context.set(empty.clone());
    context::run(&empty, work)?;
    // Who has looked may have kept a weak reference.
    if looks == CONTEXT_LOOKS.get() && handle.context.holds(&*empty) {
        handle.context.clear();
        context::keep_if_empty(empty);
    }
    Ok(())
}

/// `context=` is not checked by anybody: whatever has a `run` will do, and the error of what has none is reported.
#[cold]
fn run_in_foreign_context(handle: &HandleObject, its_context: &Object) -> Res<()> {
    let run = call::getattr(its_context, &RUN)?;
    let arguments = containers::new_list()?;
    containers::list_append(&arguments, &*get_callback(handle)?)?;
    containers::list_extend(&arguments, &*get_arguments(handle)?)?;
    call::call_tuple(&run, &*containers::tuple_of(&arguments)?).map(drop)
}

/// Reports what running the handle raised, unless it is an exit.
#[cold]
pub(crate) fn report(handle: &HandleObject, raised: Raised) -> Res<()> {
    let exception = fetch(raised);
    if is_exit(&exception) {
        return Err(restore(exception));
    }
    handling(&exception, || {
        panics::here("report of a handle");
        let Some(event_loop) = handle.event_loop.get() else {
            return Ok(());
        };
        let report = containers::new_dict()?;
        let message = containers::format1(c"Exception in callback %S", &*describe(handle, &event_loop)?)?;
        containers::dict_set(&report, MESSAGE.object(), &message)?;
        containers::dict_set(&report, EXCEPTION.object(), &exception)?;
        containers::dict_set(&report, HANDLE.object(), handle.as_object())?;
        if let Some(traceback) = handle.source_traceback.get() {
            if call::is_true(&traceback)? {
                containers::dict_set(&report, SOURCE_TRACEBACK.object(), &traceback)?;
            }
        }
        call::call_method(&CALL_EXCEPTION_HANDLER, &[&*event_loop, &report], None).map(drop)
    })
}

fn describe(handle: &HandleObject, event_loop: &Object) -> Res<Owned> {
    static DEBUG: Once = Once::new();
    let (callback, arguments) = (get_callback(handle)?, get_arguments(handle)?);
    if !versions::FORMAT_CALLBACK_TAKES_DEBUG {
        return call::call(FORMAT_CALLBACK_SOURCE.get()?, &[&callback, &arguments]);
    }
    let keywords = DEBUG.get_or_init(|| containers::tuple(&[DEBUG_KEYWORD.object()]))?;
    let debug = call::call_method(&GET_DEBUG, &[event_loop], None)?;
    call::call_with_keywords(FORMAT_CALLBACK_SOURCE.get()?, &[&callback, &arguments, &debug], keywords)
}
