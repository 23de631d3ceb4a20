//! `StreamReader.read` and `readexactly`.

use crate::future::FutureObject;
use crate::graft::Graft;
use crate::graft::coroutine::{self, Body, Coroutine, Fold, Inner, Input, Step, become_python};
use crate::names::{READ as READ_NAME, READEXACTLY as READEXACTLY_NAME};
use crate::sys::byte_array;
use crate::sys::error::restore;
use crate::sys::lazy::Lazy;
use crate::sys::object::none;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res, bytes, call, containers};

use super::reader::{LIMIT, READER, Reader, at_end, buffer, is_paused, is_sound, limit, take};
use super::{STREAMS, wait};

pub(crate) static READ: Graft = Graft::new(STREAMS, "StreamReader.read", vectorcall!(read));
pub(crate) static READEXACTLY: Graft = Graft::new(STREAMS, "StreamReader.readexactly", vectorcall!(readexactly));

static READ_BODY: Body = Body::new(&READ, run_read).folding(Fold { unfold: unfold_read, woken: read_woken });
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

/// `first` is how many bytes are wanted; `second`, where all are, a list of how many the next block may have, and the
/// blocks; `stage` is where it awaits.
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
        coroutine.second.set(containers::list_of(vec![none().own()])?);
        return read_blocks(coroutine, object, reader);
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
    wait::woken(coroutine, &READ, |object, reader| {
        if coroutine.stage.get() == DATA {
            return Some(take(object, reader, wanted(&*coroutine.first.get()?)?)?.map(Step::Return));
        }
        let block = take(object, reader, wanted(&*block_size(coroutine)?)?)?;
        Some(block.and_then(|block| next_block(coroutine, object, &block)))
    })
}

/// The coroutine of `reader.read(count)`, if all is read, and the one that waits for data.
#[cold]
fn unfold_read(coroutine: &Coroutine, future: &FutureObject) -> Res<Owned> {
    let reader = coroutine.subject();
    let wait = wait::unfolded(&reader, READ_NAME.object(), future)?;
    if coroutine.stage.get() == DATA {
        return Ok(wait);
    }
    let count = block_size(coroutine).map_or_else(|| containers::int(0), Ok)?;
    Inner { body: &READ_BODY, subject: &reader, first: Some(&count), second: None, place: DATA }.awaiting(wait)
}

/// How many bytes the next block may have.
fn block_size(coroutine: &Coroutine) -> Option<Owned> {
    containers::list_item(&*coroutine.second.get()?, 0).filter(|size| containers::is_exact_int(size))
}

/// The blocks that were read.
fn blocks(coroutine: &Coroutine) -> Res<Vec<Owned>> {
    let mut items = containers::items(&coroutine.second.get_or_none())?.unwrap_or_default();
    if !items.is_empty() {
        items.remove(0);
    }
    Ok(items)
}

/// `self.read(self._limit)`, as often as there is something to read: that coroutine is made where it is not as simple.
fn read_blocks(coroutine: &Coroutine, object: &Object, reader: Reader<'_>) -> Res<Step> {
    coroutine.stage.set(ALL);
    let (Some(size), Some(count)) = (reader.get(LIMIT), limit(reader)) else { return rest_of_all(coroutine, object) };
    let all = coroutine.second.get_or_none();
    if !block_size(coroutine).is_some_and(|before| before.is(&*size)) {
        containers::set_item(&all, &*containers::int(0)?, &size)?;
    }
    let is_simple = count > 0 && is_sound(reader) && is_paused(reader) == Some(false);
    while let (true, Some(buffer), Some(at_end)) = (is_simple, buffer(reader), at_end(reader)) {
        if byte_array::len(&buffer) == 0 {
            if at_end {
                return bytes::joined(&blocks(coroutine)?).map(Step::Return);
            }
            match wait::folded(ALL, reader) {
                Some(waits) => return waits,
                None => break,
            }
        }
        drop(buffer);
        let Some(block) = take(object, reader, count) else { break };
        containers::list_append(&all, &*block?)?;
    }
    Ok(Step::Await(ALL, coroutine::new(&READ_BODY, Some(object), Some(&size))?))
}

fn next_block(coroutine: &Coroutine, object: &Object, block: &Object) -> Res<Step> {
    if bytes::of_exact(block) == Some(&[]) {
        return bytes::joined(&blocks(coroutine)?).map(Step::Return);
    }
    containers::list_append(&coroutine.second.get_or_none(), block)?;
    match READER.of(object).filter(|_| READ.is_on()) {
        Some(reader) => read_blocks(coroutine, object, reader),
        None => rest_of_all(coroutine, object),
    }
}

#[cold]
fn rest_of_all(coroutine: &Coroutine, object: &Object) -> Res<Step> {
    let blocks = containers::list_of(blocks(coroutine)?)?;
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
    wait::woken(coroutine, &READEXACTLY, |object, reader| {
        take_or_wait(object, reader, wanted(&*coroutine.first.get()?)?)
    })
}
