//! What makes tasks and waits for several: `asyncio.create_task`, `asyncio.gather`, `asyncio.TaskGroup`.

pub(crate) mod create_task;
pub(crate) mod gather;
mod gathering;
pub(crate) mod task_group;

pub(crate) use gathering::init;
