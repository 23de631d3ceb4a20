//! The transport's private attributes, by the names that asyncio gives them.

use pyo3::ffi;

use crate::sys::slots::getset;

use super::super::base::attributes::{common_attributes, object_attribute};
use super::object::DatagramObject;

object_attribute!(DatagramObject, get_protocol, set_protocol, c"_protocol", protocol);
object_attribute!(DatagramObject, get_address, set_address, c"_address", address);
object_attribute!(DatagramObject, get_buffer, set_buffer, c"_buffer", buffer);
object_attribute!(DatagramObject, get_buffer_size, set_buffer_size, c"_buffer_size", buffer_size);

pub(super) fn table() -> Vec<ffi::PyGetSetDef> {
    let mut table = common_attributes!(DatagramObject);
    table.extend([
        getset!(DatagramObject, c"_protocol", get_protocol, set_protocol, c"The protocol."),
        getset!(DatagramObject, c"_address", get_address, set_address, c"Where all datagrams go, or None."),
        getset!(DatagramObject, c"_buffer", get_buffer, set_buffer, c"The datagrams that have to wait."),
        getset!(DatagramObject, c"_buffer_size", get_buffer_size, set_buffer_size, c"How many bytes have to wait."),
    ]);
    table
}
