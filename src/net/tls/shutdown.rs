//! The end of a connection: `close`, `_do_flush` and `_do_shutdown`.
//!
//! That nothing will be sent any more is said by the library where nothing has come yet that could be the answer: what
//! `_ssl`'s method would raise then is known. All else is that method's: what it raises it says of a record that it has
//! taken, and so once. The end of a shutdown, which differs between versions, and errors are asyncio's.

use crate::names::{
    CALL_EOF_RECEIVED, CALL_LATER, CHECK_SHUTDOWN_TIMEOUT, DO_SHUTDOWN, EOF_RECEIVED_FLAG, ON_SHUTDOWN_COMPLETE,
    PRIVATE_LOOP, SET_STATE, SHUTDOWN, SHUTDOWN_TIMEOUT_HANDLE, SSL_SHUTDOWN_TIMEOUT, STATE,
};
use crate::sys::object::none;
use crate::sys::openssl::Session;
use crate::sys::{Layout, Res, call};

use super::engine::Engine;
use super::handshake::unless_again;
use super::known::KNOWN;
use super::object::TlsObject;
use super::protocol::{Native, native};
use super::reading::do_read;
use super::writing::process_outgoing;

/// `close()`. False if asyncio's own function is to do it.
pub(super) fn close(transport: &TlsObject) -> Res<bool> {
    let is_first = !transport.closed.get() && KNOWN.binds_timeouts.get();
    let usual = native(transport).filter(|native| is_first && native.is_wrapped() && native.has_its_transport());
    let Some(native) = usual else { return Ok(false) };
    transport.closed.set(true);
    native.set(&STATE, &KNOWN.flushing.get_or_none())?;
    let attribute = |name| native.get(name).unwrap_or_else(|| none().own());
    let (event_loop, timeout) = (attribute(&PRIVATE_LOOP), attribute(&SSL_SHUTDOWN_TIMEOUT));
    let check = call::getattr(&native.protocol, &CHECK_SHUTDOWN_TIMEOUT)?;
    let handle = call::call_method(&CALL_LATER, &[&*event_loop, &*timeout, &*check], None)?;
    native.set(&SHUTDOWN_TIMEOUT_HANDLE, &handle)?;
    flush(&native)?;
    Ok(true)
}

/// `_do_flush()`
pub(super) fn flush(before: &Native) -> Res<()> {
    do_read(before, None)?;
    // The program's protocol may have done anything.
    let Some(native) = native(before.transport).filter(|native| native.is(&STATE, &KNOWN.flushing)) else {
        call::call_method(&SET_STATE, &[&*before.protocol, &*KNOWN.shutdown.get_or_none()], None)?;
        return before.call(&DO_SHUTDOWN);
    };
    native.set(&STATE, &KNOWN.shutdown.get_or_none())?;
    shut_down(&native)
}

/// `_do_shutdown()`
pub(super) fn shut_down(native: &Native) -> Res<()> {
    let engine = Engine::of(native.transport);
    match native.flag(&EOF_RECEIVED_FLAG) {
        None => return native.call(&DO_SHUTDOWN),
        Some(true) => {}
        Some(false) if engine.session().is_some_and(Session::says_last) => return process_outgoing(native, &engine),
        Some(false) => {
            if let Err(raised) = unwrap(native) {
                return unless_again(native, raised, &ON_SHUTDOWN_COMPLETE);
            }
        }
    }
    process_outgoing(native, &engine)?;
    native.call(&CALL_EOF_RECEIVED)?;
    call::call_method(&ON_SHUTDOWN_COMPLETE, &[&*native.protocol, none()], None).map(drop)
}

/// `self._sslobj.unwrap()`
fn unwrap(native: &Native) -> Res<()> {
    call::call_method(&SHUTDOWN, &[&*native.transport.socket.get_or_none()], None).map(drop)
}
