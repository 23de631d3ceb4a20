//! `OSError` for what the operating system answers.

use super::error::{Builtin, raise_object};
use super::lazy::Lazy;
use super::{Owned, Raised, Res, call, containers};

/// Raises the `OSError` for an `errno`, with the operating system's text.
#[cold]
pub(crate) fn raise_os_error(errno: std::ffi::c_int) -> Raised {
    static TEXT: Lazy = Lazy::new("os", "strerror");
    let make = || -> Res<Owned> {
        let number = containers::int(i64::from(errno))?;
        let text = call::call1(TEXT.get()?, &number)?;
        call::call(Builtin::OSError.class(), &[&number, &text])
    };
    match make() {
        Ok(exception) => raise_object(&exception),
        Err(raised) => raised,
    }
}
