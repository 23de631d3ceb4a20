//! How asyncio differs between CPython 3.11 and 3.15, and nowhere else. (How the C API differs is in `sys::compat`.)
//!
//! The constants name a behaviour, not a version: code asks `if versions::EAGER_TASKS`, and the compiler drops the
//! branch that this interpreter does not have. One wheel serves all patch releases of a minor version, so what came
//! with a patch release is a function, which asks the interpreter that runs. What a patch release mended because it
//! crashed, hung or leaked is nothing to ask about: all of that is mended here, on every patch release.

use std::ffi::CStr;

use crate::sys::compat::runs_patch;

/// `Task(eager_start=)` and the eager task functions.
pub(crate) const EAGER_TASKS: bool = cfg!(Py_3_12);
/// A task's default name is a number until somebody asks for it.
pub(crate) const TASK_NAMES_DEFERRED: bool = cfg!(Py_3_12);
/// `Task.get_context()`.
pub(crate) const TASK_GET_CONTEXT: bool = cfg!(Py_3_12);
/// `FutureIter.throw()` with more than one argument warns.
pub(crate) const THROW_SIGNATURE_DEPRECATED: bool = cfg!(Py_3_12);
/// `set_exception(StopIteration())` stores a `RuntimeError` instead of raising `TypeError`.
pub(crate) const STOP_ITERATION_CONVERTED: bool = cfg!(Py_3_13);
/// `uncancel()` that reaches zero also withdraws a cancellation that was not delivered yet.
pub(crate) const UNCANCEL_CLEARS_MUST_CANCEL: bool = cfg!(Py_3_13);
/// A future knows the tasks that await it (`_asyncio_awaited_by`).
pub(crate) const AWAITED_BY: bool = cfg!(Py_3_14);
/// Current task and task list belong to the thread (`_enter_task` checks the running loop, `all_tasks` is native, a
/// done task leaves the list); before, they are module containers that anyone may look into.
pub(crate) const TASKS_PER_THREAD: bool = cfg!(Py_3_14);
/// `_swap_current_task(loop, None)` pops the loop's task; before, it deletes one that has to be there.
pub(crate) const NO_TASK_POPS: bool = cfg!(Py_3_13);
/// `_leave_task` of a loop that cannot be compared says so; before, it finds no task.
pub(crate) const LEAVE_TASK_FAILS: bool = cfg!(Py_3_13);
/// A future iterator that has delivered its result delivers it again.
pub(crate) const ITERATOR_KEEPS_FUTURE: bool = cfg!(Py_3_14);
/// Awaiting an exhausted iterator raises `StopIteration` inside of the coroutine (gh-146065); before, it gets `None`.
pub(crate) const SEND_TO_EXHAUSTED_FAILS: bool = cfg!(Py_3_15);
/// `await` calls an iterator's `tp_iternext`, as `next()` does; elsewhere its `am_send`, but for 3.11 under a tracer.
pub(crate) const AWAIT_ITERATES: bool = cfg!(all(Py_3_12, not(Py_3_15)));
/// `type(iter(future))()` makes an exhausted iterator.
pub(crate) const ITERATOR_CAN_BE_MADE: bool = cfg!(Py_3_12);
/// The "already done" text of a step says `__step()`.
pub(crate) const STEP_NAME_MANGLED: bool = cfg!(Py_3_14);
/// `eager_start` with `loop` omitted asks the loop that was found, not `None` (gh-154695).
pub(crate) fn eager_start_on_found_loop() -> bool {
    cfg!(Py_3_15) || (cfg!(Py_3_14) && runs_patch(7))
}
/// Some releases' `TaskGroup.create_task` looks at once what became of a task that is done (gh-128588).
#[cfg(Py_3_12)]
pub(crate) const TASK_GROUP_MAY_LOOK_AT_ONCE: bool = !cfg!(Py_3_14);
/// `TaskGroup.cancel()`; and `__aexit__` that returns true.
#[cfg(Py_3_12)]
pub(crate) const TASK_GROUP_CANCEL: bool = cfg!(Py_3_15);
/// `__init__` on an initialised object is refused (gh-142615).
pub(crate) const INIT_ONCE: bool = cfg!(Py_3_15);
/// `Task(context=)` must be a `contextvars.Context` (gh-157301).
pub(crate) fn task_context_checked() -> bool {
    cfg!(Py_3_15) || (cfg!(all(Py_3_13, not(Py_3_14))) && runs_patch(16))
}
/// Subclasses of `Task` redefine what they inherit from `Future`'s attributes.
pub(crate) const TASK_REDEFINES_GETSETS: bool = !cfg!(Py_3_14);
/// `format_helpers._format_callback_source` takes `debug=`.
pub(crate) const FORMAT_CALLBACK_TAKES_DEBUG: bool = cfg!(Py_3_13);
/// The function of `asyncio.events` that returns the event loop policy without a warning.
pub(crate) const POLICY_GETTER: &str = if cfg!(Py_3_14) { "_get_event_loop_policy" } else { "get_event_loop_policy" };
/// `type(task.__step)` is a builtin of no module, and shows itself so.
pub(crate) const STEP_WRAPPER_IS_BUILTIN: bool = !cfg!(Py_3_12);
/// Its name for the type's spec.
pub(crate) const STEP_WRAPPER_NAME: &CStr =
    if cfg!(Py_3_12) { c"_asyncio.TaskStepMethWrapper" } else { c"builtins.TaskStepMethWrapper" };
/// `call_soon_threadsafe` makes handles of a class of their own, `_ThreadSafeHandle`.
pub(crate) const THREAD_SAFE_HANDLES: bool = cfg!(Py_3_14);
/// `Handle.get_context()`.
pub(crate) const HANDLE_GET_CONTEXT: bool = cfg!(Py_3_12);
/// A timer that is due never (its time is not a number) fails the loop when it is idle, as computing the time to wait does.
pub(crate) const NAN_TIMER_FAILS: bool = cfg!(Py_3_13);
/// A timer is due if its time comes before the next number after the present time, should the clock's resolution be
/// too small for it.
pub(crate) const DUE_WITHIN_ULP: bool = cfg!(Py_3_15);
/// A transport keeps what is to be sent in a bytearray, a copy of what was written; later, in a deque, as it was written.
pub(crate) const SENDS_FROM_BYTEARRAY: bool = !cfg!(Py_3_12);
/// A datagram without data is sent; before, it is dropped.
pub(crate) const EMPTY_DATAGRAMS_SENT: bool = cfg!(Py_3_13);
/// For so many bytes more than it has, a datagram counts while it has to wait (`_header_size`).
pub(crate) const DATAGRAM_HEADER: usize = if cfg!(Py_3_13) { 8 } else { 0 };
/// A transport that is closed forgets what its reader is.
pub(crate) const CLOSING_FORGETS_READER: bool = cfg!(Py_3_12);
/// A transport's callbacks run in the context that it was made with.
pub(crate) const TRANSPORTS_HAVE_CONTEXT: bool = cfg!(Py_3_15);
/// `loop.create_task()` hands all keywords to the task factory, and to `Task`.
pub(crate) const CREATE_TASK_KEYWORDS: bool = cfg!(Py_3_14);
/// `Queue.shutdown()`.
#[cfg(Py_3_12)]
pub(crate) const QUEUE_SHUTDOWN: bool = cfg!(Py_3_13);
