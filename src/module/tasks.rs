//! The functions of tasks: which is the current one, which there are.

use std::ffi::CStr;

use crate::names::{LOOP, TASK};
use crate::state::{tasks, thread};
use crate::sys::error::{Builtin, raise};
use crate::sys::list::Linked;
use crate::sys::object::none;
use crate::sys::slots::{Method, keywords, noargs, positional};
use crate::sys::typeobj::{StaticMethod, add_to_module};
use crate::sys::{Layout, Object, Owned, Res, args, containers};
use crate::task::{self, TaskObject};
use crate::versions;

/// The signature of a function of one task.
const fn of_task(format: &'static CStr) -> args::Signature<1> {
    args::Signature { format, names: [&TASK], positional: 1, required: 1 }
}

/// The signature of a function of a loop and a task.
const fn of_loop_and_task(format: &'static CStr) -> args::Signature<2> {
    args::Signature { format, names: [&LOOP, &TASK], positional: 2, required: 2 }
}

/// The signature of a function of a loop, by default the running one.
const fn of_loop(format: &'static CStr) -> args::Signature<1> {
    args::Signature { format, names: [&LOOP], positional: 1, required: 0 }
}

static REGISTER_TASK: args::Signature<1> = of_task(c"O:_register_task");
static UNREGISTER_TASK: args::Signature<1> = of_task(c"O:_unregister_task");
static REGISTER_EAGER_TASK: args::Signature<1> = of_task(c"O:_register_eager_task");
static UNREGISTER_EAGER_TASK: args::Signature<1> = of_task(c"O:_unregister_eager_task");
static ENTER_TASK: args::Signature<2> = of_loop_and_task(c"OO:_enter_task");
static LEAVE_TASK: args::Signature<2> = of_loop_and_task(c"OO:_leave_task");
static SWAP_CURRENT_TASK: args::Signature<2> = of_loop_and_task(c"OO:_swap_current_task");
static CURRENT_TASK: args::Signature<1> = of_loop(c"|O:current_task");
static ALL_TASKS: args::Signature<1> = of_loop(c"|O:all_tasks");

/// The argument that the signature requires.
fn required(argument: Option<&Object>) -> &Object {
    argument.expect("a required argument")
}

fn register_task(_module: &Object, [given]: [Option<&Object>; 1]) -> Res<()> {
    let given = required(given);
    match task::TYPE.downcast(given) {
        Some(native) => native.list(),
        None => tasks::add_foreign(given),
    }
}

fn unregister_task(_module: &Object, [given]: [Option<&Object>; 1]) -> Res<()> {
    let given = required(given);
    match task::TYPE.downcast(given) {
        Some(native) => native.unlist(),
        None => tasks::discard_foreign(given),
    }
}

fn register_eager_task(_module: &Object, [given]: [Option<&Object>; 1]) -> Res<()> {
    let given = required(given);
    match task::TYPE.downcast(given) {
        Some(native) if versions::TASKS_PER_THREAD => {
            tasks::link(native);
            Ok(())
        }
        _ => tasks::add_eager(given),
    }
}

fn unregister_eager_task(_module: &Object, [given]: [Option<&Object>; 1]) -> Res<()> {
    let given = required(given);
    match task::TYPE.downcast(given) {
        Some(native) if versions::TASKS_PER_THREAD => {
            native.unlink();
            Ok(())
        }
        _ => tasks::discard_eager(given),
    }
}

/// The native tasks of the lists, for the public container that shows them (up to 3.13).
fn linked_tasks(_module: &Object) -> Res<Owned> {
    let list = containers::new_list()?;
    for task in tasks::linked::<TaskObject>(None)? {
        if task::TYPE.downcast(&task).is_some_and(TaskObject::is_listed) {
            containers::list_append(&list, &task)?;
        }
    }
    Ok(list)
}

/// Takes the native tasks out of the lists and returns them, for the set that they are to be in, as new ones are.
fn list_in_set(module: &Object) -> Res<Owned> {
    let listed = linked_tasks(module)?;
    tasks::list_in_set();
    let mut index = 0;
    while let Some(each) = containers::list_item(&listed, index) {
        if let Some(native) = task::TYPE.downcast(&each) {
            native.unlink();
            task::show_name(native)?;
        }
        index += 1;
    }
    Ok(listed)
}

fn enter_task(_module: &Object, [event_loop, task]: [Option<&Object>; 2]) -> Res<()> {
    thread::enter_task(required(event_loop), required(task))
}

fn leave_task(_module: &Object, [event_loop, task]: [Option<&Object>; 2]) -> Res<()> {
    thread::leave_task(required(event_loop), required(task))
}

fn swap_current_task(_module: &Object, [event_loop, task]: [Option<&Object>; 2]) -> Res<Owned> {
    let before = thread::swap_current_task(required(event_loop), args::given(task))?;
    Ok(before.unwrap_or_else(|| none().own()))
}

/// The loop that was given, or the running one.
fn loop_or_running(given: Option<&Object>) -> Res<Owned> {
    args::given(given).map_or_else(thread::require_running_loop, |event_loop| Ok(event_loop.own()))
}

