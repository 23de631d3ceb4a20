//! What is grafted, and the functions by which Python code attaches and shows it.
//!
//! `python/rasyncio/_graft.py` attaches them by their place in the table.

use crate::chain;
use crate::graft::{self, Graft, coroutine};
use crate::group;
use crate::net::server;
use crate::streams;
use crate::sync;
use crate::sys::error::{Builtin, raise};
use crate::sys::object::none;
use crate::sys::slots::{Method, noargs, positional};
use crate::sys::{Layout, Object, Owned, Res, containers, tools};
use crate::time;

/// All grafts. A construct is added by its line.
static GRAFTS: &[&Graft] = &[
    &chain::chain_future::CHAIN_FUTURE,
    &chain::copy_state::COPY_STATE,
    &chain::run_in_executor::RUN_IN_EXECUTOR,
    &chain::wrap_future::WRAP_FUTURE,
    &group::cancel_gathering::CANCEL,
    &group::create_task::CREATE_TASK,
    &group::eager::FACTORY,
    &group::ensure_future::ENSURE_FUTURE,
    &group::gather::GATHER,
    &group::shield::SHIELD,
    &group::task_group::CREATE_TASK,
    &group::task_group::ENTER,
    &group::task_group::EXIT,
    &group::task_group::ON_TASK_DONE,
    &group::wait::WAIT,
    &server::ACCEPT_CONNECTION,
    &streams::lines::NEXT,
    &streams::lines::READLINE,
    &streams::protocol::DATA_RECEIVED,
    &streams::protocol::DRAIN_HELPER,
    &streams::protocol::EOF_RECEIVED,
    &streams::read::READ,
    &streams::read::READEXACTLY,
    &streams::reader::FEED_DATA,
    &streams::reader::FEED_EOF,
    &streams::until::READUNTIL,
    &streams::wait::WAIT_FOR_DATA,
    &streams::writer::DRAIN,
    &streams::writer::WRITE,
    &streams::writer::WRITELINES,
    &sync::condition::NOTIFY,
    &sync::condition::NOTIFY_ALL,
    &sync::condition::WAIT,
    &sync::condition::WAIT_FOR,
    &sync::event::SET,
    &sync::event::WAIT,
    &sync::lock::ACQUIRE,
    &sync::lock::LOCKED,
    &sync::lock::RELEASE,
    &sync::manager::ENTER,
    &sync::manager::EXIT,
    &sync::queue::GET,
    &sync::queue::GET_NOWAIT,
    &sync::queue::JOIN,
    &sync::queue::PUT,
    &sync::queue::PUT_NOWAIT,
    &sync::queue::TASK_DONE,
    &sync::semaphore::ACQUIRE,
    &sync::semaphore::BOUNDED_RELEASE,
    &sync::semaphore::LOCKED,
    &sync::semaphore::RELEASE,
    &time::sleep::SLEEP,
    &time::timeout::ENTER,
    &time::timeout::EXIT,
    &time::timeout::TIMEOUT,
    &time::timeout::TIMEOUT_AT,
    &time::wait_for::WAIT_FOR,
];

/// Makes the types. Called once, by the module's initialisation.
pub(super) fn init(module: &Object) -> Res<()> {
    coroutine::init(module)?;
    streams::init();
    group::init(module)?;
    time::init(module)
}

/// `_grafts()`: `(module, path)` of each.
fn list(_module: &Object) -> Res<Owned> {
    let list = containers::new_list()?;
    for graft in GRAFTS {
        let (module, path) = (containers::string_of(graft.module)?, containers::string_of(graft.path)?);
        containers::list_append(&list, &*containers::tuple(&[&module, &path])?)?;
    }
    Ok(list)
}

fn of(place: &Object) -> Res<&'static Graft> {
    let place = usize::try_from(containers::int_value(place)?).ok();
    place
        .and_then(|place| GRAFTS.get(place).copied())
        .ok_or_else(|| raise(Builtin::ValueError.class(), c"there is no graft of that number"))
}

/// `_graft_attach(place, function)`: was it done?
fn attach(_module: &Object, arguments: &[&Object]) -> Res<bool> {
    match arguments {
        [place, function] => of(place)?.attach(function),
        _ => Err(raise(Builtin::TypeError.class(), c"a place and a function were expected")),
    }
}

/// `_graft_detach()`: takes all of it out.
fn detach(_module: &Object) {
    for graft in GRAFTS {
        graft.detach();
    }
}

/// `_graft_standing(place)`: `None` if it is on, else why not.
fn standing(_module: &Object, arguments: &[&Object]) -> Res<Owned> {
    let &[place] = arguments else { return Err(raise(Builtin::TypeError.class(), c"a place was expected")) };
    match of(place)?.standing() {
        Ok(()) => Ok(none().own()),
        Err(reason) => containers::string_of(&reason),
    }
}

/// `_graft_ask(look, places)`: who finds out what a body looks up, and where a code calls and awaits.
fn ask(_module: &Object, arguments: &[&Object]) -> Res<()> {
    let &[look, places] = arguments else {
        return Err(raise(Builtin::TypeError.class(), c"two functions were expected"));
    };
    graft::ask(look);
    graft::ask_where(places);
    Ok(())
}

/// `_graft_tools(all_events, get_tool, restart_events, origin_depth, set_depth)`: can it be seen whether anybody watches?
fn settle_tools(_module: &Object, arguments: &[&Object]) -> Res<bool> {
    match <[&Object; 5]>::try_from(arguments) {
        Ok(functions) => tools::settle(functions),
        Err(_) => Err(raise(Builtin::TypeError.class(), c"five functions were expected")),
    }
}

/// The functions.
pub(super) const FUNCTIONS: [Method; 6] = [
    noargs!(Object, c"_grafts", list, c"_grafts($module, /)\n--\n\n(module, path) of all that can be grafted."),
    positional!(Object, c"_graft_attach", attach, c"_graft_attach($module, place, function, /)\n--\n\nGraft it."),
    noargs!(Object, c"_graft_detach", detach, c"_graft_detach($module, /)\n--\n\nTake all of it out again."),
    positional!(Object, c"_graft_standing", standing, c"_graft_standing($module, place, /)\n--\n\nWhy it is not on."),
    positional!(Object, c"_graft_ask", ask, c"_graft_ask($module, look, places, /)\n--\n\nSay who is asked."),
    positional!(
        Object,
        c"_graft_tools",
        settle_tools,
        c"_graft_tools($module, all_events, get_tool, restart_events, origin_depth, set_depth, /)\n--\n\nSay who is asked."
    ),
];
