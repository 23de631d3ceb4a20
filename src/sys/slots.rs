//! Trampolines: from CPython's calling conventions to safe functions.
//!
//! Each macro makes an `extern "C"` function around a safe one. CPython checks `self` before it calls (method
//! descriptors and slots are only reached with an instance of their type), and holds a reference to `self` and to the
//! arguments for the duration of the call; that is what the macros' `unsafe` relies on.

use std::ffi::{CStr, c_int};
use std::ptr;

use pyo3::ffi;

use super::iter::Sent;
use super::{Object, Owned, Raised, Res, object};

/// What a function of ours may return, as what C expects: NULL says that the error indicator tells the rest.
pub(crate) trait IntoReturn {
    fn into_return(self) -> *mut ffi::PyObject;
}

impl IntoReturn for Owned {
    #[inline]
    fn into_return(self) -> *mut ffi::PyObject {
        self.into_ptr()
    }
}

impl IntoReturn for () {
    fn into_return(self) -> *mut ffi::PyObject {
        super::Layout::own(object::none()).into_ptr()
    }
}

impl IntoReturn for bool {
    fn into_return(self) -> *mut ffi::PyObject {
        super::Layout::own(object::boolean(self)).into_ptr()
    }
}

impl<T: IntoReturn> IntoReturn for Res<T> {
    #[inline]
    fn into_return(self) -> *mut ffi::PyObject {
        debug_assert!(self.is_ok() || super::raised::occurred());
        let result = self.map_or(ptr::null_mut(), T::into_return);
        debug_assert!(result.is_null() || !super::raised::occurred());
        result
    }
}

/// `None` is NULL without an exception: the end of an iteration.
impl<T: IntoReturn> IntoReturn for Option<T> {
    #[inline]
    fn into_return(self) -> *mut ffi::PyObject {
        self.map_or(ptr::null_mut(), T::into_return)
    }
}

/// What a slot answers that returns an `int`.
pub(crate) trait IntoStatus {
    fn into_status(self) -> c_int;
}

impl IntoStatus for Res<()> {
    fn into_status(self) -> c_int {
        debug_assert_eq!(self.is_err(), super::raised::occurred());
        if self.is_ok() { 0 } else { -1 }
    }
}

/// What [`sender`] answers, with what was sent in the place.
#[inline]
pub(crate) fn deliver(sent: Res<Sent>, place: &mut *mut ffi::PyObject) -> ffi::PySendResult {
    match sent {
        Ok(Sent::Yielded(object)) => {
            *place = object.into_ptr();
            ffi::PySendResult::PYGEN_NEXT
        }
        Ok(Sent::Returned(value)) => {
            *place = value.into_ptr();
            ffi::PySendResult::PYGEN_RETURN
        }
        Err(Raised) => ffi::PySendResult::PYGEN_ERROR,
    }
}

/// A method or a function, ready for a method table.
#[derive(Clone, Copy)]
pub(crate) struct Method {
    pub(crate) name: &'static CStr,
    pub(crate) doc: &'static CStr,
    pub(crate) flags: c_int,
    pub(crate) function: ffi::PyMethodDefPointer,
    /// Has the object the layout that the function expects?
    pub(crate) takes: fn(&Object) -> bool,
}

impl Method {
    pub(crate) const fn definition(self) -> ffi::PyMethodDef {
        ffi::PyMethodDef {
            ml_name: self.name.as_ptr(),
            ml_meth: self.function,
            ml_flags: self.flags,
            ml_doc: self.doc.as_ptr(),
        }
    }
}

/// What a trampoline does that returns an object: the body, which ends with an `impl IntoReturn`. A panic in it gets the
/// name of the type and the function.
macro_rules! returning {
    ($layout:ty, $function:path, $body:expr) => {
        $crate::sys::error::guard(
            concat!(stringify!($layout), "::", stringify!($function)),
            std::ptr::null_mut(),
            || $crate::sys::slots::IntoReturn::into_return($body),
        )
    };
}

