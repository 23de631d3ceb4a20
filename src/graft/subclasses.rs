//! Subclasses of asyncio's classes whose instances native code may look at as at the class's own.
//!
//! That is one in which each name that native code uses, or passes over, means what it means in the class, and whose
//! instances get and set attributes in the usual way. It is found out once for each state of a subclass, which the
//! interpreter gives a number ([`Identity`]).
//!
//! A subclass keeps its entry as long as it lives, for who has places of its instances has an instance. Those that come
//! when there is no entry left are for Python code, and so are those that change all the time.

use std::cell::Cell;
use std::ptr;

use crate::sys::error::fetch;
use crate::sys::intern::Name;
use crate::sys::types::Identity;
use crate::sys::{Field, Layout, Type, weak};

use super::instance_places::Places;

/// How many subclasses of a class native code looks at.
const MOST: usize = 16;
/// How often one may change.
const CHANGES: u8 = 100;

/// What a subclass must be like.
pub(super) struct Wanted<'a> {
    pub(super) class: &'a Type,
    /// The attributes that native code uses, and the methods that it passes over.
    pub(super) names: [&'a [&'static Name]; 2],
}

pub(super) struct Subclasses<const N: usize>([Subclass<N>; MOST]);

struct Subclass<const N: usize> {
    /// Its address; NULL if this entry and those after it are free.
    class: Cell<*const Type>,
    /// A weak reference to it.
    lives: Field,
    looked_at: Cell<Identity>,
    looks: Cell<u8>,
    is_plain: Cell<bool>,
    places: Places<N>,
}

impl<const N: usize> Subclasses<N> {
    pub(super) const fn new() -> Self {
        Subclasses([const { Subclass::free() }; MOST])
    }

    /// Where the instances of the class have their attributes, if it is a subclass that is as it is wanted. Runs no Python
    /// code.
    #[inline]
    pub(super) fn find<'a>(&self, class: &Type, wanted: impl Fn() -> Option<Wanted<'a>>) -> Option<&Places<N>> {
        let known = self.0.iter().take_while(|subclass| !subclass.class.get().is_null());
        for subclass in known {
            if ptr::eq(subclass.class.get(), class) {
                return subclass.places(class, wanted);
            }
        }
        self.enter(class, &wanted()?)
    }

    #[cold]
    fn enter(&self, class: &Type, wanted: &Wanted<'_>) -> Option<&Places<N>> {
        if !class.is_subclass_of(wanted.class) {
            return None;
        }
        let entry = self.0.iter().find(|subclass| !subclass.is_taken())?;
        entry.class.set(class);
        entry.looks.set(0);
        entry.look(class, wanted);
        entry.is_plain.get().then_some(&entry.places)
    }
}

impl<const N: usize> Subclass<N> {
    const fn free() -> Self {
        Subclass {
            class: Cell::new(ptr::null()),
            lives: Field::unset(),
            looked_at: Cell::new(Identity::NOBODY),
            looks: Cell::new(0),
            is_plain: Cell::new(false),
            places: Places::unknown(),
        }
    }

    /// By a class that is still there.
    fn is_taken(&self) -> bool {
        self.lives.get().is_some_and(|reference| weak::target(&reference).is_some())
    }

    #[inline]
    fn places<'a>(&self, class: &Type, wanted: impl Fn() -> Option<Wanted<'a>>) -> Option<&Places<N>> {
        if !self.looked_at.get().is(class.identity()) {
            self.look(class, &wanted()?);
        }
        self.is_plain.get().then_some(&self.places)
    }

    #[cold]
    fn look(&self, class: &Type, wanted: &Wanted<'_>) {
        self.is_plain.set(false);
        // Another class may have been at this address: its changes are not this one's.
        if !self.is_taken() {
            self.looks.set(0);
        }
        if self.looks.get() == CHANGES {
            return;
        }
        self.looks.set(self.looks.get() + 1);
        self.places.forget();
        match weak::reference(class.as_object()) {
            Ok(reference) => self.lives.set(reference),
            Err(raised) => return drop(fetch(raised)),
        }
        if class.assign_version() {
            self.looked_at.set(class.identity());
            self.is_plain.set(wanted.is_met_by(class));
        }
    }
}

impl Wanted<'_> {
    fn is_met_by(&self, class: &Type) -> bool {
        class.is_subclass_of(self.class)
            && class.has_generic_getattr()
            && class.has_generic_setattr()
            && self.names.iter().copied().flatten().all(|name| match (class.find(name), self.class.find(name)) {
                (Some(found), Some(expected)) => ptr::eq(found.as_ptr(), expected.as_ptr()),
                (None, None) => true,
                _ => false,
            })
    }
}
