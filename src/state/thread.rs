//! The running loop and the current task of each thread.
//!
//! Both are strong references in a [`ThreadState`], which the thread's own dictionary (`PyThreadState_GetDict`) owns:
//! they go when the thread ends, however it ends. A one-entry cache in front of the dictionary is keyed by the thread
//! state's id, which is never used again, and is emptied when the cached state dies (bpo-45262).
//!
//! Up to 3.13 the current task is not here but in the module's `_current_tasks`, a dict by loop that other code may
//! read and change.

use std::cell::Cell;
use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicI64, AtomicPtr, Ordering};

use pyo3::ffi;

use crate::asyncio;
use crate::sys::error::{Builtin, raise, raise_format};
use crate::sys::intern::{GET_EVENT_LOOP, THREAD_STATE};
use crate::sys::lazy::Once;
use crate::sys::object::none;
use crate::sys::{Field, Layout, Object, Owned, Raised, Res, call, compat, containers, py};

/// One thread's part of asyncio. All threads' states form a list.
struct ThreadState {
    running_loop: Field,
    current_task: Field,
    next: Cell<*const ThreadState>,
}

const CAPSULE_NAME: &CStr = c"rasyncio.thread_state";

static FIRST: AtomicPtr<ThreadState> = AtomicPtr::new(ptr::null_mut());
static CACHED: AtomicPtr<ThreadState> = AtomicPtr::new(ptr::null_mut());
static CACHED_ID: AtomicI64 = AtomicI64::new(-1);
static CURRENT_TASKS: Once = Once::new();

pub(crate) fn init(module: &Object) -> Res<()> {
    if compat::TASKS_PER_THREAD {
        return Ok(());
    }
    crate::sys::typeobj::add_to_module(module, c"_current_tasks", current_tasks()?)
}

/// The module's `_current_tasks` (up to 3.13).
fn current_tasks() -> Res<&'static Object> {
    CURRENT_TASKS.get_or_init(containers::new_dict)
}

impl ThreadState {
    /// The calling thread's state, if it has one.
    #[inline]
    fn find() -> Res<Option<&'static ThreadState>> {
        // SAFETY: the thread is attached, so it has a thread state.
        let id = unsafe { ffi::PyThreadState_GetID(ffi::PyThreadState_Get()) };
        if CACHED_ID.load(Ordering::Relaxed) == id {
            // SAFETY: the cache is emptied before the state that it points to is freed.
            return Ok(Some(unsafe { &*CACHED.load(Ordering::Relaxed) }));
        }
        Self::find_in_dictionary(id)
    }

    #[cold]
    fn find_in_dictionary(id: i64) -> Res<Option<&'static ThreadState>> {
        // SAFETY: attached; a borrowed reference, or NULL if there is no dictionary (out of memory, or too late).
        let Some(dict) = (unsafe { Object::from_nullable(ffi::PyThreadState_GetDict()) }) else {
            return Ok(None);
        };
        let Some(capsule) = containers::dict_get(dict, THREAD_STATE.object())? else {
            return Ok(None);
        };
        // SAFETY: a capsule; the name makes sure that it is one of ours.
        let state = unsafe { ffi::PyCapsule_GetPointer(capsule.as_ptr(), CAPSULE_NAME.as_ptr()) };
        if state.is_null() {
            return Err(Raised);
        }
        CACHED.store(state.cast(), Ordering::Relaxed);
        CACHED_ID.store(id, Ordering::Relaxed);
        // SAFETY: the state lives as long as its capsule, that is as long as the thread, which is the calling one.
        Ok(Some(unsafe { &*state.cast::<ThreadState>() }))
    }

    /// The calling thread's state, made if need be.
    #[inline]
    fn obtain() -> Res<&'static ThreadState> {
        match Self::find()? {
            Some(state) => Ok(state),
            None => Self::create(),
        }
    }

    #[cold]
    fn create() -> Res<&'static ThreadState> {
        // SAFETY: attached; a borrowed reference or NULL.
        let Some(dict) = (unsafe { Object::from_nullable(ffi::PyThreadState_GetDict()) }) else {
            return Err(raise(Builtin::RuntimeError.class(), c"thread-local storage is not available"));
        };
        // SAFETY: all zeroes are two unset fields and the end of a list.
        let state = Box::into_raw(Box::new(unsafe { std::mem::zeroed::<ThreadState>() }));
        // SAFETY: the capsule takes over the box and frees it in `destroy`.
        let capsule = unsafe { ffi::PyCapsule_New(state.cast(), CAPSULE_NAME.as_ptr(), Some(destroy)) };
        if capsule.is_null() {
            // SAFETY: nobody else has seen the box.
            drop(unsafe { Box::from_raw(state) });
            return Err(Raised);
        }
        // SAFETY: a live box of ours; the list is changed only here and in `destroy`, under the GIL.
        unsafe { (*state).next.set(FIRST.load(Ordering::Relaxed)) };
        FIRST.store(state, Ordering::Relaxed);
        // SAFETY: the new capsule's only reference.
        let capsule: Owned = unsafe { Owned::steal(capsule) };
        containers::dict_set(dict, THREAD_STATE.object(), &capsule)?;
        Self::find()?.ok_or(Raised)
    }

    fn all() -> impl Iterator<Item = &'static ThreadState> {
        // SAFETY: the states in the list are alive; no Python code may run while the iterator is used.
        let first = unsafe { FIRST.load(Ordering::Relaxed).cast_const().as_ref() };
        // SAFETY: as above.
        std::iter::successors(first, |state| unsafe { state.next.get().as_ref() })
    }
}

