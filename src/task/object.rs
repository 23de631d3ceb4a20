//! The memory of a task: layout, the collector's view of it, and its last words.
//!
//! Who changes a field, and when (but for the collector, which clears all of them):
//!
//! * `coroutine`, `context`: `construct.rs`; an eager start that runs to the end clears the coroutine.
//! * `name`: `construct.rs` and `name.rs`, which makes a default name when somebody asks.
//! * `waiting_for`: `suspend.rs` sets it, the next step clears it before it runs the coroutine.
//! * `cancels_requested`: `cancel.rs`.
//! * `MUST_CANCEL`: set by `cancel.rs` if there is nothing to cancel; cleared by the step that throws the cancellation,
//!   by `suspend.rs` if it goes to what is awaited, by `uncancel()`, and when the coroutine returns.
//! * `LOG_DESTROY_PENDING`: `construct.rs`, an eager start that fails, and anybody through the attribute.
//! * `STAYS_LISTED`: the finaliser, and who registers the task after it.
//! * `IS_COUNTED`: `construct.rs`, once the loop has counted it; cleared when the loop is told of its end, whatever it is.
//! * `node`: [`TaskObject::list`], the step that is the last (3.14 on), and the deallocator.

use std::cell::Cell;
use std::ffi::CStr;

use crate::event_loop::{Counter, Counts};
use crate::future::{self, FutureObject};
use crate::names::TASK;
use crate::sched;
use crate::state::{TaskLayout, tasks};
#[cfg(Py_3_12)]
use crate::sys::Owned;
use crate::sys::freelist::FEW;
use crate::sys::gc;
use crate::sys::life::{Life, object};
use crate::sys::list::{Linked, Node, linked};
use crate::sys::typeobj::StaticType;
use crate::sys::{Field, Layout, Object, Res};
use crate::versions;

object! {
    /// A future, then what drives it. Laid out as CPython's `TaskObj`, like the future.
    pub(crate) struct TaskObject: TYPE {
        future: FutureObject,
        /// `cancel()` calls not taken back by `uncancel()`.
        pub(super) cancels_requested: Cell<i32>,
        /// What the coroutine is waiting for.
        pub(super) waiting_for: Field,
        /// Not set before initialisation, and after an eager start that ran to the end.
        pub(super) coroutine: Field,
        /// A string, or the number of a name that nobody has asked for yet.
        pub(super) name: Field,
        pub(super) context: Field,
        /// The finaliser may register the task anew, so the deallocator unlinks it after that.
        node: Node,
    }
}

linked!(TaskObject, node);

impl Life for TaskObject {
    #[inline]
    fn needs_finalizer(&self) -> bool {
        (self.future.is_pending() && self.log_destroy_pending())
            || self.future.logs_traceback()
            || !TYPE.is_exact(self.as_object())
    }

    /// Whatever has become of it, it is not alive.
    #[inline]
    fn disarm(&self) {
        if self.future.task_flags.has(IS_COUNTED) {
            self.is_lost();
        }
    }
}

/// The next step throws `CancelledError` into the coroutine.
const MUST_CANCEL: u8 = 1;
/// The loop is told if the task dies while it is pending.
const LOG_DESTROY_PENDING: u8 = 2;
/// The task is listed though its finaliser has run: no collection has cleared the weak references to it, or it was
/// registered after that (up to 3.13).
const STAYS_LISTED: u8 = 4;
/// The loop has counted it as made, and not yet as ended.
const IS_COUNTED: u8 = 8;

pub(crate) static TYPE: StaticType<TaskObject> = StaticType::keeping(FEW);

// Where they are in CPython's own: from 3.14 on its `.AsyncioDebug` section says so, before, profilers know its headers.
const _: () = {
    use std::mem::offset_of;
    let start = if cfg!(Py_3_14) {
        120
    } else if cfg!(Py_3_13) {
        112
    } else {
        128
    };
    assert!(offset_of!(TaskObject, waiting_for) == start);
    assert!(offset_of!(TaskObject, coroutine) == start + 8);
    assert!(offset_of!(TaskObject, name) == start + 16);
    assert!(offset_of!(TaskObject, node) == start + 32 && size_of::<TaskObject>() == start + 48);
};

impl TaskObject {
    /// The name in the type's spec.
    pub(crate) const NAME: &'static CStr = c"_asyncio.Task";

    #[inline]
    pub(crate) fn future(&self) -> &FutureObject {
        &self.future
    }

    /// A copy of the context that it runs in, as it is now.
    #[cfg(Py_3_12)]
    pub(crate) fn copy_of_context(&self) -> Res<Owned> {
        crate::sys::context::copy(&self.context.get_or_none())
    }

    /// `cancelling()`
    #[cfg(Py_3_12)]
    #[inline]
    pub(crate) fn cancels_requested(&self) -> i32 {
        self.cancels_requested.get()
    }

