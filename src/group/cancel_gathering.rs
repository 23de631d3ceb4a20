//! `cancel()` of what `asyncio.gather` returned: all children are cancelled, each by its own method.

use crate::graft::Graft;
use crate::names::{CANCEL as CANCEL_NAME, CANCEL_REQUESTED, CHILDREN, MSG};
use crate::sys::error::fetch;
use crate::sys::lazy::Once;
use crate::sys::object::{boolean, none};
use crate::sys::python_function::{Call, vectorcall};
use crate::sys::recursion::one_deeper;
use crate::sys::{Layout, Object, Owned, Res, call, containers};
use crate::task;

use super::gathering;

pub(crate) static CANCEL: Graft = Graft::new("asyncio.tasks", "_GatheringFuture.cancel", vectorcall!(cancel));

fn cancel(call: &Call<'_>) -> Option<Res<Owned>> {
    let &[object, ref message @ ..] = call.arguments.positional else { return None };
    let mut keywords = call.arguments.keywords();
    let message = match (message, keywords.next()) {
        (&[], None) => none(),
        (&[message], None) => message,
        (&[], Some((keyword, message))) if MSG.is(keyword) => message,
        _ => return None,
    };
    if keywords.next().is_some() || !CANCEL.takes_itself(call) {
        return None;
    }
    let outer = task::as_native_future(object).filter(|outer| gathering::is_plain_outer(outer))?;
    if !outer.is_pending() {
        return Some(Ok(boolean(false).own()));
    }
    // A program may have put something else there.
    let children = match call::getattr(object, &CHILDREN) {
        Ok(children) => Some(children).filter(|children| containers::is_exact_list(children))?,
        Err(raised) => {
            drop(fetch(raised));
            return None;
        }
    };
    Some(one_deeper(|| cancel_children(object, &children, message))) // a child may be a gathering, too
}

/// As the list of children is when it is its turn, for a child's cancellation may run Python code.
fn cancel_children(outer: &Object, children: &Object, message: &Object) -> Res<Owned> {
    static MESSAGE: Once = Once::new();
    let keywords = MESSAGE.get_or_init(|| containers::tuple(&[MSG.object()]))?;
    let mut any = false;
    let mut index = 0;
    while let Some(child) = containers::list_item(children, index) {
        let cancelled = call::call_method(&CANCEL_NAME, &[&child, message], Some(keywords));
        any |= cancelled.and_then(|it| call::is_true(&it)).map_err(|raised| CANCEL.raised_by("cancel", raised))?;
        index += 1;
    }
    if any {
        call::setattr(outer, &CANCEL_REQUESTED, boolean(true))?;
    }
    Ok(boolean(any).own())
}
