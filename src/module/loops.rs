//! The functions of the running loop.

use std::ffi::CStr;

use super::beginning;
use crate::future;
use crate::names::{
    FUTURE_ADD_TO_AWAITED_BY, FUTURE_CLASS, PRIVATE_GET_RUNNING_LOOP, PRIVATE_SET_RUNNING_LOOP, STACKLEVEL,
};
use crate::state::{self, thread};
use crate::sys::object::none;
use crate::sys::slots::{Method, keywords, noargs, one};
use crate::sys::typeobj::{StaticMethod, add_to_module};
use crate::sys::{Layout, Object, Owned, Res, args, call, containers};

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
    thread::set_running_loop(event_loop)?;
    beginning::begins(event_loop)
}

const GET_EVENT_LOOP_DOC: &CStr = c"get_event_loop($module, /)\n--\n\n\
    Return the running event loop, or else the one that the event loop policy has.";
const GET_RUNNING_LOOP_DOC: &CStr = c"get_running_loop($module, /)\n--\n\n\
    Return the event loop that runs in this thread.\n\n\
    Raises RuntimeError if there is none.";
const GET_RUNNING_LOOP_OR_NONE_DOC: &CStr = c"_get_running_loop($module, /)\n--\n\n\
    Return the event loop that runs in this thread, or None.\n\n\
    For event loops.";
const SET_RUNNING_LOOP_DOC: &CStr = c"_set_running_loop($module, loop, /)\n--\n\n\
    Set the event loop that runs in this thread, None for none.\n\n\
    For event loops.";

pub(super) const LOOP_FUNCTIONS: [Method; 4] = [
    noargs!(Object, c"get_event_loop", get_event_loop, GET_EVENT_LOOP_DOC),
    noargs!(Object, c"get_running_loop", get_running_loop, GET_RUNNING_LOOP_DOC),
    noargs!(Object, c"_get_running_loop", get_running_loop_or_none, GET_RUNNING_LOOP_OR_NONE_DOC),
    one!(Object, c"_set_running_loop", set_running_loop, SET_RUNNING_LOOP_DOC),
];

pub(super) const GET_EVENT_LOOP_AT: Method = keywords!(
    Object,
    c"_get_event_loop",
    STACKLEVEL_SIGNATURE,
    get_event_loop_at,
    c"_get_event_loop($module, /, stacklevel=3)\n--\n\nThe same as get_event_loop()."
);

fn link(module: &Object, theirs: &Object) -> Res<()> {
    let get = |name| call::getattr(theirs, name);
    if state::is_shared() {
        return future::link(&*get(&FUTURE_CLASS)?, &*get(&FUTURE_ADD_TO_AWAITED_BY)?);
    }
    state::use_theirs(module, theirs)?;
    thread::link(&*get(&PRIVATE_GET_RUNNING_LOOP)?, &*get(&PRIVATE_SET_RUNNING_LOOP)?);
    Ok(())
}

static LINK: StaticMethod = StaticMethod::new(one!(Object, c"__rasyncio_link__", link, c""));

/// Adds what is not in CPython's module: the swap's way to make that module known to ours.
pub(crate) fn init_link(module: &Object) -> Res<()> {
    add_to_module(module, c"__rasyncio_link__", &*LINK.bind(module)?)
}
