//! `StreamReader.readuntil`, and looking for separators.

use crate::future::FutureObject;
use crate::graft::Graft;
use crate::graft::coroutine::{self, Body, Coroutine, Fold, Inner, Input, Step, become_python};
use crate::names::READUNTIL as READUNTIL_NAME;
use crate::sys::byte_array::{self, ByteArray};
use crate::sys::error::restore;
use crate::sys::lazy::Lazy;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Object, Owned, Res, bytes, call, containers};

use super::reader::{READER, Reader, at_end, buffer, is_sound, limit, take};
use super::{STREAMS, wait};

pub(crate) static READUNTIL: Graft = Graft::new(STREAMS, "StreamReader.readuntil", vectorcall!(readuntil));

static BODY: Body = Body::new(&READUNTIL, run).folding(Fold {
    unfold: |coroutine, future| wait::unfolded(&coroutine.subject(), READUNTIL_NAME.object(), future),
    woken,
});

/// What is left of it, in Python.
static REST: Lazy = Lazy::new("rasyncio._graft_streams", "readuntil");

fn readuntil(call: &Call<'_>) -> Option<Res<Owned>> {
    let (reader, separator) = match *call.arguments.positional {
        [reader] => (reader, None),
        [reader, separator] => (reader, Some(separator)),
        _ => return None,
    };
    let is_usual = !call.arguments.has_keywords() && READER.fits(reader);
    if !READUNTIL.makes(call, is_usual) {
        return None;
    }
    Some(match separator {
        Some(separator) => new(reader, separator),
        None => new_for_line(reader),
    })
}

/// `reader.readuntil(separator)`
#[inline]
fn new(reader: &Object, separator: &Object) -> Res<Owned> {
    coroutine::new(&BODY, Some(reader), Some(separator))
}

/// What comes of looking for a separator.
#[derive(PartialEq, Eq)]
pub(super) enum Search {
    /// It begins and ends there.
    Found(usize, usize),
    /// It cannot begin before that.
    NotYet(usize),
    /// That begins beyond the limit.
    TooFar,
}

/// Looks for the separators, from the shortest to the longest, of which none is empty. `None` if the limit matters, and is
/// for Python code.
#[inline]
fn search(reader: Reader<'_>, buffer: &ByteArray, separators: &[&[u8]], start: usize) -> Option<Search> {
    let length = byte_array::len(buffer);
    let (shortest, longest) = (separators.first()?, separators.last()?);
    if length < start.saturating_add(shortest.len()) {
        return Some(Search::NotYet(start));
    }
    let mut found: Option<(usize, usize)> = None;
    for separator in separators {
        if let Some(place) = byte_array::find(buffer, separator, start) {
            let end = place + separator.len();
            if found.is_none_or(|(_, earliest)| end < earliest) {
                found = Some((place, end));
            }
        }
    }
    if let Some((place, end)) = found {
        return Some(Search::Found(place, end));
    }
    let start = (length + 1).saturating_sub(longest.len());
    Some(if start > limit(reader)? { Search::TooFar } else { Search::NotYet(start) })
}

/// The end of a line.
const LINE_END: &[u8] = b"\n";

/// The same of the end of a line.
#[inline]
pub(super) fn look_for_line(reader: Reader<'_>, start: usize) -> Option<Search> {
    search(reader, &*buffer(reader)?, &[LINE_END], start)
}

/// `reader.readuntil()`
#[inline]
pub(super) fn new_for_line(reader: &Object) -> Res<Owned> {
    new(reader, &*bytes::copied(LINE_END)?)
}

/// The same of what is given as separator: a `bytes`, or from 3.13 on a tuple of such. `None` if it is none of these.
fn look_for(separator: &Object, reader: Reader<'_>, start: usize) -> Option<Search> {
    let buffer = buffer(reader)?;
    if let Some(only) = bytes::of_exact(separator) {
        return if only.is_empty() { None } else { search(reader, &buffer, &[only], start) };
    }
    if cfg!(not(Py_3_13)) || !containers::is_exact_tuple(separator) {
        return None;
    }
    let items = containers::items(separator).ok()??;
    let mut separators: Vec<&[u8]> = items.iter().map(|item| bytes::of_exact(item)).collect::<Option<_>>()?;
    separators.sort_by_key(|separator| separator.len());
    let has_no_empty = separators.first().is_some_and(|shortest| !shortest.is_empty());
    if has_no_empty { search(reader, &buffer, &separators, start) } else { None }
}

