//! `asyncio.shield`, of a coroutine or of a future of the running loop.
//!
//! It makes a future that gets the result of the shielded one ([`super::shielding`]); what a cancelled one leaves behind
//! is Python's own affair.

use crate::future;
use crate::graft::Graft;
use crate::graft::coroutine;
use crate::graft::running::Running;
use crate::state::thread;
use crate::sys::object::none;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res};
use crate::task;
use crate::versions;

use super::shielding::TYPE;

pub(crate) static SHIELD: Graft = Graft::new("asyncio.tasks", "shield", vectorcall!(shield));

fn shield(call: &Call<'_>) -> Option<Res<Owned>> {
    let [shielded] = call.positional()?;
    if !SHIELD.takes(call) {
        return None;
    }
    let running = Running::find().filter(|running| running.makes_native_tasks() && running.makes_native_futures())?;
    let current = match current_task(running.event_loop()) {
        Ok(current) => current,
        Err(raised) => return Some(Err(raised)),
    };
    if !current.is_none() && task::as_native_future(&current).is_none() {
        return None;
    }
    if let Some(inner) = task::as_exact_future(shielded) {
        let fits = inner.belongs_to(running.event_loop()) && inner.has_no_attributes();
        return fits.then(|| start(&running, shielded, current));
    }
    coroutine::is_coroutine(shielded)
        .then(|| running.create_native_task(shielded).and_then(|task| start(&running, &task, current)))
}

/// The task that will be noted as waiting, or `None`.
fn current_task(event_loop: &Object) -> Res<Owned> {
    let current = if versions::AWAITED_BY { thread::current_task(event_loop)? } else { None };
    Ok(current.unwrap_or_else(|| none().own()))
}

fn start(running: &Running, inner_object: &Object, current: Owned) -> Res<Owned> {
    let event_loop = running.event_loop();
    let Some(inner) = task::as_exact_future(inner_object).filter(|inner| inner.is_pending()) else {
        return Ok(inner_object.own());
    };
    let outer = future::make(event_loop)?;
    let shielding = TYPE.allocate()?;
    shielding.graft.set(Some(&SHIELD));
    shielding.inner.set(inner_object.own());
    shielding.outer.set(outer.as_object().own());
    if !current.is_none() {
        shielding.current.set(current);
    }
    shielding.begin(inner, &outer)?;
    Ok(outer.into_object())
}
