//! What waits for time: `asyncio.sleep` and its kin, one a file.

pub(crate) mod sleep;
pub(crate) mod timeout;
pub(crate) mod wait_for;

use crate::sys::{Object, Res};

/// Makes the types. Called once, by the module's initialisation.
pub(crate) fn init(module: &Object) -> Res<()> {
    timeout::hidden::init(module)
}
