//! Making a task.

use crate::asyncio::{self, IS_COROUTINE};
use crate::future;
use crate::names::{CONTEXT, CORO, EAGER_START, LOOP, NAME};
use crate::sched;
use crate::sys::error::{Builtin, raise_format};
use crate::sys::iter::is_native_coroutine;
use crate::sys::lazy::Once;
use crate::sys::object::none;
use crate::sys::{Layout, Object, Owned, Res, args, call, containers, context};
use crate::versions;

use super::{TYPE, TaskObject, eager, name, schedule};

/// The parameters of `Task()`.
pub(super) const PARAMETERS: usize = if versions::EAGER_TASKS { 5 } else { 4 };

pub(super) static SIGNATURE: args::Signature<PARAMETERS> = args::Signature {
    format: if versions::EAGER_TASKS { c"O|$OOOO:Task" } else { c"O|$OOO:Task" },
    names: {
        let mut names = [&CORO; PARAMETERS];
        names[1] = &LOOP;
        names[2] = &NAME;
        names[3] = &CONTEXT;
        if versions::EAGER_TASKS {
            names[PARAMETERS - 1] = &EAGER_START;
        }
        names
    },
    positional: 1,
    required: 1,
};

/// `Task.__init__`
#[inline]
pub(super) fn initialize(task: &TaskObject, arguments: [Option<&Object>; PARAMETERS]) -> Res<()> {
    let eager_start = match arguments.get(4) {
        Some(Some(flag)) => call::is_true(flag)?,
        _ => false,
    };
    let coroutine = arguments[0].expect("a required argument");
    let given = Given { name: args::given(arguments[2]), context: args::given(arguments[3]) };
    future::initialize(task.future(), args::given(arguments[1]))?;
    finish(task, coroutine, arguments[1], given, eager_start)
}

/// What a task may be made with.
#[derive(Clone, Copy)]
struct Given<'a> {
    name: Option<&'a Object>,
    context: Option<&'a Object>,
}

/// What a task has besides a future's.
#[inline]
fn finish(
    task: &TaskObject,
    coroutine: &Object,
    event_loop: Option<&Object>,
    given: Given<'_>,
    eager_start: bool,
) -> Res<()> {
    task.future().mark_as_task();
    if !is_coroutine(coroutine)? {
        task.set_log_destroy_pending(false);
        return Err(raise_format(Builtin::TypeError.class(), c"a coroutine was expected, got %R", &[coroutine]));
    }
    task.context.set(match given.context {
        None => context::copy_current()?,
        Some(other) if !context::is_context(other) && versions::task_context_checked() => {
            task.set_log_destroy_pending(false);
            let text = c"a contextvars.Context was expected, got %T";
            return Err(raise_format(Builtin::TypeError.class(), text, &[other]));
        }
        Some(context) => context.own(),
    });
    task.waiting_for.clear();
    task.set_must_cancel(false);
    task.set_log_destroy_pending(true);
    task.cancels_requested.set(0);
    task.coroutine.set(coroutine.own());
    task.name.set(name::for_new_task(given.name)?);
    let event_loop_used = task.future().require_loop()?;
    task.count_made(&event_loop_used);
    if eager_start {
        let asked: &Object =
            if versions::eager_start_on_found_loop() { &event_loop_used } else { event_loop.unwrap_or(none()) };
        if sched::is_running(asked)? {
            return eager::start(task, &event_loop_used);
        }
    }
    schedule::call_soon(task, &event_loop_used, None)?;
    task.list()
}

/// A task made by `loop.create_task()`.
pub(super) fn make_lazily(
    coroutine: &Object,
    event_loop: &Object,
    task_name: Option<&Object>,
    task_context: Option<&Object>,
) -> Res<Owned> {
    make(coroutine, event_loop, task_name, task_context, false)
}

/// `Task(coroutine, loop=event_loop, name=task_name, context=task_context, eager_start=eager_start)`
#[allow(clippy::inline_always)] // once for each task, with a constant
#[inline(always)]
pub(crate) fn make(
    coroutine: &Object,
    event_loop: &Object,
    task_name: Option<&Object>,
    task_context: Option<&Object>,
    eager_start: bool,
) -> Res<Owned> {
    asyncio::prepare();
    let task = TYPE.allocate()?;
    future::initialize_new(task.future(), event_loop)?;
    let given = Given { name: args::given(task_name), context: args::given(task_context) };
    finish(&task, coroutine, Some(event_loop), given, eager_start)?;
    Ok(task.into_object())
}

/// Types that `asyncio.iscoroutine` has accepted; at most 100 of them.
static COROUTINE_TYPES: Once = Once::new();
const COROUTINE_TYPES_MAX: usize = 100;

#[inline]
fn is_coroutine(object: &Object) -> Res<bool> {
    if is_native_coroutine(object) { Ok(true) } else { is_other_coroutine(object) }
}

fn is_other_coroutine(object: &Object) -> Res<bool> {
    let accepted = COROUTINE_TYPES.get_or_init(|| containers::new_set(None))?;
    let class = object.class().own().into_object();
    if containers::set_contains(accepted, &class)? {
        return Ok(true);
    }
    if !call::is_true(&*call::call1(IS_COROUTINE.get()?, object)?)? {
        return Ok(false);
    }
    if containers::set_len(accepted) < COROUTINE_TYPES_MAX {
        containers::set_add(accepted, &class)?;
    }
    Ok(true)
}
