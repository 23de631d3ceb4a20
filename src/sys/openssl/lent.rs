//! BIOs of ours, which a session is lent for one call.
//!
//! The memory BIOs that `_ssl` has put under a session copy all that goes through them, and each keeps as much memory as
//! has ever been in it. For much data at once the session gets another one for the time of the call: one that has it read
//! ciphertext where the socket's has been put ([`Session::read_all_of`]), or one that has it write into the `bytes` that
//! is to be sent ([`Session::write_all`]). Then it has its own again, and in that whatever is left: nobody can tell.
//!
//! Python code can run in such a call only where a handshake is repeated in it. If that comes here with another session,
//! there is another BIO for it.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::ptr;
use std::sync::OnceLock;

use super::super::attached::Attached;
use super::super::bytes::{self, Held, NewBytes};
use super::super::memory::no_memory;
use super::super::{Owned, Res};
use super::{End, Session};

type Bio = *mut c_void;
type Exchange = unsafe extern "C" fn(*mut c_void, Bio);
type Control = unsafe extern "C" fn(Bio, c_int, c_long, *mut c_void) -> c_long;
type Take = unsafe extern "C" fn(Bio, *mut c_char, c_int) -> c_int;
type Put = unsafe extern "C" fn(Bio, *const c_char, c_int) -> c_int;

/// What is called of the library for them.
struct Functions {
    set_incoming: Exchange,
    set_outgoing: Exchange,
    new: unsafe extern "C" fn(*const c_void) -> Bio,
    free: unsafe extern "C" fn(Bio) -> c_int,
    up_ref: unsafe extern "C" fn(Bio) -> c_int,
    set_init: unsafe extern "C" fn(Bio, c_int),
    set_data: unsafe extern "C" fn(Bio, *mut c_void),
    get_data: unsafe extern "C" fn(Bio) -> *mut c_void,
    set_flags: unsafe extern "C" fn(Bio, c_int),
    clear_flags: unsafe extern "C" fn(Bio, c_int),
    /// The one kind that there is: both a source and a sink, by what its data is.
    kind: Kind,
}

/// A `BIO_METHOD`, which is not changed any more.
struct Kind(*mut c_void);

// SAFETY: the library only reads it.
unsafe impl Send for Kind {}
// SAFETY: as above.
unsafe impl Sync for Kind {}

static FUNCTIONS: OnceLock<Functions> = OnceLock::new();

/// One that nobody uses now.
static SPARE: Attached<Cell<Bio>> = Attached::new(Cell::new(ptr::null_mut()));

/// `BIO_TYPE_SOURCE_SINK`
const SOURCE_SINK: c_int = 0x0400;
/// `BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY`: there is nothing now.
const NOTHING_NOW: c_int = 0x01 | 0x08;
/// `BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY`
const ALL_FLAGS: c_int = 0x07 | 0x08;
/// `BIO_CTRL_PENDING`
const PENDING: c_int = 10;
/// `BIO_CTRL_FLUSH`
const FLUSH: c_int = 11;

/// What a BIO's data is while it is lent.
struct Memory {
    /// Ciphertext that has come, and how much of it was not taken yet.
    incoming: *const u8,
    left: usize,
    /// Where ciphertext goes, how much fits there, and how much is there.
    outgoing: *mut u8,
    room: usize,
    count: usize,
    /// What did not fit.
    more: Vec<u8>,
}

impl Memory {
    fn source(ciphertext: &[u8]) -> Self {
        let (incoming, left) = (ciphertext.as_ptr(), ciphertext.len());
        Memory { incoming, left, outgoing: ptr::null_mut(), room: 0, count: 0, more: Vec::new() }
    }

    fn sink(made: &mut NewBytes) -> Self {
        let memory = made.memory();
        let (outgoing, room) = (memory.as_mut_ptr().cast(), memory.len());
        Memory { incoming: ptr::null(), left: 0, outgoing, room, count: 0, more: Vec::new() }
    }
}

/// Looks up the library's functions, and makes a kind of BIO. Asked once.
pub(super) fn know(find: impl Fn(&CStr) -> Option<*mut c_void>) -> bool {
    functions_of(find).is_some_and(|functions| FUNCTIONS.set(functions).is_ok())
}

