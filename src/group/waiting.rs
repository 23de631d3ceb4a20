//! One call of `asyncio.wait`: for whom, and what ends it.
//!
//! What a future calls when it is done is the function `_on_completion` inside of `_wait`, whose variables are here. As
//! with `gather`, that function is made when a program looks at the future's callbacks, and from then on it does what is
//! left to do.

use std::cell::Cell;

use crate::future::{self, FutureObject, WaiterJob};
use crate::graft::Graft;
use crate::names::{ALL_COMPLETED, CANCEL, FIRST_COMPLETED, FIRST_EXCEPTION, REMOVE_DONE_CALLBACK};
use crate::sched;
use crate::sys::error::{Builtin, raise};
use crate::sys::freelist::FEW;
use crate::sys::lazy::Lazy;
use crate::sys::life::{Life, object};
use crate::sys::object::none;
use crate::sys::typeobj::{StaticType, TypeBuilder};
use crate::sys::{Field, Layout, Object, Owned, Res, call, containers};
use crate::task;

pub(super) static INNER: Graft = Graft::inner("asyncio.tasks", "_wait");

object! {
    pub(super) struct Waiting: TYPE {
        head: Object,
        /// What `_wait` awaits.
        pub(super) waiter: Field,
        /// A list, in the order of the set.
        pub(super) futures: Field,
        /// Of the timeout, if there is one.
        pub(super) timer: Field,
        /// The task that called, if it did.
        pub(super) current: Field,
        /// One of the three names of `return_when`.
        pub(super) condition: Field,
        /// `_on_completion`, once somebody has seen it.
        exposed: Field,
        pub(super) counter: Cell<usize>,
        /// Of `wait` itself.
        pub(super) graft: Cell<Option<&'static Graft>>,
    }
}

impl Life for Waiting {}

pub(super) static TYPE: StaticType<Waiting> = StaticType::keeping(FEW);

/// `rasyncio._graft_wait`
static EXPOSE: Lazy = Lazy::new("rasyncio._graft_wait", "expose");
static LEAVE: Lazy = Lazy::new("rasyncio._graft_wait", "leave");
static SORT: Lazy = Lazy::new("rasyncio._graft_wait", "sort");

/// A future is done.
pub(super) static COMPLETED: WaiterJob = WaiterJob::without_context(
    |waiting, future| completed(waiting_of(waiting)?, future.unwrap_or(none())),
    |waiting, future| Ok((waiting_of(waiting)?.expose()?, future.map(Layout::own))),
);

fn waiting_of(object: &Object) -> Res<&Waiting> {
    TYPE.downcast_exact(object).ok_or_else(|| raise(Builtin::TypeError.class(), c"an event loop's handle was changed"))
}

/// Is it one of those that native code knows?
pub(super) fn is_condition(object: &Object) -> bool {
    [&ALL_COMPLETED, &FIRST_COMPLETED, &FIRST_EXCEPTION].iter().any(|name| name.is(object))
}

/// `_on_completion(future)`
fn completed(waiting: &Waiting, object: &Object) -> Res<()> {
    let waiter = waiting.waiter.get_or_none();
    let usual = task::as_plain_future(object)
        .zip(task::as_plain_future(&waiter))
        .filter(|_| !waiting.exposed.is_set() && waiting.is_on());
    let Some((future, waiter)) = usual else { return call::call1(&*waiting.expose()?, object).map(drop) };
    waiting.counter.set(waiting.counter.get().saturating_sub(1));
    if waiting.is_over(future)? {
        waiting.cancel_timer()?;
        if waiter.is_pending() {
            future::set_result(waiter, none().own())?;
        }
    }
    waiting.current.get().map_or(Ok(()), |current| future::discard_from_awaited_by(future, &current))
}

impl Waiting {
    fn is_on(&self) -> bool {
        self.graft.get().is_some_and(Graft::is_on)
    }

    /// With this future?
    fn is_over(&self, future: &FutureObject) -> Res<bool> {
        let is = |condition: &crate::names::Name| self.condition.holds(condition.object());
        if self.counter.get() == 0 || is(&FIRST_COMPLETED) {
            return Ok(true);
        }
        Ok(is(&FIRST_EXCEPTION) && !future.is_cancelled() && !future::exception(future)?.is_none())
    }

