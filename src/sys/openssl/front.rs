//! BIOs of ours, each in front of one that `_ssl` has put under a session.
//!
//! Those memory BIOs copy all that goes through them, and keep as much memory as has ever been in it. So the session gets
//! another two, before its first call ([`put`]), which hand all on to them and back: nobody can tell. Only while a call
//! from here lends one memory ([`Lent`]) it takes ciphertext from where the socket's has been put
//! ([`Session::read_all_of`]), or puts it into the `bytes` that is to be sent ([`Session::write_all`]). Whatever is left
//! then is in the session's own BIO.
//!
//! Ours has a reference of its own to the one behind it, and gives it back when it is freed, which is with the session.
//! Python code can run while memory is lent only where a handshake is repeated in the call. If that comes here with the
//! same session, it lends other memory for as long.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::ptr;
use std::sync::OnceLock;

use super::super::attached::Attached;
use super::super::bytes::{self, Held, NewBytes};
use super::super::memory::no_memory;
use super::super::{Owned, Res, kept_bytes};
use super::{End, Session};

type Bio = *mut c_void;
type Exchange = unsafe extern "C" fn(*mut c_void, Bio);
type Control = unsafe extern "C" fn(Bio, c_int, c_long, *mut c_void) -> c_long;
type Take = unsafe extern "C" fn(Bio, *mut c_char, c_int) -> c_int;
type Put = unsafe extern "C" fn(Bio, *const c_char, c_int) -> c_int;
type Change = unsafe extern "C" fn(Bio) -> c_int;
type SetNumber = unsafe extern "C" fn(Bio, c_int);

/// What is called of the library for them.
struct Functions {
    set_incoming: Exchange,
    set_outgoing: Exchange,
    new: unsafe extern "C" fn(*const c_void) -> Bio,
    free: Change,
    up_ref: Change,
    method_type: Change,
    set_init: SetNumber,
    set_data: unsafe extern "C" fn(Bio, *mut c_void),
    get_data: unsafe extern "C" fn(Bio) -> *mut c_void,
    set_flags: SetNumber,
    clear_flags: SetNumber,
    test_flags: unsafe extern "C" fn(Bio, c_int) -> c_int,
    read: Take,
    write: Put,
    control: Control,
    kind: Kind,
}

/// The one kind that there is, and its number.
struct Kind {
    /// A `BIO_METHOD`, which is not changed any more.
    method: *mut c_void,
    number: c_int,
}

// SAFETY: the library only reads the method.
unsafe impl Send for Kind {}
// SAFETY: as above.
unsafe impl Sync for Kind {}

static FUNCTIONS: OnceLock<Functions> = OnceLock::new();

/// `BIO_TYPE_SOURCE_SINK`
const SOURCE_SINK: c_int = 0x0400;
/// `BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY`: whether it may be tried again, and for what.
const RETRY: c_int = 0x07 | 0x08;
/// `BIO_CTRL_PUSH`, `BIO_CTRL_POP`, `BIO_CTRL_DUP`: about this BIO, not about the one behind it.
const OWN: [c_int; 3] = [6, 7, 12];
/// `BIO_CTRL_PENDING`
const PENDING: c_int = 10;

/// What a BIO of ours has as its data.
struct Front {
    /// The one behind it, which it has a reference to.
    own: Bio,
    /// NULL, or what it is lent: that lives until it is taken away again.
    lent: Cell<*mut Memory>,
}

/// What a BIO can be lent.
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
    let set_destroy = function!(c"BIO_meth_set_destroy" as unsafe extern "C" fn(*mut c_void, Change) -> c_int);
    let index = function!(c"BIO_get_new_index" as unsafe extern "C" fn() -> c_int);
    Some(Functions {
        set_incoming: function!(c"SSL_set0_rbio" as Exchange),
        set_outgoing: function!(c"SSL_set0_wbio" as Exchange),
        new: function!(c"BIO_new" as unsafe extern "C" fn(*const c_void) -> Bio),
        free: function!(c"BIO_free" as Change),
        up_ref: function!(c"BIO_up_ref" as Change),
        method_type: function!(c"BIO_method_type" as Change),
        set_init: function!(c"BIO_set_init" as SetNumber),
        set_data: function!(c"BIO_set_data" as unsafe extern "C" fn(Bio, *mut c_void)),
        get_data: function!(c"BIO_get_data" as unsafe extern "C" fn(Bio) -> *mut c_void),
        set_flags: function!(c"BIO_set_flags" as SetNumber),
        clear_flags: function!(c"BIO_clear_flags" as SetNumber),
        test_flags: function!(c"BIO_test_flags" as unsafe extern "C" fn(Bio, c_int) -> c_int),
        read: function!(c"BIO_read" as Take),
        write: function!(c"BIO_write" as Put),
        control: function!(c"BIO_ctrl" as Control),
        // SAFETY: a name that lives for ever; the kind is never freed, and nobody has it yet.
        kind: unsafe {
            let number = SOURCE_SINK | index();
            let method = make(number, c"in front of Python's".as_ptr());
            let is_made = !method.is_null()
                && set_read(method, take) != 0
                && set_write(method, hand_over) != 0
                && set_control(method, control) != 0
                && set_destroy(method, destroy) != 0;
            if is_made { Kind { method, number } } else { return None }
        },
    })
}

