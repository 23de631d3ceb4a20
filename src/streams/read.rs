//! `StreamReader.read` and `readexactly`.

use crate::future::FutureObject;
use crate::graft::Graft;
use crate::graft::coroutine::{self, Body, Coroutine, Fold, Input, Step, become_python};
use crate::names::{READ as READ_NAME, READEXACTLY as READEXACTLY_NAME};
use crate::sys::byte_array;
use crate::sys::error::restore;
use crate::sys::lazy::Lazy;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Object, Owned, Res, bytes, call, containers};

use super::reader::{READER, Reader, at_end, buffer, is_sound, limit, take};
use super::{STREAMS, wait};

pub(crate) static READ: Graft = Graft::new(STREAMS, "StreamReader.read", vectorcall!(read));
pub(crate) static READEXACTLY: Graft = Graft::new(STREAMS, "StreamReader.readexactly", vectorcall!(readexactly));

static READ_BODY: Body = Body::new(&READ, run_read).folding(Fold {
    unfold: |coroutine, future| wait::unfolded(&coroutine.subject(), READ_NAME.object(), future),
    woken: read_woken,
});
static EXACTLY_BODY: Body = Body::new(&READEXACTLY, run_exactly).folding(Fold {
    unfold: |coroutine, future| wait::unfolded(&coroutine.subject(), READEXACTLY_NAME.object(), future),
    woken: exactly_woken,
});

/// What is left of each, in Python.
static REST_OF_READ: Lazy = Lazy::new("rasyncio._graft_streams", "read");
static REST_OF_READ_ALL: Lazy = Lazy::new("rasyncio._graft_streams", "read_all");
static REST_OF_READEXACTLY: Lazy = Lazy::new("rasyncio._graft_streams", "readexactly");

/// Where `read` awaits: itself, until the end, or data.
const ALL: u16 = 0;
const DATA: u16 = 1;

fn read(call: &Call<'_>) -> Option<Res<Owned>> {
    let (reader, count) = match *call.arguments.positional {
        [reader] => (reader, None),
        [reader, count] => (reader, Some(count)),
        _ => return None,
    };
    let is_usual = !call.arguments.has_keywords() && count.is_none_or(containers::is_exact_int);
    if !READ.makes(call, is_usual && READER.fits(reader)) {
        return None;
    }
    Some(match count {
        Some(count) => coroutine::new(&READ_BODY, Some(reader), Some(count)),
        None => containers::int(-1).and_then(|all| coroutine::new(&READ_BODY, Some(reader), Some(&all))),
    })
}

/// `first` is how many bytes are wanted; `second`, where all are, a list of what was read; `stage` is where it awaits.
fn run_read(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let reader = coroutine.subject();
    match input {
        Input::Start => begin_read(coroutine, &reader),
        Input::Value(block) if coroutine.stage.get() == ALL => next_block(coroutine, &reader, &block),
        Input::Value(_) => {
            let count = coroutine.first.get_or_none();
            let plain = READER.of(&reader).filter(|_| READ.is_on());
            match plain.and_then(|plain| take(&reader, plain, wanted(&count)?)) {
                Some(taken) => taken.map(Step::Return),
                None if plain.is_some_and(would_not_wait) => become_python(coroutine, &[&*reader, &*count]),
                None => call::call(REST_OF_READ.get()?, &[&*reader, &*count]).map(Step::Become),
            }
        }
        Input::Error(exception) => Err(restore(exception)),
    }
}

/// Would `read`, begun anew, take what there is?
#[cold]
fn would_not_wait(reader: Reader<'_>) -> bool {
    let has_data = buffer(reader).is_some_and(|buffer| byte_array::len(&buffer) > 0);
    is_sound(reader) && (has_data || at_end(reader) == Some(true))
}

/// A number of bytes, which is not negative.
fn wanted(count: &Object) -> Option<usize> {
    usize::try_from(containers::int_clamped(count).ok()?).ok()
}

fn begin_read(coroutine: &Coroutine, object: &Object) -> Res<Step> {
    let count = coroutine.first.get_or_none();
    let python = || become_python(coroutine, &[object, &*count]);
    let Some(reader) = READER.of(object).filter(|&reader| READ.is_on() && is_sound(reader)) else { return python() };
    let Some(count) = wanted(&count) else {
        coroutine.second.set(containers::new_list()?);
        return read_block(coroutine, object, reader);
    };
    if count == 0 {
        return bytes::copied(&[]).map(Step::Return);
    }
    let (Some(buffer), Some(at_end)) = (buffer(reader), at_end(reader)) else { return python() };
    if byte_array::len(&buffer) == 0 && !at_end {
        coroutine.stage.set(DATA);
        let folded = wait::folded(DATA, reader);
        return folded.unwrap_or_else(|| Ok(Step::Await(DATA, wait::new(object, READ_NAME.object())?)));
    }
    drop(buffer);
    match take(object, reader, count) {
        Some(taken) => taken.map(Step::Return),
        None => python(),
    }
}