/// `unaryfunc`, `reprfunc`, `getiterfunc`, `iternextfunc`: `fn(&T) -> impl IntoReturn`.
macro_rules! unary {
    ($layout:ty, $function:path) => {{
        #[allow(unsafe_code)] // of this module, wherever it is expanded
        unsafe extern "C" fn trampoline(slf: *mut pyo3::ffi::PyObject) -> *mut pyo3::ffi::PyObject {
            $crate::sys::slots::returning!($layout, $function, {
                // SAFETY: CPython calls the slot with a live instance of the type.
                let slf = unsafe { <$layout as $crate::sys::Layout>::from_ptr(slf) };
                $function(slf)
            })
        }
        trampoline as unsafe extern "C" fn(_) -> _ as *mut std::ffi::c_void
    }};
}

/// `tp_finalize`: `fn(&T)`.
macro_rules! finalizer {
    ($layout:ty, $function:path) => {{
        #[allow(unsafe_code)] // of this module, wherever it is expanded
        unsafe extern "C" fn trampoline(slf: *mut pyo3::ffi::PyObject) {
            $crate::sys::error::guard_unraisable(concat!(stringify!($layout), "::", stringify!($function)), || {
                // SAFETY: CPython calls the slot with a live instance of the type.
                let slf = unsafe { <$layout as $crate::sys::Layout>::from_ptr(slf) };
                $function(slf);
            });
        }
        trampoline as unsafe extern "C" fn(_) as *mut std::ffi::c_void
    }};
}

/// `am_send` of an object that does not look at the value: `fn(&T) -> Res<Sent>`.
macro_rules! sender {
    ($layout:ty, $function:path) => {{
        #[allow(unsafe_code)] // of this module, wherever it is expanded
        unsafe extern "C" fn trampoline(
            slf: *mut pyo3::ffi::PyObject,
            _value: *mut pyo3::ffi::PyObject,
            place: *mut *mut pyo3::ffi::PyObject,
        ) -> pyo3::ffi::PySendResult {
            let place_of_panics = concat!(stringify!($layout), "::", stringify!($function));
            $crate::sys::error::guard(place_of_panics, pyo3::ffi::PySendResult::PYGEN_ERROR, || {
                // SAFETY: CPython calls the slot with a live instance of the type, and a place for the result.
                let (slf, place) = unsafe { (<$layout as $crate::sys::Layout>::from_ptr(slf), &mut *place) };
                *place = std::ptr::null_mut();
                $crate::sys::slots::deliver($function(slf), place)
            })
        }
        trampoline as unsafe extern "C" fn(_, _, _) -> _ as *mut std::ffi::c_void
    }};
}

/// `am_send`: `fn(&T, &Object) -> Res<Sent>`.
#[cfg(Py_3_12)]
macro_rules! value_sender {
    ($layout:ty, $function:path) => {{
        #[allow(unsafe_code)] // of this module, wherever it is expanded
        unsafe extern "C" fn trampoline(
            slf: *mut pyo3::ffi::PyObject,
            value: *mut pyo3::ffi::PyObject,
            place: *mut *mut pyo3::ffi::PyObject,
        ) -> pyo3::ffi::PySendResult {
            let place_of_panics = concat!(stringify!($layout), "::", stringify!($function));
            $crate::sys::error::guard(place_of_panics, pyo3::ffi::PySendResult::PYGEN_ERROR, || {
                // SAFETY: CPython calls the slot with a live instance of the type, an object, and a place for the result.
                let (slf, value, place) = unsafe {
                    (
                        <$layout as $crate::sys::Layout>::from_ptr(slf),
                        <$crate::sys::Object as $crate::sys::Layout>::from_ptr(value),
                        &mut *place,
                    )
                };
                *place = std::ptr::null_mut();
                $crate::sys::slots::deliver($function(slf, value), place)
            })
        }
        trampoline as unsafe extern "C" fn(_, _, _) -> _ as *mut std::ffi::c_void
    }};
}
#[cfg(Py_3_12)]
pub(crate) use value_sender;

