//! Python functions whose calls go to native code first.
//!
//! The interpreter calls a Python function through a pointer in it (`PyFunction_SetVectorcall`, 3.12 on). Native code that
//! is put there looks at the call, and does it or has the function's own body run. All else of the function stays what
//! it was: identity, code, signature, who holds it.
//!
//! Whether a function is still what it was when it was looked at is for [`super::function_state`].

use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;

use super::args::Arguments;
use super::attached::Attached;
use super::{Layout, Object, Owned, Raised, Res, containers, enter};

unsafe extern "C" {
    fn PyFunction_SetVectorcall(function: *mut ffi::PyObject, vectorcall: ffi::vectorcallfunc);
}

/// The interpreter's own way to call a Python function; read off the first one that is seen.
static BODY: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
/// The native code that was put into some function.
static HOOKS: Attached<RefCell<Vec<ffi::vectorcallfunc>>> = Attached::new(RefCell::new(Vec::new()));

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
    if !is_hook(vectorcall) {
        HOOKS.borrow_mut().push(vectorcall);
    }
    true
}

/// The same for a function that was just made ([`closure`]), of native code that was put into another before.
#[inline]
pub(crate) fn put_in(function: &Object, vectorcall: ffi::vectorcallfunc) {
    assert!(is_function(function), "a Python function");
    debug_assert!(is_hook(vectorcall), "native code that is in some function");
    // SAFETY: an exact function; `hook` has stored the address of the body before.
    unsafe { PyFunction_SetVectorcall(function.as_ptr(), vectorcall) }
}

fn is_hook(vectorcall: ffi::vectorcallfunc) -> bool {
    HOOKS.borrow().iter().any(|hook| ptr::fn_addr_eq(*hook, vectorcall))
}

/// Does calling a function by this run its body, or native code of ours for it?
pub(super) fn is_ours_or_body(vectorcall: Option<ffi::vectorcallfunc>) -> bool {
    vectorcall.is_some_and(|vectorcall| {
        ptr::eq(BODY.load(Ordering::Relaxed), vectorcall as *mut c_void) || is_hook(vectorcall)
    })
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

/// A new function of the code and the globals, as the interpreter makes one inside of another: its variables are in these
/// cells, which are as many as the code has names for, or none if nobody will call it.
pub(crate) fn closure(code: &Object, globals: &Object, cells: &[&Object]) -> Res<Owned> {
    assert!(
        ptr::eq(code.type_ptr(), &raw mut ffi::PyCode_Type) && containers::is_exact_dict(globals),
        "code and globals"
    );
    // SAFETY: a code object and a dict, and the closure is a tuple; no name: that of the code is taken.
    unsafe {
        let made: Owned = Owned::steal_or_raised(enter::PyFunction_NewWithQualName(
            code.as_ptr(),
            globals.as_ptr(),
            ptr::null_mut(),
        ))?;
        if !cells.is_empty() {
            let closure = containers::tuple(cells)?;
            if ffi::PyFunction_SetClosure(made.as_ptr(), closure.as_ptr()) != 0 {
                return Err(Raised);
            }
        }
        Ok(made)
    }
}

/// A new cell that has this in it.
pub(crate) fn cell(content: &Object) -> Res<Owned> {
    // SAFETY: a live object; a new reference, or NULL with the exception set.
    unsafe { Owned::steal_or_raised(ffi::PyCell_New(content.as_ptr())) }
}

/// What the function's closure has at that place now, if there is something.
pub(crate) fn closed_over(function: &Object, place: usize) -> Option<Owned> {
    if !is_function(function) {
        return None;
    }
    // SAFETY: an exact function, whose closure is NULL or a tuple of cells; the place is checked, and a cell has a
    // reference or NULL, which `PyCell_Get` hands over a new one of.
    unsafe {
        let cells = Object::from_nullable(ffi::PyFunction_GetClosure(function.as_ptr()))?;
        let place = ffi::Py_ssize_t::try_from(place).ok()?;
        if place >= ffi::PyTuple_Size(cells.as_ptr()) {
            return None;
        }
        let content = ffi::PyCell_Get(ffi::PyTuple_GET_ITEM(cells.as_ptr(), place));
        (!content.is_null()).then(|| Owned::steal(content))
    }
}

/// Is that the function's code object?
#[inline]
pub(crate) fn has_code(function: &Object, code: &Object) -> bool {
    // SAFETY: an exact function; a borrowed reference, compared by its address.
    is_function(function) && ptr::eq(unsafe { ffi::PyFunction_GetCode(function.as_ptr()) }, code.as_ptr())
}

/// The dict in which a function's code looks names up.
pub(crate) fn globals(function: &Object) -> Option<Owned> {
    if !is_function(function) {
        return None;
    }
    // SAFETY: an exact function; a borrowed reference.
    Some(unsafe { Object::from_ptr(ffi::PyFunction_GetGlobals(function.as_ptr())) }.own())
}

/// A function's code object.
pub(crate) fn code(function: &Object) -> Option<Owned> {
    if !is_function(function) {
        return None;
    }
    // SAFETY: an exact function; a borrowed reference.
    Some(unsafe { Object::from_ptr(ffi::PyFunction_GetCode(function.as_ptr())) }.own())
}
