//! Sending: at once; what the system does not take waits, as asyncio has it, for the descriptor to be writable.
//!
//! What waits is in `transport._buffer`, a deque of pairs of data and address, which anybody may look into.

use crate::event_loop::{Direction, LoopObject};
use crate::job::Job;
use crate::names::{
    ADD_WRITER, APPENDLEFT, CALL_CONNECTION_LOST, ERROR_RECEIVED, MAYBE_PAUSE_PROTOCOL, MAYBE_RESUME_PROTOCOL,
    PEERNAME, POPLEFT, SENDTO_READY,
};
use crate::sys::args::Arguments;
use crate::sys::audit::audit;
use crate::sys::bytes::{self, Buffer, Held};
use crate::sys::deque::{self, Deque};
use crate::sys::error::{Builtin, fetch, handling, matches, restore};
use crate::sys::object::none;
use crate::sys::os_error::raise_os_error;
use crate::sys::sockets::{self, Outcome};
use crate::sys::{Layout, Object, Owned, Raised, Res, call, containers, typeobj};
use crate::versions;

use super::super::base::{BAD_DESCRIPTOR, Transport, base, fail, start, stop, stopped};
use super::object::{DatagramObject, TYPE};

/// `transport._sendto_ready`, as the writer with that argument.
static WRITE: Job = Job {
    run: |transport, argument| {
        let transport = TYPE.expect(transport);
        if !transport.is_present(Direction::Write, argument) {
            return Ok(());
        }
        if send_waiting(transport)? {
            return Ok(());
        }
        base(transport, &SENDTO_READY, Arguments::of(&[])).map(drop)
    },
    callback: |transport, _| Ok((call::getattr(transport, &SENDTO_READY)?, None)),
    stop: Some(|transport, argument| {
        stopped::<DatagramObject>(transport, Direction::Write, argument);
        Ok(())
    }),
    takes_several: false,
    needs_context: true,
};

/// What has become of a datagram.
enum Tried {
    Sent,
    /// The system takes no more now.
    NotNow,
    /// An error was reported.
    Failed,
    /// Native code does not know how.
    NotHere,
}

/// `sendto(data, addr)`. False, and nothing is done, if asyncio's own function has to do it, or to say what is wrong.
pub(super) fn send_to(transport: &DatagramObject, data: &Object, to: &Object) -> Res<bool> {
    let Some(core) = transport.native() else { return Ok(false) };
    let Some(data) = held(data)? else { return Ok(false) };
    if data.len() == 0 && !versions::EMPTY_DATAGRAMS_SENT {
        return Ok(true);
    }
    let address = match transport.address.get() {
        Some(address) if call::is_true(&address)? => {
            if transport.conn_lost.get() != 0 || !(to.is_none() || to.is(&*address)) {
                return Ok(false);
            }
            address
        }
        _ => to.own(),
    };
    let Some(buffer) = transport.buffer.get().and_then(deque::downcast) else { return Ok(false) };
    if deque::len(&buffer) == 0 {
        match send(transport, &data, &address)? {
            Tried::Sent | Tried::Failed => return Ok(true),
            Tried::NotHere => return Ok(false),
            Tried::NotNow => wait_for_room(transport, &core)?,
        }
    }
    // What waits is not to change.
    let kept = match data {
        Held::Bytes(object) => object,
        Held::Lent(object, memory) => {
            let size = containers::length(&object)?;
            let copy = bytes::copied_from(&memory)?;
            drop(memory);
            return wait(transport, &buffer, &copy, size, &address).map(|()| true);
        }
    };
    let size = bytes::of_exact(&kept).map_or(0, <[u8]>::len);
    wait(transport, &buffer, &kept, size, &address).map(|()| true)
}

/// What can be sent as it is; of the rest asyncio's own function knows what to say.
fn held(data: &Object) -> Res<Option<Held>> {
    if bytes::of_exact(data).is_some() {
        return Ok(Some(Held::Bytes(data.own())));
    }
    if !bytes::is_bytearray(data) && !bytes::is_view(data) {
        return Ok(None);
    }
    let lent = containers::length(data).and_then(|_| Ok(Held::Lent(data.own(), Buffer::of(data)?)));
    lent.map(Some).or_else(|raised| {
        drop(fetch(raised));
        Ok(None)
    })
}

/// `loop._add_writer(fd, self._sendto_ready)`
#[cold]
fn wait_for_room(transport: &DatagramObject, core: &LoopObject) -> Res<()> {
    let own = typeobj::instance_dict(transport.as_object());
    if own.is_none_or(|names| containers::dict_get_named(&names, &SENDTO_READY).is_none()) {
        return start(transport, core, Direction::Write, &WRITE);
    }
    let fd = containers::int(i64::from(transport.fd.get()))?;
    let replaced = call::getattr(transport.as_object(), &SENDTO_READY)?;
    call::call_method(&ADD_WRITER, &[core.as_object(), &fd, &replaced], None).map(drop)
}

fn wait(transport: &DatagramObject, buffer: &Deque, data: &Object, size: usize, address: &Object) -> Res<()> {
    let pair = containers::tuple(&[data, address])?;
    deque::append(buffer, &pair)?;
    grow(transport, size, true)?;
    call::call_method(&MAYBE_PAUSE_PROTOCOL, &[transport.as_object()], None).map(drop)
}

