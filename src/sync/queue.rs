//! `asyncio.Queue`, `PriorityQueue` and `LifoQueue`: `get`, `put`, `get_nowait`, `put_nowait`, `task_done`, `join`.
//!
//! Whoever finds the queue empty (or full) waits for a future in `_getters` (or `_putters`), and looks again when that is
//! done: an item belongs to nobody before it is taken out. One that is woken up and cannot take the call, since it was
//! cancelled meanwhile, wakes up the next, so that the wake-up is not lost.
//!
//! Subclasses, those of asyncio's and of programs, keep their items in another order by methods `_put` and `_get` of their
//! own, which are called, and can run any Python code: a priority queue compares items. What is left to do after it is done
//! by looking everything up again, as the body does ([`put_rest_in_python`]).
//!
//! `first` of the coroutine of `put` is the item; `second` of both is the future that waits.

use crate::graft::Graft;
use crate::graft::coroutine::{self, Body, Coroutine, Input, Step, become_python};
use crate::graft::shape::{Attributes, Shape};
use crate::names::{
    CANCEL, CANCELLED_METHOD, CLEAR, EMPTY, FINISHED_EVENT, FULL, GET_NOWAIT as GET_NOWAIT_NAME,
    GETTERS as GETTERS_NAME, IS_SHUTDOWN, MAXSIZE as MAXSIZE_NAME, Name, PRIVATE_GET, PRIVATE_GET_LOOP, PRIVATE_LOOP,
    PRIVATE_PUT, PUT_NOWAIT as PUT_NOWAIT_NAME, PUTTERS as PUTTERS_NAME, QSIZE, QUEUED, UNFINISHED_TASKS, WAKE_UP_NEXT,
};
use crate::sys::deque::{self, Deque};
use crate::sys::error::{self, Builtin, fetch, handling, restore};
use crate::sys::object::{boolean, none};
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res, call, containers};
use crate::versions;

use super::{bound, event, waiters};

const QUEUES: &str = "asyncio.queues";
/// Whose methods are passed over: of the event that `join` waits for.
const CLASSES: &[&str] = &["asyncio.locks:Event"];

pub(crate) static GET: Graft = Graft::new(QUEUES, "Queue.get", vectorcall!(get)).with(CLASSES);
pub(crate) static GET_NOWAIT: Graft = Graft::new(QUEUES, "Queue.get_nowait", vectorcall!(get_nowait)).with(CLASSES);
pub(crate) static JOIN: Graft = Graft::new(QUEUES, "Queue.join", vectorcall!(join)).with(CLASSES);
pub(crate) static PUT: Graft = Graft::new(QUEUES, "Queue.put", vectorcall!(put)).with(CLASSES);
pub(crate) static PUT_NOWAIT: Graft = Graft::new(QUEUES, "Queue.put_nowait", vectorcall!(put_nowait)).with(CLASSES);
pub(crate) static TASK_DONE: Graft = Graft::new(QUEUES, "Queue.task_done", vectorcall!(task_done)).with(CLASSES);

static GET_BODY: Body = Body::new(&GET, run_get).calling(&["remove", "get_nowait"]);
static JOIN_BODY: Body = Body::new(&JOIN, run_join);
static PUT_BODY: Body = Body::new(&PUT, run_put).calling(&["remove", "put_nowait"]);
/// The first of the bodies' calls is that of a removal, this the second.
const AT_LAST: u16 = 1;

/// The queues that native code may look at: those whose methods of these names are asyncio's.
struct Family {
    queue: Shape<8>,
    /// The same but for `_get` and `_put`.
    ordered: Shape<8>,
}

impl Family {
    /// The first two names are those of `_get` and `_put`.
    const fn new(passed_over: &'static [&'static Name]) -> Self {
        const fn shape(passed_over: &'static [&'static Name]) -> Shape<8> {
            let names: [&Name; 8] = [
                &QUEUED,
                &GETTERS_NAME,
                &PUTTERS_NAME,
                &MAXSIZE_NAME,
                &UNFINISHED_TASKS,
                &FINISHED_EVENT,
                &IS_SHUTDOWN,
                &PRIVATE_LOOP,
            ];
            Shape::new(QUEUES, "Queue", names, passed_over).with_subclasses()
        }
        Family { queue: shape(passed_over), ordered: shape(passed_over.split_at(2).1) }
    }

    #[inline]
    fn fits(&self, queue: &Object) -> bool {
        self.queue.fits(queue) || self.ordered.fits(queue)
    }
}

