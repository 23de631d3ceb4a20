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

use std::ffi::{c_int, c_void};
use std::ops::ControlFlow;
use std::ptr;

use pyo3::ffi;

use super::error::{guard, guard_dealloc, guard_unraisable};
use super::freelist;
use super::gc::{Visitor, is_revived_by_finalizer, untrack};
use super::instance::clear_weakrefs;
use super::part::Part;
use super::typeobj::{StaticType, TypeBuilder};
use super::{Layout, Owned, Res, Type};

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
unsafe extern "C" fn traverse<T: Life>(slf: *mut ffi::PyObject, visit: ffi::visitproc, argument: *mut c_void) -> c_int {
    // SAFETY: CPython calls the slot with a live instance of the type.
    let object = unsafe { T::from_ptr(slf) };
    match object.visit(object.as_object(), Visitor { visit, argument }) {
        ControlFlow::Continue(()) => 0,
        ControlFlow::Break(stop) => stop,
    }
}

/// `tp_clear`
unsafe extern "C" fn clear<T: Life>(slf: *mut ffi::PyObject) -> c_int {
    // SAFETY: CPython calls the slot with a live instance of the type.
    guard_unraisable(T::CLEAR, || clear_all(unsafe { T::from_ptr(slf) }));
    0
}

/// `tp_new` of an object with parts that zeroes do not make; the arguments are the initialisation's.
unsafe extern "C" fn new<T: Life>(
    class: *mut ffi::PyTypeObject,
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard(T::NEW, ptr::null_mut(), || {
        let make = || -> Res<*mut ffi::PyObject> {
            // SAFETY: CPython calls the slot with the type or a subclass: its instances have the layout.
            let made = unsafe { freelist::allocate_zeroed::<T>(class)? };
            // SAFETY: nothing has run since the memory was allocated.
            unsafe { T::write_new(made.as_ptr().cast()) };
            Ok(made.into_ptr())
        };
        make().unwrap_or(ptr::null_mut())
    })
}

/// An object of the class, which is the type of `T` or a subclass of it; without its initialisation.
pub(crate) fn make_of<T: Life>(class: &Type) -> Res<Owned<T>> {
    assert!(T::class().is_base_of(class), "a class of another type");
    let class: *mut ffi::PyTypeObject = class.as_ptr().cast();
    // SAFETY: the class's instances have the layout, as was just asked; nothing has run since the memory was allocated.
    unsafe {
        let made = freelist::allocate_zeroed::<T>(class)?;
        if T::NEEDS_NEW {
            T::write_new(made.as_ptr().cast());
        }
        Ok(made)
    }
}

/// `tp_dealloc`, as the module's text says.
unsafe extern "C" fn dealloc<T: Life>(object: *mut ffi::PyObject) {
    let body = move || {
        // SAFETY: CPython calls the slot with a dead instance of the type or of a subclass, once; all types that are
        // built are GC types, and those of objects that may need a finaliser have one. The finaliser may
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
                freelist::free(object);
            } else {
                dying.reset();
                T::class().free(object);
            }
        }
    };
    // SAFETY: the deallocator's own object.
    unsafe { guard_dealloc(T::DEALLOC, object, body) }
}

impl<T: Life> StaticType<T> {
    /// A new, tracked object of exactly this type, zeroed.
    #[inline]
    pub(crate) fn allocate(&self) -> Res<Owned<T>> {
        const { assert!(!T::NEEDS_NEW) };
        // SAFETY: a ready type, that is made before anything asks for its objects; `T` is made of zeroes.
        unsafe { self.freelist.allocate(self.as_ptr()) }
    }

    /// Frees memory of dead objects that was of no use since this was called last.
    pub(crate) fn trim(&self) {
        self.freelist.trim();
    }

    /// Frees a dead object of this type or of a subclass, or keeps its memory.
    ///
    /// # Safety
    /// The object's reference count is zero, and it is as the text of [`freelist`](super::freelist) says.
    #[inline]
    unsafe fn free(&self, object: *mut ffi::PyObject) {
        // SAFETY: the caller's contract.
        unsafe { self.freelist.free::<T>(object, self.as_ptr()) };
    }
}

impl<T: Life> TypeBuilder<T> {
    /// What follows from the declaration of `T`.
    pub(crate) fn life(self) -> Self {
        let builder = self
            .slot(ffi::Py_tp_dealloc, dealloc::<T> as unsafe extern "C" fn(_) as *mut _)
            .slot(ffi::Py_tp_traverse, traverse::<T> as unsafe extern "C" fn(_, _, _) -> _ as *mut _)
            .slot(ffi::Py_tp_clear, clear::<T> as unsafe extern "C" fn(_) -> _ as *mut _);
        if !T::NEEDS_NEW {
            return builder;
        }
        builder.slot(ffi::Py_tp_new, new::<T> as unsafe extern "C" fn(_, _, _) -> _ as *mut _)
    }
}

/// Declares a struct as the memory of a type's objects: `struct Name: TYPE { … }`, with a [`StaticType`] that knows its
/// instances. One that is only the beginning of others names their types: `struct Name: any of [TYPE, …] { … }`, or none
/// if C never hands one over by itself. The
/// first field is the head, an [`Object`], or the struct of the type that it derives from.
macro_rules! object {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident: any of [$($class:path),* $(,)?] { $($fields:tt)+ }
    ) => {
        $crate::sys::life::object!(@parts [$(#[$attribute])*] $visibility $name $($fields)+);
        $crate::sys::life::object!(@layout $name, |_object| false $(|| $class.is_instance(_object))*);
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
            use $crate::sys::part::Part;

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

pub(crate) use object;
