//! The running loop and the current task of each thread.
//!
//! Both are strong references, and go when the thread ends. They are in CPython's own fields of the thread's state where
//! these are known (see [`super::shared`]), else in a state of ours.
//!
//! From our own state the running loop is told to CPython's module too, once [`link`] has made it known, and asked of it
//! where there is none here: extensions keep `get_running_loop` of whichever module was in place when they first needed
//! it.
//!
//! Up to 3.13 the current task is not here but in the module's `_current_tasks`, a dict by loop that other code may
//! read and change. It is that of CPython's module once [`use_theirs`] has made it known.

use crate::asyncio;
use crate::names::{CURRENT_TASKS, GET_EVENT_LOOP, THREAD_STATE};
use crate::sys::attached::Attached;
use crate::sys::containers::DictPlace;
use crate::sys::error::{self, Builtin, raise, raise_format};
use crate::sys::interpreter_fields::{self, Fields};
use crate::sys::lazy::Once;
use crate::sys::object::none;
use crate::sys::per_thread::PerThread;
use crate::sys::{Field, Layout, Object, Owned, Raised, Res, call, containers};
use crate::versions;

/// A thread's fields, wherever they are. Of the calling thread they are good until it ends.
#[derive(Clone, Copy)]
struct ThreadState(&'static Fields);

impl ThreadState {
    #[inline]
    fn running_loop(self) -> &'static Field {
        &self.0.first
    }

    #[inline]
    fn current_task(self) -> &'static Field {
        &self.0.second
    }

    /// The calling thread's, if it has any.
    #[inline]
    fn find() -> Res<Option<ThreadState>> {
        match interpreter_fields::here() {
            Some(fields) => Ok(Some(ThreadState(fields))),
            None => Ok(OWN.find()?.map(|own| ThreadState(&own.0))),
        }
    }

    /// The calling thread's, made if need be.
    #[inline]
    fn obtain() -> Res<ThreadState> {
        match interpreter_fields::here() {
            Some(fields) => Ok(ThreadState(fields)),
            None => OWN.obtain().map(|own| ThreadState(&own.0)),
        }
    }

    /// Those of all threads. No Python code may run while the iterator is in use.
    fn all() -> impl Iterator<Item = ThreadState> {
        interpreter_fields::everywhere().chain(OWN.all().map(|own| &own.0)).map(ThreadState)
    }
}

/// The fields where CPython's are not known.
#[derive(Default)]
struct Own(Fields);

impl Drop for Own {
    fn drop(&mut self) {
        self.0.first.clear();
        self.0.second.clear();
    }
}

static OWN: PerThread<Own> = PerThread::new(&THREAD_STATE);
static CURRENT_TASKS_BY_LOOP: Once = Once::new();

/// `_get_running_loop` and `_set_running_loop` of CPython's own module.
struct Theirs {
    get: Field,
    set: Field,
}

static THEIRS: Attached<Theirs> = Attached::new(Theirs { get: Field::unset(), set: Field::unset() });

/// Makes CPython's own functions known.
pub(crate) fn link(get: &Object, set: &Object) {
    THEIRS.get.set(get.own());
    THEIRS.set.set(set.own());
}

pub(crate) fn init(module: &Object) -> Res<()> {
    if versions::TASKS_PER_THREAD {
        return Ok(());
    }
    call::setattr(module, &CURRENT_TASKS, current_tasks()?)
}

/// Uses the `_current_tasks` of CPython's module, and shows it as its own; what is in ours is the caller's business.
pub(super) fn use_theirs(module: &Object, theirs: &Object) -> Res<()> {
    let common = call::getattr(theirs, &CURRENT_TASKS)?;
    if !containers::is_exact_dict(&common) {
        return Err(raise(Builtin::TypeError.class(), c"_current_tasks is not a dict"));
    }
    CURRENT_TASKS_BY_LOOP.put(common);
    call::setattr(module, &CURRENT_TASKS, current_tasks()?)
}

/// The module's `_current_tasks` (up to 3.13).
fn current_tasks() -> Res<&'static Object> {
    CURRENT_TASKS_BY_LOOP.get_or_init(containers::new_dict)
}

/// The calling thread's running loop.
#[inline]
pub(crate) fn running_loop() -> Res<Option<Owned>> {
    match ThreadState::find()?.and_then(|state| state.running_loop().get()) {
        Some(running) => Ok(Some(running)),
        None => their_running_loop(),
    }
}

/// The one that only CPython's module knows: ours is not in place now.
#[cold]
fn their_running_loop() -> Res<Option<Owned>> {
    match THEIRS.get.get() {
        Some(get) => Ok(Some(call::call(&get, &[])?).filter(|running| !running.is_none())),
        None => Ok(None),
    }
}

pub(crate) fn set_running_loop(event_loop: &Object) -> Res<()> {
    let value = (!event_loop.is_none()).then(|| event_loop.own());
    if value.is_some() || ThreadState::find()?.is_some() {
        drop(ThreadState::obtain()?.running_loop().replace(value));
    }
    match THEIRS.set.get() {
        Some(set) => call::call1(&set, event_loop).map(drop),
        None => Ok(()),
    }
}

/// `asyncio.get_running_loop()`
pub(crate) fn require_running_loop() -> Res<Owned> {
    running_loop()?.ok_or_else(|| raise(Builtin::RuntimeError.class(), c"no running event loop"))
}

