//! Methods in Rust of classes that stand for classes in Python: called like a builtin's, seen like a function.
//!
//! A method descriptor of C, as a builtin type has it, has no signature with defaults of its own, no `__module__`, no
//! `__code__`, binds to a builtin instead of a method, and is no function for `inspect` or `unittest.mock`. Where the
//! method that it takes the place of is a Python function, a [`NativeFunction`] is put into the class instead:
//!
//! * What is asked of it is answered by a *description*, a copy of that Python function: name, signature, annotations,
//!   docstring, source, whatever attribute. Its `__class__` is `types.FunctionType`; `type()` tells the truth.
//! * A call goes to the C function if that can take it: an instance of the native type, and a number of arguments that
//!   fits. All else goes to the description, which runs (another object may well have what its body asks for) or raises
//!   what a Python function raises.
//! * It says `Py_TPFLAGS_METHOD_DESCRIPTOR`, so that `object.method(…)` makes no bound method.
//!
//! What would change the description and not what is called is refused: `__code__` and the defaults.
//!
//! The fields are set once, by [`NativeFunction::make`]; the collector may unset them.

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::mem::offset_of;
use std::ptr;

use pyo3::ffi;

use super::compat::{MANAGED_WEAKREF_FLAG, MANAGED_WEAKREFS};
use super::error::{self, Builtin, guard, raise, raise_format};
use super::instance::Weakrefs;
use super::intern::{
    ATTRIBUTE_CLASS, ATTRIBUTE_CODE, ATTRIBUTE_DEFAULTS, ATTRIBUTE_DICT, ATTRIBUTE_DOC, ATTRIBUTE_KWDEFAULTS,
    ATTRIBUTE_MODULE, ATTRIBUTE_QUALNAME, CO_VARNAMES, Name,
};
use super::lazy::Lazy;
use super::life::{Life, object};
use super::part::Zeroed;
use super::raised;
use super::slots::{IntoReturn, IntoStatus, getset, noargs, unary};
use super::typeobj::{StaticType, TypeBuilder};
use super::{Field, Layout, Object, Owned, Res, Type, call, containers, enter};

object! {
    pub(super) struct NativeFunction: TYPE {
        head: Object,
        vectorcall: Cell<Address>,
        /// The C function.
        function: Cell<Address>,
        /// What the native type says of the method, in static memory.
        definition: Cell<Option<&'static ffi::PyMethodDef>>,
        /// The type whose instances the C function takes; it is kept for good.
        native: Cell<Option<&'static Type>>,
        /// The class that has it, which is the native type or derives from it.
        owner: Field,
        /// The Python function that it looks like.
        description: Field,
        /// The name of its only parameter besides `self`, if it has one.
        parameter: Field,
        weakrefs: Weakrefs,
    }
}

impl Life for NativeFunction {}

static TYPE: StaticType<NativeFunction> = StaticType::new();

/// That of a function; NULL if it is not set.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Address(*mut c_void);

impl Default for Address {
    fn default() -> Self {
        Address(ptr::null_mut())
    }
}

// SAFETY: NULL is zero.
unsafe impl Zeroed for Address {}

/// `builtins.getattr`
static GETATTR_FUNCTION: Lazy = Lazy::new("builtins", "getattr");

