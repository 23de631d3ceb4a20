//! Sending: what a step has written goes out after it, as one message; what the system does not take waits.
//!
//! What was written and not tried to be sent is *left* to the end of the step, but:
//!
//! * Nobody sees it so. Whatever else is asked of the transport sends it first ([`finish`]).
//! * It is never more than the high water mark, so that a protocol is paused by the very write that asyncio would pause
//!   it by; nor more than 64 KiB.
//! * Only a `bytes` is left: of what its owner may change, that is sent which is there now.
//! * Only in the thread that runs the loop, while it does: elsewhere, whatever is written is sent at once.
//!
//! The writer is an entry in the loop's table of files, as the reader is.

use crate::event_loop::{Direction, LoopObject};
use crate::job::Job;
use crate::names::{
    CALL_CONNECTION_LOST, MAYBE_PAUSE_PROTOCOL, MAYBE_RESUME_PROTOCOL, SET_EXCEPTION, SET_RESULT, SHUTDOWN, WRITE_READY,
};
use crate::sys::args::Arguments;
use crate::sys::bytes::{self, Buffer, Held};
use crate::sys::error::{Builtin, raise};
use crate::sys::memory::vec_for;
use crate::sys::object::{boolean, none};
use crate::sys::os_error::raise_os_error;
use crate::sys::sockets::{self, Outcome};
use crate::sys::{Layout, Object, Raised, Res, call, containers, error};
use crate::versions;

use super::super::base::{BAD_DESCRIPTOR, Transport, base, fail, start, stop, stopped};
use super::super::tls::Handed;
use super::native::WRITER;
use super::object::{TYPE, TransportObject};

/// As much is sent at once, in bytes.
const MUCH: usize = 64 * 1024;
/// `SHUT_WR`
const WRITING: i64 = 1;

/// What a step has left to be sent.
static SEND: Job = Job {
    run: |transport, _| finish(TYPE.expect(transport)),
    callback: |transport, _| Ok((call::getattr(transport, &WRITE_READY)?, None)),
    stop: None,
    takes_several: false,
    needs_context: true,
};

/// `transport._write_ready`, as the writer with that argument.
static WRITE: Job = Job {
    run: |transport, argument| write_ready(TYPE.expect(transport), argument),
    callback: |transport, _| Ok((call::getattr(transport, &WRITE_READY)?, None)),
    stop: Some(|transport, argument| {
        stopped::<TransportObject>(transport, Direction::Write, argument);
        Ok(())
    }),
    takes_several: false,
    needs_context: true,
};

/// What has become of a call.
#[derive(Clone, Copy)]
pub(super) enum Written {
    /// It is done.
    Done,
    /// asyncio's own function does it, or says what is wrong with it.
    NotHere,
}

/// `write(data)`
#[inline]
pub(super) fn write(transport: &TransportObject, data: &Object) -> Res<Written> {
    let Some(core) = ready_to_write(transport) else { return Ok(Written::NotHere) };
    match bytes::of_exact(data) {
        Some([]) => Ok(Written::Done),
        Some(_) => add(transport, &core, Held::Bytes(data.own())).map(|()| Written::Done),
        None if bytes::is_view(data) || bytes::is_bytearray(data) => write_lent(transport, &core, data),
        None => Ok(Written::NotHere),
    }
}

/// `write(ciphertext)`, of what TLS has beneath it, if that is one of ours.
pub(super) fn hand_on(transport: &Object, ciphertext: &Object) -> Res<Handed> {
    let Some(transport) = TYPE.downcast(transport) else { return Ok(Handed::NotHere) };
    Ok(match write(transport, ciphertext)? {
        Written::NotHere => Handed::NotHere,
        Written::Done if transport.is_left.get() => Handed::Left,
        Written::Done => Handed::Done,
    })
}

