//! The argument `loop` of functions that take no other by keyword.

use crate::names::LOOP;
use crate::sys::Object;
use crate::sys::python_function::Call;

/// The call has another keyword.
pub(crate) struct OtherKeyword;

/// What the call has for `loop`; `None` is as good as nothing.
#[inline]
pub(crate) fn loop_argument<'a>(call: &Call<'a>) -> Result<Option<&'a Object>, OtherKeyword> {
    let mut given = None;
    for (keyword, value) in call.arguments.keywords() {
        if !LOOP.is(keyword) {
            return Err(OtherKeyword);
        }
        given = Some(value).filter(|value| !value.is_none());
    }
    Ok(given)
}
