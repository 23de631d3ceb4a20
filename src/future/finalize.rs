//! The last words of a future: an exception that nobody has retrieved.

use std::ffi::CStr;

use crate::names::{CALL_EXCEPTION_HANDLER, EXCEPTION, FUTURE, MESSAGE, Name, SOURCE_TRACEBACK};
use crate::sys::error::{self, fetch, write_unraisable};
use crate::sys::{Layout, Object, Res, call, containers, type_name};

use super::FutureObject;
use super::object::LOG_TRACEBACK;

/// `tp_finalize`
pub(crate) fn finalize(future: &FutureObject) {
    if !future.flags.has(LOG_TRACEBACK) {
        return;
    }
    future.flags.put(LOG_TRACEBACK, false);
    let Some(exception) = future.exception.get() else {
        return;
    };
    keeping_raised(future.as_object(), || {
        let name = type_name::bare(future.as_object())?;
        let text = containers::format1(c"%S exception was never retrieved", &name)?;
        report(future, &text, Some(&exception), &FUTURE)
    });
}

/// Tells the exception handler of the object's loop, whatever is being raised at the moment. Errors of the handler go
/// to `sys.unraisablehook`.
pub(crate) fn report_to_loop(future: &FutureObject, message: &CStr, key: &Name) {
    keeping_raised(future.as_object(), || report(future, &*containers::string(message)?, None, key));
}

fn report(future: &FutureObject, message: &Object, exception: Option<&Object>, key: &Name) -> Res<()> {
    let Some(event_loop) = future.event_loop() else {
        return Ok(());
    };
    let context = containers::new_dict()?;
    containers::dict_set(&context, MESSAGE.object(), message)?;
    if let Some(exception) = exception {
        containers::dict_set(&context, EXCEPTION.object(), exception)?;
    }
    containers::dict_set(&context, key.object(), future.as_object())?;
    if let Some(source_traceback) = future.source_traceback() {
        containers::dict_set(&context, SOURCE_TRACEBACK.object(), &source_traceback)?;
    }
    // A loop without the method has nothing to say about it; one whose method fails has.
    let handler = match call::getattr(&event_loop, &CALL_EXCEPTION_HANDLER) {
        Ok(handler) => handler,
        Err(raised) => {
            drop(fetch(raised));
            return Ok(());
        }
    };
    if let Err(raised) = call::call1(&handler, &context) {
        write_unraisable(raised, &handler);
    }
    Ok(())
}

/// A finaliser may run while an exception is being raised, which must survive it.
fn keeping_raised(culprit: &Object, work: impl FnOnce() -> Res<()>) {
    error::keeping_raised(|| {
        if let Err(failed) = work() {
            write_unraisable(failed, culprit);
        }
    });
}
