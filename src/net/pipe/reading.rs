//! Reading: one bounded read for each event, and its data to the protocol.

use crate::event_loop::{Direction, LoopObject};
use crate::job::Job;
use crate::names::{CALL_CONNECTION_LOST, CALL_SOON, DATA_RECEIVED, EOF_RECEIVED, READ_READY};
use crate::sys::args::Arguments;
use crate::sys::object::none;
use crate::sys::os_error::raise_os_error;
use crate::sys::pipes;
use crate::sys::sockets::{LARGE, Received};
use crate::sys::{Layout, Res, call};

use super::super::base::{BAD_DESCRIPTOR, Transport, base, fail, start, stop, stopped};
use super::end::End;
use super::read_object::{ReadPipeObject, TYPE};

/// `transport._read_ready`, as the reader with that argument.
pub(super) static READ: Job = Job {
    run: |transport, argument| {
        let transport = TYPE.expect(transport);
        if !transport.is_present(Direction::Read, argument) || read(transport)? {
            return Ok(());
        }
        base(transport, &READ_READY, Arguments::of(&[])).map(drop)
    },
    callback: |transport, _| Ok((call::getattr(transport, &READ_READY)?, None)),
    stop: Some(|transport, argument| {
        stopped::<ReadPipeObject>(transport, Direction::Read, argument);
        Ok(())
    }),
    takes_several: false,
    needs_context: true,
};

/// `_read_ready()`. False, and nothing is done, if it is for asyncio's own function.
pub(super) fn read(transport: &ReadPipeObject) -> Res<bool> {
    let Some(core) = transport.native() else { return Ok(false) };
    match receive(transport, &core) {
        Ok(Received::NotNow) => {}
        Ok(Received::Bytes(_, 0)) => end_of_file(transport, &core)?,
        Ok(Received::Bytes(data, count)) => {
            transport.expected.set(i32::try_from(count).unwrap_or(0));
            let protocol = transport.protocol.get_or_none();
            call::call_method(&DATA_RECEIVED, &[&*protocol, &*data], None)?;
        }
        Ok(Received::Failed(errno)) => {
            fail(transport, raise_os_error(errno), c"Fatal read error on pipe transport")?;
        }
        // Bytes may be lost, for want of memory to have them in.
        Err(raised) => fail(transport, raised, c"Fatal read error on pipe transport")?,
    }
    Ok(true)
}

#[inline]
fn receive(transport: &ReadPipeObject, core: &LoopObject) -> Res<Received> {
    let Some(fd) = transport.open_descriptor() else { return Ok(Received::Failed(BAD_DESCRIPTOR)) };
    let mut expected = usize::try_from(transport.expected.get()).unwrap_or(0);
    if expected >= LARGE && !takes_parts(transport, fd) {
        expected = 0;
    }
    // The file is not to be freed, and so closed, by another thread.
    let _owner = transport.owner.get();
    core.read_detached(|scratch| pipes::read(fd, expected, scratch))?
}

fn takes_parts(transport: &ReadPipeObject, fd: i32) -> bool {
    if transport.parts.get() == 0 {
        transport.parts.set(if pipes::takes_parts(fd) { 1 } else { -1 });
    }
    transport.parts.get() > 0
}

/// There will be no more: the protocol is told, in the next iteration.
#[cold]
fn end_of_file(transport: &ReadPipeObject, core: &LoopObject) -> Res<()> {
    let event_loop = core.as_object();
    transport.closing.set(true);
    stop(transport, core, Direction::Read)?;
    let received = call::getattr(&transport.protocol.get_or_none(), &EOF_RECEIVED)?;
    call::call_method(&CALL_SOON, &[event_loop, &*received], None)?;
    let lost = call::getattr(transport.as_object(), &CALL_CONNECTION_LOST)?;
    call::call_method(&CALL_SOON, &[event_loop, &*lost, none()], None).map(drop)
}

/// `pause_reading()`. False, and nothing is done, if it is for asyncio's own function; so are the following ones.
pub(super) fn pause(transport: &ReadPipeObject) -> Res<bool> {
    let Some(core) = transport.native() else { return Ok(false) };
    if transport.is_reading() {
        transport.paused.set(true);
        stop(transport, &core, Direction::Read)?;
    }
    Ok(true)
}

/// `resume_reading()`
pub(super) fn resume(transport: &ReadPipeObject) -> Res<bool> {
    let Some(core) = transport.native() else { return Ok(false) };
    if !transport.closing.get() && transport.paused.get() {
        transport.paused.set(false);
        start(transport, &core, Direction::Read, &READ)?;
    }
    Ok(true)
}
