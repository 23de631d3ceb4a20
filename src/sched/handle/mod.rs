//! Handles: what `call_soon` and `call_later` return, and what asyncio's own `_run_once` runs.
//!
//! `rasyncio.Handle`, `TimerHandle` and (3.14 on) `ThreadSafeHandle` are native subclasses of asyncio's classes of these
//! names (the last is `_ThreadSafeHandle` there), so that `isinstance`, repr, comparison and whatever else looks at a
//! handle's attributes is asyncio's own. Making, running and cancelling one is native.
//!
//! * [`object`] has the layout: the base's slots, where CPython puts them, then our own fields.
//! * [`run`] runs one and reports what it raises.
//! * [`thread_safe`] makes other threads wait for one that runs.
//! * [`methods`] is what Python code sees that the base does not do as well.
//!
//! The types are made when the first handle is, for they need `asyncio.events`.

mod methods;
mod object;
mod run;
mod thread_safe;

pub(super) use methods::cancel;
pub(super) use object::{HandleObject, Kind, Work, downcast, has_slots_of_handle, new, new_timer, trim_memory};
pub(super) use run::{report, run};
