//! `asyncio.gather`, of coroutines and of futures of the running loop, each given once.
//!
//! The future that it returns is a `_GatheringFuture`, as in Python; cancelling it is that class's own affair.

use crate::future::{self, FutureObject, Waiter};
use crate::graft::Graft;
use crate::graft::coroutine;
use crate::graft::running::Running;
use crate::names::{CANCEL_REQUESTED, CHILDREN, RETURN_EXCEPTIONS};
use crate::state::thread;
use crate::sys::iter::is_native_coroutine;
use crate::sys::lazy::Lazy;
use crate::sys::life::make_of;
use crate::sys::object::boolean;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res, call, containers, memory};
use crate::task;
use crate::versions;

use super::gathering::{self, CHILD_DONE, Gathering, TYPE};

pub(crate) static GATHER: Graft = Graft::new("asyncio.tasks", "gather", vectorcall!(gather));

static OUTER_CLASS: Lazy = Lazy::new("asyncio.tasks", "_GatheringFuture");

fn gather(call: &Call<'_>) -> Option<Res<Owned>> {
    let mut return_exceptions = false;
    for (keyword, value) in call.arguments.keywords() {
        let known = RETURN_EXCEPTIONS.is(keyword) && (value.is(boolean(true)) || value.is(boolean(false)));
        if !known {
            return None;
        }
        return_exceptions = value.is(boolean(true));
    }
    let arguments = call.arguments.positional;
    if arguments.is_empty() || !GATHER.takes(call) {
        return None;
    }
    let running = Running::find().filter(Running::makes_native_tasks)?;
    let class = OUTER_CLASS.find()?.as_type().filter(|class| future::TYPE.is_base_of(class))?;
    if !arguments.iter().all(|argument| is_usual(argument, &running)) || !all_differ(arguments) {
        return None;
    }
    Some(start(&running, arguments, return_exceptions, class))
}

fn is_usual(argument: &Object, running: &Running) -> bool {
    is_native_coroutine(argument)
        || coroutine::downcast(argument).is_some()
        || task::as_exact_future(argument)
            .is_some_and(|future| future.belongs_to(running.event_loop()) && future.has_no_attributes())
}

/// Is each given once? (What is usual is equal to nothing but itself.)
#[inline]
fn all_differ(arguments: &[&Object]) -> bool {
    if let [first, second] = arguments {
        return !first.is(*second);
    }
    let Ok(mut addresses) = memory::vec_for(arguments.len()) else { return false };
    addresses.extend(arguments.iter().map(|argument| argument.as_ptr().addr()));
    addresses.sort_unstable();
    addresses.windows(2).all(|two| two[0] != two[1])
}

fn start(running: &Running, arguments: &[&Object], return_exceptions: bool, class: &crate::sys::Type) -> Res<Owned> {
    let event_loop = running.event_loop();
    let current = if versions::AWAITED_BY { thread::current_task(event_loop)? } else { None };
    let state = TYPE.allocate()?;
    state.return_exceptions.set(return_exceptions);
    state.graft.set(Some(&GATHER));
    if let Some(current) = current.as_ref().filter(|current| task::as_native_future(current).is_some()) {
        state.current.set(current.clone());
    }
    let mut children = memory::vec_for(arguments.len())?;
    let mut finished = memory::vec_for(0)?;
    for argument in arguments {
        let child = add_child(&state, running, argument)?;
        if task::as_native_future(&child).is_some_and(|child| !child.is_pending()) {
            memory::make_room(&mut finished)?;
            finished.push(child.clone());
        }
        children.push(child);
    }
    let children = containers::list_of(children)?;
    state.children.set(children.clone());
    let outer: Owned<FutureObject> = make_of(class)?;
    future::initialize(&outer, Some(event_loop))?;
    call::setattr(outer.as_object(), &CHILDREN, &children)?;
    call::setattr(outer.as_object(), &CANCEL_REQUESTED, boolean(false))?;
    state.complete(&outer)?;
    for child in finished {
        gathering::done(&state, &child)?;
    }
    Ok(outer.into_object())
}

/// Awaits one more: a task is made of a coroutine.
#[inline]
fn add_child(state: &Owned<Gathering>, running: &Running, argument: &Object) -> Res<Owned> {
    let child = if task::as_exact_future(argument).is_some() {
        argument.own()
    } else {
        let made = running.create_native_task(argument)?;
        if let Some(task) = task::TYPE.downcast_exact(&made) {
            task.do_not_log_destroy_pending();
        }
        made
    };
    state.count.set(state.count.get() + 1);
    if let Some(future) = task::as_exact_future(&child).filter(|future| future.is_pending()) {
        if let Some(current) = state.current.get() {
            future::add_to_awaited_by(future, &current)?;
        }
        future::add_waiter(future, Waiter { target: state.as_object().own(), kind: &CHILD_DONE })?;
    }
    Ok(child)
}