/// `tp_setattro`: `fn(&T, name: &Object, value: Option<&Object>) -> Res<()>`; `None` deletes. The name need not be a
/// string: the slot's own wrapper, `__setattr__`, hands on anything.
macro_rules! setattro {
    ($layout:ty, $function:path) => {{
        #[allow(unsafe_code)] // of this module, wherever it is expanded
        unsafe extern "C" fn trampoline(
            slf: *mut pyo3::ffi::PyObject,
            name: *mut pyo3::ffi::PyObject,
            value: *mut pyo3::ffi::PyObject,
        ) -> std::ffi::c_int {
            $crate::sys::error::guard(concat!(stringify!($layout), "::", stringify!($function)), -1, || {
                // SAFETY: CPython calls the slot with a live instance of the type, an object, and an object or NULL.
                let (slf, name, value) = unsafe {
                    (
                        <$layout as $crate::sys::Layout>::from_ptr(slf),
                        <$crate::sys::Object as $crate::sys::Layout>::from_ptr(name),
                        <$crate::sys::Object as $crate::sys::Layout>::from_nullable(value),
                    )
                };
                $crate::sys::slots::IntoStatus::into_status($function(slf, name, value))
            })
        }
        trampoline as unsafe extern "C" fn(_, _, _) -> _ as *mut std::ffi::c_void
    }};
}

/// `tp_init`: `fn(&T, [Option<&Object>; N]) -> Res<()>` behind a `Signature<N>`.
macro_rules! init {
    ($layout:ty, $signature:path, $function:path) => {{
        #[allow(unsafe_code)] // of this module, wherever it is expanded
        unsafe extern "C" fn trampoline(
            slf: *mut pyo3::ffi::PyObject,
            arguments: *mut pyo3::ffi::PyObject,
            keywords: *mut pyo3::ffi::PyObject,
        ) -> std::ffi::c_int {
            $crate::sys::error::guard(concat!(stringify!($layout), "::", stringify!($function)), -1, || {
                // SAFETY: CPython calls the slot with a live instance of the type.
                let slf = unsafe { <$layout as $crate::sys::Layout>::from_ptr(slf) };
                // SAFETY: a tuple and a dict or NULL, which the caller keeps alive.
                let parsed = unsafe { $signature.parse_tuple(arguments, keywords) };
                $crate::sys::slots::IntoStatus::into_status(parsed.and_then(|parsed| $function(slf, parsed)))
            })
        }
        trampoline as unsafe extern "C" fn(_, _, _) -> _ as *mut std::ffi::c_void
    }};
}

/// `tp_vectorcall` of the exact type `$class`: allocates and initialises like [`init`].
macro_rules! construct {
    ($layout:ty, $class:path, $signature:path, $function:path) => {{
        #[allow(unsafe_code)] // of this module, wherever it is expanded
        unsafe extern "C" fn trampoline(
            _class: *mut pyo3::ffi::PyObject,
            arguments: *const *mut pyo3::ffi::PyObject,
            count_and_flag: usize,
            keywords: *mut pyo3::ffi::PyObject,
        ) -> *mut pyo3::ffi::PyObject {
            $crate::sys::error::guard(
                concat!(stringify!($layout), "::", stringify!($function), " of a call"),
                std::ptr::null_mut(),
                || {
                    let make = || -> $crate::sys::Res<$crate::sys::Owned> {
                        // SAFETY: pure arithmetic on the vectorcall convention's count.
                        let positional = unsafe { pyo3::ffi::PyVectorcall_NARGS(count_and_flag) };
                        let positional = usize::try_from(positional).unwrap_or(0);
                        // SAFETY: the arguments of a vectorcall.
                        let parsed = unsafe { $signature.parse(arguments, positional, keywords)? };
                        let made: $crate::sys::Owned<$layout> = $class.allocate()?;
                        $function(&made, parsed)?;
                        Ok(made.into_object())
                    };
                    $crate::sys::slots::IntoReturn::into_return(make())
                },
            )
        }
        trampoline
    }};
}

