//! One call of `asyncio.shield`: the future that is shielded, and the one that stands before it.
//!
//! What the two call when they are done are functions inside of `shield`, whose variables are here. They are made when a
//! program looks at callbacks, or when there is more to do than to hand over a result: then they do it.

use crate::future::{self, FutureObject, Outcome, Waiter, WaiterJob};
use crate::graft::Graft;
use crate::job::Callback;
use crate::sys::error::{Builtin, raise};
use crate::sys::freelist::FEW;
use crate::sys::lazy::Lazy;
use crate::sys::life::{Life, object};
use crate::sys::object::none;
use crate::sys::typeobj::{StaticType, TypeBuilder};
use crate::sys::{Field, Layout, Object, Owned, Res, call, containers};
use crate::task;

use std::cell::Cell;

object! {
    pub(super) struct Shielding: TYPE {
        head: Object,
        pub(super) inner: Field,
        pub(super) outer: Field,
        /// The task that called, if it did.
        pub(super) current: Field,
        /// The tuple of the functions, in the order of [`Function`], once somebody has seen one.
        exposed: Field,
        /// Of `shield` itself.
        pub(super) graft: Cell<Option<&'static Graft>>,
    }
}

impl Life for Shielding {}

pub(super) static TYPE: StaticType<Shielding> = StaticType::keeping(FEW);

/// `rasyncio._graft_shield`: makes the functions.
static EXPOSE: Lazy = Lazy::new("rasyncio._graft_shield", "expose");

/// What futures call.
#[derive(Clone, Copy)]
enum Function {
    InnerDone = 0,
    OuterDone = 1,
    ClearAwaitedBy = 2,
}

/// The shielded future is done.
static INNER_DONE: WaiterJob = WaiterJob::without_context(
    |shielding, inner| inner_done(shielding_of(shielding)?, inner.unwrap_or(none())),
    |shielding, inner| shielding_of(shielding)?.callback(Function::InnerDone, inner),
);
/// The one before it is.
static OUTER_DONE: WaiterJob = WaiterJob::without_context(
    |shielding, outer| outer_done(shielding_of(shielding)?, outer.unwrap_or(none())),
    |shielding, outer| shielding_of(shielding)?.callback(Function::OuterDone, outer),
);
/// The shielded one is done, and nobody awaits it any more.
static CLEAR: WaiterJob = WaiterJob::without_context(
    |shielding, inner| clear_awaited_by(shielding_of(shielding)?, inner.unwrap_or(none())),
    |shielding, inner| shielding_of(shielding)?.callback(Function::ClearAwaitedBy, inner),
);

fn shielding_of(object: &Object) -> Res<&Shielding> {
    TYPE.downcast_exact(object).ok_or_else(|| raise(Builtin::TypeError.class(), c"an event loop's handle was changed"))
}

/// `_inner_done_callback(inner)`
fn inner_done(shielding: &Shielding, object: &Object) -> Res<()> {
    let outer = shielding.outer.get_or_none();
    let usual = task::as_plain_future(object)
        .zip(task::as_plain_future(&outer))
        .filter(|(inner, outer)| shielding.is_on() && outer.is_pending() && !inner.is_pending());
    let Some((inner, outer)) = usual else { return shielding.in_python(Function::InnerDone, object) };
    if inner.is_cancelled() {
        return future::cancel(outer, None).map(drop);
    }
    if inner.has_failed() {
        let exception = future::exception(inner)?;
        return future::set_exception(outer, &exception);
    }
    match future::outcome(inner)? {
        Outcome::Value(value) | Outcome::Exception(value) => future::set_result(outer, value),
    }
}

/// `_outer_done_callback(outer)`: most often the shielded one is done, and there is nothing to do.
fn outer_done(shielding: &Shielding, outer: &Object) -> Res<()> {
    let inner = shielding.inner.get_or_none();
    if task::as_plain_future(&inner).is_some_and(|inner| !inner.is_pending()) && shielding.is_on() {
        return Ok(());
    }
    shielding.in_python(Function::OuterDone, outer)
}

/// `_clear_awaited_by_callback(inner)`
fn clear_awaited_by(shielding: &Shielding, object: &Object) -> Res<()> {
    match task::as_exact_future(object).zip(shielding.current.get()) {
        Some((inner, current)) if shielding.is_on() => future::discard_from_awaited_by(inner, &current),
        _ => shielding.in_python(Function::ClearAwaitedBy, object),
    }
}

impl Shielding {
    /// Native code does it, as long as Python code knows none of the functions.
    fn is_on(&self) -> bool {
        !self.exposed.is_set() && self.graft.get().is_some_and(Graft::is_on)
    }

    /// Has the two futures call it.
    pub(super) fn begin(&self, inner: &FutureObject, outer: &FutureObject) -> Res<()> {
        let waiter = |kind| Waiter { target: self.as_object().own(), kind };
        if let Some(current) = self.current.get() {
            future::add_to_awaited_by(inner, &current)?;
            future::add_waiter(inner, waiter(&CLEAR))?;
        }
        future::add_waiter(inner, waiter(&INNER_DONE))?;
        future::add_waiter(outer, waiter(&OUTER_DONE))
    }

    fn callback(&self, function: Function, argument: Option<&Object>) -> Res<Callback> {
        Ok((self.expose(function)?, argument.map(Layout::own)))
    }

    /// The function, as Python code sees it.
    #[cold]
    fn expose(&self, function: Function) -> Res<Owned> {
        if !self.exposed.is_set() {
            let graft =
                self.graft.get().ok_or_else(|| raise(Builtin::SystemError.class(), c"a call that was taken apart"))?;
            let [inner, outer, current] = [&self.inner, &self.outer, &self.current].map(Field::get_or_none);
            self.exposed.set(call::call(EXPOSE.get()?, &[&*graft.body()?, &*inner, &*outer, &*current])?);
        }
        containers::tuple_item(&self.exposed.get_or_none(), function as usize)
    }

    #[cold]
    fn in_python(&self, function: Function, argument: &Object) -> Res<()> {
        call::call1(&*self.expose(function)?, argument).map(drop)
    }
}

/// Makes the type. Called once, by the module's initialisation.
pub(super) fn init(module: &Object) -> Res<()> {
    TypeBuilder::new(&TYPE, c"_asyncio._Shielding", c"A call of shield().")
        .life()
        .flags(pyo3::ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION)
        .build(module, None)
}
