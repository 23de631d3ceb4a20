//! Grafting: native code behind functions that asyncio has in Python, with nothing exchanged.
//!
//! `asyncio.gather`, `Event.wait`, `Queue.get` stay the objects that they are. Each gets a native function that its calls
//! go to first ([`crate::sys::python_function`]), which does the usual case and leaves anything else to the function's own
//! body. The rules that keep this unseen:
//!
//! * A function is grafted only as long as all that its body would look up is what asyncio made it ([`guard`]): names of
//!   modules, methods of classes, code, defaults. Its code's digest must be known, and so must that of each function of
//!   asyncio's that is passed over. What changes is told by the interpreter, or compared at each call.
//! * Nobody watches what Python code runs ([`crate::sys::tools`]), and the running loop is a plain one of ours, not in
//!   debug mode ([`running`]).
//! * An object is looked at as its class left it ([`shape`]): no attribute that hides a method, no subclass that
//!   replaces one ([`subclasses`]).
//! * A call is left to the body before it has changed anything. A coroutine that has begun natively asks again whenever
//!   it goes on, and where the answer is no, it goes on as Python code would ([`coroutine`]).
//!
//! A construct is a file in a room above: a [`Graft`] for each function, a native function, and for a coroutine function
//! a [`coroutine::Body`]. It is attached by one line in `module/grafts.rs`.

pub(crate) mod coroutine;
mod guard;
pub(crate) mod inner;
mod instance_places;
pub(crate) mod loop_argument;
mod places;
pub(crate) mod running;
pub(crate) mod shape;
mod subclasses;

use std::cell::{Cell, RefCell};

use pyo3::ffi;

use crate::names::CO_NAMES;
use crate::sys::attached::Attached;
use crate::sys::error::{Builtin, fetch, raise};
use crate::sys::intern::Name;
use crate::sys::lazy::Lazy;
use crate::sys::object::none;
use crate::sys::python_function::{self, Call};
use crate::sys::{Field, Layout, Object, Owned, Res, call, containers, tools, watch};

pub(crate) use guard::ask;
pub(crate) use places::{ask_where, raised_in};

use guard::Found;

/// A count of changes that there never is.
const NEVER: usize = 0;

/// A function of asyncio's with native code for it.
pub(crate) struct Graft {
    /// The module that defines it, and its qualified name there.
    pub(crate) module: &'static str,
    pub(crate) path: &'static str,
    /// Classes, as `module:name`, of other objects than `self` whose methods the body calls.
    pub(crate) classes: &'static [&'static str],
    /// `None` if only native code calls it.
    vectorcall: Option<ffi::vectorcallfunc>,
    /// The native code passes over nothing: what the body calls, it calls, too.
    calls_all: bool,
    state: Attached<State>,
}

struct State {
    function: Field,
    /// The function without native code, for bodies that begin later than they were called.
    twin: Field,
    /// The count of changes at which it was found to be on, or to be off.
    on_since: Cell<usize>,
    off_since: Cell<usize>,
    found: RefCell<Option<Found>>,
    reason: RefCell<String>,
    /// Where the code calls what has raised: the name, instruction and line (`places.rs`).
    raised_at: RefCell<Vec<(&'static str, (i32, i32))>>,
}

impl Graft {
    pub(crate) const fn new(module: &'static str, path: &'static str, vectorcall: ffi::vectorcallfunc) -> Self {
        Self::of(module, path, Some(vectorcall))
    }

    /// Of a function that a grafted one awaits: it stays as it is. Whether native code may stand in for it, the other
    /// answers for both.
    pub(crate) const fn inner(module: &'static str, path: &'static str) -> Self {
        Self::of(module, path, None)
    }

    const fn of(module: &'static str, path: &'static str, vectorcall: Option<ffi::vectorcallfunc>) -> Self {
        let state = State {
            function: Field::unset(),
            twin: Field::unset(),
            on_since: Cell::new(NEVER),
            off_since: Cell::new(NEVER),
            found: RefCell::new(None),
            reason: RefCell::new(String::new()),
            raised_at: RefCell::new(Vec::new()),
        };
        Graft { module, path, classes: &[], calls_all: false, vectorcall, state: Attached::new(state) }
    }

    /// The same, whose body calls methods of objects of these classes, too.
    pub(crate) const fn with(mut self, classes: &'static [&'static str]) -> Self {
        self.classes = classes;
        self
    }

    /// The same, whose native code calls all that the body calls: only the function itself must be known.
    pub(crate) const fn calling_all(mut self) -> Self {
        self.calls_all = true;
        self
    }

    /// Is it the grafted function?
    #[inline]
    pub(crate) fn is_function(&self, object: &Object) -> bool {
        self.state.function.holds(object)
    }

    /// May native code do this call?
    #[inline]
    pub(crate) fn takes(&self, call: &Call<'_>) -> bool {
        self.state.function.holds(call.function) && self.is_on()
    }

    /// The same, for native code that passes over no other function of asyncio's.
    #[inline]
    pub(crate) fn takes_itself(&self, call: &Call<'_>) -> bool {
        self.state.function.holds(call.function) && self.is_on_itself()
    }

