//! `asyncio.eager_task_factory`: tasks of exactly our type, that run at once until they have to wait.
//!
//! The function is a closure of the class that it makes tasks of, which a program may exchange. What the first step does
//! is the program's affair; nothing is left to do after it.

use crate::graft::Graft;
use crate::names::{CONTEXT, EAGER_START, NAME};
use crate::sched;
use crate::sys::python_function::{Call, closed_over, vectorcall};
use crate::sys::{Layout, Owned, Res, call};
use crate::task;
use crate::versions;

pub(crate) static FACTORY: Graft =
    Graft::new("asyncio.tasks", "eager_task_factory", vectorcall!(factory)).calling_all();

fn factory(call: &Call<'_>) -> Option<Res<Owned>> {
    let &[event_loop, coroutine] = call.arguments.positional else { return None };
    let (mut name, mut context, mut eager_start) = (None, None, None);
    for (keyword, value) in call.arguments.keywords() {
        let place = if NAME.is(keyword) {
            &mut name
        } else if CONTEXT.is(keyword) {
            &mut context
        } else if versions::CREATE_TASK_KEYWORDS && EAGER_START.is(keyword) {
            &mut eager_start
        } else {
            return None;
        };
        *place = Some(value);
    }
    let makes_ours = || closed_over(call.function, 0).is_some_and(|class| class.is(task::TYPE.as_object()));
    if !FACTORY.takes_itself(call) || !sched::is_plain(event_loop) || !makes_ours() {
        return None;
    }
    let make = || {
        let eager_start = eager_start.map_or(Ok(true), call::is_true)?;
        task::make(coroutine, event_loop, name, context, eager_start)
    };
    Some(make().map_err(|raised| FACTORY.raised_by("custom_task_constructor", raised)))
}
