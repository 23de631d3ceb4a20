//! The extension module's contents: its functions, by what they are about, and the event loop's type.

mod awaited_by;
mod beginning;
mod exit;
mod fork;
#[cfg(Py_3_12)]
mod grafts;
mod loop_type;
mod loops;
mod search;
mod tasks;

use std::ffi::CStr;

use crate::state;
use crate::sys::slots::Method;
#[cfg(feature = "panic-on-purpose")]
use crate::sys::slots::one;
use crate::sys::typeobj::{StaticMethod, add_to_module};
use crate::sys::{Object, Res, containers};
use crate::task;
use crate::versions;
use crate::watchdog;

/// The module's name, and that of its functions' module: CPython's, whose place it takes. (Its spec has its own.)
const NAME: &CStr = c"_asyncio";

/// Adds all of it, once the types of futures and tasks are made. Called once, by the module's initialisation.
pub(crate) fn init(module: &Object) -> Res<()> {
    add_to_module(module, c"__name__", &*containers::string(NAME)?)?;
    loop_type::init(module)?;
    #[cfg(target_os = "linux")]
    {
        crate::net::sock::init(module)?;
        crate::net::server::init(module)?;
    }
    add_functions(module)?;
    loops::init_link(module)?;
    beginning::init(module)?;
    tasks::init_list(module)?;
    state::init(module, task::LAYOUT)?;
    #[cfg(Py_3_12)]
    grafts::init(module)?;
    fork::init(module)?;
    exit::init(module)
}

/// The functions that this version's module has.
fn functions() -> Vec<Method> {
    let mut functions = Vec::from(loops::LOOP_FUNCTIONS);
    functions.extend(tasks::TASK_FUNCTIONS);
    if versions::EAGER_TASKS {
        functions.extend(tasks::EAGER_TASK_FUNCTIONS);
    } else {
        functions.push(loops::GET_EVENT_LOOP_AT);
    }
    if versions::TASKS_PER_THREAD {
        functions.push(tasks::ALL_TASKS_FUNCTION);
    }
    if versions::AWAITED_BY {
        functions.extend(awaited_by::AWAITED_BY_FUNCTIONS);
    }
    functions.extend(watchdog::functions());
    functions.extend(search::FUNCTIONS);
    #[cfg(Py_3_12)]
    functions.extend(grafts::FUNCTIONS);
    #[cfg(target_os = "linux")]
    functions.extend(crate::net::functions());
    #[cfg(feature = "panic-on-purpose")]
    functions.push(one!(Object, c"_panic_at", panic_at, c"_panic_at($module, place, /)\n--\n\nPanic there, once."));
    functions
}

/// Adds the functions.
fn add_functions(module: &Object) -> Res<()> {
    let module_name = containers::string(NAME)?;
    for method in functions() {
        // Function objects refer to their definitions for good.
        let definition: &'static StaticMethod = Box::leak(Box::new(StaticMethod::new(method)));
        add_to_module(module, method.name, &*definition.in_module(module, &module_name)?)?;
    }
    Ok(())
}

#[cfg(feature = "panic-on-purpose")]
fn panic_at(_module: &Object, place: &Object) -> bool {
    crate::sys::panics::arm(&containers::text_of(place))
}