impl NativeFunction {
    /// A function for the class `owner` that calls the method, and looks like the Python function `like`. `None` if
    /// that is no Python function.
    ///
    /// # Safety
    /// The definition lives for good, and its function takes instances of `native`, from which `owner` derives.
    pub(super) unsafe fn make(
        definition: &'static ffi::PyMethodDef,
        native: &'static Type,
        owner: &Type,
        like: &Object,
    ) -> Res<Option<Owned>> {
        const ANY: c_int = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
        let flags = definition.ml_flags;
        let vectorcall: ffi::vectorcallfunc = match flags {
            ffi::METH_NOARGS => call_without,
            ffi::METH_O => call_with_one,
            ANY => call_with_any,
            _ => return Ok(None),
        };
        let Some(description) = copy_function(like)? else { return Ok(None) };
        let parameter = if flags == ffi::METH_O { Some(second_parameter(&description)?) } else { None };
        let made = TYPE.allocate()?;
        made.vectorcall.set(Address(vectorcall as *mut c_void));
        // SAFETY: all of the union's fields are addresses of functions.
        made.function.set(Address(unsafe { definition.ml_meth.PyCFunction } as *mut c_void));
        made.definition.set(Some(definition));
        made.native.set(Some(native));
        made.owner.set(owner.as_object().own());
        drop(made.parameter.replace(parameter));
        made.description.set(description);
        Ok(Some(made.into_object()))
    }

    #[inline]
    fn c_function(&self) -> ffi::PyMethodDefPointer {
        // SAFETY: `make` has set it to the address of a function; of which kind, the caller knows by the convention.
        let function = unsafe { std::mem::transmute::<*mut c_void, ffi::PyCFunction>(self.function.get().0) };
        ffi::PyMethodDefPointer { PyCFunction: function }
    }

    /// Is the object of the class that has the function, and of no subclass?
    ///
    /// # Safety
    /// A live object.
    #[inline]
    unsafe fn is_of_owner(&self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: the caller's contract.
        self.owner.holds(unsafe { Object::from_ptr(ffi::Py_TYPE(object).cast()) })
    }

    /// Does the C function take the object as `self`?
    ///
    /// # Safety
    /// A live object.
    unsafe fn takes(&self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: the caller's contract; two live types.
        self.native
            .get()
            .is_some_and(|native| unsafe { ffi::PyType_IsSubtype(ffi::Py_TYPE(object), native.as_type_ptr()) != 0 })
    }

    fn description(&self) -> Res<Owned> {
        self.description.get().ok_or_else(|| raise(Builtin::SystemError.class(), c"a function that was taken apart"))
    }
}

/// A copy of a Python function: the same code and attributes. `None` if it is something else.
fn copy_function(like: &Object) -> Res<Option<Owned>> {
    // SAFETY: the accessors are called on an exact function, and return borrowed references or NULL.
    let (code, globals, closure, defaults, keyword_defaults) = unsafe {
        if !ptr::eq(like.type_ptr(), &raw mut ffi::PyFunction_Type) {
            return Ok(None);
        }
        let f = like.as_ptr();
        let own = |object| Object::from_nullable(object).map(Layout::own);
        (
            Object::from_ptr(ffi::PyFunction_GetCode(f)).own(),
            Object::from_ptr(ffi::PyFunction_GetGlobals(f)).own(),
            own(ffi::PyFunction_GetClosure(f)),
            own(ffi::PyFunction_GetDefaults(f)),
            own(ffi::PyFunction_GetKwDefaults(f)),
        )
    };
    let name = call::getattr(like, &ATTRIBUTE_QUALNAME)?;
    // SAFETY: a code object, a dict, a string; the closure is as long as the code wants it, the defaults are a tuple
    // and a dict.
    let made = unsafe {
        let made: Owned =
            Owned::steal_or_raised(enter::PyFunction_NewWithQualName(code.as_ptr(), globals.as_ptr(), name.as_ptr()))?;
        let set = [
            closure.map_or(0, |c| ffi::PyFunction_SetClosure(made.as_ptr(), c.as_ptr())),
            defaults.map_or(0, |d| ffi::PyFunction_SetDefaults(made.as_ptr(), d.as_ptr())),
            keyword_defaults.map_or(0, |d| ffi::PyFunction_SetKwDefaults(made.as_ptr(), d.as_ptr())),
        ];
        if set != [0; 3] {
            return Err(super::Raised);
        }
        made
    };
    for attribute in [&ATTRIBUTE_MODULE, &ATTRIBUTE_DOC] {
        call::setattr(&made, attribute, &*call::getattr(like, attribute)?)?;
    }
    Ok(Some(made))
}

