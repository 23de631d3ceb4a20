//! The transport of a connected stream socket, TCP's or Unix's.
//!
//! `SocketTransport` (in `python/rasyncio/_transports.py`) derives from this module's type and from asyncio's own
//! `_SelectorSocketTransport`. What happens for each piece of data is here: receiving it ([`reading`]), sending it
//! ([`writing`]), the end ([`closing`]). All the rest is asyncio's, and works on the same object, for its private
//! attributes are ours ([`attributes`], [`exposed`]). Each native method first asks whether asyncio's own would do just
//! that ([`native`]); else it calls that one.
//!
//! The descriptor belongs to the Python socket, which closes it. The transport looks it up there each time, and never
//! closes it by number.
//!
//! Any call of the protocol's may close, abort, pause or write to the transport, exchange the protocol, or run another
//! loop. So nothing of the transport is remembered across one.

mod attributes;
mod closing;
#[cfg(Py_3_12)]
pub(crate) mod direct;
mod exposed;
#[cfg(Py_3_12)]
pub(crate) mod feeding;
mod methods;
mod names;
mod native;
mod object;
mod opening;
mod reading;
mod writing;

use crate::replaced::ask_about_transports;
use crate::sys::error::{Builtin, raise};
use crate::sys::slots::{Method, one, positional};
use crate::sys::{Object, Res, call, containers, socket_objects, sockets};

use closing::{Forget, HABITS, Habits};
pub(crate) use opening::loop_methods;

/// `_know_sockets(socket, fd, family, type, proto)`: are sockets like this one, whose numbers these are, what we take
/// them for?
fn know_sockets(_module: &Object, arguments: &[&Object]) -> Res<bool> {
    let [socket, numbers @ ..] = arguments else { return Ok(false) };
    let mut known = [0; 4];
    for (place, number) in known.iter_mut().zip(numbers) {
        *place = i32::try_from(containers::int_clamped(number)?).unwrap_or(-1);
    }
    let are_known = sockets::know_wholly(socket, known)?;
    if are_known {
        socket_objects::know_class(socket.class());
    }
    Ok(are_known)
}

/// `_does_not_block(socket)`
fn does_not_block(_module: &Object, socket: &Object) -> bool {
    sockets::does_not_block(socket)
}

/// `_note_habits(name_themselves, closing_forgets_writer, loss_forgets_writer, loss_forgets_reader, check_descriptors)`
fn note_habits(_module: &Object, arguments: &[&Object]) -> Res<()> {
    let &[name_themselves, closing_forgets_writer, loss_forgets_writer, loss_forgets_reader, check_descriptors] =
        arguments
    else {
        return Err(raise(Builtin::TypeError.class(), c"five arguments were expected"));
    };
    let forget = if call::is_true(closing_forgets_writer)? {
        Forget::WriterWhenClosed
    } else if call::is_true(loss_forgets_reader)? {
        Forget::BothWhenLost
    } else if call::is_true(loss_forgets_writer)? {
        Forget::WriterWhenLost
    } else {
        Forget::Nothing
    };
    HABITS.set(Habits {
        name_themselves: call::is_true(name_themselves)?,
        forget,
        check_descriptors: call::is_true(check_descriptors)?,
    });
    Ok(())
}

/// What the module has of it, for `_transports.py`.
pub(crate) fn functions() -> [Method; 7] {
    [
        one!(
            Object,
            c"_socket_transport_core",
            methods::make_type,
            c"_socket_transport_core($module, flow_control, /)\n--\n\nMake the native half of a socket's transport."
        ),
        one!(
            Object,
            c"_adopt_transport_class",
            methods::adopt_class,
            c"_adopt_transport_class($module, cls, /)\n--\n\nGive the class the native methods as its own."
        ),
        positional!(
            Object,
            c"_know_sockets",
            know_sockets,
            c"_know_sockets($module, sock, fd, family, type, proto, /)\n--\n\nTell whether native code can look into such sockets."
        ),
        one!(
            Object,
            c"_does_not_block",
            does_not_block,
            c"_does_not_block($module, sock, /)\n--\n\nTell whether it is one that native code can look into, and does not block."
        ),
        positional!(
            Object,
            c"_open_transport",
            opening::open_or_none,
            c"_open_transport($module, loop, sock, protocol, waiter, extra, server, context, /)\n--\n\n\
              Make a native transport, or return None where asyncio's own is wanted."
        ),
        positional!(
            Object,
            c"_note_habits",
            note_habits,
            c"_note_habits($module, name_themselves, closing_forgets_writer, loss_forgets_writer, \
              loss_forgets_reader, check_descriptors, /)\n--\n\nSay what asyncio's own transports do."
        ),
        positional!(
            Object,
            c"_ask_about_transports",
            ask_about_transports,
            c"_ask_about_transports($module, about_transports, /, *watched)\n--\n\nSay who knows what was replaced."
        ),
    ]
}
