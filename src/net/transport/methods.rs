//! The transport as Python code, that is the class in `_transports.py`, sees it.

use std::ffi::CStr;

use pyo3::ffi;

use crate::names::{DEL, GET_WRITE_BUFFER_SIZE, Name, PAUSE_READING, RESUME_READING, WRITE, WRITE_EOF, WRITELINES};
use crate::sys::args::Arguments;
use crate::sys::error::{keeping_raised, write_unraisable};
use crate::sys::lazy::Lazy;
use crate::sys::slots::{Method, finalizer, noargs, one, setattro, variadic};
use crate::sys::typeobj::TypeBuilder;
use crate::sys::{Layout, Object, Owned, Res, call, containers, typeobj};

use super::super::base::{
    ADD_READER_DOC, EXTRA_INFO_DOC, GET_PROTOCOL_DOC, IS_CLOSING_DOC, IS_READING_DOC, SET_PROTOCOL_DOC, Transport,
    add_reader, adopt, base, check_base, get_extra_info, get_protocol, is_closing, is_reading, set_attribute,
};
use super::super::tls::{is_ssl_protocol, link, register};
use super::closing::{close, lose};
use super::object::{TYPE, TransportObject};
use super::writing::{Written, finish};
use super::{attributes, reading, writing};

/// Done natively, or by asyncio's own method.
#[inline]
fn unless_done(transport: &TransportObject, written: Written, name: &Name, arguments: &[&Object]) -> Res<()> {
    match written {
        Written::Done => Ok(()),
        Written::NotHere => base(transport, name, Arguments::of(arguments)).map(drop),
    }
}

fn write(transport: &TransportObject, data: &Object) -> Res<()> {
    unless_done(transport, writing::write(transport, data)?, &WRITE, &[data])
}

fn writelines(transport: &TransportObject, lines: &Object) -> Res<()> {
    unless_done(transport, writing::write_lines(transport, lines)?, &WRITELINES, &[lines])
}

fn write_eof(transport: &TransportObject) -> Res<()> {
    unless_done(transport, writing::write_eof(transport)?, &WRITE_EOF, &[])
}

fn get_write_buffer_size(transport: &TransportObject) -> Res<Owned> {
    match writing::buffer_size(transport)? {
        Some(size) => containers::int(i64::try_from(size).unwrap_or(i64::MAX)),
        None => base(transport, &GET_WRITE_BUFFER_SIZE, Arguments::of(&[])),
    }
}

fn pause_reading(transport: &TransportObject) -> Res<()> {
    finish(transport)?;
    if reading::pause(transport)? { Ok(()) } else { base(transport, &PAUSE_READING, Arguments::of(&[])).map(drop) }
}

fn resume_reading(transport: &TransportObject) -> Res<()> {
    finish(transport)?;
    if reading::resume(transport)? { Ok(()) } else { base(transport, &RESUME_READING, Arguments::of(&[])).map(drop) }
}

/// `set_protocol(protocol)`
pub(super) fn set_protocol(transport: &TransportObject, protocol: &Object) -> Res<()> {
    let is_buffered = call::is_instance(protocol, BUFFERED_PROTOCOL_CLASS.get()?)?;
    transport.is_buffered.set(is_buffered);
    // What the instance has by the method's name is what asyncio chooses.
    let own = typeobj::instance_dict(transport.as_object()).filter(|_| transport.patched.get());
    let own = own.and_then(|names| containers::dict_get_named(&names, attributes::usual_reader(transport)));
    drop(transport.read_ready_cb.replace(own));
    let linked = if is_ssl_protocol(protocol) { link(protocol)? } else { None };
    drop(transport.tls.replace(linked));
    transport.protocol_connected.set(true);
    transport.protocol.set(protocol.own());
    if !transport.itself.is_set() {
        transport.itself.set(transport.as_object().own());
    }
    Ok(())
}

static BUFFERED_PROTOCOL_CLASS: Lazy = Lazy::new("asyncio.protocols", "BufferedProtocol");

