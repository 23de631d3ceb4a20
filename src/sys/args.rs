//! Arguments: the fast way for calls that are right, CPython's own parser for its messages about those that are not.

use std::ffi::{CStr, c_char, c_int};
use std::ptr;

use pyo3::ffi;

use super::error::{Builtin, raise_text};
use super::intern::{EMPTY, Name};
use super::{Layout, Object, Owned, Raised, Res, containers};

/// The parameters of a function.
pub(crate) struct Signature<const N: usize> {
    /// In the language of `PyArg_ParseTupleAndKeywords`, objects only (`O`), with the function's name: `"O|$OO:Task"`.
    pub(crate) format: &'static CStr,
    /// The parameters in order; [`super::intern::EMPTY`] is one that has no keyword.
    pub(crate) names: [&'static Name; N],
    /// How many may be given by position.
    pub(crate) positional: usize,
    /// How many must be given.
    pub(crate) required: usize,
}

impl<const N: usize> Signature<N> {
    /// The arguments of a vectorcall, one for each parameter.
    ///
    /// # Safety
    /// `arguments` and `keywords` are what CPython handed to a function of the vectorcall or the
    /// `METH_FASTCALL | METH_KEYWORDS` convention, with `positional` arguments that are not keywords.
    #[inline]
    pub(crate) unsafe fn parse<'a>(
        &self,
        arguments: *const *mut ffi::PyObject,
        positional: usize,
        keywords: *mut ffi::PyObject,
    ) -> Res<[Option<&'a Object>; N]> {
        let keyword_count = if keywords.is_null() {
            0
        } else {
            // SAFETY: a tuple of strings, by the convention.
            usize::try_from(unsafe { ffi::PyTuple_GET_SIZE(keywords) }).unwrap_or(0)
        };
        let mut parsed = [None; N];
        let matched = positional <= self.positional
            && {
                for (i, place) in parsed.iter_mut().enumerate().take(positional) {
                    // SAFETY: the array holds at least `positional` live objects, for the duration of the call.
                    *place = unsafe { Object::from_nullable(*arguments.add(i)) };
                }
                (0..keyword_count).all(|k| {
                    // SAFETY: `k` is within the tuple, and the array goes on with one value for each keyword.
                    let (keyword, value) = unsafe {
                        let k_signed = ffi::Py_ssize_t::try_from(k).unwrap_or(0);
                        (ffi::PyTuple_GET_ITEM(keywords, k_signed), *arguments.add(positional + k))
                    };
                    match self
                        .names
                        .iter()
                        .position(|n| !ptr::eq(*n, &raw const EMPTY) && ptr::eq(n.object().as_ptr(), keyword))
                    {
                        Some(i) if parsed[i].is_none() => {
                            // SAFETY: a live object, for the duration of the call.
                            parsed[i] = unsafe { Object::from_nullable(value) };
                            true
                        }
                        _ => false,
                    }
                })
            }
            && parsed.iter().take(self.required).all(Option::is_some);
        if matched {
            return Ok(parsed);
        }
        // SAFETY: the same array, of `positional` and then `keyword_count` live objects.
        unsafe { self.parse_slowly(arguments, positional, keywords, keyword_count) }
    }

    /// Packs the arguments as a tuple and a dict, for the interpreter's parser to find what is wrong with them.
    #[cold]
    unsafe fn parse_slowly<'a>(
        &self,
        arguments: *const *mut ffi::PyObject,
        positional: usize,
        keywords: *mut ffi::PyObject,
        keyword_count: usize,
    ) -> Res<[Option<&'a Object>; N]> {
        let values: &[&Object] = if positional + keyword_count == 0 {
            &[] // the array may be NULL then
        } else {
            // SAFETY: the array holds that many live objects.
            unsafe { std::slice::from_raw_parts(arguments.cast(), positional + keyword_count) }
        };
        let tuple = containers::tuple(&values[..positional])?;
        let dict = containers::new_dict()?;
        for (k, value) in values[positional..].iter().enumerate() {
            // SAFETY: the tuple of keywords is alive and has an item for each keyword value.
            let keyword = containers::tuple_item(unsafe { Object::from_ptr(keywords) }, k)?;
            containers::dict_set(&dict, &keyword, value)?;
        }
        // SAFETY: a tuple and a dict; what they refer to is also held by the caller's array.
        unsafe { self.parse_tuple(tuple.as_ptr(), dict.as_ptr()) }
    }

    /// The one message in which the parser of `PyArg_ParseTupleAndKeywords` and that of CPython's own functions differ.
    fn check_count(&self, tuple: *mut ffi::PyObject, dict: *mut ffi::PyObject) -> Res<()> {
        // SAFETY: a tuple and a dict or NULL, by the contract of the caller.
        let (positional, keywords) =
            unsafe { (ffi::PyTuple_Size(tuple), if dict.is_null() { 0 } else { ffi::PyDict_Size(dict) }) };
        let given = usize::try_from(positional).unwrap_or(0);
        let all = given + usize::try_from(keywords).unwrap_or(0);
        if self.positional == 0 || self.required != self.positional || given <= self.positional || all > N {
            return Ok(());
        }
        let name = self.format.to_string_lossy();
        let name = name.split(':').nth(1).unwrap_or_default();
        let (count, plural) = (self.positional, if self.positional == 1 { "" } else { "s" });
        let text = format!("{name}() takes exactly {count} positional argument{plural} ({given} given)");
        Err(raise_text(Builtin::TypeError.class(), &text))
    }

    /// The arguments of a `tp_init`.
    ///
    /// # Safety
    /// `tuple` is a tuple, `dict` a dict with string keys or NULL, and someone keeps their contents alive for `'a`.
    pub(crate) unsafe fn parse_tuple<'a>(
        &self,
        tuple: *mut ffi::PyObject,
        dict: *mut ffi::PyObject,
    ) -> Res<[Option<&'a Object>; N]> {
        const { assert!(N <= 5) };
        self.check_count(tuple, dict)?;
        let mut names: [*const c_char; 6] = [ptr::null(); 6];
        for (place, name) in names.iter_mut().zip(self.names) {
            *place = name.text.as_ptr();
        }
        let mut values: [*mut ffi::PyObject; 5] = [ptr::null_mut(); 5];
        let places = values.each_mut().map(ptr::from_mut);
        // SAFETY: the format takes N objects; places beyond N are not looked at. `names` ends with NULL.
        let parsed: c_int = unsafe {
            ffi::PyArg_ParseTupleAndKeywords(
                tuple,
                dict,
                self.format.as_ptr(),
                names.as_mut_ptr().cast(),
                places[0],
                places[1],
                places[2],
                places[3],
                places[4],
            )
        };
        if parsed == 0 {
            return Err(Raised);
        }
        // SAFETY: the parser stored borrowed references, or left NULL; the caller vouches for their lifetime.
        Ok(std::array::from_fn(|i| unsafe { Object::from_nullable(values[i]) }))
    }
}

