//! Writing: at once, each write by itself, as who reads may tell; what the system does not take waits, as asyncio has it,
//! for the pipe to have room.
//!
//! Nothing is left to the end of the step, as a socket's bytes are. Up to a size the system writes the bytes of one call
//! in one piece, also where others write to the same pipe; a terminal, or a pipe made for packets, keeps calls apart; and
//! a program may read the other end itself right after it has written.

use crate::event_loop::{Direction, LoopObject};
use crate::job::Job;
use crate::names::{CALL_CONNECTION_LOST, MAYBE_PAUSE_PROTOCOL, MAYBE_RESUME_PROTOCOL, WRITE_READY};
use crate::sys::args::Arguments;
use crate::sys::bytes::{self, Held};
use crate::sys::object::{boolean, none};
use crate::sys::os_error::raise_os_error;
use crate::sys::sockets::{Outcome, Sent};
use crate::sys::{Layout, Object, Owned, Raised, Res, call, containers, error, pipes};

use super::super::base::{BAD_DESCRIPTOR, Transport, base, fail, start, stop, stopped};
use super::end::End;
use super::write_object::{TYPE, WritePipeObject};

/// `transport._write_ready`, as the writer with that argument.
static WRITE: Job = Job {
    run: |transport, argument| {
        let transport = TYPE.expect(transport);
        if !transport.is_present(Direction::Write, argument) || write_waiting(transport)? {
            return Ok(());
        }
        base(transport, &WRITE_READY, Arguments::of(&[])).map(drop)
    },
    callback: |transport, _| Ok((call::getattr(transport, &WRITE_READY)?, None)),
    stop: Some(|transport, argument| {
        stopped::<WritePipeObject>(transport, Direction::Write, argument);
        Ok(())
    }),
    takes_several: false,
    needs_context: true,
};

/// `write(data)`. False, and nothing is done, if asyncio's own function has to do it, or to say what is wrong.
pub(super) fn write(transport: &WritePipeObject, data: &Object) -> Res<bool> {
    let Some(core) = transport.native() else { return Ok(false) };
    let (Some(waiting), Some(piece)) = (waiting(transport), held(data)?) else { return Ok(false) };
    if piece.len() == 0 {
        return Ok(true);
    }
    if transport.conn_lost.get() != 0 || transport.closing.get() {
        return Ok(false);
    }
    if containers::length(&waiting)? > 0 {
        keep(transport, data)?;
        return pause_if_much(transport).map(|()| true);
    }
    let Sent { outcome, wanted } = send(transport, &piece);
    drop(piece);
    match outcome {
        Outcome::Done(count) if count == wanted => {}
        Outcome::Done(0) | Outcome::NotNow => wait(transport, &core, data)?,
        Outcome::Done(count) => wait(transport, &core, &*bytes::view_from(data, count)?)?,
        Outcome::Failed(errno) => write_failed(transport, raise_os_error(errno))?,
    }
    Ok(true)
}

/// What has to wait, if it is where asyncio keeps it.
#[inline]
fn waiting(transport: &WritePipeObject) -> Option<Owned> {
    transport.buffer.get().filter(|buffer| bytes::is_bytearray(buffer))
}

/// What can be written as it is.
#[inline]
fn held(data: &Object) -> Res<Option<Held>> {
    if bytes::of_exact(data).is_some() {
        return Ok(Some(Held::Bytes(data.own())));
    }
    if bytes::is_plain_view(data) { Held::lent(data).map(Some) } else { Ok(None) }
}

/// `os.write(self._fileno, piece)`
#[inline]
fn send(transport: &WritePipeObject, piece: &Held) -> Sent {
    // The file is not to be freed, and so closed, by another thread.
    let _owner = transport.owner.get();
    match transport.open_descriptor() {
        Some(fd) => pipes::write(fd, piece),
        None => Sent { outcome: Outcome::Failed(BAD_DESCRIPTOR), wanted: piece.len() },
    }
}

/// There is no room for the rest: it waits. If it cannot, it is lost, as it is with asyncio's.
#[cold]
fn wait(transport: &WritePipeObject, core: &LoopObject, rest: &Object) -> Res<()> {
    start(transport, core, Direction::Write, &WRITE)?;
    keep(transport, rest).map_err(|raised| error::chain(raised, || stop(transport, core, Direction::Write)))?;
    pause_if_much(transport)
}

/// `self._buffer += rest`
fn keep(transport: &WritePipeObject, rest: &Object) -> Res<()> {
    let buffer = bytes::appended(&transport.buffer.get_or_none(), rest)?;
    drop(transport.buffer.replace(Some(buffer)));
    Ok(())
}

/// `_maybe_pause_protocol()`
fn pause_if_much(transport: &WritePipeObject) -> Res<()> {
    if containers::length(&transport.buffer.get_or_none())? > transport.high_mark() {
        call::call_method(&MAYBE_PAUSE_PROTOCOL, &[transport.as_object()], None)?;
    }
    Ok(())
}

#[cold]
fn write_failed(transport: &WritePipeObject, raised: Raised) -> Res<()> {
    transport.conn_lost.set(transport.conn_lost.get().saturating_add(1));
    fail(transport, raised, c"Fatal write error on pipe transport")
}

/// `_write_ready()`. False, and nothing is done, if it is for asyncio's own function.
pub(super) fn write_waiting(transport: &WritePipeObject) -> Res<bool> {
    let (Some(core), Some(waiting)) = (transport.native(), waiting(transport)) else { return Ok(false) };
    if containers::length(&waiting)? == 0 {
        return Ok(false);
    }
    let piece = Held::lent(&waiting)?;
    let Sent { outcome, wanted } = send(transport, &piece);
    drop(piece);
    match outcome {
        Outcome::NotNow => {}
        Outcome::Done(count) => {
            bytes::delete_first(&waiting, count)?;
            if count == wanted {
                written(transport, &core)?;
            }
        }
        Outcome::Failed(errno) => {
            bytes::delete_first(&waiting, wanted)?;
            stop(transport, &core, Direction::Write)?;
            write_failed(transport, raise_os_error(errno))?;
        }
    }
    Ok(true)
}

/// Nothing has to wait any more.
fn written(transport: &WritePipeObject, core: &LoopObject) -> Res<()> {
    stop(transport, core, Direction::Write)?;
    if !transport.protocol_paused.holds(boolean(false)) {
        call::call_method(&MAYBE_RESUME_PROTOCOL, &[transport.as_object()], None)?;
    }
    if transport.closing.get() {
        core.unwatch(transport.fd.get(), Direction::Read)?;
        call::call_method(&CALL_CONNECTION_LOST, &[transport.as_object(), none()], None)?;
    }
    Ok(())
}
