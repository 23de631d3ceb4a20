//! Making a transport, as asyncio's constructor does it: the protocol is told, then reading begins, then whoever waits
//! is told, each by `call_soon`.

use crate::asyncio::SET_RESULT_UNLESS_CANCELLED;
use crate::event_loop::{LoopObject, plain};
use crate::job::{Entry, Job, context_keyword};
use crate::names::{
    ADD_READER, ATTACH, CALL_SOON, CONNECTION_MADE, GETPEERNAME, GETSOCKNAME, PEERNAME, READ_READY, SOCKET, SOCKNAME,
    TRANSPORTS,
};
use crate::replaced::transports_as_made;
use crate::sched;
use crate::sys::error::{Builtin, raise, raised_is};
use crate::sys::lazy::Lazy;
use crate::sys::object::{boolean, none};
use crate::sys::os_error::raise_os_error;
use crate::sys::sockets::{self, Outcome};
use crate::sys::{Layout, Object, Owned, Res, call, containers, life};

use super::super::base::{self, Transport};
use super::closing::HABITS;
use super::object::{TYPE, TransportObject};
use super::{methods, reading};

static TRANSPORT_SOCKET: Lazy = Lazy::new("asyncio.trsock", "TransportSocket");

/// The water marks of a new transport, in bytes.
const HIGH_WATER: i64 = 64 * 1024;
const LOW_WATER: i64 = 16 * 1024;

/// `protocol.connection_made(transport)`; the target is the bound method.
static CONNECTED: Job = Job {
    run: |method, transport| call::call1(method, transport.unwrap_or(none())).map(drop),
    callback: |method, transport| Ok((method.own(), transport.map(Layout::own))),
    stop: None,
    takes_several: false,
    needs_context: true,
};

/// `transport._add_reader(fd, transport._read_ready)`
static BEGIN: Job = Job {
    run: |transport, _| reading::begin(TYPE.expect(transport)),
    callback: |transport, _| {
        let fd = containers::int(i64::from(TYPE.expect(transport).fd.get()))?;
        let arguments = containers::tuple(&[&*fd, &*call::getattr(transport, &READ_READY)?])?;
        Ok((call::getattr(transport, &ADD_READER)?, Some(arguments)))
    },
    stop: None,
    takes_several: true,
    needs_context: true,
};

/// `_open_transport(loop, sock, protocol, waiter, extra, server, context)`: a native transport; `None` where asyncio's own
/// is wanted.
pub(super) fn open(_module: &Object, arguments: &[&Object]) -> Res<Owned> {
    let &[event_loop, sock, protocol, waiter, extra, server, context] = arguments else {
        return Err(raise(Builtin::TypeError.class(), c"seven arguments were expected"));
    };
    let (Some(core), Some(class)) = (plain(event_loop).map(Layout::own), TransportObject::instances().get()) else {
        return Ok(none().own());
    };
    let is_usual = transports_as_made() && core.watches_natively() && !core.debug_is_on();
    let fd = sockets::descriptor(sock).filter(|&fd| fd >= 0 && is_usual && sockets::does_not_block(sock));
    let Some(fd) = fd else { return Ok(none().own()) };
    let transport: Owned<TransportObject> = life::make_of(class)?;
    let extra = if extra.is_none() { containers::new_dict()? } else { extra.own() };
    transport.extra.set(extra.clone());
    transport.event_loop.set(event_loop.own());
    transport.protocol_paused.set(boolean(false).own());
    transport.high_water.set(containers::int(HIGH_WATER)?);
    transport.low_water.set(containers::int(LOW_WATER)?);
    drop(transport.context.replace((!context.is_none()).then(|| context.own())));
    tell_names(sock, &extra)?;
    transport.sock.set(sock.own());
    transport.fd.set(fd);
    methods::set_protocol(&transport, protocol)?;
    if !server.is_none() {
        transport.server.set(server.own());
        let arguments = [server, transport.as_object()];
        let count = if HABITS.get().name_themselves { 2 } else { 1 };
        call::call_method(&ATTACH, &arguments[..count], None)?;
    }
    let all = call::getattr(event_loop, &TRANSPORTS)?;
    containers::set_item(&all, &*containers::int(i64::from(fd))?, transport.as_object())?;
    if let Outcome::Failed(errno) = sockets::set_no_delay(sock) {
        return Err(raise_os_error(errno));
    }
    begin(&transport, &core, waiter)?;
    Ok(transport.into_object())
}

/// `extra["socket"]`, `["sockname"]`, and `["peername"]` unless it is there.
fn tell_names(sock: &Object, extra: &Object) -> Res<()> {
    containers::set_item(extra, SOCKET.object(), &*call::call1(TRANSPORT_SOCKET.get()?, sock)?)?;
    containers::set_item(extra, SOCKNAME.object(), &*name(sock, &GETSOCKNAME)?)?;
    if containers::contains(extra, PEERNAME.object())? {
        return Ok(());
    }
    containers::set_item(extra, PEERNAME.object(), &*name(sock, &GETPEERNAME)?)
}

/// `sock.getsockname()` and its like; `None` if the system has none to tell.
fn name(sock: &Object, method: &crate::names::Name) -> Res<Owned> {
    match call::call_method(method, &[sock], None) {
        Err(_) if raised_is(Builtin::OSError.class()) => {
            crate::sys::raised::clear();
            Ok(none().own())
        }
        named => named,
    }
}

fn begin(transport: &TransportObject, core: &LoopObject, waiter: &Object) -> Res<()> {
    let event_loop = core.as_object();
    let made = call::getattr(&transport.protocol.get_or_none(), &CONNECTION_MADE)?;
    let argument = Some(transport.as_object().own());
    let context = base::context(transport)?;
    sched::call_soon(event_loop, Entry { job: &CONNECTED, target: made, argument, context })?;
    let (target, context) = (transport.as_object().own(), base::context(transport)?);
    sched::call_soon(event_loop, Entry { job: &BEGIN, target, argument: None, context })?;
    if waiter.is_none() {
        return Ok(());
    }
    let set_result = SET_RESULT_UNLESS_CANCELLED.get()?;
    match transport.context.get() {
        Some(given) => {
            let arguments = [event_loop, set_result, waiter, none(), &*given];
            call::call_method(&CALL_SOON, &arguments, Some(context_keyword()?)).map(drop)
        }
        None => call::call_method(&CALL_SOON, &[event_loop, set_result, waiter, none()], None).map(drop),
    }
}
