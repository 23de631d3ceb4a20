//! The functions that note which task awaits a future (3.14 on).

use std::ffi::CStr;

use crate::future::{self, AwaitedBy, FutureObject};
use crate::sys::error::{Builtin, raise_text};
use crate::sys::slots::{Method, positional};
use crate::sys::{Object, Res};
use crate::task::as_native_future;

/// Of a future of ours or of CPython's own.
#[cold]
fn edges_of(object: &Object) -> Option<AwaitedBy<'_>> {
    as_native_future(object).map(AwaitedBy::of).or_else(|| AwaitedBy::of_theirs(object))
}

/// Calls `change`, or `change_any` if one is CPython's, if both arguments are futures of ours or of CPython's own.
fn change_awaited_by<'a>(
    name: &str,
    arguments: &[&'a Object],
    change: fn(&FutureObject, &Object) -> Res<()>,
    change_any: fn(AwaitedBy<'a>, &Object) -> Res<()>,
) -> Res<()> {
    let &[awaited, waiter] = arguments else {
        let text = format!("{name} expected 2 arguments, got {}", arguments.len());
        return Err(raise_text(Builtin::TypeError.class(), &text));
    };
    match (as_native_future(awaited), as_native_future(waiter)) {
        (Some(awaited), Some(_)) => change(awaited, waiter),
        _ => match (edges_of(awaited), edges_of(waiter)) {
            (Some(awaited), Some(_)) => change_any(awaited, waiter),
            _ => Ok(()),
        },
    }
}

fn future_add_to_awaited_by(_module: &Object, arguments: &[&Object]) -> Res<()> {
    change_awaited_by("future_add_to_awaited_by", arguments, future::add_to_awaited_by, AwaitedBy::add)
}

fn future_discard_from_awaited_by(_module: &Object, arguments: &[&Object]) -> Res<()> {
    change_awaited_by("future_discard_from_awaited_by", arguments, future::discard_from_awaited_by, AwaitedBy::discard)
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
