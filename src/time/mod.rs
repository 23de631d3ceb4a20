//! What waits for time: `asyncio.sleep` and its kin, one a file.

pub(crate) mod sleep;