/// `writelines(data)`, of a list or a tuple of what can be written.
pub(super) fn write_lines(transport: &TransportObject, lines: &Object) -> Res<Written> {
    let core = ready_to_write(transport).filter(|_| !transport.writer_is_forgotten.get());
    let Some(core) = core else { return Ok(Written::NotHere) };
    let Some(lines) = containers::items(lines)? else { return Ok(Written::NotHere) };
    if lines.iter().all(|line| bytes::of_exact(line).is_some()) {
        return add_all(transport, &core, lines.into_iter().map(Held::Bytes), true).map(|()| Written::Done);
    }
    let mut pieces = vec_for(lines.len())?;
    for line in lines {
        let piece = if bytes::of_exact(&line).is_some() {
            Held::Bytes(line)
        } else if bytes::is_view(&line) || bytes::is_bytearray(&line) {
            match lend(&line) {
                Ok(piece) => piece,
                Err(raised) => return Ok(not_here(raised)),
            }
        } else {
            return Ok(Written::NotHere);
        };
        pieces.push(piece);
    }
    // What can be changed is sent as it is now.
    let is_fixed = pieces.iter().all(|piece| matches!(piece, Held::Bytes(_)) || piece.len() == 0);
    add_all(transport, &core, pieces.into_iter(), is_fixed).map(|()| Written::Done)
}

/// Adds pieces to what is to be sent; and sends it at once, or leaves it if the pieces are fixed.
fn add_all(
    transport: &TransportObject,
    core: &LoopObject,
    pieces: impl ExactSizeIterator<Item = Held>,
    are_fixed: bool,
) -> Res<()> {
    let waits = !transport.queue.is_empty() && !transport.is_left.get();
    transport.queue.reserve(pieces.len())?;
    pieces.filter(|piece| piece.len() > 0).try_for_each(|piece| transport.queue.push(piece))?;
    if waits {
        pause_if_much(transport)
    } else if transport.queue.is_empty() {
        Ok(())
    } else if are_fixed {
        send_or_leave(transport, core)
    } else {
        send_now(transport, core)
    }
}

/// What an object lends; up to 3.11, a copy.
fn lend(data: &Object) -> Res<Held> {
    containers::length(data)?; // there are views without one; up to 3.11, they say 1
    if versions::SENDS_FROM_BYTEARRAY {
        if bytes::is_scalar(data) {
            return Err(raise(Builtin::TypeError.class(), c"invalid indexing of 0-dim memory"));
        }
        return bytes::copied_from(&Buffer::of(data)?).map(Held::Bytes);
    }
    Held::lent(data)
}

/// asyncio's own function says what is wrong.
#[cold]
fn not_here(raised: Raised) -> Written {
    drop(error::fetch(raised));
    Written::NotHere
}

/// The loop, if all is as usual: else asyncio's own function has something to say.
#[inline]
fn ready_to_write(transport: &TransportObject) -> Option<crate::sys::Owned<LoopObject>> {
    let is_usual = !transport.eof.get() && !transport.empty_waiter.is_set() && transport.conn_lost.get() == 0;
    transport.native().filter(|_| is_usual && !transport.write_ready.is_set())
}

/// Adds a piece to what is to be sent; and sends it at once, or leaves it.
#[inline]
fn add(transport: &TransportObject, core: &LoopObject, piece: Held) -> Res<()> {
    let waits = !transport.queue.is_empty() && !transport.is_left.get();
    transport.queue.push(piece)?;
    if waits {
        return pause_if_much(transport);
    }
    send_or_leave(transport, core)
}

/// Leaves it to the end of the step, if it may be.
#[inline]
fn send_or_leave(transport: &TransportObject, core: &LoopObject) -> Res<()> {
    let size = transport.queue.size();
    if size >= MUCH || size > transport.high_mark() || !core.runs_steps() {
        return send_now(transport, core);
    }
    if transport.is_left.get() {
        return Ok(());
    }
    if let Err(raised) = core.leave(&SEND, transport.as_object().own()) {
        drop(error::fetch(raised)); // no memory
        return send_now(transport, core);
    }
    transport.is_left.set(true);
    Ok(())
}

fn send_now(transport: &TransportObject, core: &LoopObject) -> Res<()> {
    transport.is_left.set(false);
    send(transport, core)
}

