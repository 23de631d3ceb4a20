//! What other rooms ask of a transport without calling its methods.
//!
//! `None`, and nothing is done, if it is none of ours, or something of it was replaced: its methods are to be called then.

use crate::sys::{Object, Res};

use super::super::base::{self, Transport};
use super::object::{TYPE, TransportObject};
use super::writing::{self, Written};

#[inline]
fn as_made(object: &Object) -> Option<&TransportObject> {
    TYPE.downcast(object).filter(|transport| transport.is_as_made())
}

/// `transport.is_closing()`
#[inline]
pub(crate) fn is_closing(transport: &Object) -> Option<Res<bool>> {
    as_made(transport).map(base::is_closing)
}

/// `transport.write(data)`, of a `bytes`.
#[inline]
pub(crate) fn write(transport: &Object, data: &Object) -> Option<Res<()>> {
    done(writing::write(as_made(transport)?, data))
}

/// `transport.writelines(lines)`
pub(crate) fn write_lines(transport: &Object, lines: &Object) -> Option<Res<()>> {
    done(writing::write_lines(as_made(transport)?, lines))
}

fn done(written: Res<Written>) -> Option<Res<()>> {
    match written {
        Ok(Written::Done) => Some(Ok(())),
        Ok(Written::NotHere) => None,
        Err(raised) => Some(Err(raised)),
    }
}
