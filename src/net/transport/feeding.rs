//! What is received for a stream goes to its reader without a call, and without an object of its own.
//!
//! Streams are a room above this one, and say how ([`register`]). What they do not take is for the protocol's method.

use std::cell::Cell;

use crate::future::FutureObject;
use crate::sys::attached::Attached;
use crate::sys::{Object, Owned, Res};

/// A reader that has got data, and who waits for that.
pub(crate) struct Fed {
    pub(crate) reader: Owned,
    pub(crate) waiter: Option<Owned<FutureObject>>,
}

/// How a protocol's reader gets its data.
pub(crate) struct Feeding {
    /// Is it likely to take some?
    pub(crate) takes: fn(protocol: &Object) -> bool,
    /// Does what `protocol.data_received(data)` would, but for waking up who waits. `None`, and nothing is done, if that is
    /// for the method. It runs no Python code.
    pub(crate) append: fn(protocol: &Object, data: &[u8]) -> Option<Fed>,
    /// Wakes up who waits.
    pub(crate) wake: fn(fed: Fed) -> Res<()>,
}

static FEEDING: Attached<Cell<Option<&'static Feeding>>> = Attached::new(Cell::new(None));

/// Has what is received offered to this. Called once, by the module's initialisation.
pub(crate) fn register(feeding: &'static Feeding) {
    FEEDING.set(Some(feeding));
}

/// Who may take what is received for the protocol.
#[inline]
pub(super) fn find(protocol: &Object) -> Option<&'static Feeding> {
    FEEDING.get().filter(|feeding| (feeding.takes)(protocol))
}
