//! What a native coroutine shows of the function that it stands in for: its code, a frame, lines in tracebacks.
//!
//! Where the function's code awaits is found out by Python code when somebody looks first
//! (`_graft_look.awaits`), and kept.

use crate::names::{CLOSE, CO_ARGCOUNT, CO_FIRSTLINENO, CR_FRAME};
use crate::sys::attached::Attached;
use crate::sys::error::{self, fetch};
use crate::sys::object::none;
use crate::sys::{Field, Layout, Object, Owned, Res, call, containers, frame as frames, python_function};

use super::Coroutine;
use super::object::REMOVES;

/// `awaits(code)` lists `(instruction, line)` of the code's call of a method `remove`, then of each `await` in its order.
static WHERE: Attached<Field> = Attached::new(Field::unset());

pub(crate) fn ask_where(awaits: &Object) {
    WHERE.set(awaits.own());
}

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
    let number = |object: &Object| containers::int_value(object).map(|number| i32::try_from(number).unwrap_or(0));
    let place = coroutine.place.get();
    if place == 0 {
        return Ok((0, number(&*call::getattr(&code, &CO_FIRSTLINENO)?)?));
    }
    let index = if place == REMOVES { 0 } else { place };
    let places = &coroutine.body()?.places;
    if !places.is_set() {
        if let Some(awaits) = WHERE.get() {
            places.set(call::call1(&awaits, &code)?);
        }
    }
    match places.get().and_then(|places| containers::list_item(&places, usize::from(index))) {
        Some(place) => {
            Ok((number(&*containers::tuple_item(&place, 0)?)?, number(&*containers::tuple_item(&place, 1)?)?))
        }
        None => Ok((0, number(&*call::getattr(&code, &CO_FIRSTLINENO)?)?)),
    }
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
    let arguments = arguments(coroutine)?;
    let arguments: Vec<&Object> = arguments.iter().map(|argument| &**argument).collect();
    call::call(&*function(coroutine)?, &arguments)
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
    let given = [&coroutine.subject, &coroutine.first].map(Field::get_or_none);
    let given = given.into_iter().chain(std::iter::repeat_with(|| none().own()));
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
