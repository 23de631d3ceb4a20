//! What `_tls.py` has told: asyncio's class, its states, who makes a transport, and who knows what was replaced.

use std::cell::Cell;
use std::ffi::CString;

use crate::names::PRIVATE_APP_TRANSPORT;
use crate::replaced;
use crate::sys::attached::Attached;
use crate::sys::error::{self, Builtin, raise};
use crate::sys::openssl::{self, Objects};
use crate::sys::{Field, Layout, Object, Owned, Res, call, containers, typeobj};

use super::object::{TYPE, TlsObject};

pub(super) struct Known {
    /// `asyncio.sslproto.SSLProtocol`
    ssl_protocol: Field,
    /// `link(ssl_protocol)`, which makes a transport, or returns `None`.
    link: Field,
    /// The members of `SSLProtocolState`.
    pub(super) shaking_hands: Field,
    pub(super) wrapped: Field,
    pub(super) flushing: Field,
    pub(super) shutdown: Field,
    /// Those of `AppProtocolState` before, and after, `connection_made()`.
    pub(super) app_init: Field,
    pub(super) app_made: Field,
    /// Timeouts call a bound method; with earlier patch releases a function without a name.
    pub(super) binds_timeouts: Cell<bool>,
    /// `ssl.SSLError`
    pub(super) ssl_error: Field,
    /// `asyncio.sslproto.SSLAgainErrors`, as it is made: a tuple of classes.
    pub(super) again: Field,
}

pub(super) static KNOWN: Attached<Known> = Attached::new(Known {
    ssl_protocol: Field::unset(),
    link: Field::unset(),
    shaking_hands: Field::unset(),
    wrapped: Field::unset(),
    flushing: Field::unset(),
    shutdown: Field::unset(),
    app_init: Field::unset(),
    app_made: Field::unset(),
    binds_timeouts: Cell::new(false),
    ssl_error: Field::unset(),
    again: Field::unset(),
});

/// `_ask_about_tls(about_tls, link, ssl_protocol, states, binds_timeouts, errors, *watched)`
pub(super) fn ask(_module: &Object, arguments: &[&Object]) -> Res<()> {
    let [about_tls, link, ssl_protocol, states, binds_timeouts, errors, watched @ ..] = arguments else {
        return Err(raise(Builtin::TypeError.class(), c"six arguments were expected"));
    };
    let known = &*KNOWN;
    let of_protocol = [&known.shaking_hands, &known.wrapped, &known.flushing, &known.shutdown];
    for (index, field) in of_protocol.into_iter().chain([&known.app_init, &known.app_made]).enumerate() {
        field.set(containers::tuple_item(states, index)?);
    }
    known.binds_timeouts.set(call::is_true(binds_timeouts)?);
    known.again.set(containers::tuple_item(errors, 0)?);
    known.ssl_error.set(containers::tuple_item(errors, 1)?);
    KNOWN.link.set(link.own());
    KNOWN.ssl_protocol.set(ssl_protocol.own());
    replaced::ask_about_tls(about_tls, watched)
}

/// `_know_openssl(path, socket, context, incoming, outgoing)`
pub(super) fn know_openssl(_module: &Object, arguments: &[&Object]) -> Res<bool> {
    let &[path, socket, context, incoming, outgoing] = arguments else {
        return Err(raise(Builtin::TypeError.class(), c"five arguments were expected"));
    };
    let Ok(path) = CString::new(containers::text_of(path)) else { return Ok(false) };
    Ok(openssl::know(&path, Objects { socket, context, incoming, outgoing }))
}

/// Is it exactly asyncio's `SSLProtocol`?
#[inline]
pub(in crate::net) fn is_ssl_protocol(protocol: &Object) -> bool {
    KNOWN.ssl_protocol.holds(protocol.class())
}

/// Puts a transport of ours in the place of the one that an `SSLProtocol` has made for the program, if nobody has that
/// one yet. `None` if asyncio's own Python code is to run; nothing is changed then.
#[cold]
pub(in crate::net) fn link(ssl_protocol: &Object) -> Res<Option<Owned<TlsObject>>> {
    let (Some(dict), Some(link)) = (typeobj::instance_dict(ssl_protocol), KNOWN.link.get()) else { return Ok(None) };
    let Some(present) = containers::dict_get(&dict, PRIVATE_APP_TRANSPORT.object())? else { return Ok(None) };
    // The protocol's reference, and this one.
    let is_sole = typeobj::reference_count(&present) == 2;
    let made = match TYPE.downcast(&present) {
        Some(linked) if linked.ssl_protocol.holds(ssl_protocol) => return Ok(Some(linked.own())),
        _ if !is_sole || !replaced::tls_as_made() => return Ok(None),
        _ => call::call1(&link, ssl_protocol)?,
    };
    Ok(TYPE.downcast(&made).map(Layout::own))
}

/// Is it one of `SSLAgainErrors`?
pub(super) fn is_again(exception: &Object) -> bool {
    KNOWN.again.get().is_some_and(|classes| error::matches(exception, &classes))
}
