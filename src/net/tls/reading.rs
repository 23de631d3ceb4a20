//! From the socket to the program's protocol: `get_buffer`, `buffer_updated` and `_do_read`, in one.

use std::ffi::c_int;

use crate::event_loop::LoopObject;
use crate::job::{Entry, Job};
use crate::names::{
    APP_PROTOCOL, APP_PROTOCOL_BUFFER_UPDATED, APP_PROTOCOL_GET_BUFFER, APP_PROTOCOL_IS_BUFFER, APP_READING_PAUSED,
    BUFFER_UPDATED, CALL_EOF_RECEIVED, CONTROL_SSL_READING, DATA_RECEIVED, DO_FLUSH, DO_READ, DO_SHUTDOWN, DO_WRITE,
    INCOMING_HIGH_WATER, INCOMING_LOW_WATER, PRIVATE_LOOP, READ_AGAIN, SSL_READING_PAUSED, START_SHUTDOWN, STATE,
};
use crate::sched;
use crate::sys::bytes::Buffer;
use crate::sys::object::{boolean, none};
use crate::sys::openssl::End;
use crate::sys::sockets::{self, Outcome, Received};
use crate::sys::{Layout, Object, Owned, Res, call, containers, context};

use super::engine::{Engine, Plaintext, fed};
use super::known::KNOWN;
use super::object::{TYPE, TlsObject};
use super::protocol::{Native, native};
use super::writing::{process_outgoing, write_backlog};
use super::{handshake, shutdown};

/// `resume` of `_resume_reading`. The argument is the `SSLProtocol`, which the transport may forget meanwhile.
static RESUME: Job = Job {
    run: |transport, protocol| resume_now(TYPE.expect(transport), protocol.unwrap_or(none())),
    callback: |transport, protocol| Ok((call::getattr(transport, &READ_AGAIN)?, protocol.map(Layout::own))),
    stop: None,
    takes_several: false,
    needs_context: true,
};

/// `ssl_protocol._do_read()`, where there may be more than the program's buffer could take.
static GO_ON: Job = Job {
    run: |transport, protocol| read_now(TYPE.expect(transport), protocol.unwrap_or(none())),
    callback: |_, protocol| Ok((call::getattr(protocol.unwrap_or(none()), &DO_READ)?, None)),
    stop: None,
    takes_several: false,
    needs_context: true,
};

/// What the library has made of what has come, if it was asked at once.
type Early = Option<Res<(Option<Owned>, End)>>;

/// Receives what has come to the socket, as much at once as asyncio does, and has the engine take it. What it makes of
/// that is for [`received`]: where the program gets it, it is decrypted where it lies.
pub(in crate::net) fn receive(native: &Native, core: &LoopObject, fd: c_int) -> Res<(Outcome, Early)> {
    let engine = Engine::of(native.transport);
    if let Some(session) = engine.session() {
        if is_for_data_received(native) && session.incoming_size() == 0 {
            return core.read_detached(|scratch| {
                let outcome = sockets::receive_raw(fd, scratch);
                match outcome {
                    Outcome::Done(count @ 1..) => (outcome, Some(session.read_all_of(&scratch[..count]))),
                    _ => (outcome, None),
                }
            });
        }
        let (outcome, is_taken) = core.read_with(|scratch| {
            let outcome = sockets::receive_raw(fd, scratch);
            let Outcome::Done(count) = outcome else { return (outcome, true) };
            (outcome, session.feed(&scratch[..count]))
        })?;
        return fed(is_taken).map(|()| (outcome, None));
    }
    match core.read_with(|scratch| sockets::receive_likely(fd, 0, scratch))?? {
        Received::Bytes(ciphertext, count) => engine.feed(&ciphertext).map(|()| (Outcome::Done(count), None)),
        Received::NotNow => Ok((Outcome::NotNow, None)),
        Received::Failed(errno) => Ok((Outcome::Failed(errno), None)),
    }
}

/// Would `_do_read()` hand what comes to `data_received`?
fn is_for_data_received(native: &Native) -> bool {
    let look = native.look();
    look.is(&STATE, &KNOWN.wrapped)
        && look.flag(&APP_READING_PAUSED) == Some(false)
        && look.flag(&APP_PROTOCOL_IS_BUFFER) == Some(false)
}

/// What follows in `buffer_updated`.
pub(in crate::net) fn received(native: &Native, early: Early) -> Res<()> {
    if early.is_some() || native.is_wrapped() {
        return do_read(native, early);
    }
    if native.is(&STATE, &KNOWN.shaking_hands) {
        return handshake::go_on(native);
    }
    if native.is(&STATE, &KNOWN.flushing) {
        return shutdown::flush(native);
    }
    if native.is(&STATE, &KNOWN.shutdown) {
        return shutdown::shut_down(native);
    }
    // With nothing to add to what has come.
    let nothing = containers::int(0)?;
    call::call_method(&BUFFER_UPDATED, &[&*native.protocol, &*nothing], None).map(drop)
}

/// `_do_read()`, while data goes both ways, or what has come is still read.
pub(super) fn do_read(native: &Native, early: Early) -> Res<()> {
    read(native, early).or_else(|raised| native.fail(raised))
}

