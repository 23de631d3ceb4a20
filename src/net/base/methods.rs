//! Methods that all transports have.

use std::ffi::CStr;

use crate::event_loop::Direction;
use crate::names::{ADD_READER, GET, GET_EXTRA_INFO, READ_READY};
use crate::sys::args::Arguments;
use crate::sys::object::none;
use crate::sys::{Layout, Object, Owned, Res, call, containers, typeobj};

use super::forward::base;
use super::native::{Receives, Transport};
use super::watching::start;

pub(in crate::net) const IS_READING_DOC: &CStr = c"is_reading($self, /)\n--\n\n\
    Tell whether it receives.";
pub(in crate::net) const IS_CLOSING_DOC: &CStr = c"is_closing($self, /)\n--\n\n\
    Tell whether it is closing or closed.";
pub(in crate::net) const GET_PROTOCOL_DOC: &CStr = c"get_protocol($self, /)\n--\n\n\
    Return the protocol.";
pub(in crate::net) const SET_PROTOCOL_DOC: &CStr = c"set_protocol($self, protocol, /)\n--\n\n\
    Set another protocol.";
pub(in crate::net) const EXTRA_INFO_DOC: &CStr = c"get_extra_info($self, name, default=None)\n--\n\n\
    Return what is known of the connection under that name.";

pub(in crate::net) const ADD_READER_DOC: &CStr = c"_add_reader($self, fd, callback, *args)\n--\n\n";

pub(in crate::net) fn is_reading<T: Transport>(transport: &T) -> Res<bool> {
    transport.finish()?;
    Ok(transport.is_reading())
}

pub(in crate::net) fn is_closing<T: Transport>(transport: &T) -> Res<bool> {
    transport.finish()?;
    Ok(transport.closing.get())
}

pub(in crate::net) fn get_protocol<T: Transport>(transport: &T) -> Owned {
    transport.protocol.get_or_none()
}

/// `_add_reader(fd, callback, *args)`: a native reader, if it is the transport's own.
pub(in crate::net) fn add_reader<T: Receives>(transport: &T, arguments: Arguments<'_>) -> Res<Owned> {
    if !arguments.has_keywords() && add_own_reader(transport, arguments.positional)? {
        return Ok(none().own());
    }
    base(transport, &ADD_READER, arguments)
}

fn add_own_reader<T: Receives>(transport: &T, arguments: &[&Object]) -> Res<bool> {
    let (Some(core), [fd, callback]) = (transport.native(), arguments) else { return Ok(false) };
    if !transport.is_reading() {
        return Ok(true);
    }
    let own = call::getattr(transport.as_object(), &READ_READY)?;
    if containers::int_clamped(fd)? != i64::from(transport.fd.get()) || !call::equal(callback, &own)? {
        return Ok(false);
    }
    start(transport, &core, Direction::Read, T::READ).map(|()| true)
}

/// `get_extra_info(name, default=None)`
pub(in crate::net) fn get_extra_info<T: Transport>(transport: &T, arguments: Arguments<'_>) -> Res<Owned> {
    transport.finish()?;
    transport.tell_names()?;
    let (name, default) = match arguments.positional {
        [name] if !arguments.has_keywords() => (name, none()),
        [name, default] if !arguments.has_keywords() => (name, *default),
        _ => return base(transport, &GET_EXTRA_INFO, arguments),
    };
    call::call_method(&GET, &[&*transport.extra.get_or_none(), name, default], None)
}

/// `tp_setattro`: an attribute of the instance may hide a method that native code passes over.
pub(in crate::net) fn set_attribute<T: Transport>(transport: &T, name: &Object, value: Option<&Object>) -> Res<()> {
    if T::PASSED_OVER.iter().any(|passed| passed.equals(name)) {
        transport.patched.set(true);
    }
    typeobj::set_generic_attribute(transport.as_object(), name, value)
}
