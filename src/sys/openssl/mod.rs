//! The OpenSSL that Python's `_ssl` has mapped, and the `SSL*` inside of its objects.
//!
//! A session is used with the memory BIOs that `_ssl` has put under it, by the very functions that `_ssl` calls. So
//! `_ssl`'s own methods may be called at any time between two calls from here, and find all as they would have left it.
//! That others are in [`front`] of those BIOs they cannot see.
//!
//! Nothing is believed of `_ssl`'s objects before a trial has shown it ([`know`]), nor of a single one before it was
//! looked at ([`verify`]): what is taken for the context's `SSL_CTX*` has to be what the library says that the session
//! belongs to, and what is taken for the `BIO*` of the two `MemoryBIO`s what it says that the session reads and writes.
//!
//! The library calls back into Python where a callback is set: for those that `_ssl` has for messages
//! (`SSLContext._msg_callback`) whoever makes a session asks; all others belong to handshakes. Of these only one that is
//! repeated within a connection (TLS 1.2, if the peer asks for it and it is allowed) comes from here; `_ssl`'s callbacks
//! attach themselves to the interpreter, and so work in it.

mod front;

use std::cell::OnceCell;
use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use pyo3::ffi;

use super::attached::Attached;
use super::bytes::{Buffer, Held, NewBytes};
use super::{Field, Layout, Object, Owned, Res, Type, enter, types};

/// `_ssl._SSLSocket`'s beginning.
#[repr(C)]
struct SocketHead {
    head: ffi::PyObject,
    /// A weak reference to a socket; NULL where there are BIOs.
    socket: *mut ffi::PyObject,
    ssl: *mut c_void,
    context: *mut ffi::PyObject,
}

/// The beginnings of `_ssl._SSLContext` and `_ssl.MemoryBIO`: a pointer of the library's.
#[repr(C)]
struct Wrapper {
    head: ffi::PyObject,
    inner: *mut c_void,
}

type Get = unsafe extern "C" fn(*const c_void) -> *mut c_void;
type Count = unsafe extern "C" fn(*const c_void) -> c_int;
/// May call back into Python, which may end the thread.
type Read = unsafe extern "C-unwind" fn(*mut c_void, *mut c_void, c_int) -> c_int;
type Write = unsafe extern "C-unwind" fn(*mut c_void, *const c_void, c_int) -> c_int;
type ShutDown = unsafe extern "C-unwind" fn(*mut c_void) -> c_int;

/// What is called of the library.
#[derive(Clone, Copy)]
struct Functions {
    context_of: Get,
    incoming_of: Get,
    outgoing_of: Get,
    read: Read,
    write: Write,
    shut_down: ShutDown,
    shutdown_of: Count,
    pending: Count,
    has_pending: Count,
    error: unsafe extern "C" fn(*const c_void, c_int) -> c_int,
    bio_read: unsafe extern "C" fn(*mut c_void, *mut c_void, c_int) -> c_int,
    bio_write: unsafe extern "C" fn(*mut c_void, *const c_void, c_int) -> c_int,
    bio_pending: unsafe extern "C" fn(*mut c_void) -> usize,
}

/// The library, once `_ssl`'s objects were found to be as described; with the classes of its sessions and of its BIOs,
/// kept for good.
struct Known {
    class: &'static Type,
    bio_class: &'static Type,
    functions: Functions,
}

static KNOWN: Attached<OnceCell<Known>> = Attached::new(OnceCell::new());

/// `SSL_ERROR_WANT_READ`
const WANT_READ: c_int = 2;
/// `SSL_ERROR_ZERO_RETURN`
const ZERO_RETURN: c_int = 6;
/// A record is never longer, encrypted or not.
const MOST_OF_A_RECORD: usize = 18 * 1024;

/// The objects of a connection, as Python has them.
#[derive(Clone, Copy)]
pub(crate) struct Objects<'a> {
    /// `_ssl._SSLSocket`
    pub(crate) socket: &'a Object,
    /// `ssl.SSLContext`
    pub(crate) context: &'a Object,
    /// `ssl.MemoryBIO`
    pub(crate) incoming: &'a Object,
    pub(crate) outgoing: &'a Object,
}

