//! Where a function's code calls and awaits: what native code shows of it where an exception comes from there.
//!
//! Found out by Python code (`_graft_look.places`), when it is wanted first.

use crate::names::CO_FIRSTLINENO;
use crate::sys::attached::Attached;
use crate::sys::error::{fetch, restore};
use crate::sys::object::none;
use crate::sys::{Field, Layout, Object, Owned, Raised, Res, call, containers, frame as frames, python_function};

use super::Graft;

/// `places(code, names)` lists `(instruction, line)` of the code's last call of each function of these names (of `^name`,
/// the first), then of each `await`, in their order.
static WHERE: Attached<Field> = Attached::new(Field::unset());

pub(crate) fn ask_where(places: &Object) {
    WHERE.set(places.own());
}

/// That list, if there is who knows it.
pub(super) fn find(code: &Object, calls: &[&str]) -> Res<Option<Owned>> {
    let Some(ask) = WHERE.get() else { return Ok(None) };
    let names = containers::new_list()?;
    for name in calls {
        containers::list_append(&names, &*containers::string_of(name)?)?;
    }
    call::call(&ask, &[code, &names]).map(Some)
}

/// The instruction, in bytes, and the line that the list has there; else where the code begins.
pub(super) fn position(code: &Object, places: Option<&Object>, index: usize) -> Res<(i32, i32)> {
    match places.and_then(|places| containers::list_item(places, index)) {
        Some(place) => {
            Ok((number(&*containers::tuple_item(&place, 0)?)?, number(&*containers::tuple_item(&place, 1)?)?))
        }
        None => beginning(code),
    }
}

pub(super) fn beginning(code: &Object) -> Res<(i32, i32)> {
    Ok((0, number(&*call::getattr(code, &CO_FIRSTLINENO)?)?))
}

fn number(object: &Object) -> Res<i32> {
    containers::int_value(object).map(|number| i32::try_from(number).unwrap_or(0))
}

/// What the function calls by this name has raised, as for [`Graft::raised_by`].
#[cold]
pub(crate) fn raised_in(function: &Object, called: &'static str, raised: Raised) -> Raised {
    add_entry(raised, || {
        let code = python_function::code(function).unwrap_or_else(|| none().own());
        let place = position(&code, find(&code, &[called])?.as_deref(), 0)?;
        Ok((function.own(), place))
    })
}

/// Puts an entry on top of the traceback: of a function, at an instruction and a line.
fn add_entry(raised: Raised, of: impl FnOnce() -> Res<(Owned, (i32, i32))>) -> Raised {
    let exception = fetch(raised);
    let add = || -> Res<()> {
        let (function, (instruction, line)) = of()?;
        let frame = frames::of_function(&function, line)?;
        frames::add_entry(&exception, &frame, instruction, line)
    };
    if let Err(raised) = add() {
        drop(fetch(raised));
    }
    restore(exception)
}

impl Graft {
    /// What the function's body calls by this name has raised. The traceback gets the entry that the body would have
    /// there; what goes wrong with that costs the entry.
    #[cold]
    pub(crate) fn raised_by(&self, called: &'static str, raised: Raised) -> Raised {
        add_entry(raised, || {
            let function = self.body()?;
            let place = self.call_of(called, &function)?;
            Ok((function, place))
        })
    }

    /// Where the function's code calls it. That is asked once: Python code that tells it uses what programs replace.
    fn call_of(&self, called: &'static str, function: &Object) -> Res<(i32, i32)> {
        let known = self.state.raised_at.borrow().iter().find(|(name, _)| *name == called).map(|(_, place)| *place);
        if let Some(place) = known {
            return Ok(place);
        }
        let code = python_function::code(function).unwrap_or_else(|| none().own());
        let place = position(&code, find(&code, &[called])?.as_deref(), 0)?;
        self.state.raised_at.borrow_mut().push((called, place));
        Ok(place)
    }
}
