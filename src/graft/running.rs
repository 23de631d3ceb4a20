//! The loop that runs in this thread, if it is one that native code can answer for.

use crate::future::{self, FutureObject};
use crate::handle::HandleObject;
use crate::job::Entry;
use crate::sched;
use crate::state::thread;
use crate::sys::args::Arguments;
use crate::sys::error::fetch;
use crate::sys::{Layout, Object, Owned, Res};

/// A plain loop of ours that runs here, not in debug mode, whose futures and tasks are its own affair.
pub(crate) struct Running(Owned);

impl Running {
    /// Runs no Python code.
    #[inline]
    pub(crate) fn find() -> Option<Running> {
        match thread::running_loop() {
            Ok(running) => running.filter(|running| sched::is_plain(running)).map(Running),
            Err(raised) => {
                drop(fetch(raised));
                None
            }
        }
    }

    #[inline]
    pub(crate) fn event_loop(&self) -> &Object {
        &self.0
    }

    /// Would `create_future()` make one of exactly ours?
    #[inline]
    pub(crate) fn makes_native_futures(&self) -> bool {
        sched::makes_native_futures(&self.0)
    }

    /// `loop.create_future()`, where [`Running::makes_native_futures`].
    #[inline]
    pub(crate) fn make_future(&self) -> Res<Owned<FutureObject>> {
        future::make(&self.0)
    }

    /// `loop.create_future()`; `None` if that would not be exactly ours.
    #[inline]
    pub(crate) fn new_future(&self) -> Res<Option<Owned<FutureObject>>> {
        if self.makes_native_futures() { self.make_future().map(Some) } else { Ok(None) }
    }

    /// `loop.create_task(...)`; `None`, and nothing is done, if the loop has a method of its own for that.
    #[inline]
    pub(crate) fn create_task(&self, arguments: Arguments<'_>) -> Option<Res<Owned>> {
        sched::create_task(&self.0, arguments)
    }

    /// Would `create_task(coroutine)` make a task of exactly ours, without a factory of the program's?
    #[inline]
    pub(crate) fn makes_native_tasks(&self) -> bool {
        sched::makes_native_tasks(&self.0)
    }

    /// `loop.create_task(coroutine)`, where that was asked before.
    #[inline]
    pub(crate) fn create_native_task(&self, coroutine: &Object) -> Res<Owned> {
        sched::create_native_task(&self.0, coroutine)
    }

    /// `loop.call_later(seconds, callback, *arguments)`, of a number.
    pub(crate) fn call_later(&self, seconds: f64, callback: &Object, arguments: &[&Object]) -> Option<Res<Owned>> {
        sched::call_later(&self.0, seconds, callback, arguments)
    }

    /// Has the loop do the work at a time of its clock: `call_at(when, ...)`, where the time may be given as an object, too.
    pub(crate) fn call_at(&self, when: f64, given: Option<&Object>, entry: Entry) -> Res<Owned<HandleObject>> {
        sched::call_at(&self.0, when, given, entry)
    }
}

impl Clone for Running {
    fn clone(&self) -> Self {
        Running(self.0.own())
    }
}
