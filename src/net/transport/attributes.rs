//! A transport's private attributes, by the names that asyncio gives them.
//!
//! Python code that asks is told what is true after what was written is sent: what a step has left comes first.

use pyo3::ffi;

use crate::names::{Name, READ_READY_BUFFERED, READ_READY_DATA, WRITE_SENDMSG};
use crate::sys::object::none;
use crate::sys::slots::{getset, not_deleted};
use crate::sys::{Layout, Object, Owned, Res, call, containers};
use crate::versions;

use super::super::base::attributes::{common_attributes, flag_attribute, object_attribute, set_object};
use super::super::base::of_class;
use super::object::TransportObject;
use super::{exposed, names, writing};

object_attribute!(TransportObject, get_empty_waiter, set_empty_waiter, c"_empty_waiter", empty_waiter);
flag_attribute!(TransportObject, get_eof, set_eof, c"_eof", eof);

fn get_extra(transport: &TransportObject) -> Res<Owned> {
    names::tell(transport)?;
    Ok(transport.extra.get_or_none())
}

fn set_extra(transport: &TransportObject, value: Option<&Object>) -> Res<()> {
    transport.untold.clear();
    set_object(
        transport.as_object(),
        c"_extra",
        &transport.extra,
        Some(not_deleted(transport.as_object(), c"_extra", value)?),
    )
}

fn get_protocol(transport: &TransportObject) -> Res<Owned> {
    writing::finish(transport)?;
    Ok(transport.protocol.get_or_none())
}

fn set_protocol(transport: &TransportObject, value: Option<&Object>) -> Res<()> {
    set_object(transport.as_object(), c"_protocol", &transport.protocol, value)?;
    transport.tls.clear();
    if !transport.protocol.is_set() {
        transport.itself.clear();
    }
    Ok(())
}

fn get_buffer(transport: &TransportObject) -> Res<Owned> {
    writing::finish(transport)?;
    exposed::buffer(transport)
}

fn set_buffer(transport: &TransportObject, value: Option<&Object>) -> Res<()> {
    let value = not_deleted(transport.as_object(), c"_buffer", value)?;
    exposed::set_buffer(transport, value);
    Ok(())
}

fn get_buffer_size(transport: &TransportObject) -> Res<Owned> {
    writing::finish(transport)?;
    match transport.exposed_size.get() {
        Some(size) => Ok(size),
        None => containers::int(i64::try_from(transport.queue.size()).unwrap_or(i64::MAX)),
    }
}

fn set_buffer_size(transport: &TransportObject, value: Option<&Object>) -> Res<()> {
    let value = not_deleted(transport.as_object(), c"_buffer_size", value)?;
    if transport.is_exposed() {
        transport.exposed_size.set(value.own());
    }
    Ok(())
}

/// What reads: the one for the protocol, unless another was set.
fn get_read_ready_cb(transport: &TransportObject) -> Res<Owned> {
    if let Some(given) = transport.read_ready_cb.get() {
        return Ok(given);
    }
    of_class(transport, usual_reader(transport))
}

/// What `set_protocol()` chooses: a method that is bound then.
pub(super) fn usual_reader(transport: &TransportObject) -> &'static Name {
    if transport.is_buffered.get() { &READ_READY_BUFFERED } else { &READ_READY_DATA }
}

fn set_read_ready_cb(transport: &TransportObject, value: Option<&Object>) -> Res<()> {
    let value = not_deleted(transport.as_object(), c"_read_ready_cb", value)?;
    transport.read_ready_cb.set(value.own());
    Ok(())
}

/// What writes, unless another was set.
fn get_write_ready(transport: &TransportObject) -> Res<Owned> {
    match transport.write_ready.get() {
        Some(given) => Ok(given),
        None if transport.writer_is_forgotten.get() => Ok(none().own()),
        None => of_class(transport, &WRITE_SENDMSG),
    }
}

/// asyncio sets it to its own method when it makes the transport, and to None at its end; only another is kept.
fn set_write_ready(transport: &TransportObject, value: Option<&Object>) -> Res<()> {
    let value = not_deleted(transport.as_object(), c"_write_ready", value)?;
    let usual = of_class(transport, &WRITE_SENDMSG)?;
    let is_usual = value.is_none() || call::equal(value, &usual)?;
    transport.writer_is_forgotten.set(value.is_none());
    drop(transport.write_ready.replace((!is_usual).then(|| value.own())));
    Ok(())
}

pub(super) fn table() -> Vec<ffi::PyGetSetDef> {
    let mut table = common_attributes!(TransportObject);
    table.extend([
        getset!(TransportObject, c"_extra", get_extra, set_extra, c"What is known of the connection, a dict."),
        getset!(TransportObject, c"_protocol", get_protocol, set_protocol, c"The protocol."),
        getset!(TransportObject, c"_eof", get_eof, set_eof, c"Whether write_eof() was called."),
        getset!(
            TransportObject,
            c"_empty_waiter",
            get_empty_waiter,
            set_empty_waiter,
            c"A future that is done when all is sent, or None."
        ),
        getset!(TransportObject, c"_buffer", get_buffer, set_buffer, c"What is to be sent."),
        getset!(
            TransportObject,
            c"_read_ready_cb",
            get_read_ready_cb,
            set_read_ready_cb,
            c"What is called when the socket is readable."
        ),
    ]);
    if !versions::SENDS_FROM_BYTEARRAY {
        table.push(getset!(
            TransportObject,
            c"_write_ready",
            get_write_ready,
            set_write_ready,
            c"What is called when the socket is writable."
        ));
    }
    if versions::TRANSPORTS_HAVE_CONTEXT {
        table.push(getset!(
            TransportObject,
            c"_buffer_size",
            get_buffer_size,
            set_buffer_size,
            c"How many bytes are to be sent."
        ));
    }
    table
}