/// `tp_call`, of objects that want no arguments: `fn(&T, positional: usize, keywords: usize) -> impl IntoReturn`.
macro_rules! call {
    ($layout:ty, $function:path) => {{
        #[allow(unsafe_code)] // of this module, wherever it is expanded
        unsafe extern "C" fn trampoline(
            slf: *mut pyo3::ffi::PyObject,
            arguments: *mut pyo3::ffi::PyObject,
            keywords: *mut pyo3::ffi::PyObject,
        ) -> *mut pyo3::ffi::PyObject {
            $crate::sys::slots::returning!($layout, $function, {
                // SAFETY: CPython calls the slot with a live instance, a tuple, and a dict or NULL.
                let (slf, positional, keywords) = unsafe {
                    (
                        <$layout as $crate::sys::Layout>::from_ptr(slf),
                        pyo3::ffi::PyTuple_Size(arguments),
                        if keywords.is_null() { 0 } else { pyo3::ffi::PyDict_Size(keywords) },
                    )
                };
                let count = |n| usize::try_from(n).unwrap_or(0);
                $function(slf, count(positional), count(keywords))
            })
        }
        trampoline as unsafe extern "C" fn(_, _, _) -> _ as *mut std::ffi::c_void
    }};
}

/// `METH_NOARGS`: `fn(&T) -> impl IntoReturn`.
macro_rules! noargs {
    ($layout:ty, $name:literal, $function:path, $doc:expr) => {{
        #[allow(unsafe_code)] // of this module, wherever it is expanded
        unsafe extern "C" fn trampoline(
            slf: *mut pyo3::ffi::PyObject,
            _: *mut pyo3::ffi::PyObject,
        ) -> *mut pyo3::ffi::PyObject {
            $crate::sys::slots::returning!($layout, $function, {
                // SAFETY: the method descriptor has checked `self`.
                let slf = unsafe { <$layout as $crate::sys::Layout>::from_ptr(slf) };
                $function(slf)
            })
        }
        $crate::sys::slots::Method {
            name: $name,
            doc: $doc,
            flags: pyo3::ffi::METH_NOARGS,
            function: pyo3::ffi::PyMethodDefPointer { PyCFunction: trampoline },
            takes: <$layout as $crate::sys::Layout>::fits,
        }
    }};
}

/// `METH_FASTCALL | METH_KEYWORDS`: the body gets `self`, and the arguments as C has them.
macro_rules! fast {
    (
        $layout:ty, $name:literal, $function:path, $doc:expr,
        |$slf:ident, $arguments:ident, $positional:ident, $keywords:ident| $body:expr
    ) => {{
        #[allow(unsafe_code)] // of this module, wherever it is expanded
        unsafe extern "C" fn trampoline(
            $slf: *mut pyo3::ffi::PyObject,
            $arguments: *const *mut pyo3::ffi::PyObject,
            $positional: pyo3::ffi::Py_ssize_t,
            $keywords: *mut pyo3::ffi::PyObject,
        ) -> *mut pyo3::ffi::PyObject {
            $crate::sys::slots::returning!($layout, $function, {
                // SAFETY: the method descriptor has checked `self`.
                let $slf = unsafe { <$layout as $crate::sys::Layout>::from_ptr($slf) };
                let $positional = usize::try_from($positional).unwrap_or(0);
                $body
            })
        }
        $crate::sys::slots::Method {
            name: $name,
            doc: $doc,
            flags: pyo3::ffi::METH_FASTCALL | pyo3::ffi::METH_KEYWORDS,
            function: pyo3::ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: trampoline },
            takes: <$layout as $crate::sys::Layout>::fits,
        }
    }};
}

