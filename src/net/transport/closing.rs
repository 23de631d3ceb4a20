//! Closing a connection.

use crate::event_loop::Direction;
use crate::job::{Entry, Job};
use crate::names::{CALL_CONNECTION_LOST, CLOSE};
use crate::sched;
use crate::sys::args::Arguments;
use crate::sys::object::none;
use crate::sys::{Layout, Res, call};

use super::super::base::{self, Transport};
use super::object::TransportObject;
use super::writing;

/// `transport._call_connection_lost(None)`
static CONNECTION_LOST: Job = Job {
    run: |transport, argument| {
        let exception = argument.unwrap_or(none());
        call::call_method(&CALL_CONNECTION_LOST, &[transport, exception], None).map(drop)
    },
    callback: |transport, argument| Ok((call::getattr(transport, &CALL_CONNECTION_LOST)?, argument.map(Layout::own))),
    stop: None,
    takes_several: false,
    needs_context: true,
};

/// `close()`
pub(super) fn close(transport: &TransportObject) -> Res<()> {
    writing::finish(transport)?;
    let Some(core) = transport.native() else { return base::base(transport, &CLOSE, Arguments::of(&[])).map(drop) };
    if transport.closing.get() {
        return Ok(());
    }
    transport.closing.set(true);
    drop(transport.read_ready_cb.take());
    base::stop(transport, &core, Direction::Read)?;
    if transport.queue.is_empty() {
        transport.conn_lost.set(transport.conn_lost.get() + 1);
        base::stop(transport, &core, Direction::Write)?;
        let context = base::context(transport)?;
        let target = transport.as_object().own();
        let argument = Some(none().own());
        sched::call_soon(core.as_object(), Entry { job: &CONNECTION_LOST, target, argument, context })?;
    }
    Ok(())
}
