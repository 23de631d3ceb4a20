//! The tasks that exist.
//!
//! Native tasks are in an intrusive list of borrowed references: a task links itself when it is made and is unlinked
//! by its deallocator (3.14 on: also when it is done), *after* its finalizer, which may register it anew (gh-142556).
//! Tasks of other implementations are in a `WeakSet`, eager ones in a `set`.
//!
//! Up to 3.13 the containers are names of the module that anyone may iterate and change: `_scheduled_tasks`
//! (`_all_tasks` on 3.11), which shows the linked tasks too, and `_eager_tasks`.

use std::cell::Cell;
use std::mem::offset_of;
use std::ptr;

use crate::asyncio;
use crate::sys::intern::{ADD, DISCARD, DONE};
use crate::sys::lazy::{Lazy, Once};
use crate::sys::{Layout, Object, Owned, Res, call, compat, containers, gc};

/// A place in the list; null when not linked.
#[repr(C)]
pub(crate) struct Node {
    next: Cell<*const Node>,
    previous: Cell<*const Node>,
}

/// An object with a [`Node`] in it.
pub(crate) trait Linked: Layout {
    const NODE_OFFSET: usize;

    fn node(&self) -> &Node {
        // SAFETY: the trait's implementor says that a node is there.
        unsafe { &*ptr::from_ref(self).byte_add(Self::NODE_OFFSET).cast() }
    }
}

struct List(Node);

// SAFETY: reached only by attached threads of a GIL build, one at a time.
unsafe impl Sync for List {}

/// The head; it points to itself (or is still null) when the list is empty.
static LIST: List = List(Node { next: Cell::new(ptr::null()), previous: Cell::new(ptr::null()) });

const _: () = assert!(offset_of!(Node, next) == 0, "the order of CPython's llist_node");

/// Adds the task; no error if it is in the list.
#[inline]
pub(crate) fn link<T: Linked>(task: &T) {
    let node = task.node();
    if !node.next.get().is_null() {
        return;
    }
    let head = ptr::from_ref(&LIST.0);
    let last = if LIST.0.previous.get().is_null() { head } else { LIST.0.previous.get() };
    node.previous.set(last);
    node.next.set(head);
    // SAFETY: linked nodes are inside living objects: each is unlinked before its object is freed.
    unsafe { (*last).next.set(node) };
    LIST.0.previous.set(node);
}

/// Takes the task out; no error if it is not in the list.
#[inline]
pub(crate) fn unlink<T: Linked>(task: &T) {
    unlink_node(task.node());
}

fn unlink_node(node: &Node) {
    let (next, previous) = (node.next.replace(ptr::null()), node.previous.replace(ptr::null()));
    // SAFETY: as in `link`; both are null together.
    if let (Some(next), Some(previous)) = unsafe { (next.as_ref(), previous.as_ref()) } {
        next.previous.set(previous);
        previous.next.set(next);
    }
}

/// The linked tasks, oldest first.
pub(crate) fn linked<T: Linked>() -> Vec<Owned<T>> {
    let head = ptr::from_ref(&LIST.0);
    let mut tasks = Vec::new();
    let mut node = LIST.0.next.get();
    while !node.is_null() && !ptr::eq(node, head) {
        // SAFETY: a linked node lies at this offset of a living object.
        let task: &T = unsafe { &*node.byte_sub(T::NODE_OFFSET).cast() };
        // A subclass's deallocator may run Python code (weakref callbacks) when the count has reached zero and ours
        // has not run yet; such a task is dead. Where tasks were held by weak references, the collector has cleared
        // these before it finalises anything, so one that its finaliser brought back is not listed either.
        if gc::is_alive(task) && (compat::TASKS_PER_THREAD || !gc::is_finalized(task)) {
            tasks.push(task.own());
        }
        // SAFETY: as above.
        node = unsafe { (*node).next.get() };
    }
    tasks
}

