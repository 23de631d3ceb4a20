//! Making a transport, as asyncio's constructor does it: the protocol is told, then reading begins, then whoever waits
//! is told, each by `call_soon`.

use crate::asyncio::SET_RESULT_UNLESS_CANCELLED;
use crate::event_loop::{LoopObject, asyncios_own, plain};
use crate::job::{Entry, Job, context_keyword, shortcuts};
use crate::names::{
    ADD_READER, ATTACH, CALL_SOON, CONNECTION_MADE, CONTEXT, EXTRA_KEYWORD, MAKE_SOCKET_TRANSPORT, READ_READY, SERVER,
    WAITER,
};
use crate::replaced::transports_as_made;
use crate::sched;
use crate::sys::args::Arguments;
use crate::sys::error::{Builtin, raise};
use crate::sys::object::{boolean, none};
use crate::sys::os_error::raise_os_error;
use crate::sys::slots::{Method, variadic};
use crate::sys::sockets::{self, Outcome};
use crate::sys::{Layout, Object, Owned, Res, call, containers, life};
use crate::versions;

use super::super::base::{self, Transport};
use super::super::server::attach;
use super::closing::HABITS;
use super::object::{TYPE, TransportObject};
use super::{methods, names, reading};

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

/// What a transport is made with, as asyncio's constructor has it.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    sock: &'a Object,
    protocol: &'a Object,
    waiter: &'a Object,
    extra: &'a Object,
    server: &'a Object,
    context: &'a Object,
}

impl<'a> Wanted<'a> {
    /// The arguments of `loop._make_socket_transport()`; `None` if something is wrong with them.
    fn of(arguments: Arguments<'a>) -> Option<Wanted<'a>> {
        let (sock, protocol, waiter) = match arguments.positional {
            [sock, protocol] => (*sock, *protocol, None),
            [sock, protocol, waiter] => (*sock, *protocol, Some(*waiter)),
            _ => return None,
        };
        let mut named = [waiter, None, None, None];
        let parameters = [&WAITER, &EXTRA_KEYWORD, &SERVER, &CONTEXT];
        let known = if versions::TRANSPORTS_HAVE_CONTEXT { 4 } else { 3 };
        for (keyword, value) in arguments.keywords() {
            let place = &mut named[parameters[..known].iter().position(|name| name.is(keyword))?];
            if place.replace(value).is_some() {
                return None;
            }
        }
        let [waiter, extra, server, context] = named.map(|value| value.unwrap_or(none()));
        Some(Wanted { sock, protocol, waiter, extra, server, context })
    }
}

/// `_make_socket_transport(sock, protocol, waiter=None, *, extra=None, server=None)`
fn make_socket_transport(core: &LoopObject, arguments: Arguments<'_>) -> Res<Owned> {
    if let Some(wanted) = Wanted::of(arguments) {
        if let Some(transport) = open(core.as_object(), &wanted, HABITS.get().check_descriptors)? {
            return Ok(transport);
        }
    }
    asyncios_own(core, &MAKE_SOCKET_TRANSPORT, arguments)
}

/// For the loop's type.
pub(crate) fn loop_methods() -> [Method; 1] {
    [variadic!(
        LoopObject,
        c"_make_socket_transport",
        make_socket_transport,
        c"_make_socket_transport($self, sock, protocol, waiter=None, *, extra=None, server=None, **more)\n--\n\n"
    )]
}

/// `_open_transport(loop, sock, protocol, waiter, extra, server, context)`: a native transport; `None` where asyncio's own
/// is wanted.
pub(super) fn open_or_none(_module: &Object, arguments: &[&Object]) -> Res<Owned> {
    let &[event_loop, sock, protocol, waiter, extra, server, context] = arguments else {
        return Err(raise(Builtin::TypeError.class(), c"seven arguments were expected"));
    };
    let wanted = Wanted { sock, protocol, waiter, extra, server, context };
    Ok(open(event_loop, &wanted, false)?.unwrap_or_else(|| none().own()))
}

/// A native transport; `None` where asyncio's own is wanted. `checks` says whether it is an error that the descriptor has
/// a transport already.
fn open(event_loop: &Object, wanted: &Wanted<'_>, checks: bool) -> Res<Option<Owned>> {
    let &Wanted { sock, protocol, waiter, extra, server, context } = wanted;
    let (Some(core), Some(class)) = (plain(event_loop).map(Layout::own), TransportObject::instances().get()) else {
        return Ok(None);
    };
    let is_usual = transports_as_made() && core.watches_natively() && !core.debug_is_on();
    let fd = sockets::descriptor(sock).filter(|&fd| fd >= 0 && is_usual && sockets::does_not_block(sock));
    let Some(fd) = fd else { return Ok(None) };
    if checks {
        core.ensure_no_transport(fd, sock)?;
    }
    let transport: Owned<TransportObject> = life::make_of(class)?;
    transport.extra.set(if extra.is_none() { containers::new_dict()? } else { extra.own() });
    transport.event_loop.set(event_loop.own());
    transport.protocol_paused.set(boolean(false).own());
    transport.high_water.set(containers::int(HIGH_WATER)?);
    transport.low_water.set(containers::int(LOW_WATER)?);
    drop(transport.context.replace((!context.is_none()).then(|| context.own())));
    names::ask(&transport, sock, fd)?;
    transport.sock.set(sock.own());
    transport.fd.set(fd);
    methods::set_protocol(&transport, protocol)?;
    if !server.is_none() {
        transport.server.set(server.own());
        if HABITS.get().name_themselves {
            attach(server, transport.as_object())?;
        } else {
            call::call_method(&ATTACH, &[server], None)?;
        }
    }
    core.note_transport(fd, transport.as_object())?;
    if let Outcome::Failed(errno) = sockets::set_no_delay(sock) {
        return Err(raise_os_error(errno));
    }
    begin(&transport, &core, waiter)?;
    core.counts.connections_made.one();
    Ok(Some(transport.into_object()))
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
    if let Some(job) = shortcuts::job_of(set_result, &[waiter, none()]) {
        let (target, arguments) = (set_result.own(), Some(containers::tuple(&[waiter, none()])?));
        return sched::call_soon(
            event_loop,
            Entry { job, target, argument: arguments, context: base::context(transport)? },
        );
    }
    match transport.context.get() {
        Some(given) => {
            let arguments = [event_loop, set_result, waiter, none(), &*given];
            call::call_method(&CALL_SOON, &arguments, Some(context_keyword()?)).map(drop)
        }
        None => call::call_method(&CALL_SOON, &[event_loop, set_result, waiter, none()], None).map(drop),
    }
}
