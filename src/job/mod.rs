//! A piece of work, as everything above describes it to a loop.
//!
//! A [`Job`] is a kind of work, an [`Entry`] one piece of it: a step of a task, a wake-up, a future's callback. An entry
//! lies in the ready queue of our own loop as it is, without a Python object of its own; a handle is made of it for
//! other loops, and for programs that look into the queue. The [`shortcuts`] are what modules above tell of calls whose outcome is known.

pub(crate) mod shortcuts;

use crate::names::CONTEXT;
use crate::sys::gc::{Visited, Visitor};
use crate::sys::lazy::Once;
use crate::sys::{Object, Owned, Res, containers};

/// A kind of work. The functions get the entry's target and argument.
pub(crate) struct Job {
    /// Does it; the caller has entered the entry's context.
    pub(crate) run: fn(target: &Object, argument: Option<&Object>) -> Res<()>,
    /// The same as a Python callable and its argument, for other loops and for programs that look into the queue.
    pub(crate) callback: fn(target: &Object, argument: Option<&Object>) -> Res<Callback>,
    /// What waited for a file by it will not be called any more: as a handle is cancelled.
    pub(crate) stop: Option<Stop>,
    /// The callable's argument, then, is the tuple of several.
    pub(crate) takes_several: bool,
    /// It runs in the entry's context. False if it runs no Python code, so that nobody can tell.
    pub(crate) needs_context: bool,
}

/// What is done of work that will not be.
type Stop = fn(target: &Object, argument: Option<&Object>) -> Res<()>;

/// A callable, and its one argument if it has one.
pub(crate) type Callback = (Owned, Option<Owned>);

/// One piece of work for a loop.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) job: &'static Job,
    pub(crate) target: Owned,
    pub(crate) argument: Option<Owned>,
    /// What `call_soon` gets as `context=`.
    pub(crate) context: Owned,
}

impl Entry {
    /// It will not be called any more, where it waited.
    pub(crate) fn stop(&self) -> Res<()> {
        self.job.stop.map_or(Ok(()), |stop| stop(&self.target, self.argument.as_deref()))
    }

    /// Shows the collector what the entry refers to.
    pub(crate) fn visit(&self, visitor: Visitor) -> Visited {
        visitor.object(&*self.target)?;
        if let Some(argument) = &self.argument {
            visitor.object(&**argument)?;
        }
        visitor.object(&*self.context)
    }
}

/// `("context",)`: the keyword that an entry's context is handed over by.
pub(crate) fn context_keyword() -> Res<&'static Object> {
    static CONTEXT_KEYWORD: Once = Once::new();
    CONTEXT_KEYWORD.get_or_init(|| containers::tuple(&[CONTEXT.object()]))
}
