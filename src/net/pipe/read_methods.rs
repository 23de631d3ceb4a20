//! The reading transport as Python code, that is the class in `_transports.py`, sees it.

use std::ffi::CStr;

use pyo3::ffi;

use crate::names::{IS_READING, PAUSE_READING, READ_READY, RESUME_READING};
use crate::sys::args::Arguments;
use crate::sys::error::{Builtin, raise};
use crate::sys::slots::{Method, getset, noargs, one, setattro, variadic};
use crate::sys::typeobj::TypeBuilder;
use crate::sys::{Layout, Object, Owned, Res, call};

use super::super::base::attributes::{flag_attribute, object_attribute};
use super::super::base::{
    ADD_READER_DOC, EXTRA_INFO_DOC, GET_PROTOCOL_DOC, IS_CLOSING_DOC, IS_READING_DOC, SET_PROTOCOL_DOC, add_reader,
    adopt, base, check_plain_base, get_extra_info, get_protocol, is_closing, is_reading, set_attribute,
};
use super::end::{end_attributes, set_protocol};
use super::read_object::{ReadPipeObject, TYPE};
use super::reading;

fn read_ready(transport: &ReadPipeObject) -> Res<()> {
    if reading::read(transport)? { Ok(()) } else { base(transport, &READ_READY, Arguments::of(&[])).map(drop) }
}

fn pause_reading(transport: &ReadPipeObject) -> Res<()> {
    if reading::pause(transport)? { Ok(()) } else { base(transport, &PAUSE_READING, Arguments::of(&[])).map(drop) }
}

fn resume_reading(transport: &ReadPipeObject) -> Res<()> {
    if reading::resume(transport)? { Ok(()) } else { base(transport, &RESUME_READING, Arguments::of(&[])).map(drop) }
}

const READ_READY_DOC: &CStr = c"_read_ready($self, /)\n--\n\n\
    Read what has come.";
const PAUSE_READING_DOC: &CStr = c"pause_reading($self, /)\n--\n\n\
    Read nothing until resume_reading() is called.";
const RESUME_READING_DOC: &CStr = c"resume_reading($self, /)\n--\n\n\
    Read again.";

object_attribute!(ReadPipeObject, get_loop, set_loop, c"_loop", event_loop);
flag_attribute!(ReadPipeObject, get_paused, set_paused, c"_paused", paused);

fn attributes() -> Vec<ffi::PyGetSetDef> {
    let mut table = end_attributes!(ReadPipeObject);
    table.extend([
        getset!(ReadPipeObject, c"_loop", get_loop, set_loop, c"The event loop, or None when it is closed."),
        getset!(ReadPipeObject, c"_paused", get_paused, set_paused, c"Whether reading is paused."),
    ]);
    table
}

fn methods() -> Vec<Method> {
    vec![
        noargs!(ReadPipeObject, c"_read_ready", read_ready, READ_READY_DOC),
        noargs!(ReadPipeObject, c"pause_reading", pause_reading, PAUSE_READING_DOC),
        noargs!(ReadPipeObject, c"resume_reading", resume_reading, RESUME_READING_DOC),
        noargs!(ReadPipeObject, c"is_closing", is_closing, IS_CLOSING_DOC),
        noargs!(ReadPipeObject, c"get_protocol", get_protocol, GET_PROTOCOL_DOC),
        one!(ReadPipeObject, c"set_protocol", set_protocol, SET_PROTOCOL_DOC),
        variadic!(ReadPipeObject, c"get_extra_info", get_extra_info, EXTRA_INFO_DOC),
    ]
}

/// What came with a patch release.
fn later_methods() -> [Method; 2] {
    [
        noargs!(ReadPipeObject, c"is_reading", is_reading, IS_READING_DOC),
        variadic!(ReadPipeObject, c"_add_reader", add_reader, ADD_READER_DOC),
    ]
}

/// `_read_pipe_core(read_transport, stock)`: the type, made on asyncio's class; the other one is its transport.
pub(super) fn make_type(_module: &Object, classes: &[&Object]) -> Res<Owned> {
    let &[read_transport, stock] = classes else {
        return Err(raise(Builtin::TypeError.class(), c"two classes were expected"));
    };
    let base = check_plain_base(read_transport)?;
    if TYPE.as_ptr().is_null() {
        let mut methods = methods();
        if !call::getattr(stock, &IS_READING)?.is(&*call::getattr(read_transport, &IS_READING)?) {
            methods.extend(later_methods());
        }
        TypeBuilder::new(
            &TYPE,
            c"_asyncio.ReadPipeTransportCore",
            c"The native half of a pipe's transport that reads.",
        )
        .life()
        .mutable()
        .flags(ffi::Py_TPFLAGS_BASETYPE)
        .slot(ffi::Py_tp_setattro, setattro!(ReadPipeObject, set_attribute))
        .getsets(attributes())
        .methods(methods)
        .build_on(base)?;
    }
    Ok(TYPE.as_object().own())
}

/// `_adopt_read_pipe_class(cls)`: gives the class our methods as its own; its instances are the native ones.
pub(super) fn adopt_class(_module: &Object, class: &Object) -> Res<()> {
    adopt::<ReadPipeObject>(class)
}
