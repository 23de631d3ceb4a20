//! Task names. The default ones, `Task-1`, `Task-2`…, are made when somebody asks.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::sys::object::none;
use crate::sys::{Layout, Object, Owned, Res, call, containers};

use super::TaskObject;

static COUNTER: AtomicI64 = AtomicI64::new(0);

/// What to keep as the name: a number for the default name, an exact string for anything else.
#[inline]
pub(super) fn for_new_task(given: Option<&Object>) -> Res<Owned> {
    match given {
        None => containers::int(COUNTER.fetch_add(1, Ordering::Relaxed) + 1),
        Some(name) => as_string(name),
    }
}

fn as_string(name: &Object) -> Res<Owned> {
    if containers::is_exact_string(name) { Ok(name.own()) } else { call::str(name) }
}

/// `Task.get_name()`
pub(super) fn get(task: &TaskObject) -> Res<Owned> {
    match task.name.get() {
        None => Ok(none().own()),
        Some(number) if containers::is_exact_int(&number) => {
            let name = containers::format1(c"Task-%S", &number)?;
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
