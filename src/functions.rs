//! The functions of the module: running loop, current task, registry, call graph.

use crate::future;
use crate::state::{tasks, thread};
use crate::sys::error::{Builtin, raise_text};
use crate::sys::intern::{LOOP, STACKLEVEL, TASK};
use crate::sys::object::none;
use crate::sys::slots::{Method, keywords, noargs, one, positional};
use crate::sys::typeobj::{StaticMethod, add_to_module};
use crate::sys::{Layout, Object, Owned, Res, args, compat, containers};
use crate::task::{self, TaskObject, as_native_future};

fn get_event_loop(_module: &Object) -> Res<Owned> {
    thread::event_loop()
}

static STACKLEVEL_SIGNATURE: args::Signature<1> =
    args::Signature { format: c"|O:_get_event_loop", names: [&STACKLEVEL], positional: 1, required: 0 };

fn get_event_loop_at(_module: &Object, [stacklevel]: [Option<&Object>; 1]) -> Res<Owned> {
    stacklevel.map(containers::check_c_int).transpose()?;
    thread::event_loop()
}

fn get_running_loop(_module: &Object) -> Res<Owned> {
    thread::require_running_loop()
}

fn get_running_loop_or_none(_module: &Object) -> Res<Owned> {
    Ok(thread::running_loop()?.unwrap_or_else(|| none().own()))
}

fn set_running_loop(_module: &Object, event_loop: &Object) -> Res<()> {
    thread::set_running_loop(event_loop)
}

/// The signature of a function of one task.
const fn of_task(format: &'static std::ffi::CStr) -> args::Signature<1> {
    args::Signature { format, names: [&TASK], positional: 1, required: 1 }
}

/// The signature of a function of a loop and a task.
const fn of_loop_and_task(format: &'static std::ffi::CStr) -> args::Signature<2> {
    args::Signature { format, names: [&LOOP, &TASK], positional: 2, required: 2 }
}

/// The signature of a function of a loop, by default the running one.
const fn of_loop(format: &'static std::ffi::CStr) -> args::Signature<1> {
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
        Some(native) => {
            task::LIST.link(native);
            Ok(())
        }
        None => tasks::add_foreign(given),
    }
}

fn unregister_task(_module: &Object, [given]: [Option<&Object>; 1]) -> Res<()> {
    let given = required(given);
    match task::TYPE.downcast(given) {
        Some(native) => {
            task::LIST.unlink(native);
            Ok(())
        }
        None => tasks::discard_foreign(given),
    }
}

fn register_eager_task(_module: &Object, [given]: [Option<&Object>; 1]) -> Res<()> {
    let given = required(given);
    match task::TYPE.downcast(given) {
        Some(native) if compat::TASKS_PER_THREAD => {
            task::LIST.link(native);
            Ok(())
        }
        _ => tasks::add_eager(given),
    }
}

fn unregister_eager_task(_module: &Object, [given]: [Option<&Object>; 1]) -> Res<()> {
    let given = required(given);
    match task::TYPE.downcast(given) {
        Some(native) if compat::TASKS_PER_THREAD => {
            task::LIST.unlink(native);
            Ok(())
        }
        _ => tasks::discard_eager(given),
    }
}

/// The native tasks of the list, for the public container that shows them (up to 3.13).
fn linked_tasks(_module: &Object) -> Res<Owned> {
    let list = containers::new_list()?;
    for task in tasks::listed(&task::LIST)? {
        containers::list_append(&list, task.as_object())?;
    }
    Ok(list)
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
    tasks::all(&task::LIST, &*loop_or_running(event_loop)?, TaskObject::is_pending_in)
}

/// Calls `change` if both arguments are futures of ours.
fn change_awaited_by(
    name: &str,
    arguments: &[&Object],
    change: fn(&future::FutureObject, &Object) -> Res<()>,
) -> Res<()> {
    let &[awaited, waiter] = arguments else {
        let text = format!("{name} expected 2 arguments, got {}", arguments.len());
        return Err(raise_text(Builtin::TypeError.class(), &text));
    };
    match (as_native_future(awaited), as_native_future(waiter)) {
        (Some(awaited), Some(_)) => change(awaited, waiter),
        _ => Ok(()),
    }
}