    /// May native code make the coroutine of this call, whose subject fits? What the body calls it asks when it begins.
    #[inline]
    pub(crate) fn makes(&self, call: &Call<'_>, subject_fits: bool) -> bool {
        subject_fits && self.takes_itself(call) && !tools::notes_origins()
    }

    /// May native code do what the body would?
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.asked(Found::functions_are_unchanged)
    }

    /// The same, for what passes over no other function of asyncio's than the one itself.
    #[inline]
    pub(crate) fn is_on_itself(&self) -> bool {
        self.asked(Found::function_is_unchanged)
    }

    #[inline]
    fn asked(&self, about_functions: impl FnOnce(&Found) -> bool) -> bool {
        self.names_are_unchanged()
            && tools::nobody_watches()
            && self.state.found.try_borrow().is_ok_and(|found| found.as_ref().is_some_and(about_functions))
    }

    /// Is what the body looks up by name what it was? For what is left of a body that has begun, and calls nothing of
    /// asyncio's more.
    #[inline]
    pub(crate) fn names_are_unchanged(&self) -> bool {
        self.state.on_since.get() == watch::changes() || self.look()
    }

    /// Puts the native code into the function.
    pub(crate) fn attach(&self, function: &Object) -> Res<bool> {
        if self.state.function.is_set() {
            return Ok(true);
        }
        let Some(vectorcall) = self.vectorcall else { return Ok(false) };
        let twin = python_function::twin(function)?;
        if !python_function::hook(function, vectorcall) {
            return Ok(false);
        }
        self.state.twin.set(twin);
        self.state.function.set(function.own());
        self.state.off_since.set(NEVER);
        Ok(true)
    }

    /// Takes it out again. Coroutines that have begun stay native ones, which ask whether they still may be.
    pub(crate) fn detach(&self) {
        if let Some((function, vectorcall)) = self.state.function.take().zip(self.vectorcall) {
            python_function::unhook(&function, vectorcall);
        }
        self.state.on_since.set(NEVER);
        drop(self.state.found.take());
    }

    /// Is it on? If not, why.
    pub(crate) fn standing(&self) -> Result<(), String> {
        if !self.state.function.is_set() {
            return Err("not attached".into());
        }
        if self.is_on() {
            return Ok(());
        }
        if !tools::nobody_watches() {
            return Err("a tracer, a profiler or a tool of sys.monitoring is on".into());
        }
        if self.names_are_unchanged() {
            return Err("a function that it stands in for was changed, or has other native code in it".into());
        }
        Err(self.state.reason.borrow().clone())
    }

    /// A copy of the function that runs its body; it stays when the native code is taken out.
    pub(crate) fn body(&self) -> Res<Owned> {
        match self.state.twin.get() {
            Some(twin) => Ok(twin),
            None if self.vectorcall.is_none() => self.find_twin(),
            None => Err(raise(Builtin::SystemError.class(), c"a function that was not grafted")),
        }
    }

    /// Of an inner function, which is as asyncio made it now: so its body is that, whatever becomes of it.
    #[inline]
    pub(crate) fn keep_body(&self) -> Res<()> {
        if self.state.twin.is_set() { Ok(()) } else { self.find_twin().map(drop) }
    }

    #[cold]
    fn find_twin(&self) -> Res<Owned> {
        static FIND: Lazy = Lazy::new("rasyncio._graft", "find");
        let (module, path) = (containers::string_of(self.module)?, containers::string_of(self.path)?);
        let found = call::call(FIND.get()?, &[&module, &path])?;
        if !python_function::is_function(&found) {
            return Err(raise(Builtin::SystemError.class(), c"a function that is none any more"));
        }
        let twin = python_function::twin(&found)?;
        self.state.twin.set(twin.clone());
        Ok(twin)
    }

    /// The function, for those who call it whatever has become of it; its copy, if the native code was taken out.
    pub(crate) fn function(&self) -> Res<Owned> {
        self.state.function.get().map_or_else(|| self.body(), Ok)
    }
}

/// Has the code of a graft's function a certain name in it? So its releases are told apart.
pub(crate) struct Mentions {
    graft: &'static Graft,
    name: &'static Name,
    answer: Attached<Cell<Option<bool>>>,
}

impl Mentions {
    pub(crate) const fn new(graft: &'static Graft, name: &'static Name) -> Self {
        Mentions { graft, name, answer: Attached::new(Cell::new(None)) }
    }

    /// No, as long as the function cannot be had.
    #[inline]
    pub(crate) fn get(&self) -> bool {
        self.answer.get().unwrap_or_else(|| self.look())
    }

    #[cold]
    fn look(&self) -> bool {
        let look = || {
            let code = python_function::code(&*self.graft.body()?);
            let names = call::getattr(&code.unwrap_or_else(|| none().own()), &CO_NAMES)?;
            containers::contains(&names, self.name.object())
        };
        match look() {
            Ok(answer) => {
                self.answer.set(Some(answer));
                answer
            }
            Err(raised) => {
                drop(fetch(raised));
                false
            }
        }
    }
}
