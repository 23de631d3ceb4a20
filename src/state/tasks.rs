//! The tasks that exist.
//!
//! Native tasks are in intrusive lists of borrowed references: a task is linked when it is made and unlinked by its
//! deallocator (3.14 on: also when it is done), *after* its finaliser, which may register it anew (gh-142556). The lists
//! are CPython's own where these are known (see [`super::shared`]): one of each thread, with CPython's tasks in them too,
//! and one with what threads have left behind. Else there is one of ours.
//!
//! Tasks of other implementations are in a `WeakSet` (up to 3.13 also those of subclasses that have a hash, a comparison
//! or a finaliser of their own, which a weak set comes by), eager ones in a `set`.
//!
//! Up to 3.13 the containers are names of the module that anyone may iterate and change: `_scheduled_tasks`
//! (`_all_tasks` on 3.11), which shows the linked tasks too, and `_eager_tasks`.

use crate::asyncio;
use crate::names::{ADD_FOREIGN, DISCARD, DISCARD_FOREIGN, DONE};
use crate::sys::attached::Attached;
use crate::sys::intern::ADD;
use crate::sys::interpreter_fields;
use crate::sys::lazy::{Lazy, Once};
use crate::sys::list::{Linked, List};
use crate::sys::object::boolean;
use crate::sys::typeobj::add_to_module;
use crate::sys::{Layout, Object, Owned, Res, call, containers};
use crate::versions;

use super::thread;

static WEAK_SET: Lazy = Lazy::new("weakref", "WeakSet");
static SCHEDULED_TASKS_CLASS: Lazy = Lazy::new("rasyncio._scheduled_tasks", "ScheduledTasks");
static SCHEDULED: Once = Once::new();
static EAGER: Once = Once::new();

/// The native tasks where CPython's lists are not known.
static OWN: Attached<List> = Attached::new(List::new());

/// Adds a task to those that are listed; no error if it is.
#[inline]
pub(crate) fn link(task: &impl Linked) {
    interpreter_fields::list_for_new().unwrap_or(&OWN).link(task);
}

/// The tasks in the lists, in each the oldest first: native ones, and those of CPython's module if the lists are its own.
/// Of a loop that runs in this very thread its tasks are looked for in this thread's list only, as CPython does.
pub(crate) fn linked<T: Linked>(event_loop: Option<&Object>) -> Res<Vec<Owned>> {
    let mut tasks = Vec::new();
    let here = interpreter_fields::list_here().filter(|_| event_loop.is_some_and(thread::runs_here));
    for list in here.into_iter().chain(interpreter_fields::lists().take_while(|_| here.is_none())) {
        list.add_to::<T>(&mut tasks)?;
    }
    OWN.add_to::<T>(&mut tasks)?;
    Ok(tasks)
}

/// In a forked child: the parent's tasks are no longer listed.
pub(crate) fn forget() {
    OWN.clear();
}

/// Tasks of other implementations; up to 3.13 the public container, which shows native ones too.
fn scheduled() -> Res<&'static Object> {
    SCHEDULED.get_or_init(|| call::call0(WEAK_SET.get()?))
}

fn eager() -> Res<&'static Object> {
    EAGER.get_or_init(|| containers::new_set(None))
}

/// Makes the containers that would be made when they are needed.
pub(crate) fn prepare() -> Res<()> {
    scheduled().and(eager()).map(drop)
}

/// `linked_tasks` is a function without arguments that lists the native tasks.
pub(crate) fn init(module: &Object, linked_tasks: &Object) -> Res<()> {
    if versions::TASKS_PER_THREAD {
        return Ok(());
    }
    SCHEDULED.get_or_init(|| call::call1(SCHEDULED_TASKS_CLASS.get()?, linked_tasks))?;
    if !versions::EAGER_TASKS {
        return add_to_module(module, c"_all_tasks", scheduled()?);
    }
    add_to_module(module, c"_scheduled_tasks", scheduled()?)?;
    add_to_module(module, c"_eager_tasks", eager()?)
}

/// `_register_task` for a task that is not in the list.
pub(crate) fn add_foreign(task: &Object) -> Res<()> {
    let method = if versions::TASKS_PER_THREAD { &ADD } else { &ADD_FOREIGN };
    call::call_method(method, &[scheduled()?, task], None).map(drop)
}

/// `_unregister_task` for a task that is not in the list.
pub(crate) fn discard_foreign(task: &Object) -> Res<()> {
    let method = if versions::TASKS_PER_THREAD { &DISCARD } else { &DISCARD_FOREIGN };
    call::call_method(method, &[scheduled()?, task], None).map(drop)
}

/// `_register_eager_task`, where it does not go to the list.
pub(crate) fn add_eager(task: &Object) -> Res<()> {
    containers::set_add(eager()?, task)
}

/// `_unregister_eager_task`, likewise.
pub(crate) fn discard_eager(task: &Object) -> Res<()> {
    containers::set_discard(eager()?, task)
}

/// `asyncio.all_tasks(loop)` (3.14 on). `is_pending_in` answers for exact native tasks, and `None` for others.
pub(crate) fn all<T: Linked>(event_loop: &Object, is_pending_in: fn(&Object, &Object) -> Option<bool>) -> Res<Owned> {
    // Copies of all three before anything else: what follows can run Python code.
    let linked = linked::<T>(Some(event_loop))?;
    let foreign = containers::new_list()?;
    containers::list_extend(&foreign, eager()?)?;
    containers::list_extend(&foreign, scheduled()?)?;

    let result = containers::new_set(None)?;
    let add_if_pending = |task: &Object| -> Res<()> {
        let done = call::call_method(&DONE, &[task], None)?;
        if !done.is(boolean(true)) && call::call1(asyncio::GET_LOOP.get()?, task)?.is(event_loop) {
            containers::set_add(&result, task)?;
        }
        Ok(())
    };
    let mut index = 0;
    while let Some(task) = containers::list_item(&foreign, index) {
        add_if_pending(&task)?;
        index += 1;
    }
    for task in linked {
        match is_pending_in(&task, event_loop) {
            Some(true) => containers::set_add(&result, &task)?,
            Some(false) => {}
            None => add_if_pending(&task)?,
        }
    }
    Ok(result)
}
