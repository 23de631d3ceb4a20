//! May native code do what asyncio's own would do, for this transport, now?

use std::cell::Cell;

use crate::event_loop::{LoopObject, plain};
use crate::replaced::transports_as_made;
use crate::sys::attached::Attached;
use crate::sys::{Layout, Owned, Type};

use super::exposed;
use super::object::TransportObject;

/// The class whose instances are our transports; it is kept for good.
pub(super) static CLASS: Attached<Cell<Option<&'static Type>>> = Attached::new(Cell::new(None));

impl TransportObject {
    /// The transport's loop, if native code may do what asyncio's Python code would do: nothing of it was replaced, and
    /// the loop waits natively, out of debug mode.
    #[inline]
    pub(super) fn native(&self) -> Option<Owned<LoopObject>> {
        let is_ours = CLASS.get().is_some_and(|class| std::ptr::eq(class, self.as_object().class()));
        if !is_ours || self.patched.get() || !transports_as_made() || !exposed::taken_back(self) {
            return None;
        }
        let event_loop = self.event_loop.get()?;
        let core = plain(&event_loop)?;
        (!core.debug_is_on() && core.watches_natively()).then(|| core.own())
    }
}
