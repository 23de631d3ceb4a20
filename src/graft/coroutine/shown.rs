//! What a native coroutine shows of the function that it stands in for: its code, a frame, lines in tracebacks.
//!
//! Where the function's code awaits is found out by Python code when somebody looks first
//! (`_graft_look.places`), and kept.

use crate::graft::places;
use crate::names::{CLOSE, CO_ARGCOUNT, CR_FRAME, Name};
use crate::sys::error::{self, fetch};
use crate::sys::object::none;
use crate::sys::{Layout, Object, Owned, Res, call, containers, frame as frames, python_function};

use super::object::CALLS;
use super::{Body, Coroutine};

fn function(coroutine: &Coroutine) -> Res<Owned> {
    coroutine.body()?.graft.body()
}

/// `cr_code`
pub(super) fn code(coroutine: &Coroutine) -> Res<Owned> {
    let function = function(coroutine)?;
    Ok(python_function::code(&function).unwrap_or_else(|| none().own()))
}

/// Where the coroutine is in its code: the instruction, in bytes, and the line.
fn position(coroutine: &Coroutine) -> Res<(i32, i32)> {
    let code = code(coroutine)?;
    let place = coroutine.place.get();
    if place == 0 {
        return places::beginning(&code);
    }
    let Body { calls, places, .. } = coroutine.body()?;
    let back = usize::from(CALLS - place);
    let index = if back < calls.len() { back } else { calls.len() + usize::from(place) - 1 };
    if !places.is_set() {
        if let Some(found) = places::find(&code, calls)? {
            places.set(found);
        }
    }
    places::position(&code, places.get().as_deref(), index)
}

/// `cr_frame`: that of a coroutine that the function's own body makes, and never begins; it shows the line.
pub(super) fn frame(coroutine: &Coroutine) -> Res<Owned> {
    let (_, line) = position(coroutine)?;
    let shown = if let Some(shown) = coroutine.shown.get() { shown } else { make_shown(coroutine)? };
    let frame = call::getattr(&shown, &CR_FRAME)?;
    if !frame.is_none() {
        frames::show_line(&frame, line)?;
    }
    Ok(frame)
}

/// The coroutine of the function's own body.
pub(super) fn make_own(coroutine: &Coroutine) -> Res<Owned> {
    let keywords = coroutine.body()?.keywords;
    if !keywords.is_empty() {
        return make_with_keywords(coroutine, keywords);
    }
    let arguments = arguments(coroutine)?;
    let arguments: Vec<&Object> = arguments.iter().map(|argument| &**argument).collect();
    call::call(&*function(coroutine)?, &arguments)
}

#[cold]
fn make_with_keywords(coroutine: &Coroutine, keywords: &[&Name]) -> Res<Owned> {
    let names: Vec<&Object> = keywords.iter().map(|name| name.object()).collect();
    let subject = coroutine.subject();
    let values = containers::items(&coroutine.first.get_or_none())?.unwrap_or_default();
    let arguments: Vec<&Object> = std::iter::once(&*subject).chain(values.iter().map(|value| &**value)).collect();
    call::call_with_keywords(&*function(coroutine)?, &arguments, &*containers::tuple(&names)?)
}

#[cold]
fn make_shown(coroutine: &Coroutine) -> Res<Owned> {
    let made = make_own(coroutine)?;
    coroutine.shown.set(made.clone());
    Ok(made)
}

/// What the function was called with: the body's fields, in the order of its parameters.
fn arguments(coroutine: &Coroutine) -> Res<Vec<Owned>> {
    let count = containers::int_value(&*call::getattr(&*code(coroutine)?, &CO_ARGCOUNT)?)?;
    let (subject, first) = (coroutine.subject.get_or_none(), coroutine.first.get_or_none());
    let packed = if coroutine.body()?.packed { containers::items(&first)? } else { None };
    let others = packed.unwrap_or_else(|| vec![first]);
    let given = std::iter::once(subject).chain(others).chain(std::iter::repeat_with(|| none().own()));
    Ok(given.take(usize::try_from(count).unwrap_or(0)).collect())
}

/// The end: the coroutine that was made for its frame is closed, so that it does not say that nobody awaited it.
#[cold]
pub(super) fn forget(shown: &Object) {
    error::keeping_raised(|| {
        if let Err(raised) = call::call_method(&CLOSE, &[shown], None) {
            error::write_unraisable(raised, shown);
        }
    });
}

/// An exception leaves the coroutine: its traceback names function and line. What goes wrong with that costs the entry.
#[cold]
pub(super) fn add_to_traceback(coroutine: &Coroutine, exception: &Object) {
    let add = || -> Res<()> {
        let (instruction, line) = position(coroutine)?;
        let frame = frames::of_function(&*function(coroutine)?, line)?;
        frames::add_entry(exception, &frame, instruction, line)
    };
    if let Err(raised) = add() {
        drop(fetch(raised));
    }
}
