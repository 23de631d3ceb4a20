//! The functions that note which task awaits a future (3.14 on).

use std::ffi::CStr;

use crate::future;
use crate::sys::error::{Builtin, raise_text};
use crate::sys::slots::{Method, positional};
use crate::sys::{Object, Res};
use crate::task::as_native_future;

/// Calls `change` if both arguments are futures of ours.
fn change_awaited_by(
    name: &str,
    arguments: &[&Object],
    change: fn(&future::FutureObject, &Object) -> Res<()>,
) -> Res<()> {
    let &[awaited, waiter] = arguments else {
        let text = format!("{name} expected 2 arguments, got {}", arguments.len());
        return Err(raise_text(Builtin::TypeError.class(), &text));
    };
    match (as_native_future(awaited), as_native_future(waiter)) {
        (Some(awaited), Some(_)) => change(awaited, waiter),
        _ => Ok(()),
    }
}

fn future_add_to_awaited_by(_module: &Object, arguments: &[&Object]) -> Res<()> {
    change_awaited_by("future_add_to_awaited_by", arguments, future::add_to_awaited_by)
}

fn future_discard_from_awaited_by(_module: &Object, arguments: &[&Object]) -> Res<()> {
    change_awaited_by("future_discard_from_awaited_by", arguments, future::discard_from_awaited_by)
}

const FUTURE_ADD_TO_AWAITED_BY_DOC: &CStr = c"future_add_to_awaited_by($module, fut, waiter, /)\n--\n\n\
    Note in fut that waiter awaits it, if both are Future or Task objects.";
const FUTURE_DISCARD_FROM_AWAITED_BY_DOC: &CStr = c"future_discard_from_awaited_by($module, fut, waiter, /)\n--\n\n\
    Take back what future_add_to_awaited_by(fut, waiter) noted.";

pub(super) const AWAITED_BY_FUNCTIONS: [Method; 2] = [
    positional!(Object, c"future_add_to_awaited_by", future_add_to_awaited_by, FUTURE_ADD_TO_AWAITED_BY_DOC),
    positional!(
        Object,
        c"future_discard_from_awaited_by",
        future_discard_from_awaited_by,
        FUTURE_DISCARD_FROM_AWAITED_BY_DOC
    ),
];
