//! Fields of the interpreter's own: in the state of each thread two references side by side and a list, and in its own
//! state the list that takes over what is left in that of a thread that ends. (CPython 3.14 on has them for asyncio.)
//!
//! No header says where they are. [`settle`] is told, and believes it only if a state that it makes for the purpose has
//! them there, and if they go the way that they should when it ends. Until then, and if it fails, there are none.
//!
//! Up to 3.14.8 and in 3.15.0 a thread's state that is cleared hands its list on before all the rest: what finalisers link
//! then would stay in a list that is gone (gh-159041). There only the main thread's objects are linked into its own list,
//! whose state does not end before the interpreter does; those of others are linked into the interpreter's at once.
//!
//! A thread's fields are good for as long as it runs. Those of others are looked at while the thread is attached and
//! nothing else runs: a thread that ends leaves the interpreter's list of threads while it is attached.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::ffi;

use super::attached::Attached;
use super::list::{List, Node};
use super::threads::Thread;
use super::{Field, Layout, containers, error};

/// The two references.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Fields {
    pub(crate) first: Field,
    pub(crate) second: Field,
}

/// Where something should be, in bytes from the beginning of what it is in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offsets {
    pub(crate) thread_size: usize,
    pub(crate) first: usize,
    pub(crate) second: usize,
    pub(crate) list: usize,
    pub(crate) interpreter_size: usize,
    pub(crate) interpreter_list: usize,
}

/// Zero: not known.
static FIELDS: AtomicUsize = AtomicUsize::new(0);
static LIST: AtomicUsize = AtomicUsize::new(0);
/// The same, but zero where only the main thread may link into its own.
static LIST_OF_ALL: AtomicUsize = AtomicUsize::new(0);
static INTERPRETER_LIST: AtomicUsize = AtomicUsize::new(0);
static MAIN_THREAD: Attached<Cell<Option<Thread>>> = Attached::new(Cell::new(None));

/// The calling thread's.
#[inline]
pub(crate) fn here() -> Option<&'static Fields> {
    // SAFETY: attached, so there is a state of the thread; `settle` has found them there.
    place(&FIELDS, || unsafe { ffi::PyThreadState_Get() })
}

/// The calling thread's list, if all that the thread has linked is in it.
#[inline]
pub(crate) fn list_here() -> Option<&'static List> {
    // SAFETY: as in `here`.
    place(&LIST_OF_ALL, || unsafe { ffi::PyThreadState_Get() })
}

/// The list that the calling thread may link into.
#[inline]
pub(crate) fn list_for_new() -> Option<&'static List> {
    list_here().or_else(list_for_new_here)
}

#[cold]
fn list_for_new_here() -> Option<&'static List> {
    if MAIN_THREAD.get() == Some(Thread::current()) {
        // SAFETY: as in `here`.
        place(&LIST, || unsafe { ffi::PyThreadState_Get() })
    } else {
        list_left()
    }
}

/// The interpreter's list.
fn list_left() -> Option<&'static List> {
    // SAFETY: attached, so there is an interpreter, in which `settle` has found the list.
    place(&INTERPRETER_LIST, || unsafe { ffi::PyInterpreterState_Get() })
}

/// Those of all threads. Nothing may run while the iterator is in use.
pub(crate) fn everywhere() -> impl Iterator<Item = &'static Fields> {
    states().filter_map(|state| place(&FIELDS, || state))
}

/// The lists of all threads, and the interpreter's, which has what is left of threads that have ended. Nothing may run
/// while the iterator is in use.
pub(crate) fn lists() -> impl Iterator<Item = &'static List> {
    states().filter_map(|state| place(&LIST, || state)).chain(list_left())
}

#[inline]
fn place<T, S>(offset: &AtomicUsize, state: impl FnOnce() -> *mut S) -> Option<&'static T> {
    if !cfg!(Py_3_14) {
        return None;
    }
    match offset.load(Ordering::Relaxed) {
        0 => None,
        // SAFETY: a live state, in which `settle` has found a `T` at the offset.
        offset => Some(unsafe { &*state().byte_add(offset).cast() }),
    }
}

/// The interpreter's threads.
fn states() -> impl Iterator<Item = *mut ffi::PyThreadState> {
    // SAFETY: attached, so there is an interpreter, which has this thread.
    let first = unsafe { ffi::PyInterpreterState_ThreadHead(ffi::PyInterpreterState_Get()) };
    let some = |state: *mut ffi::PyThreadState| (!state.is_null()).then_some(state);
    // SAFETY: a live state; none ends while this thread is attached.
    std::iter::successors(some(first), move |state| some(unsafe { ffi::PyThreadState_Next(*state) }))
}

