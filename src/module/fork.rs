//! What comes before a fork, and what a forked child must forget.

use crate::event_loop;
use crate::state::{tasks, thread};
use crate::sys::slots::noargs;
use crate::sys::typeobj::StaticMethod;
use crate::sys::{Object, Res};
use crate::versions;
use crate::watchdog;

static AFTER_FORK_IN_CHILD: StaticMethod =
    StaticMethod::new(noargs!(Object, c"after_fork_in_child", after_fork_in_child, c""));

static BEFORE_FORK: StaticMethod = StaticMethod::new(noargs!(Object, c"before_fork", before_fork, c""));

/// What the present step has left to be sent is sent by the parent, and not by the child once more.
fn before_fork(_module: &Object) -> Res<()> {
    match thread::running_loop()? {
        Some(running) => event_loop::TYPE.downcast(&running).map_or(Ok(()), event_loop::finish_step),
        None => Ok(()),
    }
}

/// No loop runs in a forked child, no task is current there, and (as in CPython from 3.14 on) the parent's tasks are
/// no longer listed (gh-139894); nor does anybody watch.
fn after_fork_in_child(_module: &Object) {
    thread::forget();
    watchdog::after_fork_in_child();
    if versions::TASKS_PER_THREAD {
        tasks::forget();
    }
}

/// Arranges for both, where the platform forks. Called once, by the module's initialisation.
pub(super) fn init(module: &Object) -> Res<()> {
    register_at_fork("before", &*BEFORE_FORK.bind(module)?)?;
    register_at_fork("after_in_child", &*AFTER_FORK_IN_CHILD.bind(module)?)
}

fn register_at_fork(when: &str, hook: &Object) -> Res<()> {
    use pyo3::prelude::*;
    let os = crate::sys::py().import("os")?;
    if let Some(register) = os.getattr_opt("register_at_fork")? {
        let keywords = pyo3::types::PyDict::new(crate::sys::py());
        keywords.set_item(when, crate::sys::lazy::to_py(hook))?;
        register.call((), Some(&keywords))?;
    }
    Ok(())
}
