//! One call of `asyncio.gather`: who is awaited, how many are done.
//!
//! What a child calls when it is done is the function `_done_callback` inside of `gather`, whose variables are here. A
//! program that looks at a child's callbacks sees that very function: it is made then, with cells for the variables, and
//! from then on it does what is left to do, natively nothing more ([`Gathering::expose`]).

use std::cell::Cell;

use crate::asyncio::{self, TASKS_GLOBALS};
use crate::future::{self, FutureObject, Outcome, WaiterJob};
use crate::graft::Graft;
use crate::graft::shape::Shape;
use crate::names::{
    CANCEL, CANCEL_REQUESTED, CHILDREN, DISCARD_AWAITED_BY, DONE, MAKE_CANCELLED_ERROR, SET_EXCEPTION, SET_RESULT,
};
use crate::sys::error::{Builtin, raise};
use crate::sys::freelist::FEW;
use crate::sys::instance_values::Values;
use crate::sys::intern::EMPTY;
use crate::sys::lazy::Lazy;
use crate::sys::life::{Life, object};
use crate::sys::object::{boolean, none};
use crate::sys::typeobj::{StaticType, TypeBuilder};
use crate::sys::{Field, Layout, Object, Owned, Res, call, containers, memory};
use crate::task;

object! {
    pub(super) struct Gathering: TYPE {
        head: Object,
        /// Not set before it is made.
        pub(super) outer: Field,
        /// A list.
        pub(super) children: Field,
        /// The task that called, if it did.
        pub(super) current: Field,
        /// `_done_callback`, once somebody has seen it.
        exposed: Field,
        pub(super) count: Cell<usize>,
        finished: Cell<usize>,
        pub(super) return_exceptions: Cell<bool>,
        /// Of `gather` itself.
        pub(super) graft: Cell<Option<&'static Graft>>,
    }
}

impl Life for Gathering {}

pub(super) static TYPE: StaticType<Gathering> = StaticType::keeping(FEW);

/// `rasyncio._graft_gather`: makes the function.
static EXPOSE: Lazy = Lazy::new("rasyncio._graft_gather", "expose");
static COMPLETE: Lazy = Lazy::new("rasyncio._graft_gather", "complete");

/// A child is done.
pub(super) static CHILD_DONE: WaiterJob = WaiterJob::without_context(
    |gathering, child| done(gathering_of(gathering)?, child.unwrap_or(none())),
    |gathering, child| Ok((gathering_of(gathering)?.expose()?, child.map(Layout::own))),
);

fn gathering_of(object: &Object) -> Res<&Gathering> {
    TYPE.downcast_exact(object).ok_or_else(|| raise(Builtin::TypeError.class(), c"an event loop's handle was changed"))
}

impl Gathering {
    /// The function that children call, as Python code sees it.
    #[cold]
    fn expose(&self) -> Res<Owned> {
        if let Some(function) = self.exposed.get() {
            return Ok(function);
        }
        let graft =
            self.graft.get().ok_or_else(|| raise(Builtin::SystemError.class(), c"a call that was taken apart"))?;
        let number = |number| containers::int(i64::try_from(number).unwrap_or(i64::MAX));
        let (count, finished) = (number(self.count.get())?, number(self.finished.get())?);
        let function = call::call(
            EXPOSE.get()?,
            &[
                &*graft.body()?,
                &*self.children.get_or_none(),
                &*self.outer.get_or_none(),
                &*count,
                &*finished,
                boolean(self.return_exceptions.get()),
                &*self.current.get_or_none(),
            ],
        )?;
        self.exposed.set(function.clone());
        Ok(function)
    }

    /// The future is made, and all children are counted.
    pub(super) fn complete(&self, outer: &FutureObject) -> Res<()> {
        self.outer.set(outer.as_object().own());
        let Some(function) = self.exposed.get() else { return Ok(()) };
        let count = containers::int(i64::try_from(self.count.get()).unwrap_or(i64::MAX))?;
        let children = self.children.get_or_none();
        call::call(COMPLETE.get()?, &[&*function, outer.as_object(), &*count, &*children]).map(drop)
    }

    /// What Python code knows of it, if anything: then that function is called.
    fn in_python(&self, child: &Object) -> Res<()> {
        call::call1(&*self.expose()?, child).map(drop)
    }
}

/// What `gather` returns.
static OUTER: Shape<2> = Shape::new(
    "asyncio.tasks",
    "_GatheringFuture",
    [&CHILDREN, &CANCEL_REQUESTED],
    &[&CANCEL, &DONE, &SET_EXCEPTION, &SET_RESULT],
);
const REQUESTED: usize = 1;

/// Has the program not hidden a method of what `gather` returned? Where its attributes are in a dict, there are just the
/// two that it was made with.
#[allow(clippy::inline_always)] // once for each child, and two places call it
#[inline(always)]
pub(super) fn is_plain_outer(outer: &FutureObject) -> bool {
    OUTER.of(outer.as_object()).is_some() || is_plain_in_dict(outer)
}

#[cold]
fn is_plain_in_dict(outer: &FutureObject) -> bool {
    OUTER.fits(outer.as_object())
        && Values::of(outer.as_object()).is_none()
        && outer.count_of_attributes() == 2
        && outer.has_attribute(&CHILDREN)
        && outer.has_attribute(&CANCEL_REQUESTED)
}

