//! The transport as Python code, that is the class in `_tls.py`, sees it.

use std::ffi::CStr;

use pyo3::ffi;

use crate::names::{CLOSE, Name, PAUSE_READING, RESUME_READING, WRITE, WRITELINES};
use crate::sys::error::{Builtin, raise};
use crate::sys::openssl::{self, Objects};
use crate::sys::slots::{Method, noargs, one, positional};
use crate::sys::typeobj::TypeBuilder;
use crate::sys::{Layout, Object, Owned, Res, adopt, call, typeobj};

use super::super::base::check_base;
use super::object::{TYPE, TlsObject};
use super::{attributes, reading, shutdown, writing};

/// Done natively, or by asyncio's own method.
#[inline]
fn unless_done(transport: &TlsObject, is_done: bool, name: &Name, arguments: &[&Object]) -> Res<()> {
    if is_done { Ok(()) } else { base(transport, name, arguments) }
}

/// `super(TheNativeHalf, transport).name(...)`: what asyncio has for the method, or who has replaced it.
#[cold]
fn base(transport: &TlsObject, name: &Name, arguments: &[&Object]) -> Res<()> {
    let bases = call::call(typeobj::super_type(), &[TYPE.as_object(), transport.as_object()])?;
    call::call(&*call::getattr(&bases, name)?, arguments).map(drop)
}

fn write(transport: &TlsObject, data: &Object) -> Res<()> {
    unless_done(transport, writing::write(transport, data)?, &WRITE, &[data])
}

fn writelines(transport: &TlsObject, lines: &Object) -> Res<()> {
    unless_done(transport, writing::write_lines(transport, lines)?, &WRITELINES, &[lines])
}

fn pause_reading(transport: &TlsObject) -> Res<()> {
    unless_done(transport, reading::pause(transport)?, &PAUSE_READING, &[])
}

fn resume_reading(transport: &TlsObject) -> Res<()> {
    unless_done(transport, reading::resume(transport)?, &RESUME_READING, &[])
}

fn close(transport: &TlsObject) -> Res<()> {
    unless_done(transport, shutdown::close(transport)?, &CLOSE, &[])
}

/// `_link(ssl_object, socket, context, incoming, outgoing, direct)`: from now on data goes natively. Returns whether it
/// goes by the library's functions, as was asked for.
fn link(transport: &TlsObject, arguments: &[&Object]) -> Res<bool> {
    let &[ssl_object, socket, context, incoming, outgoing, direct] = arguments else {
        return Err(raise(Builtin::TypeError.class(), c"six arguments were expected"));
    };
    let is_direct = call::is_true(direct)? && openssl::take_up(Objects { socket, context, incoming, outgoing });
    transport.ssl_object.set(ssl_object.own());
    transport.incoming.set(incoming.own());
    transport.outgoing.set(outgoing.own());
    transport.context.set(context.own());
    transport.is_direct.set(is_direct);
    transport.socket.set(socket.own());
    Ok(is_direct)
}

const WRITE_DOC: &CStr = c"write($self, data, /)\n--\n\n\
    Encrypt the bytes and send them, after the present step of the loop at the latest.";
const WRITELINES_DOC: &CStr = c"writelines($self, list_of_data, /)\n--\n\n\
    Encrypt and send the bytes of all of these.";
const PAUSE_READING_DOC: &CStr = c"pause_reading($self, /)\n--\n\n\
    Hand nothing to the protocol until resume_reading() is called.";
const CLOSE_DOC: &CStr = c"close($self, /)\n--\n\n\
    Close the connection when all is sent and the peer was told; nothing is received any more.";
const RESUME_READING_DOC: &CStr = c"resume_reading($self, /)\n--\n\n\
    Hand data to the protocol again.";

fn table() -> [Method; 7] {
    [
        one!(TlsObject, c"write", write, WRITE_DOC),
        one!(TlsObject, c"writelines", writelines, WRITELINES_DOC),
        noargs!(TlsObject, c"close", close, CLOSE_DOC),
        noargs!(TlsObject, c"pause_reading", pause_reading, PAUSE_READING_DOC),
        noargs!(TlsObject, c"resume_reading", resume_reading, RESUME_READING_DOC),
        one!(
            TlsObject,
            c"_read_again",
            reading::resume_now,
            c"_read_again($self, ssl_protocol, /)\n--\n\nDo what resume_reading() has left to the loop."
        ),
        positional!(
            TlsObject,
            c"_link",
            link,
            c"_link($self, ssl_object, socket, context, incoming, outgoing, direct, /)\n--\n\n\
              Have data go natively from now on; tell whether that is by the library's functions."
        ),
    ]
}

/// `_tls_transport_core(flow_control)`: the type, made on asyncio's class.
pub(super) fn make_type(_module: &Object, flow_control: &Object) -> Res<Owned> {
    let base = check_base(flow_control)?;
    if TYPE.as_ptr().is_null() {
        TypeBuilder::new(&TYPE, c"_asyncio.TlsTransportCore", c"The native half of TLS's transport.")
            .life()
            .mutable()
            .flags(ffi::Py_TPFLAGS_BASETYPE)
            .getsets(attributes::table())
            .methods(table())
            .build_on(base)?;
    }
    Ok(TYPE.as_object().own())
}

/// `_adopt_tls_transport_class(cls)`: gives the class our methods as its own.
pub(super) fn adopt_class(_module: &Object, class: &Object) -> Res<()> {
    let wrong = || raise(Builtin::TypeError.class(), c"a subclass of a transport's native half was expected");
    let class = class.as_type().ok_or_else(wrong)?;
    if adopt::methods(&TYPE, class)? { Ok(()) } else { Err(wrong()) }
}