/// `_buffer_size`, for a datagram of that length more, or less.
fn grow(transport: &DatagramObject, length: usize, more: bool) -> Res<()> {
    let length = i64::try_from(length + versions::DATAGRAM_HEADER).unwrap_or(i64::MAX);
    let before = containers::int_clamped(&transport.buffer_size.get_or_none())?;
    let size = if more { before.saturating_add(length) } else { before.saturating_sub(length) };
    transport.buffer_size.set(containers::int(size)?);
    Ok(())
}

/// To the peer if the socket is connected, else to the address.
fn send(transport: &DatagramObject, data: &Held, address: &Object) -> Res<Tried> {
    let Some(is_connected) = has_peer(transport, address) else { return Ok(Tried::NotHere) };
    let Some(fd) = transport.descriptor() else {
        // Of an address, Python's own socket has something to say before it sees that it is closed.
        return if is_connected { failed(transport, BAD_DESCRIPTOR) } else { Ok(Tried::NotHere) };
    };
    let outcome = if is_connected {
        sockets::send(fd, data, 0).outcome
    } else {
        let Some(destination) = transport.address_of(fd, address) else { return Ok(Tried::NotHere) };
        let Some(socket) = transport.sock.get() else { return Ok(Tried::NotHere) };
        if let Err(raised) = audit(c"socket.sendto", &socket, address) {
            return report(transport, raised).map(|()| Tried::Failed);
        }
        // A hook may have done anything.
        match transport.descriptor() {
            Some(fd) => sockets::send_to(fd, data, &destination),
            None => Outcome::Failed(BAD_DESCRIPTOR),
        }
    };
    match outcome {
        Outcome::Done(_) => Ok(Tried::Sent),
        Outcome::NotNow => Ok(Tried::NotNow),
        Outcome::Failed(errno) => failed(transport, errno),
    }
}

/// Is the socket connected? `None` if somebody has changed what is known of it.
#[inline]
fn has_peer(transport: &DatagramObject, address: &Object) -> Option<bool> {
    let extra = transport.extra.get()?;
    let asked = call::get_item(&extra, PEERNAME.object()).and_then(|peer| {
        // The peer of a socket pair has no name. asyncio's own function has no way to send to it.
        Ok(call::is_true(&peer)? || (address.is_none() && !peer.is_none()))
    });
    asked.map_err(|raised| drop(fetch(raised))).ok()
}

#[cold]
fn failed(transport: &DatagramObject, errno: i32) -> Res<Tried> {
    report(transport, raise_os_error(errno)).map(|()| Tried::Failed)
}

/// `protocol.error_received(exception)`, of what the system said; anything else is fatal.
#[cold]
pub(super) fn report(transport: &DatagramObject, raised: Raised) -> Res<()> {
    let exception = fetch(raised);
    if !matches(&exception, Builtin::OSError.class()) {
        return fail(transport, restore(exception), c"Fatal write error on datagram transport");
    }
    handling(&exception, || {
        let protocol = transport.protocol.get_or_none();
        call::call_method(&ERROR_RECEIVED, &[&*protocol, &*exception], None).map(drop)
    })
}

/// `_sendto_ready()`: the descriptor is writable. False, and nothing is done, if it is for asyncio's own function.
pub(super) fn send_waiting(transport: &DatagramObject) -> Res<bool> {
    let (Some(core), Some(buffer)) = (transport.native(), transport.buffer.get().and_then(deque::downcast)) else {
        return Ok(false);
    };
    while deque::len(&buffer) > 0 {
        // One that cannot be sent here goes out by asyncio's function, and so do those behind it.
        let first = call::get_item(buffer.as_object(), &*containers::int(0)?)?;
        let Some((data, address)) = parts(&first) else { return Ok(false) };
        let pair = call::call_method(&POPLEFT, &[buffer.as_object()], None)?;
        let length = data.len();
        grow(transport, length, false)?;
        let put_back = || {
            call::call_method(&APPENDLEFT, &[buffer.as_object(), &*pair], None)?;
            grow(transport, length, true)
        };
        match send(transport, &data, &address)? {
            Tried::Sent => {}
            Tried::Failed => return Ok(true),
            Tried::NotNow => {
                put_back()?;
                break;
            }
            Tried::NotHere => return put_back().map(|()| false),
        }
    }
    call::call_method(&MAYBE_RESUME_PROTOCOL, &[transport.as_object()], None)?;
    sent_all(transport, &core, &buffer).map(|()| true)
}

/// The data and the address of what waits.
fn parts(pair: &Object) -> Option<(Held, Owned)> {
    if !containers::is_pair(pair) {
        return None;
    }
    let item = |i| containers::tuple_item(pair, i).map_err(|raised| drop(fetch(raised))).ok();
    let (data, address) = (item(0)?, item(1)?);
    bytes::of_exact(&data)?;
    Some((Held::Bytes(data), address))
}

/// Nothing waits any more, unless resuming the protocol has made it send again.
fn sent_all(transport: &DatagramObject, core: &LoopObject, buffer: &Deque) -> Res<()> {
    if deque::len(buffer) > 0 || !transport.event_loop.is_set() {
        return Ok(());
    }
    stop(transport, core, Direction::Write)?;
    if transport.closing.get() {
        call::call_method(&CALL_CONNECTION_LOST, &[transport.as_object(), none()], None)?;
    }
    Ok(())
}
