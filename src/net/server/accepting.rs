//! Accepting: as many connections for each event as asyncio accepts.
//!
//! What making a connection's task runs is the program's (the task factory, audit hooks, the collector); so the socket is looked
//! at again before each.

use crate::event_loop::{Direction, LoopObject, plain};
use crate::names::{ACCEPT_CONNECTION_2, ACCEPT_FAILED, COPY, CREATE_TASK, GETPEERNAME, PEERNAME};
use crate::replaced::transports_as_made;
use crate::sys::addresses::Source;
use crate::sys::error::fetch;
use crate::sys::object::none;
use crate::sys::os_error::raise_os_error;
use crate::sys::socket_objects::{Accepted, accept};
use crate::sys::{Layout, Object, Owned, Res, call, containers};
use crate::versions;

use super::super::sock::usable;
use super::acceptor::AcceptorObject;

/// Whoever waits is accepted, up to a number.
pub(super) fn accept_all(acceptor: &AcceptorObject) -> Res<()> {
    let (Some(event_loop), Some(sock), Some(arguments)) =
        (acceptor.event_loop.get(), acceptor.sock.get(), acceptor.arguments.get())
    else {
        return Ok(());
    };
    if !event_loop.is_waiting(acceptor.fd.get(), Direction::Read, acceptor.as_object()) {
        return Ok(()); // the server was closed when this was in the ready queue
    }
    if !is_as_made(&event_loop, &sock) {
        return call::call_tuple(&acceptor.method.get_or_none(), &arguments).map(drop);
    }
    for _ in 0..acceptor.most.get() {
        match accept(&sock)? {
            Accepted::Connection(connection, peer) => serve(&event_loop, &arguments, &connection, &peer)?,
            Accepted::Failed(libc::ECONNABORTED) if acceptor.goes_on.get() => {}
            Accepted::NotNow | Accepted::Failed(libc::ECONNABORTED) => return Ok(()),
            Accepted::Failed(errno) => failed(&event_loop, &arguments, errno)?,
        }
    }
    Ok(())
}

/// Is nothing replaced that native code passes over? A socket that was closed behind the server's back says itself what is
/// wrong.
fn is_as_made(event_loop: &LoopObject, sock: &Object) -> bool {
    plain(event_loop.as_object()).is_some_and(|core| !core.debug_is_on())
        && transports_as_made()
        && usable(sock).is_some()
}

/// `loop.create_task(loop._accept_connection2(protocol_factory, connection, extra, …))`
fn serve(event_loop: &LoopObject, arguments: &Object, connection: &Object, peer: &Source) -> Res<()> {
    let extra = containers::new_dict()?;
    containers::dict_set(&extra, PEERNAME.object(), &*address(connection, peer)?)?;
    let item = |index| containers::tuple_item(arguments, index);
    let (factory, ssl, server, handshake, shutdown) = (item(0)?, item(2)?, item(3)?, item(5)?, item(6)?);
    let event_loop = event_loop.as_object();
    let mut given: [&Object; 9] =
        [event_loop, &factory, connection, &extra, &ssl, &server, &handshake, &shutdown, none()];
    if !versions::TRANSPORTS_HAVE_CONTEXT {
        let coroutine = call::call_method(&ACCEPT_CONNECTION_2, &given[..8], None)?;
        return call::call_method(&CREATE_TASK, &[event_loop, &*coroutine], None).map(drop);
    }
    let context = item(7)?;
    let context = if context.is_none() { context } else { call::call_method(&COPY, &[&*context], None)? };
    given[8] = &context;
    let keyword = crate::job::context_keyword()?;
    let coroutine = call::call_method(&ACCEPT_CONNECTION_2, &given, Some(keyword))?;
    call::call_method(&CREATE_TASK, &[event_loop, &*coroutine, &*context], Some(keyword)).map(drop)
}

/// The peer's address, as Python's sockets tell it.
fn address(connection: &Object, peer: &Source) -> Res<Owned> {
    match peer.as_internet() {
        Some(address) => address.to_tuple(),
        None if peer.is_unix() => peer.of_unix(),
        None => call::call_method(&GETPEERNAME, &[connection], None),
    }
}

/// The system has no descriptor or no memory for a connection: asyncio reports that, and tries again later. Other errors are raised.
#[cold]
fn failed(event_loop: &LoopObject, arguments: &Object, errno: i32) -> Res<()> {
    let raised = raise_os_error(errno);
    if !matches!(errno, libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) {
        return Err(raised);
    }
    let exception = fetch(raised);
    call::call_method(&ACCEPT_FAILED, &[event_loop.as_object(), &exception, arguments], None).map(drop)
}
