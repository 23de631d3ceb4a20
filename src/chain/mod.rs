//! Futures that follow each other: one of a thread's (`concurrent.futures.Future`) and one of a loop's.
//!
//! What is of `concurrent.futures` is called as asyncio's Python code calls it. Only the outcome of a future that is
//! finished is read where it is ([`concurrent`]).

pub(crate) mod chain_future;
mod concurrent;
pub(crate) mod copy_state;
pub(crate) mod run_in_executor;
pub(crate) mod wrap_future;