/// From now on the sessions of this one's class are known, if its objects are as described here, and the extension
/// module in that file has the library from elsewhere than from within itself. Asked once; all later answers are the first.
pub(crate) fn know(module: &CStr, probe: Objects<'_>) -> bool {
    if KNOWN.get().is_some() {
        return true;
    }
    let fits = |object: &Object, size: usize| object.class().basic_size() >= size;
    let all_fit = fits(probe.socket, size_of::<SocketHead>())
        && [probe.context, probe.incoming, probe.outgoing].iter().all(|object| fits(object, size_of::<Wrapper>()))
        && ptr::eq(probe.incoming.class(), probe.outgoing.class());
    let Some(functions) = functions_of(module).filter(|_| all_fit) else { return false };
    // SAFETY: all of these objects are long enough.
    if !unsafe { is_as_described(&functions, probe) } {
        return false;
    }
    let [class, bio_class] = [probe.socket, probe.incoming].map(|object| types::keep(object.class()));
    let _ = KNOWN.set(Known { class, bio_class, functions });
    true
}

/// Are the objects of one connection, and are they of the known classes? From now on it is used by [`Session`] as well.
pub(crate) fn take_up(objects: Objects<'_>) -> bool {
    let Objects { socket, context, incoming, outgoing } = objects;
    let (Some(known), Some(session)) = (KNOWN.get(), Session::of(socket, incoming, outgoing)) else { return false };
    // SAFETY: session and BIOs are of the known classes; the context is long enough, as is asked first. Under the session
    // are its own BIOs still, so that nothing was put in front of them.
    context.class().basic_size() >= size_of::<Wrapper>()
        && unsafe { is_as_described(&known.functions, objects) && session.put_in_front() }
}

/// Is that the context that a session has now?
#[inline]
pub(crate) fn has_context(socket: &Object, context: &Field) -> bool {
    let is_known = KNOWN.get().is_some_and(|known| ptr::eq(known.class, socket.class()));
    // SAFETY: an instance of the class whose objects begin so.
    is_known && context.is_at(unsafe { (*socket.as_ptr().cast::<SocketHead>()).context })
}

/// # Safety
/// The objects are as long as their structs.
unsafe fn is_as_described(functions: &Functions, objects: Objects<'_>) -> bool {
    // SAFETY: the caller's contract: these are words of live objects. The word that should be a session is handed to the
    // library only if the words around it are what they should be: NULL, and the address of this very context.
    unsafe {
        let socket = &*objects.socket.as_ptr().cast::<SocketHead>();
        let inner = |object: &Object| (*object.as_ptr().cast::<Wrapper>()).inner;
        let [context, incoming, outgoing] = [objects.context, objects.incoming, objects.outgoing].map(inner);
        socket.socket.is_null()
            && ptr::eq(socket.context, objects.context.as_ptr())
            && [socket.ssl, context, incoming, outgoing].iter().all(|word| !word.is_null())
            && ptr::eq((functions.context_of)(socket.ssl), context)
            && ptr::eq((functions.incoming_of)(socket.ssl), incoming)
            && ptr::eq((functions.outgoing_of)(socket.ssl), outgoing)
    }
}

/// The functions that the extension module in that file has been linked to, if it and its library are loaded.
fn functions_of(module: &CStr) -> Option<Functions> {
    // SAFETY: a NUL-terminated path. What is loaded already is looked at, and stays: the handle is not given back.
    let library = unsafe { libc::dlopen(module.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
    if library.is_null() {
        return None;
    }
    let find = |name: &CStr| {
        // SAFETY: a library that is loaded, and NUL-terminated names.
        let (own, everybodys) =
            unsafe { (libc::dlsym(library, name.as_ptr()), libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr())) };
        // Where the program has a function of that name for all libraries, the module may be linked to that one.
        (!own.is_null() && (everybodys.is_null() || ptr::eq(own, everybodys))).then_some(own)
    };
    // SAFETY: these are the types that the functions of these names have, in all versions of OpenSSL from 1.1.1 on.
    let functions = unsafe {
        Functions {
            context_of: std::mem::transmute::<*mut c_void, Get>(find(c"SSL_get_SSL_CTX")?),
            incoming_of: std::mem::transmute::<*mut c_void, Get>(find(c"SSL_get_rbio")?),
            outgoing_of: std::mem::transmute::<*mut c_void, Get>(find(c"SSL_get_wbio")?),
            read: std::mem::transmute::<*mut c_void, Read>(find(c"SSL_read")?),
            write: std::mem::transmute::<*mut c_void, Write>(find(c"SSL_write")?),
            shut_down: std::mem::transmute::<*mut c_void, ShutDown>(find(c"SSL_shutdown")?),
            shutdown_of: std::mem::transmute::<*mut c_void, Count>(find(c"SSL_get_shutdown")?),
            pending: std::mem::transmute::<*mut c_void, Count>(find(c"SSL_pending")?),
            has_pending: std::mem::transmute::<*mut c_void, Count>(find(c"SSL_has_pending")?),
            error: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*const c_void, c_int) -> c_int>(find(
                c"SSL_get_error",
            )?),
            bio_read: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void, *mut c_void, c_int) -> c_int>(
                find(c"BIO_read")?,
            ),
            bio_write: std::mem::transmute::<
                *mut c_void,
                unsafe extern "C" fn(*mut c_void, *const c_void, c_int) -> c_int,
            >(find(c"BIO_write")?),
            bio_pending: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void) -> usize>(find(
                c"BIO_ctrl_pending",
            )?),
        }
    };
    front::know(find).then_some(functions)
}

