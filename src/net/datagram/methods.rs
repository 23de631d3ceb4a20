//! The transport as Python code, that is the class in `_transports.py`, sees it.

use std::ffi::CStr;

use pyo3::ffi;

use crate::names::{ADDR, SENDTO, SENDTO_READY};
use crate::sys::args::Arguments;
use crate::sys::object::none;
use crate::sys::slots::{Method, noargs, setattro, variadic};
use crate::sys::typeobj::TypeBuilder;
use crate::sys::{Layout, Object, Owned, Res};

use super::super::base::{
    ADD_READER_DOC, EXTRA_INFO_DOC, IS_CLOSING_DOC, add_reader, adopt, base, check_base, get_extra_info, is_closing,
    set_attribute,
};
use super::object::{DatagramObject, TYPE};
use super::{attributes, writing};

/// `sendto(data, addr=None)`
fn sendto(transport: &DatagramObject, arguments: Arguments<'_>) -> Res<Owned> {
    let mut keywords = arguments.keywords();
    let given = match (arguments.positional, keywords.next(), keywords.next()) {
        ([data], None, _) => Some((*data, none())),
        ([data, to], None, _) => Some((*data, *to)),
        ([data], Some((keyword, to)), None) if ADDR.equals(keyword) => Some((*data, to)),
        _ => None,
    };
    if let Some((data, to)) = given {
        if writing::send_to(transport, data, to)? {
            return Ok(none().own());
        }
    }
    base(transport, &SENDTO, arguments)
}

fn sendto_ready(transport: &DatagramObject) -> Res<()> {
    if writing::send_waiting(transport)? {
        return Ok(());
    }
    base(transport, &SENDTO_READY, Arguments::of(&[])).map(drop)
}

const SENDTO_DOC: &CStr = c"sendto($self, data, addr=None)\n--\n\n\
    Send the data as one datagram, to the address or to the one that the transport was made for.";
const SENDTO_READY_DOC: &CStr = c"_sendto_ready($self, /)\n--\n\n\
    Send what has to wait.";

fn table() -> [Method; 5] {
    [
        variadic!(DatagramObject, c"sendto", sendto, SENDTO_DOC),
        noargs!(DatagramObject, c"_sendto_ready", sendto_ready, SENDTO_READY_DOC),
        noargs!(DatagramObject, c"is_closing", is_closing, IS_CLOSING_DOC),
        variadic!(DatagramObject, c"get_extra_info", get_extra_info, EXTRA_INFO_DOC),
        variadic!(DatagramObject, c"_add_reader", add_reader, ADD_READER_DOC),
    ]
}

/// `_datagram_transport_core(flow_control)`: the type, made on asyncio's class.
pub(super) fn make_type(_module: &Object, flow_control: &Object) -> Res<Owned> {
    let base = check_base(flow_control)?;
    if TYPE.as_ptr().is_null() {
        TypeBuilder::new(&TYPE, c"_asyncio.DatagramTransportCore", c"The native half of the transport of datagrams.")
            .life()
            .mutable()
            .flags(ffi::Py_TPFLAGS_BASETYPE)
            .slot(ffi::Py_tp_setattro, setattro!(DatagramObject, set_attribute))
            .getsets(attributes::table())
            .methods(table())
            .build_on(base)?;
    }
    Ok(TYPE.as_object().own())
}

/// `_adopt_datagram_transport_class(cls)`: gives the class our methods as its own; its instances are the native ones.
pub(super) fn adopt_class(_module: &Object, class: &Object) -> Res<()> {
    adopt::<DatagramObject>(class)
}
