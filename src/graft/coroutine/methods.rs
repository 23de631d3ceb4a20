//! A native coroutine as Python code sees it: methods, attributes, slots.

use pyo3::ffi;

use crate::future::{self, thrown};
use crate::names::{CR_AWAIT, CR_CODE, CR_FRAME};
use crate::sys::compat::MANAGED_WEAKREF_FLAG;
use crate::sys::error::{
    self, Builtin, fetch, is_exception, is_exception_class, raise, raise_format, raise_text, restore,
};
use crate::sys::iter::{Sent, coroutine_type, raise_stop_iteration};
use crate::sys::lazy::Lazy;
use crate::sys::object::none;
use crate::sys::slots::{Method, finalizer, getset, noargs, one, positional, unary, value_sender};
use crate::sys::typeobj::TypeBuilder;
use crate::sys::{Layout, Object, Owned, Raised, Res, call, containers, type_name};

use super::object::{Coroutine, State, TYPE, Waits};
use super::{shown, wrapper};

static WARN: Lazy = Lazy::new("warnings", "_warn_unawaited_coroutine");

#[cold]
pub(super) fn reused() -> Raised {
    raise(Builtin::RuntimeError.class(), c"cannot reuse already awaited coroutine")
}

/// `am_send`
fn am_send(coroutine: &Coroutine, value: &Object) -> Res<Sent> {
    coroutine.send(value)
}

/// `tp_iternext`: NULL without an exception is a `StopIteration` without a value.
pub(super) fn next(coroutine: &Coroutine) -> Option<Owned> {
    match coroutine.send(none()) {
        Ok(Sent::Yielded(value)) => Some(value),
        Ok(Sent::Returned(value)) => {
            if !value.is_none() {
                let _ = raise_stop_iteration(&value);
            }
            None
        }
        Err(Raised) => None,
    }
}

fn as_method(sent: Res<Sent>) -> Res<Owned> {
    match sent? {
        Sent::Yielded(value) => Ok(value),
        Sent::Returned(value) if value.is_none() => match call::call0(Builtin::StopIteration.class()) {
            Ok(stop) => Err(restore(stop)),
            Err(raised) => Err(raised),
        },
        Sent::Returned(value) => Err(raise_stop_iteration(&value)),
    }
}

pub(super) fn send(coroutine: &Coroutine, value: &Object) -> Res<Owned> {
    as_method(coroutine.send(value))
}

pub(super) fn throw(coroutine: &Coroutine, arguments: &[&Object]) -> Res<Owned> {
    as_method(coroutine.throw(exception_of(arguments)?))
}

fn exception_of(arguments: &[&Object]) -> Res<Owned> {
    let &[one] = arguments else { return thrown(arguments) };
    if is_exception(one) {
        return Ok(one.own());
    }
    if is_exception_class(one) {
        let made = call::call0(one)?;
        if is_exception(&made) {
            return Ok(made);
        }
        let text = c"calling %R should have returned an instance of BaseException, not %S";
        return Err(raise_format(Builtin::TypeError.class(), text, &[one, &*type_name::whole(&made)?]));
    }
    let text = c"exceptions must be classes or instances deriving from BaseException, not %S";
    Err(raise_format(Builtin::TypeError.class(), text, &[&*type_name::short(one)?]))
}

pub(super) fn close(coroutine: &Coroutine) -> Res<Owned> {
    match coroutine.state.get() {
        State::Done => return Ok(none().own()),
        State::Created => {
            coroutine.finish();
            return Ok(none().own());
        }
        State::Running => return Err(raise(Builtin::ValueError.class(), c"coroutine already executing")),
        State::Suspended => {}
    }
    match coroutine.close_suspended() {
        Ok(Sent::Returned(value)) => Ok(if cfg!(Py_3_13) { value } else { none().own() }),
        Ok(Sent::Yielded(_)) => Err(raise(Builtin::RuntimeError.class(), c"coroutine ignored GeneratorExit")),
        Err(raised) => {
            let exception = fetch(raised);
            let ended = [error::generator_exit(), Builtin::StopIteration.class()];
            if ended.iter().any(|class| error::matches(&exception, class)) {
                return Ok(none().own());
            }
            Err(restore(exception))
        }
    }
}