/// How reading has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// There is no more now.
    NotNow,
    /// The memory is full.
    Full,
    /// The peer has said that nothing will come any more.
    Closed,
    /// The library has something to say of it. It keeps that until `_ssl`'s method is called, which raises it.
    Failed,
}

/// A session with its own BIOs, for as long as the Python objects that own them are held.
#[derive(Clone, Copy)]
pub(crate) struct Session<'a> {
    ssl: NonNull<c_void>,
    incoming: *mut c_void,
    outgoing: *mut c_void,
    functions: &'a Functions,
    objects: PhantomData<&'a Object>,
}

impl<'a> Session<'a> {
    /// Of objects that were taken up.
    #[inline]
    pub(crate) fn of(socket: &'a Object, incoming: &'a Object, outgoing: &'a Object) -> Option<Self> {
        let known = KNOWN.get().filter(|known| {
            ptr::eq(known.class, socket.class())
                && [incoming, outgoing].into_iter().all(|bio| ptr::eq(known.bio_class, bio.class()))
        })?;
        // SAFETY: instances of classes whose objects begin so.
        unsafe {
            let inner = |bio: &Object| (*bio.as_ptr().cast::<Wrapper>()).inner;
            Some(Session {
                ssl: NonNull::new((*socket.as_ptr().cast::<SocketHead>()).ssl)?,
                incoming: inner(incoming),
                outgoing: inner(outgoing),
                functions: &known.functions,
                objects: PhantomData,
            })
        }
    }

    /// How many bytes of ciphertext have come that were not looked at yet.
    #[inline]
    pub(crate) fn incoming_size(self) -> usize {
        // SAFETY: a live session's BIO.
        unsafe { (self.functions.bio_pending)(self.incoming) }
    }

    /// How many bytes of ciphertext are to be sent.
    #[inline]
    pub(crate) fn outgoing_size(self) -> usize {
        // SAFETY: a live session's BIO.
        unsafe { (self.functions.bio_pending)(self.outgoing) }
    }

    /// Ciphertext that has come. False if there is no memory for it.
    #[inline]
    pub(crate) fn feed(self, ciphertext: &[u8]) -> bool {
        let length = c_int::try_from(ciphertext.len()).unwrap_or(c_int::MAX);
        // SAFETY: a live session's BIO, that copies memory of that length.
        unsafe { (self.functions.bio_write)(self.incoming, ciphertext.as_ptr().cast(), length) == length }
    }

    /// Has the library something of a record, or a whole one, that it has not handed out?
    fn has_begun(self) -> bool {
        // SAFETY: a live session.
        unsafe { (self.functions.has_pending)(self.ssl.as_ptr()) != 0 }
    }

    /// As many bytes of plaintext come out of what there is, at most, unless they were compressed.
    fn most(self) -> usize {
        // SAFETY: a live session.
        let ready = unsafe { (self.functions.pending)(self.ssl.as_ptr()) };
        let begun = if self.has_begun() { MOST_OF_A_RECORD } else { 0 };
        self.incoming_size() + usize::try_from(ready).unwrap_or(0) + begun
    }

