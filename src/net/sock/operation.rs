//! An operation that waits for its socket, and what awaits it.
//!
//! It is an awaitable, and the iterator of that: it yields the future that it made, once, and ends when that is done,
//! with its result in `result`. (An end with a value would be a `StopIteration` at each `await` of some versions.) A
//! loop's method made it, which awaits it right away; nobody else knows of it, but for who looks into a coroutine.
//!
//! It waits as an entry of the loop's table of files. When it is ready the entry runs, tries, and completes the future.
//! Whoever leaves the `await` otherwise, by a cancellation, another exception, or the end of the coroutine, lets it stop to
//! wait. Should another wait for the same file, it never completes, as with asyncio.
//!
//! `kind`, `fd`, `socket` and the arguments are set once, by [`begin_waiting`]; `future` is taken when it is done, so that
//! no cycle through an exception's traceback lasts.

use std::cell::Cell;
use std::ffi::c_int;

use pyo3::ffi;

use crate::event_loop::LoopObject;
use crate::future;
use crate::job::{Entry, Job};
use crate::names::{AWAIT, DONE, PRIVATE_RUN, SET_EXCEPTION, SET_RESULT};
use crate::sys::error::{fetch, is_exit, raise_object, restore};
use crate::sys::freelist::FEW;
use crate::sys::iter::{Sent, send_none};
use crate::sys::life::{Life, object};
use crate::sys::object::none;
use crate::sys::slots::{getset, noargs, one, positional, sender, unary};
use crate::sys::typeobj::{StaticType, TypeBuilder};
use crate::sys::{Field, Layout, Object, Owned, Raised, Res, call, context};

use super::attempt::{Kind, Request};

object! {
    pub(super) struct OperationObject: TYPE {
        head: Object,
        event_loop: Field<LoopObject>,
        /// Not set when it is done, or nobody awaits it any more.
        future: Field,
        /// What awaiting a future iterates that is not ours.
        iterator: Field,
        result: Field,
        socket: Field,
        first: Field,
        second: Field,
        kind: Cell<Option<&'static Kind>>,
        sent: Cell<usize>,
        fd: Cell<i32>,
    }
}

impl Life for OperationObject {}

static TYPE: StaticType<OperationObject> = StaticType::keeping(FEW);

/// Tries again what waited for its file.
static READY: Job = Job {
    run: |operation, _| TYPE.downcast_exact(operation).map_or(Ok(()), run),
    callback: |operation, _| Ok((call::getattr(operation, &PRIVATE_RUN)?, None)),
    stop: None,
    takes_several: false,
    needs_context: false,
};

/// What was not to be had at once waits for its file, the descriptor; the future is what is awaited.
pub(super) fn begin_waiting(request: &Request<'_>, kind: &'static Kind, fd: c_int, future: Owned) -> Res<Owned> {
    let operation = TYPE.allocate()?;
    operation.event_loop.fill(request.event_loop.own());
    operation.future.fill(future);
    operation.socket.fill(request.socket.own());
    operation.first.fill(request.first.own());
    operation.second.fill(request.second.own());
    operation.kind.set(Some(kind));
    operation.sent.set(request.sent.get());
    operation.fd.set(fd);
    let (target, context) = (operation.clone().into_object(), context::copy_current()?);
    let entry = Entry { job: &READY, target, argument: None, context };
    request.event_loop.wait_once(fd, kind.direction, entry)?;
    Ok(operation.into_object())
}

/// The file is ready, or was.
fn run(operation: &OperationObject) -> Res<()> {
    let (Some(event_loop), Some(future), Some(kind), Some(socket)) =
        (operation.event_loop.get(), operation.future.get(), operation.kind.get(), operation.socket.get())
    else {
        return Ok(());
    };
    if !event_loop.is_waiting(operation.fd.get(), kind.direction, operation.as_object()) || is_done(&future)? {
        return Ok(());
    }
    let request = Request {
        event_loop: &event_loop,
        socket: &socket,
        first: &operation.first.get_or_none(),
        second: &operation.second.get_or_none(),
        sent: &operation.sent,
    };
    let outcome = match (kind.go_on)(&request) {
        Ok(Some(value)) => Ok(value),
        Ok(None) => match event_loop.wait_again(operation.fd.get()) {
            Ok(()) => return Ok(()),
            Err(raised) => Err(raised),
        },
        Err(raised) => Err(raised),
    };
    match outcome {
        Ok(value) => {
            stop(operation);
            complete(&future, value)
        }
        Err(raised) => {
            let exception = fetch(raised);
            if is_exit(&exception) {
                return Err(restore(exception));
            }
            stop(operation);
            fail(&future, &exception)
        }
    }
}

fn is_done(future: &Object) -> Res<bool> {
    match future::TYPE.downcast_exact(future) {
        Some(future) => Ok(!future.is_pending()),
        None => call::is_true(&*call::call_method(&DONE, &[future], None)?),
    }
}

