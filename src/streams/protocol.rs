//! `StreamReaderProtocol`: what comes from the transport goes to the reader; writers wait while the transport wants no
//! more.

use crate::future::FutureObject;
use crate::graft::Graft;
use crate::graft::coroutine::{self, Body, Coroutine, Inner, Input, Step, become_python};
use crate::graft::running::Running;
use crate::graft::shape::{Attributes, Shape};
use crate::names::{
    CONNECTION_LOST_FLAG, DRAIN_WAITERS, OVER_SSL as OVER_SSL_NAME, PAUSED as PAUSED_NAME, PRIVATE_LOOP,
    STREAM_READER_REFERENCE,
};
use crate::sync::waiters;
use crate::sys::deque;
use crate::sys::error::{handling, restore};
use crate::sys::object::{boolean, none};
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res, bytes, weak};

use super::reader::{READER, end, feed};
#[cfg(target_os = "linux")]
use super::reader::{Room, Waiting, room, wake_up};
#[cfg(target_os = "linux")]
use super::transport::{Fed, Feeding, Place};
use super::{PROTOCOL_CLASS, READER_CLASS, STREAMS};

pub(crate) static DATA_RECEIVED: Graft =
    Graft::new(STREAMS, "StreamReaderProtocol.data_received", vectorcall!(data_received)).with(&[READER_CLASS]);
pub(crate) static EOF_RECEIVED: Graft =
    Graft::new(STREAMS, "StreamReaderProtocol.eof_received", vectorcall!(eof_received)).with(&[READER_CLASS]);
pub(crate) static DRAIN_HELPER: Graft =
    Graft::new(STREAMS, "FlowControlMixin._drain_helper", vectorcall!(drain_helper)).with(&[PROTOCOL_CLASS]);

static DRAIN_BODY: Body = Body::new(&DRAIN_HELPER, run_drain_helper);

pub(super) static PROTOCOL: Shape<6> = Shape::new(
    STREAMS,
    "StreamReaderProtocol",
    [&STREAM_READER_REFERENCE, &OVER_SSL_NAME, &PAUSED_NAME, &CONNECTION_LOST_FLAG, &DRAIN_WAITERS, &PRIVATE_LOOP],
    &[&crate::names::DRAIN_HELPER, &crate::names::DATA_RECEIVED, &crate::names::EOF_RECEIVED],
);
const REFERENCE: usize = 0;
const OVER_SSL: usize = 1;
const PAUSED: usize = 2;
const CONNECTION_LOST: usize = 3;
const WAITERS: usize = 4;
const LOOP: usize = 5;

pub(super) type Protocol<'a> = Attributes<'a, 6>;

/// `self._stream_reader`: the reader, or the object `None`. Nothing if it is for Python code.
#[inline]
fn reader_of(protocol: Protocol<'_>) -> Option<Owned> {
    let reference = protocol.get(REFERENCE)?;
    if reference.is_none() {
        return Some(reference);
    }
    weak::is_reference(&reference).then(|| weak::target(&reference).unwrap_or_else(|| none().own()))
}

fn data_received(call: &Call<'_>) -> Option<Res<Owned>> {
    let [protocol, data] = call.positional()?;
    if !DATA_RECEIVED.takes(call) {
        return None;
    }
    let reader = reader_of(PROTOCOL.of(protocol)?)?;
    if reader.is_none() {
        return Some(Ok(reader));
    }
    feed(READER.of(&reader)?, bytes::of_exact(data)?).map(|done| done.map(|()| none().own()))
}

/// What native transports do instead of calling it.
#[cfg(target_os = "linux")]
pub(super) static FEEDING: Feeding =
    Feeding { takes: |protocol| PROTOCOL.fits(protocol) && DATA_RECEIVED.is_on(), place, wake };

#[cfg(target_os = "linux")]
fn place(protocol: &Object) -> Option<Place> {
    let reader = reader_of(PROTOCOL.of(protocol)?)?;
    let Room { buffer, most, waiting } = room(READER.of(&reader)?)?;
    let waiter = match waiting {
        Waiting::Nobody => None,
        Waiting::One(waiter) => Some(waiter),
    };
    Some(Place { buffer, most, fed: Fed { reader, waiter } })
}

#[cfg(target_os = "linux")]
fn wake(fed: Fed) -> Res<()> {
    let waiting = fed.waiter.map_or(Waiting::Nobody, Waiting::One);
    READER.of(&fed.reader).map_or(Ok(()), |reader| wake_up(reader, waiting))
}

