//! What is received for a stream goes to its reader without a call, and without an object of its own.
//!
//! Streams are a room above this one, and say where to ([`register`]). What they do not take is for the protocol's method.

use std::cell::Cell;

use crate::future::FutureObject;
use crate::sys::attached::Attached;
use crate::sys::byte_array::ByteArray;
use crate::sys::{Object, Owned, Res};

/// Where a protocol's reader has its data.
pub(crate) struct Place {
    pub(crate) buffer: Owned<ByteArray>,
    /// It may become that long before there is more to do.
    pub(crate) most: usize,
    pub(crate) fed: Fed,
}

/// A reader that has got data, and who waits for that.
pub(crate) struct Fed {
    pub(crate) reader: Owned,
    pub(crate) waiter: Option<Owned<FutureObject>>,
}

/// How a protocol's reader gets its data.
pub(crate) struct Feeding {
    /// Is it likely to take some?
    pub(crate) takes: fn(protocol: &Object) -> bool,
    /// Where data that come before anything else runs are to be put: after that and [`Feeding::wake`] all is done that
    /// `protocol.data_received(data)` would do. `None` if data are for that method. It runs no Python code.
    pub(crate) place: fn(protocol: &Object) -> Option<Place>,
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
