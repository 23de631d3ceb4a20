//! `asyncio.Queue`, `PriorityQueue` and `LifoQueue`: `get`, `put`, `get_nowait`, `put_nowait`, `task_done`, `join`.
//!
//! Whoever finds the queue empty (or full) waits for a future in `_getters` (or `_putters`), and looks again when that is
//! done: an item belongs to nobody before it is taken out. One that is woken up and cannot take the call, since it was
//! cancelled meanwhile, wakes up the next, so that the wake-up is not lost.
//!
//! The two subclasses keep their items in a list, by methods `_put` and `_get` of their own, which are called: a priority
//! queue compares items, and that can run any Python code. What is left to do after it is done by looking everything up
//! again, as the body does ([`put_rest_in_python`]).
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
/// Whose methods are passed over: those of the subclasses, and the event that `join` waits for.
const CLASSES: &[&str] = &["asyncio.queues:PriorityQueue", "asyncio.queues:LifoQueue", "asyncio.locks:Event"];

pub(crate) static GET: Graft = Graft::new(QUEUES, "Queue.get", vectorcall!(get)).with(CLASSES);
pub(crate) static GET_NOWAIT: Graft = Graft::new(QUEUES, "Queue.get_nowait", vectorcall!(get_nowait)).with(CLASSES);
pub(crate) static JOIN: Graft = Graft::new(QUEUES, "Queue.join", vectorcall!(join)).with(CLASSES);
pub(crate) static PUT: Graft = Graft::new(QUEUES, "Queue.put", vectorcall!(put)).with(CLASSES);
pub(crate) static PUT_NOWAIT: Graft = Graft::new(QUEUES, "Queue.put_nowait", vectorcall!(put_nowait)).with(CLASSES);
pub(crate) static TASK_DONE: Graft = Graft::new(QUEUES, "Queue.task_done", vectorcall!(task_done)).with(CLASSES);

static GET_BODY: Body = Body::new(&GET, run_get);
static JOIN_BODY: Body = Body::new(&JOIN, run_join);
static PUT_BODY: Body = Body::new(&PUT, run_put);

static PASSED_OVER: [&Name; 9] = [
    &EMPTY,
    &FULL,
    &GET_NOWAIT_NAME,
    &PRIVATE_GET,
    &PRIVATE_GET_LOOP,
    &PRIVATE_PUT,
    &PUT_NOWAIT_NAME,
    &QSIZE,
    &WAKE_UP_NEXT,
];

const fn shape(class: &'static str) -> Shape<8> {
    Shape::new(
        QUEUES,
        class,
        [
            &QUEUED,
            &GETTERS_NAME,
            &PUTTERS_NAME,
            &MAXSIZE_NAME,
            &UNFINISHED_TASKS,
            &FINISHED_EVENT,
            &IS_SHUTDOWN,
            &PRIVATE_LOOP,
        ],
        &PASSED_OVER,
    )
}

static QUEUE: Shape<8> = shape("Queue");
static SUBCLASSES: [Shape<8>; 2] = [shape("LifoQueue"), shape("PriorityQueue")];
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
    /// A list, by the class's own methods.
    List(Owned),
}

/// A queue about which all is plain. To be used before any Python code runs.
struct Plain<'a> {
    queue: &'a Object,
    attributes: Attributes<'a, 8>,
    items: Items,
    is_shut: bool,
}

#[inline]
fn fits(queue: &Object) -> bool {
    QUEUE.fits(queue) || SUBCLASSES.iter().any(|shape| shape.fits(queue))
}

impl<'a> Plain<'a> {
    #[inline]
    fn of(queue: &'a Object) -> Option<Self> {
        let (attributes, is_simple) = match QUEUE.of(queue) {
            Some(attributes) => (attributes, true),
            None => (SUBCLASSES.iter().find_map(|shape| shape.of(queue))?, false),
        };
        let is_shut = versions::QUEUE_SHUTDOWN && attributes.flag(SHUTDOWN)?;
        let items = attributes.get(ITEMS)?;
        let items = if is_simple {
            Items::First(deque::downcast(items)?)
        } else if containers::is_exact_list(&items) {
            Items::List(items)
        } else {
            return None;
        };
        Some(Plain { queue, attributes, items, is_shut })
    }

    #[inline]
    fn len(&self) -> usize {
        match &self.items {
            Items::First(items) => deque::len(items),
            Items::List(items) => containers::list_len(items),
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
            Items::List(_) => call::call_method(&PRIVATE_PUT, &[self.queue, item], None).map(drop),
        }
    }

    /// `_get()`
    #[inline]
    fn get(&self) -> Res<Owned> {
        match &self.items {
            Items::First(items) => deque::popleft(items),
            Items::List(_) => call::call_method(&PRIVATE_GET, &[self.queue], None),
        }
    }
}

fn get_nowait(call: &Call<'_>) -> Option<Res<Owned>> {
    let [queue] = call.positional()?;
    if !fits(queue) || !GET_NOWAIT.takes(call) {
        return None;
    }
    take(&Plain::of(queue)?, &GET_NOWAIT)
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
    Some(plain.get().and_then(|item| {
        if items_are_first {
            waiters::wake_next(&putters)?;
        } else {
            get_rest(plain.queue, graft)?;
        }
        Ok(item)
    }))
}

/// `self._wakeup_next(self._putters)`, after Python code has run.
fn get_rest(queue: &Object, graft: &Graft) -> Res<()> {
    let putters = Plain::of(queue).filter(|_| graft.is_on()).and_then(|plain| plain.waiting(PUTTERS));
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
    if !fits(queue) || !PUT_NOWAIT.takes(call) {
        return None;
    }
    add(&Plain::of(queue)?, item, &PUT_NOWAIT).map(|done| done.map(|()| none().own()))
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
    Some(plain.put(item).and_then(|()| {
        // Even a deque runs Python code if it lets go of something, for it has as much as its `maxlen` allows.
        if first && plain.len() > before { finish_put(plain, &added) } else { put_rest(plain.queue, graft) }
    }))
}

/// The end of `put_nowait`, after Python code has run.
fn put_rest(queue: &Object, graft: &Graft) -> Res<()> {
    match Plain::of(queue).filter(|_| graft.is_on()) {
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
    if !GET.makes(call, fits(queue)) {
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
    let Some(plain) = Plain::of(&queue).filter(|_| GET.is_on()) else { return python() };
    if plain.len() > 0 {
        return take(&plain, &GET).map_or_else(python, |item| item.map(Step::Return));
    }
    wait(coroutine, &plain, GETTERS).unwrap_or_else(python)
}

fn put(call: &Call<'_>) -> Option<Res<Owned>> {
    let [queue, item] = call.positional()?;
    if !PUT.makes(call, fits(queue)) {
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
    let Some(plain) = Plain::of(&queue).filter(|_| PUT.is_on()) else { return python() };
    if plain.is_full() == Some(true) {
        return wait(coroutine, &plain, PUTTERS).unwrap_or_else(python);
    }
    add(&plain, &item, &PUT).map_or_else(python, |done| done.map(|()| Step::Return(none().own())))
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
    if !fits(queue) || !TASK_DONE.takes(call) {
        return None;
    }
    let plain = Plain::of(queue)?;
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
    if !JOIN.makes(call, fits(queue)) {
        return None;
    }
    Some(coroutine::new(&JOIN_BODY, Some(queue), None))
}

fn run_join(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let queue = coroutine.subject();
    match input {
        Input::Start => {
            let python = || become_python(coroutine, &[&*queue]);
            let Some(plain) = Plain::of(&queue).filter(|_| JOIN.is_on()) else { return python() };
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
