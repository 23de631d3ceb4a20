//! Receiving: several datagrams for each event, but not more than a few, so that the loop serves others in between.
//!
//! asyncio receives one for each event. Here it is up to [`MOST`], each handed to the protocol before the next one is
//! asked for; nothing is taken from the system that the protocol may not get. Whatever the protocol does to the transport
//! (closes it, pauses it) or to the loop (stops it) counts before the next one.
//!
//! Asking in vain costs a system call. Where an event had one datagram only, the next [`SKIPS`] are taken to have one.

use std::ffi::c_int;

use crate::event_loop::{Direction, LoopObject};
use crate::job::Job;
use crate::names::{DATAGRAM_RECEIVED, READ_READY};
use crate::sys::addresses::{InternetAddress, Source};
use crate::sys::args::Arguments;
use crate::sys::os_error::raise_os_error;
use crate::sys::sockets::{self, Received};
use crate::sys::{Layout, Object, Owned, Res, call};

use super::super::base::{BAD_DESCRIPTOR, Transport, base, fail, stopped};
use super::object::{DatagramObject, TYPE};
use super::writing::report;

/// That many datagrams are received for an event at most.
const MOST: usize = 16;
/// And not more bytes than that, but for the last one.
const MUCH: usize = 256 * 1024;
/// So many events are taken to have one datagram when one had no more.
const SKIPS: i32 = 15;

/// `transport._read_ready`, as the reader with that argument.
pub(super) static READ: Job = Job {
    run: |transport, argument| read_ready(TYPE.expect(transport), argument),
    callback: |transport, _| Ok((call::getattr(transport, &READ_READY)?, None)),
    stop: Some(|transport, argument| {
        stopped::<DatagramObject>(transport, Direction::Read, argument);
        Ok(())
    }),
    takes_several: false,
    needs_context: true,
};

fn read_ready(transport: &DatagramObject, argument: Option<&Object>) -> Res<()> {
    let (mut count, mut size) = (0, 0);
    // Each time anew: the protocol may have changed anything.
    while transport.is_present(Direction::Read, argument) {
        let Some(core) = transport.native() else {
            let is_first = count == 0;
            return if is_first { base(transport, &READ_READY, Arguments::of(&[])).map(drop) } else { Ok(()) };
        };
        if transport.conn_lost.get() != 0 || (count > 0 && core.is_stopping()) {
            return Ok(());
        }
        match receive(transport, &core) {
            Ok((Received::Bytes(data, length), source)) => {
                count += 1;
                size += length;
                deliver(transport, &data, source.as_ref())?;
            }
            Ok((Received::NotNow, _)) => {
                if count == 1 {
                    transport.skips.set(SKIPS);
                }
                return Ok(());
            }
            Ok((Received::Failed(errno), _)) => return report(transport, raise_os_error(errno)),
            Err(raised) => return fail(transport, raised, c"Fatal read error on datagram transport"),
        }
        if transport.skips.get() > 0 {
            transport.skips.set(transport.skips.get() - 1);
            return Ok(());
        }
        if count >= MOST || size >= MUCH {
            return Ok(());
        }
    }
    Ok(())
}

#[inline]
fn receive(transport: &DatagramObject, core: &LoopObject) -> Res<(Received, Option<Source>)> {
    let failed = |errno: c_int| Ok((Received::Failed(errno), None));
    let Some(fd) = transport.descriptor() else { return failed(BAD_DESCRIPTOR) };
    core.read_with(|scratch| sockets::receive_from(fd, scratch))?.map(|(received, source)| (received, Some(source)))
}

/// `protocol.datagram_received(data, address)`
#[inline]
fn deliver(transport: &DatagramObject, data: &Object, source: Option<&Source>) -> Res<()> {
    let address = match source {
        Some(source) => match source.as_internet() {
            Some(address) => tuple_of(transport, address)?,
            None => source.of_unix()?,
        },
        None => crate::sys::object::none().own(),
    };
    let protocol = transport.protocol.get_or_none();
    call::call_method(&DATAGRAM_RECEIVED, &[&*protocol, data, &*address], None).map(drop)
}

/// The address as a tuple; that of the last one again if it is the same.
#[inline]
fn tuple_of(transport: &DatagramObject, address: InternetAddress) -> Res<Owned> {
    if transport.source.get() == address {
        if let Some(tuple) = transport.source_tuple.get() {
            return Ok(tuple);
        }
    }
    let tuple = address.to_tuple()?;
    // Neither is of the other one in between.
    let before = transport.source_tuple.take();
    transport.source.set(address);
    transport.source_tuple.set(tuple.clone());
    drop(before);
    Ok(tuple)
}