/// `first` is the separator; `second`, where there is something, says how far it was looked for.
fn run(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let object = coroutine.subject();
    let begins = matches!(input, Input::Start);
    if let Input::Error(exception) = input {
        return Err(restore(exception));
    }
    let plain = READER.of(&object).filter(|&reader| READUNTIL.is_on() && (!begins || is_sound(reader)));
    let done = plain.and_then(|reader| until(coroutine, &object, reader));
    done.unwrap_or_else(|| {
        let separator = coroutine.first.get_or_none();
        // Another who reads may have taken out what was looked through: then it matters from where on.
        let comes_to_the_same = |reader: Reader<'_>| {
            let from = |start| look_for(&separator, reader, start);
            is_sound(reader) && from(0).is_some_and(|found| from(start(coroutine)).is_some_and(|again| again == found))
        };
        if begins || plain.is_some_and(comes_to_the_same) {
            return become_python(coroutine, &[&*object, &*separator]);
        }
        let start = containers::int(i64::try_from(start(coroutine)).unwrap_or(i64::MAX))?;
        call::call(REST.get()?, &[&*object, &*separator, &*start]).map(Step::Become)
    })
}

/// How far it was looked.
fn start(coroutine: &Coroutine) -> usize {
    let start = coroutine.second.get().and_then(|start| containers::int_clamped(&start).ok());
    start.and_then(|start| usize::try_from(start).ok()).unwrap_or(0)
}

fn note_start(coroutine: &Coroutine, start: usize) -> Res<()> {
    if start > 0 || coroutine.second.is_set() {
        coroutine.second.set(containers::int(i64::try_from(start).unwrap_or(i64::MAX))?);
    }
    Ok(())
}

/// `None`, and nothing is done, if it is for Python code.
fn until(coroutine: &Coroutine, object: &Object, reader: Reader<'_>) -> Option<Res<Step>> {
    let separator = coroutine.first.get()?;
    let found = look_for(&separator, reader, start(coroutine))?;
    take_or_wait(coroutine, object, reader, &found).or_else(|| match found {
        Search::NotYet(start) if !at_end(reader)? => Some(wait_from(coroutine, object, start)),
        _ => None,
    })
}

/// What is done with what was found where nothing is unusual: it is taken out, or the coroutine waits itself, and has noted
/// in its `second` how far it was looked. `None`, and nothing is done, if it is not as simple as that.
#[inline]
pub(super) fn take_or_wait(
    coroutine: &Coroutine,
    object: &Object,
    reader: Reader<'_>,
    found: &Search,
) -> Option<Res<Step>> {
    match *found {
        Search::Found(place, end) if place <= limit(reader)? => Some(take(object, reader, end)?.map(Step::Return)),
        Search::NotYet(start) => match note_start(coroutine, start) {
            Ok(()) => wait::folded(0, reader),
            Err(raised) => Some(Err(raised)),
        },
        _ => None,
    }
}

fn woken(coroutine: &Coroutine, _: &FutureObject) -> Option<Res<Step>> {
    wait::woken(coroutine, &READUNTIL, |object, reader| {
        let found = look_for(&*coroutine.first.get()?, reader, start(coroutine))?;
        take_or_wait(coroutine, object, reader, &found)
    })
}

/// The same of a line, whose coroutine has not made this one.
#[inline]
pub(super) fn line_woken(coroutine: &Coroutine, _: &FutureObject) -> Option<Res<Step>> {
    wait::woken(coroutine, &READUNTIL, |object, reader| {
        let found = look_for_line(reader, start(coroutine))?;
        take_or_wait(coroutine, object, reader, &found)
    })
}

/// The coroutine of `reader.readuntil()`, which that of a line has not made, and the one that it awaits.
#[cold]
pub(super) fn unfolded(line: &Coroutine, future: &FutureObject) -> Res<Owned> {
    let (reader, separator, start) = (line.subject(), bytes::copied(LINE_END)?, line.second.get());
    let wait = wait::unfolded(&reader, READUNTIL_NAME.object(), future)?;
    Inner { body: &BODY, subject: &reader, first: Some(&separator), second: start.as_deref(), place: 0 }.awaiting(wait)
}

fn wait_from(coroutine: &Coroutine, object: &Object, start: usize) -> Res<Step> {
    note_start(coroutine, start)?;
    Ok(Step::Await(0, wait::new(object, READUNTIL_NAME.object())?))
}