/// The capsule's destructor: the thread has ended.
unsafe extern "C" fn destroy(capsule: *mut ffi::PyObject) {
    // SAFETY: our own capsule, whose pointer is the box that it took over, freed only here.
    unsafe {
        let state = ffi::PyCapsule_GetPointer(capsule, CAPSULE_NAME.as_ptr()).cast::<ThreadState>();
        if ptr::eq(CACHED.load(Ordering::Relaxed), state) {
            CACHED_ID.store(-1, Ordering::Relaxed);
        }
        if ptr::eq(FIRST.load(Ordering::Relaxed), state) {
            FIRST.store((*state).next.get().cast_mut(), Ordering::Relaxed);
        } else if let Some(before) = ThreadState::all().find(|s| ptr::eq(s.next.get(), state)) {
            before.next.set((*state).next.get());
        }
        let state = Box::from_raw(state);
        state.running_loop.clear();
        state.current_task.clear();
    }
}

/// The calling thread's running loop.
#[inline]
pub(crate) fn running_loop() -> Res<Option<Owned>> {
    Ok(ThreadState::find()?.and_then(|state| state.running_loop.get()))
}

pub(crate) fn set_running_loop(event_loop: &Object) -> Res<()> {
    let value = (!event_loop.is_none()).then(|| event_loop.own());
    if value.is_some() || ThreadState::find()?.is_some() {
        drop(ThreadState::obtain()?.running_loop.replace(value));
    }
    Ok(())
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

/// The state of a thread that runs `event_loop`, which must be the calling one.
#[inline]
fn state_running(event_loop: &Object) -> Res<&'static ThreadState> {
    let state = ThreadState::obtain()?;
    if state.running_loop.holds(event_loop) {
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
#[inline]
pub(crate) fn enter_task(event_loop: &Object, task: &Object) -> Res<()> {
    if compat::TASKS_PER_THREAD {
        let state = state_running(event_loop)?;
        if let Some(current) = state.current_task.get() {
            return Err(cannot_enter(task, &current));
        }
        state.current_task.set(task.own());
        return Ok(());
    }
    let tasks = current_tasks()?;
    match containers::dict_get(tasks, event_loop)? {
        Some(current) => Err(cannot_enter(task, &current)),
        None => containers::dict_set(tasks, event_loop, task),
    }
}

/// Ends what [`enter_task`] began.
#[inline]
pub(crate) fn leave_task(event_loop: &Object, task: &Object) -> Res<()> {
    let runtime_error = Builtin::RuntimeError.class();
    if compat::TASKS_PER_THREAD {
        let state = state_running(event_loop)?;
        if state.current_task.holds(task) {
            state.current_task.clear();
            return Ok(());
        }
        let current = state.current_task.get_or_none();
        let text = c"Invalid attempt to leave task %R while task %R is entered.";
        return Err(raise_format(runtime_error, text, &[task, &current]));
    }
    let tasks = current_tasks()?;
    let current = containers::dict_get(tasks, event_loop)?;
    if current.as_ref().is_some_and(|current| current.is(task)) {
        return containers::dict_delete(tasks, event_loop);
    }
    let current = current.unwrap_or_else(|| none().own());
    let text = c"Leaving task %R does not match the current task %R.";
    Err(raise_format(runtime_error, text, &[task, &current]))
}

/// Makes `task` (or, if `None`, no task) the loop's current one and returns the one before.
pub(crate) fn swap_current_task(event_loop: &Object, task: Option<&Object>) -> Res<Option<Owned>> {
    if compat::TASKS_PER_THREAD {
        return Ok(state_running(event_loop)?.current_task.replace(task.map(Layout::own)));
    }
    let tasks = current_tasks()?;
    let before = containers::dict_get(tasks, event_loop)?;
    match task {
        Some(task) => containers::dict_set(tasks, event_loop, task)?,
        None if before.is_some() => containers::dict_delete(tasks, event_loop)?,
        None => {}
    }
    Ok(before)
}

/// The task that the loop is executing, in whatever thread.
pub(crate) fn current_task(event_loop: &Object) -> Res<Option<Owned>> {
    if !compat::TASKS_PER_THREAD {
        return containers::dict_get(current_tasks()?, event_loop);
    }
    if let Some(state) = ThreadState::find()? {
        if state.running_loop.holds(event_loop) {
            return Ok(state.current_task.get());
        }
    }
    Ok(ThreadState::all().find(|state| state.running_loop.holds(event_loop)).and_then(|state| state.current_task.get()))
}

/// In a forked child: the parent's loop does not run here. (The references are not given up but forgotten: what they
/// refer to belongs to the parent, and letting go could run its finalizers.)
pub(crate) fn forget() {
    let _attached = py();
    for state in ThreadState::all() {
        for field in [&state.running_loop, &state.current_task] {
            std::mem::forget(field.take());
        }
    }
}
