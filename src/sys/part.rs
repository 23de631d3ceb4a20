//! What objects are made of: fields that say themselves what the collector sees of them, and what is cleared.

use std::cell::Cell;
use std::ops::{ControlFlow, Deref};

use super::field::{Field, Flags, Link, Pair};
use super::gc::{Visited, Visitor};
use super::{Layout, Object};

/// A field of an object.
///
/// # Safety
/// What changes of it is in cells. All zeroes is a value of it, that holds nothing; else `write_new` makes one. `visit` shows the references that it
/// holds, each once, runs no Python code and does not panic. After `release` and `reset` it is as it was made.
pub(crate) unsafe trait Part {
    /// An object with it can have weak references.
    const HAS_WEAKREFS: bool = false;
    /// Zeroes will not do.
    const NEEDS_NEW: bool = false;

    #[inline]
    fn visit(&self, _owner: &Object, _visitor: Visitor) -> Visited {
        ControlFlow::Continue(())
    }

    /// Lets go of what it holds.
    #[inline]
    fn release(&self, _owner: &Object) {}

    /// The same for an object that is initialised anew, which keeps the attributes that Python code gave it.
    #[inline]
    fn renew(&self, owner: &Object) {
        self.release(owner);
    }

    /// The object is about to die: what knows it without a reference forgets it. Runs no Python code.
    #[inline]
    fn detach(&self) {}

    /// What holds no reference becomes as it was made. Runs no Python code.
    #[inline]
    fn reset(&self) {}

    /// Does a dead object in a free list keep the byte as it is?
    fn keeps(_place: usize) -> bool {
        false
    }

    /// Makes it, in zeroed memory.
    ///
    /// # Safety
    /// The place is memory for it that nobody has seen yet.
    #[inline]
    unsafe fn write_new(_place: *mut Self) {}
}

// SAFETY: every object shows its type, which the interpreter counts a reference for; the rest is the interpreter's.
unsafe impl Part for Object {
    #[inline]
    fn visit(&self, owner: &Object, visitor: Visitor) -> Visited {
        visitor.class_of(owner)
    }
}

// SAFETY: zero is "not set".
unsafe impl<T: Layout> Part for Field<T> {
    #[inline]
    fn visit(&self, _owner: &Object, visitor: Visitor) -> Visited {
        self.show(visitor)
    }

    #[inline]
    fn release(&self, _owner: &Object) {
        Field::clear(self);
    }
}

#[cfg(not(Py_3_14))]
// SAFETY: no memory, no reference.
unsafe impl Part for super::field::NoField {}

// SAFETY: it is a `Field` in a transparent struct, of which zero is "not set".
unsafe impl Part for Link {
    #[inline]
    fn visit(&self, _owner: &Object, visitor: Visitor) -> Visited {
        self.show(visitor)
    }

    #[inline]
    fn release(&self, _owner: &Object) {
        Link::clear(self);
    }
}

// SAFETY: zero is "nothing" in both places.
unsafe impl<T> Part for Pair<T> {
    #[inline]
    fn visit(&self, _owner: &Object, visitor: Visitor) -> Visited {
        self.object.show(visitor)?;
        self.beside.show(visitor)
    }

    /// Takes both before anything can come back to either.
    #[inline]
    fn release(&self, _owner: &Object) {
        if self.is_set() {
            let beside = self.beside.take();
            self.object.clear();
            drop(beside);
        }
    }
}

/// A value whose zero bytes are `Default`'s.
///
/// # Safety
/// They are.
pub(crate) unsafe trait Zeroed: Copy + Default {}

// SAFETY: zero and false; `None`, for which Rust uses the address that no reference has.
unsafe impl Zeroed for bool {}
// SAFETY: zero.
unsafe impl Zeroed for i32 {}
// SAFETY: zero.
unsafe impl Zeroed for usize {}
// SAFETY: zero.
unsafe impl Zeroed for u16 {}
// SAFETY: zero.
unsafe impl Zeroed for f64 {}
// SAFETY: `None` is the address that no reference has.
unsafe impl<T> Zeroed for Option<&'static T> {}

/// Says that the variant is the one of the value zero, and the default.
macro_rules! zeroed {
    ($type:ident::$variant:ident) => {
        const _: () = assert!($type::$variant as u64 == 0);

        impl Default for $type {
            #[inline]
            fn default() -> Self {
                $type::$variant
            }
        }

        #[allow(unsafe_code)] // of this module, wherever it is expanded
        // SAFETY: just checked.
        unsafe impl $crate::sys::part::Zeroed for $type {}
    };
}

// SAFETY: no references, and zero is the value's default.
unsafe impl<T: Zeroed> Part for Cell<T> {
    #[inline]
    fn reset(&self) {
        self.set(T::default());
    }
}

// SAFETY: no references, and zero is "none".
unsafe impl Part for Flags {
    #[inline]
    fn reset(&self) {
        self.put(u8::MAX, false);
    }
}

/// A value that says nothing until it is set anew, or that all objects of the type have: not reset for the free list.
#[repr(transparent)]
pub(crate) struct Kept<T: Zeroed>(Cell<T>);

impl<T: Zeroed> Deref for Kept<T> {
    type Target = Cell<T>;

    #[inline]
    fn deref(&self) -> &Cell<T> {
        &self.0
    }
}

// SAFETY: no references; any value that the type's objects have will do for the next.
unsafe impl<T: Zeroed> Part for Kept<T> {
    fn keeps(_place: usize) -> bool {
        true
    }
}

/// What an object has of Rust's own, which may hold references.
pub(crate) trait Native: Default {
    /// Shows the references that it holds, each once. Runs no Python code, and does not panic.
    fn visit(&self, _visitor: Visitor) -> Visited {
        ControlFlow::Continue(())
    }

    /// Lets go of what it holds.
    fn clear(&self) {}
}

/// Something of Rust's in an object: made by `tp_new`, dropped by the deallocator.
#[repr(transparent)]
pub(crate) struct Own<T: Native>(T);

impl<T: Native> Deref for Own<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

// SAFETY: only `&T` is given out, so that what changes is in cells; it is written before anyone sees it.
unsafe impl<T: Native> Part for Own<T> {
    const NEEDS_NEW: bool = true;

    #[inline]
    fn visit(&self, _owner: &Object, visitor: Visitor) -> Visited {
        self.0.visit(visitor)
    }

    fn release(&self, _owner: &Object) {
        self.0.clear();
    }

    unsafe fn write_new(place: *mut Self) {
        // SAFETY: the caller's contract; what is there are zeroes, which nobody has to drop.
        unsafe { place.write(Own(T::default())) };
    }
}

pub(crate) use zeroed;
