//! asyncio's own methods: calls that are handed on to them, and the methods themselves.

use crate::names::Name;
use crate::sys::args::Arguments;
use crate::sys::lazy::Lazy;
use crate::sys::{Layout, Owned, Res, call, typeobj};

use super::native::Transport;

/// `super(TheNativeHalf, transport).name(...)`: what asyncio has for the method, or who has replaced it.
#[cold]
pub(in crate::net) fn base<T: Transport>(transport: &T, name: &Name, arguments: Arguments<'_>) -> Res<Owned> {
    let bases = call::call(typeobj::super_type(), &[T::class().as_object(), transport.as_object()])?;
    arguments.call(&*call::getattr(&bases, name)?)
}

/// The class's method, bound to the transport, whatever the instance has by its name.
pub(in crate::net) fn of_class<T: Transport>(transport: &T, name: &Name) -> Res<Owned> {
    static METHOD: Lazy = Lazy::new("types", "MethodType");

    if !transport.patched.get() {
        return call::getattr(transport.as_object(), name);
    }
    let method = call::getattr(transport.as_object().class().as_object(), name)?;
    call::call(METHOD.get()?, &[&*method, transport.as_object()])
}
