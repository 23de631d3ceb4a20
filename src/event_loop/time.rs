//! The loop's clock, and which timers are due by it.

use crate::names::TIME;
use crate::sys::{Layout, Res, call, clock, containers};
use crate::versions;

use super::object::LoopObject;
use super::plain::plain;

/// Timers before this time are due.
pub(super) fn end_of_due(core: &LoopObject) -> Res<f64> {
    let now = time(core)?;
    let resolution = core.clock_resolution.get();
    if !versions::DUE_WITHIN_ULP {
        return Ok(now + resolution);
    }
    let next = f64::from_bits(now.to_bits() + 1); // no clock is negative
    Ok(now + resolution.max(next - now))
}

/// `loop.time()`, in seconds.
#[inline]
pub(super) fn time(core: &LoopObject) -> Res<f64> {
    match plain(core.as_object()) {
        Some(_) => Ok(clock::monotonic()),
        None => time_in_python(core),
    }
}

/// `time()` of a loop whose class or instance has its own, in seconds.
fn time_in_python(core: &LoopObject) -> Res<f64> {
    containers::float_value(&*call::call_method(&TIME, &[core.as_object()], None)?)
}
