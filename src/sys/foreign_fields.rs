//! Two fields of objects that are not ours, but laid out as ours are: a reference, and a flag that says what it is.
//!
//! Nothing is believed of somebody else's class before it was tried out ([`ForeignFields::settle`]); until then no object
//! has the fields.

use std::cell::Cell;

use pyo3::ffi;

use super::object::Type;
use super::{Field, Layout, Object, Res};

/// Where the fields are in the instances of a class.
pub(crate) struct ForeignFields {
    class: Field<Type>,
    reference: usize,
    flag: usize,
}

impl ForeignFields {
    /// Of a class that is not known yet. The offsets are in bytes.
    pub(crate) const fn at(reference: usize, flag: usize) -> Self {
        ForeignFields { class: Field::unset(), reference, flag }
    }

    /// The fields of an instance of the class.
    #[inline]
    pub(crate) fn of<'a>(&self, object: &'a Object) -> Option<(&'a Field, &'a Cell<bool>)> {
        let class = self.class.get()?;
        // SAFETY: a live object and a type; `settle` has found the fields in its instances.
        unsafe { (ffi::PyObject_TypeCheck(object.as_ptr(), class.as_type_ptr()) != 0).then(|| self.fields(object)) }
    }

    /// Is there a class of which it is known?
    #[inline]
    pub(crate) fn is_settled(&self) -> bool {
        self.class.is_set()
    }

    /// Makes the class known, if `try_out` finds its instances so: it is handed a look at the address and the flag that
    /// are in `sample`, an object of the class, and may do with it what should change them.
    pub(crate) fn settle(
        &self,
        class: &Type,
        sample: &Object,
        try_out: impl FnOnce(&dyn Fn() -> (usize, u8)) -> Res<bool>,
    ) -> Res<()> {
        // SAFETY: a live type.
        let size = usize::try_from(unsafe { (*class.as_type_ptr()).tp_basicsize }).unwrap_or(0);
        let end = (self.reference + size_of::<usize>()).max(self.flag + 1);
        if end > size || !sample.class().is(class) {
            return Ok(());
        }
        // SAFETY: inside of the object; what is there is looked at as numbers.
        let look = || unsafe {
            let start = sample.as_ptr();
            (start.byte_add(self.reference).cast::<usize>().read_unaligned(), *start.byte_add(self.flag).cast::<u8>())
        };
        if try_out(&look)? {
            self.class.set(class.own());
        }
        Ok(())
    }

    /// # Safety
    /// An instance of a class that has them.
    unsafe fn fields<'a>(&self, object: &'a Object) -> (&'a Field, &'a Cell<bool>) {
        // SAFETY: the caller's contract; the reference is a strong one, and the flag zero or one.
        unsafe { (&*object.as_ptr().byte_add(self.reference).cast(), &*object.as_ptr().byte_add(self.flag).cast()) }
    }
}
