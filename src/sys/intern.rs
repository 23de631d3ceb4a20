//! Interned strings: attribute, keyword and method names that are looked up again and again.

use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicIsize, AtomicPtr, Ordering};

use pyo3::ffi;

use super::{Layout, Object, Owned, Res};

/// A name with its interned string object, which lives as long as the process.
pub(crate) struct Name {
    pub(crate) text: &'static CStr,
    object: AtomicPtr<ffi::PyObject>,
    /// The place that it had in the dict in which it was looked for by `dict_entries.rs` last.
    place: AtomicIsize,
}

impl Name {
    pub(crate) const fn new(text: &'static CStr) -> Self {
        Name { text, object: AtomicPtr::new(ptr::null_mut()), place: AtomicIsize::new(0) }
    }

    #[inline]
    pub(crate) fn object(&self) -> &'static Object {
        // SAFETY: `init` ran before any slot or function of ours can be called; the string is never let go.
        unsafe { Object::from_ptr(self.object.load(Ordering::Relaxed)) }
    }

    #[inline]
    pub(super) fn place(&self) -> ffi::Py_ssize_t {
        self.place.load(Ordering::Relaxed)
    }

    pub(super) fn set_place(&self, place: ffi::Py_ssize_t) {
        self.place.store(place, Ordering::Relaxed);
    }

    /// Is the object the interned string? (An equal one may still be another.)
    #[inline]
    pub(crate) fn is(&self, object: &Object) -> bool {
        self.object().is(object)
    }

    /// Is it the same text, in a string or an instance of a subclass?
    pub(crate) fn equals(&self, string: &Object) -> bool {
        let length = ffi::Py_ssize_t::try_from(self.text.count_bytes());
        // SAFETY: a live object, that is a string; comparing with an ASCII text runs no Python code.
        unsafe {
            ffi::PyUnicode_Check(string.as_ptr()) != 0
                && length == Ok(ffi::PyUnicode_GetLength(string.as_ptr()))
                && ffi::PyUnicode_CompareWithASCIIString(string.as_ptr(), self.text.as_ptr()) == 0
        }
    }

    /// Makes the string.
    pub(crate) fn init(&self) -> Res<()> {
        // SAFETY: a NUL-terminated text; the strong reference stays in the static.
        let object: Owned = unsafe { Owned::steal_or_raised(ffi::PyUnicode_InternFromString(self.text.as_ptr()))? };
        self.object.store(object.into_ptr(), Ordering::Relaxed);
        Ok(())
    }
}

/// Declares names, and the function `init` that makes their strings; called once, by the module's initialisation.
macro_rules! names {
    ($($name:ident = $text:literal;)*) => {
        $(pub(crate) static $name: $crate::sys::intern::Name = $crate::sys::intern::Name::new($text);)*

        /// Makes the strings; called once, by the module's initialisation.
        pub(crate) fn init() -> $crate::sys::Res<()> {
            $($name.init()?;)*
            Ok(())
        }
    };
}
pub(crate) use names;

// What this layer itself looks up.
names! {
    EMPTY = c"";
    ADD = c"add";
    APPEND = c"append";
    CAST = c"cast";
    CLOSE = c"close";
    CLOSED = c"_closed";
    IO_REFS = c"_io_refs";
    SETBLOCKING = c"setblocking";
    ATTRIBUTE_CLASS = c"__class__";
    ATTRIBUTE_CODE = c"__code__";
    ATTRIBUTE_DEFAULTS = c"__defaults__";
    ATTRIBUTE_DICT = c"__dict__";
    ATTRIBUTE_DOC = c"__doc__";
    ATTRIBUTE_FIRSTLINENO = c"__firstlineno__";
    ATTRIBUTE_KWDEFAULTS = c"__kwdefaults__";
    ATTRIBUTE_MODULE = c"__module__";
    ATTRIBUTE_QUALNAME = c"__qualname__";
    CO_QUALNAME = c"co_qualname";
    CO_VARNAMES = c"co_varnames";
    F_LINENO = c"f_lineno";
    POPLEFT = c"popleft";
    REMOVE = c"remove";
    THROW = c"throw";
    VALUE = c"value";
}
