//! Letting go of long chains of objects without deep recursion.
//!
//! Up to 3.13, each type has to see to that itself; from 3.14 on the interpreter does.

use std::cell::{Cell, RefCell};

use super::attached::Attached;
use super::{Field, Owned, compat};

/// How many of our deallocators may be inside of each other.
const DEEPEST: usize = 50;

static DEPTH: Attached<Cell<usize>> = Attached::new(Cell::new(0));
static LATER: Attached<RefCell<Vec<Owned>>> = Attached::new(RefCell::new(Vec::new()));

/// Clears a field of a dying object; if that is in the deallocators of many others, the outermost does it.
pub(crate) fn clear(field: &Field) {
    let Some(object) = field.take() else { return };
    if !compat::DEALLOC_RECURSES {
        return;
    }
    if DEPTH.get() >= DEEPEST {
        LATER.borrow_mut().push(object);
        return;
    }
    DEPTH.set(DEPTH.get() + 1);
    drop(object);
    DEPTH.set(DEPTH.get() - 1);
    if DEPTH.get() == 0 {
        drop_what_is_left();
    }
}

fn drop_what_is_left() {
    loop {
        let Some(object) = LATER.borrow_mut().pop() else { return };
        DEPTH.set(1);
        drop(object);
        DEPTH.set(0);
    }
}
