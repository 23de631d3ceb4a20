//! Who awaits a future natively: a task, as far as a future knows of one.
//!
//! A future knows nothing of tasks. A waiter is an object and the kind of work that wakes it up, so that awaiting a
//! future makes no callable; one is made (`Task.task_wakeup`) for whoever looks at the callbacks.

#[cfg(Py_3_12)]
use crate::job::Callback;
use crate::job::Job;
use crate::sys::{Object, Owned};
#[cfg(Py_3_12)]
use crate::sys::{Res, context};

/// How a waiter is woken up.
pub(crate) struct WaiterJob {
    pub(crate) job: Job,
    /// The context to wake it up in.
    pub(crate) context: fn(&Object) -> Owned,
}

#[cfg(Py_3_12)]
impl WaiterJob {
    /// Of native code that stands in for an inner function of asyncio's: it needs no context.
    pub(crate) const fn without_context(
        run: fn(&Object, Option<&Object>) -> Res<()>,
        callback: fn(&Object, Option<&Object>) -> Res<Callback>,
    ) -> Self {
        let job = Job { run, callback, stop: None, takes_several: false, needs_context: false };
        WaiterJob { job, context: |_| context::shared_empty() }
    }
}

/// Somebody who awaits a future natively.
#[derive(Clone)]
pub(crate) struct Waiter {
    pub(crate) target: Owned,
    pub(crate) kind: &'static WaiterJob,
}
