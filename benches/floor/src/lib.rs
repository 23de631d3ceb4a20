//! The least that can drive coroutines: the floor under every implementation of asyncio. For benchmarks only.
//!
//! There is one kind of awaitable, [`future::Future`], a task if it owns a coroutine, and one queue of what is ready,
//! in [`event_loop`]. The garbage collector knows of nothing here. There is one state for the whole process: one loop at
//! a time, in one thread. CPython calls every function with the GIL held.

mod event_loop;
mod future;

use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::ffi::{CStr, c_int, c_uint};
use std::ptr;

use pyo3_ffi as ffi;

use event_loop::Entry;
use future::Future;

/// A reference, borrowed unless something else is said.
type Object = *mut ffi::PyObject;

/// All state.
struct Floor {
    ready: VecDeque<Entry>,
    /// Memory of dead futures, never given back.
    spare: Vec<*mut Future>,
    future_type: *mut ffi::PyTypeObject,
    /// The loop and the task that run; whoever runs them has the references.
    running: Object,
    current: Object,
    /// The exception that hands over results, used again and again.
    stop: *mut ffi::PyStopIterationObject,
    /// Two names, for futures that are not ours.
    blocking: Object,
    add_done_callback: Object,
}

struct Global(UnsafeCell<Floor>);

// SAFETY: only `floor` reaches it, with the GIL held.
unsafe impl Sync for Global {}

static FLOOR: Global = Global(UnsafeCell::new(Floor {
    ready: VecDeque::new(),
    spare: Vec::new(),
    future_type: ptr::null_mut(),
    running: ptr::null_mut(),
    current: ptr::null_mut(),
    stop: ptr::null_mut(),
    blocking: ptr::null_mut(),
    add_done_callback: ptr::null_mut(),
}));

/// Lets `work` look at the state or change it. It must neither run Python code nor call this function.
fn floor<R>(work: impl FnOnce(&mut Floor) -> R) -> R {
    // SAFETY: the GIL is held, and by the rule above this is the only reference to the state.
    work(unsafe { &mut *FLOOR.0.get() })
}

/// A new reference.
fn own(object: Object) -> Object {
    // SAFETY: all callers have a live object.
    unsafe { ffi::Py_NewRef(object) }
}

/// A new reference to `None`.
fn none() -> Object {
    // SAFETY: always there.
    own(unsafe { ffi::Py_None() })
}

/// Raises `RuntimeError`.
fn refuse(text: &CStr) -> Object {
    // SAFETY: a string, which CPython copies.
    unsafe { ffi::PyErr_SetString(ffi::PyExc_RuntimeError, text.as_ptr()) };
    ptr::null_mut()
}

/// Entries and the zeroed one that ends them, never freed.
fn table<T: Default>(entries: impl IntoIterator<Item = T>) -> *mut T {
    entries.into_iter().chain([T::default()]).collect::<Vec<_>>().leak().as_mut_ptr()
}

/// A method without arguments (`METH_NOARGS`) or with one (`METH_O`).
fn plain(name: &'static CStr, ml_flags: c_int, function: ffi::PyCFunction) -> ffi::PyMethodDef {
    let ml_meth = ffi::PyMethodDefPointer { PyCFunction: function };
    ffi::PyMethodDef { ml_name: name.as_ptr(), ml_meth, ml_flags, ml_doc: ptr::null() }
}

/// A method with any arguments. Keywords (context, name) are of no interest to any of them.
fn keywords(name: &'static CStr, function: ffi::PyCFunctionFastWithKeywords) -> ffi::PyMethodDef {
    let ml_meth = ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: function };
    let ml_flags = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
    ffi::PyMethodDef { ml_name: name.as_ptr(), ml_meth, ml_flags, ml_doc: ptr::null() }
}

/// A new type, or NULL with an exception.
fn new_type<T>(name: &'static CStr, slots: impl IntoIterator<Item = ffi::PyType_Slot>) -> Object {
    let basicsize = c_int::try_from(size_of::<T>()).expect("an object is small");
    let flags = c_uint::try_from(ffi::Py_TPFLAGS_DEFAULT).expect("flags have 32 bits");
    let mut spec = ffi::PyType_Spec { name: name.as_ptr(), basicsize, itemsize: 0, flags, slots: table(slots) };
    // SAFETY: a complete description, whose tables are never freed.
    unsafe { ffi::PyType_FromSpec(&raw mut spec) }
}

/// For everything that asks whether: no.
unsafe extern "C" fn no(_: Object, _: Object) -> Object {
    // SAFETY: always there.
    own(unsafe { ffi::Py_False() })
}

/// `current_task(loop=None)`
unsafe extern "C" fn current_task(_: Object, _: *const Object, _: ffi::Py_ssize_t, _: Object) -> Object {
    let task = floor(|floor| floor.current);
    if task.is_null() { none() } else { own(task) }
}

/// `_get_running_loop()`
unsafe extern "C" fn maybe_running_loop(_: Object, _: Object) -> Object {
    let event_loop = floor(|floor| floor.running);
    if event_loop.is_null() { none() } else { own(event_loop) }
}

/// `get_running_loop()`
unsafe extern "C" fn running_loop(_: Object, _: Object) -> Object {
    let event_loop = floor(|floor| floor.running);
    if event_loop.is_null() { refuse(c"no running event loop") } else { own(event_loop) }
}

/// Makes the module.
///
/// # Safety
/// For CPython's import only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn PyInit__floor() -> Object {
    let definition = ffi::PyModuleDef {
        m_base: ffi::PyModuleDef_HEAD_INIT,
        m_name: c"_floor".as_ptr(),
        m_doc: ptr::null(),
        m_size: -1,
        m_methods: table([
            keywords(c"current_task", current_task),
            plain(c"_get_running_loop", ffi::METH_NOARGS, maybe_running_loop),
            plain(c"get_running_loop", ffi::METH_NOARGS, running_loop),
        ]),
        m_slots: ptr::null_mut(),
        m_traverse: None,
        m_clear: None,
        m_free: None,
    };
    // SAFETY: the definition and the names are never freed; what fails gives NULL or -1, with an exception set.
    unsafe {
        let module = ffi::PyModule_Create(Box::leak(Box::new(definition)));
        let future_type = future::new_type();
        floor(|floor| floor.future_type = future_type.cast());
        let blocking = ffi::PyUnicode_InternFromString(c"_asyncio_future_blocking".as_ptr());
        floor(|floor| floor.blocking = blocking);
        let add_done_callback = ffi::PyUnicode_InternFromString(c"add_done_callback".as_ptr());
        floor(|floor| floor.add_done_callback = add_done_callback);
        let complete = !module.is_null()
            && ffi::PyModule_AddObjectRef(module, c"Future".as_ptr(), future_type) == 0
            && ffi::PyModule_AddObjectRef(module, c"Loop".as_ptr(), event_loop::new_type()) == 0;
        if complete { module } else { ptr::null_mut() }
    }
}
