//! `asyncio.StreamReader`: its attributes, and what it is fed with.

use crate::future::{self, FutureObject};
use crate::graft::Graft;
use crate::graft::running::Running;
use crate::graft::shape::{Attributes, Shape};
use crate::names::{
    FEED_DATA as FEED_DATA_NAME, FEED_EOF as FEED_EOF_NAME, MAYBE_RESUME_TRANSPORT, PAUSED as PAUSED_NAME,
    PRIVATE_BUFFER, PRIVATE_EOF, PRIVATE_EXCEPTION, PRIVATE_LIMIT, PRIVATE_LOOP, PRIVATE_WAITER, READ, READLINE,
    READUNTIL, TRANSPORT as TRANSPORT_NAME, WAIT_FOR_DATA, WAKEUP_WAITER,
};
use crate::sys::byte_array::{self, ByteArray};
use crate::sys::object::{boolean, none};
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res, bytes, call, containers};

use super::STREAMS;

pub(crate) static FEED_DATA: Graft = Graft::new(STREAMS, "StreamReader.feed_data", vectorcall!(feed_data));
pub(crate) static FEED_EOF: Graft = Graft::new(STREAMS, "StreamReader.feed_eof", vectorcall!(feed_eof));

pub(super) static READER: Shape<8> = Shape::new(
    STREAMS,
    "StreamReader",
    [
        &PRIVATE_BUFFER,
        &PRIVATE_EOF,
        &PRIVATE_WAITER,
        &PRIVATE_EXCEPTION,
        &TRANSPORT_NAME,
        &PAUSED_NAME,
        &PRIVATE_LIMIT,
        &PRIVATE_LOOP,
    ],
    &[
        &FEED_DATA_NAME,
        &FEED_EOF_NAME,
        &MAYBE_RESUME_TRANSPORT,
        &READ,
        &READLINE,
        &READUNTIL,
        &WAIT_FOR_DATA,
        &WAKEUP_WAITER,
        &crate::names::EXCEPTION,
    ],
);
const BUFFER: usize = 0;
const EOF: usize = 1;
const WAITER: usize = 2;
const EXCEPTION: usize = 3;
const TRANSPORT: usize = 4;
const PAUSED: usize = 5;
pub(super) const LIMIT: usize = 6;
const LOOP: usize = 7;

/// A plain reader's attributes, until Python code runs.
pub(super) type Reader<'a> = Attributes<'a, 8>;

/// `self._buffer`
#[inline]
pub(super) fn buffer(reader: Reader<'_>) -> Option<Owned<ByteArray>> {
    reader.get(BUFFER).and_then(byte_array::downcast)
}

/// `self._eof`
#[inline]
pub(super) fn at_end(reader: Reader<'_>) -> Option<bool> {
    reader.flag(EOF)
}

/// `self._paused`
#[inline]
pub(super) fn is_paused(reader: Reader<'_>) -> Option<bool> {
    reader.flag(PAUSED)
}

/// `self._limit`
#[inline]
pub(super) fn limit(reader: Reader<'_>) -> Option<usize> {
    usize::try_from(reader.int(LIMIT).or_else(|| huge_limit(reader))?).ok()
}

#[cold]
#[inline(never)]
fn huge_limit(reader: Reader<'_>) -> Option<i64> {
    let limit = reader.get(LIMIT).filter(|limit| containers::is_exact_int(limit))?;
    containers::int_clamped(&limit).ok()
}

/// `self._exception is None`
#[inline]
pub(super) fn is_sound(reader: Reader<'_>) -> bool {
    reader.holds(EXCEPTION, none())
}

/// Nobody waits for data.
#[inline]
pub(super) fn has_no_waiter(reader: Reader<'_>) -> bool {
    reader.holds(WAITER, none())
}

#[inline]
pub(super) fn set_waiter(reader: Reader<'_>, waiter: &Object) -> Res<()> {
    reader.set(WAITER, waiter)
}

/// Is the running loop the reader's?
#[inline]
pub(super) fn belongs_to(reader: Reader<'_>, running: &Running) -> bool {
    reader.holds(LOOP, running.event_loop())
}