fn functions_of(find: impl Fn(&CStr) -> Option<*mut c_void>) -> Option<Functions> {
    macro_rules! function {
        ($name:literal as $type:ty) => {{
            let address = find($name)?;
            // SAFETY: this is the type that the function of this name has, in all versions of OpenSSL from 1.1.1 on.
            unsafe { std::mem::transmute::<*mut c_void, $type>(address) }
        }};
    }
    type Make = unsafe extern "C" fn(c_int, *const c_char) -> *mut c_void;
    let make = function!(c"BIO_meth_new" as Make);
    let set_read = function!(c"BIO_meth_set_read" as unsafe extern "C" fn(*mut c_void, Take) -> c_int);
    let set_write = function!(c"BIO_meth_set_write" as unsafe extern "C" fn(*mut c_void, Put) -> c_int);
    let set_control = function!(c"BIO_meth_set_ctrl" as unsafe extern "C" fn(*mut c_void, Control) -> c_int);
    let index = function!(c"BIO_get_new_index" as unsafe extern "C" fn() -> c_int);
    let functions = Functions {
        set_incoming: function!(c"SSL_set0_rbio" as Exchange),
        set_outgoing: function!(c"SSL_set0_wbio" as Exchange),
        new: function!(c"BIO_new" as unsafe extern "C" fn(*const c_void) -> Bio),
        free: function!(c"BIO_free" as unsafe extern "C" fn(Bio) -> c_int),
        up_ref: function!(c"BIO_up_ref" as unsafe extern "C" fn(Bio) -> c_int),
        set_init: function!(c"BIO_set_init" as unsafe extern "C" fn(Bio, c_int)),
        set_data: function!(c"BIO_set_data" as unsafe extern "C" fn(Bio, *mut c_void)),
        get_data: function!(c"BIO_get_data" as unsafe extern "C" fn(Bio) -> *mut c_void),
        set_flags: function!(c"BIO_set_flags" as unsafe extern "C" fn(Bio, c_int)),
        clear_flags: function!(c"BIO_clear_flags" as unsafe extern "C" fn(Bio, c_int)),
        // SAFETY: a name that lives for ever; the kind is never freed, and nobody has it yet.
        kind: unsafe {
            let kind = make(SOURCE_SINK | index(), c"memory of rasyncio's".as_ptr());
            let is_made = !kind.is_null()
                && set_read(kind, take) != 0
                && set_write(kind, put) != 0
                && set_control(kind, control) != 0;
            Kind(if is_made { kind } else { return None })
        },
    };
    Some(functions)
}

/// The library wants ciphertext.
///
/// # Safety
/// A BIO of our kind, lent or not, and memory of that length. The caller need not be attached.
unsafe extern "C" fn take(bio: Bio, memory: *mut c_char, length: c_int) -> c_int {
    let Some(functions) = FUNCTIONS.get() else { return -1 };
    // SAFETY: the caller's contract; the data is NULL, or what `Lent` has set, which outlives it there.
    unsafe {
        (functions.clear_flags)(bio, ALL_FLAGS);
        let data = (functions.get_data)(bio).cast::<Memory>();
        if data.is_null() || (*data).left == 0 {
            (functions.set_flags)(bio, NOTHING_NOW);
            return -1;
        }
        let count = (*data).left.min(usize::try_from(length).unwrap_or(0));
        ptr::copy_nonoverlapping((*data).incoming, memory.cast(), count);
        (*data).incoming = (*data).incoming.add(count);
        (*data).left -= count;
        c_int::try_from(count).unwrap_or(c_int::MAX)
    }
}

/// The library has ciphertext.
///
/// # Safety
/// As for `take`.
unsafe extern "C" fn put(bio: Bio, memory: *const c_char, length: c_int) -> c_int {
    let Some(functions) = FUNCTIONS.get() else { return -1 };
    // SAFETY: as in `take`; there is room for what is copied.
    unsafe {
        (functions.clear_flags)(bio, ALL_FLAGS);
        let data = (functions.get_data)(bio).cast::<Memory>();
        let Some(data) = data.as_mut() else { return -1 };
        let size = usize::try_from(length).unwrap_or(0);
        if data.more.is_empty() && size <= data.room - data.count {
            ptr::copy_nonoverlapping(memory.cast(), data.outgoing.add(data.count), size);
            data.count += size;
        } else if data.more.try_reserve(size).is_ok() {
            data.more.extend_from_slice(std::slice::from_raw_parts(memory.cast(), size));
        } else {
            return -1;
        }
        length
    }
}

/// The library asks, or wants something done.
///
/// # Safety
/// As for `take`.
unsafe extern "C" fn control(bio: Bio, command: c_int, _number: c_long, _pointer: *mut c_void) -> c_long {
    match (command, FUNCTIONS.get()) {
        // SAFETY: as in `take`.
        (PENDING, Some(functions)) => unsafe {
            let data = (functions.get_data)(bio).cast::<Memory>();
            data.as_ref().map_or(0, |data| c_long::try_from(data.left).unwrap_or(c_long::MAX))
        },
        (FLUSH, _) => 1,
        _ => 0,
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Incoming,
    Outgoing,
}

/// A session that has a BIO of ours in the place of its own, until this is dropped.
struct Lent<'a> {
    session: Session<'a>,
    functions: &'static Functions,
    set: Exchange,
    bio: Bio,
    own: Bio,
}

