//! A function inside of a grafted one: made natively at each call, of the very code, with native code in it.
//!
//! It is the function that the interpreter would make: its variables are in cells, and whoever holds it can look at them
//! and change them. Native code reads them when it is called; where it may not stand in, the function's own body runs,
//! at any time, for there is nothing that the two do not share.

use std::cell::RefCell;
use std::rc::Rc;

use pyo3::ffi;

use crate::names::{CO_CONSTS, CO_FREEVARS, CO_NAME, Name};
use crate::sys::attached::Attached;
use crate::sys::error::fetch;
use crate::sys::function_state::Seen;
use crate::sys::python_function::{self, Call};
use crate::sys::{Layout, Object, Owned, Res, call, containers};

use super::Graft;

/// A function of that name inside of the graft's, which may use `N` variables of it.
pub(crate) struct Inner<const N: usize> {
    graft: &'static Graft,
    name: &'static Name,
    variables: [&'static Name; N],
    vectorcall: ffi::vectorcallfunc,
    known: Attached<RefCell<Option<Rc<Known<N>>>>>,
}

struct Known<const N: usize> {
    /// The code of the graft's function that it is inside of.
    outer: Owned,
    code: Owned,
    globals: Owned,
    /// A function of the code that nobody has, for what tools want to know of the code.
    template: Seen,
    /// By place in the closure: which variable; and the other way round, for those that this release's code uses.
    variables: Vec<usize>,
    places: [Option<usize>; N],
}

impl<const N: usize> Inner<N> {
    pub(crate) const fn new(
        graft: &'static Graft,
        name: &'static Name,
        variables: [&'static Name; N],
        vectorcall: ffi::vectorcallfunc,
    ) -> Self {
        Inner { graft, name, variables, vectorcall, known: Attached::new(RefCell::new(None)) }
    }

    /// What makes it, of the code that the graft's function has.
    pub(crate) fn maker(&self) -> Option<Maker<N>> {
        match self.known() {
            Ok(known) => known.map(|known| Maker { known, vectorcall: self.vectorcall }),
            Err(raised) => {
                drop(fetch(raised));
                None
            }
        }
    }

    /// The variables of a call of one, if native code may do it.
    #[inline]
    pub(crate) fn takes<'a>(&self, call: &Call<'a>) -> Option<Variables<'a, N>> {
        if !self.graft.is_on() {
            return None;
        }
        let known = self.known.try_borrow().ok()?.clone()?;
        let is_it = python_function::has_code(call.function, &known.code) && known.template.is_unchanged();
        is_it.then_some(Variables { known, function: call.function })
    }

    fn known(&self) -> Res<Option<Rc<Known<N>>>> {
        let Some(outer) = self.graft.state.function.get().and_then(|function| python_function::code(&function)) else {
            return Ok(None);
        };
        let known = self.known.borrow().clone();
        match known {
            Some(known) if known.outer.is(&*outer) => Ok(Some(known)),
            _ => self.look(outer),
        }
    }

    #[cold]
    fn look(&self, outer: Owned) -> Res<Option<Rc<Known<N>>>> {
        let Some(code) = find(&outer, self.name)? else { return Ok(None) };
        let globals = python_function::globals(&*self.graft.function()?);
        let Some(globals) = globals else { return Ok(None) };
        let mut variables = Vec::new();
        let mut places = [None; N];
        for (place, name) in
            containers::items(&*call::getattr(&code, &CO_FREEVARS)?)?.unwrap_or_default().iter().enumerate()
        {
            let Some(variable) = self.variables.iter().position(|known| known.equals(name)) else { return Ok(None) };
            variables.push(variable);
            places[variable] = Some(place);
        }
        let template = python_function::closure(&code, &globals, &[])?;
        let hooked = python_function::hook(&template, self.vectorcall);
        let Some(template) = Seen::of(&template).filter(|_| hooked) else { return Ok(None) };
        let known = Rc::new(Known { outer, code, globals, template, variables, places });
        drop(self.known.replace(Some(known.clone())));
        Ok(Some(known))
    }
}

/// The code of the inner function of that name.
fn find(outer: &Object, name: &Name) -> Res<Option<Owned>> {
    for constant in containers::items(&*call::getattr(outer, &CO_CONSTS)?)?.unwrap_or_default() {
        if call::getattr_optional(&constant, &CO_NAME)?.is_some_and(|its| name.equals(&its)) {
            return Ok(Some(constant));
        }
    }
    Ok(None)
}

/// Makes an inner function.
pub(crate) struct Maker<const N: usize> {
    known: Rc<Known<N>>,
    vectorcall: ffi::vectorcallfunc,
}

impl<const N: usize> Maker<N> {
    /// A new one; each cell is of the variable at its place.
    pub(crate) fn make(&self, cells: [&Object; N]) -> Res<Owned> {
        let closure: Vec<&Object> = self.known.variables.iter().map(|&variable| cells[variable]).collect();
        let made = python_function::closure(&self.known.code, &self.known.globals, &closure)?;
        python_function::put_in(&made, self.vectorcall);
        Ok(made)
    }
}

/// What the function that is called has in its cells.
pub(crate) struct Variables<'a, const N: usize> {
    known: Rc<Known<N>>,
    function: &'a Object,
}

impl<const N: usize> Variables<'_, N> {
    /// What the variable is now, if it has a value; of one that the code does not use, `None`, too.
    #[inline]
    pub(crate) fn get(&self, variable: usize) -> Option<Owned> {
        self.known.places[variable].and_then(|place| python_function::closed_over(self.function, place))
    }

    /// Does the code of this release use the variable?
    #[inline]
    pub(crate) fn has(&self, variable: usize) -> bool {
        self.known.places[variable].is_some()
    }
}
