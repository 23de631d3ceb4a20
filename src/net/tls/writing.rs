//! From the program to the transport beneath: `_write_appdata`, `_do_write` and `_process_outgoing`.
//!
//! What is written is encrypted at once, as asyncio does, and handed to the transport beneath, which leaves it to the end
//! of the step and sends all of the step as one message.

use std::cell::Cell;

use crate::names::{
    APP_WRITING_PAUSED, CONTROL_APP_WRITING, DO_WRITE, OUTGOING_HIGH_WATER, OUTGOING_LOW_WATER, PROCESS_OUTGOING,
    SSL_WRITING_PAUSED, TRANSPORT, WRITE, WRITE_BACKLOG, WRITE_BUFFER_SIZE,
};
use crate::sys::attached::Attached;
use crate::sys::bytes::{self, Held};
use crate::sys::memory::vec_for;
use crate::sys::object::none;
use crate::sys::{Layout, Object, Res, call, containers, deque, error};

use super::engine::Engine;
use super::known::is_again;
use super::object::TlsObject;
use super::protocol::{Native, native};

/// `write(data)`. False if asyncio's own function is to do it, or to say what is wrong with it.
pub(super) fn write(transport: &TlsObject, data: &Object) -> Res<bool> {
    let Some(native) = ready_to_write(transport) else { return Ok(false) };
    match held(data) {
        Some(piece) if piece.len() == 0 => Ok(true),
        Some(piece) => write_pieces(&native, &[piece]).map(|()| true),
        None => Ok(false),
    }
}

/// `writelines(data)`, of a list or a tuple of what can be written.
pub(super) fn write_lines(transport: &TlsObject, lines: &Object) -> Res<bool> {
    let Some(native) = ready_to_write(transport) else { return Ok(false) };
    let Some(lines) = containers::items(lines)? else { return Ok(false) };
    let mut pieces = vec_for(lines.len())?;
    for line in &lines {
        match held(line) {
            // Nothing is written of a piece without bytes by write() only.
            Some(piece) if piece.len() > 0 => pieces.push(piece),
            _ => return Ok(false),
        }
    }
    write_pieces(&native, &pieces).map(|()| true)
}

/// The protocol, if data goes both ways and nothing waits to be encrypted.
#[inline]
fn ready_to_write(transport: &TlsObject) -> Option<Native<'_>> {
    native(transport).filter(|native| native.is_wrapped() && native.backlog_size() == Some(0))
}

/// The bytes, if all are in a row and each is an item.
#[inline]
fn held(data: &Object) -> Option<Held> {
    if bytes::of_exact(data).is_some() {
        return Some(Held::Bytes(data.own()));
    }
    if !bytes::is_plain_view(data) {
        return None;
    }
    let lent = Held::lent(data);
    if lent.is_err() {
        crate::sys::raised::clear();
    }
    lent.ok()
}

fn write_pieces(native: &Native, pieces: &[Held]) -> Res<()> {
    encrypt(native, pieces).or_else(|raised| native.fail(raised))
}

fn encrypt(native: &Native, pieces: &[Held]) -> Res<()> {
    let engine = Engine::of(native.transport);
    // Ciphertext that may not be sent now waits in the session's own BIO.
    if native.flag(&SSL_WRITING_PAUSED) == Some(false) {
        if let Some(written) = engine.write_all(pieces) {
            let (ciphertext, index, count) = written?;
            if index == pieces.len() {
                // Nothing else was to be sent.
                let size = if send(native, &ciphertext)? { 0 } else { engine.outgoing_size()? };
                return control_app_writing_of(native, size);
            }
            engine.put_back(&ciphertext)?;
            keep(native, pieces, index, count)?;
            return native.call(&DO_WRITE);
        }
    }
    for (index, piece) in pieces.iter().enumerate() {
        let (count, raised) = engine.write(piece);
        if count < piece.len() {
            let raised = raised.map(error::fetch);
            keep(native, pieces, index, count)?;
            return match raised {
                // The method that says why.
                None => native.call(&DO_WRITE),
                Some(again) if is_again(&again) => process_outgoing(native, &engine),
                Some(exception) => Err(error::restore(exception)),
            };
        }
    }
    process_outgoing(native, &engine)
}

