//! What becomes of errors.

use std::ffi::{CStr, c_int};

use crate::names::FATAL_ERROR;
use crate::sys::error::{fetch, handling, is_exit, restore};
use crate::sys::{Raised, Res, call, containers};

use super::native::Transport;

/// `EBADF`: what a socket without a descriptor answers.
pub(in crate::net) const BAD_DESCRIPTOR: c_int = 9;

/// `_fatal_error(exception, message)`, of what was just raised; an exit goes through.
#[cold]
pub(in crate::net) fn fail<T: Transport>(transport: &T, raised: Raised, message: &CStr) -> Res<()> {
    let exception = fetch(raised);
    if is_exit(&exception) {
        return Err(restore(exception));
    }
    handling(&exception, || {
        let message = containers::string(message)?;
        call::call_method(&FATAL_ERROR, &[transport.as_object(), &exception, &message], None).map(drop)
    })
}
