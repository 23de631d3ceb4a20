//! What the loop has counted, and what its profile has found, for `python/rasyncio/_stats.py` and `_profile.py`: in
//! seconds and bytes.

use crate::histogram::Histogram;
use crate::sys::clock::Rate;
use crate::sys::{Field, Object, Owned, Res, call, containers};

use super::object::LoopObject;

fn whole(number: u64) -> Res<Owned> {
    containers::int(i64::try_from(number).unwrap_or(i64::MAX))
}

/// `[largest, (upper bound, count), ...]`, in seconds.
fn durations(histogram: &Histogram, seconds: impl Fn(u64) -> f64) -> Res<Owned> {
    let list = containers::new_list()?;
    containers::list_append(&list, &*containers::float(seconds(histogram.largest()))?)?;
    for (bound, count) in histogram.buckets() {
        let pair = containers::tuple(&[&*containers::float(seconds(bound))?, &*whole(count)?])?;
        containers::list_append(&list, &pair)?;
    }
    Ok(list)
}

/// Of a container, wherever it is ([`super::exposed`]).
fn length(exposed: &Field, native: usize) -> Res<u64> {
    let length = exposed.get().map(|exposed| containers::length(&exposed)).transpose()?;
    Ok(length.unwrap_or(native) as u64)
}

/// `_counts()`: a dict, with the names that `LoopStats` has.
pub(super) fn counts(core: &LoopObject) -> Res<Owned> {
    let counts = &core.counts;
    let rate = Rate::now();
    let (ran, asleep) = counts.ticks_so_far();
    let (ran, asleep) = (rate.seconds(ran), rate.seconds(asleep));
    let dict = containers::new_dict()?;
    let put = |name: &str, value: Res<Owned>| containers::dict_set(&dict, &*containers::string_of(name)?, &*value?);
    let numbers = [
        ("iterations", counts.iterations.get()),
        ("callbacks", counts.callbacks()),
        ("polls", counts.polls.get()),
        ("waits", counts.waits.get()),
        ("threadsafe_calls", counts.threadsafe_calls.get()),
        ("ready_now", length(&core.ready.exposed, core.ready.len())?),
        ("ready_most", counts.most_ready() as u64),
        ("timers_scheduled", length(&core.timers.exposed, core.timers.len())?),
        ("files_watched", core.watchers.watched.get() as u64),
        ("tasks_made", counts.tasks_made.get()),
        ("tasks_returned", counts.tasks_returned.get()),
        ("tasks_failed", counts.tasks_failed.get()),
        ("tasks_cancelled", counts.tasks_cancelled.get()),
        ("tasks_alive", counts.tasks_alive()),
        ("connections_made", counts.connections_made.get()),
        ("connections_lost", counts.connections_lost.get()),
        ("bytes_received", counts.bytes_received.get()),
        ("bytes_sent", counts.bytes_sent.get()),
    ];
    numbers.into_iter().try_for_each(|(name, number)| put(name, whole(number)))?;
    put("seconds_running", containers::float(ran))?;
    put("seconds_asleep", containers::float(asleep))?;
    put("gap_now", containers::float(rate.seconds(counts.present_gap(core.last_poll.get()))))?;
    #[allow(clippy::cast_precision_loss)] // of centuries
    put("timer_lateness", durations(&counts.timer_lateness, |nanoseconds| nanoseconds as f64 / 1e9))?;
    put("gaps", durations(counts.gaps(), |ticks| rate.seconds(ticks)))?;
    put("ready_wait", durations(counts.ready_wait(), |ticks| rate.seconds(ticks)))?;
    Ok(dict)
}

/// `_profile(on)`
pub(super) fn profile(core: &LoopObject, on: &Object) -> Res<()> {
    core.profile.turn(call::is_true(on)?);
    core.note_observed();
    Ok(())
}

/// `_profiled()`: a list of `(code or type, steps, busy, longest, waiting)`, in seconds.
pub(super) fn profiled(core: &LoopObject) -> Res<Owned> {
    let rate = Rate::now();
    let list = containers::new_list()?;
    for (of, steps, times) in core.profile.rows() {
        let [busy, longest, waiting] = times.map(|ticks| containers::float(rate.seconds(ticks)));
        let row = containers::tuple(&[&of, &*whole(steps)?, &*busy?, &*longest?, &*waiting?])?;
        containers::list_append(&list, &row)?;
    }
    Ok(list)
}
