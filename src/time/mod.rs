//! What waits for time: `asyncio.sleep` and its kin, one a file.

pub(crate) mod sleep;
pub(crate) mod timeout;
pub(crate) mod wait_for;
