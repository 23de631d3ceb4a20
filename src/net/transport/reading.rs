//! Receiving: one bounded read for each event, and its data to the protocol.

use crate::event_loop::{Direction, LoopObject};
use crate::job::Job;
use crate::names::{ADD_READER, BUFFER_UPDATED, DATA_RECEIVED, EOF_RECEIVED, GET_BUFFER, READ_READY, RECV_INTO};
use crate::sys::args::Arguments;
use crate::sys::bytes::Buffer;
use crate::sys::error::{Builtin, raise};
use crate::sys::os_error::raise_os_error;
#[cfg(Py_3_12)]
use crate::sys::receive_behind::{Behind, receive_behind};
use crate::sys::sockets::{self, Outcome, Received};
use crate::sys::{Layout, Object, Owned, Raised, Res, call, containers};

use super::super::base::{BAD_DESCRIPTOR, Transport, base, fail, start, stop, stopped};
use super::super::tls;
use super::closing::close;
#[cfg(Py_3_12)]
use super::feeding::{self, Feeding};
use super::object::{TYPE, TransportObject};

/// `transport._read_ready`, as the reader with that argument.
pub(super) static READ: Job = Job {
    run: |transport, argument| read_ready(TYPE.expect(transport), argument),
    callback: |transport, _| Ok((call::getattr(transport, &READ_READY)?, None)),
    stop: Some(|transport, argument| {
        stopped::<TransportObject>(transport, Direction::Read, argument);
        Ok(())
    }),
    takes_several: false,
    needs_context: true,
};

/// `_add_reader(fd, _read_ready)`, of a new transport.
pub(super) fn begin(transport: &TransportObject) -> Res<()> {
    if let Some(core) = transport.native() {
        return if transport.is_reading() { start(transport, &core, Direction::Read, &READ) } else { Ok(()) };
    }
    let fd = containers::int(i64::from(transport.fd.get()))?;
    let read_ready = call::getattr(transport.as_object(), &READ_READY)?;
    call::call_method(&ADD_READER, &[transport.as_object(), &fd, &read_ready], None).map(drop)
}

fn read_ready(transport: &TransportObject, argument: Option<&Object>) -> Res<()> {
    if !transport.is_present(Direction::Read, argument) {
        return Ok(());
    }
    let Some(core) = transport.native().filter(|_| !transport.read_ready_cb.is_set()) else {
        return base(transport, &READ_READY, Arguments::of(&[])).map(drop);
    };
    if transport.conn_lost.get() != 0 {
        return Ok(());
    }
    if !transport.is_buffered.get() {
        return read_data(transport, &core);
    }
    if let Some(tls) = transport.tls.get() {
        if let Some(native) = tls::native(&tls) {
            return read_tls(transport, &core, &native);
        }
    }
    read_into_buffer(transport, &core)
}

/// `protocol.data_received(data)`
fn read_data(transport: &TransportObject, core: &LoopObject) -> Res<()> {
    #[cfg(Py_3_12)]
    if let Some(feeding) = transport.protocol.get().as_deref().and_then(feeding::find) {
        return feed(transport, core, feeding);
    }
    received(transport, core, receive(transport, core))
}

/// The same where the protocol feeds a reader: what it takes does not become an object of its own.
#[cfg(Py_3_12)]
fn feed(transport: &TransportObject, core: &LoopObject, feeding: &Feeding) -> Res<()> {
    let Some(fd) = transport.descriptor() else { return read_failed(transport, raise_os_error(BAD_DESCRIPTOR)) };
    let protocol = transport.protocol.get_or_none();
    let Some(place) = (feeding.place)(&protocol) else { return received(transport, core, receive(transport, core)) };
    let expected = expected(transport);
    // Nothing runs from the look for the place on until the data are there.
    let done = core.read_with(|scratch| receive_behind(fd, &place.buffer, place.most, expected, scratch));
    match done.and_then(|done| done) {
        Ok(Behind::Appended(count)) => {
            note_received(transport, core, count);
            (feeding.wake)(place.fed).or_else(|raised| data_failed(transport, raised))
        }
        Ok(Behind::Other(outcome)) => received(transport, core, Ok(outcome)),
        Err(raised) => read_failed(transport, raised),
    }
}

#[inline]
fn note_received(transport: &TransportObject, core: &LoopObject, count: usize) {
    transport.expected.set(i32::try_from(count).unwrap_or(0));
    core.counts.bytes_received.add(count);
}

/// How many bytes are likely to come: as many as came last.
#[inline]
fn expected(transport: &TransportObject) -> usize {
    usize::try_from(transport.expected.get()).unwrap_or(0)
}

#[cold]
fn data_failed(transport: &TransportObject, raised: Raised) -> Res<()> {
    fail(transport, raised, c"Fatal error: protocol.data_received() call failed.")
}

#[inline]
fn received(transport: &TransportObject, core: &LoopObject, outcome: Res<Received>) -> Res<()> {
    match outcome {
        Ok(Received::NotNow) => Ok(()),
        Ok(Received::Bytes(_, 0)) => end_of_file(transport, core),
        Ok(Received::Bytes(data, count)) => {
            note_received(transport, core, count);
            let protocol = transport.protocol.get_or_none();
            match call::call_method(&DATA_RECEIVED, &[&*protocol, &*data], None) {
                Ok(_) => Ok(()),
                Err(raised) => data_failed(transport, raised),
            }
        }
        Ok(Received::Failed(errno)) => read_failed(transport, raise_os_error(errno)),
        Err(raised) => read_failed(transport, raised),
    }
}

