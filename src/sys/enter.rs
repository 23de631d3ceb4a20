//! The functions of the C API that may run Python code, and so wait for the GIL.
//!
//! Up to 3.13 the interpreter ends daemon threads at shutdown by `pthread_exit`, wherever they wait for the GIL, and that
//! unwinds their stacks. Unwinding into Rust code would end the process (gh-87135 made such threads hang in 3.14). So the
//! frame that made the call hangs instead: the thread has nothing left to do, and the process is about to end.
//!
//! Whatever calls one of these functions calls it through this module: `ffi`'s own are declared as never unwinding. For
//! the compiler the two declarations must not be one, or it would believe the other; so the names here begin with the
//! character that tells LLVM to take a symbol's name as it is, which makes them other names of the same symbols.

#![allow(non_snake_case)]

use std::ffi::{c_char, c_int, c_longlong};

use pyo3::ffi::{Py_ssize_t, PyObject, PyTypeObject};

struct Hang;

impl Drop for Hang {
    fn drop(&mut self) {
        loop {
            std::thread::park();
        }
    }
}

/// Runs a call; should it be unwound, the thread stays here.
#[inline]
pub(super) fn entered<T>(call: impl FnOnce() -> T) -> T {
    let hang = Hang;
    let result = call();
    std::mem::forget(hang);
    result
}