/// What `isinstance` believes.
fn class(_: &Coroutine) -> Owned {
    coroutine_type().own()
}

/// The coroutine that it has become, for what is asked of that.
fn itself(coroutine: &Coroutine) -> Option<Owned> {
    coroutine.awaited.get().filter(|_| coroutine.waits.get() == Waits::Itself)
}

fn name(coroutine: &Coroutine) -> Res<Owned> {
    if let Some(name) = coroutine.name.get() {
        return Ok(name);
    }
    let path = coroutine.body()?.graft.path;
    containers::string_of(path.rsplit('.').next().unwrap_or(path))
}

fn set_name(coroutine: &Coroutine, value: Option<&Object>) -> Res<()> {
    coroutine.name.set(a_string(value, "__name__")?);
    Ok(())
}

fn qualname(coroutine: &Coroutine) -> Res<Owned> {
    match coroutine.qualname.get() {
        Some(name) => Ok(name),
        None => containers::string_of(coroutine.body()?.graft.path),
    }
}

fn set_qualname(coroutine: &Coroutine, value: Option<&Object>) -> Res<()> {
    coroutine.qualname.set(a_string(value, "__qualname__")?);
    Ok(())
}

fn a_string(value: Option<&Object>, attribute: &str) -> Res<Owned> {
    match value {
        Some(value) if containers::is_string(value) => Ok(value.own()),
        _ => Err(raise_text(Builtin::TypeError.class(), &format!("{attribute} must be set to a string object"))),
    }
}

fn cr_await(coroutine: &Coroutine) -> Res<Owned> {
    // What is awaited goes on within it, and is not waited for at that moment.
    if coroutine.state.get() == State::Running {
        return Ok(none().own());
    }
    if let Some(itself) = itself(coroutine) {
        return call::getattr(&itself, &CR_AWAIT);
    }
    if (coroutine.state.get(), coroutine.waits.get()) == (State::Suspended, Waits::Step) {
        coroutine.make_yielder()?;
    }
    if coroutine.is_folded() {
        coroutine.unfold()?;
    }
    match (coroutine.waits.get(), coroutine.awaited.get()) {
        (Waits::Future, Some(awaited)) => match crate::task::as_native_future(&awaited) {
            Some(future) => future::iterate(future),
            None => Ok(none().own()),
        },
        (_, awaited) => Ok(awaited.unwrap_or_else(|| none().own())),
    }
}

fn cr_running(coroutine: &Coroutine) -> bool {
    coroutine.state.get() == State::Running
}

fn cr_suspended(coroutine: &Coroutine) -> bool {
    coroutine.is_suspended()
}

/// From 3.15 on, what `inspect.getcoroutinestate()` says.
#[cfg(Py_3_15)]
fn cr_state(coroutine: &Coroutine) -> Res<Owned> {
    containers::string(match coroutine.state.get() {
        State::Created => c"CORO_CREATED",
        State::Suspended => c"CORO_SUSPENDED",
        State::Running => c"CORO_RUNNING",
        State::Done => c"CORO_CLOSED",
    })
}

fn cr_code(coroutine: &Coroutine) -> Res<Owned> {
    match itself(coroutine) {
        Some(itself) => call::getattr(&itself, &CR_CODE),
        None => shown::code(coroutine),
    }
}

fn cr_frame(coroutine: &Coroutine) -> Res<Owned> {
    match itself(coroutine) {
        Some(itself) => call::getattr(&itself, &CR_FRAME),
        None if coroutine.state.get() == State::Done => Ok(none().own()),
        None => shown::frame(coroutine),
    }
}

/// Where it was made is not noted: functions leave it to their own bodies when that is wanted.
fn cr_origin(_: &Coroutine) -> Owned {
    none().own()
}

fn repr(coroutine: &Coroutine) -> Res<Owned> {
    let name = containers::text_of(&*qualname(coroutine)?);
    containers::string_of(&format!("<coroutine object {name} at {:#x}>", coroutine.as_ptr().addr()))
}

