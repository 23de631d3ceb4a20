//! `asyncio.futures._chain_future`: a future of a loop's gets what one of a thread's gets, and cancels it.
//!
//! The three functions inside of it, which the two futures have as callbacks, are made as its body makes them
//! ([`crate::graft::inner`]); their native code is here.
//!
//! `_call_set_state` runs where the source is completed, most often in a thread that has no loop. Whether anything was
//! replaced is asked there, too, with the GIL.

use crate::graft::inner::{Inner, Maker};
use crate::graft::{Graft, raised_in};
use crate::names::{
    ADD_DONE_CALLBACK, CALL_CHECK_CANCEL, CALL_SET_STATE, CALL_SOON_THREADSAFE, CANCEL, DEST_LOOP, DESTINATION,
    SET_STATE, SOURCE, SOURCE_LOOP,
};
use crate::sched;
use crate::state::thread;
use crate::sys::error::fetch;
use crate::sys::object::none;
use crate::sys::python_function::{Call, cell, vectorcall};
use crate::sys::{Layout, Object, Owned, Raised, Res, call};

use super::concurrent;
use super::copy_state::{self, as_destination};

pub(crate) static CHAIN_FUTURE: Graft =
    Graft::new("asyncio.futures", "_chain_future", vectorcall!(chain_future)).with(&[concurrent::CLASS]);

/// `_set_state(future, other)`
static SETTER: Inner<0> = Inner::new(&CHAIN_FUTURE, &SET_STATE, [], vectorcall!(set_state));
/// `_call_check_cancel(destination)`
static CHECKER: Inner<3> =
    Inner::new(&CHAIN_FUTURE, &CALL_CHECK_CANCEL, [&SOURCE, &SOURCE_LOOP, &DEST_LOOP], vectorcall!(call_check_cancel));
/// `_call_set_state(source)`
static CALLER: Inner<4> = Inner::new(
    &CHAIN_FUTURE,
    &CALL_SET_STATE,
    [&DESTINATION, &DEST_LOOP, &SET_STATE, &SOURCE_LOOP],
    vectorcall!(call_set_state),
);

fn chain_future(call: &Call<'_>) -> Option<Res<Owned>> {
    let [source, destination] = call.positional()?;
    if !CHAIN_FUTURE.takes(call) {
        return None;
    }
    let event_loop = as_destination(destination)?.event_loop()?;
    let functions = Functions::for_source(source)?;
    Some(functions.chain(source, destination, &event_loop).map(|()| none().own()))
}

/// What makes the functions.
pub(super) struct Functions {
    setter: Maker<0>,
    checker: Maker<3>,
    caller: Maker<4>,
}

impl Functions {
    /// If the source is a future of a thread's that native code knows.
    pub(super) fn for_source(source: &Object) -> Option<Functions> {
        if !concurrent::is_one(source) {
            return None;
        }
        Some(Functions { setter: SETTER.maker()?, checker: CHECKER.maker()?, caller: CALLER.maker()? })
    }

    /// `_chain_future(source, destination)`, where both were looked at.
    pub(super) fn chain(&self, source: &Object, destination: &Object, event_loop: &Object) -> Res<()> {
        let [of_source, of_none, of_loop] = [cell(source)?, cell(none())?, cell(event_loop)?];
        let setter = self.setter.make([])?;
        let checker = self.checker.make([&of_source, &of_none, &of_loop])?;
        let caller = self.caller.make([&*cell(destination)?, &of_loop, &*cell(&setter)?, &of_none])?;
        let add = |to: &Object, callback: &Object| call::call_method(&ADD_DONE_CALLBACK, &[to, callback], None);
        add(destination, &checker)
            .and_then(|_| add(source, &caller))
            .map_err(|raised| CHAIN_FUTURE.raised_by("add_done_callback", raised))
            .map(drop)
    }
}

/// The destination is done. If it was cancelled, so is the source.
fn call_check_cancel(call: &Call<'_>) -> Option<Res<Owned>> {
    let [destination] = call.positional()?;
    let variables = CHECKER.takes(call)?;
    if !as_destination(destination)?.is_cancelled() {
        return Some(Ok(none().own()));
    }
    let source = variables.get(0)?;
    if !variables.get(1)?.is_none() {
        return None;
    }
    let cancelled = call::call_method(&CANCEL, &[&*source], None);
    Some(cancelled.map(|_| none().own()).map_err(|raised| raised_in(call.function, "^cancel", raised)))
}

/// The source is done, in whatever thread: its outcome is handed over by the destination's loop.
fn call_set_state(call: &Call<'_>) -> Option<Res<Owned>> {
    let [source] = call.positional()?;
    let variables = CALLER.takes(call)?;
    let (destination, event_loop, setter) = (variables.get(0)?, variables.get(1)?, variables.get(2)?);
    as_destination(&destination)?;
    // It is open, then.
    if !sched::is_plain(&event_loop) {
        return None;
    }
    let done = if variables.has(3) {
        // Some releases compare with the source's loop.
        if variables.get(3)?.is(&*event_loop) {
            return None;
        }
        later(&event_loop, &setter, &destination, source)
    } else if runs_here(&event_loop) {
        call::call(&setter, &[&*destination, source]).map_err(|raised| ("^_set_state", raised))
    } else {
        later(&event_loop, &setter, &destination, source)
    };
    Some(done.map(|_| none().own()).map_err(|(called, raised)| raised_in(call.function, called, raised)))
}

type Called = Result<Owned, (&'static str, Raised)>;

fn later(event_loop: &Object, setter: &Object, destination: &Object, source: &Object) -> Called {
    call::call_method(&CALL_SOON_THREADSAFE, &[event_loop, setter, destination, source], None)
        .map_err(|raised| ("call_soon_threadsafe", raised))
}

/// `event_loop is events._get_running_loop()`
fn runs_here(event_loop: &Object) -> bool {
    match thread::running_loop() {
        Ok(running) => running.is_some_and(|running| running.is(event_loop)),
        Err(raised) => {
            drop(fetch(raised));
            false
        }
    }
}

/// `_set_state(destination, source)`
fn set_state(call: &Call<'_>) -> Option<Res<Owned>> {
    let [destination, source] = call.positional()?;
    SETTER.takes(call)?;
    let copied = copy_state::copy(source, destination)?;
    Some(copied.map(|()| none().own()).map_err(|raised| raised_in(call.function, "_copy_future_state", raised)))
}
