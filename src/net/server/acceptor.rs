//! What waits for connections: a listening socket with the arguments of `loop._start_serving()`.

use std::cell::Cell;

use crate::event_loop::{Direction, LoopObject, plain};
use crate::job::{Entry, Job};
use crate::sys::life::{Life, object};
use crate::sys::slots::{Method, positional};
use crate::sys::typeobj::{StaticType, TypeBuilder};
use crate::sys::{Field, Layout, Object, Res, call, containers, context, socket_objects, sockets};
use crate::versions;

use pyo3::ffi;

use super::super::sock::usable;
use super::accepting;

object! {
    /// All is set once, by [`try_start_serving`].
    pub(super) struct AcceptorObject: TYPE {
        head: Object,
        pub(super) event_loop: Field<LoopObject>,
        /// The loop's `_accept_connection`, asyncio's own, and its arguments, a tuple.
        pub(super) method: Field,
        pub(super) arguments: Field,
        pub(super) sock: Field,
        pub(super) fd: Cell<i32>,
        /// For each event as many connections are accepted.
        pub(super) most: Cell<i32>,
        /// A connection that was aborted in the backlog does not end it.
        pub(super) goes_on: Cell<bool>,
    }
}

impl Life for AcceptorObject {}

static TYPE: StaticType<AcceptorObject> = StaticType::new();

/// `loop._accept_connection(*arguments)`
static ACCEPT: Job = Job {
    run: |acceptor, _| accepting::accept_all(TYPE.expect(acceptor)),
    callback: |acceptor, _| {
        let acceptor = TYPE.expect(acceptor);
        Ok((acceptor.method.get_or_none(), acceptor.arguments.get()))
    },
    stop: None,
    takes_several: true,
    needs_context: true,
};

/// How many arguments `_accept_connection` has, and where the socket and the backlog are among them.
const ARGUMENTS: usize = if versions::TRANSPORTS_HAVE_CONTEXT { 8 } else { 7 };
const SOCK: usize = 1;
const BACKLOG: usize = 4;

/// `_try_start_serving(method, one_more, goes_on, *arguments)`: begins to accept connections, as asyncio would by
/// `_accept_connection`, the method. For each event it accepts as many as the backlog says, or one more. False, and nothing is
/// done, where that method itself is to be called.
fn try_start_serving(core: &LoopObject, arguments: &[&Object]) -> Res<bool> {
    let [method, one_more, goes_on, arguments @ ..] = arguments else { return Ok(false) };
    if arguments.len() != ARGUMENTS {
        return Ok(false);
    }
    let (sock, backlog) = (arguments[SOCK], arguments[BACKLOG]);
    let is_usual = plain(core.as_object()).is_some() && core.just_queues() && core.watches_natively();
    let is_known =
        socket_objects::can_accept(sock) && sockets::does_not_block(sock) && containers::is_exact_int(backlog);
    let Some(fd) = usable(sock).filter(|_| is_usual && is_known) else { return Ok(false) };
    let acceptor = TYPE.allocate()?;
    acceptor.event_loop.fill(core.own());
    acceptor.method.fill((*method).own());
    acceptor.arguments.fill(containers::tuple(arguments)?);
    acceptor.sock.fill(sock.own());
    acceptor.fd.set(fd);
    let most = containers::int_clamped(backlog)?.saturating_add(i64::from(call::is_true(one_more)?));
    acceptor.most.set(i32::try_from(most.max(0)).unwrap_or(i32::MAX));
    acceptor.goes_on.set(call::is_true(goes_on)?);
    let entry =
        Entry { job: &ACCEPT, target: acceptor.into_object(), argument: None, context: context::copy_current()? };
    core.watch(fd, Direction::Read, entry).map(|()| true)
}

/// For the loop's type.
pub(crate) fn methods() -> [Method; 1] {
    [positional!(
        LoopObject,
        c"_try_start_serving",
        try_start_serving,
        c"_try_start_serving($self, method, one_more, goes_on, /, *arguments)\n--\n\n"
    )]
}

/// Makes the type. Called once, by the module's initialisation.
pub(crate) fn init(module: &Object) -> Res<()> {
    TypeBuilder::new(&TYPE, c"_asyncio.Acceptor", c"What waits for connections.")
        .flags(ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION)
        .life()
        .build(module, None)
}