/// What could not be encrypted waits where asyncio has it: from that byte of that piece on.
#[cold]
fn keep(native: &Native, pieces: &[Held], index: usize, count: usize) -> Res<()> {
    let backlog = native.get(&WRITE_BACKLOG).and_then(deque::downcast);
    let Some(backlog) = backlog else { return Ok(()) };
    let mut size = 0;
    for (skipped, piece) in pieces[index..].iter().enumerate() {
        let begun = if skipped == 0 { count } else { 0 };
        let rest = if begun == 0 { piece.object().own() } else { bytes::view_from(piece.object(), begun)? };
        deque::append(&backlog, &rest)?;
        size += piece.len() - begun;
    }
    let before = native.size(&WRITE_BUFFER_SIZE).unwrap_or(0);
    native.set(&WRITE_BUFFER_SIZE, &*containers::int(i64::try_from(before + size).unwrap_or(i64::MAX))?)
}

/// Does anything wait to be encrypted?
pub(super) fn write_backlog(native: &Native) -> Res<bool> {
    native.get(&WRITE_BACKLOG).map_or(Ok(false), |backlog| call::is_true(&backlog))
}

/// `_process_outgoing()`
pub(super) fn process_outgoing(native: &Native, engine: &Engine) -> Res<()> {
    match native.flag(&SSL_WRITING_PAUSED) {
        None => return native.call(&PROCESS_OUTGOING),
        Some(false) => match engine.outgoing_size()? {
            0 => return control_app_writing_of(native, 0),
            _ => drop(send(native, &*engine.take_outgoing()?)?),
        },
        Some(true) => {}
    }
    control_app_writing(native, engine)
}

/// What has come of handing ciphertext to a transport of ours.
pub(in crate::net) enum Handed {
    /// It is left to the end of the step: nothing else has run.
    Left,
    Done,
    /// Its method is to be called.
    NotHere,
}

/// `transport.write(ciphertext)`, of one of ours.
pub(in crate::net) type HandOn = fn(transport: &Object, ciphertext: &Object) -> Res<Handed>;

static HAND_ON: Attached<Cell<Option<HandOn>>> = Attached::new(Cell::new(None));

/// Transports are beneath this, and say how they are written to. Called once, when their type is made.
pub(in crate::net) fn register(hand_on: HandOn) {
    HAND_ON.set(Some(hand_on));
}

/// `self._transport.write(ciphertext)`. Is it certain that nothing else has run?
#[inline]
fn send(native: &Native, ciphertext: &Object) -> Res<bool> {
    let transport = native.get(&TRANSPORT).unwrap_or_else(|| none().own());
    match HAND_ON.get().map_or(Ok(Handed::NotHere), |hand_on| hand_on(&transport, ciphertext))? {
        Handed::Left => Ok(true),
        Handed::Done => Ok(false),
        Handed::NotHere => call::call_method(&WRITE, &[&*transport, ciphertext], None).map(|_| false),
    }
}

/// `_control_app_writing()`
fn control_app_writing(native: &Native, engine: &Engine) -> Res<()> {
    control_app_writing_of(native, engine.outgoing_size()?)
}

/// The same with so much ciphertext that is to be sent.
fn control_app_writing_of(native: &Native, ciphertext: usize) -> Res<()> {
    let look = native.look();
    let limits = (look.flag(&APP_WRITING_PAUSED), look.size(&OUTGOING_HIGH_WATER), look.size(&OUTGOING_LOW_WATER));
    if let ((Some(is_paused), Some(high), Some(low)), Some(waiting)) = (limits, look.size(&WRITE_BUFFER_SIZE)) {
        let size = ciphertext + waiting;
        let pauses_or_resumes = if is_paused { size <= low } else { size >= high };
        if !pauses_or_resumes {
            return Ok(());
        }
    }
    native.call(&CONTROL_APP_WRITING)
}
