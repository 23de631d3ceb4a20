//! What builds with debug assertions check of the contracts that the unsafe layer relies on (cargo profile `checked`).
//! Builds for users have none of it.

use pyo3::ffi;

/// Makes a failed assertion, and any other panic, end the process: a slot would turn it into an exception, which a test
/// may expect for another reason or nobody may see. Later calls change nothing.
pub(crate) fn end_process_on_panic() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            print(panic);
            std::process::abort();
        }));
    });
}

/// Is the thread attached to an interpreter? (Always true once there is a sub-interpreter, for want of knowledge.)
pub(crate) fn is_attached() -> bool {
    // SAFETY: no precondition.
    unsafe { ffi::PyGILState_Check() != 0 }
}

/// Is it a live object, i.e. one that somebody holds a reference to?
pub(crate) fn is_alive(object: *mut ffi::PyObject) -> bool {
    // SAFETY: the callers have a pointer to an object.
    unsafe { ffi::Py_REFCNT(object) > 0 }
}

/// Is a dead object's memory as its allocation made it: all zeroes, but for the head and the bytes that it keeps?
pub(crate) fn is_blank(memory: *mut ffi::PyObject, keeps: fn(usize) -> bool) -> bool {
    // SAFETY: memory of an object whose type is still there, which says how long it is.
    let bytes = unsafe {
        let size = usize::try_from((*ffi::Py_TYPE(memory)).tp_basicsize).unwrap_or(0);
        std::slice::from_raw_parts(memory.cast::<u8>(), size)
    };
    let head = size_of::<ffi::PyObject>();
    bytes.iter().enumerate().skip(head).all(|(place, byte)| *byte == 0 || keeps(place))
}