fn future_add_to_awaited_by(_module: &Object, arguments: &[&Object]) -> Res<()> {
    change_awaited_by("future_add_to_awaited_by", arguments, future::add_to_awaited_by)
}

fn future_discard_from_awaited_by(_module: &Object, arguments: &[&Object]) -> Res<()> {
    change_awaited_by("future_discard_from_awaited_by", arguments, future::discard_from_awaited_by)
}

/// The functions that this version's module has.
fn functions() -> Vec<Method> {
    let mut functions = Vec::from(LOOP_FUNCTIONS);
    functions.extend(TASK_FUNCTIONS);
    if compat::EAGER_TASKS {
        functions.extend(EAGER_TASK_FUNCTIONS);
    } else {
        functions.push(GET_EVENT_LOOP_AT);
    }
    if compat::TASKS_PER_THREAD {
        functions.push(ALL_TASKS_FUNCTION);
    }
    if compat::AWAITED_BY {
        functions.extend(AWAITED_BY_FUNCTIONS);
    }
    #[cfg(feature = "panic-on-purpose")]
    functions.push(one!(Object, c"_panic_at", panic_at, c"_panic_at($module, place, /)\n--\n\nPanic there, once."));
    functions
}

const LOOP_FUNCTIONS: [Method; 4] = [
        noargs!(
            Object,
            c"get_event_loop",
            get_event_loop,
            c"get_event_loop($module, /)\n--\n\nReturn the running event loop, or else the one that the event loop policy has."
        ),
        noargs!(
            Object,
            c"get_running_loop",
            get_running_loop,
            c"get_running_loop($module, /)\n--\n\nReturn the event loop that runs in this thread.\n\nRaises RuntimeError if there is none."
        ),
        noargs!(
            Object,
            c"_get_running_loop",
            get_running_loop_or_none,
            c"_get_running_loop($module, /)\n--\n\nReturn the event loop that runs in this thread, or None.\n\nFor event loops."
        ),
        one!(
            Object,
            c"_set_running_loop",
            set_running_loop,
            c"_set_running_loop($module, loop, /)\n--\n\nSet the event loop that runs in this thread, None for none.\n\nFor event loops."
        ),
];

const TASK_FUNCTIONS: [Method; 4] = [
        keywords!(
            Object,
            c"_register_task",
            REGISTER_TASK,
            register_task,
            c"_register_task($module, /, task)\n--\n\nAdd a task to those that all_tasks() knows.\n\nFor task implementations."
        ),
        keywords!(
            Object,
            c"_unregister_task",
            UNREGISTER_TASK,
            unregister_task,
            c"_unregister_task($module, /, task)\n--\n\nRemove a task from those that all_tasks() knows.\n\nFor task implementations."
        ),
        keywords!(
            Object,
            c"_enter_task",
            ENTER_TASK,
            enter_task,
            c"_enter_task($module, /, loop, task)\n--\n\nMake the task the loop's current one, before its step.\n\nFor task implementations. Raises RuntimeError if there is a current task."
        ),
        keywords!(
            Object,
            c"_leave_task",
            LEAVE_TASK,
            leave_task,
            c"_leave_task($module, /, loop, task)\n--\n\nEnd what _enter_task() began, after the task's step.\n\nFor task implementations. Raises RuntimeError if the task is not the current one."
        ),
];

const GET_EVENT_LOOP_AT: Method = keywords!(
    Object,
    c"_get_event_loop",
    STACKLEVEL_SIGNATURE,
    get_event_loop_at,
    c"_get_event_loop($module, /, stacklevel=3)\n--\n\nThe same as get_event_loop()."
);

