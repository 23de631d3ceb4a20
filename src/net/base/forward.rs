//! Calls that are handed on to asyncio's own methods.

use crate::names::Name;
use crate::sys::args::Arguments;
use crate::sys::{Owned, Res, call, typeobj};

use super::native::Transport;

/// `super(TheNativeHalf, transport).name(...)`: what asyncio has for the method, or who has replaced it.
#[cold]
pub(in crate::net) fn base<T: Transport>(transport: &T, name: &Name, arguments: Arguments<'_>) -> Res<Owned> {
    let bases = call::call(typeobj::super_type(), &[T::class().as_object(), transport.as_object()])?;
    arguments.call(&*call::getattr(&bases, name)?)
}
