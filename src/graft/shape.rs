//! Attributes of plain instances of asyncio's classes, where the interpreter keeps them.
//!
//! A [`Shape`] knows a class by what a graft was looked at for, and where its instances have which attribute. Only an
//! instance of that class, or of a subclass that replaces nothing of what matters ([`super::subclasses`]), with its
//! attributes beside it and none that hides a method, is looked at; all others are for Python code.

use crate::sys::attached::Attached;
use crate::sys::instance_values::Values;
use crate::sys::intern::Name;
use crate::sys::lazy::Lazy;
use crate::sys::{Layout, Object, Owned, Res, Type, call, containers};

use super::instance_places::Places;
use super::subclasses::{Subclasses, Wanted};

/// Attributes of the instances of a class: `N` that native code uses, and the names that none of them may have.
pub(crate) struct Shape<const N: usize> {
    class: Lazy,
    names: [&'static Name; N],
    /// The methods that native code passes over.
    hidden: &'static [&'static Name],
    places: Attached<Places<N>>,
    /// `None` if only instances of exactly the class are looked at.
    subclasses: Option<Attached<Subclasses<N>>>,
}

impl<const N: usize> Shape<N> {
    /// Of instances of exactly the class; `hidden` are the names of the methods that native code passes over.
    pub(crate) const fn new(
        module: &'static str,
        class: &'static str,
        names: [&'static Name; N],
        hidden: &'static [&'static Name],
    ) -> Self {
        let places = Attached::new(Places::unknown());
        Shape { class: Lazy::new(module, class), names, hidden, places, subclasses: None }
    }

    /// The same, of instances of subclasses, too.
    pub(crate) const fn with_subclasses(mut self) -> Self {
        self.subclasses = Some(Attached::new(Subclasses::new()));
        self
    }

    /// Is it of the class, or of a subclass that is as plain?
    #[inline]
    pub(crate) fn fits(&self, object: &Object) -> bool {
        self.is_exact(object) || self.places_of_derived(object).is_some()
    }

    /// Is it exactly of the class?
    #[inline]
    pub(crate) fn is_exact(&self, object: &Object) -> bool {
        self.class.find().is_some_and(|class| object.class().is(class))
    }

    #[cold]
    #[inline(never)]
    fn places_of_derived(&self, object: &Object) -> Option<&Places<N>> {
        let wanted = || Some(Wanted { class: self.class()?, names: [&self.names, self.hidden] });
        self.subclasses.as_ref()?.find(object.class(), wanted)
    }

    /// The class.
    pub(crate) fn class(&self) -> Option<&Type> {
        self.class.find()?.as_type()
    }

    /// The instance's attributes, if all about it is plain. To be used before any Python code runs.
    #[inline]
    pub(crate) fn of<'a>(&'a self, object: &'a Object) -> Option<Attributes<'a, N>> {
        // Nearly always it is the class, and what there is to know is known.
        if self.class.known().is_some_and(|class| object.class().is(class)) {
            if let Some(values) = Values::of_known(object).filter(|&values| self.places.are_known_to_fit(values)) {
                return Some(Attributes { shape: self, places: &self.places, object, values });
            }
        }
        self.look_at(object)
    }

    #[cold]
    #[inline(never)]
    fn look_at<'a>(&'a self, object: &'a Object) -> Option<Attributes<'a, N>> {
        let places = if self.is_exact(object) { &*self.places } else { self.places_of_derived(object)? };
        let values = Values::of(object)?;
        places.fit(values, &self.names, self.hidden).then_some(Attributes { shape: self, places, object, values })
    }

    /// Sets an attribute, whatever has become of the instance.
    #[inline]
    pub(crate) fn set(&self, object: &Object, index: usize, value: &Object) -> Res<()> {
        match self.of(object) {
            Some(attributes) => attributes.set(index, value),
            None => call::setattr(object, self.names[index], value),
        }
    }
}

/// The attributes of an instance, by their place in the shape.
#[derive(Clone, Copy)]
pub(crate) struct Attributes<'a, const N: usize> {
    shape: &'a Shape<N>,
    places: &'a Places<N>,
    object: &'a Object,
    values: Values<'a>,
}

impl<const N: usize> Attributes<'_, N> {
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<Owned> {
        self.values.get(self.places.of(index))
    }

    /// Is it this very object?
    #[inline]
    pub(crate) fn holds(&self, index: usize, value: &Object) -> bool {
        std::ptr::eq(self.values.peek(self.places.of(index)), value.as_ptr())
    }

    /// Has the instance none of its own?
    #[inline]
    pub(crate) fn lacks(&self, index: usize) -> bool {
        self.values.peek(self.places.of(index)).is_null()
    }

    /// `True` or `False`, if it is one of them.
    #[inline]
    pub(crate) fn flag(&self, index: usize) -> Option<bool> {
        let is = |truth| self.holds(index, crate::sys::object::boolean(truth));
        if is(true) { Some(true) } else { is(false).then_some(false) }
    }

    /// An integer, if it is exactly one that is not too large.
    #[inline]
    pub(crate) fn int(&self, index: usize) -> Option<i64> {
        let place = self.places.of(index);
        self.values.small_int(place).or_else(|| self.large_int(index))
    }

    #[cold]
    #[inline(never)]
    fn large_int(&self, index: usize) -> Option<i64> {
        containers::exact_int(&*self.get(index)?)
    }

    /// Sets it. What was there is let go of, which may run Python code; and what is set may have been the one name too
    /// many, for which the instance gets a dict: the attributes are to be got again then ([`Shape::set`]).
    #[inline]
    pub(crate) fn set(self, index: usize, value: &Object) -> Res<()> {
        if self.place_value(index, value) { Ok(()) } else { self.set_by_name(index, value) }
    }

    /// Sets several, in this order, where letting go of what was there runs no Python code.
    #[inline]
    pub(crate) fn set_each(self, values: &[(usize, &Object)]) -> Res<()> {
        let mut in_place = true;
        values.iter().try_for_each(|&(index, value)| {
            in_place = in_place && self.place_value(index, value);
            if in_place { Ok(()) } else { self.set_by_name(index, value) }
        })
    }

    #[inline]
    fn place_value(self, index: usize, value: &Object) -> bool {
        let place = self.places.of(index);
        self.values.replace(place, value.own()) || self.values.insert(self.object, place, value)
    }

    /// After this the values are elsewhere, perhaps.
    #[cold]
    fn set_by_name(self, index: usize, value: &Object) -> Res<()> {
        let object = self.object.own();
        call::setattr(&object, self.shape.names[index], value)
    }
}
