//! `transport._buffer`: what asyncio has there, a deque (up to 3.11 a bytearray) of what is to be sent.
//!
//! Whoever asks for it gets a real one, into which the queue moves. From then on asyncio's own functions write and send,
//! until it is empty and nobody but the transport has a reference to it.

use crate::names::EXTEND;
use crate::sys::lazy::Lazy;
use crate::sys::typeobj::reference_count;
use crate::sys::{Field, Layout, Object, Owned, Res, call, containers};
use crate::versions;

use super::object::TransportObject;

static BUFFER: Lazy =
    if versions::SENDS_FROM_BYTEARRAY { Lazy::new("builtins", "bytearray") } else { Lazy::new("collections", "deque") };

/// `transport._buffer`
pub(super) fn buffer(transport: &TransportObject) -> Res<Owned> {
    if let Some(exposed) = transport.exposed.get() {
        return Ok(exposed);
    }
    let made = call::call0(BUFFER.get()?)?;
    let objects = transport.queue.objects()?;
    for object in &objects {
        if versions::SENDS_FROM_BYTEARRAY {
            call::call_method(&EXTEND, &[&*made, object], None)?;
        } else {
            call::call_method(&crate::sys::intern::APPEND, &[&*made, object], None)?;
        }
    }
    if let Some(exposed) = transport.exposed.get() {
        return Ok(exposed); // making it has run Python code
    }
    transport.exposed_size.set(containers::int(i64::try_from(transport.queue.size()).unwrap_or(i64::MAX))?);
    transport.exposed.set(made.clone());
    transport.queue.clear(); // the other has references to all of it
    Ok(made)
}

/// `transport._buffer = value`
pub(super) fn set_buffer(transport: &TransportObject, value: &Object) {
    // A transport is made with an empty one that nobody else has.
    let is_nothing = reference_count(value) <= 2 && len(value) == Some(0);
    let before = transport.exposed.replace((!is_nothing).then(|| value.own()));
    transport.queue.clear();
    drop(before);
}

/// Has native code what is to be sent, now?
#[inline]
pub(super) fn taken_back(transport: &TransportObject) -> bool {
    !transport.is_exposed() || take_back(transport)
}

#[cold]
fn take_back(transport: &TransportObject) -> bool {
    let sole =
        |field: &Field| field.get().is_some_and(|object| reference_count(&object) == 2 && len(&object) == Some(0));
    if !sole(&transport.exposed) {
        return false;
    }
    drop(transport.exposed.take());
    transport.exposed_size.clear();
    true
}

/// How long it is, if it is one of what asyncio has there.
fn len(value: &Object) -> Option<usize> {
    let is_known = BUFFER.find().is_some_and(|class| value.class().is(class));
    if is_known { containers::length(value).ok() } else { None }
}
