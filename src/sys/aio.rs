//! Requests to Linux to say, in memory, when a descriptor becomes readable: `io_setup(2)` with `IOCB_CMD_POLL`.
//!
//! The kernel completes such a request inside of the wake-up that makes the descriptor readable. So when the system call
//! of whoever has done that returns, in any process, the completion can be read here, without a system call. (An
//! `io_uring` would do it a little later: by an interrupt of the thread that made the request. And containers refuse it.)
//!
//! A [`Queue`] is of the process that made it. To give one back to the system takes it tens of milliseconds; so they are
//! kept for others to use.

use std::ffi::{c_int, c_long};
use std::io::Error;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

/// `struct aio_ring`: the part of the kernel's memory for completions that says whether there are any.
#[repr(C)]
#[allow(dead_code)] // the kernel's layout
struct Ring {
    id: u32,
    length: u32,
    head: AtomicU32,
    tail: AtomicU32,
    magic: u32,
    compatible_features: u32,
    incompatible_features: u32,
    header_length: u32,
}

/// `struct iocb`, whose order of `key` and `flags` is that of a little-endian machine; both are zero.
#[repr(C)]
#[derive(Default)]
#[allow(dead_code)] // the kernel's layout
struct Request {
    data: u64,
    key: u32,
    flags: u32,
    operation: u16,
    priority: i16,
    fd: u32,
    events: u64,
    length: u64,
    offset: i64,
    reserved: u64,
    more_flags: u32,
    eventfd: u32,
}

const MAGIC: u32 = 0xa10a_10a1;
const POLL: u16 = 5;
const READABLE: u64 = 1;

/// A queue of completions; one request at a time.
pub(crate) struct Queue {
    /// Where the kernel has put its ring; by this it also knows the queue.
    context: usize,
    /// [`FORKS`] when it was made.
    forks: u32,
}

/// How often a process has become another one by forking, on the way here.
static FORKS: AtomicU32 = AtomicU32::new(0);
/// Queues that nobody uses.
static SPARE: Mutex<Vec<Queue>> = Mutex::new(Vec::new());

impl Queue {
    /// A queue without a request; the number of the error if the system has none to give.
    pub(crate) fn new() -> Result<Queue, c_int> {
        if !count_forks() {
            return Err(libc::ENOMEM);
        }
        while let Some(queue) = SPARE.try_lock().ok().and_then(|mut spare| spare.pop()) {
            if queue.is_mine() {
                return Ok(queue);
            }
        }
        let mut context = 0_usize;
        // SAFETY: the call writes the address of the queue, or fails.
        if unsafe { libc::syscall(libc::SYS_io_setup, 1 as c_long, &raw mut context) } != 0 {
            return Err(last_error());
        }
        let queue = Queue { context, forks: FORKS.load(Ordering::Relaxed) };
        let ring = queue.ring();
        if ring.magic != MAGIC || ring.incompatible_features != 0 {
            // SAFETY: it was just made.
            unsafe { libc::syscall(libc::SYS_io_destroy, context) };
            return Err(libc::ENOSYS);
        }
        Ok(queue)
    }

    /// Is this process the one that has made it? A forked child has but a look at its parent's.
    #[inline]
    pub(crate) fn is_mine(&self) -> bool {
        self.forks == FORKS.load(Ordering::Relaxed)
    }

    fn ring(&self) -> &Ring {
        // SAFETY: the kernel has mapped the ring there, for as long as there is the queue: nobody destroys one. A forked
        // child inherits the mapping. Other threads, and the kernel, touch nothing of it but the two atomic numbers.
        unsafe { &*std::ptr::with_exposed_provenance::<Ring>(self.context) }
    }

    /// Requests a completion for when the descriptor is readable, or is now.
    pub(crate) fn request(&self, fd: BorrowedFd<'_>) -> Result<(), c_int> {
        let request =
            Request { operation: POLL, fd: fd.as_raw_fd().unsigned_abs(), events: READABLE, ..Request::default() };
        let requests = [&raw const request];
        // SAFETY: the kernel copies the request (and, on its own copy's behalf, writes nothing but `key`, into a request
        // that is not used again), and holds the file itself.
        match unsafe { libc::syscall(libc::SYS_io_submit, self.context, 1 as c_long, requests.as_ptr()) } {
            1 => Ok(()),
            _ => Err(last_error()),
        }
    }

    /// Is there a completion?
    #[inline]
    pub(crate) fn is_complete(&self) -> bool {
        let ring = self.ring();
        ring.tail.load(Ordering::Acquire) != ring.head.load(Ordering::Relaxed)
    }

    /// Throws the completions away. Of a process's own queue, by one thread at a time.
    pub(crate) fn empty(&self) {
        let ring = self.ring();
        ring.head.store(ring.tail.load(Ordering::Acquire), Ordering::Release);
    }

    /// Gives the queue to whoever wants one next. There must be no request without a completion.
    pub(crate) fn give_back(self) {
        self.empty();
        if let Ok(mut spare) = SPARE.try_lock() {
            spare.push(self);
        }
    }
}

fn last_error() -> c_int {
    Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)
}

/// Has every child count that it is one, from now on; false if there is no memory for that.
fn count_forks() -> bool {
    unsafe extern "C" {
        // In every libc of Linux; the crate does not declare it.
        fn pthread_atfork(
            prepare: Option<extern "C" fn()>,
            parent: Option<extern "C" fn()>,
            child: Option<extern "C" fn()>,
        ) -> c_int;
    }
    extern "C" fn in_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
    static COUNTED: OnceLock<bool> = OnceLock::new();
    // SAFETY: the function does nothing that a forked child may not, and extension modules are never unloaded.
    *COUNTED.get_or_init(|| unsafe { pthread_atfork(None, None, Some(in_child)) } == 0)
}