impl<'a> Lent<'a> {
    /// None if there is no memory for one.
    ///
    /// # Safety
    /// The memory stays where it is until the result is dropped, and nobody else looks at it.
    unsafe fn new(session: Session<'a>, direction: Direction, memory: *mut Memory) -> Option<Self> {
        let functions = FUNCTIONS.get()?;
        let (own, set) = match direction {
            Direction::Incoming => (session.incoming(), functions.set_incoming),
            Direction::Outgoing => (session.outgoing(), functions.set_outgoing),
        };
        let mut bio = SPARE.replace(ptr::null_mut());
        // SAFETY: a live session and its live BIO; a kind of the library's. The session gets a reference of each that it is
        // given, and gives back that of the other: so it is held here as well.
        unsafe {
            if bio.is_null() {
                bio = (functions.new)(functions.kind.0);
                if bio.is_null() {
                    return None;
                }
                (functions.set_init)(bio, 1);
            }
            (functions.set_data)(bio, memory.cast());
            (functions.up_ref)(own);
            (functions.up_ref)(bio);
            set(session.ssl.as_ptr(), bio);
        }
        Some(Lent { session, functions, set, bio, own })
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        // SAFETY: the session gets the reference of its own BIO back that `new` has made; ours is only ours then.
        unsafe {
            (self.set)(self.session.ssl.as_ptr(), self.own);
            (self.functions.set_data)(self.bio, ptr::null_mut());
        }
        let other = SPARE.replace(self.bio);
        if !other.is_null() {
            // SAFETY: a BIO that nobody else has.
            unsafe { (self.functions.free)(other) };
        }
    }
}

/// The longest plaintext of a record.
const RECORD: usize = 16 * 1024;
/// As much longer than its plaintext is a record of TLS 1.3, unless it is padded: its head, its kind, and its tag.
const OVERHEAD: usize = HEAD + 17;
const HEAD: usize = 5;
/// As much longer it is at most, with what OpenSSL offers today.
const MOST_OVERHEAD: usize = 128;

/// As much longer as any that was written so far, but for those that the above is not enough for.
static ROOM: Attached<Cell<usize>> = Attached::new(Cell::new(OVERHEAD));

/// How much plaintext whole records of TLS 1.3 have.
fn likely_length(mut ciphertext: &[u8]) -> usize {
    let mut length = 0;
    while let [_, _, _, high, low, rest @ ..] = ciphertext {
        let size = usize::from(u16::from_be_bytes([*high, *low]));
        length += (size + HEAD).saturating_sub(OVERHEAD);
        ciphertext = rest.get(size..).unwrap_or_default();
    }
    length
}

impl Session<'_> {
    /// Decrypts all that there is, with this ciphertext, where none waits in the session's own BIO.
    pub(crate) fn read_all_of(self, ciphertext: &[u8]) -> Res<(Option<Owned>, End)> {
        let mut source = Memory::source(ciphertext);
        // SAFETY: it is not touched before the BIO is given back.
        let read = unsafe { Lent::new(self, Direction::Incoming, &raw mut source) }.map(|_lent| {
            if self.has_begun() { self.read_all() } else { self.read_all_likely(likely_length(ciphertext)) }
        });
        let rest = &ciphertext[ciphertext.len() - source.left..];
        if !rest.is_empty() && !self.feed(rest) {
            return Err(no_memory());
        }
        read.unwrap_or_else(|| self.read_all())
    }

    /// Encrypts the pieces, where nothing waits in the session's own BIO. The ciphertext, and of how many pieces, and of
    /// how many bytes of the next one, it is.
    pub(crate) fn write_all(self, pieces: &[Held]) -> Res<(Owned, usize, usize)> {
        let length: usize = pieces.iter().map(Held::len).sum();
        let records: usize = pieces.iter().map(|piece| piece.len().div_ceil(RECORD)).sum();
        let mut made = NewBytes::of_length(length + records * ROOM.get())?;
        let mut sink = Memory::sink(&mut made);
        let (mut whole, mut begun) = (0, 0);
        {
            // SAFETY: it is not touched before the BIO is given back; what it points to is a `bytes` that only we know.
            let _lent = unsafe { Lent::new(self, Direction::Outgoing, &raw mut sink) }.ok_or_else(no_memory)?;
            for piece in pieces {
                begun = self.write(piece);
                if begun < piece.len() {
                    break;
                }
                (whole, begun) = (whole + 1, 0);
            }
        }
        // SAFETY: the library has written that much.
        let ciphertext = unsafe { made.shortened(sink.count)? };
        if sink.more.is_empty() {
            return Ok((ciphertext, whole, begun));
        }
        ROOM.set(MOST_OVERHEAD);
        Ok((bytes::joined(&[ciphertext, bytes::copied(&sink.more)?])?, whole, begun))
    }

    /// Ciphertext that could not be sent, into the session's own BIO. False if there is no memory for it.
    pub(crate) fn put_back(self, ciphertext: &[u8]) -> bool {
        let length = c_int::try_from(ciphertext.len()).unwrap_or(c_int::MAX);
        // SAFETY: a live session's BIO, that copies memory of that length.
        ciphertext.is_empty()
            || unsafe { (self.functions.bio_write)(self.outgoing(), ciphertext.as_ptr().cast(), length) == length }
    }
}
