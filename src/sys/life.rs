//! Objects, each declared once: from the struct that [`object!`] is given follow the layout, what the collector sees,
//! what is cleared, and the deallocator.
//!
//! The fields are [`Part`]s, in the order in which they are shown to the collector and let go of. A type that is no
//! part cannot be a field, so no reference is forgotten. What the fields cannot know is in the type's [`Life`]: whether
//! its finaliser has anything to say, and what has to come before anything is let go of.
//!
//! An object dies in this order, whatever it is made of:
//!
//! 1. Its finaliser runs, if need be; who is brought back to life by it is left alone.
//! 2. What knows it without a reference forgets it ([`Part::detach`]), and the collector stops to track it.
//! 3. Weak references to it die; their callbacks may run Python code.
//! 4. Its fields are let go of, as by `tp_clear`. What a finaliser of theirs finds of it does no harm ([`Life::disarm`]).
//! 5. Other fields are set to zero, and the memory goes to the type's free list; or what it has of Rust's is dropped
//!    ([`Own`]), and the memory goes back to the allocator.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ops::{ControlFlow, Deref};
use std::ptr;

use pyo3::ffi;

use super::error::{guard, guard_dealloc, guard_unraisable};
use super::field::{Field, Flags, Link, Pair};
use super::gc::{Visited, Visitor, is_revived_by_finalizer, untrack};
use super::instance::clear_weakrefs;
use super::typeobj::{self, StaticType};
use super::{Layout, Object, Res};

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
        visitor.field(self)
    }

    #[inline]
    fn release(&self, _owner: &Object) {
        Field::clear(self);
    }
}

// SAFETY: as for the field that it is.
unsafe impl Part for Link {
    #[inline]
    fn visit(&self, _owner: &Object, visitor: Visitor) -> Visited {
        visitor.field(self)
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
        visitor.field(&self.object)?;
        self.beside.visit(visitor)
    }

    /// Takes both before anything can come back to either.
    #[inline]
    fn release(&self, _owner: &Object) {
        let beside = self.beside.take();
        self.object.clear();
        drop(beside);
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
        unsafe impl $crate::sys::life::Zeroed for $type {}
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

/// A struct that is the memory of a type's objects; implemented by [`object!`].
pub(crate) trait Declared: Layout + Part + 'static {
    /// The names of the slots, for panics on purpose.
    const DEALLOC: &'static str;
    const CLEAR: &'static str;
    const NEW: &'static str;

    fn class() -> &'static StaticType<Self>;
}

/// What the fields of an object do not say of its life.
pub(crate) trait Life: Declared {
    /// Has the finaliser of a dying object anything to say? It is not called else.
    #[inline]
    fn needs_finalizer(&self) -> bool {
        false
    }

