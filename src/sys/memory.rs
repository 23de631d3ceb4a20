//! Growing Rust's own containers: where memory is short, `MemoryError` instead of the end of the process.
//!
//! For all that a program can make as long as it likes. What is small and does not grow may abort.

use std::alloc::{Layout, alloc_zeroed};
use std::collections::{BinaryHeap, TryReserveError, VecDeque};

use pyo3::ffi;

use super::{Raised, Res};

/// A container of Rust's that gets longer.
pub(crate) trait Grows {
    fn is_full(&self) -> bool;
    fn grow(&mut self) -> Result<(), TryReserveError>;
}

macro_rules! grows {
    ($($container:ty, $item:ident: $($bound:path)?;)*) => {$(
        impl<$item $(: $bound)?> Grows for $container {
            #[inline]
            fn is_full(&self) -> bool {
                self.len() == self.capacity()
            }

            #[cold]
            fn grow(&mut self) -> Result<(), TryReserveError> {
                self.try_reserve(1)
            }
        }
    )*};
}
grows! {
    Vec<T>, T:;
    VecDeque<T>, T:;
    BinaryHeap<T>, T: Ord;
}

/// Makes room for one more, by doubling; to be called right before the item is added.
#[inline]
pub(crate) fn make_room(container: &mut impl Grows) -> Res<()> {
    if has_room(container) { Ok(()) } else { Err(no_memory()) }
}

/// The same where nothing may be raised.
#[inline]
pub(crate) fn has_room(container: &mut impl Grows) -> bool {
    !container.is_full() || container.grow().is_ok()
}

/// An empty vector with room for that many.
pub(crate) fn vec_for<T>(count: usize) -> Res<Vec<T>> {
    let mut items = Vec::new();
    match items.try_reserve_exact(count) {
        Ok(()) => Ok(items),
        Err(_) => Err(no_memory()),
    }
}

/// A vector of that many zeroes. The system gives a page of a long one when it is used first.
#[allow(clippy::same_length_and_capacity)] // as it was allocated
pub(crate) fn zeroes(length: usize) -> Res<Vec<u8>> {
    let layout = Layout::array::<u8>(length).map_err(|_| no_memory())?;
    if length == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: a layout that is not empty; the memory is as long as the vector, of the allocator that it frees it by, and
    // all of it is written.
    unsafe {
        let start = alloc_zeroed(layout);
        if start.is_null() { Err(no_memory()) } else { Ok(Vec::from_raw_parts(start, length, length)) }
    }
}

/// The parts, one after the other.
pub(crate) fn joined<T: Copy>(parts: &[&[T]]) -> Res<Vec<T>> {
    let mut items = vec_for(parts.iter().map(|part| part.len()).sum())?;
    for part in parts {
        items.extend_from_slice(part);
    }
    Ok(items)
}

#[cold]
pub(crate) fn no_memory() -> Raised {
    // SAFETY: no precondition but attachment; the exception is one that was made beforehand if need be.
    unsafe { ffi::PyErr_NoMemory() };
    Raised
}
