//! The transports of pipes, the reading one and the writing one; also of terminals, and of sockets given as pipes.
//!
//! `ReadPipeTransport` and `WritePipeTransport` (in `python/rasyncio/_transports.py`) derive from this module's types and
//! from asyncio's own `_UnixReadPipeTransport` and `_UnixWritePipeTransport`. What happens for each piece of data is here
//! ([`reading`], [`writing`]). All the rest is asyncio's, and works on the same object, for its private attributes are
//! ours.
//!
//! The descriptor belongs to the file that the Python object ends in ([`end`]), which closes it. It is looked up there
//! each time.
//!
//! Any call of the protocol's may close, abort, pause or write to the transport, exchange the protocol, or run another
//! loop; and while the system is asked, other threads run. So nothing of the transport is remembered across either.

mod end;
mod read_methods;
mod read_object;
mod reading;
mod write_methods;
mod write_object;
mod writing;

use crate::sys::slots::{Method, one, positional};
use crate::sys::{Object, Owned, Res, containers, pipes};

/// `_know_files(unopened)`: are files like this one, which was never opened, what we take them for?
fn know_files(_module: &Object, unopened: &Object) -> bool {
    pipes::know(unopened)
}

/// `_pipe_descriptor(pipe)`: that of the file that the object ends in; -1 if that is not known.
fn pipe_descriptor(_module: &Object, pipe: &Object) -> Res<Owned> {
    let descriptor = end::owner_of(pipe).and_then(|owner| pipes::descriptor(&owner));
    containers::int(i64::from(descriptor.unwrap_or(-1)))
}

/// What the module has of it, for `_transports.py`.
pub(super) fn functions() -> [Method; 6] {
    [
        positional!(
            Object,
            c"_read_pipe_core",
            read_methods::make_type,
            c"_read_pipe_core($module, read_transport, stock, /)\n--\n\nMake the native half of a pipe's transport that reads."
        ),
        one!(
            Object,
            c"_write_pipe_core",
            write_methods::make_type,
            c"_write_pipe_core($module, flow_control, /)\n--\n\nMake the native half of a pipe's transport that writes."
        ),
        one!(
            Object,
            c"_adopt_read_pipe_class",
            read_methods::adopt_class,
            c"_adopt_read_pipe_class($module, cls, /)\n--\n\nGive the class the native methods as its own."
        ),
        one!(
            Object,
            c"_adopt_write_pipe_class",
            write_methods::adopt_class,
            c"_adopt_write_pipe_class($module, cls, /)\n--\n\nGive the class the native methods as its own."
        ),
        one!(
            Object,
            c"_know_files",
            know_files,
            c"_know_files($module, unopened, /)\n--\n\nTell whether native code can look into such files."
        ),
        one!(
            Object,
            c"_pipe_descriptor",
            pipe_descriptor,
            c"_pipe_descriptor($module, pipe, /)\n--\n\nReturn the descriptor, or -1 if native code does not know whose it is."
        ),
    ]
}
