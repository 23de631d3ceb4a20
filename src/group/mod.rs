//! What makes tasks and waits for several: `asyncio.create_task`, `ensure_future`, `gather`, `shield`,
//! `wait`, `TaskGroup`.

pub(crate) mod cancel_gathering;
pub(crate) mod create_task;
pub(crate) mod eager;
pub(crate) mod ensure_future;
pub(crate) mod gather;
mod gathering;
pub(crate) mod shield;
mod shielding;
pub(crate) mod task_group;
pub(crate) mod wait;
mod waiting;

use crate::sys::{Object, Res};

/// Makes the types. Called once, by the module's initialisation.
pub(crate) fn init(module: &Object) -> Res<()> {
    gathering::init(module)?;
    shielding::init(module)?;
    waiting::init(module)
}