/// Like [`noargs`], with the message that CPython has for methods that get their class.
macro_rules! no_arguments {
    ($layout:ty, $name:literal, $function:path, $doc:expr) => {
        $crate::sys::slots::fast!($layout, $name, $function, $doc, |slf, _arguments, positional, keywords| {
            // SAFETY: NULL or a tuple of keywords.
            let has_keywords = || unsafe { !keywords.is_null() && pyo3::ffi::PyTuple_GET_SIZE(keywords) != 0 };
            if positional != 0 || has_keywords() {
                Err($crate::sys::slots::no_arguments_taken($name))
            } else {
                Ok($function(slf))
            }
        })
    };
}

/// `METH_O`: `fn(&T, &Object) -> impl IntoReturn`; with `class`, the first is the class (`METH_CLASS`).
macro_rules! one {
    ($layout:ty, $name:literal, $function:path, $doc:expr $(, $extra:expr)?) => {{
        #[allow(unsafe_code)] // of this module, wherever it is expanded
        unsafe extern "C" fn trampoline(
            slf: *mut pyo3::ffi::PyObject,
            argument: *mut pyo3::ffi::PyObject,
        ) -> *mut pyo3::ffi::PyObject {
            $crate::sys::slots::returning!($layout, $function, {
                // SAFETY: the method descriptor has checked `self`; the caller holds the argument.
                let (slf, argument) = unsafe {
                    (
                        <$layout as $crate::sys::Layout>::from_ptr(slf),
                        <$crate::sys::Object as $crate::sys::Layout>::from_ptr(argument),
                    )
                };
                $function(slf, argument)
            })
        }
        $crate::sys::slots::Method {
            name: $name,
            doc: $doc,
            flags: pyo3::ffi::METH_O $(| $extra)?,
            function: pyo3::ffi::PyMethodDefPointer { PyCFunction: trampoline },
            takes: <$layout as $crate::sys::Layout>::fits,
        }
    }};
}

/// `METH_FASTCALL | METH_KEYWORDS`: `fn(&T, [Option<&Object>; N]) -> impl IntoReturn` behind a `Signature<N>`.
macro_rules! keywords {
    ($layout:ty, $name:literal, $signature:path, $function:path, $doc:expr) => {
        $crate::sys::slots::fast!($layout, $name, $function, $doc, |slf, arguments, positional, keywords| {
            // SAFETY: the caller holds the arguments.
            let parsed = unsafe { $signature.parse(arguments, positional, keywords) };
            parsed.and_then(|parsed| Ok($function(slf, parsed)))
        })
    };
}

/// `METH_FASTCALL | METH_KEYWORDS`: `fn(&T, Arguments) -> impl IntoReturn`, for methods of any number of arguments.
macro_rules! variadic {
    ($layout:ty, $name:literal, $function:path, $doc:expr) => {
        $crate::sys::slots::fast!($layout, $name, $function, $doc, |slf, arguments, positional, keywords| {
            // SAFETY: the caller holds the arguments.
            $function(slf, unsafe { $crate::sys::args::Arguments::new(arguments, positional, keywords) })
        })
    };
}

/// `METH_FASTCALL`: `fn(&T, &[&Object]) -> impl IntoReturn`.
macro_rules! positional {
    ($layout:ty, $name:literal, $function:path, $doc:expr) => {{
        #[allow(unsafe_code)] // of this module, wherever it is expanded
        unsafe extern "C" fn trampoline(
            slf: *mut pyo3::ffi::PyObject,
            arguments: *mut *mut pyo3::ffi::PyObject,
            count: pyo3::ffi::Py_ssize_t,
        ) -> *mut pyo3::ffi::PyObject {
            $crate::sys::slots::returning!($layout, $function, {
                let count = usize::try_from(count).unwrap_or(0);
                // SAFETY: the method descriptor has checked `self`; the caller holds the array of live objects (which
                // may be NULL if there are none), and a borrowed reference is a plain pointer.
                let (slf, arguments): (_, &[&$crate::sys::Object]) = unsafe {
                    (
                        <$layout as $crate::sys::Layout>::from_ptr(slf),
                        if count == 0 { &[] } else { std::slice::from_raw_parts(arguments.cast_const().cast(), count) },
                    )
                };
                $function(slf, arguments)
            })
        }
        $crate::sys::slots::Method {
            name: $name,
            doc: $doc,
            flags: pyo3::ffi::METH_FASTCALL,
            function: pyo3::ffi::PyMethodDefPointer { PyCFunctionFast: trampoline },
            takes: <$layout as $crate::sys::Layout>::fits,
        }
    }};
}