fn eof_received(call: &Call<'_>) -> Option<Res<Owned>> {
    let [protocol] = call.positional()?;
    if !EOF_RECEIVED.takes(call) {
        return None;
    }
    let protocol = PROTOCOL.of(protocol)?;
    let stays_open = !protocol.flag(OVER_SSL)?;
    let reader = reader_of(protocol)?;
    if !reader.is_none() {
        if let Err(raised) = end(READER.of(&reader)?)? {
            return Some(Err(raised));
        }
    }
    Some(Ok(boolean(stays_open).own()))
}

/// `None` if it is for Python code; else whether writers have to wait.
#[inline]
pub(super) fn must_wait(protocol: &Object) -> Option<bool> {
    let protocol = PROTOCOL.of(protocol)?;
    if protocol.flag(CONNECTION_LOST)? { None } else { protocol.flag(PAUSED) }
}

fn drain_helper(call: &Call<'_>) -> Option<Res<Owned>> {
    let [protocol] = call.positional()?;
    if !DRAIN_HELPER.makes(call, PROTOCOL.fits(protocol)) {
        return None;
    }
    Some(new_drain_helper(protocol))
}

/// `protocol._drain_helper()`
pub(super) fn new_drain_helper(protocol: &Object) -> Res<Owned> {
    coroutine::new(&DRAIN_BODY, Some(protocol), None)
}

/// `first` is the future that waits.
fn run_drain_helper(coroutine: &Coroutine, input: Input) -> Res<Step> {
    let protocol = coroutine.subject();
    match input {
        Input::Start => begin_drain_helper(coroutine, &protocol),
        Input::Value(_) => {
            remove(coroutine, &protocol)?;
            Ok(Step::Return(none().own()))
        }
        Input::Error(exception) => {
            handling(&exception, || remove(coroutine, &protocol))?;
            Err(restore(exception))
        }
    }
}

fn begin_drain_helper(coroutine: &Coroutine, object: &Object) -> Res<Step> {
    let python = || become_python(coroutine, &[object]);
    let Some(must_wait) = must_wait(object).filter(|_| DRAIN_HELPER.is_on()) else { return python() };
    if !must_wait {
        return Ok(Step::Return(none().own()));
    }
    let Some(future) = new_drain_waiter(object) else { return python() };
    let future = future?;
    coroutine.first.set(future.as_object().own());
    Ok(Step::Wait(0, future))
}

/// A future that is among `self._drain_waiters` now. `None`, and nothing is done, if that is for Python code.
pub(super) fn new_drain_waiter(object: &Object) -> Option<Res<Owned<FutureObject>>> {
    let protocol = PROTOCOL.of(object)?;
    let running = Running::find().filter(|running| protocol.holds(LOOP, running.event_loop()))?;
    let waiters = protocol.get(WAITERS).and_then(deque::downcast)?;
    let future = match running.new_future() {
        Ok(future) => future?,
        Err(raised) => return Some(Err(raised)),
    };
    Some(deque::append(&waiters, future.as_object()).map(|()| future))
}

/// The coroutine of `protocol._drain_helper()`, which `drain` has not made, and which waits for the future.
#[cold]
pub(super) fn unfolded_drain_helper(protocol: &Object, future: &FutureObject) -> Res<Owned> {
    let first = Some(future.as_object());
    Inner { body: &DRAIN_BODY, subject: protocol, first, second: None, place: 0 }.waiting_for(future)
}

/// Takes the future, which is done, out of `self._drain_waiters`. `None`, and nothing is done, if it is not the first there.
pub(super) fn forget_drain_waiter(object: &Object, future: &FutureObject) -> Option<Res<()>> {
    let protocol = PROTOCOL.of(object).filter(|_| DRAIN_HELPER.is_on())?;
    let waiters = protocol.get(WAITERS).and_then(deque::downcast)?;
    let is_first = deque::first(&waiters).is_some_and(|first| first.is(future));
    is_first.then(|| deque::popleft(&waiters).map(drop))
}

/// `self._drain_waiters.remove(waiter)`
fn remove(coroutine: &Coroutine, object: &Object) -> Res<()> {
    let waiter = coroutine.first.get_or_none();
    let waiters = PROTOCOL.of(object).filter(|_| DRAIN_HELPER.is_on()).and_then(|protocol| protocol.get(WAITERS));
    waiters::remove(coroutine, object, &DRAIN_WAITERS, waiters, &waiter)
}
