//! `StreamReader.readline`, and `async for line in reader`.

use crate::future::FutureObject;
use crate::graft::Graft;
use crate::graft::coroutine::{self, Body, Coroutine, Fold, Inner, Input, Step, become_python};
use crate::names::{CONSUMED, PARTIAL};
use crate::sys::byte_array;
use crate::sys::error::{matches, restore};
use crate::sys::lazy::Lazy;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Object, Owned, Res, bytes, call, containers};

use super::reader::{READER, Reader, at_end, buffer, is_sound, limit};
use super::until::{READUNTIL, Search, look_for_line};
use super::{STREAMS, until};

pub(crate) static READLINE: Graft = Graft::new(STREAMS, "StreamReader.readline", vectorcall!(readline));
pub(crate) static NEXT: Graft = Graft::new(STREAMS, "StreamReader.__anext__", vectorcall!(next));

static LINE_BODY: Body =
    Body::new(&READLINE, run_line).folding(Fold { unfold: until::unfolded, woken: until::line_woken });
static NEXT_BODY: Body = Body::new(&NEXT, run_next).folding(Fold { unfold: unfold_next, woken: until::line_woken });

static INCOMPLETE: Lazy = Lazy::new("asyncio.exceptions", "IncompleteReadError");
static OVERRUN: Lazy = Lazy::new("asyncio.exceptions", "LimitOverrunError");
/// What is left of `__anext__` and of `readline`, in Python.
static STOP: Lazy = Lazy::new("rasyncio._graft_streams", "__anext__");
static REST: Lazy = Lazy::new("rasyncio._graft_streams", "readline");

fn readline(call: &Call<'_>) -> Option<Res<Owned>> {
    let [reader] = call.positional()?;
    if !READLINE.makes(call, READER.fits(reader)) {
        return None;
    }
    Some(coroutine::new(&LINE_BODY, Some(reader), None))
}

/// Takes a line, or waits, where nothing is unusual. `None`, and nothing is done, if there is more to it.
#[inline]
fn take_or_wait(coroutine: &Coroutine, object: &Object, reader: Reader<'_>) -> Option<Res<Step>> {
    if !is_sound(reader) {
        return None;
    }
    until::take_or_wait(coroutine, object, reader, &look_for_line(reader, 0)?)
}

fn run_line(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let object = coroutine.subject();
    match input {
        Input::Start => {
            let Some(reader) = READER.of(&object).filter(|_| READLINE.is_on()) else {
                return become_python(coroutine, &[&*object]);
            };
            let done = take_or_wait(coroutine, &object, reader);
            done.unwrap_or_else(|| Ok(Step::Await(0, until::new_for_line(&object)?)))
        }
        Input::Value(line) => Ok(Step::Return(line)),
        Input::Error(exception) => line_failed(coroutine, &object, exception),
    }
}

#[cold]
fn line_failed(coroutine: &Coroutine, object: &Object, exception: Owned) -> Res<Step> {
    if matches(&exception, INCOMPLETE.get()?) {
        return call::getattr(&exception, &PARTIAL).map(Step::Return);
    }
    if !matches(&exception, OVERRUN.get()?) {
        return Err(restore(exception));
    }
    // What is too long is still in the buffer: it is found again, unless others have read what came before.
    let consumed = usize::try_from(containers::int_value(&*call::getattr(&exception, &CONSUMED)?)?).ok();
    let comes_to_the_same = |reader| is_sound(reader) && overruns_at(reader) == consumed;
    if is_on() && READER.of(object).is_some_and(comes_to_the_same) {
        return become_python(coroutine, &[object]);
    }
    call::call(REST.get()?, &[object, &exception]).map(Step::Become)
}

/// Would the functions that are called again be the native ones?
#[cold]
fn is_on() -> bool {
    READLINE.is_on() && READUNTIL.is_on()
}

/// How many bytes `readuntil`, begun anew, would say that are before the end of a line, or in an endless one, if too many.
#[cold]
fn overruns_at(reader: Reader<'_>) -> Option<usize> {
    match look_for_line(reader, 0)? {
        Search::Found(place, _) => Some(place).filter(|&place| limit(reader).is_some_and(|limit| place > limit)),
        Search::TooFar => buffer(reader).map(|buffer| byte_array::len(&buffer)),
        Search::NotYet(_) => None,
    }
}

fn next(call: &Call<'_>) -> Option<Res<Owned>> {
    let [reader] = call.positional()?;
    if !NEXT.makes(call, READER.fits(reader)) {
        return None;
    }
    Some(coroutine::new(&NEXT_BODY, Some(reader), None))
}

fn run_next(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let object = coroutine.subject();
    match input {
        Input::Start => {
            let Some(reader) = READER.of(&object).filter(|_| NEXT.is_on()) else {
                return become_python(coroutine, &[&*object]);
            };
            let done = take_or_wait(coroutine, &object, reader);
            done.unwrap_or_else(|| Ok(Step::Await(0, coroutine::new(&LINE_BODY, Some(&*object), None)?)))
        }
        Input::Value(line) if bytes::of_exact(&line) == Some(&[]) => stop(coroutine, &object),
        Input::Value(line) => Ok(Step::Return(line)),
        Input::Error(exception) => Err(restore(exception)),
    }
}

/// The coroutine of `reader.readline()`, and those that it awaits.
#[cold]
fn unfold_next(next: &Coroutine, future: &FutureObject) -> Res<Owned> {
    let until = until::unfolded(next, future)?;
    Inner { body: &LINE_BODY, subject: &next.subject(), first: None, second: None, place: 0 }.awaiting(until)
}

/// The end: the body finds it again, and raises what it raises.
#[cold]
fn stop(coroutine: &Coroutine, object: &Object) -> Res<Step> {
    let is_over = READER.of(object).is_some_and(|reader| {
        let is_empty = buffer(reader).is_some_and(|buffer| byte_array::len(&buffer) == 0);
        is_on() && is_sound(reader) && at_end(reader) == Some(true) && is_empty
    });
    if is_over { become_python(coroutine, &[object]) } else { call::call1(STOP.get()?, object).map(Step::Become) }
}
