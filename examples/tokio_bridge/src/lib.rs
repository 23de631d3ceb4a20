//! A line-protocol client on tokio, offered to asyncio programs.
//!
//! It uses `pyo3-async-runtimes` as its documentation says, and knows nothing of rasyncio.

use pyo3::prelude::*;

mod client;
mod fetch;
mod map;
mod probes;

#[pymodule]
mod tokio_bridge {
    #[pymodule_export]
    use super::client::{Client, Lines, connect};
    #[pymodule_export]
    use super::fetch::fetch_all;
    #[pymodule_export]
    use super::map::map;
    #[pymodule_export]
    use super::probes::{Gate, call, fail, panic, short, sleep};
    #[pymodule_export]
    use pyo3_async_runtimes::err::RustPanic;
}
