//! The attributes that `_SSLProtocolTransport` has: its `SSLProtocol`, and whether it was closed.

use pyo3::ffi;

use crate::sys::slots::getset;
use crate::sys::{Layout, Object, Owned, Res, object};

use super::super::base::attributes::{set_flag, set_object};
use super::object::TlsObject;

fn get_ssl_protocol(transport: &TlsObject) -> Owned {
    transport.ssl_protocol.get_or_none()
}

fn set_ssl_protocol(transport: &TlsObject, value: Option<&Object>) -> Res<()> {
    set_object(transport.as_object(), c"_ssl_protocol", &transport.ssl_protocol, value)?;
    transport.unlink();
    Ok(())
}

fn get_closed(transport: &TlsObject) -> Owned {
    object::boolean(transport.closed.get()).own()
}

fn set_closed(transport: &TlsObject, value: Option<&Object>) -> Res<()> {
    set_flag(transport.as_object(), c"_closed", &transport.closed, value)
}

pub(super) fn table() -> [ffi::PyGetSetDef; 2] {
    [
        getset!(TlsObject, c"_ssl_protocol", get_ssl_protocol, set_ssl_protocol, c"The protocol beneath."),
        getset!(TlsObject, c"_closed", get_closed, set_closed, c"Whether it was closed."),
    ]
}
