//! Makes the facts that `pyo3` knows of the interpreter (`Py_3_12`, `Py_GIL_DISABLED`, …) visible to `src/sys/compat.rs`,
//! and says where the crate cannot be built, or lacks something.

use std::env;

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    let target = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if env::var("CARGO_CFG_UNIX").is_err() {
        println!(
            "cargo::error=rasyncio cannot be built for {target}: it has no event loop there yet (waiting is by epoll, and \
             the clock by POSIX). Use Linux, or WSL; asyncio itself works without it."
        );
    } else if target != "linux" {
        println!(
            "cargo::warning=rasyncio is made and tested for Linux. On {target} Future, Task and the loop's scheduling are \
             native; it waits by asyncio's selector, and transports and sock_* are asyncio's Python code."
        );
    }
}