/// `outer._cancel_requested`
fn cancel_requested(outer: &FutureObject) -> Res<bool> {
    match OUTER.of(outer.as_object()).and_then(|outer| outer.flag(REQUESTED)) {
        Some(requested) => Ok(requested),
        None => call::is_true(&*call::getattr(outer.as_object(), &CANCEL_REQUESTED)?),
    }
}

/// `_done_callback(child)`
pub(super) fn done(gathering: &Gathering, child: &Object) -> Res<()> {
    let native = task::as_plain_future(child);
    let outer = gathering.outer.get();
    let outer = outer.as_deref().and_then(task::as_native_future);
    let (Some(child), Some(outer)) = (native, outer) else { return gathering.in_python(child) };
    // Only who fails has another function called.
    let may = if child.has_failed() { Graft::is_on } else { Graft::is_on_itself };
    let may_run = !gathering.exposed.is_set() && gathering.graft.get().is_some_and(may) && is_plain_outer(outer);
    if !may_run {
        return gathering.in_python(child.as_object());
    }
    gathering.finished.set(gathering.finished.get() + 1);
    let current = gathering.current.get();
    if let Some(current) = &current {
        future::discard_from_awaited_by(child, current)?;
    }
    if !outer.is_pending() {
        if !child.is_cancelled() {
            future::exception(child)?;
        }
        return Ok(());
    }
    if !gathering.return_exceptions.get() && child.has_failed() {
        let exception =
            if child.is_cancelled() { future::make_cancelled_error(child)? } else { future::exception(child)? };
        if discards_edges() {
            discard_edges(gathering, current.as_deref())?;
        }
        return call::call_method(&SET_EXCEPTION, &[outer.as_object(), &*exception], None).map(drop);
    }
    if gathering.finished.get() == gathering.count.get() { finish(gathering, outer, child) } else { Ok(()) }
}

/// Do children that outlive it lose the edge to the task? (gh-157213; asyncio has a function for it then.)
fn discards_edges() -> bool {
    TASKS_GLOBALS.find().is_some_and(|globals| !containers::dict_peek(globals, &DISCARD_AWAITED_BY).is_null())
}

fn discard_edges(gathering: &Gathering, current: Option<&Object>) -> Res<()> {
    let (Some(children), Some(current)) = (gathering.children.get(), current) else { return Ok(()) };
    let mut index = 0;
    while let Some(child) = containers::list_item(&children, index) {
        if let Some(child) = task::as_native_future(&child) {
            future::discard_from_awaited_by(child, current)?;
        }
        index += 1;
    }
    Ok(())
}

/// All are done: the results, in order.
fn finish(gathering: &Gathering, outer: &FutureObject, child: &FutureObject) -> Res<()> {
    let children = gathering.children.get_or_none();
    let mut last = child.as_object().own();
    let mut results = memory::vec_for(containers::list_len(&children))?;
    let mut runs_no_python = true;
    let mut index = 0;
    while let Some(child) = containers::list_item(&children, index) {
        let result = if let Some(child) = task::as_plain_future(&child) {
            result_of(child)?
        } else {
            runs_no_python = false;
            result_in_python(&child)?
        };
        memory::make_room(&mut results)?;
        results.push(result);
        last = child;
        index += 1;
    }
    let results = containers::list_of(results)?;
    if cancel_requested(outer)? {
        return fail(outer, &last);
    }
    if runs_no_python {
        return future::set_result(outer, results);
    }
    call::call_method(&SET_RESULT, &[outer.as_object(), &*results], None).map(drop)
}

/// It was to be cancelled: its exception is that of the last child in the list.
#[cold]
fn fail(outer: &FutureObject, last: &Object) -> Res<()> {
    let exception = match task::as_plain_future(last) {
        Some(last) => future::make_cancelled_error(last)?,
        None => call::call_method(&MAKE_CANCELLED_ERROR, &[last], None)?,
    };
    call::call_method(&SET_EXCEPTION, &[outer.as_object(), &*exception], None).map(drop)
}

fn result_of(child: &FutureObject) -> Res<Owned> {
    if child.is_cancelled() {
        let class = asyncio::cancelled_error()?;
        let message = child.cancel_message().get_or_none();
        return call::call1(class, if message.is_none() { EMPTY.object() } else { &message });
    }
    if child.has_failed() {
        return future::exception(child);
    }
    match future::outcome(child)? {
        Outcome::Value(value) | Outcome::Exception(value) => Ok(value),
    }
}

/// A child that somebody has put into the list.
#[cold]
fn result_in_python(child: &Object) -> Res<Owned> {
    static RESULT: Lazy = Lazy::new("rasyncio._graft_gather", "result");
    call::call1(RESULT.get()?, child)
}

/// Makes the type. Called once, by the module's initialisation.
pub(super) fn init(module: &Object) -> Res<()> {
    TypeBuilder::new(&TYPE, c"_asyncio._Gathering", c"A call of gather().")
        .life()
        .flags(pyo3::ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION)
        .build(module, None)
}
