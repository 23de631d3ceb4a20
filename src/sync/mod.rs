//! asyncio's synchronisation primitives, one a file: what is grafted of `asyncio.locks` and `asyncio.queues`.

mod bound;
pub(crate) mod condition;
pub(crate) mod event;
pub(crate) mod lock;
pub(crate) mod manager;
pub(crate) mod queue;
pub(crate) mod semaphore;
pub(crate) mod waiters;