macro_rules! functions {
    ($($(#[$attribute:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)?;)*) => {
        mod raw {
            use super::*;

            unsafe extern "C-unwind" {
                $($(#[$attribute])* #[link_name = concat!("\u{1}", stringify!($name))] pub(super) fn $name($($argument: $type),*) $(-> $result)?;)*
            }
        }
        $(
            /// # Safety
            /// As for the function of that name in the C API.
            $(#[$attribute])*
            #[inline]
            pub(super) unsafe fn $name($($argument: $type),*) $(-> $result)? {
                // SAFETY: the caller's contract.
                entered(|| unsafe { raw::$name($($argument),*) })
            }
        )*
    };
}

functions! {
    // Calls.
    #[cfg(Py_3_12)]
    fn Py_EnterRecursiveCall(place: *const c_char) -> c_int;
    fn PyObject_CallNoArgs(callable: *mut PyObject) -> *mut PyObject;
    fn PyObject_CallOneArg(callable: *mut PyObject, argument: *mut PyObject) -> *mut PyObject;
    fn PyObject_CallObject(callable: *mut PyObject, arguments: *mut PyObject) -> *mut PyObject;
    fn PyObject_Vectorcall(
        callable: *mut PyObject,
        arguments: *const *mut PyObject,
        count: usize,
        keywords: *mut PyObject,
    ) -> *mut PyObject;
    fn PyObject_VectorcallMethod(
        name: *mut PyObject,
        arguments: *const *mut PyObject,
        count: usize,
        keywords: *mut PyObject,
    ) -> *mut PyObject;
    fn PyIter_Send(coroutine: *mut PyObject, value: *mut PyObject, result: *mut *mut PyObject) -> c_int;

    // What special methods do.
    fn PyObject_GetAttr(object: *mut PyObject, name: *mut PyObject) -> *mut PyObject;
    fn PyObject_GetAttrString(object: *mut PyObject, name: *const c_char) -> *mut PyObject;
    #[cfg(Py_3_13)]
    fn PyObject_GetOptionalAttr(object: *mut PyObject, name: *mut PyObject, result: *mut *mut PyObject) -> c_int;
    fn PyObject_SetAttr(object: *mut PyObject, name: *mut PyObject, value: *mut PyObject) -> c_int;
    fn PyObject_SetAttrString(object: *mut PyObject, name: *const c_char, value: *mut PyObject) -> c_int;
    fn PyObject_GenericGetAttr(object: *mut PyObject, name: *mut PyObject) -> *mut PyObject;
    fn PyObject_GenericSetAttr(object: *mut PyObject, name: *mut PyObject, value: *mut PyObject) -> c_int;
    fn PyObject_GenericGetDict(object: *mut PyObject, unused: *mut std::ffi::c_void) -> *mut PyObject;
    fn PyObject_GetItem(object: *mut PyObject, key: *mut PyObject) -> *mut PyObject;
    fn PyObject_IsTrue(object: *mut PyObject) -> c_int;
    fn PyObject_IsInstance(object: *mut PyObject, class: *mut PyObject) -> c_int;
    fn PyObject_SetItem(object: *mut PyObject, key: *mut PyObject, value: *mut PyObject) -> c_int;
    fn PySequence_Contains(object: *mut PyObject, item: *mut PyObject) -> c_int;
    fn PyObject_Length(object: *mut PyObject) -> Py_ssize_t;
    fn PyObject_IsSubclass(class: *mut PyObject, base: *mut PyObject) -> c_int;
    fn PyObject_RichCompareBool(left: *mut PyObject, right: *mut PyObject, operator: c_int) -> c_int;
    #[cfg(not(Py_3_14))]
    fn PyObject_Hash(object: *mut PyObject) -> Py_ssize_t;
    fn PyObject_Str(object: *mut PyObject) -> *mut PyObject;
    fn PyObject_Repr(object: *mut PyObject) -> *mut PyObject;
    fn PyNumber_Add(left: *mut PyObject, right: *mut PyObject) -> *mut PyObject;
    fn PyFloat_AsDouble(object: *mut PyObject) -> f64;
    fn PyLong_AsLong(object: *mut PyObject) -> std::ffi::c_long;
    fn PyLong_AsLongLong(object: *mut PyObject) -> c_longlong;
    fn PyLong_AsLongLongAndOverflow(object: *mut PyObject, overflow: *mut c_int) -> c_longlong;
    fn PyImport_ImportModule(name: *const c_char) -> *mut PyObject;
    fn PyImport_GetModule(name: *mut PyObject) -> *mut PyObject;

    // Containers: hashing, comparing, iterating, and letting go of what was there before.
    fn PyDict_GetItemWithError(dict: *mut PyObject, key: *mut PyObject) -> *mut PyObject;
    fn PyDict_SetItem(dict: *mut PyObject, key: *mut PyObject, value: *mut PyObject) -> c_int;
    #[cfg(not(Py_3_14))]
    fn _PyDict_GetItem_KnownHash(dict: *mut PyObject, key: *mut PyObject, hash: Py_ssize_t) -> *mut PyObject;
    #[cfg(not(Py_3_14))]
    fn _PyDict_SetItem_KnownHash(
        dict: *mut PyObject,
        key: *mut PyObject,
        value: *mut PyObject,
        hash: Py_ssize_t,
    ) -> c_int;
    #[cfg(not(Py_3_14))]
    fn _PyDict_DelItem_KnownHash(dict: *mut PyObject, key: *mut PyObject, hash: Py_ssize_t) -> c_int;
    #[cfg(Py_3_13)]
    fn PyDict_Pop(dict: *mut PyObject, key: *mut PyObject, value: *mut *mut PyObject) -> c_int;
    fn PySet_New(iterable: *mut PyObject) -> *mut PyObject;
    fn PyFrozenSet_New(iterable: *mut PyObject) -> *mut PyObject;
    fn PySet_Add(set: *mut PyObject, item: *mut PyObject) -> c_int;
    fn PySet_Discard(set: *mut PyObject, item: *mut PyObject) -> c_int;
    fn PySet_Contains(set: *mut PyObject, item: *mut PyObject) -> c_int;
    fn PySequence_List(iterable: *mut PyObject) -> *mut PyObject;
    fn PyList_SetSlice(list: *mut PyObject, low: Py_ssize_t, high: Py_ssize_t, items: *mut PyObject) -> c_int;

    // Memory that objects lend, and views of it.
    fn PyObject_GetBuffer(object: *mut PyObject, view: *mut pyo3::ffi::Py_buffer, flags: c_int) -> c_int;
    fn PyBuffer_Release(view: *mut pyo3::ffi::Py_buffer);
    fn PyMemoryView_FromObject(object: *mut PyObject) -> *mut PyObject;
    fn PySequence_GetSlice(object: *mut PyObject, start: Py_ssize_t, end: Py_ssize_t) -> *mut PyObject;
    fn PySequence_DelSlice(object: *mut PyObject, start: Py_ssize_t, end: Py_ssize_t) -> c_int;
    fn PySequence_InPlaceConcat(object: *mut PyObject, more: *mut PyObject) -> *mut PyObject;

    // Allocations of what the collector tracks: up to 3.11 it runs right there.
    fn PyType_GenericAlloc(class: *mut PyTypeObject, items: Py_ssize_t) -> *mut PyObject;
    fn PyWeakref_NewRef(object: *mut PyObject, callback: *mut PyObject) -> *mut PyObject;
    fn PyTuple_New(size: Py_ssize_t) -> *mut PyObject;
    fn PyList_New(size: Py_ssize_t) -> *mut PyObject;
    fn PyList_AsTuple(list: *mut PyObject) -> *mut PyObject;
    fn PyDict_New() -> *mut PyObject;
    fn PyContext_New() -> *mut PyObject;
    fn PyContext_CopyCurrent() -> *mut PyObject;
    #[cfg(Py_3_12)]
    fn PyContext_Copy(context: *mut PyObject) -> *mut PyObject;
    fn PyFunction_NewWithQualName(code: *mut PyObject, globals: *mut PyObject, name: *mut PyObject) -> *mut PyObject;
    fn PyMethod_New(function: *mut PyObject, object: *mut PyObject) -> *mut PyObject;
    fn PyCFunction_NewEx(
        method: *mut pyo3::ffi::PyMethodDef,
        object: *mut PyObject,
        module: *mut PyObject,
    ) -> *mut PyObject;

    // Exceptions: making them, and letting go of them. (The first is exported for CPython's `_asyncio`.)
    fn _PyGen_SetStopIterationValue(value: *mut PyObject) -> c_int;
    fn PyErr_SetString(class: *mut PyObject, text: *const c_char);
    fn PyErr_SetObject(class: *mut PyObject, value: *mut PyObject);
    fn PyErr_Clear();
    fn PyErr_WriteUnraisable(culprit: *mut PyObject);
    fn PyErr_WarnEx(category: *mut PyObject, text: *const c_char, stack_level: Py_ssize_t) -> c_int;
    fn PyErr_CheckSignals() -> c_int;
    #[cfg(not(Py_3_12))]
    fn PyErr_NormalizeException(
        class: *mut *mut PyObject,
        value: *mut *mut PyObject,
        traceback: *mut *mut PyObject,
    );

    // The end of objects.
    #[cfg(all(not(Py_3_14), not(py_sys_config = "Py_REF_DEBUG")))]
    fn _Py_Dealloc(object: *mut PyObject);
    #[cfg(all(not(Py_3_14), py_sys_config = "Py_REF_DEBUG"))]
    fn Py_DecRef(object: *mut PyObject);
    fn PyObject_CallFinalizerFromDealloc(object: *mut PyObject) -> c_int;
    fn PyObject_ClearWeakRefs(object: *mut PyObject);
    #[cfg(Py_3_13)]
    fn PyObject_ClearManagedDict(object: *mut PyObject);
}

/// The same of functions with any number of arguments; ours have two at most.
mod variadic {
    use super::{PyObject, c_char, c_int};

    unsafe extern "C-unwind" {
        #[link_name = "\u{1}PyErr_Format"]
        pub(super) fn PyErr_Format(class: *mut PyObject, format: *const c_char, ...) -> *mut PyObject;
        #[link_name = "\u{1}PyUnicode_FromFormat"]
        pub(super) fn PyUnicode_FromFormat(format: *const c_char, ...) -> *mut PyObject;
        #[link_name = "\u{1}PySys_Audit"]
        pub(super) fn PySys_Audit(event: *const c_char, format: *const c_char, ...) -> c_int;
    }
}

/// # Safety
/// As for the function of that name in the C API; the format has at most two conversions, of objects.
pub(super) unsafe fn PyErr_Format(class: *mut PyObject, format: *const c_char, objects: [*mut PyObject; 2]) {
    // SAFETY: the caller's contract; C ignores arguments that the format does not ask for.
    entered(|| unsafe { variadic::PyErr_Format(class, format, objects[0], objects[1]) });
}

/// # Safety
/// As for the function of that name in the C API; the format has one conversion, of an object or (then by its address)
/// of a C string.
pub(super) unsafe fn PyUnicode_FromFormat(format: *const c_char, object: *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller's contract.
    entered(|| unsafe { variadic::PyUnicode_FromFormat(format, object) })
}

/// # Safety
/// As for the function of that name in the C API, with two objects.
#[inline]
pub(super) unsafe fn PySys_Audit(event: *const c_char, objects: [*mut PyObject; 2]) -> c_int {
    // SAFETY: the caller's contract; the format has two conversions of objects.
    entered(|| unsafe { variadic::PySys_Audit(event, c"OO".as_ptr(), objects[0], objects[1]) })
}

/// The same with an object and three numbers.
///
/// # Safety
/// As for the function.
#[inline]
pub(super) unsafe fn PySys_Audit_numbers(event: *const c_char, object: *mut PyObject, numbers: [c_int; 3]) -> c_int {
    let [first, second, third] = numbers;
    // SAFETY: the caller's contract; the format has conversions of an object and of three numbers.
    entered(|| unsafe { variadic::PySys_Audit(event, c"Oiii".as_ptr(), object, first, second, third) })
}

/// What an object is called by, as it may unwind.
#[cfg(Py_3_12)]
pub(super) type Vectorcall =
    unsafe extern "C-unwind" fn(*mut PyObject, *const *mut PyObject, usize, *mut PyObject) -> *mut PyObject;

/// Calls an object by the function that is in it.
///
/// # Safety
/// The function is one that the interpreter would call the object by, with these arguments.
#[inline]
#[cfg(Py_3_12)]
pub(super) unsafe fn call_by(
    vectorcall: Vectorcall,
    callable: *mut PyObject,
    values: *const *mut PyObject,
    count_and_flag: usize,
    keywords: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the caller's contract.
    entered(|| unsafe { vectorcall(callable, values, count_and_flag, keywords) })
}

/// `object.__new__(class)`
///
/// # Safety
/// A class whose instances are those of `object` but for attributes.
#[inline]
#[cfg(Py_3_12)]
pub(super) unsafe fn new_object(class: *mut PyTypeObject, no_arguments: *mut PyObject) -> *mut PyObject {
    type New = unsafe extern "C-unwind" fn(*mut PyTypeObject, *mut PyObject, *mut PyObject) -> *mut PyObject;
    // SAFETY: the same function, which may unwind; the rest is the caller's contract.
    unsafe {
        let Some(new) = pyo3::ffi::PyBaseObject_Type.tp_new else { return std::ptr::null_mut() };
        let new = std::mem::transmute::<pyo3::ffi::newfunc, New>(new);
        entered(|| new(class, no_arguments, std::ptr::null_mut()))
    }
}

/// Gives up a reference.
///
/// # Safety
/// The reference is the caller's.
#[inline]
pub(super) unsafe fn Py_DECREF(object: *mut PyObject) {
    // SAFETY: the caller's contract. An object whose count is one has only this reference, and is not immortal.
    unsafe {
        // What comes after the last one can be anything, so not by `ffi`. From 3.14 on nothing unwinds.
        #[cfg(not(Py_3_14))]
        if pyo3::ffi::Py_REFCNT(object) == 1 {
            return let_go_of_last(object);
        }
        pyo3::ffi::Py_DECREF(object);
    }
}

/// As `Py_DECREF` does it: a function of the interpreter's in between would deepen the recursion through chains.
#[cfg(all(not(Py_3_14), not(py_sys_config = "Py_REF_DEBUG")))]
#[inline]
unsafe fn let_go_of_last(object: *mut PyObject) {
    // SAFETY: the caller gives up the only reference.
    unsafe {
        #[cfg(Py_3_12)]
        {
            (*object).ob_refcnt.ob_refcnt = 0;
        }
        #[cfg(not(Py_3_12))]
        {
            (*object).ob_refcnt = 0;
        }
        _Py_Dealloc(object);
    }
}

/// The interpreter counts all references there are.
#[cfg(all(not(Py_3_14), py_sys_config = "Py_REF_DEBUG"))]
unsafe fn let_go_of_last(object: *mut PyObject) {
    // SAFETY: the caller gives up the only reference.
    unsafe { Py_DecRef(object) }
}
