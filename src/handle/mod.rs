//! Handles: what `call_soon` and `call_later` return, and what asyncio's own `_run_once` runs.
//!
//! The types are native subclasses of asyncio's `Handle`, `TimerHandle` and (3.14 on) `_ThreadSafeHandle`, under the same
//! names, so that `isinstance`, repr, comparison and whatever else looks at a handle's attributes is asyncio's own.
//! Making, running and cancelling one is native.
//!
//! * [`object`] has the layout: the base's slots, where CPython puts them, then our own fields.
//! * [`new`] makes one of a call or of an entry, [`run`] runs it and reports what it raises, [`cancel`] cancels it.
//! * [`thread_safe`] makes other threads wait for one that runs.
//! * [`patched`] has the methods that Python code calls, for replaced ones as well.
//! * [`show`] has what Python code sees of its work, [`methods`] the tables of the types.
//!
//! The types are made when the first handle is, for they need `asyncio.events`.

mod cancel;
mod methods;
mod new;
mod object;
mod patched;
mod run;
mod show;
mod thread_safe;

pub(crate) use cancel::{Owner, cancel, register_owner};
pub(crate) use new::{Work, new, new_timer};
pub(crate) use object::{HandleObject, Kind, downcast, has_slots_of_handle, trim_memory};
pub(crate) use run::{report, run};
