//! `asyncio.create_task`.
//!
//! It hands its arguments to the running loop's method. Up to 3.13 it has keywords of its own, of which those that are
//! usual are done here.

use crate::graft::Graft;
use crate::graft::running::Running;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Owned, Res};

pub(crate) static CREATE_TASK: Graft = Graft::new("asyncio.tasks", "create_task", vectorcall!(create_task));

fn create_task(call: &Call<'_>) -> Option<Res<Owned>> {
    let hands_on_all = crate::versions::CREATE_TASK_KEYWORDS;
    let usual = call.arguments.positional.len() == 1 && (hands_on_all || !call.arguments.has_keywords());
    if !usual || !CREATE_TASK.takes(call) {
        return None;
    }
    let made =
        Running::find().filter(|running| hands_on_all || running.makes_native_tasks())?.create_task(call.arguments);
    Some(made?.map_err(|raised| CREATE_TASK.raised_by("^create_task", raised)))
}