/// The first bytes of the buffer, which are taken out of it; the transport goes on if it was paused for having received
/// too much. `None`, and nothing is done, if it is not as simple as that.
pub(super) fn take(object: &Object, reader: Reader<'_>, count: usize) -> Option<Res<Owned>> {
    let buffer = buffer(reader)?;
    let paused = is_paused(reader)?;
    let before = byte_array::len(&buffer);
    let taken = match byte_array::take_first(&buffer, count) {
        Ok(taken) => taken,
        // Somebody has a view of it, or memory is short.
        Err(raised) => return byte_array::forgive(&buffer, before, raised).err().map(Err),
    };
    if paused {
        return Some(call::call_method(&MAYBE_RESUME_TRANSPORT, &[object], None).map(|_| taken));
    }
    Some(Ok(taken))
}

/// Who waits for data.
pub(super) enum Waiting {
    Nobody,
    /// A future of ours, which is pending or was cancelled.
    One(Owned<FutureObject>),
}

/// `None` if it is for Python code.
#[inline]
fn who_waits(reader: Reader<'_>) -> Option<Waiting> {
    if has_no_waiter(reader) {
        return Some(Waiting::Nobody);
    }
    let waiter = reader.get(WAITER)?;
    let waiter = future::TYPE.downcast_exact(&waiter)?;
    let is_usual = (waiter.is_pending() || waiter.is_cancelled()) && waiter.has_no_attributes();
    (is_usual && waiter.belongs_to(Running::find()?.event_loop())).then(|| Waiting::One(waiter.own()))
}

/// `self._wakeup_waiter()`
#[inline]
pub(super) fn wake_up(reader: Reader<'_>, waiting: Waiting) -> Res<()> {
    let Waiting::One(waiter) = waiting else { return Ok(()) };
    set_waiter(reader, none())?;
    if waiter.is_pending() { future::set_result(&waiter, none().own()) } else { Ok(()) }
}

fn feed_data(call: &Call<'_>) -> Option<Res<Owned>> {
    let [reader, data] = call.positional()?;
    if !FEED_DATA.takes(call) {
        return None;
    }
    feed(READER.of(reader)?, bytes::of_exact(data)?).map(|done| done.map(|()| none().own()))
}

/// `reader.feed_data(data)`. `None`, and nothing is done, if it is not as simple as that.
#[inline]
pub(super) fn feed(reader: Reader<'_>, data: &[u8]) -> Option<Res<()>> {
    if data.is_empty() {
        return (!at_end(reader)?).then_some(Ok(()));
    }
    let Room { buffer, most, waiting } = room(reader)?;
    let before = byte_array::len(&buffer);
    if before.saturating_add(data.len()) > most {
        return None;
    }
    if let Err(raised) = byte_array::extend(&buffer, data) {
        return byte_array::forgive(&buffer, before, raised).err().map(Err);
    }
    Some(wake_up(reader, waiting))
}

/// Where a reader has room for data.
pub(super) struct Room {
    pub(super) buffer: Owned<ByteArray>,
    /// If it became longer, the transport would have to be paused.
    pub(super) most: usize,
    /// To be woken up.
    pub(super) waiting: Waiting,
}

/// `None` if data are for Python code. It runs none.
#[inline]
pub(super) fn room(reader: Reader<'_>) -> Option<Room> {
    if at_end(reader)? {
        return None;
    }
    let (buffer, waiting) = (buffer(reader)?, who_waits(reader)?);
    let may_pause = !is_paused(reader)? && !reader.holds(TRANSPORT, none());
    let most = if may_pause { limit(reader)?.saturating_mul(2) } else { usize::MAX };
    Some(Room { buffer, most, waiting })
}

fn feed_eof(call: &Call<'_>) -> Option<Res<Owned>> {
    let [reader] = call.positional()?;
    if !FEED_EOF.takes(call) {
        return None;
    }
    end(READER.of(reader)?).map(|done| done.map(|()| none().own()))
}

/// `reader.feed_eof()`
pub(super) fn end(reader: Reader<'_>) -> Option<Res<()>> {
    at_end(reader)?;
    let waiting = who_waits(reader)?;
    Some(reader.set(EOF, boolean(true)).and_then(|()| wake_up(reader, waiting)))
}
