//! The memory of a `bytes` of ciphertext, which is used again for the next one.
//!
//! Such a `bytes` lives for a step of the loop, and `malloc` takes long for one of some kilobytes. So a reference is kept
//! to the last one; if nobody has another by the time that the next is made, it becomes that one. There is ciphertext in
//! it only, so that nothing secret is kept.

use std::cell::Cell;

use super::attached::Attached;
use super::bytes::NewBytes;
use super::{Field, Owned, Res, typeobj};

/// One that is longer is not kept.
const MOST: usize = 64 * 1024;

struct Kept {
    last: Field,
    /// How many bytes there is memory for in it.
    room: Cell<usize>,
}

static KEPT: Attached<Kept> = Attached::new(Kept { last: Field::unset(), room: Cell::new(0) });

/// A `bytes` that is being made, of more than one byte.
pub(super) struct Making {
    pub(super) made: NewBytes,
    /// How many bytes it has memory for.
    room: usize,
}

/// Is so much of it used that the rest may be left unused?
#[inline]
fn is_most(length: usize, room: usize) -> bool {
    (room / 4 * 3..=room).contains(&length)
}

/// One of that length, to be filled.
#[inline]
pub(super) fn make(length: usize) -> Res<Making> {
    let length = length.max(2);
    let kept = &*KEPT;
    let room = kept.room.get();
    match kept.last.take().filter(|last| typeobj::reference_count(last) == 1) {
        Some(last) if is_most(length, room) => {
            // SAFETY: a `bytes` that nobody else has, with so much memory.
            Ok(Making { made: unsafe { NewBytes::of_old(last, length) }, room })
        }
        _ => Ok(Making { made: NewBytes::of_length(length)?, room: length }),
    }
}

impl Making {
    /// The object, of its first bytes only. It may be used again, once nobody else has it.
    ///
    /// # Safety
    /// That many bytes of its memory have been written.
    #[inline]
    pub(super) unsafe fn done(self, length: usize) -> Res<Owned> {
        let Making { made, room } = self;
        // SAFETY: the caller's contract, and a `bytes` that nobody else has.
        unsafe {
            if length < 2 || room > MOST || !is_most(length, room) {
                return made.shortened(length);
            }
            let done = NewBytes::of_old(made.into_bytes(), length).into_bytes();
            let kept = &*KEPT;
            kept.room.set(room);
            kept.last.set(done.clone());
            Ok(done)
        }
    }
}
