//! Addresses of datagrams: as the system has them, and as Python's sockets show them.
//!
//! What a `recvfrom()` of Python's returns is made of every address of the internet's and of Unix's. The other way round
//! only what can mean just one thing is taken: a tuple with an address in numbers. All else is for Python's socket, which
//! looks names up and says what is wrong.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::mem::offset_of;
use std::net::{Ipv4Addr, Ipv6Addr};

use pyo3::ffi;

use super::attached::Attached;
use super::part::Zeroed;
use super::{Field, Layout, Object, Owned, Res, bytes, containers};

/// The families whose addresses are known here.
pub(crate) const INTERNET: c_int = libc::AF_INET;
pub(crate) const INTERNET_6: c_int = libc::AF_INET6;

const LENGTH_4: usize = size_of::<libc::sockaddr_in>();
const LENGTH_6: usize = size_of::<libc::sockaddr_in6>();
/// The family comes first, in an address of Unix's the name is behind it.
const FAMILY: usize = size_of::<libc::sa_family_t>();

/// An address of the internet's: a `sockaddr_in` or a `sockaddr_in6`, zeroes behind it, and its length. Or none, of no
/// length.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[repr(C, align(4))]
pub(crate) struct InternetAddress {
    bytes: [u8; LENGTH_6],
    length: u32,
}

// Where the parts are, as they are written and read below.
const _: () = {
    assert!(LENGTH_4 == 16 && LENGTH_6 == 28 && FAMILY == 2);
    assert!(offset_of!(libc::sockaddr_in, sin_family) == 0 && offset_of!(libc::sockaddr_in6, sin6_family) == 0);
    assert!(offset_of!(libc::sockaddr_in, sin_port) == 2 && offset_of!(libc::sockaddr_in6, sin6_port) == 2);
    assert!(offset_of!(libc::sockaddr_in, sin_addr) == 4 && offset_of!(libc::sockaddr_in6, sin6_flowinfo) == 4);
    assert!(offset_of!(libc::sockaddr_in6, sin6_addr) == 8 && offset_of!(libc::sockaddr_in6, sin6_scope_id) == 24);
    assert!(offset_of!(libc::sockaddr_un, sun_path) == FAMILY);
};

// SAFETY: zeroes are no address, which is the default.
unsafe impl Zeroed for InternetAddress {}

impl InternetAddress {
    fn of_parts(family: c_int, length: usize, parts: &[(usize, &[u8])]) -> InternetAddress {
        let mut bytes = [0; LENGTH_6];
        bytes[..FAMILY].copy_from_slice(&libc::sa_family_t::try_from(family).unwrap_or(0).to_ne_bytes());
        for (start, part) in parts {
            bytes[*start..start + part.len()].copy_from_slice(part);
        }
        InternetAddress { bytes, length: u32::try_from(length).unwrap_or(0) }
    }

    /// Of an exact tuple as such sockets have it, with an address in numbers, each number in its range. `None` of all
    /// else. Runs no Python code.
    pub(crate) fn of_tuple(family: c_int, tuple: &Object) -> Option<InternetAddress> {
        let (host, count, numbers) = host_and_numbers(tuple)?;
        let port = u16::try_from(numbers[0]?).ok()?.to_be_bytes();
        match (family, count) {
            (INTERNET, 1) => {
                let host: Ipv4Addr = host.parse().ok()?;
                Some(Self::of_parts(family, LENGTH_4, &[(2, &port), (4, &host.octets())]))
            }
            (INTERNET_6, 1..=3) => {
                let host: Ipv6Addr = host.parse().ok()?;
                let flow = if count > 1 { numbers[1]? } else { 0 };
                let flow = u32::try_from(flow).ok().filter(|&flow| flow <= 0xf_ffff)?.to_be_bytes();
                let scope = if count > 2 { numbers[2]? } else { 0 };
                let scope = u32::try_from(scope).ok()?.to_ne_bytes();
                let parts: [(usize, &[u8]); 4] = [(2, &port), (4, &flow), (8, &host.octets()), (24, &scope)];
                Some(Self::of_parts(family, LENGTH_6, &parts))
            }
            _ => None,
        }
    }

    /// For a system call: where it is, and how long.
    pub(super) fn as_raw(&self) -> (*const libc::sockaddr, libc::socklen_t) {
        (self.bytes.as_ptr().cast(), self.length)
    }

    fn number<const N: usize>(&self, start: usize) -> [u8; N] {
        std::array::from_fn(|i| self.bytes[start + i])
    }

    fn port(&self) -> Res<Owned> {
        containers::int(i64::from(u16::from_be_bytes(self.number(2))))
    }

    /// The tuple that Python's sockets make of it.
    pub(crate) fn to_tuple(self) -> Res<Owned> {
        if usize::try_from(self.length) == Ok(LENGTH_4) {
            let host = text_of_internet(self.number(4))?;
            return containers::tuple(&[&*host, &*self.port()?]);
        }
        let host = Text::of_internet_6(&self.number(8)).to_object()?;
        let flow = containers::int(i64::from(u32::from_be_bytes(self.number(4))))?;
        let scope = containers::int(i64::from(u32::from_ne_bytes(self.number(24))))?;
        containers::tuple(&[&*host, &*self.port()?, &*flow, &*scope])
    }
}

/// The text of an address, as a string. The last one is kept: many are the same.
fn text_of_internet(address: [u8; 4]) -> Res<Owned> {
    static LAST: Attached<(Cell<u32>, Field)> = Attached::new((Cell::new(0), Field::unset()));
    let number = u32::from_ne_bytes(address);
    if let Some(text) = LAST.1.get().filter(|_| LAST.0.get() == number) {
        return Ok(text);
    }
    let text = Text::of_internet(address).to_object()?;
    LAST.0.set(number);
    LAST.1.set(text.clone());
    Ok(text)
}

