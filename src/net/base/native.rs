//! What a kind of transport is; and may native code do what asyncio's own would do, for one of them, now?

use std::cell::Cell;
use std::ops::Deref;

use crate::event_loop::{Direction, LoopObject, plain};
use crate::job::Job;
use crate::names::Name;
use crate::replaced::transports_as_made;
use crate::sys::attached::Attached;
use crate::sys::life::Life;
use crate::sys::{Field, Layout, Object, Owned, Res, Type};

use super::object::BaseObject;

/// A kind of transport, whose memory begins with a [`BaseObject`].
pub(in crate::net) trait Transport: Life + Deref<Target = BaseObject> {
    /// The methods that Rust code does itself instead of calling them, and the attributes that it does not look up.
    const PASSED_OVER: &'static [&'static Name];

    /// The class whose instances are our transports; it is kept for good.
    fn instances() -> &'static Attached<Cell<Option<&'static Type>>>;

    /// Does what a step has left to be done, so that nobody sees it undone.
    fn finish(&self) -> Res<()> {
        Ok(())
    }

    /// Makes what is to be seen of the transport in its `_extra`.
    fn tell_names(&self) -> Res<()> {
        Ok(())
    }

    /// Has native code all that it needs of the transport, now?
    fn has_all(&self) -> bool {
        true
    }

    /// Is it one of ours, with nothing of it replaced?
    #[inline]
    fn is_as_made(&self) -> bool {
        let is_ours = Self::instances().get().is_some_and(|class| std::ptr::eq(class, self.as_object().class()));
        is_ours && !self.patched.get() && transports_as_made()
    }

    /// The transport's loop, if native code may do what asyncio's Python code would do: nothing of it was replaced, and
    /// the loop waits natively, out of debug mode.
    #[inline]
    fn native(&self) -> Option<Owned<LoopObject>> {
        if !self.is_as_made() || !self.has_all() {
            return None;
        }
        let event_loop = self.event_loop.get()?;
        let core = plain(&event_loop)?;
        (!core.debug_is_on() && core.watches_natively()).then(|| core.own())
    }

    /// The argument of the present reader or writer.
    fn token(&self, direction: Direction) -> &Field {
        match direction {
            Direction::Read => &self.reader,
            Direction::Write => &self.writer,
        }
    }

    /// Is it the argument of the present one?
    #[inline]
    fn is_present(&self, direction: Direction, argument: Option<&Object>) -> bool {
        argument.is_some_and(|argument| self.token(direction).holds(argument))
    }
}

/// One that receives.
pub(in crate::net) trait Receives: Transport {
    /// What its reader does, by asyncio's name `_read_ready`.
    const READ: &'static Job;
}