/// `__del__()`: asyncio's has nothing to say of a transport whose socket was closed.
fn finalize(transport: &TransportObject) {
    if transport.sock.is_set() || !transport.is_as_made() {
        keeping_raised(|| {
            if let Err(raised) = base(transport, &DEL, Arguments::of(&[])) {
                write_unraisable(raised, transport.as_object());
            }
        });
    }
}

const WRITE_DOC: &CStr = c"write($self, data, /)\n--\n\n\
    Send the bytes, after the present step of the loop at the latest.";
const WRITELINES_DOC: &CStr = c"writelines($self, list_of_data, /)\n--\n\n\
    Send the bytes of all of these.";
const WRITE_EOF_DOC: &CStr = c"write_eof($self, /)\n--\n\n\
    Close the writing end when all is sent.";
const CLOSE_DOC: &CStr = c"close($self, /)\n--\n\n\
    Close the connection when all is sent; nothing is received any more.";
const PAUSE_READING_DOC: &CStr = c"pause_reading($self, /)\n--\n\n\
    Receive nothing until resume_reading() is called.";
const RESUME_READING_DOC: &CStr = c"resume_reading($self, /)\n--\n\n\
    Receive again.";
const BUFFER_SIZE_DOC: &CStr = c"get_write_buffer_size($self, /)\n--\n\n\
    Return how many bytes are still to be sent.";
const LOSE_DOC: &CStr = c"_call_connection_lost($self, exc, /)\n--\n\n\
    Tell the protocol, and let go of all.";

fn table() -> [Method; 15] {
    [
        one!(TransportObject, c"write", write, WRITE_DOC),
        one!(TransportObject, c"writelines", writelines, WRITELINES_DOC),
        noargs!(TransportObject, c"write_eof", write_eof, WRITE_EOF_DOC),
        noargs!(TransportObject, c"close", close, CLOSE_DOC),
        noargs!(TransportObject, c"pause_reading", pause_reading, PAUSE_READING_DOC),
        noargs!(TransportObject, c"resume_reading", resume_reading, RESUME_READING_DOC),
        noargs!(TransportObject, c"is_reading", is_reading, IS_READING_DOC),
        noargs!(TransportObject, c"is_closing", is_closing, IS_CLOSING_DOC),
        noargs!(TransportObject, c"get_protocol", get_protocol, GET_PROTOCOL_DOC),
        one!(TransportObject, c"set_protocol", set_protocol, SET_PROTOCOL_DOC),
        noargs!(TransportObject, c"get_write_buffer_size", get_write_buffer_size, BUFFER_SIZE_DOC),
        variadic!(TransportObject, c"get_extra_info", get_extra_info, EXTRA_INFO_DOC),
        noargs!(TransportObject, c"_finish", finish, c"_finish($self, /)\n--\n\nSend what a step has left."),
        variadic!(TransportObject, c"_add_reader", add_reader, ADD_READER_DOC),
        one!(TransportObject, c"_call_connection_lost", lose, LOSE_DOC),
    ]
}

/// `_socket_transport_core(flow_control)`: the type, made on asyncio's class.
pub(super) fn make_type(_module: &Object, flow_control: &Object) -> Res<Owned> {
    let base = check_base(flow_control)?;
    if TYPE.as_ptr().is_null() {
        register(writing::hand_on);
        TypeBuilder::new(&TYPE, c"_asyncio.SocketTransportCore", c"The native half of a socket's transport.")
            .life()
            .mutable()
            .flags(ffi::Py_TPFLAGS_BASETYPE)
            .slot(ffi::Py_tp_setattro, setattro!(TransportObject, set_attribute))
            .slot(ffi::Py_tp_finalize, finalizer!(TransportObject, finalize))
            .getsets(attributes::table())
            .methods(table())
            .build_on(base)?;
    }
    Ok(TYPE.as_object().own())
}

/// `_adopt_transport_class(cls)`: gives the class our methods as its own; its instances are the native ones.
pub(super) fn adopt_class(_module: &Object, class: &Object) -> Res<()> {
    adopt::<TransportObject>(class)
}