    #[inline]
    pub(super) fn must_cancel(&self) -> bool {
        self.future.task_flags.has(MUST_CANCEL)
    }

    #[inline]
    pub(super) fn set_must_cancel(&self, value: bool) {
        self.future.task_flags.put(MUST_CANCEL, value);
    }

    #[cfg(Py_3_12)]
    pub(crate) fn do_not_log_destroy_pending(&self) {
        self.set_log_destroy_pending(false);
    }

    pub(super) fn log_destroy_pending(&self) -> bool {
        self.future.task_flags.has(LOG_DESTROY_PENDING)
    }

    pub(super) fn set_log_destroy_pending(&self, value: bool) {
        self.future.task_flags.put(LOG_DESTROY_PENDING, value);
    }

    /// The loop counts it as made; once, whoever initialises it again.
    #[inline]
    pub(super) fn count_made(&self, event_loop: &Object) {
        if !self.future.task_flags.has(IS_COUNTED) {
            self.future.task_flags.put(IS_COUNTED, true);
            sched::count(event_loop, |counts| &counts.tasks_made);
        }
    }

    /// The loop counts its end, which is that.
    #[inline]
    pub(super) fn count_end(&self, event_loop: &Object, which: impl FnOnce(&Counts) -> &Counter) {
        if self.future.task_flags.has(IS_COUNTED) {
            self.future.task_flags.put(IS_COUNTED, false);
            sched::count(event_loop, which);
        }
    }

    #[cold]
    fn is_lost(&self) {
        if let Some(event_loop) = self.future.event_loop() {
            self.count_end(&event_loop, |counts| &counts.tasks_lost);
        }
    }

    /// Adds the task to those that `all_tasks()` knows.
    ///
    /// Up to 3.13 CPython has all tasks in a weak set. Our list stands for it as long as nobody could tell: a task
    /// whose class has a say in hash, comparison or end goes into the set, and all do once somebody reads that.
    #[inline]
    pub(crate) fn list(&self) -> Res<()> {
        if !versions::TASKS_PER_THREAD {
            if tasks::all_in_set() || !TYPE.gives_identity(self.as_object()) {
                return tasks::add_foreign(self.as_object());
            }
            if gc::is_finalized(self) {
                self.future.task_flags.put(STAYS_LISTED, true);
            }
        }
        tasks::link(self);
        Ok(())
    }

    /// Takes back what [`TaskObject::list`] did.
    pub(crate) fn unlist(&self) -> Res<()> {
        self.unlink();
        if !versions::TASKS_PER_THREAD && (tasks::all_in_set() || !TYPE.gives_identity(self.as_object())) {
            return tasks::discard_foreign(self.as_object());
        }
        Ok(())
    }

    /// Is the task, which is in the list, there for all to see? Up to 3.13 the collector clears the weak references to
    /// a task before it finalises anything: one that its finaliser brings back is in no set then. One whose last
    /// reference went keeps them.
    pub(crate) fn is_listed(&self) -> bool {
        versions::TASKS_PER_THREAD || !gc::is_finalized(self) || self.future.task_flags.has(STAYS_LISTED)
    }
}

/// A task pending in the given loop? `None` for what is not exactly a task of ours: its `done()` may say what it likes.
pub(crate) fn is_pending_in(task: &Object, event_loop: &Object) -> Option<bool> {
    let future = TYPE.downcast_exact(task)?.future();
    Some(future.is_pending() && future.belongs_to(event_loop))
}

/// A task that is not done, in the given loop? `None` for what is no task of ours. Runs no Python code.
pub(crate) fn is_alive_in(task: &Object, event_loop: &Object) -> Option<bool> {
    let future = TYPE.downcast(task)?.future();
    Some(future.is_pending() && future.belongs_to(event_loop))
}

/// Where debuggers find what is of interest to them.
pub(crate) const LAYOUT: TaskLayout = {
    use std::mem::offset_of;
    let [awaited_by, is_task, awaited_by_is_set] = FutureObject::LAYOUT;
    let (name, coroutine) = (offset_of!(TaskObject, name), offset_of!(TaskObject, coroutine));
    [size_of::<TaskObject>(), name, awaited_by, is_task, awaited_by_is_set, coroutine, offset_of!(TaskObject, node)]
};

/// `tp_finalize`: a task that dies pending, an exception that nobody has retrieved.
pub(super) fn finalize(task: &TaskObject) {
    if !versions::TASKS_PER_THREAD && gc::is_freed_by_count(task) {
        task.future.task_flags.put(STAYS_LISTED, true);
    }
    if task.future.is_pending() && task.log_destroy_pending() {
        future::report_to_loop(&task.future, c"Task was destroyed but it is pending!", &TASK);
    }
    future::finalize(&task.future);
}