/// Uses the fields from now on, if they are there; else says what does not fit. To be called before anything uses them.
pub(crate) fn settle(told: Offsets, main: Thread) -> Result<(), &'static str> {
    check_bounds(told)?;
    if !interpreter_has_size(told.interpreter_size) {
        return Err("it is not that of the interpreter that runs");
    }
    let handed_on = try_out(told)?;
    FIELDS.store(told.first, Ordering::Relaxed);
    LIST.store(told.list, Ordering::Relaxed);
    if handed_on == HandedOn::Last {
        LIST_OF_ALL.store(told.list, Ordering::Relaxed);
    }
    INTERPRETER_LIST.store(told.interpreter_list, Ordering::Relaxed);
    MAIN_THREAD.set(Some(main));
    Ok(())
}

/// Has the running interpreter a state of this size? It says so itself, to debuggers, in the first words of its runtime
/// (`_Py_DebugOffsets`, the same from 3.13 on): a mark, the version, whether it has a GIL, three numbers, and that size.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn interpreter_has_size(size: usize) -> bool {
    const MARK: u64 = u64::from_ne_bytes(*b"xdebugpy");
    // SAFETY: a NUL-terminated name; a symbol of that name is the interpreter's, which is longer than seven words.
    unsafe {
        let runtime = libc::dlsym(libc::RTLD_DEFAULT, c"_PyRuntime".as_ptr()).cast::<[u64; 7]>().as_ref();
        runtime.is_some_and(|&[mark, version, free_threaded, .., told]| {
            mark == MARK && version == ffi::Py_Version && free_threaded == 0 && usize::try_from(told) == Ok(size)
        })
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
fn interpreter_has_size(_size: usize) -> bool {
    false
}

/// Inside of the states, aligned, and the fields of a thread near to each other and in the order that they have in all
/// versions: what is beside them does no harm to anybody when it is tried out.
fn check_bounds(told: Offsets) -> Result<(), &'static str> {
    const POINTER: usize = size_of::<usize>();
    const LARGEST: usize = 1 << 24;
    let Offsets { thread_size, first, second, list, interpreter_size, interpreter_list } = told;
    let aligned = [first, second, list, interpreter_list].iter().all(|offset| offset % POINTER == 0);
    let inside = thread_size < LARGEST
        && interpreter_size < LARGEST
        && first >= POINTER
        && list <= thread_size.saturating_sub(size_of::<List>())
        && interpreter_list >= POINTER
        && interpreter_list <= interpreter_size.saturating_sub(size_of::<List>());
    let beside =
        first < LARGEST && second == first + POINTER && (second + POINTER..=first + 4 * POINTER).contains(&list);
    if aligned && inside && beside { Ok(()) } else { Err("the numbers in it are not possible") }
}

/// When a thread's list is handed on to the interpreter.
#[derive(PartialEq, Eq)]
enum HandedOn {
    /// When all else of the state is cleared.
    Last,
    /// While finalisers are still to run.
    Early,
}

/// Makes a state for no thread, looks whether the fields are new, puts something into each, and ends it: the references
/// must be given up, and what is in the list must be in the interpreter's then.
fn try_out(told: Offsets) -> Result<HandedOn, &'static str> {
    static NODE: Attached<Node> = Attached::new(Node::unlinked());
    const NO_MEMORY: &str = "memory is short";

    let lists = (containers::new_list(), containers::new_list());
    let (Ok(first), Ok(second)) = lists else {
        for failed in [lists.0.err(), lists.1.err()].into_iter().flatten() {
            drop(error::fetch(failed));
        }
        return Err(NO_MEMORY);
    };
    // SAFETY: attached, so there is an interpreter. The new state is no thread's, and is ended here, by which no Python
    // code runs: it has only what is put into it. The offsets are inside of both states (`check_bounds`), whose sizes
    // were told together: the one that can be asked for is right (`settle`).
    unsafe {
        let interpreter = ffi::PyInterpreterState_Get();
        let state = ffi::PyThreadState_New(interpreter);
        if state.is_null() {
            return Err(NO_MEMORY);
        }
        let fields: &'static Fields = &*state.byte_add(told.first).cast();
        let list: &'static List = &*state.byte_add(told.list).cast();
        let left: &'static List = &*interpreter.byte_add(told.interpreter_list).cast();
        if fields.first.is_set() || fields.second.is_set() || !list.is_empty() {
            ffi::PyThreadState_Clear(state);
            ffi::PyThreadState_Delete(state);
            return Err("what it says is not there");
        }
        fields.first.fill(first.own());
        fields.second.fill(second.own());
        list.append(&NODE);
        ffi::PyThreadState_Clear(state);
        let given_up = !fields.first.is_set() && first.is_only_reference() && second.is_only_reference();
        let stays = list.ends_with(&NODE);
        if !given_up {
            fields.first.clear();
            fields.second.clear();
        }
        ffi::PyThreadState_Delete(state);
        if !left.ends_with(&NODE) {
            // Its neighbours are gone, or are not known.
            NODE.forget();
            return Err("what it says is not used so");
        }
        NODE.unlink();
        match (given_up, stays) {
            (true, true) => Ok(HandedOn::Last),
            (true, false) => Ok(HandedOn::Early),
            (false, _) => Err("what it says is not used so"),
        }
    }
}
