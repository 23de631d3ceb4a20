//! `loop._ready` and `loop._scheduled`: what asyncio has there, a deque and a list of handles.
//!
//! Native code has containers of its own. Whoever asks for these attributes (asyncio's functions where a program has
//! replaced something, a monitor, a tool that runs the queues by itself) gets a real deque or list, into which all moves.
//! It is then the one place for what is queued or scheduled, and native code that queues something puts it there, until
//! at the beginning of an iteration nobody but the loop has a reference to it: then all moves back. As long as somebody
//! has, iterations are those of asyncio's `_run_once()`.
//!
//! A move runs no Python code, and so is seen by nobody.

use crate::names::{HEAPPUSH, POPLEFT};
use crate::sys::intern::APPEND;
use crate::sys::lazy::Lazy;
use crate::sys::memory::vec_for;
use crate::sys::{Field, Layout, Object, Owned, Res, call, containers, deque};

use super::object::LoopObject;
use super::ready::{Ready, as_handle};
use crate::handle::{self, HandleObject};
use crate::job::Entry;

static HEAPQ: Lazy = Lazy::new("asyncio.base_events", "heapq");

impl LoopObject {
    /// Queues an entry, if that is all there is to do ([`LoopObject::just_queues`]).
    #[inline]
    pub(crate) fn push(&self, entry: Entry) -> Res<()> {
        debug_assert!(self.just_queues());
        self.counts.queued(|| self.ready.len());
        self.ready.push(Ready::Entry(entry))
    }

    /// Queues something to run, wherever the queue is.
    #[allow(clippy::inline_always)] // once for each thing that runs
    #[inline(always)]
    pub(super) fn enqueue(&self, ready: Ready) -> Res<()> {
        if self.is_exposed() {
            return push(self, ready);
        }
        self.counts.queued(|| self.ready.len());
        self.ready.push(ready)
    }

    /// One of the two containers has come or gone.
    fn note_exposed(&self) {
        self.exposed.set(self.ready.exposed.is_set() || self.timers.exposed.is_set());
        self.note_special();
    }
}

/// `loop._ready`
pub(super) fn ready(core: &LoopObject) -> Res<Owned> {
    if let Some(exposed) = core.ready.exposed.get() {
        return Ok(exposed);
    }
    let made = deque::new()?;
    loop {
        core.ready.make_handles(core.as_object())?;
        if let Some(exposed) = core.ready.exposed.get() {
            return Ok(exposed); // making handles has run Python code
        }
        if let Some(handles) = core.ready.handles()? {
            handles.iter().try_for_each(|handle| deque::append(&made, handle))?;
            let made = made.into_object();
            core.ready.exposed.set(made.clone());
            core.note_exposed();
            core.ready.empty(); // the deque has references to all of them
            return Ok(made);
        }
    }
}

/// `loop._ready = value`
pub(super) fn set_ready(core: &LoopObject, value: Owned) {
    let given_away = is_given_away(&value);
    let is_nothing = given_away && deque::downcast(value.clone()).is_some_and(|deque| deque::len(&deque) == 0);
    let before = core.ready.exposed.replace((!is_nothing).then_some(value));
    core.note_exposed();
    core.ready.empty();
    drop(before);
}

/// `loop._scheduled`
pub(super) fn scheduled(core: &LoopObject) -> Res<Owned> {
    let list = containers::new_list()?;
    if let Some(exposed) = core.timers.exposed.get() {
        return Ok(exposed);
    }
    for handle in core.timers.handles()? {
        containers::list_append(&list, &handle)?;
    }
    core.timers.exposed.set(list.clone());
    core.note_exposed();
    core.timers.empty(); // the list has references to all of them
    Ok(list)
}

/// `loop._scheduled = value`
pub(super) fn set_scheduled(core: &LoopObject, value: Owned) {
    let is_nothing = containers::is_exact_list(&value) && containers::list_len(&value) == 0 && is_given_away(&value);
    let before = core.timers.exposed.replace((!is_nothing).then_some(value));
    core.note_exposed();
    core.timers.empty();
    drop(before);
}

/// Has nobody but the caller and the one who sets an attribute a reference?
fn is_given_away(value: &Object) -> bool {
    crate::sys::typeobj::reference_count(value) <= 2
}

