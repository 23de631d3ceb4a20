//! What must be done before the interpreter ends.

use pyo3::prelude::*;

use crate::asyncio;
use crate::state::tasks;
use crate::sys::slots::noargs;
use crate::sys::typeobj::StaticMethod;
use crate::sys::{Object, Res, lazy, py};
use crate::watchdog;

static BEFORE_END: StaticMethod = StaticMethod::new(noargs!(Object, c"before_end", before_end, c""));

/// No thread of ours may come back to an interpreter that is gone. And the first future may be made by a finaliser, when nothing can be imported any more.
fn before_end(_module: &Object) -> Res<()> {
    watchdog::end();
    if py().import("sys")?.getattr("modules")?.contains("asyncio")? {
        asyncio::prepare();
        tasks::prepare()?;
    }
    Ok(())
}

/// Arranges for it. Called once, by the module's initialisation.
pub(super) fn init(module: &Object) -> Res<()> {
    let hook = BEFORE_END.bind(module)?;
    py().import("atexit")?.call_method1("register", (lazy::to_py(&hook),))?;
    Ok(())
}
