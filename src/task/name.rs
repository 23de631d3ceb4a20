//! Task names. The default ones, `Task-1`, `Task-2`…, are made when somebody asks.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::state::tasks;
use crate::sys::object::none;
use crate::sys::{Layout, Object, Owned, Res, call, containers};
use crate::versions;

use super::TaskObject;

static COUNTER: AtomicI64 = AtomicI64::new(0);

/// What to keep as the name: a number for the default name, an exact string for anything else.
#[inline]
pub(super) fn for_new_task(given: Option<&Object>) -> Res<Owned> {
    match given {
        None => {
            let number = containers::int(COUNTER.fetch_add(1, Ordering::Relaxed) + 1)?;
            if must_be_string() { default(&number) } else { Ok(number) }
        }
        Some(name) => as_string(name),
    }
}

fn default(number: &Object) -> Res<Owned> {
    containers::format1(c"Task-%S", number)
}

/// Somebody reads the tasks' memory, who knows of strings only (3.11).
fn must_be_string() -> bool {
    !versions::TASK_NAMES_DEFERRED && tasks::all_in_set()
}

/// The task was made before somebody read its memory, as from now on.
pub(crate) fn show(task: &TaskObject) -> Res<()> {
    if must_be_string() { get(task).map(drop) } else { Ok(()) }
}

fn as_string(name: &Object) -> Res<Owned> {
    if containers::is_exact_string(name) { Ok(name.own()) } else { call::str(name) }
}

/// `Task.get_name()`
pub(super) fn get(task: &TaskObject) -> Res<Owned> {
    match task.name.get() {
        None => Ok(none().own()),
        Some(number) if containers::is_exact_int(&number) => {
            let name = default(&number)?;
            task.name.set(name.clone());
            Ok(name)
        }
        Some(name) => Ok(name),
    }
}

/// `Task.set_name(value)`
pub(super) fn set(task: &TaskObject, value: &Object) -> Res<()> {
    task.name.set(as_string(value)?);
    Ok(())
}