/// The functions and what a BIO of ours has as its data.
///
/// # Safety
/// A BIO of our kind, that is in use.
unsafe fn parts<'a>(bio: Bio) -> Option<(&'static Functions, &'a Front)> {
    let functions = FUNCTIONS.get()?;
    // SAFETY: the caller's contract; `put` has set it, and only `destroy` takes it away.
    unsafe { (functions.get_data)(bio).cast::<Front>().as_ref().map(|front| (functions, front)) }
}

/// The library wants ciphertext.
///
/// # Safety
/// A BIO of our kind, and memory of that length. The caller need not be attached.
unsafe extern "C" fn take(bio: Bio, memory: *mut c_char, length: c_int) -> c_int {
    // SAFETY: the caller's contract; what is lent outlives that, and so does the BIO behind this one.
    unsafe {
        let Some((functions, front)) = parts(bio) else { return -1 };
        (functions.clear_flags)(bio, RETRY);
        if let Some(lent) = front.lent.get().as_mut().filter(|lent| lent.left > 0) {
            let count = lent.left.min(usize::try_from(length).unwrap_or(0));
            ptr::copy_nonoverlapping(lent.incoming, memory.cast(), count);
            lent.incoming = lent.incoming.add(count);
            lent.left -= count;
            return c_int::try_from(count).unwrap_or(c_int::MAX);
        }
        let count = (functions.read)(front.own, memory, length);
        (functions.set_flags)(bio, (functions.test_flags)(front.own, RETRY));
        count
    }
}