fn complete(future: &Object, value: Owned) -> Res<()> {
    match future::TYPE.downcast_exact(future) {
        // A try may have run Python code.
        Some(future) if !future.is_pending() => Ok(()),
        Some(future) => future::set_result(future, value),
        None => call::call_method(&SET_RESULT, &[future, &*value], None).map(drop),
    }
}

fn fail(future: &Object, exception: &Object) -> Res<()> {
    match future::TYPE.downcast_exact(future) {
        Some(future) if !future.is_pending() => Ok(()),
        Some(future) => future::set_exception(future, exception),
        None => call::call_method(&SET_EXCEPTION, &[future, exception], None).map(drop),
    }
}

/// Waits no longer.
fn stop(operation: &OperationObject) {
    if let (Some(event_loop), Some(kind)) = (operation.event_loop.get(), operation.kind.get()) {
        event_loop.stop_waiting(operation.fd.get(), kind.direction, operation.as_object());
    }
}

/// Nobody awaits it any more, for whatever reason.
fn end(operation: &OperationObject) {
    if operation.future.is_set() {
        drop(operation.future.take());
        operation.iterator.clear();
        stop(operation);
    }
}

/// One step of who awaits it: what it yields, or `None` at the end.
#[inline]
fn advance(operation: &OperationObject) -> Res<Option<Owned>> {
    let Some(future) = operation.future.get() else { return Ok(None) };
    let sent = match future::TYPE.downcast_exact(&future) {
        Some(future) => future::advance(future),
        None => advance_other(operation, &future),
    };
    match sent {
        Ok(Sent::Yielded(yielded)) => Ok(Some(yielded)),
        Ok(Sent::Returned(value)) => {
            operation.result.set(value);
            end(operation);
            Ok(None)
        }
        Err(Raised) => {
            let exception = fetch(Raised);
            end(operation);
            Err(restore(exception))
        }
    }
}

/// The same with a future that is not ours.
fn advance_other(operation: &OperationObject, future: &Object) -> Res<Sent> {
    if !operation.iterator.is_set() {
        operation.iterator.set(call::call_method(&AWAIT, &[future], None)?);
    }
    send_none(&operation.iterator.get_or_none())
}

fn am_send(operation: &OperationObject) -> Res<Sent> {
    Ok(advance(operation)?.map_or_else(|| Sent::Returned(none().own()), Sent::Yielded))
}

fn next(operation: &OperationObject) -> Option<Owned> {
    advance(operation).unwrap_or(None)
}

fn identity(operation: &OperationObject) -> Owned {
    operation.as_object().own()
}

/// `send(value)`; the value is ignored.
fn send(operation: &OperationObject, _value: &Object) -> Res<Owned> {
    match advance(operation)? {
        Some(yielded) => Ok(yielded),
        None => Err(raise_object(&*call::call0(crate::sys::error::Builtin::StopIteration.class())?)),
    }
}

/// `throw(exception)`, as a future's iterator has it.
fn throw(operation: &OperationObject, arguments: &[&Object]) -> Res<Owned> {
    let exception = future::thrown(arguments)?;
    end(operation);
    Err(restore(exception))
}

fn close(operation: &OperationObject) {
    end(operation);
}

/// What it has come to; `None` before that.
fn get_result(operation: &OperationObject) -> Owned {
    operation.result.get_or_none()
}

/// `_run()`
fn run_method(operation: &OperationObject) -> Res<()> {
    run(operation)
}

/// Makes the type. Called once, by the module's initialisation.
pub(crate) fn init(module: &Object) -> Res<()> {
    let doc = c"What a loop's sock_ method awaits: its socket, and then the operation.";
    TypeBuilder::new(&TYPE, c"_asyncio.SocketOperation", doc)
        .flags(ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION)
        .life()
        .slot(ffi::Py_am_await, unary!(OperationObject, identity))
        .slot(ffi::Py_am_send, sender!(OperationObject, am_send))
        .slot(ffi::Py_tp_iter, unary!(OperationObject, identity))
        .slot(ffi::Py_tp_iternext, unary!(OperationObject, next))
        .methods([
            one!(OperationObject, c"send", send, c"send($self, value, /)\n--\n\nGo on."),
            positional!(
                OperationObject,
                c"throw",
                throw,
                c"throw(exception)\n\nStop to wait, and raise the exception."
            ),
            noargs!(OperationObject, c"close", close, c"close($self, /)\n--\n\nStop to wait."),
            noargs!(OperationObject, c"_run", run_method, c"_run($self, /)\n--\n\nTry, if the socket is waited for."),
        ])
        .getsets([getset!(OperationObject, c"result", get_result, c"What it has come to.")])
        .build(module, None)?;
    TYPE.add_to(module, c"SocketOperation")
}
