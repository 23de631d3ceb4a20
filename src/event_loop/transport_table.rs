//! Which transport has which descriptor, as native code notes it ([`super::transports`]).

use std::cell::{Cell, RefCell};
use std::ffi::c_int;

use crate::sys::gc::{Visited, Visitor};
use crate::sys::memory::no_memory;
use crate::sys::part::Native;
use crate::sys::{Field, Object, Owned, Res, weak};

/// No Python code runs while the table is borrowed.
#[derive(Default)]
pub(super) struct TransportTable {
    /// Weak references.
    pub(super) table: RefCell<Vec<Option<Owned>>>,
    /// How many there are, also to those that are gone.
    pub(super) noted: Cell<usize>,
    /// What asyncio, or the program, has set.
    pub(super) shown: Field,
    /// It was handed out, or is something else than asyncio's own, so that there may be something in it.
    pub(super) was_shown: Cell<bool>,
}

impl TransportTable {
    pub(super) fn find(&self, fd: c_int) -> Option<Owned> {
        let reference = self.table.borrow().get(usize::try_from(fd).ok()?)?.clone()?;
        weak::target(&reference)
    }

    pub(super) fn note(&self, fd: c_int, transport: &Object) -> Res<()> {
        let reference = weak::reference(transport)?;
        let index = usize::try_from(fd).unwrap_or(0);
        let mut table = self.table.borrow_mut();
        let missing = (index + 1).saturating_sub(table.len());
        table.try_reserve(missing).map_err(|_| no_memory())?;
        if missing > 0 {
            table.resize(index + 1, None);
        }
        let before = table[index].replace(reference);
        self.noted.set(self.noted.get() + usize::from(before.is_none()));
        drop(table);
        drop(before);
        Ok(())
    }
}

impl Native for TransportTable {
    fn visit(&self, visitor: Visitor) -> Visited {
        self.shown.show(visitor)?;
        // Never borrowed otherwise while the collector runs.
        let Ok(table) = self.table.try_borrow() else { return Visited::Continue(()) };
        table.iter().flatten().try_for_each(|reference| visitor.object(&**reference))
    }

    fn clear(&self) {
        self.shown.clear();
        self.noted.set(0);
        drop(self.table.take());
    }
}