/// A read-only attribute (`fn(&T) -> impl IntoReturn`), or one that can be set (`fn(&T, Option<&Object>) -> Res<()>`;
/// `None` deletes it, see [`not_deleted`]).
macro_rules! getset {
    ($layout:ty, $name:literal, $get:path, $doc:literal) => {
        $crate::sys::slots::getset!(@make $layout, $name, $get, None, $doc)
    };
    ($layout:ty, $name:literal, $get:path, $set:path, $doc:literal) => {{
        #[allow(unsafe_code)] // of this module, wherever it is expanded
        unsafe extern "C" fn setter(
            slf: *mut pyo3::ffi::PyObject,
            value: *mut pyo3::ffi::PyObject,
            _: *mut std::ffi::c_void,
        ) -> std::ffi::c_int {
            $crate::sys::error::guard(concat!(stringify!($layout), "::", stringify!($set)), -1, || {
                // SAFETY: the descriptor has checked `self`; the value is a live object, or NULL for a deletion.
                let (slf, value) = unsafe {
                    (
                        <$layout as $crate::sys::Layout>::from_ptr(slf),
                        <$crate::sys::Object as $crate::sys::Layout>::from_nullable(value),
                    )
                };
                $crate::sys::slots::IntoStatus::into_status($set(slf, value))
            })
        }
        $crate::sys::slots::getset!(@make $layout, $name, $get, Some(setter), $doc)
    }};
    (@make $layout:ty, $name:literal, $get:path, $setter:expr, $doc:literal) => {{
        #[allow(unsafe_code)] // of this module, wherever it is expanded
        unsafe extern "C" fn getter(
            slf: *mut pyo3::ffi::PyObject,
            _: *mut std::ffi::c_void,
        ) -> *mut pyo3::ffi::PyObject {
            $crate::sys::slots::returning!($layout, $get, {
                // SAFETY: the descriptor has checked `self`.
                let slf = unsafe { <$layout as $crate::sys::Layout>::from_ptr(slf) };
                $get(slf)
            })
        }
        pyo3::ffi::PyGetSetDef {
            name: $name.as_ptr(),
            get: Some(getter),
            set: $setter,
            doc: $doc.as_ptr(),
            closure: std::ptr::null_mut(),
        }
    }};
}

/// The error of a [`no_arguments`] method that got some.
#[cold]
pub(crate) fn no_arguments_taken(name: &CStr) -> Raised {
    let text = format!("{}() takes no arguments", name.to_string_lossy());
    super::error::raise_text(super::error::Builtin::TypeError.class(), &text)
}

/// The value that a setter got; for `del object.attribute` the error, in the words of this version.
pub(crate) fn not_deleted<'a>(object: &Object, attribute: &CStr, value: Option<&'a Object>) -> Res<&'a Object> {
    use super::error::{Builtin, raise, raise_format};
    let class = Builtin::AttributeError.class();
    match value {
        Some(value) => Ok(value),
        None if super::compat::DELETE_NAMES_ATTRIBUTE => {
            let text = c"attribute '%S' of '%S' objects cannot be deleted";
            let (attribute, owner) = (super::containers::string(attribute)?, super::type_name::short(object)?);
            Err(raise_format(class, text, &[&*attribute, &*owner]))
        }
        None => Err(raise(class, c"cannot delete attribute")),
    }
}

pub(crate) use {
    call, construct, fast, finalizer, getset, init, keywords, no_arguments, noargs, one, positional, returning, sender,
    setattro, unary, variadic,
};