/// The name of a function's parameter behind `self`.
fn second_parameter(function: &Object) -> Res<Owned> {
    containers::tuple_item(&*call::getattr(&*call::getattr(function, &ATTRIBUTE_CODE)?, &CO_VARNAMES)?, 1)
}

/// Calls the description.
///
/// # Safety
/// The arguments of a vectorcall of one of our functions.
#[cold]
#[inline(never)]
unsafe extern "C" fn call_description(
    callable: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count_and_flag: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard("NativeFunction::call_description", ptr::null_mut(), || {
        // SAFETY: the caller's contract.
        let call = |function: Owned| unsafe {
            let count = count_and_flag & !ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;
            Owned::<Object>::steal_or_raised(enter::PyObject_Vectorcall(function.as_ptr(), arguments, count, keywords))
        };
        // SAFETY: the caller's contract.
        unsafe { NativeFunction::from_ptr(callable) }.description().and_then(call).into_return()
    })
}

// What CPython calls. An object of the owner's class itself goes straight on to the C function, with nothing left on the
// stack; all else is looked at by a function of its own.

/// `METH_FASTCALL | METH_KEYWORDS`: the C function says itself which arguments it does not like.
unsafe extern "C" fn call_with_any(
    callable: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count_and_flag: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the arguments of a vectorcall of one of our functions; it is of this convention, as `make` has seen.
    unsafe {
        let function = NativeFunction::from_ptr(callable);
        let count = ffi::PyVectorcall_NARGS(count_and_flag);
        if count == 0 || !function.is_of_owner(*arguments) {
            return look_at_any(callable, arguments, count_and_flag, keywords);
        }
        (function.c_function().PyCFunctionFastWithKeywords)(*arguments, arguments.add(1), count - 1, keywords)
    }
}

#[cold]
#[inline(never)]
unsafe extern "C" fn look_at_any(
    callable: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count_and_flag: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the arguments of a vectorcall of one of our functions, of the convention that `call_with_any` is for, which
    // alone calls this; `takes` has looked at the object.
    unsafe {
        let function = NativeFunction::from_ptr(callable);
        match ffi::PyVectorcall_NARGS(count_and_flag) {
            count if count > 0 && function.takes(*arguments) => {
                (function.c_function().PyCFunctionFastWithKeywords)(*arguments, arguments.add(1), count - 1, keywords)
            }
            _ => call_description(callable, arguments, count_and_flag, keywords),
        }
    }
}

/// `METH_NOARGS`
unsafe extern "C" fn call_without(
    callable: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count_and_flag: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the arguments of a vectorcall of one of our functions; it is of this convention, as `make` has seen.
    unsafe {
        let function = NativeFunction::from_ptr(callable);
        if ffi::PyVectorcall_NARGS(count_and_flag) != 1 || !keywords.is_null() || !function.is_of_owner(*arguments) {
            return look_at_none(callable, arguments, count_and_flag, keywords);
        }
        (function.c_function().PyCFunction)(*arguments, ptr::null_mut())
    }
}

#[cold]
#[inline(never)]
unsafe extern "C" fn look_at_none(
    callable: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count_and_flag: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the arguments of a vectorcall of one of our functions, of the convention that `call_without` is for, which
    // alone calls this; `takes` has looked at the object.
    unsafe {
        let function = NativeFunction::from_ptr(callable);
        match ffi::PyVectorcall_NARGS(count_and_flag) {
            1 if count_of(keywords) == 0 && function.takes(*arguments) => {
                (function.c_function().PyCFunction)(*arguments, ptr::null_mut())
            }
            _ => call_description(callable, arguments, count_and_flag, keywords),
        }
    }
}