fn read(native: &Native, early: Early) -> Res<()> {
    let engine = Engine::of(native.transport);
    let is_last = if let Some(read) = early {
        hand_over(native, engine.told(read)?)?
    } else {
        match (native.flag(&APP_READING_PAUSED), native.flag(&APP_PROTOCOL_IS_BUFFER)) {
            (Some(true), Some(_)) => return control_ssl_reading(native, &engine),
            (Some(false), Some(true)) => read_into_buffer(native, &engine)?,
            (Some(false), Some(false)) => hand_over(native, engine.read_all()?)?,
            _ => return native.call(&DO_READ),
        }
    };
    if is_last {
        native.call(&CALL_EOF_RECEIVED)?;
        native.call(&START_SHUTDOWN)?;
    }
    match native.backlog_size() {
        Some(0) => process_outgoing(native, &engine)?,
        _ if write_backlog(native)? => native.call(&DO_WRITE)?,
        _ => process_outgoing(native, &engine)?,
    }
    control_ssl_reading(native, &engine)
}

/// `data_received(data)`; was it the last?
fn hand_over(native: &Native, plaintext: Plaintext) -> Res<bool> {
    if let Some(data) = plaintext.data {
        let protocol = native.get(&APP_PROTOCOL).unwrap_or_else(|| none().own());
        call::call_method(&DATA_RECEIVED, &[&*protocol, &*data], None)?;
    }
    Ok(plaintext.is_last)
}

/// `get_buffer(size)`, and `buffer_updated(count)`; was it the last?
///
/// What has come is in the `MemoryBIO` meanwhile, though it could be decrypted where it was received: `get_buffer` is
/// told how much it is, and may look there (`get_read_buffer_size()`), or read it by itself. From there on it goes into
/// the program's buffer directly.
fn read_into_buffer(native: &Native, engine: &Engine) -> Res<bool> {
    let get_buffer = native.get(&APP_PROTOCOL_GET_BUFFER).unwrap_or_else(|| none().own());
    let size = containers::int(i64::try_from(engine.incoming_size()?).unwrap_or(i64::MAX))?;
    let buffer = call::call1(&get_buffer, &size)?;
    let wanted = containers::length(&buffer)?;
    let memory = Buffer::writable(&buffer).ok().filter(|memory| memory.len() == wanted && wanted > 0);
    let (count, end) = if let Some(memory) = memory {
        engine.read_into(&buffer, memory)?
    } else {
        crate::sys::raised::clear();
        engine.read_once_into(&buffer, wanted)?
    };
    drop(buffer);
    if end == End::Full {
        go_on_soon(native)?;
    }
    if count > 0 {
        let updated = native.get(&APP_PROTOCOL_BUFFER_UPDATED).unwrap_or_else(|| none().own());
        call::call1(&updated, &*containers::int(i64::try_from(count).unwrap_or(i64::MAX))?)?;
    }
    Ok(end == End::Closed)
}

fn go_on_soon(native: &Native) -> Res<()> {
    soon(native, &GO_ON)
}

/// `self._loop.call_soon(...)`
fn soon(native: &Native, job: &'static Job) -> Res<()> {
    let event_loop = native.get(&PRIVATE_LOOP).unwrap_or_else(|| none().own());
    let (target, argument) = (native.transport.as_object().own(), Some(native.protocol.clone()));
    sched::call_soon(&event_loop, Entry { job, target, argument, context: context::copy_current()? })
}

/// `_do_read()`, of a protocol that may have been changed.
pub(super) fn read_now(transport: &TlsObject, protocol: &Object) -> Res<()> {
    match native(transport) {
        Some(native) if native.is_wrapped() => do_read(&native, None),
        _ => call::call_method(&DO_READ, &[protocol], None).map(drop),
    }
}

/// `_control_ssl_reading()`
fn control_ssl_reading(native: &Native, engine: &Engine) -> Res<()> {
    let look = native.look();
    let limits = (look.flag(&SSL_READING_PAUSED), look.size(&INCOMING_HIGH_WATER), look.size(&INCOMING_LOW_WATER));
    if let (Some(is_paused), Some(high), Some(low)) = limits {
        let size = engine.incoming_size()?;
        let pauses_or_resumes = if is_paused { size <= low } else { size >= high };
        if !pauses_or_resumes {
            return Ok(());
        }
    }
    native.call(&CONTROL_SSL_READING)
}

/// `pause_reading()`. False if it was not done.
pub(super) fn pause(transport: &TlsObject) -> Res<bool> {
    let Some(native) = native(transport) else { return Ok(false) };
    native.set(&APP_READING_PAUSED, boolean(true))?;
    Ok(true)
}

/// `resume_reading()`. False if it was not done.
pub(super) fn resume(transport: &TlsObject) -> Res<bool> {
    let Some(native) = native(transport) else { return Ok(false) };
    match native.flag(&APP_READING_PAUSED) {
        None => return Ok(false),
        Some(false) => {}
        Some(true) => {
            native.set(&APP_READING_PAUSED, boolean(false))?;
            soon(&native, &RESUME)?;
        }
    }
    Ok(true)
}

/// What `resume_reading()` leaves to the loop.
pub(super) fn resume_now(transport: &TlsObject, protocol: &Object) -> Res<()> {
    if let Some(native) = native(transport).filter(Native::is_wrapped) {
        return do_read(&native, None);
    }
    let state = call::getattr(protocol, &STATE)?;
    let known = &*KNOWN;
    let method = [(&known.wrapped, &DO_READ), (&known.flushing, &DO_FLUSH), (&known.shutdown, &DO_SHUTDOWN)]
        .into_iter()
        .find_map(|(field, method)| field.holds(&*state).then_some(method));
    method.map_or(Ok(()), |method| call::call_method(method, &[protocol], None).map(drop))
}
