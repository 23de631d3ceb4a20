//! `rasyncio._asyncio`: CPython's `_asyncio`, that is asyncio's Future and Task, in Rust.
//!
//! The layers, from the ground up; each uses those below it, never one above (`tests/tools/test_layers.py`):
//!
//! * [`sys`]: CPython's C API, made safe; knows nothing of asyncio. [`io`]: waiting for file descriptors; knows nothing
//!   of Python.
//! * [`asyncio`], [`names`], [`versions`]: what we look up in the `asyncio` package, by which names, and how it differs
//!   between versions. [`histogram`]: how long things take. [`job`]: a piece of work for a loop.
//! * [`handle`]: a piece of work as a Python object. [`state`]: running loop and current task of each thread, and the
//!   tasks that exist.
//! * [`event_loop`]: our own event loop.
//! * [`sched`]: handing work to any event loop. [`watchdog`]: which steps block their loop.
//! * [`future`]: Future and its iterator.
//! * [`task`]: Task; read this one to learn how a coroutine is driven. `net`: moving bytes natively, on Linux.
//! * `graft`, `chain`, `group`, `streams`, `sync`, `time`: native code behind functions that asyncio has in Python, from 3.12 on.
//! * [`module`]: the functions of the module, and the loop's type.

mod asyncio;
#[cfg(Py_3_12)]
mod chain;
mod event_loop;
mod future;
#[cfg(Py_3_12)]
mod graft;
#[cfg(Py_3_12)]
mod group;
mod handle;
mod histogram;
mod io;
mod job;
mod module;
mod names;
#[cfg(target_os = "linux")]
mod net;
mod replaced;
mod sched;
mod state;
#[cfg(Py_3_12)]
mod streams;
#[cfg(Py_3_12)]
mod sync;
mod sys;
mod task;
#[cfg(Py_3_12)]
mod time;
mod versions;
mod watchdog;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// The module as it was first made.
static FIRST: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

/// Accelerator module for asyncio
#[pymodule]
fn _asyncio(module: &Bound<'_, PyModule>) -> PyResult<()> {
    if cfg!(Py_GIL_DISABLED) {
        return Err(PyImportError::new_err(
            "rasyncio does not support the free-threaded build of CPython yet: run the program on the build with the GIL, or \
             leave rasyncio out and keep CPython's own asyncio",
        ));
    }
    let fetch = |sys::Raised| PyErr::fetch(module.py());
    if let Some(first) = FIRST.get(module.py()) {
        return if sys::is_home().map_err(fetch)? {
            copy_names(first.bind(module.py()), module)
        } else {
            Err(other_interpreter())
        };
    }
    // Not by `add`, which would make an `__all__`.
    module.setattr("__rasyncio_version__", env!("CARGO_PKG_VERSION"))?;
    sys::error::caught("init", || init(sys::lazy::from_bound(module.as_any())))
        .and_then(|outcome| outcome)
        .map_err(fetch)?;
    sys::make_home().map_err(fetch)?;
    FIRST.get_or_init(module.py(), || module.clone().unbind());
    Ok(())
}

/// The types and their state are one for the process: a second import in the same interpreter gets the same.
fn copy_names(first: &Bound<'_, PyModule>, module: &Bound<'_, PyModule>) -> PyResult<()> {
    for (name, value) in first.dict() {
        if !module.dict().contains(&name)? || name.eq("__name__")? {
            module.dict().set_item(name, value)?;
        }
    }
    Ok(())
}

fn other_interpreter() -> PyErr {
    PyImportError::new_err(
        "rasyncio's extension module was loaded by another interpreter of this process, and works in that one only",
    )
}

/// Gives the module all of its names; none of this imports asyncio (see [`sys::lazy`]).
fn init(module: &sys::Object) -> sys::Res<()> {
    if cfg!(all(debug_assertions, not(feature = "panic-on-purpose"))) {
        sys::assertions::end_process_on_panic();
    }
    sys::clock::begin();
    sys::intern::init()?;
    sys::native_function::init(module)?;
    names::init()?;
    sched::init();
    future::init(module)?;
    task::init(module)?;
    module::init(module)
}