/// `METH_O`; the argument may be given by its name.
unsafe extern "C" fn call_with_one(
    callable: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count_and_flag: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the arguments of a vectorcall of one of our functions; it is of this convention, as `make` has seen, and
    // takes the object. Behind the positional arguments there is a value for each of the keywords.
    unsafe {
        let function = NativeFunction::from_ptr(callable);
        let has_one = match ffi::PyVectorcall_NARGS(count_and_flag) {
            1 => function.is_named(keywords),
            2 => count_of(keywords) == 0,
            _ => false,
        };
        if has_one && function.takes(*arguments) {
            (function.c_function().PyCFunction)(*arguments, *arguments.add(1))
        } else {
            call_description(callable, arguments, count_and_flag, keywords)
        }
    }
}

/// # Safety
/// A tuple or NULL.
unsafe fn count_of(keywords: *mut ffi::PyObject) -> ffi::Py_ssize_t {
    // SAFETY: the caller's contract.
    if keywords.is_null() { 0 } else { unsafe { ffi::PyTuple_GET_SIZE(keywords) } }
}

impl NativeFunction {
    /// Are these keywords the name of the only parameter?
    ///
    /// # Safety
    /// A tuple of strings or NULL.
    unsafe fn is_named(&self, keywords: *mut ffi::PyObject) -> bool {
        // SAFETY: the caller's contract; comparing two strings runs no Python code and cannot fail.
        unsafe {
            !keywords.is_null()
                && ffi::PyTuple_GET_SIZE(keywords) == 1
                && self
                    .parameter
                    .get()
                    .is_some_and(|name| ffi::PyUnicode_Compare(ffi::PyTuple_GET_ITEM(keywords, 0), name.as_ptr()) == 0)
        }
    }
}

/// `tp_descr_get`: a bound method, as of a Python function.
unsafe extern "C" fn bind(
    function: *mut ffi::PyObject,
    object: *mut ffi::PyObject,
    _class: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls the slot with a live function, and an object or NULL.
    unsafe {
        if object.is_null() || ptr::eq(object, ffi::Py_None()) {
            return Object::from_ptr(function).own().into_ptr();
        }
        enter::PyMethod_New(function, object)
    }
}

/// `tp_getattro`: what the type has not, the description has; and the type's own `__module__` is not meant.
unsafe extern "C" fn get_attribute(object: *mut ffi::PyObject, name: *mut ffi::PyObject) -> *mut ffi::PyObject {
    guard("NativeFunction::get_attribute", ptr::null_mut(), || {
        // SAFETY: CPython calls the slot with a live instance of the type and a string.
        unsafe {
            let (function, name) = (NativeFunction::from_ptr(object), Object::from_ptr(name));
            if !ATTRIBUTE_MODULE.equals(name) {
                let found = enter::PyObject_GenericGetAttr(object, name.as_ptr());
                if !found.is_null() || !error::raised_is(Builtin::AttributeError.class()) {
                    return found;
                }
                raised::clear();
            }
            function
                .description()
                .and_then(|d| Owned::<Object>::steal_or_raised(enter::PyObject_GetAttr(d.as_ptr(), name.as_ptr())))
                .into_return()
        }
    })
}

/// What cannot be set, for nobody would look at it.
static FIXED: [&Name; 5] =
    [&ATTRIBUTE_CODE, &ATTRIBUTE_DEFAULTS, &ATTRIBUTE_KWDEFAULTS, &ATTRIBUTE_CLASS, &ATTRIBUTE_DICT];