/// `memoryview` and `bytearray`: what is there now is sent now; the rest is kept as asyncio keeps it.
fn write_lent(transport: &TransportObject, core: &LoopObject, data: &Object) -> Res<Written> {
    finish(transport)?;
    if ready_to_write(transport).is_none() {
        return Ok(Written::NotHere); // that was not to be sent any more
    }
    // A bytearray that has to wait is sent as it will be then, however long.
    let may_grow = bytes::is_bytearray(data) && !versions::SENDS_FROM_BYTEARRAY;
    if may_grow && !transport.queue.is_empty() {
        return Ok(Written::NotHere);
    }
    let piece = match lend(data) {
        Ok(piece) if piece.len() == 0 => return Ok(Written::Done),
        Ok(piece) => piece,
        Err(raised) => return Ok(not_here(raised)),
    };
    if !transport.queue.is_empty() {
        transport.queue.push(piece)?;
        return pause_if_much(transport).map(|()| Written::Done);
    }
    let Some(fd) = transport.descriptor() else { return Ok(Written::NotHere) };
    let sent = sockets::send(fd, &piece, 0);
    match counted(core, sent.outcome) {
        Outcome::Done(count) if count == sent.wanted => sent_all(transport, core)?,
        Outcome::Done(count) => {
            transport.queue.push_rest(piece, count)?;
            wait(transport, core)?;
        }
        Outcome::NotNow if may_grow => return Ok(Written::NotHere),
        Outcome::NotNow => {
            transport.queue.push(piece)?;
            wait(transport, core)?;
        }
        Outcome::Failed(errno) => send_failed(transport, raise_os_error(errno))?,
    }
    Ok(Written::Done)
}

/// Sends what a step has left, if it has.
#[inline]
pub(super) fn finish(transport: &TransportObject) -> Res<()> {
    if transport.is_left.get() { finish_now(transport) } else { Ok(()) }
}

#[cold]
fn finish_now(transport: &TransportObject) -> Res<()> {
    transport.is_left.set(false);
    let Some(event_loop) = transport.event_loop.get() else { return Ok(()) };
    match crate::event_loop::TYPE.downcast(&event_loop) {
        Some(core) => send(transport, core),
        None => Ok(()),
    }
}

#[inline]
fn counted(core: &LoopObject, outcome: Outcome) -> Outcome {
    if let Outcome::Done(count) = outcome {
        core.counts.bytes_sent.add(count);
    }
    outcome
}

/// Sends what there is, until the system takes no more; the rest waits for the descriptor to be writable.
fn send(transport: &TransportObject, core: &LoopObject) -> Res<()> {
    loop {
        let Some(fd) = transport.descriptor() else { return send_failed(transport, raise_os_error(BAD_DESCRIPTOR)) };
        let sent = transport.queue.send(fd);
        match counted(core, sent.outcome) {
            Outcome::Done(_) if transport.queue.is_empty() => return sent_all(transport, core),
            // There are more pieces than go out at once.
            Outcome::Done(count) if count == sent.wanted => {}
            Outcome::Done(_) | Outcome::NotNow => return wait(transport, core),
            // What is handled now may have been raised after the writes.
            Outcome::Failed(errno) => {
                return send_failed(transport, error::handling_nothing(|| raise_os_error(errno)));
            }
        }
    }
}

#[inline]
fn sent_all(transport: &TransportObject, core: &LoopObject) -> Res<()> {
    if transport.has_writer() { stop(transport, core, Direction::Write) } else { Ok(()) }
}

/// The descriptor is waited for. If it cannot be, what is left is lost, as it is with asyncio's.
fn wait(transport: &TransportObject, core: &LoopObject) -> Res<()> {
    if !transport.has_writer() {
        let forget = || {
            transport.queue.clear();
            Ok(())
        };
        start(transport, core, Direction::Write, &WRITE).map_err(|raised| error::chain(raised, forget))?;
    }
    pause_if_much(transport)
}

/// `_maybe_pause_protocol()`
fn pause_if_much(transport: &TransportObject) -> Res<()> {
    if transport.queue.size() <= transport.high_mark() {
        return Ok(());
    }
    call::call_method(&MAYBE_PAUSE_PROTOCOL, &[transport.as_object()], None).map(drop)
}