    fn cancel_timer(&self) -> Res<()> {
        self.timer.get().map_or(Ok(()), |timer| sched::cancel(&timer))
    }

    /// Has all futures call it.
    pub(super) fn begin(&self, owned: &Object) -> Res<()> {
        let futures = self.futures.get_or_none();
        let mut index = 0;
        while let Some(object) = containers::list_item(&futures, index) {
            if let Some(future) = task::as_exact_future(&object) {
                future::add_waiter(future, future::Waiter { target: owned.own(), kind: &COMPLETED })?;
                if let Some(current) = self.current.get() {
                    future::add_to_awaited_by(future, &current)?;
                }
            }
            index += 1;
        }
        Ok(())
    }

    /// The function that futures call, as Python code sees it.
    #[cold]
    fn expose(&self) -> Res<Owned> {
        if let Some(function) = self.exposed.get() {
            return Ok(function);
        }
        let counter = containers::int(i64::try_from(self.counter.get()).unwrap_or(i64::MAX))?;
        let function = call::call(
            EXPOSE.get()?,
            &[
                &*INNER.body()?,
                &*self.waiter.get_or_none(),
                &*self.condition.get_or_none(),
                &*self.timer.get_or_none(),
                &*counter,
                &*self.current.get_or_none(),
            ],
        )?;
        self.exposed.set(function.clone());
        Ok(function)
    }

    /// The `finally` of `_wait`: no future calls it any more.
    pub(super) fn leave(&self, owned: &Object) -> Res<()> {
        let futures = self.futures.get_or_none();
        if !self.is_on() {
            if let Some(timer) = self.timer.get() {
                call::call_method(&CANCEL, &[&*timer], None)?;
            }
            return self.leave_in_python(&futures);
        }
        self.cancel_timer()?;
        let current = self.current.get();
        let mut index = 0;
        while let Some(object) = containers::list_item(&futures, index) {
            let Some(future) = task::as_plain_future(&object) else {
                return self.leave_in_python(&*rest(&futures, index)?);
            };
            if self.exposed.is_set() || !future::remove_waiter(future, owned, &COMPLETED)? {
                // Comparing callbacks may run Python code.
                call::call_method(&REMOVE_DONE_CALLBACK, &[&*object, &*self.expose()?], None)?;
            }
            if let Some(current) = &current {
                future::discard_from_awaited_by(future, current)?;
            }
            index += 1;
        }
        Ok(())
    }

    #[cold]
    fn leave_in_python(&self, futures: &Object) -> Res<()> {
        let (function, current) = (self.expose()?, self.current.get_or_none());
        call::call(LEAVE.get()?, &[&*INNER.body()?, futures, &*function, &*current]).map(drop)
    }

    /// `done, pending`
    pub(super) fn sorted(&self) -> Res<Owned> {
        let futures = self.futures.get_or_none();
        if !self.is_on() {
            return call::call(SORT.get()?, &[&*INNER.body()?, &*rest(&futures, 0)?, none(), none()]);
        }
        let (done, pending) = (containers::new_set(None)?, containers::new_set(None)?);
        let mut index = 0;
        while let Some(object) = containers::list_item(&futures, index) {
            let Some(future) = task::as_plain_future(&object) else {
                return call::call(SORT.get()?, &[&*INNER.body()?, &*rest(&futures, index)?, &*done, &*pending]);
            };
            containers::set_add(if future.is_pending() { &pending } else { &done }, &object)?;
            index += 1;
        }
        containers::tuple(&[&done, &pending])
    }
}

/// A list of those from the index on.
#[cold]
fn rest(list: &Object, index: usize) -> Res<Owned> {
    let items = containers::items(list)?.unwrap_or_default();
    containers::list_of(items.into_iter().skip(index).collect())
}

/// Makes the type. Called once, by the module's initialisation.
pub(super) fn init(module: &Object) -> Res<()> {
    TypeBuilder::new(&TYPE, c"_asyncio._Waiting", c"A call of wait().")
        .life()
        .flags(pyo3::ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION)
        .build(module, None)
}
