//! The handshake: `_do_handshake`, and what follows it when it is done, `_on_handshake_complete`.
//!
//! By either route the step itself is `_ssl`'s method. What the library has to say of a failure it says once, of what it
//! has taken by then, and only `_ssl` can make an exception of that; and a handshake calls Python code (for a name, for a
//! key, for its log) whose exceptions `_ssl` keeps for the end of its own method, and during which other threads run.
//! What is saved is all that asyncio does around it.
//!
//! The start, with its timeout, and every failure is asyncio's.

use crate::event_loop::plain;
use crate::names::{
    APP_PROTOCOL, APP_STATE, CANCEL, CIPHER, COMPRESSION, CONNECTION_MADE, CONTEXT, DO_HANDSHAKE_METHOD, EXTRA,
    GETPEERCERT, HANDSHAKE_TIMEOUT_HANDLE, KEYLOG_FILENAME, MSG_CALLBACK, Name, ON_HANDSHAKE_COMPLETE, PEERCERT,
    PRIVATE_LOOP, SSL_OBJECT, STATE, WAKEUP_WAITER,
};
use crate::sys::error::{fetch, handling, matches, restore};
use crate::sys::object::none;
use crate::sys::{Layout, Object, Owned, Raised, Res, call, containers, openssl};

use super::engine::Engine;
use super::known::{KNOWN, is_again};
use super::object::TlsObject;
use super::protocol::Native;
use super::reading::read_now;
use super::writing::process_outgoing;

/// `_do_handshake()`
pub(super) fn go_on(native: &Native) -> Res<()> {
    let socket = native.transport.socket.get_or_none();
    match call::call_method(&DO_HANDSHAKE_METHOD, &[&*socket], None) {
        Ok(_) => {
            look_at_context(native.transport, &socket);
            complete(native)
        }
        Err(raised) => unless_again(native, raised, &ON_HANDSHAKE_COMPLETE),
    }
}

/// A server's program has given the connection the context for its name: may that be used directly, too?
fn look_at_context(transport: &TlsObject, socket: &Object) {
    if transport.is_direct.get() && !openssl::has_context(socket, &transport.context) {
        match silent_context(socket) {
            Ok(context) => drop(context.map(|context| transport.context.set(context))),
            Err(raised) => drop(fetch(raised)),
        }
    }
}

/// The context, if it reports nothing to Python code; as `_tls.py` asks.
#[cold]
fn silent_context(socket: &Object) -> Res<Option<Owned>> {
    let context = call::getattr(socket, &CONTEXT)?;
    for name in [&MSG_CALLBACK, &KEYLOG_FILENAME] {
        if !call::getattr(&context, name)?.is_none() {
            return Ok(None);
        }
    }
    Ok(Some(context))
}

/// What asyncio does about what a method of `_ssl`'s has raised: it sends what there is, or has its own method see to
/// the error.
pub(super) fn unless_again(native: &Native, raised: Raised, method: &Name) -> Res<()> {
    let exception = fetch(raised);
    if is_again(&exception) {
        return process_outgoing(native, &Engine::of(native.transport));
    }
    if !KNOWN.ssl_error.get().is_some_and(|class| matches(&exception, &class)) {
        return Err(restore(exception));
    }
    handling(&exception, || call::call_method(method, &[&*native.protocol, &*exception], None).map(drop))
}

/// `_on_handshake_complete(None)`
fn complete(native: &Native) -> Res<()> {
    let Some(Told { extra, details }) = told(native) else {
        return call::call_method(&ON_HANDSHAKE_COMPLETE, &[&*native.protocol, none()], None).map(drop);
    };
    if let Some(handle) = native.get(&HANDSHAKE_TIMEOUT_HANDLE).filter(|handle| !handle.is_none()) {
        call::call_method(&CANCEL, &[&*handle], None)?;
        native.set(&HANDSHAKE_TIMEOUT_HANDLE, none())?;
    }
    native.set(&STATE, &KNOWN.wrapped.get_or_none())?;
    for (name, value) in &details {
        containers::dict_set(&extra, name.object(), value)?;
    }
    if native.is(&APP_STATE, &KNOWN.app_init) {
        native.set(&APP_STATE, &KNOWN.app_made.get_or_none())?;
        let protocol = native.get(&APP_PROTOCOL).unwrap_or_else(|| none().own());
        call::call_method(&CONNECTION_MADE, &[&*protocol, native.transport.as_object()], None)?;
    }
    native.call(&WAKEUP_WAITER)?;
    read_now(native.transport, &native.protocol)
}

/// What a transport tells of its connection once hands were shaken, and the dict for that.
struct Told {
    extra: Owned,
    details: [(&'static Name, Owned); 4],
}

/// `None` where asyncio's own is to do it: it writes a line into the log, say, or raises what is raised here.
fn told(native: &Native) -> Option<Told> {
    let event_loop = native.get(&PRIVATE_LOOP)?;
    let is_usual = plain(&event_loop).is_some_and(|core| !core.debug_is_on())
        && native.is(&STATE, &KNOWN.shaking_hands)
        && native.has_its_transport();
    let extra = native.get(&EXTRA).filter(|extra| is_usual && containers::is_exact_dict(extra))?;
    let socket = native.transport.socket.get()?;
    let ask = |method: &Name| {
        let answer = call::call_method(method, &[&*socket], None);
        answer.inspect_err(|_| crate::sys::raised::clear()).ok()
    };
    let (peercert, cipher, compression) = (ask(&GETPEERCERT)?, ask(&CIPHER)?, ask(&COMPRESSION)?);
    let ssl_object = native.transport.ssl_object.get()?;
    let details = [(&PEERCERT, peercert), (&CIPHER, cipher), (&COMPRESSION, compression), (&SSL_OBJECT, ssl_object)];
    Some(Told { extra, details })
}