/// The arguments of a vectorcall as they came, for functions that take any number.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'a> {
    pub(crate) positional: &'a [&'a Object],
    /// They lie right behind the positional ones.
    keyword_values: &'a [&'a Object],
    /// The keywords, a tuple of strings as long as `keyword_values`.
    keywords: Option<&'a Object>,
}

impl<'a> Arguments<'a> {
    /// Positional arguments only.
    pub(crate) fn of(positional: &'a [&'a Object]) -> Arguments<'a> {
        Arguments { positional, keyword_values: &[], keywords: None }
    }

    /// # Safety
    /// What CPython handed to a function of the vectorcall or the `METH_FASTCALL | METH_KEYWORDS` convention, with
    /// `positional` arguments that are not keywords.
    #[inline]
    pub(crate) unsafe fn new(
        values: *const *mut ffi::PyObject,
        positional: usize,
        keywords: *mut ffi::PyObject,
    ) -> Arguments<'a> {
        // SAFETY: the array holds `positional` and then as many live objects as there are keywords, for the duration
        // of the call; it may be NULL if there are none. A borrowed reference is a plain pointer.
        unsafe {
            let keywords = Object::from_nullable(keywords);
            let count = keywords.map_or(0, |k| usize::try_from(ffi::PyTuple_GET_SIZE(k.as_ptr())).unwrap_or(0));
            let values = if positional + count == 0 {
                &[]
            } else {
                std::slice::from_raw_parts(values.cast(), positional + count)
            };
            let (positional, keyword_values) = values.split_at(positional);
            Arguments { positional, keyword_values, keywords }
        }
    }

    /// Calls it with all of these.
    pub(crate) fn call(&self, callable: &Object) -> Res<Owned> {
        let keywords = self.keywords.map_or(ptr::null_mut(), Layout::as_ptr);
        // SAFETY: live objects; those of the keywords lie behind the positional ones, as many as the tuple names.
        unsafe {
            Owned::steal_or_raised(super::enter::PyObject_Vectorcall(
                callable.as_ptr(),
                self.positional.as_ptr().cast(),
                self.positional.len(),
                keywords,
            ))
        }
    }

    /// The keywords with their values.
    #[inline]
    pub(crate) fn keywords(&self) -> impl Iterator<Item = (&'a Object, &'a Object)> + use<'a> {
        let (names, values) = (self.keywords, self.keyword_values);
        (0..values.len()).map(move |i| {
            // SAFETY: the tuple has one item for each keyword value, and the caller of the function holds it.
            let name = unsafe {
                let names = names.expect("keywords for the values").as_ptr();
                Object::from_ptr(ffi::PyTuple_GET_ITEM(names, ffi::Py_ssize_t::try_from(i).unwrap_or(0)))
            };
            (name, values[i])
        })
    }

    /// All but the first.
    #[cfg(Py_3_12)]
    #[inline]
    pub(crate) fn without_first(self) -> Arguments<'a> {
        Arguments { positional: self.positional.split_first().map_or(&[], |(_, others)| others), ..self }
    }

    #[inline]
    pub(crate) fn has_keywords(&self) -> bool {
        !self.keyword_values.is_empty()
    }
}

/// Checks what was given for a `METH_VARARGS`-like function of positional parameters only.
pub(crate) fn arity_error(text: &CStr, given: usize) -> Raised {
    match containers::int(i64::try_from(given).unwrap_or(i64::MAX)) {
        Ok(given) => super::error::raise_format(Builtin::TypeError.class(), text, &[&given]),
        Err(raised) => raised,
    }
}

/// Tells CPython's "not given" from "given as None".
pub(crate) fn given(argument: Option<&Object>) -> Option<&Object> {
    argument.filter(|a| !a.is_none())
}