#[inline]
fn receive(transport: &TransportObject, core: &LoopObject) -> Res<Received> {
    let Some(fd) = transport.descriptor() else { return Ok(Received::Failed(BAD_DESCRIPTOR)) };
    core.read_with(|scratch| sockets::receive_likely(fd, expected(transport), scratch))?
}

/// The same where the protocol is asyncio's for TLS.
fn read_tls(transport: &TransportObject, core: &LoopObject, native: &tls::Native) -> Res<()> {
    let Some(fd) = transport.descriptor() else { return read_failed(transport, raise_os_error(BAD_DESCRIPTOR)) };
    match tls::receive(native, core, fd) {
        Ok((Outcome::NotNow, _)) => Ok(()),
        Ok((Outcome::Done(0), _)) => end_of_file(transport, core),
        Ok((Outcome::Done(_), early)) => {
            tls::received(native, early).or_else(|raised| update_failed(transport, raised))
        }
        Ok((Outcome::Failed(errno), _)) => read_failed(transport, raise_os_error(errno)),
        Err(raised) => update_failed(transport, raised),
    }
}

/// `protocol.get_buffer(-1)`, and `protocol.buffer_updated(count)`
fn read_into_buffer(transport: &TransportObject, core: &LoopObject) -> Res<()> {
    let protocol = transport.protocol.get_or_none();
    let buffer = match get_buffer(&protocol) {
        Ok(buffer) => buffer,
        Err(raised) => return fail(transport, raised, c"Fatal error: protocol.get_buffer() call failed."),
    };
    let count = match receive_into(transport, &buffer) {
        Ok(Some(count)) => count,
        Ok(None) => return Ok(()),
        Err(raised) => return read_failed(transport, raised),
    };
    drop(buffer);
    if count == 0 {
        return end_of_file(transport, core);
    }
    core.counts.bytes_received.add(count);
    let updated = || {
        let protocol = transport.protocol.get_or_none();
        let count = containers::int(i64::try_from(count).unwrap_or(i64::MAX))?;
        call::call_method(&BUFFER_UPDATED, &[&protocol, &count], None).map(drop)
    };
    updated().or_else(|raised| update_failed(transport, raised))
}

#[cold]
fn update_failed(transport: &TransportObject, raised: Raised) -> Res<()> {
    fail(transport, raised, c"Fatal error: protocol.buffer_updated() call failed.")
}

fn get_buffer(protocol: &Object) -> Res<Owned> {
    let size_hint = containers::int(-1)?;
    let buffer = call::call_method(&GET_BUFFER, &[protocol, &size_hint], None)?;
    if containers::length(&buffer)? == 0 {
        return Err(raise(Builtin::RuntimeError.class(), c"get_buffer() returned an empty buffer"));
    }
    Ok(buffer)
}

/// `None` if there is nothing now. The buffer's owner has it back when this returns.
fn receive_into(transport: &TransportObject, buffer: &Object) -> Res<Option<usize>> {
    let Ok(memory) = Buffer::writable(buffer) else {
        crate::sys::raised::clear();
        // The socket's own method knows what to say of it.
        let count = call::call_method(&RECV_INTO, &[&*transport.sock.get_or_none(), buffer], None)?;
        return Ok(Some(usize::try_from(containers::int_value(&count)?).unwrap_or(0)));
    };
    let Some(fd) = transport.descriptor() else { return Err(raise_os_error(BAD_DESCRIPTOR)) };
    match sockets::receive_into(fd, &memory) {
        Outcome::Done(count) => Ok(Some(count)),
        Outcome::NotNow => Ok(None),
        Outcome::Failed(errno) => Err(raise_os_error(errno)),
    }
}

#[cold]
fn read_failed(transport: &TransportObject, raised: Raised) -> Res<()> {
    fail(transport, raised, c"Fatal read error on socket transport")
}

/// `protocol.eof_received()`; the transport is closed unless that says otherwise.
fn end_of_file(transport: &TransportObject, core: &LoopObject) -> Res<()> {
    let protocol = transport.protocol.get_or_none();
    let asked = call::call_method(&EOF_RECEIVED, &[&*protocol], None);
    match asked.and_then(|answer| call::is_true(&answer)) {
        Err(raised) => fail(transport, raised, c"Fatal error: protocol.eof_received() call failed."),
        // The protocol may write for as long as it likes, but there is nothing more to read.
        Ok(true) => stop(transport, core, Direction::Read),
        Ok(false) => close(transport),
    }
}

/// `pause_reading()`
pub(super) fn pause(transport: &TransportObject) -> Res<bool> {
    let Some(core) = transport.native() else { return Ok(false) };
    if transport.is_reading() {
        transport.paused.set(true);
        stop(transport, &core, Direction::Read)?;
    }
    Ok(true)
}

/// `resume_reading()`
pub(super) fn resume(transport: &TransportObject) -> Res<bool> {
    let Some(core) = transport.native() else { return Ok(false) };
    if !transport.closing.get() && transport.paused.get() {
        transport.paused.set(false);
        start(transport, &core, Direction::Read, &READ)?;
    }
    Ok(true)
}
