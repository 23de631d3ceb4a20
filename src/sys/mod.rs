//! The unsafe layer: CPython's C API with owned and borrowed references as different types.
//!
//! Nothing in here knows of asyncio. What the rest of the crate relies on:
//!
//! * `&T` with `T: Layout` is a *borrowed* reference, [`Owned<T>`] a counted one, [`Field<T>`] a nullable counted one
//!   inside an object. An object's fields are only ever touched through cells, so Python code that re-enters an object
//!   while Rust looks at it is no aliasing violation; it is the caller's duty to hold its own [`Owned`] of whatever it
//!   still needs after a call that can run Python.
//! * Everything happens while the thread is attached to the interpreter (holds the GIL): the types here are neither
//!   `Send` nor `Sync`, and statics that hold Python objects are only reached from slots and module functions.
//! * `Err(`[`Raised`]`)` means that the thread's error indicator is set, exactly as a NULL return means it in C.
//! * No panic leaves a slot: the trampolines of [`slots`] turn one into `SystemError`.
//!
//! docs/safety.md has all of it, with who upholds what, and the tests.

#![allow(unsafe_code)] // nowhere else but in the items that expect it, which tests/hardening/test_unsafe.py lists

#[cfg(target_os = "linux")]
pub(crate) mod addresses;
pub(crate) mod adopt;
#[cfg(target_os = "linux")]
pub(crate) mod aio;
pub(crate) mod args;
pub(crate) mod assertions;
pub(crate) mod attached;
pub(crate) mod audit;
#[cfg(Py_3_12)]
pub(crate) mod byte_array;
pub(crate) mod bytes;
pub(crate) mod call;
pub(crate) mod clock;
pub(crate) mod compat;
pub(crate) mod containers;
pub(crate) mod context;
pub(crate) mod debug_section;
pub(crate) mod deque;
pub(crate) mod dict_entries;
mod enter;
pub(crate) mod error;
pub(crate) mod field;
mod floats;
pub(crate) mod foreign_fields;
#[cfg(Py_3_12)]
pub(crate) mod frame;
pub(crate) mod freelist;
#[cfg(Py_3_12)]
pub(crate) mod function_state;
pub(crate) mod gc;
pub(crate) mod instance;
pub(crate) mod instance_values;
pub(crate) mod intern;
pub(crate) mod interpreter_fields;
pub(crate) mod iter;
mod kept_bytes;
pub(crate) mod lazy;
pub(crate) mod life;
pub(crate) mod list;
pub(crate) mod memory;
pub(crate) mod native_function;
pub(crate) mod object;
#[cfg(target_os = "linux")]
pub(crate) mod openssl;
pub(crate) mod os_error;
pub(crate) mod panics;
pub(crate) mod part;
pub(crate) mod per_thread;
#[cfg(target_os = "linux")]
pub(crate) mod pipes;
#[cfg(Py_3_12)]
pub(crate) mod python_function;
pub(crate) mod raised;
#[cfg(all(Py_3_12, target_os = "linux"))]
pub(crate) mod receive_behind;
#[cfg(Py_3_12)]
pub(crate) mod recursion;
pub(crate) mod search;
pub(crate) mod slots;
#[cfg(Py_3_12)]
mod small_int;
#[cfg(target_os = "linux")]
pub(crate) mod socket_objects;
#[cfg(target_os = "linux")]
pub(crate) mod sockets;
#[cfg(all(Py_3_12, not(Py_3_15)))]
mod spare_memory;
#[cfg(Py_3_12)]
mod stop_iteration;
pub(crate) mod threads;
#[cfg(Py_3_12)]
pub(crate) mod tools;
pub(crate) mod trash;
pub(crate) mod type_name;
pub(crate) mod typeobj;
pub(crate) mod types;
pub(crate) mod visible;
pub(crate) mod watch;
pub(crate) mod weak;

pub(crate) use field::{Field, Flags};
pub(crate) use object::{Layout, Object, Owned, Type};
pub(crate) use raised::{Raised, Res};

use pyo3::Python;

/// The proof of attachment that `PyO3`'s safe API asks for.
pub(crate) fn py() -> Python<'static> {
    // SAFETY: this crate's code runs only inside slots, module functions and the module's initialisation, which
    // CPython calls with the thread attached (see the module's contract); the token never leaves the call.
    unsafe { Python::assume_attached() }
}

/// Is the interpreter that the thread is attached to the one that [`make_home`] was called in? Their numbers do not tell:
/// one that is made after the first was finalised has the same.
pub(crate) fn is_home() -> Res<bool> {
    let Some(dict) = interpreter_dictionary() else { return Ok(false) };
    // A new string: what was interned in an interpreter that is gone is gone with it.
    Ok(containers::dict_get(dict, &*containers::string(HOME_MARK)?)?.is_some())
}

/// Marks the interpreter as the one that all objects in statics belong to.
pub(crate) fn make_home() -> Res<()> {
    let none = || error::raise(error::Builtin::RuntimeError.class(), c"the interpreter has no dictionary");
    let dict = interpreter_dictionary().ok_or_else(none)?;
    containers::dict_set(dict, &*containers::string(HOME_MARK)?, object::none())
}

const HOME_MARK: &std::ffi::CStr = c"rasyncio";

/// A borrowed reference to what extension modules may keep for an interpreter; there is none when memory is short.
fn interpreter_dictionary() -> Option<&'static Object> {
    // SAFETY: the thread is attached, so there is an interpreter, which keeps the dictionary; or NULL.
    unsafe { Object::from_nullable(pyo3::ffi::PyInterpreterState_GetDict(pyo3::ffi::PyInterpreterState_Get())) }
}
