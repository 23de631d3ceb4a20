//! The types and the classes of transports.

use crate::sys::error::{Builtin, raise};
use crate::sys::{Object, Raised, Res, Type, adopt, types};

use super::native::Transport;
use super::object::{has_extra, has_slots};

/// asyncio's class that the types are made on, if it is what the memory begins as.
pub(in crate::net) fn check_base(flow_control: &Object) -> Res<&Type> {
    flow_control.as_type().filter(|class| has_slots(class)).ok_or_else(unknown)
}

/// The same for those without flow control, whose memory begins with less of it.
pub(in crate::net) fn check_plain_base(transport: &Object) -> Res<&Type> {
    transport.as_type().filter(|class| has_extra(class)).ok_or_else(unknown)
}

fn unknown() -> Raised {
    raise(Builtin::RuntimeError.class(), c"rasyncio does not know the transports of this asyncio")
}

/// Gives a class, which derives from the kind's type, the type's methods as its own; its instances are the native ones.
pub(in crate::net) fn adopt<T: Transport>(class: &Object) -> Res<()> {
    let wrong = || raise(Builtin::TypeError.class(), c"a subclass of a transport's native half was expected");
    let class = class.as_type().ok_or_else(wrong)?;
    if !adopt::methods(T::class(), class)? {
        return Err(wrong());
    }
    T::instances().set(Some(types::keep(class)));
    Ok(())
}