/// The library has ciphertext.
///
/// # Safety
/// As for `take`.
unsafe extern "C" fn hand_over(bio: Bio, memory: *const c_char, length: c_int) -> c_int {
    // SAFETY: as in `take`; there is room for what is copied.
    unsafe {
        let Some((functions, front)) = parts(bio) else { return -1 };
        (functions.clear_flags)(bio, RETRY);
        let Some(lent) = front.lent.get().as_mut() else {
            let count = (functions.write)(front.own, memory, length);
            (functions.set_flags)(bio, (functions.test_flags)(front.own, RETRY));
            return count;
        };
        let size = usize::try_from(length).unwrap_or(0);
        if lent.more.is_empty() && size <= lent.room - lent.count {
            ptr::copy_nonoverlapping(memory.cast(), lent.outgoing.add(lent.count), size);
            lent.count += size;
        } else if lent.more.try_reserve(size).is_ok() {
            lent.more.extend_from_slice(std::slice::from_raw_parts(memory.cast(), size));
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
unsafe extern "C" fn control(bio: Bio, command: c_int, number: c_long, pointer: *mut c_void) -> c_long {
    if OWN.contains(&command) {
        return 0;
    }
    // SAFETY: as in `take`; number and pointer are what the command asks for.
    unsafe {
        let Some((functions, front)) = parts(bio) else { return 0 };
        let answer = (functions.control)(front.own, command, number, pointer);
        match front.lent.get().as_ref() {
            Some(lent) if command == PENDING => answer + c_long::try_from(lent.left).unwrap_or(0),
            _ => answer,
        }
    }
}

/// Nobody has it any more.
///
/// # Safety
/// As for `take`.
unsafe extern "C" fn destroy(bio: Bio) -> c_int {
    let Some(functions) = FUNCTIONS.get() else { return 0 };
    // SAFETY: the caller's contract; `put` has made the data, which is taken away once, and its reference.
    unsafe {
        let front = (functions.get_data)(bio).cast::<Front>();
        if !front.is_null() {
            (functions.set_data)(bio, ptr::null_mut());
            (functions.free)(Box::from_raw(front).own);
        }
    }
    1
}

#[derive(Clone, Copy)]
enum Direction {
    Incoming,
    Outgoing,
}

/// A BIO of ours in front of that one.
///
/// # Safety
/// A live BIO.
unsafe fn in_front_of(functions: &Functions, own: Bio) -> Option<Bio> {
    // SAFETY: a kind of the library's; it has the data, with a reference, before anybody has it.
    unsafe {
        let bio = (functions.new)(functions.kind.method);
        if bio.is_null() {
            return None;
        }
        (functions.up_ref)(own);
        (functions.set_data)(bio, Box::into_raw(Box::new(Front { own, lent: Cell::new(ptr::null_mut()) })).cast());
        (functions.set_init)(bio, 1);
        Some(bio)
    }
}

impl Session<'_> {
    /// Puts BIOs of ours in front of its own, for good. False if there is no memory for them; nothing is changed then.
    ///
    /// # Safety
    /// Nothing was put there before.
    pub(super) unsafe fn put_in_front(self) -> bool {
        let Some(functions) = FUNCTIONS.get() else { return false };
        // SAFETY: a live session and its live BIOs. It gets our references, and gives back those of its own, of which ours
        // have others.
        unsafe {
            let Some(incoming) = in_front_of(functions, self.incoming) else { return false };
            let Some(outgoing) = in_front_of(functions, self.outgoing) else {
                (functions.free)(incoming);
                return false;
            };
            (functions.set_incoming)(self.ssl.as_ptr(), incoming);
            (functions.set_outgoing)(self.ssl.as_ptr(), outgoing);
        }
        true
    }

    /// What the BIO of ours has as its data, that is there.
    fn front(&self, direction: Direction) -> Option<&Front> {
        let functions = FUNCTIONS.get()?;
        let get = match direction {
            Direction::Incoming => self.functions.incoming_of,
            Direction::Outgoing => self.functions.outgoing_of,
        };
        // SAFETY: a live session. Its data is a `Front` if it is of our kind.
        unsafe {
            let bio = get(self.ssl.as_ptr());
            let is_ours = (functions.method_type)(bio) == functions.kind.number;
            if is_ours { (functions.get_data)(bio).cast::<Front>().as_ref() } else { None }
        }
    }
}

/// A BIO of ours that has been lent memory, until this is dropped.
struct Lent<'a> {
    front: &'a Front,
    before: *mut Memory,
}

impl<'a> Lent<'a> {
    /// None if it is not there.
    ///
    /// # Safety
    /// The memory stays where it is until the result is dropped, and nobody else looks at it.
    #[inline]
    unsafe fn new(session: &'a Session<'_>, direction: Direction, memory: *mut Memory) -> Option<Self> {
        let front = session.front(direction)?;
        Some(Lent { front, before: front.lent.replace(memory) })
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.front.lent.set(self.before);
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
        let source = Cell::new(Memory::source(ciphertext));
        // SAFETY: nobody looks at it but by this address until it is taken away again.
        let read = unsafe { Lent::new(&self, Direction::Incoming, source.as_ptr()) }.map(|_lent| {
            let length = if self.has_begun() { self.most() + ciphertext.len() } else { likely_length(ciphertext) };
            // SAFETY: as above.
            self.read_all_likely(length, || unsafe { (*source.as_ptr()).left })
        });
        let rest = &ciphertext[ciphertext.len() - source.into_inner().left..];
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
        let length = length + records * ROOM.get();
        let mut making = kept_bytes::make(length)?;
        let mut sink = Memory::sink(&mut making.made);
        let (mut whole, mut begun) = (0, 0);
        {
            // SAFETY: it is not touched before that is taken away; what it points to is a `bytes` that only we know.
            let _lent = unsafe { Lent::new(&self, Direction::Outgoing, &raw mut sink) }.ok_or_else(no_memory)?;
            for piece in pieces {
                begun = self.write(piece);
                if begun < piece.len() {
                    break;
                }
                (whole, begun) = (whole + 1, 0);
            }
        }
        // SAFETY: the library has written that much.
        let ciphertext = unsafe { making.done(sink.count)? };
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
            || unsafe { (self.functions.bio_write)(self.outgoing, ciphertext.as_ptr().cast(), length) == length }
    }
}
