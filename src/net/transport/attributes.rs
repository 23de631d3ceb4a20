//! A transport's private attributes, by the names that asyncio gives them.
//!
//! Python code that asks is told what is true after what was written is sent: what a step has left comes first.

use std::cell::Cell;

use pyo3::ffi;

use crate::names::{READ_READY_BUFFERED, READ_READY_DATA, WRITE_SENDMSG};
use crate::sys::object::{boolean, none};
use crate::sys::slots::{getset, not_deleted};
use crate::sys::{Field, Layout, Object, Owned, Res, call, containers};
use crate::versions;

use super::object::TransportObject;
use super::{exposed, writing};

/// An attribute that is kept as an object: what it is and how it is set.
macro_rules! object_attribute {
    ($get:ident, $set:ident, $name:literal, $field:ident) => {
        fn $get(transport: &TransportObject) -> Res<Owned> {
            writing::finish(transport)?;
            Ok(transport.$field.get_or_none())
        }

        fn $set(transport: &TransportObject, value: Option<&Object>) -> Res<()> {
            set_object(transport, $name, &transport.$field, value)
        }
    };
}

macro_rules! flag_attribute {
    ($get:ident, $set:ident, $name:literal, $field:ident) => {
        fn $get(transport: &TransportObject) -> Res<Owned> {
            writing::finish(transport)?;
            Ok(boolean(transport.$field.get()).own())
        }

        fn $set(transport: &TransportObject, value: Option<&Object>) -> Res<()> {
            set_flag(transport, $name, &transport.$field, value)
        }
    };
}

macro_rules! number_attribute {
    ($get:ident, $set:ident, $name:literal, $field:ident) => {
        fn $get(transport: &TransportObject) -> Res<Owned> {
            writing::finish(transport)?;
            containers::int(i64::from(transport.$field.get()))
        }

        fn $set(transport: &TransportObject, value: Option<&Object>) -> Res<()> {
            set_number(transport, $name, &transport.$field, value)
        }
    };
}

type Text = std::ffi::CStr;

fn set_object(transport: &TransportObject, name: &Text, field: &Field, value: Option<&Object>) -> Res<()> {
    let value = not_deleted(transport.as_object(), name, value)?;
    drop(field.replace((!value.is_none()).then(|| value.own())));
    Ok(())
}

fn set_flag(transport: &TransportObject, name: &Text, flag: &Cell<bool>, value: Option<&Object>) -> Res<()> {
    flag.set(call::is_true(not_deleted(transport.as_object(), name, value)?)?);
    Ok(())
}

fn set_number(transport: &TransportObject, name: &Text, number: &Cell<i32>, value: Option<&Object>) -> Res<()> {
    let value = containers::int_clamped(not_deleted(transport.as_object(), name, value)?)?;
    number.set(i32::try_from(value).unwrap_or(i32::MAX));
    Ok(())
}

object_attribute!(get_sock, set_sock, c"_sock", sock);
object_attribute!(get_server, set_server, c"_server", server);
object_attribute!(get_context, set_context, c"_context", context);
object_attribute!(get_empty_waiter, set_empty_waiter, c"_empty_waiter", empty_waiter);
flag_attribute!(get_protocol_connected, set_protocol_connected, c"_protocol_connected", protocol_connected);
flag_attribute!(get_closing, set_closing, c"_closing", closing);
flag_attribute!(get_paused, set_paused, c"_paused", paused);
flag_attribute!(get_eof, set_eof, c"_eof", eof);
number_attribute!(get_fd, set_fd, c"_sock_fd", fd);
number_attribute!(get_conn_lost, set_conn_lost, c"_conn_lost", conn_lost);

fn get_protocol(transport: &TransportObject) -> Res<Owned> {
    writing::finish(transport)?;
    Ok(transport.protocol.get_or_none())
}

fn set_protocol(transport: &TransportObject, value: Option<&Object>) -> Res<()> {
    set_object(transport, c"_protocol", &transport.protocol, value)?;
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
    if !transport.protocol.is_set() || (transport.closing.get() && versions::CLOSING_FORGETS_READER) {
        return Ok(none().own());
    }
    let name = if transport.is_buffered.get() { &READ_READY_BUFFERED } else { &READ_READY_DATA };
    call::getattr(transport.as_object(), name)
}

fn set_read_ready_cb(transport: &TransportObject, value: Option<&Object>) -> Res<()> {
    set_object(transport, c"_read_ready_cb", &transport.read_ready_cb, value)
}

/// What writes, unless another was set.
fn get_write_ready(transport: &TransportObject) -> Res<Owned> {
    match transport.write_ready.get() {
        Some(given) => Ok(given),
        None if !transport.protocol.is_set() => Ok(none().own()),
        None => call::getattr(transport.as_object(), &WRITE_SENDMSG),
    }
}

/// asyncio sets it to its own method when it makes the transport; only another is kept.
fn set_write_ready(transport: &TransportObject, value: Option<&Object>) -> Res<()> {
    let value = not_deleted(transport.as_object(), c"_write_ready", value)?;
    let usual = call::getattr(transport.as_object(), &WRITE_SENDMSG)?;
    let is_usual = value.is_none() || call::equal(value, &usual)?;
    drop(transport.write_ready.replace((!is_usual).then(|| value.own())));
    Ok(())
}

pub(super) fn table() -> Vec<ffi::PyGetSetDef> {
    let mut table = vec![
        getset!(TransportObject, c"_sock", get_sock, set_sock, c"The socket, or None when it is closed."),
        getset!(TransportObject, c"_sock_fd", get_fd, set_fd, c"The socket's descriptor."),
        getset!(TransportObject, c"_protocol", get_protocol, set_protocol, c"The protocol."),
        getset!(
            TransportObject,
            c"_protocol_connected",
            get_protocol_connected,
            set_protocol_connected,
            c"Whether there is a protocol."
        ),
        getset!(TransportObject, c"_server", get_server, set_server, c"The server that has accepted it, or None."),
        getset!(TransportObject, c"_closing", get_closing, set_closing, c"Whether it was closed."),
        getset!(TransportObject, c"_paused", get_paused, set_paused, c"Whether reading is paused."),
        getset!(TransportObject, c"_eof", get_eof, set_eof, c"Whether write_eof() was called."),
        getset!(
            TransportObject,
            c"_conn_lost",
            get_conn_lost,
            set_conn_lost,
            c"Not zero when the connection is lost: one more than the number of writes since."
        ),
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
    ];
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
        table.push(getset!(TransportObject, c"_context", get_context, set_context, c"The context of callbacks."));
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