/// The first item of an exact tuple, if that is an exact string; how many more there are, up to three, and these as
/// numbers. One that is no exact integer is `None`.
fn host_and_numbers(tuple: &Object) -> Option<(&str, usize, [Option<i64>; 3])> {
    // SAFETY: an exact tuple, whose items live as long as it does; the text of an exact string lives as long as that. An
    // exact integer is asked for its value, which runs no Python code.
    unsafe {
        if ffi::PyTuple_CheckExact(tuple.as_ptr()) == 0 {
            return None;
        }
        let count = ffi::PyTuple_GET_SIZE(tuple.as_ptr());
        if !(2..=4).contains(&count) {
            return None;
        }
        let item = |i| Object::from_ptr(ffi::PyTuple_GET_ITEM(tuple.as_ptr(), i));
        let host = item(0);
        if !containers::is_exact_string(host) {
            return None;
        }
        let mut length = 0;
        let text = ffi::PyUnicode_AsUTF8AndSize(host.as_ptr(), &raw mut length);
        if text.is_null() {
            super::raised::clear();
            return None;
        }
        let text = std::slice::from_raw_parts(text.cast::<u8>(), usize::try_from(length).unwrap_or(0));
        let mut numbers = [None; 3];
        for (place, i) in numbers.iter_mut().zip(1..count) {
            let number = Some(item(i)).filter(|number| containers::is_exact_int(number));
            *place = number.and_then(|number| containers::int_clamped(number).ok());
        }
        let more = usize::try_from(count - 1).unwrap_or(0);
        Some((std::str::from_utf8(text).ok()?, more, numbers))
    }
}

/// Room for an address in text, `INET6_ADDRSTRLEN`.
struct Text {
    bytes: [u8; 46],
    length: usize,
}

impl Text {
    fn of_internet(address: [u8; 4]) -> Text {
        let mut made = Text { bytes: [0; 46], length: 0 };
        for (i, number) in address.into_iter().enumerate() {
            if i > 0 {
                made.push(b'.');
            }
            if number >= 100 {
                made.push(b'0' + number / 100);
            }
            if number >= 10 {
                made.push(b'0' + number / 10 % 10);
            }
            made.push(b'0' + number % 10);
        }
        made
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    /// By the C library, as Python does it: Rust's texts of some addresses are others.
    fn of_internet_6(address: &[u8; 16]) -> Text {
        unsafe extern "C" {
            fn inet_ntop(
                family: c_int,
                address: *const c_void,
                text: *mut c_char,
                length: libc::socklen_t,
            ) -> *const c_char;
        }
        let mut made = Text { bytes: [0; 46], length: 0 };
        // SAFETY: an address of that family, and room for the longest text.
        let found = unsafe { inet_ntop(INTERNET_6, address.as_ptr().cast(), made.bytes.as_mut_ptr().cast(), 46) };
        if !found.is_null() {
            made.length = made.bytes.iter().position(|&byte| byte == 0).unwrap_or(0);
        }
        made
    }

    fn to_object(&self) -> Res<Owned> {
        containers::string_of(std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default())
    }
}

/// Where a datagram has come from, as the system says it.
#[repr(C, align(8))]
pub(crate) struct Source {
    bytes: [u8; size_of::<libc::sockaddr_un>() + 2],
    length: usize,
}

impl Source {
    pub(super) const fn room() -> Source {
        Source { bytes: [0; size_of::<libc::sockaddr_un>() + 2], length: 0 }
    }

    /// For a system call: where to, and how long it may be. The end stays zero.
    pub(super) fn as_raw(&mut self) -> (*mut libc::sockaddr, libc::socklen_t) {
        (self.bytes.as_mut_ptr().cast(), libc::socklen_t::try_from(size_of::<libc::sockaddr_un>()).unwrap_or(0))
    }

    /// The call has said how long it is.
    pub(super) fn set_length(&mut self, length: libc::socklen_t) {
        self.length = usize::try_from(length).unwrap_or(0).min(size_of::<libc::sockaddr_un>());
    }

    fn family(&self) -> c_int {
        c_int::from(libc::sa_family_t::from_ne_bytes([self.bytes[0], self.bytes[1]]))
    }

    /// The address, if it is one of the internet's.
    pub(crate) fn as_internet(&self) -> Option<InternetAddress> {
        let length = match (self.family(), self.length) {
            (INTERNET, LENGTH_4..) => LENGTH_4,
            (INTERNET_6, LENGTH_6..) => LENGTH_6,
            _ => return None,
        };
        let mut bytes = [0; LENGTH_6];
        bytes[..length].copy_from_slice(&self.bytes[..length]);
        Some(InternetAddress { bytes, length: u32::try_from(length).unwrap_or(0) })
    }

    /// Is it one of Unix's?
    pub(crate) fn is_unix(&self) -> bool {
        self.length >= FAMILY && self.family() == libc::AF_UNIX
    }

    /// What Python's sockets make of one of Unix's: its path; of an abstract one, bytes; `None` of no address at all.
    pub(crate) fn of_unix(&self) -> Res<Owned> {
        let name = self.bytes.get(FAMILY..self.length).unwrap_or_default();
        if self.length == 0 {
            return Ok(super::object::none().own());
        }
        if name.first() == Some(&0) {
            return bytes::copied(name);
        }
        let path = name.split(|&byte| byte == 0).next().unwrap_or_default();
        let length = ffi::Py_ssize_t::try_from(path.len()).unwrap_or(0);
        // SAFETY: a text of that length; a new reference, or NULL with the exception set.
        unsafe { Owned::steal_or_raised(ffi::PyUnicode_DecodeFSDefaultAndSize(path.as_ptr().cast(), length)) }
    }
}