/// `tp_finalize`: one that was never awaited warns, one that is suspended is closed.
fn finalize(coroutine: &Coroutine) {
    let last_words = || match coroutine.state.get() {
        State::Created => WARN.get().and_then(|warn| call::call1(warn, coroutine.as_object())).map(drop),
        State::Suspended => close(coroutine).map(drop),
        State::Running | State::Done => Ok(()),
    };
    error::keeping_raised(|| {
        if let Err(raised) = last_words() {
            error::write_unraisable(raised, coroutine.as_object());
        }
    });
}

/// `tp_as_async->am_await`: it is awaited as itself, by one at a time.
fn await_slot(coroutine: &Coroutine) -> Res<Owned> {
    if coroutine.is_suspended() {
        return Err(raise(Builtin::RuntimeError.class(), c"coroutine is being awaited already"));
    }
    Ok(coroutine.as_object().own())
}

fn await_method(coroutine: &Coroutine) -> Res<Owned> {
    wrapper::new(coroutine)
}

fn sizeof(_: &Coroutine) -> Res<Owned> {
    containers::int(i64::try_from(size_of::<Coroutine>()).unwrap_or(0))
}

fn methods() -> [Method; 5] {
    // The slot of the same name answers to `await`, with the coroutine itself.
    let mut as_iterator =
        noargs!(Coroutine, c"__await__", await_method, c"Return an iterator to be used in await expression.");
    as_iterator.flags |= ffi::METH_COEXIST;
    [
        one!(
            Coroutine,
            c"send",
            send,
            c"send(arg) -> send 'arg' into coroutine,\nreturn next yielded value or raise StopIteration."
        ),
        positional!(Coroutine, c"throw", throw, c"throw(value)\n\nRaise the exception in the coroutine."),
        noargs!(Coroutine, c"close", close, c"close() -> raise GeneratorExit inside coroutine."),
        noargs!(Coroutine, c"__sizeof__", sizeof, c"__sizeof__() -> size of the coroutine in memory, in bytes"),
        as_iterator,
    ]
}

/// Makes the type. Called once, by the module's initialisation.
pub(super) fn init(module: &Object) -> Res<()> {
    let [send, throw, close, sizeof, as_iterator] = methods();
    TypeBuilder::new(&TYPE, c"builtins.coroutine", c"The coroutine of a function of asyncio's that runs natively.")
        .life()
        .flags(MANAGED_WEAKREF_FLAG)
        .flags(ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION)
        .slot(ffi::Py_tp_finalize, finalizer!(Coroutine, finalize))
        .slot(ffi::Py_tp_repr, unary!(Coroutine, repr))
        .slot(ffi::Py_am_await, unary!(Coroutine, await_slot))
        .slot(ffi::Py_tp_iternext, unary!(Coroutine, next))
        .slot(ffi::Py_am_send, value_sender!(Coroutine, am_send))
        .methods([send, throw, close, sizeof, as_iterator])
        .getsets([
            getset!(Coroutine, c"__class__", class, c"types.CoroutineType"),
            getset!(Coroutine, c"__name__", name, set_name, c"name of the coroutine"),
            getset!(Coroutine, c"__qualname__", qualname, set_qualname, c"qualified name of the coroutine"),
            getset!(Coroutine, c"cr_await", cr_await, c"object being awaited on, or None"),
            getset!(Coroutine, c"cr_running", cr_running, c"Whether it is executing."),
            getset!(Coroutine, c"cr_suspended", cr_suspended, c"Whether it waits."),
            #[cfg(Py_3_15)]
            getset!(Coroutine, c"cr_state", cr_state, c"state of the coroutine"),
            getset!(Coroutine, c"cr_code", cr_code, c"The function's code."),
            getset!(Coroutine, c"cr_frame", cr_frame, c"A frame that shows where it is, or None."),
            getset!(Coroutine, c"cr_origin", cr_origin, c"None."),
        ])
        .build(module, None)?;
    TYPE.show_as(c"coroutine");
    Ok(())
}
