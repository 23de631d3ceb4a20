//! Letting go of long chains of objects without deep recursion.
//!
//! Up to 3.13, each type has to see to that itself; from 3.14 on the interpreter does.

use std::cell::{Cell, RefCell};

use super::attached::Attached;
use super::memory::has_room;
use super::{Owned, compat};

/// How many of our deallocators may be inside of each other, those of all threads together.
const DEEPEST: usize = 50;

static DEPTH: Attached<Cell<usize>> = Attached::new(Cell::new(0));
static LATER: Attached<RefCell<Vec<Owned>>> = Attached::new(RefCell::new(Vec::new()));

/// Gives up the reference; if that is in the deallocators of many others, the outermost does it.
#[inline]
pub(super) fn let_go(object: Owned) {
    if !compat::DEALLOC_RECURSES {
        return;
    }
    if DEPTH.get() >= DEEPEST {
        let mut later = LATER.borrow_mut();
        if has_room(&mut *later) {
            later.push(object);
            return;
        }
        // Without memory to remember it in, it goes now, however deep that leads.
    }
    drop_one_deeper(object);
    while DEPTH.get() == 0 {
        let Some(object) = LATER.borrow_mut().pop() else { return };
        drop_one_deeper(object);
    }
}

/// Other threads may come and go meanwhile, so the depth is never set to what it was before.
fn drop_one_deeper(object: Owned) {
    DEPTH.set(DEPTH.get() + 1);
    drop(object);
    DEPTH.set(DEPTH.get() - 1);
}
