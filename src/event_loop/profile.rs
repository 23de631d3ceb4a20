//! Whose steps take the time, by coroutine function.
//!
//! Off, it costs nothing: a loop that is profiled runs what is ready by the slow way ([`super::run`]), as in debug mode,
//! and each thing is timed there. What is no task's step counts for the callback's code, or its type.
//!
//! The rows are kept by the address of what they are of, to which each has a reference. When a task's last step ended is
//! kept by the task's address, without one: it goes with the task's end, and one that dies pending leaves it behind,
//! which a later task of the same function at the same address might take for its own.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use crate::job::shortcuts;
use crate::names::{AG_CODE, CODE, CR_CODE, GI_CODE, Name, SELF};
use crate::sys::clock::Moment;
use crate::sys::gc::{Visited, Visitor};
use crate::sys::part::Native;
use crate::sys::{Layout, Object, Owned, call, error};

use super::ready::Ready;

/// What is known of the steps of one function. Times are in ticks of the cheap clock.
struct Row {
    /// A code object, or a type.
    of: Owned,
    steps: u64,
    busy: u64,
    longest: u64,
    /// Between one step of a task and its next.
    waiting: u64,
}

/// No Python code runs while a cell is borrowed.
#[derive(Default)]
pub(super) struct Profile {
    is_on: Cell<bool>,
    rows: RefCell<HashMap<usize, Row>>,
    /// By task: the row that its last step was counted in, and when it ended.
    last_steps: RefCell<HashMap<usize, (usize, Moment)>>,
}

impl Native for Profile {
    fn visit(&self, visitor: Visitor) -> Visited {
        // Never borrowed otherwise while the collector runs.
        let Ok(rows) = self.rows.try_borrow() else { return Visited::Continue(()) };
        rows.values().try_for_each(|row| visitor.object(&*row.of))
    }

    fn clear(&self) {
        self.last_steps.take();
        drop(self.rows.take());
    }
}

/// A thing that runs.
pub(super) struct Timed {
    /// A task, or a callback.
    target: Owned,
    of: Owned,
    began: Moment,
}

/// What is about to run: the task of a step, or the callback.
fn target(ready: &Ready) -> Option<Owned> {
    let target = match ready {
        Ready::Entry(entry) => entry.target.clone(),
        Ready::Handle(handle) => handle.target()?,
        Ready::Foreign(object) => object.clone(),
    };
    // Where a handle was made for whoever looks (in debug mode), it has a task's step as a callable.
    let owner = attribute(&target, &SELF).filter(|owner| shortcuts::coroutine_of(owner).is_some());
    Some(owner.unwrap_or(target))
}

fn attribute(object: &Object, name: &Name) -> Option<Owned> {
    call::getattr(object, name).map_err(|raised| drop(error::fetch(raised))).ok()
}

/// A code object, if there is one; else the object's type.
fn code_or_type(object: &Object, names: &[&'static Name]) -> Owned {
    let code = names.iter().find_map(|name| attribute(object, name));
    code.unwrap_or_else(|| object.class().own().into_object())
}

impl Timed {
    /// Something is about to run. Runs Python code, of coroutines and callbacks that are not the interpreter's own.
    pub(super) fn begin(ready: &Ready) -> Option<Timed> {
        let target = target(ready)?;
        let of = match shortcuts::coroutine_of(&target) {
            Some(coroutine) => code_or_type(&coroutine, &[&CR_CODE, &GI_CODE, &AG_CODE]),
            None => code_or_type(&target, &[&CODE]),
        };
        Some(Timed { target, of, began: Moment::now() })
    }
}

impl Profile {
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.is_on.get()
    }

    /// Begins anew, or ends; what was found stays until it begins anew.
    pub(super) fn turn(&self, is_on: bool) {
        if is_on {
            self.clear();
        }
        self.is_on.set(is_on);
    }

    /// What was found: of each code object or type the number of steps, and the ticks in all, of the longest, and between
    /// steps.
    pub(super) fn rows(&self) -> Vec<(Owned, u64, [u64; 3])> {
        let rows = self.rows.borrow();
        rows.values().map(|row| (row.of.clone(), row.steps, [row.busy, row.longest, row.waiting])).collect()
    }

    /// It is over.
    pub(super) fn end(&self, timed: Timed) {
        let Timed { target, of, began } = timed;
        let (now, key, task) = (Moment::now(), address(&of), address(&target));
        let before = self.last_steps.borrow_mut().remove(&task).filter(|&(row, _)| row == key);
        // Without memory for it, it is not counted.
        let has_room =
            self.last_steps.borrow_mut().try_reserve(1).is_ok() && self.rows.borrow_mut().try_reserve(1).is_ok();
        if !has_room {
            return;
        }
        if shortcuts::is_unfinished_task(&target) {
            self.last_steps.borrow_mut().insert(task, (key, now));
        }
        let time = now.ticks_since(began);
        let mut rows = self.rows.borrow_mut();
        let row = rows.entry(key).or_insert_with(|| Row { of: of.clone(), steps: 0, busy: 0, longest: 0, waiting: 0 });
        row.steps += 1;
        row.busy += time;
        row.longest = row.longest.max(time);
        row.waiting += before.map_or(0, |(_, ended)| began.ticks_since(ended));
    }
}

fn address(object: &Object) -> usize {
    std::ptr::from_ref(object).addr()
}
