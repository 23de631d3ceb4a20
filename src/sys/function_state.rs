//! Are Python functions still what they were when they were looked at?
//!
//! What a call does follows from the function's code, its defaults, and how it is called. In a function that no native
//! code was put into, the interpreter keeps a number of all that (`func_version`): no two states have the same, and it is
//! cleared when one of them is changed, by whomever. So one comparison answers for it. A function with native code in it
//! has no number, nor has one that was changed before it was looked at: there the fields are compared, by their addresses.
//!
//! `PyFunction_AddWatcher` would tell of changes. But the interpreter also tells of each function that is made and that
//! dies, which a program that makes closures would pay for (4 to 5 % more instructions in a loop that makes them).
//!
//! A tool of `sys.monitoring` may want to know what a single code object does; that is in the code object.

use std::cell::Cell;

use pyo3::ffi;

use super::python_function::{is_function, is_ours_or_body};
use super::{Field, Layout, Object, Owned};

/// A number that no state has.
const NO_VERSION: u32 = u32::MAX;
/// The first number of a state; those before say that there is none.
const FIRST_VERSION: u32 = 2;

/// Where a code object has what the interpreter keeps for `sys.monitoring` (`PyCodeObject._co_monitoring`), in words.
const MONITORING: usize = if cfg!(Py_3_13) { 22 } else { 21 };

/// What the interpreter keeps there begins with a byte for each event that a tool may want to know of one function: the
/// tools that do. So many events all versions have.
#[repr(C)]
struct LocalTools {
    of_eight_events: u64,
    of_two_more: u16,
}

#[inline]
fn address(vectorcall: Option<ffi::vectorcallfunc>) -> usize {
    vectorcall.map_or(0, |vectorcall| (vectorcall as *const ()).addr())
}

/// What a Python function was when it was looked at. The references keep the addresses from being used again.
pub(crate) struct Seen {
    function: Owned,
    code: Field,
    defaults: Field,
    keyword_defaults: Field,
    /// What does its calls: its body, or native code of ours. `None` before that was found out.
    vectorcall: Cell<Option<ffi::vectorcallfunc>>,
    version: Cell<u32>,
}

impl Seen {
    /// `None` if it is no Python function.
    pub(crate) fn of(function: &Object) -> Option<Seen> {
        if !is_function(function) {
            return None;
        }
        let seen = Seen {
            function: function.own(),
            code: Field::unset(),
            defaults: Field::unset(),
            keyword_defaults: Field::unset(),
            vectorcall: Cell::new(None),
            version: Cell::new(NO_VERSION),
        };
        // SAFETY: an exact function; borrowed references, or NULL.
        unsafe {
            let own = |object| Object::from_nullable(object).map(Layout::own);
            let f = function.as_ptr();
            drop(seen.code.replace(own(ffi::PyFunction_GetCode(f))));
            drop(seen.defaults.replace(own(ffi::PyFunction_GetDefaults(f))));
            drop(seen.keyword_defaults.replace(own(ffi::PyFunction_GetKwDefaults(f))));
        }
        Some(seen)
    }

    /// Is it still so, and does no tool of `sys.monitoring` want to know of it alone?
    #[inline]
    pub(crate) fn is_unchanged(&self) -> bool {
        // SAFETY: a live Python function; a field of it is read.
        let version = unsafe { (*self.fields()).func_version };
        (version == self.version.get() && self.tools().is_null()) || self.has_same_fields()
    }

    #[inline]
    fn fields(&self) -> *const ffi::PyFunctionObject {
        self.function.as_ptr().cast()
    }

    #[inline]
    fn has_same_fields(&self) -> bool {
        // SAFETY: a live Python function; its fields are read, and compared by their addresses.
        let (is_same, version, vectorcall) = unsafe {
            let function = self.fields();
            let is_same = self.code.is_exactly_at((*function).func_code)
                && self.defaults.is_exactly_at((*function).func_defaults)
                && self.keyword_defaults.is_exactly_at((*function).func_kwdefaults);
            (is_same, (*function).func_version, (*function).vectorcall)
        };
        is_same
            && (address(vectorcall) == address(self.vectorcall.get()) || self.is_called_by_ours(vectorcall))
            && !self.has_local_tools()
            && self.note(version)
    }

    /// Is the new way to call it no native code of anybody else's?
    #[cold]
    fn is_called_by_ours(&self, vectorcall: Option<ffi::vectorcallfunc>) -> bool {
        let ours = is_ours_or_body(vectorcall);
        if ours {
            self.vectorcall.set(vectorcall);
        }
        ours
    }

    #[inline]
    fn note(&self, version: u32) -> bool {
        self.version.set(if version < FIRST_VERSION { NO_VERSION } else { version });
        true
    }

    /// What the interpreter keeps for tools that want to know of the code; NULL if there never was any.
    #[inline]
    fn tools(&self) -> *const LocalTools {
        // SAFETY: a word inside of a live code object, as 3.12 to 3.15 lay it out.
        unsafe { *self.code.peek().cast::<*const LocalTools>().add(MONITORING) }
    }

    #[inline]
    fn has_local_tools(&self) -> bool {
        let tools = self.tools();
        // SAFETY: not NULL, it is the address of what is longer than this, and lives as long as the code.
        !tools.is_null() && unsafe { (*tools).of_eight_events != 0 || (*tools).of_two_more != 0 }
    }

    /// The dict of its keyword defaults, which can be changed in place.
    pub(crate) fn keyword_defaults(&self) -> Option<Owned> {
        self.keyword_defaults.get()
    }
}
