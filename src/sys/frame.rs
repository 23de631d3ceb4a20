//! Frames and traceback entries for code that no frame runs.
//!
//! Native code that stands in for a Python function shows what the function would: a frame of its code, at a line.

use std::mem::size_of;
use std::ptr;

use pyo3::ffi;

use super::error::{set_traceback, traceback};
use super::intern::F_LINENO;
use super::python_function::is_function;
use super::{Layout, Object, Owned, Res, call, containers, object};

/// Where a frame object has its line, in bytes: zero as long as its instruction tells (`PyFrameObject.f_lineno`).
const LINE: usize = 5 * size_of::<usize>();

/// A new frame of the function's code, that shows the line; nobody runs it.
pub(crate) fn of_function(function: &Object, line: i32) -> Res<Owned> {
    assert!(is_function(function), "a Python function");
    let locals = containers::new_dict()?;
    // SAFETY: an exact function; new or borrowed references.
    let frame: Owned = unsafe {
        let f = function.as_ptr();
        let frame = ffi::PyFrame_New(
            ffi::PyThreadState_Get(),
            ffi::PyFunction_GetCode(f).cast(),
            ffi::PyFunction_GetGlobals(f),
            locals.as_ptr(),
        );
        Owned::steal_or_raised(frame.cast())?
    };
    show_line(&frame, line)?;
    Ok(frame)
}

/// Has a frame that nobody runs show the line. If frames are laid out in another way, it shows the one that it did.
pub(crate) fn show_line(frame: &Object, line: i32) -> Res<()> {
    assert!(ptr::eq(frame.type_ptr(), &raw mut ffi::PyFrame_Type), "a frame");
    // SAFETY: a frame object, which is longer; what is there is the line that the interpreter itself answers from, if it
    // is not zero. It is written as it was if that turns out otherwise.
    unsafe {
        let place = frame.as_ptr().byte_add(LINE).cast::<i32>();
        let before = *place;
        *place = line;
        if self::line(frame)? != line {
            *place = before;
        }
    }
    Ok(())
}

/// The line that the frame shows.
pub(crate) fn line(frame: &Object) -> Res<i32> {
    let line = call::getattr(frame, &F_LINENO)?;
    Ok(if line.is_none() { 0 } else { i32::try_from(containers::int_value(&line)?).unwrap_or(0) })
}

/// Puts an entry for the frame on top of the exception's traceback, at that instruction (in bytes) and line.
pub(crate) fn add_entry(exception: &Object, frame: &Object, instruction: i32, line: i32) -> Res<()> {
    let next = traceback(exception).unwrap_or_else(|| object::none().own());
    // SAFETY: the type of tracebacks, which is static.
    let class = unsafe { Object::from_ptr((&raw mut ffi::PyTraceBack_Type).cast()) };
    let (instruction, line) = (containers::int(i64::from(instruction))?, containers::int(i64::from(line))?);
    let entry = call::call(class, &[&next, frame, &instruction, &line])?;
    set_traceback(exception, &entry);
    Ok(())
}