/// For `get_nowait`, `put_nowait`, `task_done`, and `join`, which waits for an event of its own.
static AT_ONCE: Family = Family::new(&[&PRIVATE_GET, &PRIVATE_PUT, &EMPTY, &FULL, &QSIZE, &WAKE_UP_NEXT]);
/// For `get` and `put`.
static WAITING: Family = Family::new(&[
    &PRIVATE_GET,
    &PRIVATE_PUT,
    &EMPTY,
    &FULL,
    &GET_NOWAIT_NAME,
    &PRIVATE_GET_LOOP,
    &PUT_NOWAIT_NAME,
    &QSIZE,
    &WAKE_UP_NEXT,
]);

const ITEMS: usize = 0;
const GETTERS: usize = 1;
const PUTTERS: usize = 2;
const MAXSIZE: usize = 3;
const UNFINISHED: usize = 4;
const FINISHED: usize = 5;
const SHUTDOWN: usize = 6;
const LOOP: usize = 7;

/// How a queue that is plain keeps its items.
enum Items {
    First(Owned<Deque>),
    /// So many, by the class's own methods.
    Ordered(usize),
}

/// A queue about which all is plain. To be used before any Python code runs.
struct Plain<'a> {
    family: &'static Family,
    queue: &'a Object,
    attributes: Attributes<'a, 8>,
    items: Items,
    is_shut: bool,
}

impl<'a> Plain<'a> {
    #[inline]
    fn of(queue: &'a Object, family: &'static Family) -> Option<Self> {
        let (attributes, is_simple) = match family.queue.of(queue) {
            Some(attributes) => (attributes, true),
            None => (family.ordered.of(queue)?, false),
        };
        let is_shut = versions::QUEUE_SHUTDOWN && attributes.flag(SHUTDOWN)?;
        let items = attributes.get(ITEMS)?;
        let items = if is_simple {
            Items::First(deque::downcast(items)?)
        } else {
            let count = containers::builtin_len(&items);
            Items::Ordered(count.or_else(|| deque::downcast(items).map(|items| deque::len(&items)))?)
        };
        Some(Plain { family, queue, attributes, items, is_shut })
    }

    #[inline]
    fn len(&self) -> usize {
        match &self.items {
            Items::First(items) => deque::len(items),
            Items::Ordered(count) => *count,
        }
    }

    /// `full()`
    #[inline]
    fn is_full(&self) -> Option<bool> {
        let limit = self.attributes.int(MAXSIZE)?;
        Some(limit > 0 && i64::try_from(self.len()).is_ok_and(|len| len >= limit))
    }

    #[inline]
    fn waiting(&self, index: usize) -> Option<Owned<Deque>> {
        self.attributes.get(index).and_then(deque::downcast)
    }

    /// `_put(item)`
    #[inline]
    fn put(&self, item: &Object) -> Res<()> {
        match &self.items {
            Items::First(items) => deque::append(items, item),
            Items::Ordered(_) => call::call_method(&PRIVATE_PUT, &[self.queue, item], None).map(drop),
        }
    }

    /// `_get()`
    #[inline]
    fn get(&self) -> Res<Owned> {
        match &self.items {
            Items::First(items) => deque::popleft(items),
            Items::Ordered(_) => call::call_method(&PRIVATE_GET, &[self.queue], None),
        }
    }
}

fn get_nowait(call: &Call<'_>) -> Option<Res<Owned>> {
    let [queue] = call.positional()?;
    if !AT_ONCE.fits(queue) || !GET_NOWAIT.takes(call) {
        return None;
    }
    take(&Plain::of(queue, &AT_ONCE)?, &GET_NOWAIT)
}

/// Takes an item out; `None`, and nothing is done, if there is none or it is not as simple as that.
fn take(plain: &Plain<'_>, graft: &Graft) -> Option<Res<Owned>> {
    if plain.len() == 0 {
        return None;
    }
    let putters = plain.waiting(PUTTERS)?;
    if !waiters::can_wake_next(&putters) {
        return None;
    }
    let items_are_first = matches!(plain.items, Items::First(_));
    let got = plain.get().map_err(|raised| GET_NOWAIT.raised_by("_get", raised));
    Some(got.and_then(|item| {
        if items_are_first {
            waiters::wake_next(&putters)?;
        } else {
            get_rest(plain.queue, plain.family, graft)?;
        }
        Ok(item)
    }))
}

