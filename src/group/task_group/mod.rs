//! `asyncio.TaskGroup`: `async with`, `create_task`, and what a task of the group does when it is done.
//!
//! Native code does what a group does that goes well. A body that raises, a task that fails, a cancellation: all that
//! aborts is Python's own affair. It may come while the group waits for its tasks; how the function's own body goes on
//! from there is told in [`leave`].
//!
//! The group is an instance of asyncio's class, its attributes are changed as Python code would, and may be changed by
//! anybody whenever Python code runs: they are got again after that.

mod create;
mod done;
mod enter;
mod leave;

use crate::graft::shape::{Attributes, Shape};
use crate::names::{
    ABORTING as ABORTING_NAME, BASE_ERROR as BASE_ERROR_NAME, CANCEL_ON_ENTER as CANCEL_ON_ENTER_NAME,
    CREATE_TASK as CREATE_TASK_NAME, ENTERED as ENTERED_NAME, ERRORS as ERRORS_NAME, EXITING as EXITING_NAME,
    INNER_EXIT, ON_COMPLETED_FUT, ON_TASK_DONE as ON_TASK_DONE_NAME, PARENT_CANCEL_REQUESTED, PARENT_TASK,
    PRIVATE_LOOP, TASKS as TASKS_NAME,
};
use crate::sys::{Owned, containers};

pub(crate) use create::CREATE_TASK;
pub(crate) use done::ON_TASK_DONE;
pub(crate) use enter::ENTER;
pub(crate) use leave::EXIT;

const MODULE: &str = "asyncio.taskgroups";

static GROUP: Shape<11> = Shape::new(
    MODULE,
    "TaskGroup",
    [
        &ENTERED_NAME,
        &EXITING_NAME,
        &ABORTING_NAME,
        &PRIVATE_LOOP,
        &PARENT_TASK,
        &PARENT_CANCEL_REQUESTED,
        &TASKS_NAME,
        &ERRORS_NAME,
        &BASE_ERROR_NAME,
        &ON_COMPLETED_FUT,
        &CANCEL_ON_ENTER_NAME,
    ],
    &[&CREATE_TASK_NAME, &ON_TASK_DONE_NAME, &INNER_EXIT],
);
const ENTERED: usize = 0;
const EXITING: usize = 1;
const ABORTING: usize = 2;
const LOOP: usize = 3;
const PARENT: usize = 4;
const CANCEL_REQUESTED: usize = 5;
const TASKS: usize = 6;
const ERRORS: usize = 7;
const BASE_ERROR: usize = 8;
const COMPLETED: usize = 9;
/// From 3.15 on.
const CANCEL_ON_ENTER: usize = 10;

/// A plain group's attributes.
type Group<'a> = Attributes<'a, 11>;

/// `self._tasks`
#[inline]
fn tasks_of(group: Group<'_>) -> Option<Owned> {
    group.get(TASKS).filter(|tasks| containers::is_exact_set(tasks))
}
