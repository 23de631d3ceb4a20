//! Closing a connection, and its end: the protocol is told, and all is let go of.

use std::cell::Cell;

use crate::event_loop::{Direction, plain};
use crate::job::{Entry, Job};
use crate::names::{CALL_CONNECTION_LOST, CLOSE, CONNECTION_LOST, DETACH, SET_EXCEPTION};
use crate::sched;
use crate::sys::args::Arguments;
use crate::sys::attached::Attached;
use crate::sys::error::chain;
use crate::sys::lazy::Lazy;
use crate::sys::object::none;
use crate::sys::{Layout, Object, Res, call, containers, socket_objects};
use crate::versions;

use super::super::base::{self, Transport};
use super::super::server::detach;
use super::super::sock::usable;
use super::object::{TYPE, TransportObject};
use super::writing;

/// How asyncio's own transports of this patch release do.
#[derive(Clone, Copy)]
pub(super) struct Habits {
    /// They tell the server which of them is attached to it, and detached.
    pub(super) name_themselves: bool,
    pub(super) forget: Forget,
    /// It is an error to make one for a descriptor that has one.
    pub(super) check_descriptors: bool,
}

/// When they forget what was to be called to write, `_write_ready`, and to read, `_read_ready_cb`. What waits is sent all
/// the same.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Forget {
    Nothing,
    WriterWhenClosed,
    /// However the protocol takes its loss; and who waits is told in any case.
    WriterWhenLost,
    BothWhenLost,
}

pub(super) static HABITS: Attached<Cell<Habits>> =
    Attached::new(Cell::new(Habits { name_themselves: false, forget: Forget::Nothing, check_descriptors: false }));

/// `transport._call_connection_lost(None)`
static LOSE: Job = Job {
    run: |transport, argument| lose(TYPE.expect(transport), argument.unwrap_or(none())),
    callback: |transport, argument| Ok((call::getattr(transport, &CALL_CONNECTION_LOST)?, argument.map(Layout::own))),
    stop: None,
    takes_several: false,
    needs_context: true,
};

/// `close()`
pub(super) fn close(transport: &TransportObject) -> Res<()> {
    writing::finish(transport)?;
    let Some(core) = transport.native() else { return base::base(transport, &CLOSE, Arguments::of(&[])).map(drop) };
    if versions::CLOSING_FORGETS_READER {
        transport.read_ready_cb.set(none().own());
    }
    if HABITS.get().forget == Forget::WriterWhenClosed {
        forget_writer(transport);
    }
    if transport.closing.get() {
        return Ok(());
    }
    transport.closing.set(true);
    base::stop(transport, &core, Direction::Read)?;
    if transport.queue.is_empty() {
        transport.conn_lost.set(transport.conn_lost.get().saturating_add(1));
        base::stop(transport, &core, Direction::Write)?;
        let context = base::context(transport)?;
        let target = transport.as_object().own();
        let argument = Some(none().own());
        sched::call_soon(core.as_object(), Entry { job: &LOSE, target, argument, context })?;
    }
    Ok(())
}

/// `_call_connection_lost(exception)`
pub(super) fn lose(transport: &TransportObject, exception: &Object) -> Res<()> {
    if let Some(core) = transport.event_loop.get().as_deref().and_then(plain) {
        core.counts.connections_lost.one();
    }
    if !transport.is_as_made() {
        return base::base(transport, &CALL_CONNECTION_LOST, Arguments::of(&[exception])).map(drop);
    }
    let lost = and_finally(tell_protocol(transport, exception), || let_go(transport));
    let forget = HABITS.get().forget;
    if !matches!(forget, Forget::WriterWhenLost | Forget::BothWhenLost) {
        return lost.and_then(|()| tell_waiter(transport));
    }
    and_finally(lost, || {
        forget_writer(transport);
        if forget == Forget::BothWhenLost {
            transport.read_ready_cb.set(none().own());
        }
        tell_waiter(transport)
    })
}

/// `_write_ready = None`
fn forget_writer(transport: &TransportObject) {
    transport.writer_is_forgotten.set(true);
    transport.write_ready.clear();
}

/// As a `finally` clause.
fn and_finally(outcome: Res<()>, work: impl FnOnce() -> Res<()>) -> Res<()> {
    match outcome {
        Ok(()) => work(),
        Err(raised) => Err(chain(raised, work)),
    }
}

fn tell_protocol(transport: &TransportObject, exception: &Object) -> Res<()> {
    writing::finish(transport)?;
    if !transport.protocol_connected.get() {
        return Ok(());
    }
    call::call_method(&CONNECTION_LOST, &[&*transport.protocol.get_or_none(), exception], None).map(drop)
}

/// The socket is closed, and nothing is kept.
fn let_go(transport: &TransportObject) -> Res<()> {
    let sock = transport.sock.get_or_none();
    if usable(&sock).is_none() || !socket_objects::close(&sock)? {
        call::call_method(&CLOSE, &[&*sock], None)?;
    }
    transport.sock.clear();
    transport.protocol.clear();
    transport.tls.clear();
    transport.itself.clear();
    transport.event_loop.set(none().own());
    let Some(server) = transport.server.get() else { return Ok(()) };
    if HABITS.get().name_themselves {
        detach(&server, transport.as_object())?;
    } else {
        call::call_method(&DETACH, &[&*server], None)?;
    }
    transport.server.clear();
    Ok(())
}

/// Whoever waits until all is sent.
fn tell_waiter(transport: &TransportObject) -> Res<()> {
    static CONNECTION_ERROR: Lazy = Lazy::new("builtins", "ConnectionError");

    let Some(waiter) = transport.empty_waiter.get() else { return Ok(()) };
    let text = containers::string(c"Connection is closed by peer")?;
    let error = call::call1(CONNECTION_ERROR.get()?, &text)?;
    call::call_method(&SET_EXCEPTION, &[&*waiter, &*error], None).map(drop)
}