    /// Before anything is let go of: from now on the object does nothing, whoever comes back to it meanwhile.
    #[inline]
    fn disarm(&self) {}
}

#[inline]
fn clear_all<T: Life>(object: &T) {
    object.disarm();
    object.release(object.as_object());
}

/// `tp_traverse`; nothing in it panics: half a visit would make the collector take live objects for garbage, so that a
/// panic ends the process.
pub(super) unsafe extern "C" fn traverse<T: Life>(
    slf: *mut ffi::PyObject,
    visit: ffi::visitproc,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: CPython calls the slot with a live instance of the type.
    let object = unsafe { T::from_ptr(slf) };
    match object.visit(object.as_object(), Visitor { visit, argument }) {
        ControlFlow::Continue(()) => 0,
        ControlFlow::Break(stop) => stop,
    }
}

/// `tp_clear`
pub(super) unsafe extern "C" fn clear<T: Life>(slf: *mut ffi::PyObject) -> c_int {
    // SAFETY: CPython calls the slot with a live instance of the type.
    guard_unraisable(T::CLEAR, || clear_all(unsafe { T::from_ptr(slf) }));
    0
}

/// `tp_new` of an object with parts that zeroes do not make; the arguments are the initialisation's.
pub(super) unsafe extern "C" fn new<T: Life>(
    class: *mut ffi::PyTypeObject,
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard(T::NEW, ptr::null_mut(), || {
        let make = || -> Res<*mut ffi::PyObject> {
            // SAFETY: CPython calls the slot with the type or a subclass: its instances have the layout.
            let made = unsafe { typeobj::allocate_zeroed::<T>(class)? };
            // SAFETY: nothing has run since the memory was allocated.
            unsafe { T::write_new(made.as_ptr().cast()) };
            Ok(made.into_ptr())
        };
        make().unwrap_or(ptr::null_mut())
    })
}

/// `tp_dealloc`, as the module's text says.
pub(super) unsafe extern "C" fn dealloc<T: Life>(object: *mut ffi::PyObject) {
    let body = move || {
        // SAFETY: CPython calls the slot with a dead instance of the type or of a subclass, once. The finaliser may
        // bring it back to life; then it is not ours to free. Else it is empty when its memory goes, so that dropping
        // what it has of Rust's runs no Python code.
        unsafe {
            let dying = T::from_ptr(object);
            if dying.needs_finalizer() && is_revived_by_finalizer(dying) {
                return;
            }
            dying.detach();
            untrack(dying);
            if T::HAS_WEAKREFS {
                clear_weakrefs(dying);
            }
            clear_all(dying);
            if T::NEEDS_NEW {
                ptr::drop_in_place(object.cast::<T>());
                typeobj::free(object);
            } else {
                dying.reset();
                T::class().free(object);
            }
        }
    };
    // SAFETY: the deallocator's own object.
    unsafe { guard_dealloc(T::DEALLOC, object, body) }
}

/// Declares a struct as the memory of a type's objects: `struct Name: TYPE { … }`, with a [`StaticType`] that knows its
/// instances. One that is only the beginning of others names their types: `struct Name: any of [TYPE, …] { … }`. The
/// first field is the head, an [`Object`], or the struct of the type that it derives from.
macro_rules! object {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident: any of [$($class:path),+ $(,)?] { $($fields:tt)+ }
    ) => {
        $crate::sys::life::object!(@parts [$(#[$attribute])*] $visibility $name $($fields)+);
        $crate::sys::life::object!(@layout $name, |object| false $(|| $class.is_instance(object))+);
    };
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident: $class:path { $($fields:tt)+ }
    ) => {
        $crate::sys::life::object!(@parts [$(#[$attribute])*] $visibility $name $($fields)+);
        $crate::sys::life::object!(@layout $name, |object| $class.is_instance(object));

        impl $crate::sys::life::Declared for $name {
            const DEALLOC: &'static str = concat!(stringify!($name), "::dealloc");
            const CLEAR: &'static str = concat!(stringify!($name), "::clear");
            const NEW: &'static str = concat!(stringify!($name), "::new");

            #[inline]
            fn class() -> &'static $crate::sys::typeobj::StaticType<Self> {
                &$class
            }
        }
    };
    (@layout $name:ident, |$object:ident| $fits:expr) => {
        #[allow(unsafe_code)] // of this module, wherever it is expanded
        // SAFETY: repr(C); begins with a head, as the first field does (`Extends` asks for it); what changes is in cells, as in all parts. Its
        // memory comes from the types, by `StaticType::allocate` or `tp_new`.
        unsafe impl $crate::sys::Layout for $name {
            fn fits($object: &$crate::sys::Object) -> bool {
                $fits
            }

            fn keeps(place: usize) -> bool {
                <Self as $crate::sys::life::Part>::keeps(place)
            }
        }
    };
    (
        @parts [$(#[$attribute:meta])*] $visibility:vis $name:ident
        $(#[$head_attribute:meta])* $head_visibility:vis $head:ident: $head_type:ty,
        $($(#[$field_attribute:meta])* $field_visibility:vis $field:ident: $type:ty,)*
    ) => {
        $(#[$attribute])*
        #[repr(C)]
        $visibility struct $name {
            $(#[$head_attribute])* $head_visibility $head: $head_type,
            $($(#[$field_attribute])* $field_visibility $field: $type,)*
        }

        #[allow(unsafe_code)] // of this module, wherever it is expanded
        // SAFETY: repr(C), and it is the first field.
        unsafe impl $crate::sys::object::Extends<$head_type> for $name {}

        const _: () = {
            use $crate::sys::life::Part;

            #[allow(unsafe_code)] // of this module, wherever it is expanded
            // SAFETY: all fields are parts.
            unsafe impl Part for $name {
                const HAS_WEAKREFS: bool = <$head_type as Part>::HAS_WEAKREFS $(|| <$type as Part>::HAS_WEAKREFS)*;
                const NEEDS_NEW: bool = <$head_type as Part>::NEEDS_NEW $(|| <$type as Part>::NEEDS_NEW)*;

                #[inline]
                fn visit(
                    &self,
                    owner: &$crate::sys::Object,
                    visitor: $crate::sys::gc::Visitor,
                ) -> $crate::sys::gc::Visited {
                    Part::visit(&self.$head, owner, visitor)?;
                    $(Part::visit(&self.$field, owner, visitor)?;)*
                    $crate::sys::gc::Visited::Continue(())
                }

                #[inline]
                fn release(&self, owner: &$crate::sys::Object) {
                    Part::release(&self.$head, owner);
                    $(Part::release(&self.$field, owner);)*
                }

                #[inline]
                fn renew(&self, owner: &$crate::sys::Object) {
                    Part::renew(&self.$head, owner);
                    $(Part::renew(&self.$field, owner);)*
                }

                #[inline]
                fn detach(&self) {
                    Part::detach(&self.$head);
                    $(Part::detach(&self.$field);)*
                }

                #[inline]
                fn reset(&self) {
                    Part::reset(&self.$head);
                    $(Part::reset(&self.$field);)*
                }

                fn keeps(place: usize) -> bool {
                    [
                        (std::mem::offset_of!($name, $head), size_of::<$head_type>(), <$head_type as Part>::keeps as fn(_) -> _),
                        $((std::mem::offset_of!($name, $field), size_of::<$type>(), <$type as Part>::keeps as fn(_) -> _),)*
                    ]
                    .into_iter()
                    .any(|(start, size, keeps)| (start..start + size).contains(&place) && keeps(place - start))
                }

                #[inline]
                unsafe fn write_new(place: *mut Self) {
                    // SAFETY: the caller's contract, for each of the fields.
                    unsafe {
                        Part::write_new(&raw mut (*place).$head);
                        $(Part::write_new(&raw mut (*place).$field);)*
                    }
                }
            }
        };
    };
}

pub(crate) use {object, zeroed};