fn current_task(_module: &Object, [event_loop]: [Option<&Object>; 1]) -> Res<Owned> {
    let current = thread::current_task(&*loop_or_running(event_loop)?)?;
    Ok(current.unwrap_or_else(|| none().own()))
}

fn all_tasks(_module: &Object, [event_loop]: [Option<&Object>; 1]) -> Res<Owned> {
    tasks::all::<TaskObject>(&*loop_or_running(event_loop)?, task::is_pending_in)
}

/// `_some_tasks(loop, most)`
fn some_tasks(_module: &Object, arguments: &[&Object]) -> Res<Owned> {
    let [event_loop, most] = arguments else {
        return Err(raise(Builtin::TypeError.class(), c"_some_tasks() takes a loop and a number"));
    };
    let most = usize::try_from(containers::int_value(most)?).unwrap_or(0);
    tasks::some::<TaskObject>(event_loop, most, task::is_alive_in)
}

const SOME_TASKS_DOC: &CStr = c"_some_tasks($module, loop, most, /)\n--\n\n\
    Return a list of tasks that may be alive in the loop, at most so many of those in the native list.";
const REGISTER_TASK_DOC: &CStr = c"_register_task($module, /, task)\n--\n\n\
    Add a task to those that all_tasks() knows.\n\n\
    For task implementations.";
const UNREGISTER_TASK_DOC: &CStr = c"_unregister_task($module, /, task)\n--\n\n\
    Remove a task from those that all_tasks() knows.\n\n\
    For task implementations.";
const ENTER_TASK_DOC: &CStr = c"_enter_task($module, /, loop, task)\n--\n\n\
    Make the task the loop's current one, before its step.\n\n\
    For task implementations. Raises RuntimeError if there is a current task.";
const LEAVE_TASK_DOC: &CStr = c"_leave_task($module, /, loop, task)\n--\n\n\
    End what _enter_task() began, after the task's step.\n\n\
    For task implementations. Raises RuntimeError if the task is not the current one.";
const REGISTER_EAGER_TASK_DOC: &CStr = c"_register_eager_task($module, /, task)\n--\n\n\
    Add a task that is in its eager start to those that all_tasks() knows.\n\n\
    For task implementations.";
const UNREGISTER_EAGER_TASK_DOC: &CStr = c"_unregister_eager_task($module, /, task)\n--\n\n\
    End what _register_eager_task() began.\n\n\
    For task implementations.";
const SWAP_CURRENT_TASK_DOC: &CStr = c"_swap_current_task($module, /, loop, task)\n--\n\n\
    Make the task (or None) the loop's current one and return the one before, or None.\n\n\
    For task implementations.";
const CURRENT_TASK_DOC: &CStr = c"current_task($module, /, loop=None)\n--\n\n\
    Return the task that the loop (by default the running one) is executing, or None.";
const ALL_TASKS_DOC: &CStr = c"all_tasks($module, /, loop=None)\n--\n\n\
    Return a set of the loop's tasks that are not done; of the running loop by default.";

pub(super) const TASK_FUNCTIONS: [Method; 5] = [
    positional!(Object, c"_some_tasks", some_tasks, SOME_TASKS_DOC),
    keywords!(Object, c"_register_task", REGISTER_TASK, register_task, REGISTER_TASK_DOC),
    keywords!(Object, c"_unregister_task", UNREGISTER_TASK, unregister_task, UNREGISTER_TASK_DOC),
    keywords!(Object, c"_enter_task", ENTER_TASK, enter_task, ENTER_TASK_DOC),
    keywords!(Object, c"_leave_task", LEAVE_TASK, leave_task, LEAVE_TASK_DOC),
];

pub(super) const EAGER_TASK_FUNCTIONS: [Method; 4] = [
    keywords!(Object, c"_register_eager_task", REGISTER_EAGER_TASK, register_eager_task, REGISTER_EAGER_TASK_DOC),
    keywords!(
        Object,
        c"_unregister_eager_task",
        UNREGISTER_EAGER_TASK,
        unregister_eager_task,
        UNREGISTER_EAGER_TASK_DOC
    ),
    keywords!(Object, c"_swap_current_task", SWAP_CURRENT_TASK, swap_current_task, SWAP_CURRENT_TASK_DOC),
    keywords!(Object, c"current_task", CURRENT_TASK, current_task, CURRENT_TASK_DOC),
];

pub(super) const ALL_TASKS_FUNCTION: Method = keywords!(Object, c"all_tasks", ALL_TASKS, all_tasks, ALL_TASKS_DOC);

static LINKED_TASKS: StaticMethod = StaticMethod::new(noargs!(Object, c"__rasyncio_linked_tasks__", linked_tasks, c""));
static LIST_IN_SET: StaticMethod = StaticMethod::new(noargs!(Object, c"__rasyncio_list_in_set__", list_in_set, c""));

/// Adds what the public container of all tasks asks for, up to 3.13.
pub(super) fn init_list(module: &Object) -> Res<()> {
    if versions::TASKS_PER_THREAD {
        return Ok(());
    }
    add_to_module(module, c"__rasyncio_linked_tasks__", &*LINKED_TASKS.bind(module)?)?;
    add_to_module(module, c"__rasyncio_list_in_set__", &*LIST_IN_SET.bind(module)?)
}
