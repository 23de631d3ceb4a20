//! What asyncio knows of the process: each thread's running loop and current task, and the tasks that exist.
//!
//! * [`thread`]: the running loop and, where they belong to the thread, the current tasks.
//! * [`tasks`]: the lists of native tasks, and the containers for tasks of other implementations.
//! * [`shared`]: whether all of this is where CPython 3.14 on itself has it, and its module looks for it, or in statics
//!   of ours.

mod elf;
mod shared;
pub(crate) mod tasks;
pub(crate) mod thread;

use crate::sys::interpreter_fields;
use crate::sys::object::none;
use crate::sys::typeobj::add_to_module;
use crate::sys::{Layout, Object, Res, containers};

pub(crate) use shared::TaskLayout;

/// Decides where the state is, and makes the containers. `linked_tasks` is a function without arguments that lists the
/// native tasks. Called once, by the module's initialisation.
///
/// The module's `__rasyncio_own_state__` says why the state is our own, or is `None`.
pub(crate) fn init(module: &Object, task: TaskLayout, linked_tasks: &Object) -> Res<()> {
    let reason = match shared::settle(task) {
        Ok(()) => none().own(),
        Err(reason) => containers::string_of(&reason)?,
    };
    add_to_module(module, c"__rasyncio_own_state__", &reason)?;
    thread::init(module)?;
    tasks::init(module, linked_tasks)
}

/// Is the state CPython's own, so that its module sees ours and we see its?
pub(crate) fn is_shared() -> bool {
    interpreter_fields::here().is_some()
}
