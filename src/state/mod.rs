//! What asyncio knows of the process: each thread's running loop and current task, and the tasks that exist.
//!
//! The rest of the crate uses the functions of the two submodules and nothing else, so that another storage (the
//! thread-state fields that CPython itself has since 3.14) can take the place of this one.
//!
//! * [`thread`]: the running loop and, where they belong to the thread, the current tasks.
//! * [`tasks`]: the list of native tasks, and the containers for tasks of other implementations.

pub(crate) mod tasks;
pub(crate) mod thread;

use crate::sys::{Object, Res};

/// Makes the containers. `linked_tasks` is a function without arguments that lists the native tasks. Called once, by
/// the module's initialisation.
pub(crate) fn init(module: &Object, linked_tasks: &Object) -> Res<()> {
    thread::init(module)?;
    tasks::init(module, linked_tasks)
}