    /// Decrypts into the memory, until it is full or nothing more is there; `waiting` says how much ciphertext is.
    ///
    /// # Safety
    /// Memory of that length that nobody else looks at.
    unsafe fn read(self, start: *mut u8, length: usize, waiting: &impl Fn() -> usize) -> (usize, End) {
        let mut count = 0;
        loop {
            if count == length {
                return (count, End::Full);
            }
            let room = c_int::try_from(length - count).unwrap_or(c_int::MAX);
            // SAFETY: a live session, held by the caller, and the rest of the memory.
            let read =
                enter::entered(|| unsafe { (self.functions.read)(self.ssl.as_ptr(), start.add(count).cast(), room) });
            match usize::try_from(read) {
                Ok(more) if more > 0 => count += more,
                // SAFETY: the session, and what its last call has returned.
                _ => match unsafe { (self.functions.error)(self.ssl.as_ptr(), read) } {
                    WANT_READ => return (count, End::NotNow),
                    ZERO_RETURN => return (count, End::Closed),
                    _ => return (count, End::Failed),
                },
            }
            // Full memory is full, as for asyncio, also if that was all.
            if count < length && waiting() == 0 && !self.has_begun() {
                return (count, End::NotNow);
            }
        }
    }

    /// Decrypts all there is, into a `bytes`.
    pub(crate) fn read_all(self) -> Res<(Option<Owned>, End)> {
        self.read_all_likely(self.most(), || self.incoming_size())
    }

    /// The same where it is likely to be so much.
    #[inline]
    fn read_all_likely(self, length: usize, waiting: impl Fn() -> usize) -> Res<(Option<Owned>, End)> {
        let mut made = NewBytes::of_length(length.max(1))?;
        let mut count = 0;
        loop {
            let memory = &mut made.memory()[count..];
            // SAFETY: the rest of a `bytes` that only we know.
            let (more, end) = unsafe { self.read(memory.as_mut_ptr().cast(), memory.len(), &waiting) };
            count += more;
            if end != End::Full || (waiting() == 0 && !self.has_begun()) {
                // SAFETY: the library has written that much.
                let bytes = if count == 0 { None } else { Some(unsafe { made.shortened(count)? }) };
                return Ok((bytes, if end == End::Full { End::NotNow } else { end }));
            }
            // SAFETY: as before.
            made = unsafe { made.lengthened(count, count + (self.most() + waiting()).max(count))? };
        }
    }

    /// Decrypts into memory that an object has lent for it.
    pub(crate) fn read_into(self, memory: &Buffer) -> (usize, End) {
        // SAFETY: memory of that length that may be written to.
        unsafe { self.read(memory.start(), memory.len(), &|| self.incoming_size()) }
    }

    /// Encrypts the piece; of how many of its bytes that was done.
    pub(crate) fn write(self, piece: &Held) -> usize {
        let mut count = 0;
        while count < piece.len() {
            let length = c_int::try_from(piece.len() - count).unwrap_or(c_int::MAX);
            // SAFETY: a live session, held by the caller, and a piece that is held, and so memory of that length.
            let written = enter::entered(|| unsafe {
                (self.functions.write)(self.ssl.as_ptr(), piece.start().add(count).cast(), length)
            });
            match usize::try_from(written) {
                Ok(more) if more > 0 => count += more,
                _ => break,
            }
        }
        count
    }

    /// Says that nothing will be sent any more, where nothing has come that could be the peer's answer. False if that is
    /// left to `_ssl`'s method, which finds all as it was.
    pub(crate) fn says_last(self) -> bool {
        // SAFETY: a live session.
        let is_told = unsafe { (self.functions.shutdown_of)(self.ssl.as_ptr()) } != 0;
        // SAFETY: a live session, held by the caller. 0: it was said, and the answer is to come.
        !is_told
            && self.incoming_size() == 0
            && !self.has_begun()
            && enter::entered(|| unsafe { (self.functions.shut_down)(self.ssl.as_ptr()) }) == 0
    }

    /// Takes the ciphertext that is to be sent; an empty `bytes` if there is none.
    #[inline]
    pub(crate) fn take_outgoing(self) -> Res<Owned> {
        let size = c_int::try_from(self.outgoing_size()).unwrap_or(c_int::MAX);
        let mut made = NewBytes::of_length(usize::try_from(size).unwrap_or(0))?;
        // SAFETY: a live session's BIO, and the memory of a `bytes` of that length; of which as much was written as it says.
        unsafe {
            let read = (self.functions.bio_read)(self.outgoing, made.memory().as_mut_ptr().cast(), size);
            let read = usize::try_from(read).unwrap_or(0);
            made.shortened(read)
        }
    }
}
