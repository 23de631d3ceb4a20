//! The native half of `rasyncio.EventLoop`: the scheduling core.
//!
//! `EventLoop` (in `python/rasyncio/_loop.py`) derives from this module's type and from `asyncio.SelectorEventLoop`:
//! what schedules, waits and runs is here, all the rest is asyncio's. One iteration of the loop ([`run`]):
//!
//! 1. timers that were cancelled leave the heap ([`timers`]);
//! 2. the poller is asked which files are ready, and their readers and writers join the ready queue ([`poll`],
//!    [`watchers`]); with nothing ready it waits, until the first timer is due at most ([`idle`]: or until another thread
//!    calls);
//! 3. timers that are due join the ready queue;
//! 4. what is in the [`ready`] queue now runs; what that adds runs in the next iteration.
//!
//! So a file, a timer, a signal with a handler of the loop's waits for one iteration, and all come in asyncio's order.
//! Only a loop that has no file of the program's to watch leaves the poller alone for up to about 40 µs while it is busy.
//!
//! A step of a task, a wake-up, a future's callback are queue entries without a Python object of their own
//! ([`crate::job::Entry`]); a handle is made for a program that looks. [`plain`] says whether a loop is one of ours with
//! nothing overridden, so that entries can go straight into the queue.
//!
//! Python code runs in many places here, and may do anything to the loop, from closing it to running another one. So
//! containers are changed in one go that runs no Python code, references are taken out of them before they are let go,
//! and nothing is remembered across a call. Everything happens with the GIL held, by whatever thread; only the wait
//! itself does not hold it.

mod after_step;
mod calls;
mod counts;
mod create;
mod exposed;
mod files;
mod finish_step;
mod forward;
mod idle;
mod methods;
mod object;
mod once;
mod plain;
mod poll;
mod profile;
mod ready;
mod run;
mod run_entry;
mod scratch;
mod selector;
mod snapshot;
mod time;
mod timers;
mod transport_table;
mod transports;
mod wake;
mod watchers;

#[cfg(Py_3_12)]
pub(crate) use calls::{call_at_plainly, call_later_plainly};
pub(crate) use counts::{Counter, Counts, RUNNING};
#[cfg(Py_3_12)]
pub(crate) use create::create_task;
pub(crate) use finish_step::finish_step;
pub(crate) use forward::base as asyncios_own;
pub(crate) use methods::describe;
pub(crate) use object::{LoopObject, TYPE};
#[cfg(Py_3_12)]
pub(crate) use plain::makes_natively;
pub(crate) use plain::{passed_over, plain};
pub(crate) use watchers::Direction;
