//! `create_future` and `create_task`.
//!
//! Both call the class that asyncio's own loop would call, `asyncio.futures.Future` and `asyncio.tasks.Task`: ours if
//! the swap is made, CPython's if not, somebody's replacement if there is one.

use crate::asyncio::{BASE_EVENTS_GLOBALS, FUTURES_GLOBALS, TASKS_GLOBALS};
use crate::names::{BASE_EVENT_LOOP, CONTEXT, CREATE_FUTURE, CREATE_TASK, FUTURE_CLASS, LOOP, NAME, Name, TASK_CLASS};
use crate::sys::args::Arguments;
use crate::sys::error::{Builtin, raise_format};
use crate::sys::lazy::Lazy;
use crate::sys::memory::joined;
use crate::sys::{Layout, Object, Owned, Res, call, containers};

use super::forward::{LOOP_KEYWORD, base, call_with};
use super::object::{LoopObject, check_closed};
use super::plain::plain;
use crate::job::shortcuts;
use crate::versions;

fn class(globals: &Lazy, name: &Name) -> Res<Owned> {
    match containers::dict_get_named(globals.get()?, name) {
        Some(class) => Ok(class),
        None => Err(raise_format(Builtin::AttributeError.class(), c"asyncio has no %R", &[name.object()])),
    }
}

/// `create_future()`
#[inline]
pub(super) fn create_future(core: &LoopObject) -> Res<Owned> {
    let Some(core) = plain(core.as_object()) else { return base(core, &CREATE_FUTURE, Arguments::of(&[])) };
    let class = class(&FUTURES_GLOBALS, &FUTURE_CLASS)?;
    if let Some(make) = shortcuts::future(&class) {
        return make(core.as_object());
    }
    let keywords = LOOP_KEYWORD.get_or_init(|| containers::tuple(&[LOOP.object()]))?;
    call::call_with_keywords(&class, &[core.as_object()], keywords)
}

/// `create_task(coro, **keywords)`; which keywords there are is the affair of this version's `Task`.
pub(crate) fn create_task(core: &LoopObject, arguments: Arguments<'_>) -> Res<Owned> {
    let Some(core) = plain(core.as_object()) else { return base(core, &CREATE_TASK, arguments) };
    check_closed(core)?;
    let &[coroutine] = arguments.positional else {
        return create_task_in_python(core, arguments);
    };
    if arguments.keywords().any(|(keyword, _)| LOOP.is(keyword)) {
        return create_task_in_python(core, arguments); // refused there
    }
    let usual = UsualKeywords::of(arguments);
    let factory = core.task_factory.get_or_none();
    if factory.is_none() && (usual.is_some() || versions::CREATE_TASK_KEYWORDS) {
        let class = class(&TASKS_GLOBALS, &TASK_CLASS)?;
        return match (shortcuts::task(&class), usual) {
            (Some(make), Some(usual)) => make(coroutine, core.as_object(), usual.name, usual.context),
            _ => call_with(&class, &[coroutine], Some((&LOOP, core.as_object())), arguments),
        };
    }
    if versions::CREATE_TASK_KEYWORDS {
        call_with(&factory, &[core.as_object(), coroutine], None, arguments)
    } else {
        create_task_in_python(core, arguments)
    }
}

/// The keywords that every version has.
struct UsualKeywords<'a> {
    name: Option<&'a Object>,
    context: Option<&'a Object>,
}

impl<'a> UsualKeywords<'a> {
    /// `None` if there are others.
    #[inline]
    fn of(arguments: Arguments<'a>) -> Option<UsualKeywords<'a>> {
        let mut usual = UsualKeywords { name: None, context: None };
        for (keyword, value) in arguments.keywords() {
            if NAME.is(keyword) {
                usual.name = Some(value);
            } else if CONTEXT.is(keyword) {
                usual.context = Some(value);
            } else {
                return None;
            }
        }
        Some(usual)
    }
}

/// `asyncio.BaseEventLoop.create_task`, of which each version has its own.
#[cold]
fn create_task_in_python(core: &LoopObject, arguments: Arguments<'_>) -> Res<Owned> {
    let method = call::getattr(&*class(&BASE_EVENTS_GLOBALS, &BASE_EVENT_LOOP)?, &CREATE_TASK)?;
    let positional = joined(&[&[core.as_object()], arguments.positional])?;
    call_with(&method, &positional, None, arguments)
}
