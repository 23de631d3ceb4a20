//! What asyncio knows of the process: each thread's running loop and current task, and the tasks that exist.
//!
//! * [`thread`]: the running loop and, where they belong to the thread, the current tasks.
//! * [`tasks`]: the lists of native tasks, and the containers for tasks of other implementations.
//! * [`shared`]: whether all of this is where CPython 3.14 on itself has it, and its module looks for it, or in statics
//!   of ours. Up to 3.13 it is in containers, which [`use_theirs`] exchanges for those of CPython's module.

mod elf;
mod shared;
pub(crate) mod tasks;
pub(crate) mod thread;

use std::ffi::CStr;

use crate::sys::interpreter_fields;
use crate::sys::object::none;
use crate::sys::typeobj::add_to_module;
use crate::sys::{Layout, Object, Res, containers};
use crate::versions;

pub(crate) use shared::TaskLayout;

/// Says why the state is our own, or is `None`.
const REASON: &CStr = c"__rasyncio_own_state__";

/// Decides where the state is, and makes the containers. Called once, by the module's initialisation.
pub(crate) fn init(module: &Object, task: TaskLayout) -> Res<()> {
    let reason = match shared::settle(task) {
        Ok(()) => none().own(),
        Err(reason) => containers::string_of(&reason)?,
    };
    add_to_module(module, REASON, &reason)?;
    thread::init(module)?;
    tasks::init(module)
}

/// Uses the containers of CPython's module, up to 3.13, where these are the state.
pub(crate) fn use_theirs(module: &Object, theirs: &Object) -> Res<()> {
    if versions::TASKS_PER_THREAD {
        return Ok(());
    }
    thread::use_theirs(module, theirs)?;
    tasks::use_theirs(module, theirs)?;
    add_to_module(module, REASON, none())
}

/// Is the state CPython's own, in the interpreter's places?
pub(crate) fn is_shared() -> bool {
    interpreter_fields::here().is_some()
}