/// `asyncio.get_event_loop()`: the running loop, or the policy's.
pub(crate) fn event_loop() -> Res<Owned> {
    match running_loop()? {
        Some(running) => Ok(running),
        None => call::call_method(&GET_EVENT_LOOP, &[&*asyncio::policy()?], None),
    }
}

/// Is it this thread that runs the loop, as CPython's own fields say?
pub(crate) fn runs_here(event_loop: &Object) -> bool {
    interpreter_fields::here().is_some_and(|fields| ThreadState(fields).running_loop().holds(event_loop))
}

/// The state of a thread that runs `event_loop`, which must be the calling one.
#[inline]
fn state_running(event_loop: &Object) -> Res<ThreadState> {
    let state = ThreadState::obtain()?;
    if state.running_loop().holds(event_loop) {
        Ok(state)
    } else {
        Err(raise_format(Builtin::RuntimeError.class(), c"loop %R is not the running loop", &[event_loop]))
    }
}

fn cannot_enter(task: &Object, current: &Object) -> Raised {
    raise_format(
        Builtin::RuntimeError.class(),
        c"Cannot enter into task %R while another task %R is being executed.",
        &[task, current],
    )
}

/// Makes the task the current one of the loop, where no other may be.
pub(crate) fn enter_task(event_loop: &Object, task: &Object) -> Res<()> {
    Entered::enter(event_loop, task).map(drop)
}

/// Ends what [`enter_task`] began.
pub(crate) fn leave_task(event_loop: &Object, task: &Object) -> Res<()> {
    if versions::TASKS_PER_THREAD {
        return leave_in(state_running(event_loop)?, task);
    }
    let place = DictPlace::find(current_tasks()?, event_loop)?;
    let current = match place.get() {
        Err(raised) if !versions::LEAVE_TASK_FAILS => {
            drop(error::fetch(raised));
            None
        }
        found => found?,
    };
    if current.as_ref().is_some_and(|current| current.is(task)) {
        return place.delete();
    }
    let current = current.unwrap_or_else(|| none().own());
    let text = c"Leaving task %R does not match the current task %R.";
    Err(raise_format(Builtin::RuntimeError.class(), text, &[task, &current]))
}

/// A task that was entered by its step; the calling thread's state need not be looked up again to leave it.
#[must_use]
pub(crate) struct Entered(Option<ThreadState>);

impl Entered {
    #[inline]
    pub(crate) fn enter(event_loop: &Object, task: &Object) -> Res<Entered> {
        if versions::TASKS_PER_THREAD {
            let state = state_running(event_loop)?;
            if let Some(current) = state.current_task().get() {
                return Err(cannot_enter(task, &current));
            }
            state.current_task().set(task.own());
            return Ok(Entered(Some(state)));
        }
        let place = DictPlace::find(current_tasks()?, event_loop)?;
        match place.get()? {
            Some(current) => Err(cannot_enter(task, &current)),
            None => place.set(task).map(|()| Entered(None)),
        }
    }

    #[inline]
    pub(crate) fn leave(self, event_loop: &Object, task: &Object) -> Res<()> {
        match self.0 {
            Some(state) if state.running_loop().holds(event_loop) => leave_in(state, task),
            _ => leave_task(event_loop, task),
        }
    }
}

#[inline]
fn leave_in(state: ThreadState, task: &Object) -> Res<()> {
    if state.current_task().holds(task) {
        state.current_task().clear();
        return Ok(());
    }
    let current = state.current_task().get_or_none();
    let text = c"Invalid attempt to leave task %R while task %R is entered.";
    Err(raise_format(Builtin::RuntimeError.class(), text, &[task, &current]))
}

/// Makes `task` (or, if `None`, no task) the loop's current one and returns the one before.
pub(crate) fn swap_current_task(event_loop: &Object, task: Option<&Object>) -> Res<Option<Owned>> {
    if versions::TASKS_PER_THREAD {
        return Ok(state_running(event_loop)?.current_task().replace(task.map(Layout::own)));
    }
    let tasks = current_tasks()?;
    if task.is_none() && versions::NO_TASK_POPS {
        return containers::dict_pop(tasks, event_loop);
    }
    let place = DictPlace::find(tasks, event_loop)?;
    let before = place.get()?;
    match task {
        Some(task) => place.set(task)?,
        None => place.delete()?,
    }
    Ok(before)
}

/// The task that the loop is executing, in whatever thread.
pub(crate) fn current_task(event_loop: &Object) -> Res<Option<Owned>> {
    if !versions::TASKS_PER_THREAD {
        return containers::dict_get(current_tasks()?, event_loop);
    }
    if let Some(state) = ThreadState::find()? {
        if state.running_loop().holds(event_loop) {
            return Ok(state.current_task().get());
        }
    }
    Ok(ThreadState::all()
        .find(|state| state.running_loop().holds(event_loop))
        .and_then(|state| state.current_task().get()))
}

/// In a forked child: the parent's loop does not run here. (The references are not given up but forgotten: what they
/// refer to belongs to the parent, and letting go could run its finalizers.)
pub(crate) fn forget() {
    for state in ThreadState::all() {
        for field in [state.running_loop(), state.current_task()] {
            std::mem::forget(field.take());
        }
    }
}