/// Empties the list.
fn unlink_all() {
    let head = ptr::from_ref(&LIST.0);
    // SAFETY: as in `link`.
    while let Some(node) = unsafe { LIST.0.next.get().as_ref() } {
        if ptr::eq(node, head) {
            break;
        }
        unlink_node(node);
    }
}

static WEAK_SET: Lazy = Lazy::new("weakref", "WeakSet");
static SCHEDULED_TASKS_CLASS: Lazy = Lazy::new("rasyncio._scheduled_tasks", "ScheduledTasks");
/// Tasks of other implementations; up to 3.13 the `ScheduledTasks` that the module shows.
static FOREIGN: Once = Once::new();
static FOREIGN_EAGER: Once = Once::new();

/// The collection of tasks that are not ours, or, up to 3.13, the public one that holds them.
fn scheduled() -> Res<&'static Object> {
    let class = if compat::TASKS_PER_THREAD { &WEAK_SET } else { &SCHEDULED_TASKS_CLASS };
    FOREIGN.get_or_init(|| call::call0(class.get()?))
}

fn eager() -> Res<&'static Object> {
    FOREIGN_EAGER.get_or_init(|| containers::new_set(None))
}

pub(crate) fn init(module: &Object) -> Res<()> {
    if compat::TASKS_PER_THREAD {
        return Ok(());
    }
    let name = if compat::EAGER_TASKS { c"_scheduled_tasks" } else { c"_all_tasks" };
    crate::sys::typeobj::add_to_module(module, name, scheduled()?)?;
    if compat::EAGER_TASKS {
        crate::sys::typeobj::add_to_module(module, c"_eager_tasks", eager()?)?;
    }
    Ok(())
}

/// `_register_task` for a task that is not ours.
pub(crate) fn add_foreign(task: &Object) -> Res<()> {
    call::call_method(&ADD, &[scheduled()?, task], None).map(drop)
}

/// `_unregister_task` for a task that is not ours.
pub(crate) fn discard_foreign(task: &Object) -> Res<()> {
    call::call_method(&DISCARD, &[scheduled()?, task], None).map(drop)
}

/// `_register_eager_task`, where it does not go to the list.
pub(crate) fn add_eager(task: &Object) -> Res<()> {
    containers::set_add(eager()?, task)
}

/// `_unregister_eager_task`, likewise.
pub(crate) fn discard_eager(task: &Object) -> Res<()> {
    containers::set_discard(eager()?, task)
}

/// `asyncio.all_tasks(loop)` (3.14 on). `is_pending_in` answers for exact native tasks, `None` for others.
pub(crate) fn all<T: Linked>(event_loop: &Object, is_pending_in: fn(&T, &Object) -> Option<bool>) -> Res<Owned> {
    let foreign_eager = containers::new_list()?;
    // Copies first: what follows can run Python code.
    containers::list_extend(&foreign_eager, eager()?)?;
    containers::list_extend(&foreign_eager, scheduled()?)?;
    let result = containers::new_set(None)?;
    let add_if_pending = |task: &Object| -> Res<()> {
        let done = call::call_method(&DONE, &[task], None)?;
        if !done.is(crate::sys::object::boolean(true)) && call::call1(asyncio::GET_LOOP.get()?, task)?.is(event_loop) {
            containers::set_add(&result, task)?;
        }
        Ok(())
    };
    let native = linked::<T>();
    let mut index = 0;
    while let Some(task) = containers::list_item(&foreign_eager, index) {
        add_if_pending(&task)?;
        index += 1;
    }
    for task in native {
        match is_pending_in(&task, event_loop) {
            Some(true) => containers::set_add(&result, task.as_object())?,
            Some(false) => {}
            None => add_if_pending(task.as_object())?,
        }
    }
    Ok(result)
}

/// In a forked child: as CPython does since 3.14, the parent's tasks are no longer listed. Before, they are.
pub(crate) fn forget() {
    if compat::TASKS_PER_THREAD {
        unlink_all();
    }
}
