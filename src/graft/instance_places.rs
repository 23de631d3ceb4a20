//! Where the instances of one class have their attributes.
//!
//! That is asked again whenever the class's instances have more names than before.

use std::cell::Cell;

use crate::sys::instance_values::{NOWHERE, Values};
use crate::sys::intern::Name;

/// The places of `N` attributes.
pub(super) struct Places<const N: usize> {
    /// How many names the class's instances had.
    count: Cell<usize>,
    of: [Cell<usize>; N],
    /// Some instance has had an attribute with the name of a method.
    hides: Cell<bool>,
}

impl<const N: usize> Places<N> {
    pub(super) const fn unknown() -> Self {
        Places { count: Cell::new(NOWHERE), of: [const { Cell::new(NOWHERE) }; N], hides: Cell::new(false) }
    }

    /// They are asked for again.
    pub(super) fn forget(&self) {
        self.count.set(NOWHERE);
    }

    /// The place of the attribute.
    #[inline]
    pub(super) fn of(&self, index: usize) -> usize {
        self.of[index].get()
    }

    /// Are they those of the instance with these values, and has none hidden a method? What is not known is answered by no.
    #[inline]
    pub(super) fn are_known_to_fit(&self, values: Values<'_>) -> bool {
        values.count() == self.count.get() && !self.hides.get()
    }

    /// Are they those of the instance with these values, which hides none of the methods? They are asked for if need be.
    #[inline]
    pub(super) fn fit(&self, values: Values<'_>, names: &[&Name; N], methods: &[&Name]) -> bool {
        if values.count() != self.count.get() {
            self.find(values, names, methods);
        }
        !self.hides.get() || !hides(values, methods)
    }

    #[cold]
    #[inline(never)]
    fn find(&self, values: Values<'_>, names: &[&Name; N], methods: &[&Name]) {
        for (place, name) in self.of.iter().zip(names) {
            place.set(values.place(name));
        }
        self.hides.set(methods.iter().any(|name| values.place(name) != NOWHERE));
        self.count.set(values.count());
    }
}

#[cold]
#[inline(never)]
fn hides(values: Values<'_>, methods: &[&Name]) -> bool {
    methods.iter().any(|name| !values.peek(values.place(name)).is_null())
}
