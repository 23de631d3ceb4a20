//! What makes tasks and waits for several: `asyncio.create_task`, `asyncio.gather`, one a file.

pub(crate) mod create_task;
pub(crate) mod gather;
mod gathering;

pub(crate) use gathering::init;