/// Moves all back into native containers, if nobody else has Python's. Else they stay where they are.
pub(super) fn take_back(core: &LoopObject) -> Res<bool> {
    let sole = |field: &Field| field.get().is_none_or(|object| crate::sys::typeobj::reference_count(&object) == 2);
    if !sole(&core.ready.exposed) || !sole(&core.timers.exposed) {
        return Ok(false);
    }
    let Some(timers) = timers_to_take_back(core)? else { return Ok(false) };
    let Some(handles) = handles_to_take_back(core)? else { return Ok(false) };
    if !sole(&core.ready.exposed) || !sole(&core.timers.exposed) {
        return Ok(false); // making lists may have run Python code
    }
    core.ready.reserve(handles.len())?;
    if core.timers.exposed.is_set() {
        core.timers.take_over(timers)?;
    }
    let (ready, scheduled) = (core.ready.exposed.take(), core.timers.exposed.take());
    core.note_exposed();
    for handle in handles {
        core.ready.push(match handle::downcast(&handle) {
            Some(handle) => Ready::Handle(handle.own()),
            None => Ready::Foreign(handle),
        })?;
    }
    drop((ready, scheduled)); // all in them has other references
    Ok(true)
}

fn timers_to_take_back(core: &LoopObject) -> Res<Option<Vec<Owned<HandleObject>>>> {
    let Some(list) = core.timers.exposed.get() else { return Ok(Some(Vec::new())) };
    if !containers::is_exact_list(&list) {
        return Ok(None);
    }
    let mut timers = vec_for(containers::list_len(&list))?;
    while let Some(item) = containers::list_item(&list, timers.len()) {
        match handle::downcast(&item).filter(|handle| handle.is_timer()) {
            Some(timer) => timers.push(timer.own()),
            None => return Ok(None),
        }
    }
    Ok(Some(timers))
}

fn handles_to_take_back(core: &LoopObject) -> Res<Option<Vec<Owned>>> {
    let Some(exposed) = core.ready.exposed.get() else { return Ok(Some(Vec::new())) };
    let Some(exposed) = deque::downcast(exposed) else { return Ok(None) };
    let list = containers::new_list()?;
    containers::list_extend(&list, exposed.as_object())?;
    let count = containers::list_len(&list);
    if count != deque::len(&exposed) {
        return Ok(None);
    }
    let mut handles = vec_for(count)?;
    handles.extend((0..count).filter_map(|index| containers::list_item(&list, index)));
    Ok(Some(handles))
}

/// `loop._ready.append(...)`
#[cold]
fn push(core: &LoopObject, ready: Ready) -> Res<()> {
    let handle = match ready {
        Ready::Entry(entry) => as_handle(core.as_object(), entry)?.into_object(),
        Ready::Handle(handle) => handle.into_object(),
        Ready::Foreign(object) => object,
    };
    match core.ready.exposed.get() {
        Some(exposed) => match deque::downcast(exposed.clone()) {
            Some(exposed) => deque::append(&exposed, &handle),
            None => call::call_method(&APPEND, &[&*exposed, &*handle], None).map(drop),
        },
        // Making a handle has run Python code.
        None => core.ready.push(match handle::downcast(&handle) {
            Some(handle) => Ready::Handle(handle.own()),
            None => Ready::Foreign(handle),
        }),
    }
}

/// `loop._ready.popleft()`, if Python code has it.
#[cold]
pub(super) fn pop(core: &LoopObject) -> Res<Option<Ready>> {
    let Some(exposed) = core.ready.exposed.get() else { return Ok(None) };
    let handle = call::call_method(&POPLEFT, &[&*exposed], None)?;
    Ok(Some(match handle::downcast(&handle) {
        Some(handle) => Ready::Handle(handle.own()),
        None => Ready::Foreign(handle),
    }))
}

/// Schedules a timer for its time, `when`, wherever the timers are.
#[inline]
pub(super) fn schedule(core: &LoopObject, timer: &Owned<HandleObject>, when: f64) -> Res<()> {
    if core.is_exposed() { push_timer(core, timer, when) } else { core.timers.push(timer, when) }
}

/// `heapq.heappush(loop._scheduled, timer)`
#[cold]
fn push_timer(core: &LoopObject, timer: &Owned<HandleObject>, when: f64) -> Res<()> {
    let Some(exposed) = core.timers.exposed.get() else { return core.timers.push(timer, when) };
    timer.set_scheduled(true);
    let heappush = call::getattr(HEAPQ.get()?, &HEAPPUSH)?;
    call::call(&heappush, &[&*exposed, timer.as_object()]).map(drop)
}
