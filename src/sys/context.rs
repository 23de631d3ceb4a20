//! `contextvars.Context`.

use pyo3::ffi;

use super::attached::Attached;
use super::{Field, Layout, Object, Owned, Raised, Res, enter as interpreter};

/// A copy of the current context.
pub(crate) fn copy_current() -> Res<Owned> {
    // SAFETY: no precondition but attachment.
    unsafe { Owned::steal_or_raised(interpreter::PyContext_CopyCurrent()) }
}

/// A copy of a context; an error if it is none.
#[cfg(Py_3_12)]
pub(crate) fn copy(context: &Object) -> Res<Owned> {
    // SAFETY: a live object; the function checks its type.
    unsafe { Owned::steal_or_raised(interpreter::PyContext_Copy(context.as_ptr())) }
}

/// An empty context.
pub(crate) fn new() -> Res<Owned> {
    // SAFETY: no precondition but attachment.
    unsafe { Owned::steal_or_raised(interpreter::PyContext_New()) }
}

/// One empty context that nobody refers to, not even a token.
static SPARE: Attached<Field> = Attached::new(Field::unset());

/// An empty context, perhaps one that was handed to [`keep_if_empty`].
#[inline]
pub(crate) fn empty() -> Res<Owned> {
    SPARE.take().map_or_else(new, Ok)
}

/// For work that no Python code of a program runs in: one for all.
#[cfg(Py_3_12)]
pub(crate) fn shared_empty() -> Owned {
    static SHARED: super::lazy::Once = super::lazy::Once::new();
    match SHARED.get_or_init(new) {
        Ok(context) => context.own(),
        Err(raised) => {
            drop(super::error::fetch(raised));
            super::object::none().own()
        }
    }
}

/// Keeps a context for [`empty`], if it cannot be told from a new one.
#[inline]
pub(crate) fn keep_if_empty(context: Owned) {
    if context.is_only_reference() && is_empty(&context) {
        SPARE.set(context);
    }
}

/// Does the context give no variable a value?
pub(crate) fn is_empty(context: &Object) -> bool {
    // SAFETY: a live context, whose size is computed without running Python code.
    unsafe { ffi::PyObject_Size(context.as_ptr()) == 0 }
}

/// The type cannot be subclassed, so this is all there is to being a context.
pub(crate) fn is_context(object: &Object) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyContext_CheckExact(object.as_ptr()) != 0 }
}

/// Runs `work` inside the context, like `context.run`. An error to enter or leave comes before the work's own.
#[allow(clippy::inline_always)] // once for each thing that runs, and there are few places that call it
#[inline(always)]
pub(crate) fn run<T>(context: &Object, work: impl FnOnce() -> Res<T>) -> Res<T> {
    /// Leaves the context if the work panics.
    struct Entered<'a>(&'a Object);
    impl Drop for Entered<'_> {
        fn drop(&mut self) {
            if exit(self.0).is_err() {
                super::raised::clear();
            }
        }
    }

    enter(context)?;
    let entered = Entered(context);
    let outcome = work();
    std::mem::forget(entered);
    match outcome {
        Ok(result) => exit(context).map(|()| result),
        Err(raised) => Err(super::error::chain(raised, || exit(context))),
    }
}

/// Enters; every success is paired with [`exit`].
#[inline]
pub(crate) fn enter(context: &Object) -> Res<()> {
    // SAFETY: a live object; the function checks its type.
    match unsafe { ffi::PyContext_Enter(context.as_ptr()) } {
        0 => Ok(()),
        _ => Err(Raised),
    }
}

#[inline]
pub(crate) fn exit(context: &Object) -> Res<()> {
    // SAFETY: a live object; the function checks that it is the context entered last.
    match unsafe { ffi::PyContext_Exit(context.as_ptr()) } {
        0 => Ok(()),
        _ => Err(Raised),
    }
}
