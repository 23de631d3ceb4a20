//! Who awaits a future natively: a task, as far as a future knows of one.
//!
//! A future knows nothing of tasks. A waiter is an object and the kind of work that wakes it up, so that awaiting a
//! future makes no callable; one is made (`Task.task_wakeup`) for whoever looks at the callbacks.

use crate::job::Job;
use crate::sys::{Object, Owned};

/// How a waiter is woken up.
pub(crate) struct WaiterJob {
    pub(crate) job: Job,
    /// The context to wake it up in.
    pub(crate) context: fn(&Object) -> Owned,
}

/// Somebody who awaits a future natively.
#[derive(Clone)]
pub(crate) struct Waiter {
    pub(crate) target: Owned,
    pub(crate) kind: &'static WaiterJob,
}