/// An error of sending, as of each of the writes whose bytes did not go out.
#[cold]
fn send_failed(transport: &TransportObject, raised: Raised) -> Res<()> {
    transport.queue.clear();
    fail(transport, raised, c"Fatal write error on socket transport")
}

/// The descriptor is writable.
fn write_ready(transport: &TransportObject, argument: Option<&Object>) -> Res<()> {
    if !transport.is_present(Direction::Write, argument) {
        return Ok(());
    }
    finish(transport)?;
    let core = transport.native().filter(|_| !transport.write_ready.is_set());
    let Some(core) = core else {
        return base(transport, WRITER, Arguments::of(&[])).map(drop);
    };
    if transport.conn_lost.get() != 0 {
        return Ok(());
    }
    if transport.queue.is_empty() {
        return drained(transport, &core);
    }
    let outcome = match transport.descriptor() {
        Some(fd) => counted(&core, transport.queue.send(fd).outcome),
        None => Outcome::Failed(BAD_DESCRIPTOR),
    };
    match outcome {
        Outcome::NotNow => Ok(()),
        Outcome::Failed(errno) => drain_failed(transport, &core, raise_os_error(errno)),
        Outcome::Done(_) => {
            if transport.protocol_paused.holds(boolean(true)) {
                call::call_method(&MAYBE_RESUME_PROTOCOL, &[transport.as_object()], None)?;
                finish(transport)?;
            }
            if transport.queue.is_empty() { drained(transport, &core) } else { Ok(()) }
        }
    }
}

/// All is sent that had to wait.
fn drained(transport: &TransportObject, core: &LoopObject) -> Res<()> {
    // Resuming the protocol may have handed it out: abort() does.
    let exposed = transport.exposed.get();
    if exposed.map_or(Ok(0), |exposed| containers::length(&exposed))? > 0 {
        return Ok(());
    }
    sent_all(transport, core)?;
    if let Some(waiter) = transport.empty_waiter.get() {
        call::call_method(&SET_RESULT, &[&*waiter, none()], None)?;
    }
    // Another may have closed it meanwhile (gh-156512).
    if transport.closing.get() && transport.conn_lost.get() == 0 {
        transport.conn_lost.set(1);
        call::call_method(&CALL_CONNECTION_LOST, &[transport.as_object(), none()], None).map(drop)
    } else if transport.eof.get() {
        shut_down(transport)
    } else {
        Ok(())
    }
}

#[cold]
fn drain_failed(transport: &TransportObject, core: &LoopObject, raised: Raised) -> Res<()> {
    stop(transport, core, Direction::Write)?;
    let exception = error::fetch(raised);
    send_failed(transport, error::restore(exception.clone()))?;
    match transport.empty_waiter.get() {
        Some(waiter) => call::call_method(&SET_EXCEPTION, &[&*waiter, &*exception], None).map(drop),
        None => Ok(()),
    }
}

/// `write_eof()`
pub(super) fn write_eof(transport: &TransportObject) -> Res<Written> {
    if transport.native().is_none() || transport.write_ready.is_set() {
        return Ok(Written::NotHere);
    }
    finish(transport)?;
    if transport.closing.get() || transport.eof.get() {
        return Ok(Written::Done);
    }
    transport.eof.set(true);
    if transport.queue.is_empty() && !transport.is_exposed() {
        shut_down(transport)?;
    }
    Ok(Written::Done)
}

/// `sock.shutdown(socket.SHUT_WR)`
fn shut_down(transport: &TransportObject) -> Res<()> {
    let how = containers::int(WRITING)?;
    call::call_method(&SHUTDOWN, &[&*transport.sock.get_or_none(), &*how], None).map(drop)
}

/// `get_write_buffer_size()`
pub(super) fn buffer_size(transport: &TransportObject) -> Res<Option<usize>> {
    finish(transport)?;
    Ok(transport.native().map(|_| transport.queue.size()))
}
