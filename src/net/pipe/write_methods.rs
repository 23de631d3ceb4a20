//! The writing transport as Python code, that is the class in `_transports.py`, sees it.

use std::ffi::CStr;

use pyo3::ffi;

use crate::names::{WRITE, WRITE_READY};
use crate::sys::args::Arguments;
use crate::sys::slots::{Method, getset, noargs, one, setattro, variadic};
use crate::sys::typeobj::TypeBuilder;
use crate::sys::{Layout, Object, Owned, Res};

use super::super::base::attributes::{number_attribute, object_attribute};
use super::super::base::{
    EXTRA_INFO_DOC, GET_PROTOCOL_DOC, IS_CLOSING_DOC, SET_PROTOCOL_DOC, adopt, base, check_base, get_extra_info,
    get_protocol, is_closing, set_attribute,
};
use super::end::{end_attributes, set_protocol};
use super::write_object::{TYPE, WritePipeObject};
use super::writing;

fn write(transport: &WritePipeObject, data: &Object) -> Res<()> {
    if writing::write(transport, data)? {
        return Ok(());
    }
    base(transport, &WRITE, Arguments::of(&[data])).map(drop)
}

fn write_ready(transport: &WritePipeObject) -> Res<()> {
    if writing::write_waiting(transport)? {
        return Ok(());
    }
    base(transport, &WRITE_READY, Arguments::of(&[])).map(drop)
}

const WRITE_DOC: &CStr = c"write($self, data, /)\n--\n\n\
    Write the bytes; what there is no room for waits.";
const WRITE_READY_DOC: &CStr = c"_write_ready($self, /)\n--\n\n\
    Write what has to wait.";

object_attribute!(WritePipeObject, get_buffer, set_buffer, c"_buffer", buffer);
number_attribute!(WritePipeObject, get_conn_lost, set_conn_lost, c"_conn_lost", conn_lost);

fn attributes() -> Vec<ffi::PyGetSetDef> {
    let mut table = end_attributes!(WritePipeObject);
    table.extend([
        getset!(WritePipeObject, c"_buffer", get_buffer, set_buffer, c"What has to wait."),
        getset!(
            WritePipeObject,
            c"_conn_lost",
            get_conn_lost,
            set_conn_lost,
            c"Not zero when the connection is lost: one more than the number of writes since."
        ),
    ]);
    table
}

fn methods() -> [Method; 6] {
    [
        one!(WritePipeObject, c"write", write, WRITE_DOC),
        noargs!(WritePipeObject, c"_write_ready", write_ready, WRITE_READY_DOC),
        noargs!(WritePipeObject, c"is_closing", is_closing, IS_CLOSING_DOC),
        noargs!(WritePipeObject, c"get_protocol", get_protocol, GET_PROTOCOL_DOC),
        one!(WritePipeObject, c"set_protocol", set_protocol, SET_PROTOCOL_DOC),
        variadic!(WritePipeObject, c"get_extra_info", get_extra_info, EXTRA_INFO_DOC),
    ]
}

/// `_write_pipe_core(flow_control)`: the type, made on asyncio's class.
pub(super) fn make_type(_module: &Object, flow_control: &Object) -> Res<Owned> {
    let base = check_base(flow_control)?;
    if TYPE.as_ptr().is_null() {
        TypeBuilder::new(
            &TYPE,
            c"_asyncio.WritePipeTransportCore",
            c"The native half of a pipe's transport that writes.",
        )
        .life()
        .mutable()
        .flags(ffi::Py_TPFLAGS_BASETYPE)
        .slot(ffi::Py_tp_setattro, setattro!(WritePipeObject, set_attribute))
        .getsets(attributes())
        .methods(methods())
        .build_on(base)?;
    }
    Ok(TYPE.as_object().own())
}

/// `_adopt_write_pipe_class(cls)`: gives the class our methods as its own; its instances are the native ones.
pub(super) fn adopt_class(_module: &Object, class: &Object) -> Res<()> {
    adopt::<WritePipeObject>(class)
}
