//! `asyncio.StreamWriter`: `write`, `writelines` and `drain`.
//!
//! A write to a native transport is that transport's, at once; to any other it is for Python code, which calls it.

use crate::future::FutureObject;
use crate::graft::Graft;
use crate::graft::coroutine::{self, Body, Coroutine, Fold, Input, Step, become_python};
use crate::graft::shape::Shape;
use crate::names::{AWAIT, DRAIN_HELPER, PRIVATE_PROTOCOL, PRIVATE_READER, TRANSPORT as TRANSPORT_NAME};
use crate::sys::error::restore;
use crate::sys::object::none;
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::{Layout, Object, Owned, Res, bytes, call, containers, iter};

use super::protocol::{
    PROTOCOL, forget_drain_waiter, must_wait, new_drain_helper, new_drain_waiter, unfolded_drain_helper,
};
use super::reader::{READER, is_sound};
use super::{PROTOCOL_CLASS, READER_CLASS, STREAMS, transport};

pub(crate) static WRITE: Graft = Graft::new(STREAMS, "StreamWriter.write", vectorcall!(write));
pub(crate) static WRITELINES: Graft = Graft::new(STREAMS, "StreamWriter.writelines", vectorcall!(writelines));
pub(crate) static DRAIN: Graft =
    Graft::new(STREAMS, "StreamWriter.drain", vectorcall!(drain)).with(&[READER_CLASS, PROTOCOL_CLASS]);

/// Where it waits itself, `second` is the protocol.
static BODY: Body = Body::new(&DRAIN, run)
    .folding(Fold { unfold: |drain, future| unfolded_drain_helper(&drain.second.get_or_none(), future), woken });

static WRITER: Shape<3> =
    Shape::new(STREAMS, "StreamWriter", [&TRANSPORT_NAME, &PRIVATE_PROTOCOL, &PRIVATE_READER], &[]);
const TRANSPORT: usize = 0;
const PROTOCOL_PLACE: usize = 1;
const READER_PLACE: usize = 2;

/// Where `drain` awaits the protocol.
const HELPER: u16 = 1;

fn write(call: &Call<'_>) -> Option<Res<Owned>> {
    let [writer, data] = call.positional()?;
    if !WRITE.takes(call) {
        return None;
    }
    bytes::of_exact(data)?;
    let transport = WRITER.of(writer)?.get(TRANSPORT)?;
    transport::write(&transport, data).map(|done| done.map(|()| none().own()))
}

fn writelines(call: &Call<'_>) -> Option<Res<Owned>> {
    let [writer, lines] = call.positional()?;
    let is_usual = containers::is_exact_list(lines) || containers::is_exact_tuple(lines);
    if !is_usual || !WRITELINES.takes(call) {
        return None;
    }
    let transport = WRITER.of(writer)?.get(TRANSPORT)?;
    transport::write_lines(&transport, lines).map(|done| done.map(|()| none().own()))
}

fn drain(call: &Call<'_>) -> Option<Res<Owned>> {
    let [writer] = call.positional()?;
    if !DRAIN.makes(call, WRITER.fits(writer)) {
        return None;
    }
    Some(coroutine::new(&BODY, Some(writer), None))
}

fn run(coroutine: &Coroutine, input: Input) -> Res<Step> {
    match input {
        Input::Start => {
            let writer = coroutine.subject();
            begin(coroutine, &writer).unwrap_or_else(|| become_python(coroutine, &[&*writer]))
        }
        Input::Value(_) => Ok(Step::Return(none().own())),
        Input::Error(exception) => Err(restore(exception)),
    }
}

/// `None`, and nothing is done that Python code would not do first, if it is for Python code.
fn begin(coroutine: &Coroutine, object: &Object) -> Option<Res<Step>> {
    let writer = WRITER.of(object).filter(|_| DRAIN.is_on())?;
    let (transport, protocol) = (writer.get(TRANSPORT)?, writer.get(PROTOCOL_PLACE)?);
    let reader = writer.get(READER_PLACE)?;
    let is_usual = reader.is_none() || READER.of(&reader).is_some_and(is_sound);
    if !is_usual || PROTOCOL.of(&protocol).is_none() {
        return None;
    }
    // This sends what is left to be sent, which may run Python code.
    match transport::is_closing(&transport)? {
        Ok(false) => {}
        Ok(true) => return None,
        Err(raised) => return Some(Err(raised)),
    }
    if PROTOCOL.of(&protocol).is_none() || !DRAIN.is_on() {
        return Some(ask_protocol(&protocol));
    }
    match must_wait(&protocol) {
        Some(false) => Some(Ok(Step::Return(none().own()))),
        Some(true) => Some(wait(coroutine, &protocol)),
        None => Some(await_helper(&protocol)),
    }
}

/// Waits itself, if it is as simple as that.
fn wait(coroutine: &Coroutine, protocol: &Object) -> Res<Step> {
    match new_drain_waiter(protocol) {
        Some(future) => {
            coroutine.second.set(protocol.own());
            future.map(|future| Step::WaitFolded(HELPER, future))
        }
        None => await_helper(protocol),
    }
}

fn await_helper(protocol: &Object) -> Res<Step> {
    new_drain_helper(protocol).map(|helper| Step::Await(HELPER, helper))
}

fn woken(drain: &Coroutine, future: &FutureObject) -> Option<Res<Step>> {
    forget_drain_waiter(&*drain.second.get()?, future).map(|done| done.map(|()| Step::Return(none().own())))
}

/// `await self._protocol._drain_helper()`, which is a method of anybody's.
#[cold]
fn ask_protocol(protocol: &Object) -> Res<Step> {
    let helper = call::call_method(&DRAIN_HELPER, &[protocol], None)?;
    let is_coroutine = iter::is_native_coroutine(&helper) || coroutine::downcast(&helper).is_some();
    let awaited = if is_coroutine { helper } else { call::call_method(&AWAIT, &[&*helper], None)? };
    Ok(Step::Await(HELPER, awaited))
}
