//! `StreamReader.readline`, and `async for line in reader`.

use crate::graft::Graft;
use crate::graft::coroutine::{self, Body, Coroutine, Input, Step, become_python};
use crate::names::{PARTIAL, PRIVATE_EXCEPTION};
use crate::sys::byte_array;
use crate::sys::error::{matches, raise_object, restore};
use crate::sys::lazy::Lazy;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Object, Owned, Res, bytes, call, tools};

use super::reader::{READER, Reader, at_end, buffer, is_sound, limit, take};
use super::until::{READUNTIL, Search, look_for};
use super::{STREAMS, until};

pub(crate) static READLINE: Graft = Graft::new(STREAMS, "StreamReader.readline", vectorcall!(readline));
pub(crate) static NEXT: Graft = Graft::new(STREAMS, "StreamReader.__anext__", vectorcall!(next));

static LINE_BODY: Body = Body::new(&READLINE, run_line);
static NEXT_BODY: Body = Body::new(&NEXT, run_next);

static INCOMPLETE: Lazy = Lazy::new("asyncio.exceptions", "IncompleteReadError");
static OVERRUN: Lazy = Lazy::new("asyncio.exceptions", "LimitOverrunError");
static STOP: Lazy = Lazy::new("builtins", "StopAsyncIteration");
/// What is left of `readline`, in Python.
static REST: Lazy = Lazy::new("rasyncio._graft_streams", "readline");

fn readline(call: &Call<'_>) -> Option<Res<Owned>> {
    let [reader] = call.positional()?;
    if !READLINE.takes(call) || !READER.fits(reader) || tools::notes_origins() {
        return None;
    }
    Some(coroutine::new(&LINE_BODY, Some(reader), None))
}

/// A line that is there already. `None`, and nothing is done, if there is none.
fn line_at_hand(object: &Object, reader: Reader<'_>) -> Res<Option<Owned>> {
    let separator = bytes::copied(b"\n")?;
    let found = if is_sound(reader) { look_for(&separator, reader, 0) } else { None };
    match (found, limit(reader)) {
        (Some(Search::Found(place, end)), Some(limit)) if place <= limit => take(object, reader, end).transpose(),
        _ => Ok(None),
    }
}

fn run_line(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let object = coroutine.subject();
    match input {
        Input::Start => {
            let Some(reader) = READER.of(&object).filter(|_| READLINE.is_on() && READUNTIL.is_on()) else {
                return become_python(coroutine, &[&*object]);
            };
            match line_at_hand(&object, reader)? {
                Some(line) => Ok(Step::Return(line)),
                None => Ok(Step::Await(0, until::new(&object, &*bytes::copied(b"\n")?)?)),
            }
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
    // What is too long is still in the buffer: it is found again.
    if call::getattr(object, &PRIVATE_EXCEPTION)?.is_none() {
        return become_python(coroutine, &[object]);
    }
    call::call(REST.get()?, &[object, &exception]).map(Step::Become)
}

fn next(call: &Call<'_>) -> Option<Res<Owned>> {
    let [reader] = call.positional()?;
    if !NEXT.takes(call) || !READER.fits(reader) || tools::notes_origins() {
        return None;
    }
    Some(coroutine::new(&NEXT_BODY, Some(reader), None))
}

fn run_next(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let object = coroutine.subject();
    match input {
        Input::Start => {
            let is_on = NEXT.is_on() && READLINE.is_on() && READUNTIL.is_on();
            let Some(reader) = READER.of(&object).filter(|_| is_on) else {
                return become_python(coroutine, &[&*object]);
            };
            match line_at_hand(&object, reader)? {
                Some(line) => Ok(Step::Return(line)),
                None => Ok(Step::Await(0, coroutine::new(&LINE_BODY, Some(&*object), None)?)),
            }
        }
        Input::Value(line) if bytes::of_exact(&line) == Some(&[]) => stop(coroutine, &object),
        Input::Value(line) => Ok(Step::Return(line)),
        Input::Error(exception) => Err(restore(exception)),
    }
}

/// The end: the body finds it again, and raises what it raises.
#[cold]
fn stop(coroutine: &Coroutine, object: &Object) -> Res<Step> {
    let is_over = READER.of(object).is_some_and(|reader| {
        let is_empty = buffer(reader).is_some_and(|buffer| byte_array::len(&buffer) == 0);
        is_sound(reader) && at_end(reader) == Some(true) && is_empty
    });
    if is_over { become_python(coroutine, &[object]) } else { Err(raise_object(&*call::call0(STOP.get()?)?)) }
}
