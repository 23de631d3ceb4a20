//! The coroutine of a grafted coroutine function: no frame, a native body instead.
//!
//! To a program it is what the function's own coroutine would be: `send`, `throw`, `close`, `__await__`, `cr_await`,
//! `cr_frame` and so on answer as that would, its `__class__` is `types.CoroutineType`, it warns if it was never awaited,
//! and exceptions that pass through it name the function and the line ([`shown`]). `type()` tells the truth.
//!
//! A [`Body`] is a function that is called with what has come ([`Input`]) and says what to do next ([`Step`]). Between
//! two of its calls any Python code may have run. It keeps what it needs in the coroutine's fields, asks its graft again
//! before it does what Python code could have changed, and can [`become_python`] where the function's own body, begun from
//! the start, would do what is left to do.
//!
//! A body that would await the coroutine of another body, which waits for a future, may wait for that itself and have the
//! other coroutine made when somebody looks for it ([`fold`]).
//!
//! * `subject`, `first`, `second`, `stage`: the body's own; what it is called with is in the first two or three.
//! * `awaited`, `waits`: `drive.rs`, between two steps.
//! * `state`: `drive.rs`, and `methods.rs` for a coroutine that ends without having begun.
//! * `name`, `qualname`: whoever sets these attributes; `shown`: `shown.rs`, when somebody looks.

mod drive;
mod fold;
mod methods;
mod object;
mod shown;
mod wrapper;

use crate::future::FutureObject;
use crate::names::{AWAIT, Name};
use crate::sys::attached::Attached;
use crate::sys::{Field, Object, Owned, Res, call, iter};

use super::Graft;

pub(crate) use fold::{Fold, Inner};
pub(crate) use object::{Coroutine, downcast, new};

/// What a grafted coroutine function does.
pub(crate) struct Body {
    pub(crate) graft: &'static Graft,
    pub(crate) run: fn(&Coroutine, Input) -> Res<Step>,
    /// Makes what a bare `yield` of the body stands for, for who looks at it.
    yielder: Option<fn() -> Res<Owned>>,
    /// How it does without the coroutine that it awaits.
    fold: Option<Fold>,
    /// The coroutine's `first` is a tuple of all arguments but the first.
    packed: bool,
    /// The coroutine's `first` is a tuple of the arguments of these names, which are given by keyword.
    keywords: &'static [&'static Name],
    /// Names of functions that the code calls, and from which exceptions may come.
    calls: &'static [&'static str],
    /// Where the function's code calls these, and awaits: a list of `(instruction, line)`, when somebody has asked.
    places: Attached<Field>,
}

impl Body {
    pub(crate) const fn new(graft: &'static Graft, run: fn(&Coroutine, Input) -> Res<Step>) -> Self {
        let places = Attached::new(Field::unset());
        Body { graft, run, yielder: None, fold: None, packed: false, keywords: &[], calls: &["remove"], places }
    }

    /// The same, which yields where the function awaits what this makes.
    pub(crate) const fn yielding(mut self, yielder: fn() -> Res<Owned>) -> Self {
        self.yielder = Some(yielder);
        self
    }

    /// The same, which may wait for the future that another coroutine would wait for which it awaits.
    pub(crate) const fn folding(mut self, fold: Fold) -> Self {
        self.fold = Some(fold);
        self
    }

    /// The same, which passes on what is raised by these functions, called by the code.
    pub(crate) const fn calling(mut self, calls: &'static [&'static str]) -> Self {
        self.calls = calls;
        self
    }

    /// The same, for a function of many arguments: the coroutine has all but the first in a tuple, its `first`.
    pub(crate) const fn packed(mut self) -> Self {
        self.packed = true;
        self
    }

    /// The same, for a function of one argument and of these keywords: the coroutine has them in a tuple, its `first`.
    pub(crate) const fn with_keywords(mut self, keywords: &'static [&'static Name]) -> Self {
        self.keywords = keywords;
        self
    }
}

/// What has come to a body.
pub(crate) enum Input {
    /// Its first step.
    Start,
    /// What it awaits has this result.
    Value(Owned),
    /// This is raised where it awaits.
    Error(Owned),
}

/// What a body does next.
pub(crate) enum Step {
    Return(Owned),
    /// Ends with an exception whose traceback names the coroutine already ([`Coroutine::note_raised`]).
    Reraise(Owned),
    /// A bare `yield` of something that it awaits: the code's await of that number.
    Yield(u16),
    /// `await future`: the code's await of that number, from zero on.
    Wait(u16, Owned<FutureObject>),
    /// The same of a pending future, for which the coroutine would wait which the code awaits there ([`Fold`]).
    WaitFolded(u16, Owned<FutureObject>),
    /// `await coroutine`
    Await(u16, Owned),
    /// The same, of one that has yielded this already.
    Awaits(u16, Owned, Owned),
    /// Goes on as this coroutine.
    Become(Owned),
    /// The same, with the exception thrown into it.
    BecomeAndThrow(Owned, Owned),
}

/// Is it a coroutine, of the interpreter's or a native one?
#[inline]
pub(crate) fn is_coroutine(object: &Object) -> bool {
    iter::is_native_coroutine(object) || downcast(object).is_some()
}

/// What `await object` drives: the object itself, if it is a coroutine, or what its `__await__` returns.
pub(crate) fn to_drive(object: Owned) -> Res<Owned> {
    if is_coroutine(&object) {
        return Ok(object);
    }
    call::call_method(&AWAIT, &[&object], None)
}

/// Goes on as the function's own body, from its start.
pub(crate) fn become_python(coroutine: &Coroutine, arguments: &[&Object]) -> Res<Step> {
    let function = coroutine.body()?.graft.body()?;
    call::call(&function, arguments).map(Step::Become)
}

/// The coroutine of the function's own body, called with what the coroutine was made with: its fields `subject` and
/// `first`, and `None` for what else there is.
pub(crate) fn in_python(coroutine: &Coroutine) -> Res<Owned> {
    shown::make_own(coroutine)
}

/// Makes the types. Called once, by the module's initialisation.
pub(crate) fn init(module: &Object) -> Res<()> {
    wrapper::init(module)?;
    methods::init(module)
}
