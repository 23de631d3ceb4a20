//! What a forked child must forget.

use crate::state::{tasks, thread};
use crate::sys::slots::noargs;
use crate::sys::typeobj::StaticMethod;
use crate::sys::{Object, Res};
use crate::versions;

static AFTER_FORK_IN_CHILD: StaticMethod =
    StaticMethod::new(noargs!(Object, c"after_fork_in_child", after_fork_in_child, c""));

/// No loop runs in a forked child, no task is current there, and (as in CPython from 3.14 on) the parent's tasks are
/// no longer listed (gh-139894).
fn after_fork_in_child(_module: &Object) {
    thread::forget();
    if versions::TASKS_PER_THREAD {
        tasks::forget();
    }
}

/// Arranges for the reset in forked children, where the platform forks. Called once, by the module's initialisation.
pub(super) fn init(module: &Object) -> Res<()> {
    let hook = AFTER_FORK_IN_CHILD.bind(module)?;
    register_at_fork(&hook)?;
    Ok(())
}

fn register_at_fork(hook: &Object) -> Res<()> {
    use pyo3::prelude::*;
    let os = crate::sys::py().import("os")?;
    if let Some(register) = os.getattr_opt("register_at_fork")? {
        let keywords = pyo3::types::PyDict::new(crate::sys::py());
        keywords.set_item("after_in_child", crate::sys::lazy::to_py(hook))?;
        register.call((), Some(&keywords))?;
    }
    Ok(())
}