const EAGER_TASK_FUNCTIONS: [Method; 4] = [
            keywords!(
                Object,
                c"_register_eager_task",
                REGISTER_EAGER_TASK,
                register_eager_task,
                c"_register_eager_task($module, /, task)\n--\n\nAdd a task that is in its eager start to those that all_tasks() knows.\n\nFor task implementations."
            ),
            keywords!(
                Object,
                c"_unregister_eager_task",
                UNREGISTER_EAGER_TASK,
                unregister_eager_task,
                c"_unregister_eager_task($module, /, task)\n--\n\nEnd what _register_eager_task() began.\n\nFor task implementations."
            ),
            keywords!(
                Object,
                c"_swap_current_task",
                SWAP_CURRENT_TASK,
                swap_current_task,
                c"_swap_current_task($module, /, loop, task)\n--\n\nMake the task (or None) the loop's current one and return the one before, or None.\n\nFor task implementations."
            ),
            keywords!(
                Object,
                c"current_task",
                CURRENT_TASK,
                current_task,
                c"current_task($module, /, loop=None)\n--\n\nReturn the task that the loop (by default the running one) is executing, or None."
            ),
];

const ALL_TASKS_FUNCTION: Method = keywords!(
            Object,
            c"all_tasks",
            ALL_TASKS,
            all_tasks,
            c"all_tasks($module, /, loop=None)\n--\n\nReturn a set of the loop's tasks that are not done; of the running loop by default."
);

const AWAITED_BY_FUNCTIONS: [Method; 2] = [
            positional!(
                Object,
                c"future_add_to_awaited_by",
                future_add_to_awaited_by,
                c"future_add_to_awaited_by($module, fut, waiter, /)\n--\n\nNote in fut that waiter awaits it, if both are Future or Task objects."
            ),
            positional!(
                Object,
                c"future_discard_from_awaited_by",
                future_discard_from_awaited_by,
                c"future_discard_from_awaited_by($module, fut, waiter, /)\n--\n\nTake back what future_add_to_awaited_by(fut, waiter) noted."
            ),
];

#[cfg(feature = "panic-on-purpose")]
fn panic_at(_module: &Object, place: &Object) -> bool {
    crate::sys::panics::arm(&containers::text_of(place))
}

/// Adds the functions. Called once, by the module's initialisation.
pub(crate) fn init(module: &Object) -> Res<()> {
    let module_name = containers::string(c"_asyncio")?;
    for method in functions() {
        // Function objects refer to their definitions for good.
        let definition: &'static StaticMethod = Box::leak(Box::new(StaticMethod::new(method)));
        add_to_module(module, method.name, &*definition.in_module(module, &module_name)?)?;
    }
    Ok(())
}

static LINKED_TASKS: StaticMethod = StaticMethod::new(noargs!(Object, c"linked_tasks", linked_tasks, c""));

/// [`linked_tasks`] as an object.
pub(crate) fn linked_tasks_function(module: &Object) -> Res<Owned> {
    LINKED_TASKS.bind(module)
}

fn link_running_loop(_module: &Object, arguments: &[&Object]) -> Res<()> {
    let &[get, set] = arguments else {
        return Err(raise_text(Builtin::TypeError.class(), "expected _get_running_loop and _set_running_loop"));
    };
    thread::link(get, set);
    Ok(())
}

static LINK_RUNNING_LOOP: StaticMethod =
    StaticMethod::new(positional!(Object, c"__rasyncio_link__", link_running_loop, c""));

/// Adds what is not in CPython's module: the swap's way to make that module's functions known to ours.
pub(crate) fn init_link(module: &Object) -> Res<()> {
    add_to_module(module, c"__rasyncio_link__", &*LINK_RUNNING_LOOP.bind(module)?)
}

static AFTER_FORK_IN_CHILD: StaticMethod =
    StaticMethod::new(noargs!(Object, c"after_fork_in_child", after_fork_in_child, c""));

/// No loop runs in a forked child, no task is current there, and (as in CPython from 3.14 on) the parent's tasks are
/// no longer listed (gh-139894).
fn after_fork_in_child(_module: &Object) {
    thread::forget();
    if compat::TASKS_PER_THREAD {
        task::LIST.clear();
    }
}

/// Arranges for the reset in forked children, where the platform forks. Called once, by the module's initialisation.
pub(crate) fn init_fork(module: &Object) -> Res<()> {
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
