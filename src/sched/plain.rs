//! What a plain loop of ours does when it is asked by native code, without a call of its methods.

use std::cell::Cell;

use crate::asyncio::{FUTURES_GLOBALS, TASKS_GLOBALS};
use crate::event_loop::{self, LoopObject};
use crate::handle::{self, HandleObject};
use crate::job::{Entry, shortcuts};
use crate::names::{CANCEL, FUTURE_CLASS, Name, TASK_CLASS};
use crate::replaced;
use crate::sys::args::Arguments;
use crate::sys::attached::Attached;
use crate::sys::error::{Builtin, fetch, raise};
use crate::sys::lazy::Lazy;
use crate::sys::{Object, Owned, Res, call, containers, watch};

/// Is it a plain loop of ours, open, and not in debug mode? Runs no Python code, but when something has changed.
#[inline]
pub(crate) fn is_plain(event_loop: &Object) -> bool {
    as_plain(event_loop).is_some()
}

#[inline]
fn as_plain(event_loop: &Object) -> Option<&LoopObject> {
    event_loop::plain(event_loop).filter(|core| core.just_queues())
}

/// The loop, if it is a plain one that makes futures and tasks as ours do.
#[inline]
fn as_maker(event_loop: &Object) -> Option<&LoopObject> {
    as_plain(event_loop).filter(|core| event_loop::makes_natively(core))
}

/// Does a name of a module's mean our class? The answer is kept until something that is watched changes.
struct Meaning {
    globals: &'static Lazy,
    name: &'static Name,
    is_ours: fn(&Object) -> bool,
    /// The count of changes, and the answer.
    last: Attached<Cell<(usize, bool)>>,
}

impl Meaning {
    const fn new(globals: &'static Lazy, name: &'static Name, is_ours: fn(&Object) -> bool) -> Self {
        Meaning { globals, name, is_ours, last: Attached::new(Cell::new((0, false))) }
    }

    #[inline]
    fn is_ours(&self) -> bool {
        let (changes, is_ours) = self.last.get();
        if changes == watch::changes() { is_ours } else { self.look() }
    }

    #[cold]
    fn look(&self) -> bool {
        let Some(globals) = self.globals.find() else { return false };
        let now = watch::changes();
        let told = watch::watch_now(globals).unwrap_or_else(|raised| {
            drop(fetch(raised));
            false
        });
        let is_ours = containers::dict_get_named(globals, self.name).is_some_and(|class| (self.is_ours)(&class));
        if told {
            self.last.set((now, is_ours));
        }
        is_ours
    }
}

static FUTURE: Meaning = Meaning::new(&FUTURES_GLOBALS, &FUTURE_CLASS, |class| shortcuts::future(class).is_some());
static TASK: Meaning = Meaning::new(&TASKS_GLOBALS, &TASK_CLASS, |class| shortcuts::task(class).is_some());

/// Would `loop.create_future()` make a future of exactly our type?
#[inline]
pub(crate) fn makes_native_futures(event_loop: &Object) -> bool {
    as_maker(event_loop).is_some() && FUTURE.is_ours()
}

/// Would `loop.create_task(coroutine)` make a task of exactly our type, without a task factory?
#[inline]
pub(crate) fn makes_native_tasks(event_loop: &Object) -> bool {
    as_maker(event_loop).is_some_and(|core| !core.has_task_factory()) && TASK.is_ours()
}

/// `loop.create_task(coroutine)`, where [`makes_native_tasks`].
#[inline]
pub(crate) fn create_native_task(event_loop: &Object, coroutine: &Object) -> Res<Owned> {
    shortcuts::make_task(coroutine, event_loop)
}

/// `loop.create_task(...)`; `None` if that is a method of somebody else's.
pub(crate) fn create_task(event_loop: &Object, arguments: Arguments<'_>) -> Option<Res<Owned>> {
    as_maker(event_loop).map(|core| event_loop::create_task(core, arguments))
}

/// `loop.call_later(seconds, callback, *arguments)`; `None` if the loop is not plain.
pub(crate) fn call_later(
    event_loop: &Object,
    seconds: f64,
    callback: &Object,
    arguments: &[&Object],
) -> Option<Res<Owned>> {
    as_plain(event_loop).map(|core| event_loop::call_later_plainly(core, seconds, callback, arguments))
}

/// `loop.call_at(when, ...)` of a plain loop: it does the work when its clock has that time, which is also given as an
/// object, if there is one.
pub(crate) fn call_at(
    event_loop: &Object,
    when: f64,
    given: Option<&Object>,
    entry: Entry,
) -> Res<Owned<HandleObject>> {
    match as_plain(event_loop) {
        Some(core) => event_loop::call_at_plainly(core, when, given, entry),
        None => Err(raise(Builtin::RuntimeError.class(), c"a loop that is not plain any more")),
    }
}

/// `handle.cancel()`
pub(crate) fn cancel(timer: &Object) -> Res<()> {
    match handle::downcast(timer) {
        Some(native) if replaced::all_as_made() => handle::cancel(native),
        _ => call::call_method(&CANCEL, &[timer], None).map(drop),
    }
}
