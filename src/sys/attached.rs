//! Statics that only attached threads reach.

use std::ops::Deref;

/// A value without locks in a static. On a build with the GIL one thread at a time is attached, and the crate refuses
/// to load in any other build.
pub(crate) struct Attached<T>(T);

// SAFETY: all of the crate's code runs attached (the contract of `sys`), so accesses never overlap.
unsafe impl<T> Sync for Attached<T> {}

impl<T> Attached<T> {
    pub(crate) const fn new(value: T) -> Self {
        Attached(value)
    }
}

impl<T> Deref for Attached<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        debug_assert!(super::assertions::is_attached());
        &self.0
    }
}
