//! `TaskGroup.__aenter__`.

use crate::graft::Graft;
use crate::graft::coroutine::{self, Body, Coroutine, Input, Step, become_python};
use crate::graft::running::Running;
use crate::state::thread;
use crate::sys::object::{boolean, none};
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Owned, Res};

use super::{CANCEL_ON_ENTER, ENTERED, GROUP, Group, LOOP, MODULE, PARENT};

pub(crate) static ENTER: Graft = Graft::new(MODULE, "TaskGroup.__aenter__", vectorcall!(enter));

static BODY: Body = Body::new(&ENTER, run);

fn enter(call: &Call<'_>) -> Option<Res<Owned>> {
    let [group] = call.positional()?;
    if !ENTER.makes(call, GROUP.fits(group)) {
        return None;
    }
    Some(coroutine::new(&BODY, Some(group), None))
}

fn run(coroutine: &Coroutine, _: Input) -> Res<Step> {
    let group = coroutine.subject();
    let usual = GROUP.of(&group).filter(|group| ENTER.is_on() && is_new(*group));
    let Some((attributes, running)) = usual.zip(Running::find()) else {
        return become_python(coroutine, &[&*group]);
    };
    let event_loop = running.event_loop();
    let parent = thread::current_task(event_loop)?;
    let fits = attributes.holds(LOOP, none()) || attributes.holds(LOOP, event_loop);
    let Some(parent) = parent.filter(|parent| fits && !parent.is_none()) else {
        return become_python(coroutine, &[&*group]);
    };
    attributes.set(LOOP, event_loop)?;
    // What the attribute held is nothing whose end runs Python code: `None`, or a task that is running.
    attributes.set(PARENT, &parent)?;
    attributes.set(ENTERED, boolean(true))?;
    Ok(Step::Return(group))
}

fn is_new(group: Group<'_>) -> bool {
    let may_enter = group.lacks(CANCEL_ON_ENTER) || group.flag(CANCEL_ON_ENTER) == Some(false);
    group.flag(ENTERED) == Some(false) && group.holds(PARENT, none()) && may_enter
}
