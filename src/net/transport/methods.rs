//! The transport as Python code, that is the class in `_transports.py`, sees it.

use std::ffi::CStr;

use pyo3::ffi;

use crate::names::{
    ADD_READER, CLOSE, GET, GET_EXTRA_INFO, GET_WRITE_BUFFER_SIZE, IS_CLOSING, IS_READING, MAX_SIZE,
    MAYBE_PAUSE_PROTOCOL, MAYBE_RESUME_PROTOCOL, Name, PAUSE_READING, READ_READY, READ_READY_BUFFERED, READ_READY_DATA,
    READ_READY_EOF, RESUME_READING, WRITE, WRITE_EOF, WRITE_SENDMSG, WRITELINES,
};
use crate::sys::args::Arguments;
use crate::sys::error::{Builtin, raise};
use crate::sys::lazy::Lazy;
use crate::sys::object::none;
use crate::sys::slots::{Method, noargs, one, setattro, variadic};
use crate::sys::typeobj::{self, TypeBuilder};
use crate::sys::{Layout, Object, Owned, Res, adopt, call, containers, types};

use super::closing::close;
use super::forward::base;
use super::native::CLASS;
use super::object::{TYPE, TransportObject, has_slots};
use super::writing::{Written, finish};
use super::{attributes, reading, writing};

/// What Rust code does itself instead of calling the method of that name, or looking the attribute up.
static PASSED_OVER: [&Name; 16] = [
    &ADD_READER,
    &CLOSE,
    &GET_WRITE_BUFFER_SIZE,
    &IS_CLOSING,
    &IS_READING,
    &MAX_SIZE,
    &MAYBE_PAUSE_PROTOCOL,
    &MAYBE_RESUME_PROTOCOL,
    &PAUSE_READING,
    &READ_READY,
    &READ_READY_BUFFERED,
    &READ_READY_DATA,
    &READ_READY_EOF,
    &RESUME_READING,
    &WRITE,
    &WRITE_SENDMSG,
];

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

fn is_reading(transport: &TransportObject) -> Res<bool> {
    finish(transport)?;
    Ok(transport.is_reading())
}

fn is_closing(transport: &TransportObject) -> Res<bool> {
    finish(transport)?;
    Ok(transport.closing.get())
}

fn get_protocol(transport: &TransportObject) -> Owned {
    transport.protocol.get_or_none()
}

/// `set_protocol(protocol)`
fn set_protocol(transport: &TransportObject, protocol: &Object) -> Res<()> {
    let is_buffered = call::is_instance(protocol, BUFFERED_PROTOCOL_CLASS.get()?)?;
    transport.read_ready_cb.clear();
    transport.is_buffered.set(is_buffered);
    transport.protocol_connected.set(true);
    transport.protocol.set(protocol.own());
    if !transport.itself.is_set() {
        transport.itself.set(transport.as_object().own());
    }
    Ok(())
}

static BUFFERED_PROTOCOL_CLASS: Lazy = Lazy::new("asyncio.protocols", "BufferedProtocol");

/// `_add_reader(fd, callback, *args)`
fn add_reader(transport: &TransportObject, arguments: Arguments<'_>) -> Res<Owned> {
    if !arguments.has_keywords() && reading::add_reader(transport, arguments.positional)? {
        return Ok(none().own());
    }
    base(transport, &ADD_READER, arguments)
}

/// `get_extra_info(name, default=None)`
fn get_extra_info(transport: &TransportObject, arguments: Arguments<'_>) -> Res<Owned> {
    finish(transport)?;
    let (name, default) = match arguments.positional {
        [name] if !arguments.has_keywords() => (name, none()),
        [name, default] if !arguments.has_keywords() => (name, *default),
        _ => return base(transport, &GET_EXTRA_INFO, arguments),
    };
    call::call_method(&GET, &[&*transport.extra.get_or_none(), name, default], None)
}

/// `tp_setattro`: an attribute of the instance may hide a method that native code passes over.
fn set_attribute(transport: &TransportObject, name: &Object, value: Option<&Object>) -> Res<()> {
    if PASSED_OVER.iter().any(|passed| passed.equals(name)) {
        transport.patched.set(true);
    }
    typeobj::set_generic_attribute(transport.as_object(), name, value)
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
const IS_READING_DOC: &CStr = c"is_reading($self, /)\n--\n\n\
    Tell whether it receives.";
const IS_CLOSING_DOC: &CStr = c"is_closing($self, /)\n--\n\n\
    Tell whether it is closing or closed.";
const GET_PROTOCOL_DOC: &CStr = c"get_protocol($self, /)\n--\n\n\
    Return the protocol.";
const SET_PROTOCOL_DOC: &CStr = c"set_protocol($self, protocol, /)\n--\n\n\
    Set another protocol.";
const BUFFER_SIZE_DOC: &CStr = c"get_write_buffer_size($self, /)\n--\n\n\
    Return how many bytes are still to be sent.";
const EXTRA_INFO_DOC: &CStr = c"get_extra_info($self, name, default=None)\n--\n\n\
    Return what is known of the connection under that name.";

fn table() -> [Method; 14] {
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
        variadic!(TransportObject, c"_add_reader", add_reader, c"_add_reader($self, fd, callback, *args)\n--\n\n"),
    ]
}

/// `_socket_transport_core(flow_control)`: the type, made on asyncio's class.
pub(super) fn make_type(_module: &Object, flow_control: &Object) -> Res<Owned> {
    let unknown = || raise(Builtin::RuntimeError.class(), c"rasyncio does not know the transports of this asyncio");
    let base = flow_control.as_type().filter(|class| has_slots(class)).ok_or_else(unknown)?;
    if TYPE.as_ptr().is_null() {
        TypeBuilder::new(&TYPE, c"_asyncio.SocketTransportCore", c"The native half of a socket's transport.")
            .life()
            .mutable()
            .flags(ffi::Py_TPFLAGS_BASETYPE)
            .slot(ffi::Py_tp_setattro, setattro!(TransportObject, set_attribute))
            .getsets(attributes::table())
            .methods(table())
            .build_on(base)?;
    }
    Ok(TYPE.as_object().own())
}

/// `_adopt_transport_class(cls)`: gives the class our methods as its own; its instances are the native ones.
pub(super) fn adopt_class(_module: &Object, class: &Object) -> Res<()> {
    let wrong = || raise(Builtin::TypeError.class(), c"a subclass of SocketTransportCore was expected");
    let class = class.as_type().ok_or_else(wrong)?;
    if !adopt::methods(&TYPE, class)? {
        return Err(wrong());
    }
    CLASS.set(Some(types::keep(class)));
    Ok(())
}
