//! Python functions whose calls go to native code first.
//!
//! The interpreter calls a Python function through a pointer in it (`PyFunction_SetVectorcall`, 3.12 on). Native code that
//! is put there looks at the call, and does it or has the function's own body run. All else of the function stays what
//! it was: identity, code, signature, who holds it.
//!
//! A function's code and defaults are compared by address with what they were when it was looked at ([`Seen`]).

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;

use super::args::Arguments;
use super::{Field, Layout, Object, Owned, Raised, Res, enter};

unsafe extern "C" {
    fn PyFunction_SetVectorcall(function: *mut ffi::PyObject, vectorcall: ffi::vectorcallfunc);
}

/// The interpreter's own way to call a Python function; read off the first one that is seen.
static BODY: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// The call of a function that native code was put into.
pub(crate) struct Call<'a> {
    pub(crate) function: &'a Object,
    pub(crate) arguments: Arguments<'a>,
}

impl<'a> Call<'a> {
    /// # Safety
    /// The arguments of a vectorcall.
    #[inline]
    pub(crate) unsafe fn new(
        function: *mut ffi::PyObject,
        values: *const *mut ffi::PyObject,
        count_and_flag: usize,
        keywords: *mut ffi::PyObject,
    ) -> Call<'a> {
        // SAFETY: the caller's contract.
        unsafe {
            let positional = usize::try_from(ffi::PyVectorcall_NARGS(count_and_flag)).unwrap_or(0);
            Call { function: Object::from_ptr(function), arguments: Arguments::new(values, positional, keywords) }
        }
    }

    /// The arguments, if there are so many, all by position.
    #[inline]
    pub(crate) fn positional<const N: usize>(&self) -> Option<[&'a Object; N]> {
        if self.arguments.has_keywords() { None } else { <[&'a Object; N]>::try_from(self.arguments.positional).ok() }
    }
}

/// Runs the function's own body, whatever native code is in it.
///
/// # Safety
/// The arguments of a vectorcall of a Python function; one was [`hook`]ed before.
#[inline]
pub(crate) unsafe fn run_body(
    function: *mut ffi::PyObject,
    values: *const *mut ffi::PyObject,
    count_and_flag: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: `hook` has stored the address of a function of that type, before any native code was put anywhere.
    let body = unsafe { std::mem::transmute::<*mut c_void, enter::Vectorcall>(BODY.load(Ordering::Relaxed)) };
    // SAFETY: the caller's contract.
    unsafe { enter::call_by(body, function, values, count_and_flag, keywords) }
}

/// A `vectorcallfunc` around `fn(&Call) -> Option<Res<Owned>>`; for `None` the function's own body runs.
macro_rules! vectorcall {
    ($function:path) => {{
        #[allow(unsafe_code)] // of this module, wherever it is expanded
        unsafe extern "C" fn trampoline(
            function: *mut pyo3::ffi::PyObject,
            values: *const *mut pyo3::ffi::PyObject,
            count: usize,
            keywords: *mut pyo3::ffi::PyObject,
        ) -> *mut pyo3::ffi::PyObject {
            let place = concat!(module_path!(), "::", stringify!($function));
            let done = $crate::sys::error::guard(place, Some(std::ptr::null_mut()), || {
                // SAFETY: the interpreter calls it with the arguments of a vectorcall.
                let call = unsafe { $crate::sys::python_function::Call::new(function, values, count, keywords) };
                $function(&call).map($crate::sys::slots::IntoReturn::into_return)
            });
            match done {
                Some(result) => result,
                // SAFETY: the same arguments; only a function that was hooked gets here.
                None => unsafe { $crate::sys::python_function::run_body(function, values, count, keywords) },
            }
        }
        trampoline as pyo3::ffi::vectorcallfunc
    }};
}
pub(crate) use vectorcall;

/// Is it exactly a Python function?
pub(crate) fn is_function(object: &Object) -> bool {
    ptr::eq(object.type_ptr(), &raw mut ffi::PyFunction_Type)
}

/// Puts native code into a Python function. False, and nothing is done, if it is none or has other native code.
pub(crate) fn hook(function: &Object, vectorcall: ffi::vectorcallfunc) -> bool {
    if !is_function(function) {
        return false;
    }
    // SAFETY: a Python function; what it is called by is read and set.
    unsafe {
        let Some(present) = ffi::PyVectorcall_Function(function.as_ptr()) else { return false };
        let body = BODY.load(Ordering::Relaxed);
        if body.is_null() {
            BODY.store(present as *mut c_void, Ordering::Relaxed);
        } else if !ptr::eq(body, present as *mut c_void) {
            return false;
        }
        PyFunction_SetVectorcall(function.as_ptr(), vectorcall);
    }
    true
}

/// Takes the native code out of a Python function again, unless somebody else's is in it now.
pub(crate) fn unhook(function: &Object, vectorcall: ffi::vectorcallfunc) {
    if !is_function(function) {
        return;
    }
    // SAFETY: as in `hook`; whoever has hooked a function has stored the body's address before.
    unsafe {
        let present = ffi::PyVectorcall_Function(function.as_ptr());
        if present.is_some_and(|present| ptr::fn_addr_eq(present, vectorcall)) {
            let body = BODY.load(Ordering::Relaxed);
            let body = std::mem::transmute::<*mut c_void, ffi::vectorcallfunc>(body);
            PyFunction_SetVectorcall(function.as_ptr(), body);
        }
    }
}

/// A new function with the same code, names, defaults and closure, that no native code is in.
pub(crate) fn twin(function: &Object) -> Res<Owned> {
    assert!(is_function(function), "a Python function");
    // SAFETY: the accessors are called on an exact function, and return borrowed references or NULL; the setters get what
    // another function of the same code has.
    unsafe {
        let f = function.as_ptr();
        let name = super::call::getattr(function, &super::intern::ATTRIBUTE_QUALNAME)?;
        let (code, globals) = (ffi::PyFunction_GetCode(f), ffi::PyFunction_GetGlobals(f));
        let made: Owned = Owned::steal_or_raised(enter::PyFunction_NewWithQualName(code, globals, name.as_ptr()))?;
        let own = |object| Object::from_nullable(object).map(Layout::own);
        let set = [
            own(ffi::PyFunction_GetClosure(f)).map_or(0, |c| ffi::PyFunction_SetClosure(made.as_ptr(), c.as_ptr())),
            own(ffi::PyFunction_GetDefaults(f)).map_or(0, |d| ffi::PyFunction_SetDefaults(made.as_ptr(), d.as_ptr())),
            own(ffi::PyFunction_GetKwDefaults(f))
                .map_or(0, |d| ffi::PyFunction_SetKwDefaults(made.as_ptr(), d.as_ptr())),
        ];
        if set == [0; 3] { Ok(made) } else { Err(Raised) }
    }
}

/// A function's code object.
pub(crate) fn code(function: &Object) -> Option<Owned> {
    if !is_function(function) {
        return None;
    }
    // SAFETY: an exact function; a borrowed reference.
    Some(unsafe { Object::from_ptr(ffi::PyFunction_GetCode(function.as_ptr())) }.own())
}

/// Where a code object has what the interpreter keeps for `sys.monitoring` (`PyCodeObject._co_monitoring`), in words.
const MONITORING: usize = if cfg!(Py_3_13) { 22 } else { 21 };

/// What the interpreter keeps there begins with a byte for each event that a tool may want to know of one function: the
/// tools that do. So many events all versions have.
#[repr(C)]
struct LocalTools {
    of_eight_events: u64,
    of_two_more: u16,
}

/// Does a tool want to know what this very code object does?
///
/// # Safety
/// A code object.
#[inline]
unsafe fn has_local_tools(code: *mut ffi::PyObject) -> bool {
    // SAFETY: inside of a code object, as 3.12 to 3.15 lay it out: NULL, or the address of what is longer than this.
    unsafe {
        let tools = *code.cast::<*const LocalTools>().add(MONITORING);
        !tools.is_null() && ((*tools).of_eight_events != 0 || (*tools).of_two_more != 0)
    }
}

/// What a Python function was when it was looked at. The references keep the addresses from being used again.
pub(crate) struct Seen {
    function: Owned,
    code: Field,
    defaults: Field,
    keyword_defaults: Field,
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
        // SAFETY: a Python function; its fields are read, and compared by their addresses.
        unsafe {
            let function = self.function.as_ptr().cast::<ffi::PyFunctionObject>();
            let code = (*function).func_code;
            self.code.is_exactly_at(code)
                && self.defaults.is_exactly_at((*function).func_defaults)
                && self.keyword_defaults.is_exactly_at((*function).func_kwdefaults)
                && !has_local_tools(code)
        }
    }

    /// The dict of its keyword defaults, which can be changed in place.
    pub(crate) fn keyword_defaults(&self) -> Option<Owned> {
        self.keyword_defaults.get()
    }
}
