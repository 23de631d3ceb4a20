//! Memory that the loop keeps for what it reads, so that a small piece of data is copied into an object of its size.

use std::cell::RefCell;

use crate::sys::Res;
use crate::sys::memory::zeroes;
use crate::sys::panics;
use crate::sys::part::Native;

/// The most that is read at once, in bytes; as much as asyncio's transports read.
const MOST: usize = 256 * 1024;

/// Nothing until it is used first. No Python code runs while the cell is borrowed.
#[derive(Default)]
pub(super) struct Scratch(RefCell<Vec<u8>>);

impl Native for Scratch {}

impl Scratch {
    /// Lends the memory for a read.
    pub(super) fn read_with<T>(&self, read: impl FnOnce(&mut [u8]) -> T) -> Res<T> {
        let mut memory = self.0.borrow_mut();
        if memory.is_empty() {
            *memory = zeroes(MOST)?;
        }
        panics::here("memory for reads");
        Ok(read(&mut memory))
    }

    /// The same for a read during which other threads may run: whoever comes here meanwhile gets memory of its own.
    pub(super) fn read_detached<T>(&self, read: impl FnOnce(&mut [u8]) -> T) -> Res<T> {
        let mut memory = self.0.take();
        if memory.is_empty() {
            memory = zeroes(MOST)?;
        }
        let result = read(&mut memory);
        self.0.replace(memory);
        Ok(result)
    }
}
