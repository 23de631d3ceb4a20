//! What a native coroutine's `__await__()` returns: an iterator that drives it.

use pyo3::ffi;

use crate::sys::freelist::FEW;
use crate::sys::life::{Life, object};
use crate::sys::slots::{noargs, one, positional, unary};
use crate::sys::typeobj::{StaticType, TypeBuilder};
use crate::sys::{Field, Layout, Object, Owned, Res};

use super::Coroutine;
use super::methods;

object! {
    /// The collector may unset the coroutine.
    struct Wrapper: TYPE {
        head: Object,
        coroutine: Field<Coroutine>,
    }
}

impl Life for Wrapper {}

static TYPE: StaticType<Wrapper> = StaticType::keeping(FEW);

pub(super) fn new(coroutine: &Coroutine) -> Res<Owned> {
    let wrapper = TYPE.allocate()?;
    wrapper.coroutine.set(coroutine.own());
    Ok(wrapper.into_object())
}

fn identity(wrapper: &Wrapper) -> Owned {
    wrapper.as_object().own()
}

fn next(wrapper: &Wrapper) -> Option<Owned> {
    methods::next(&*wrapper.coroutine.get()?)
}

fn send(wrapper: &Wrapper, value: &Object) -> Res<Owned> {
    methods::send(&*wrapper.coroutine.get().ok_or_else(methods::reused)?, value)
}

fn throw(wrapper: &Wrapper, arguments: &[&Object]) -> Res<Owned> {
    methods::throw(&*wrapper.coroutine.get().ok_or_else(methods::reused)?, arguments)
}

fn close(wrapper: &Wrapper) -> Res<Owned> {
    methods::close(&*wrapper.coroutine.get().ok_or_else(methods::reused)?)
}

/// Makes the type. Called once, by the module's initialisation.
pub(super) fn init(module: &Object) -> Res<()> {
    TypeBuilder::new(&TYPE, c"builtins.coroutine_wrapper", c"A wrapper object implementing __await__ for coroutines.")
        .life()
        .flags(ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION)
        .slot(ffi::Py_tp_iter, unary!(Wrapper, identity))
        .slot(ffi::Py_tp_iternext, unary!(Wrapper, next))
        .methods([
            one!(
                Wrapper,
                c"send",
                send,
                c"send(arg) -> send 'arg' into coroutine,\nreturn next yielded value or raise StopIteration."
            ),
            positional!(Wrapper, c"throw", throw, c"throw(value)\n\nRaise the exception in the coroutine."),
            noargs!(Wrapper, c"close", close, c"close() -> raise GeneratorExit inside coroutine."),
        ])
        .build(module, None)?;
    TYPE.show_as(c"coroutine_wrapper");
    Ok(())
}
