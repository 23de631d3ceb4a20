//! Waking up the thread that runs a loop, from any other.

use crate::names::WRITE_TO_SELF;
use crate::sys::{Layout, Res, call};

use super::object::LoopObject;

/// Ends the wait of the loop's thread, if it waits; from any thread. Many calls in a row wake it up once.
pub(super) fn wake_up(core: &LoopObject) -> Res<()> {
    match core.watchers.poller() {
        Some(poller) => {
            // Where iterations are Python's, it may be about to sleep without having said so.
            if core.idle.wake() || core.is_exposed() {
                poller.wake();
            }
            Ok(())
        }
        None => call::call_method(&WRITE_TO_SELF, &[core.as_object()], None).map(drop),
    }
}