/// `self._wakeup_next(self._putters)`, after Python code has run.
fn get_rest(queue: &Object, family: &'static Family, graft: &Graft) -> Res<()> {
    let putters = Plain::of(queue, family).filter(|_| graft.is_on()).and_then(|plain| plain.waiting(PUTTERS));
    match putters.filter(|putters| waiters::can_wake_next(putters)) {
        Some(putters) => waiters::wake_next(&putters),
        None => wake_next_in_python(queue, &PUTTERS_NAME),
    }
}

#[cold]
fn wake_next_in_python(queue: &Object, name: &Name) -> Res<()> {
    let waiters = call::getattr(queue, name)?;
    call::call_method(&WAKE_UP_NEXT, &[queue, &*waiters], None).map(drop)
}

fn put_nowait(call: &Call<'_>) -> Option<Res<Owned>> {
    let [queue, item] = call.positional()?;
    if !AT_ONCE.fits(queue) || !PUT_NOWAIT.takes(call) {
        return None;
    }
    add(&Plain::of(queue, &AT_ONCE)?, item, &PUT_NOWAIT).map(|done| done.map(|()| none().own()))
}

/// What is to be done when an item was put in.
struct Added {
    unfinished: i64,
    finished: Owned,
    getters: Owned<Deque>,
}

impl Added {
    #[inline]
    fn by(plain: &Plain<'_>) -> Option<Added> {
        let unfinished = plain.attributes.int(UNFINISHED)?.checked_add(1)?;
        let finished = plain.attributes.get(FINISHED)?;
        event::INNER.of(&finished)?.flag(event::VALUE)?;
        let getters = plain.waiting(GETTERS).filter(|getters| waiters::can_wake_next(getters))?;
        Some(Added { unfinished, finished, getters })
    }
}

/// Puts an item in; `None`, and nothing is done, if there is no room or it is not as simple as that.
fn add(plain: &Plain<'_>, item: &Object, graft: &Graft) -> Option<Res<()>> {
    if plain.is_shut || plain.is_full() != Some(false) {
        return None;
    }
    let added = Added::by(plain)?;
    let (first, before) = (matches!(plain.items, Items::First(_)), plain.len());
    let put = plain.put(item).map_err(|raised| PUT_NOWAIT.raised_by("_put", raised));
    Some(put.and_then(|()| {
        // Even a deque runs Python code if it lets go of something, for it has as much as its `maxlen` allows.
        if first && plain.len() > before {
            finish_put(plain, &added)
        } else {
            put_rest(plain.queue, plain.family, graft)
        }
    }))
}

/// The end of `put_nowait`, after Python code has run.
fn put_rest(queue: &Object, family: &'static Family, graft: &Graft) -> Res<()> {
    match Plain::of(queue, family).filter(|_| graft.is_on()) {
        Some(plain) => Added::by(&plain).map_or_else(|| put_rest_in_python(queue), |added| finish_put(&plain, &added)),
        None => put_rest_in_python(queue),
    }
}

#[inline]
fn finish_put(plain: &Plain<'_>, added: &Added) -> Res<()> {
    plain.attributes.set(UNFINISHED, &*containers::int(added.unfinished)?)?;
    if let Some(finished) = event::INNER.of(&added.finished) {
        finished.set(event::VALUE, boolean(false))?;
    }
    waiters::wake_next(&added.getters)
}

#[cold]
fn put_rest_in_python(queue: &Object) -> Res<()> {
    let unfinished = call::getattr(queue, &UNFINISHED_TASKS)?;
    call::setattr(queue, &UNFINISHED_TASKS, &*containers::add(&unfinished, &*containers::int(1)?)?)?;
    call::call_method(&CLEAR, &[&*call::getattr(queue, &FINISHED_EVENT)?], None)?;
    wake_next_in_python(queue, &GETTERS_NAME)
}

fn get(call: &Call<'_>) -> Option<Res<Owned>> {
    let [queue] = call.positional()?;
    if !GET.makes(call, WAITING.fits(queue)) {
        return None;
    }
    Some(coroutine::new(&GET_BODY, Some(queue), None))
}

fn run_get(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let queue = coroutine.subject();
    if let Input::Error(exception) = input {
        return interrupted(coroutine, &queue, &exception, &GETTERS_NAME, &EMPTY);
    }
    coroutine.second.clear();
    let python = || become_python(coroutine, &[&*queue]);
    let Some(plain) = Plain::of(&queue, &WAITING).filter(|_| GET.is_on()) else { return python() };
    if plain.len() > 0 {
        let item = take(&plain, &GET).map(|item| item.inspect_err(|_| coroutine.now_calls(AT_LAST)));
        return item.map_or_else(python, |item| item.map(Step::Return));
    }
    wait(coroutine, &plain, GETTERS).unwrap_or_else(python)
}

