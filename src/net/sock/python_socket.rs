//! Python's socket objects: which of them native code may stand in for.
//!
//! Those of exactly the class `socket.socket`, as long as it does what it was made to do (`python/rasyncio/_replaced.py`
//! knows). An instance has no attributes of its own by which it could differ. The answer is kept for as long as the
//! class's version tag says that neither it nor a base has changed.

use std::cell::Cell;
use std::ffi::c_int;

use crate::names::{FILENO, GETTIMEOUT};
use crate::sys::attached::Attached;
use crate::sys::error::fetch;
use crate::sys::lazy::Lazy;
use crate::sys::types::Identity;
use crate::sys::{Layout, Object, Res, call, containers, sockets};

/// The class that is as it was made, and the one that was not, of those asked about last.
static AS_MADE: Attached<Cell<Identity>> = Attached::new(Cell::new(Identity::NOBODY));
static OTHER: Attached<Cell<Identity>> = Attached::new(Cell::new(Identity::NOBODY));

/// The descriptor of a socket that native code may use; `None` for another object, or if it is closed.
#[inline]
pub(in crate::net) fn usable(socket: &Object) -> Option<c_int> {
    let class = socket.class().identity();
    if AS_MADE.get().is(class) || (!OTHER.get().is(class) && ask(socket)) {
        sockets::descriptor(socket).filter(|&fd| fd >= 0)
    } else {
        None
    }
}

#[cold]
fn ask(socket: &Object) -> bool {
    let class = socket.class();
    if !class.assign_version() {
        return false;
    }
    let before = class.identity();
    let as_made = is_as_made(class.as_object()) && is_laid_out_as_known(socket);
    if socket.class().identity().is(before) {
        (if as_made { &AS_MADE } else { &OTHER }).set(before);
        return as_made;
    }
    false
}

fn is_as_made(class: &Object) -> bool {
    static QUESTION: Lazy = Lazy::new("rasyncio._replaced", "socket_class_as_made");
    let answer = QUESTION.get().and_then(|question| call::call1(question, class));
    // An error (at the end of the interpreter, say) counts as no.
    answer.and_then(|answer| call::is_true(&answer)).unwrap_or_else(|raised| {
        drop(fetch(raised));
        false
    })
}

/// Is the descriptor where it is looked for?
fn is_laid_out_as_known(socket: &Object) -> bool {
    let number = call::call_method(&FILENO, &[socket], None).and_then(|number| containers::int_value(&number));
    match number {
        Ok(number) => c_int::try_from(number).is_ok_and(|number| sockets::know(socket, number)),
        Err(raised) => {
            drop(fetch(raised));
            false
        }
    }
}

/// `socket.gettimeout() == 0`
pub(super) fn never_blocks(socket: &Object) -> Res<bool> {
    let timeout = call::call_method(&GETTIMEOUT, &[socket], None)?;
    Ok(!timeout.is_none() && containers::float_value(&timeout)? == 0.0)
}
