//! Handles as Python code sees them.

use std::ffi::{CStr, c_ulong};

use crate::asyncio::EVENTS_GLOBALS;
use crate::names::{HANDLE_CLASS, Name};
use crate::sys::error::{Builtin, raise};
use crate::sys::intern::{ATTRIBUTE_DOC, ATTRIBUTE_FIRSTLINENO};
use crate::sys::life::Life;
use crate::sys::slots::{getset, noargs, one};
use crate::sys::typeobj::{StaticType, TypeBuilder};
use crate::sys::{Layout, Object, Owned, Res, Type, adopt, call, compat, containers};
use crate::versions;

use super::object::{HandleObject, Kind, PLAIN, THREAD_SAFE, TIMER, has_own_slots, has_slots_of_handle};
use super::patched;
use super::show::{
    get_arguments, get_callback, get_context, reduce, set_arguments, set_callback, set_context, set_when,
};

/// Makes the type for the kind, on asyncio's class, as which it shows itself.
fn build(kind: Kind, base: &Type) -> Res<()> {
    match kind {
        Kind::Plain => finish(builder(&PLAIN, c"asyncio.events.Handle"), &PLAIN, c"Handle", base),
        Kind::Timer => {
            let builder = builder(&TIMER, c"asyncio.events.TimerHandle")
                .getsets([getset!(
                    HandleObject,
                    c"_when",
                    HandleObject::when_object,
                    set_when,
                    c"The time, in the loop's seconds."
                )])
                .methods([noargs!(HandleObject, c"when", patched::when, WHEN_DOC)]);
            finish(builder, &TIMER, c"TimerHandle", base)
        }
        Kind::ThreadSafe => {
            let builder = builder(&THREAD_SAFE, c"asyncio.events._ThreadSafeHandle");
            finish(builder, &THREAD_SAFE, c"_ThreadSafeHandle", base)
        }
    }
}

fn finish<T: Life>(
    builder: TypeBuilder<T>,
    class: &'static StaticType<T>,
    shown: &'static CStr,
    base: &Type,
) -> Res<()> {
    builder.build_on(base)?;
    class.show_as(shown);
    for attribute in [&ATTRIBUTE_DOC, &ATTRIBUTE_FIRSTLINENO] {
        if let Some(value) = call::getattr_optional(base.as_object(), attribute)? {
            call::setattr(class.as_object(), attribute, &value)?;
        }
    }
    adopt::methods(class, class.as_type()).map(drop)
}

const WHEN_DOC: &CStr = c"when($self, /)\n--\n\n\
    Return the time of the call, in seconds on the clock of loop.time().";
const CANCEL_DOC: &CStr = c"cancel($self, /)\n--\n\n\
    Make the loop pass over this handle.";
const CANCELLED_DOC: &CStr = c"cancelled($self, /)\n--\n\n\
    Tell whether the handle was cancelled.";
const REDUCE_EX_DOC: &CStr = c"__reduce_ex__($self, protocol, /)\n--\n\n\
    Helper for pickle.";
const GET_CONTEXT_DOC: &CStr = c"get_context($self, /)\n--\n\n\
    Return the contextvars.Context of the callable.";

fn builder<T: Life>(class: &'static StaticType<T>, name: &'static CStr) -> TypeBuilder<T> {
    let weakrefs: c_ulong = if compat::MANAGED_WEAKREFS { compat::MANAGED_WEAKREF_FLAG } else { 0 };
    let builder = TypeBuilder::new(class, name, c"")
        .life()
        .mutable()
        .flags(weakrefs)
        .getsets([
            getset!(HandleObject, c"_callback", get_callback, set_callback, c"The callable, or None if cancelled."),
            getset!(HandleObject, c"_args", get_arguments, set_arguments, c"The arguments, or None if cancelled."),
            getset!(HandleObject, c"_context", get_context, set_context, c"The context that the callable runs in."),
        ])
        .methods([
            noargs!(HandleObject, c"_run", patched::run, c"_run($self, /)\n--\n\nRun the callable in its context."),
            noargs!(HandleObject, c"cancel", patched::cancel, CANCEL_DOC),
            noargs!(HandleObject, c"cancelled", patched::cancelled, CANCELLED_DOC),
            one!(HandleObject, c"__reduce_ex__", reduce, REDUCE_EX_DOC),
        ]);
    if !versions::HANDLE_GET_CONTEXT {
        return builder;
    }
    builder.methods([noargs!(HandleObject, c"get_context", patched::get_context, GET_CONTEXT_DOC)])
}

/// Makes the type, and before it the one of plain handles.
#[cold]
pub(super) fn make(kind: Kind) -> Res<()> {
    if kind != Kind::Plain && PLAIN.as_ptr().is_null() {
        make(Kind::Plain)?;
    }
    let (name, own_slots) = kind.base();
    let plain = original(&HANDLE_CLASS, has_slots_of_handle)?;
    if kind == Kind::Plain {
        return build(kind, &plain);
    }
    build(kind, &*original(name, |class| has_own_slots(class, own_slots))?)
}

/// asyncio's own class of that name: behind whatever subclass somebody has put in its place.
fn original(name: &Name, is_it: impl Fn(&Type) -> bool) -> Res<Owned<Type>> {
    let unknown = || raise(Builtin::RuntimeError.class(), c"rasyncio does not know the handles of this asyncio");
    let found = containers::dict_get(EVENTS_GLOBALS.get()?, name.object())?;
    let class = found.as_deref().and_then(Object::as_type).ok_or_else(unknown)?;
    class.ancestors().into_iter().find(|class| is_it(class)).ok_or_else(unknown)
}
