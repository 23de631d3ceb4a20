//! Calls that are handed on to asyncio's own methods.

use crate::names::Name;
use crate::sys::args::Arguments;
use crate::sys::{Layout, Owned, Res, call, typeobj};

use super::object::{TYPE, TransportObject};

/// `super(SocketTransportCore, transport).name(...)`: what asyncio has for the method, or who has replaced it.
#[cold]
pub(super) fn base(transport: &TransportObject, name: &Name, arguments: Arguments<'_>) -> Res<Owned> {
    let bases = call::call(typeobj::super_type(), &[TYPE.as_object(), transport.as_object()])?;
    arguments.call(&*call::getattr(&bases, name)?)
}