/// `tp_setattro`: attributes are the description's.
unsafe extern "C" fn set_attribute(
    object: *mut ffi::PyObject,
    name: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int {
    guard("NativeFunction::set_attribute", -1, || {
        // SAFETY: CPython calls the slot with a live instance of the type, a string, and an object or NULL.
        let (function, name) = unsafe { (NativeFunction::from_ptr(object), Object::from_ptr(name)) };
        let set = || -> Res<()> {
            if FIXED.iter().any(|fixed| fixed.equals(name)) {
                let text = c"%S of a function in Rust cannot be changed: put another function in the place of %R";
                return Err(raise_format(Builtin::AttributeError.class(), text, &[name, function.as_object()]));
            }
            let description = function.description()?;
            // SAFETY: live objects, or NULL as the value.
            match unsafe { enter::PyObject_SetAttr(description.as_ptr(), name.as_ptr(), value) } {
                0 => Ok(()),
                _ => Err(super::Raised),
            }
        };
        set().into_status()
    })
}

fn get_class(_function: &NativeFunction) -> Owned {
    // SAFETY: the type of functions is static.
    unsafe { Object::from_ptr((&raw mut ffi::PyFunction_Type).cast()) }.own()
}

fn get_doc(function: &NativeFunction) -> Res<Owned> {
    call::getattr(&*function.description()?, &ATTRIBUTE_DOC)
}

fn repr(function: &NativeFunction) -> Res<Owned> {
    let name = call::getattr(&*function.description()?, &ATTRIBUTE_QUALNAME)?;
    containers::string_of(&format!("<function {} at {:p}>", containers::text_of(&name), function.as_ptr()))
}

/// For `copy` and `pickle`, which take a function as what its name leads to.
fn reduce(function: &NativeFunction) -> Res<Owned> {
    let definition = function.definition.get().expect("set when it was made");
    // SAFETY: a method's name, in static memory.
    let name = containers::string(unsafe { CStr::from_ptr(definition.ml_name) })?;
    let arguments = containers::tuple(&[&*function.owner.get_or_none(), &*name])?;
    containers::tuple(&[GETATTR_FUNCTION.get()?, &*arguments])
}

/// Is it one of these, for the method of that name?
#[cfg(Py_3_12)]
pub(crate) fn is_for(object: &Object, name: &Name) -> bool {
    let definition = TYPE.downcast_exact(object).and_then(|function| function.definition.get());
    // SAFETY: the definition lives for good, and so does its name, which ends with NUL.
    definition.is_some_and(|definition| unsafe { CStr::from_ptr(definition.ml_name) } == name.text)
}

/// Makes the type. Called once, by the module's initialisation.
pub(crate) fn init(module: &Object) -> Res<()> {
    let member = |name: &'static CStr, offset: usize| ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::structmember::T_PYSSIZET,
        offset: ffi::Py_ssize_t::try_from(offset).expect("a small offset"),
        flags: ffi::structmember::READONLY as c_int,
        doc: ptr::null(),
    };
    let weakrefs = [member(c"__weaklistoffset__", offset_of!(NativeFunction, weakrefs))];
    TypeBuilder::new(&TYPE, c"rasyncio._asyncio.native_function", c"")
        .without_doc()
        .life()
        .flags(MANAGED_WEAKREF_FLAG)
        .flags(
            ffi::Py_TPFLAGS_METHOD_DESCRIPTOR
                | ffi::Py_TPFLAGS_HAVE_VECTORCALL
                | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION,
        )
        .slot(ffi::Py_tp_call, ffi::PyVectorcall_Call as unsafe extern "C" fn(_, _, _) -> _ as *mut c_void)
        .slot(ffi::Py_tp_descr_get, bind as unsafe extern "C" fn(_, _, _) -> _ as *mut c_void)
        .slot(ffi::Py_tp_getattro, get_attribute as unsafe extern "C" fn(_, _) -> _ as *mut c_void)
        .slot(ffi::Py_tp_setattro, set_attribute as unsafe extern "C" fn(_, _, _) -> _ as *mut c_void)
        .slot(ffi::Py_tp_repr, unary!(NativeFunction, repr))
        .members([member(c"__vectorcalloffset__", offset_of!(NativeFunction, vectorcall))])
        .members(weakrefs.into_iter().filter(|_| !MANAGED_WEAKREFS))
        .getsets([
            getset!(NativeFunction, c"__class__", get_class, c"types.FunctionType"),
            getset!(NativeFunction, c"__doc__", get_doc, c"That of the description."),
        ])
        .methods([noargs!(NativeFunction, c"__reduce__", reduce, c"")])
        .build(module, None)
}
