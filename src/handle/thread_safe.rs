//! Handles of `call_soon_threadsafe`: while one runs, other threads that ask for it or cancel it wait (3.14 on, where
//! asyncio's own has a lock for it).

use std::cell::{Cell, RefCell};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::sys::attached::Attached;
use crate::sys::memory::make_room;
use crate::sys::threads::{Thread, check_signals, detached};
use crate::sys::{Res, panics};

use super::object::HandleObject;

/// The handles that are running, with their threads.
static RUNNING: Attached<RefCell<Vec<(*const HandleObject, Thread)>>> = Attached::new(RefCell::new(Vec::new()));
static WAITING: Attached<Cell<usize>> = Attached::new(Cell::new(0));
static LOCK: Mutex<()> = Mutex::new(());
static ENDED: Condvar = Condvar::new();
/// A signal does not end the wait: it is looked for.
const LOOK_FOR_SIGNALS: Duration = Duration::from_millis(20);

/// Takes the handle out of [`RUNNING`].
struct Running(*const HandleObject);
impl Drop for Running {
    fn drop(&mut self) {
        let mut running = RUNNING.borrow_mut();
        if let Some(index) = running.iter().rposition(|&(handle, _)| handle == self.0) {
            running.remove(index);
        }
        if WAITING.get() > 0 {
            // Whoever waits has taken the lock before it let go of the GIL: it cannot miss this.
            drop(LOCK.lock().unwrap_or_else(PoisonError::into_inner));
            ENDED.notify_all();
        }
    }
}

/// Calls `run_now` with the handle, unless it was cancelled meanwhile; others can wait for its end.
pub(super) fn run(handle: &HandleObject, run_now: impl FnOnce(&HandleObject) -> Res<()>) -> Res<()> {
    if handle.is_cancelled() {
        return Ok(());
    }
    let mut all = RUNNING.borrow_mut();
    make_room(&mut *all)?;
    all.push((handle, Thread::current()));
    drop(all);
    let _running = Running(handle);
    run_now(handle)
}

/// Counted in [`WAITING`].
struct Waiting;
impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.set(WAITING.get() - 1);
    }
}

/// Waits until no other thread runs the handle.
pub(super) fn wait(handle: &HandleObject) -> Res<()> {
    while is_run_elsewhere(handle) {
        wait_a_little();
        check_signals()?;
    }
    Ok(())
}

fn wait_a_little() {
    WAITING.set(WAITING.get() + 1);
    let _waiting = Waiting;
    let lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    detached(|| {
        panics::here("wait for a handle");
        drop(ENDED.wait_timeout(lock, LOOK_FOR_SIGNALS).unwrap_or_else(PoisonError::into_inner));
    });
}

fn is_run_elsewhere(handle: &HandleObject) -> bool {
    let me = Thread::current();
    RUNNING.borrow().iter().any(|&(running, thread)| std::ptr::eq(running, handle) && thread != me)
}
