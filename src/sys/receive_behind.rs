//! Receiving into a `bytearray`, behind what is in it already.
//!
//! Where much is likely, 4 to 64 KiB, the system writes it there. What is more than that, and little, goes by way of memory
//! that the caller lends. Nothing runs from the first look at the array to the last: the array is longer than its content only
//! meanwhile. What has come and cannot be put there is for the caller; it is lost only where there is no memory for either,
//! which is an error.

use std::ffi::c_int;

use super::byte_array::{self, ByteArray};
use super::bytes::{self, NewBytes};
use super::sockets::{LARGE, Outcome, Received, part, receive_parts, receive_raw};
use super::{Owned, Res};

/// More than that is copied, unless there is memory that another array had. Made anew for each message and then given back, it
/// can be the system's each time: what its page faults cost is three times the copy (measured at 100 KiB, where malloc gives
/// back what is free at its end).
const TOO_MUCH: usize = 64 * 1024;

/// What came of it.
pub(crate) enum Behind {
    /// There are so many bytes more in the array.
    Appended(usize),
    /// The array is as it was, and this is for the caller.
    Other(Received),
}

/// Receives what has come, up to the length of `scratch`, into the array; about `expected` bytes are likely. What would make
/// it longer than `most`, or what it does not take because somebody has a view of it, is for the caller.
#[inline]
pub(crate) fn receive_behind(
    fd: c_int,
    array: &ByteArray,
    most: usize,
    expected: usize,
    scratch: &mut [u8],
) -> Res<Behind> {
    let before = byte_array::len(array);
    let is_large = (LARGE..=scratch.len()).contains(&expected);
    if is_large && (expected <= TOO_MUCH || byte_array::has_spare(array, expected)) {
        // SAFETY: nothing runs in the function that gets the room, and cuts off what it has not written.
        match unsafe { byte_array::grow(array, expected) } {
            Ok(room) => return receive_much(fd, array, most, (room, expected), scratch),
            Err(raised) => byte_array::forgive(array, before, raised)?,
        }
    }
    match receive_raw(fd, scratch) {
        Outcome::Done(count) => append(array, most, &scratch[..count]),
        outcome => Ok(Behind::Other(nothing(outcome))),
    }
}

fn nothing(outcome: Outcome) -> Received {
    match outcome {
        Outcome::Done(_) | Outcome::NotNow => Received::NotNow,
        Outcome::Failed(errno) => Received::Failed(errno),
    }
}

/// May there be that much more in it?
fn may_take(array: &ByteArray, most: usize, count: usize) -> bool {
    count > 0 && byte_array::len(array).saturating_add(count) <= most
}

#[inline]
fn append(array: &ByteArray, most: usize, data: &[u8]) -> Res<Behind> {
    if may_take(array, most, data.len()) {
        let before = byte_array::len(array);
        match byte_array::extend(array, data) {
            Ok(()) => return Ok(Behind::Appended(data.len())),
            Err(raised) => byte_array::forgive(array, before, raised)?,
        }
    }
    Ok(Behind::Other(Received::Bytes(bytes::copied(data)?, data.len())))
}

/// The room, a place and how many bytes, is the array's end.
fn receive_much(
    fd: c_int,
    array: &ByteArray,
    most: usize,
    (start, expected): (*mut u8, usize),
    scratch: &mut [u8],
) -> Res<Behind> {
    let before = byte_array::len(array) - expected;
    let mut parts = [part(start, expected), part(scratch.as_ptr(), scratch.len() - expected)];
    // SAFETY: pieces of memory, which nobody else looks at.
    let outcome = unsafe { receive_parts(fd, &mut parts) };
    let Outcome::Done(count) = outcome else {
        // SAFETY: it was that long, and nothing has run since.
        unsafe { byte_array::cut_exactly(array, before)? };
        return Ok(Behind::Other(nothing(outcome)));
    };
    let written = count.min(expected);
    // SAFETY: the system has written as much.
    let first = unsafe { std::slice::from_raw_parts(start, written) };
    let rest = count - written;
    if rest == 0 && written < expected / 2 {
        // So little does not keep the memory, and least of all the end.
        scratch[..written].copy_from_slice(first);
        // SAFETY: as above.
        unsafe { byte_array::cut_exactly(array, before)? };
        return append(array, most, &scratch[..written]);
    }
    if before.saturating_add(count) <= most {
        if rest == 0 {
            // SAFETY: it was longer, and nothing has run since.
            unsafe { byte_array::cut(array, before + written) };
            return Ok(Behind::Appended(count));
        }
        match byte_array::extend(array, &scratch[..rest]) {
            Ok(()) => return Ok(Behind::Appended(count)),
            // Its memory is where it was, then.
            Err(raised) => byte_array::forgive(array, before + expected, raised)?,
        }
    }
    let all = joined(first, &scratch[..rest]);
    // SAFETY: as above.
    unsafe { byte_array::cut(array, before) };
    Ok(Behind::Other(Received::Bytes(all?, count)))
}

/// A `bytes` of both.
#[cold]
fn joined(first: &[u8], second: &[u8]) -> Res<Owned> {
    let mut made = NewBytes::of_length(first.len() + second.len())?;
    for (place, byte) in made.memory().iter_mut().zip(first.iter().chain(second)) {
        place.write(*byte);
    }
    // SAFETY: all of it was just written.
    Ok(unsafe { made.into_bytes() })
}
