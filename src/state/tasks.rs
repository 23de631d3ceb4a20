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
//! (`_all_tasks` on 3.11), which shows the linked tasks too, and `_eager_tasks`. They are those of CPython's module once
//! [`use_theirs`] has made them known, which its tasks are in. Once somebody has asked for the plain set that is behind
//! the first ([`list_in_set`]), as profilers do that read it at any time, all tasks are in that, and in no list.

use std::cell::Cell;

use crate::asyncio;
use crate::names::{ADD_FOREIGN, ALL_TASKS, DISCARD, DISCARD_FOREIGN, DONE, EAGER_TASKS, Name, SCHEDULED_TASKS};
use crate::sys::attached::Attached;
use crate::sys::intern::ADD;
use crate::sys::interpreter_fields;
use crate::sys::lazy::{Lazy, Once};
use crate::sys::list::{Linked, List};
use crate::sys::object::boolean;
use crate::sys::{Layout, Object, Owned, Res, call, containers};
use crate::versions;

use super::thread;

static WEAK_SET: Lazy = Lazy::new("weakref", "WeakSet");
static MAKE_SCHEDULED_TASKS: Lazy = Lazy::new("rasyncio._scheduled_tasks", "made");
static SCHEDULED: Once = Once::new();
static EAGER: Once = Once::new();
static ALL_IN_SET: Attached<Cell<bool>> = Attached::new(Cell::new(false));

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
    lists(event_loop).try_for_each(|list| list.add_to::<T>(&mut tasks))?;
    Ok(tasks)
}

/// The lists that the tasks of the loop are in; `None`: of all loops.
fn lists(event_loop: Option<&Object>) -> impl Iterator<Item = &'static List> {
    let here = interpreter_fields::list_here().filter(|_| event_loop.is_some_and(thread::runs_here));
    let all = interpreter_fields::lists().take_while(move |_| here.is_none());
    here.into_iter().chain(all).chain([&*OWN])
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

/// Adds what the module shows.
pub(crate) fn init(module: &Object) -> Res<()> {
    if versions::TASKS_PER_THREAD {
        return Ok(());
    }
    SCHEDULED.get_or_init(|| call::call(MAKE_SCHEDULED_TASKS.get()?, &[]))?;
    show(module)
}

/// The first container's name.
fn scheduled_name() -> &'static Name {
    if versions::EAGER_TASKS { &SCHEDULED_TASKS } else { &ALL_TASKS }
}

fn show(module: &Object) -> Res<()> {
    call::setattr(module, scheduled_name(), scheduled()?)?;
    if versions::EAGER_TASKS { call::setattr(module, &EAGER_TASKS, eager()?) } else { Ok(()) }
}

/// Uses the containers of CPython's module, and shows them as its own; what is in ours is the caller's business.
pub(super) fn use_theirs(module: &Object, theirs: &Object) -> Res<()> {
    let common = call::getattr(theirs, scheduled_name())?;
    if versions::EAGER_TASKS {
        EAGER.put(call::getattr(theirs, &EAGER_TASKS)?);
    }
    SCHEDULED.put(common);
    show(module)
}

/// Are all tasks to be added to the set, so that none is in a list?
#[inline]
pub(crate) fn all_in_set() -> bool {
    ALL_IN_SET.get()
}

/// From now on.
pub(crate) fn list_in_set() {
    ALL_IN_SET.set(true);
}

/// `_register_task` for a task that is not in the list.
pub(crate) fn add_foreign(task: &Object) -> Res<()> {
    let method = if versions::TASKS_PER_THREAD || all_in_set() { &ADD } else { &ADD_FOREIGN };
    call::call_method(method, &[scheduled()?, task], None).map(drop)
}

/// `_unregister_task` for a task that is not in the list.
pub(crate) fn discard_foreign(task: &Object) -> Res<()> {
    let method = if versions::TASKS_PER_THREAD || all_in_set() { &DISCARD } else { &DISCARD_FOREIGN };
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

/// At most so many tasks that may be alive in the loop, for whoever looks in from outside: it takes a bounded time, however
/// many there are. `is_alive_in` answers for native tasks without running Python code, and `None` for others, which are
/// for the caller to ask; up to 3.13 those in the public container are not among them.
pub(crate) fn some<T: Linked>(
    event_loop: &Object,
    most: usize,
    is_alive_in: fn(&Object, &Object) -> Option<bool>,
) -> Res<Owned> {
    let mut looks = most.saturating_mul(LOOKS_FOR_EACH);
    let mut tasks = Vec::new();
    let is_wanted = |task: &Object| is_alive_in(task, event_loop).unwrap_or(true);
    lists(Some(event_loop)).try_for_each(|list| list.add_some::<T>(&mut tasks, &mut looks, most, is_wanted))?;
    let list = containers::list_of(tasks)?;
    containers::list_extend(&list, eager()?)?;
    if versions::TASKS_PER_THREAD {
        containers::list_extend(&list, scheduled()?)?;
    }
    Ok(list)
}

/// As many tasks are looked at for each that is asked for.
const LOOKS_FOR_EACH: usize = 10;

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
