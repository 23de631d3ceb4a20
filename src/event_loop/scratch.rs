//! Memory that the loop keeps for what it reads, so that a small piece of data is copied into an object of its size.

use std::cell::RefCell;

use crate::sys::Res;
use crate::sys::error::fetch;
use crate::sys::memory::vec_for;
use crate::sys::part::Native;

/// How long it is at first, in bytes.
const FIRST: usize = 64 * 1024;
/// The most that is read at once, in bytes; as much as asyncio's transports read.
pub(crate) const MOST: usize = 256 * 1024;

/// Nothing until it is used first. No Python code runs while the cell is borrowed.
#[derive(Default)]
pub(super) struct Scratch(RefCell<Vec<u8>>);

impl Native for Scratch {}

impl Scratch {
    /// Lends the memory, of at least that length, for a read, which says how many bytes it has got. One that has filled
    /// it makes it longer.
    pub(super) fn read_with<T>(&self, least: usize, read: impl FnOnce(&mut [u8]) -> (T, usize)) -> Res<T> {
        let mut memory = self.0.borrow_mut();
        if memory.len() < least.max(1) {
            *memory = zeroes(if least > FIRST { MOST } else { FIRST })?;
        }
        let (outcome, count) = read(&mut memory);
        if count >= memory.len() && memory.len() < MOST {
            // If there is none, the next one is as short.
            match zeroes(MOST) {
                Ok(longer) => *memory = longer,
                Err(raised) => drop(fetch(raised)),
            }
        }
        Ok(outcome)
    }
}

fn zeroes(length: usize) -> Res<Vec<u8>> {
    let mut made = vec_for(length)?;
    made.resize(length, 0);
    Ok(made)
}