fn put(call: &Call<'_>) -> Option<Res<Owned>> {
    let [queue, item] = call.positional()?;
    if !PUT.makes(call, WAITING.fits(queue)) {
        return None;
    }
    Some(coroutine::new(&PUT_BODY, Some(queue), Some(item)))
}

fn run_put(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let queue = coroutine.subject();
    if let Input::Error(exception) = input {
        return interrupted(coroutine, &queue, &exception, &PUTTERS_NAME, &FULL);
    }
    coroutine.second.clear();
    let item = coroutine.first.get_or_none();
    let python = || become_python(coroutine, &[&*queue, &*item]);
    let Some(plain) = Plain::of(&queue, &WAITING).filter(|_| PUT.is_on()) else { return python() };
    if plain.is_full() == Some(true) {
        return wait(coroutine, &plain, PUTTERS).unwrap_or_else(python);
    }
    let done = add(&plain, &item, &PUT).map(|done| done.inspect_err(|_| coroutine.now_calls(AT_LAST)));
    done.map_or_else(python, |done| done.map(|()| Step::Return(none().own())))
}

/// Waits behind the others; `None`, and nothing is done, if that is for Python code.
fn wait(coroutine: &Coroutine, plain: &Plain<'_>, index: usize) -> Option<Res<Step>> {
    if plain.is_shut {
        return None;
    }
    let others = plain.waiting(index)?;
    let future = match bound::new_future(plain.attributes, LOOP) {
        Ok(made) => made?,
        Err(raised) => return Some(Err(raised)),
    };
    Some(deque::append(&others, future.as_object()).map(|()| {
        coroutine.second.set(future.as_object().own());
        Step::Wait(0, future)
    }))
}

/// The `except` of both. It is rare, so that it asks the objects themselves.
#[cold]
fn interrupted(coroutine: &Coroutine, queue: &Object, exception: &Owned, waiters: &Name, blocked: &Name) -> Res<Step> {
    let waiter = coroutine.second.get_or_none();
    let ask = |method: &Name, object: &Object| call::is_true(&*call::call_method(method, &[object], None)?);
    handling(exception, || {
        call::call_method(&CANCEL, &[&*waiter], None)?;
        if let Err(raised) = waiters::remove_in_python(queue, waiters, &waiter) {
            let raised = fetch(raised);
            if !error::matches(&raised, Builtin::ValueError.class()) {
                coroutine.now_removes();
                return Err(restore(raised));
            }
        }
        if !ask(blocked, queue)? && !ask(&CANCELLED_METHOD, &waiter)? {
            wake_next_in_python(queue, waiters)?;
        }
        Ok(())
    })?;
    Err(restore(exception.clone()))
}

fn task_done(call: &Call<'_>) -> Option<Res<Owned>> {
    let [queue] = call.positional()?;
    if !AT_ONCE.fits(queue) || !TASK_DONE.takes(call) {
        return None;
    }
    let plain = Plain::of(queue, &AT_ONCE)?;
    let left = plain.attributes.int(UNFINISHED).filter(|&unfinished| unfinished > 0)? - 1;
    let count_down = || containers::int(left).and_then(|left| plain.attributes.set(UNFINISHED, &left));
    let done = if left == 0 {
        let finished = plain.attributes.get(FINISHED)?;
        event::set_after(event::INNER.of(&finished)?, count_down)?
    } else {
        count_down()
    };
    Some(done.map(|()| none().own()))
}

fn join(call: &Call<'_>) -> Option<Res<Owned>> {
    let [queue] = call.positional()?;
    if !JOIN.makes(call, AT_ONCE.fits(queue)) {
        return None;
    }
    Some(coroutine::new(&JOIN_BODY, Some(queue), None))
}

fn run_join(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let queue = coroutine.subject();
    match input {
        Input::Start => {
            let python = || become_python(coroutine, &[&*queue]);
            let Some(plain) = Plain::of(&queue, &AT_ONCE).filter(|_| JOIN.is_on()) else { return python() };
            match plain.attributes.int(UNFINISHED) {
                Some(unfinished) if unfinished <= 0 => Ok(Step::Return(none().own())),
                Some(_) => {
                    match plain.attributes.get(FINISHED).filter(|finished| event::INNER.of(finished).is_some()) {
                        Some(finished) => Ok(Step::Await(0, event::new_wait(&finished)?)),
                        None => python(),
                    }
                }
                None => python(),
            }
        }
        Input::Value(_) => Ok(Step::Return(none().own())),
        Input::Error(exception) => Err(restore(exception)),
    }
}