fn read_woken(coroutine: &Coroutine, _: &FutureObject) -> Option<Res<Step>> {
    let object = coroutine.subject();
    let reader = READER.of(&object).filter(|&reader| READ.is_on() && wait::is_over(reader))?;
    Some(take(&object, reader, wanted(&*coroutine.first.get()?)?)?.map(Step::Return))
}

/// `self.read(self._limit)`
fn read_block(coroutine: &Coroutine, object: &Object, reader: Reader<'_>) -> Res<Step> {
    let Some(limit) = limit(reader).and_then(|limit| i64::try_from(limit).ok()) else {
        return rest_of_all(coroutine, object);
    };
    coroutine.stage.set(ALL);
    let limit = containers::int(limit)?;
    Ok(Step::Await(ALL, coroutine::new(&READ_BODY, Some(object), Some(&limit))?))
}

fn next_block(coroutine: &Coroutine, object: &Object, block: &Object) -> Res<Step> {
    let blocks = coroutine.second.get_or_none();
    if bytes::of_exact(block) == Some(&[]) {
        let blocks = containers::items(&blocks)?.unwrap_or_default();
        return bytes::joined(&blocks).map(Step::Return);
    }
    containers::list_append(&blocks, block)?;
    match READER.of(object).filter(|_| READ.is_on()) {
        Some(reader) => read_block(coroutine, object, reader),
        None => rest_of_all(coroutine, object),
    }
}

#[cold]
fn rest_of_all(coroutine: &Coroutine, object: &Object) -> Res<Step> {
    let blocks = coroutine.second.get_or_none();
    call::call(REST_OF_READ_ALL.get()?, &[object, &*blocks]).map(Step::Become)
}

fn readexactly(call: &Call<'_>) -> Option<Res<Owned>> {
    let [reader, count] = call.positional()?;
    let is_usual = containers::is_exact_int(count) && READER.fits(reader);
    if !READEXACTLY.makes(call, is_usual) {
        return None;
    }
    Some(coroutine::new(&EXACTLY_BODY, Some(reader), Some(count)))
}

/// `first` is how many bytes are wanted.
fn run_exactly(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let object = coroutine.subject();
    let begins = matches!(input, Input::Start);
    if let Input::Error(exception) = input {
        return Err(restore(exception));
    }
    let plain = READER.of(&object).filter(|&reader| READEXACTLY.is_on() && (!begins || is_sound(reader)));
    let done = plain.and_then(|reader| exactly(coroutine, &object, reader));
    done.unwrap_or_else(|| {
        let count = coroutine.first.get_or_none();
        if begins || plain.is_some_and(is_sound) {
            return become_python(coroutine, &[&*object, &*count]);
        }
        call::call(REST_OF_READEXACTLY.get()?, &[&*object, &*count]).map(Step::Become)
    })
}

/// `None`, and nothing is done, if it is for Python code.
fn exactly(coroutine: &Coroutine, object: &Object, reader: Reader<'_>) -> Option<Res<Step>> {
    let count = wanted(&*coroutine.first.get()?)?;
    if count == 0 {
        return Some(bytes::copied(&[]).map(Step::Return));
    }
    take_or_wait(object, reader, count).or_else(|| {
        if at_end(reader)? || byte_array::len(&*buffer(reader)?) >= count {
            return None;
        }
        Some(wait::new(object, READEXACTLY_NAME.object()).map(|wait| Step::Await(0, wait)))
    })
}

/// Takes so many bytes out, or waits itself. `None`, and nothing is done, if it is not as simple as that.
#[inline]
fn take_or_wait(object: &Object, reader: Reader<'_>, count: usize) -> Option<Res<Step>> {
    if byte_array::len(&*buffer(reader)?) >= count {
        return Some(take(object, reader, count)?.map(Step::Return));
    }
    wait::folded(0, reader)
}

fn exactly_woken(coroutine: &Coroutine, _: &FutureObject) -> Option<Res<Step>> {
    let object = coroutine.subject();
    let reader = READER.of(&object).filter(|&reader| READEXACTLY.is_on() && wait::is_over(reader))?;
    take_or_wait(&object, reader, wanted(&*coroutine.first.get()?)?)
}
