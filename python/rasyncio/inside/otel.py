"""What the loops count, as OpenTelemetry metrics: `rasyncio.inside.otel.export()`.

It needs OpenTelemetry's API alone (`pip install rasyncio[otel]`); where the metrics go is the business of the SDK that
the program sets up. They are read when the SDK collects, in its thread, and cost nothing in between.

OpenTelemetry has no conventions for asyncio. The names follow those for Node.js' event loop (`nodejs.eventloop.time`,
`nodejs.eventloop.utilization`, `nodejs.eventloop.delay.p99`), with units in UCUM.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter

from .. import __version__
from .._loop import loops as every_loop
from .._stats import Durations, LoopStats, of_loop, stats
from ._rates import grown, percentile

_Value = Callable[[LoopStats], float]
_PREFIX = "rasyncio.eventloop"
#: (name, unit, description, [(attributes, value), ...]): sums that only grow.
_COUNTERS: tuple[tuple[str, str, str, tuple[tuple[dict[str, str], _Value], ...]], ...] = (
    (
        "time",
        "s",
        "Time that the event loop has run, by what it did.",
        (
            ({f"{_PREFIX}.state": "active"}, lambda each: each.seconds_busy),
            ({f"{_PREFIX}.state": "idle"}, lambda each: each.seconds_asleep),
        ),
    ),
    ("iterations", "{iteration}", "How often it has gone through its ready queue.", (({}, lambda x: x.iterations),)),
    ("callbacks", "{callback}", "Callbacks that it has run.", (({}, lambda each: each.callbacks),)),
    ("threadsafe_calls", "{call}", "Calls of call_soon_threadsafe().", (({}, lambda each: each.threadsafe_calls),)),
    ("tasks.made", "{task}", "Tasks that were made for it.", (({}, lambda each: each.tasks_made),)),
    (
        "tasks.ended",
        "{task}",
        "Tasks that ended, and how.",
        (
            ({f"{_PREFIX}.task.end": "returned"}, lambda each: each.tasks_returned),
            ({f"{_PREFIX}.task.end": "failed"}, lambda each: each.tasks_failed),
            ({f"{_PREFIX}.task.end": "cancelled"}, lambda each: each.tasks_cancelled),
        ),
    ),
    ("connections.made", "{connection}", "Native connections that it got.", (({}, lambda x: x.connections_made),)),
    ("connections.lost", "{connection}", "Those of them that ended.", (({}, lambda each: each.connections_lost),)),
    (
        "network.io",
        "By",
        "Bytes of its native connections.",
        (
            ({"network.io.direction": "receive"}, lambda each: each.bytes_received),
            ({"network.io.direction": "transmit"}, lambda each: each.bytes_sent),
        ),
    ),
)
_UP_DOWN_COUNTERS: tuple[tuple[str, str, str, _Value], ...] = (
    ("tasks.alive", "{task}", "Tasks that are not done.", lambda each: each.tasks_alive),
    ("ready", "{callback}", "Callbacks in the ready queue.", lambda each: each.ready_now),
    ("timers", "{timer}", "Timers that are scheduled.", lambda each: each.timers_scheduled),
    ("files", "{file}", "Files that it waits for.", lambda each: each.files_watched),
)


def export(meter_provider: MeterProvider | None = None) -> None:
    """Make the metrics known to the provider, or to the one that is set for the program.

    Call it once; a second call makes them twice.
    """
    meter = get_meter("rasyncio", __version__, meter_provider)
    for name, unit, text, values in _COUNTERS:
        meter.create_observable_counter(f"{_PREFIX}.{name}", [_sums_up(*values)], unit, text)
    for name, unit, text, value in _UP_DOWN_COUNTERS:
        meter.create_observable_up_down_counter(f"{_PREFIX}.{name}", [_observes(({}, value))], unit, text)
    meter.create_observable_gauge(
        f"{_PREFIX}.blocked", [_observes(({}, lambda each: each.gap_now))], "s", "For how long it is blocked by now."
    )
    recent = _Recent()
    for name, unit, text, of in (
        ("utilization", "1", "Which part of its time it was busy, since the last collection.", recent.utilization),
        ("delay.p50", "s", "How late things ran, since the last collection: the median.", recent.delay(50)),
        ("delay.p99", "s", "How late things ran, since the last collection: the 99th percentile.", recent.delay(99)),
        ("delay.max", "s", "How late things ran, since the last collection: the most.", recent.delay(100)),
    ):
        meter.create_observable_gauge(f"{_PREFIX}.{name}", [of], unit, text)


_Callback = Callable[[CallbackOptions], Iterable[Observation]]


def _thread_names() -> dict[int | None, str]:
    return {thread.ident: thread.name for thread in threading.enumerate()}


def _by_thread() -> Iterator[tuple[str, list[LoopStats]]]:
    names = _thread_names()
    found: dict[str, list[LoopStats]] = {}
    for each in stats():
        found.setdefault(names.get(each.thread, ""), []).append(each)
    yield from found.items()


def _observes(*values: tuple[dict[str, str], _Value]) -> _Callback:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        for thread, loops in _by_thread():
            for attributes, value in values:
                yield Observation(sum(map(value, loops)), {"thread.name": thread, **attributes})

    return observe


def _sums_up(*values: tuple[dict[str, str], _Value]) -> _Callback:
    """What has grown is added up, so that a sum never falls: loops end, and others are made at the same place."""
    last: dict[int, tuple[weakref.ref[object], list[float]]] = {}
    sums: dict[str, list[float]] = {}

    def observe(_: CallbackOptions) -> Iterable[Observation]:
        names = _thread_names()
        for number, loop in list(every_loop.items()):
            if loop.is_closed():
                continue
            stats = of_loop(loop)
            now = [value(stats) for _, value in values]
            known, before = last.get(number, (None, []))
            if known is None or known() is not loop:
                before = [0] * len(now)
            last[number] = weakref.ref(loop), now
            of_thread = sums.setdefault(names.get(stats.thread, ""), [0] * len(now))
            of_thread[:] = [total + new - old for total, new, old in zip(of_thread, now, before, strict=True)]
        for number in [number for number, (known, _) in last.items() if known() is None]:
            del last[number]
        for thread, totals in sums.items():
            for (attributes, _value), total in zip(values, totals, strict=True):
                yield Observation(total, {"thread.name": thread, **attributes})

    return observe


class _Recent:
    """What happened between two collections, for each thread; each metric remembers its own last one."""

    def utilization(self, _: CallbackOptions) -> Iterable[Observation]:
        for thread, loops in _by_thread():
            now = sum(each.seconds_busy for each in loops), sum(each.seconds_running for each in loops)
            before = self._times.get(thread, (0.0, 0.0))
            if now[1] < before[1]:
                before = (0.0, 0.0)  # a loop is gone
            self._times[thread] = now
            if now[1] > before[1]:
                busy = (now[0] - before[0]) / (now[1] - before[1])
                yield Observation(min(max(busy, 0.0), 1.0), {"thread.name": thread})

    def delay(self, percent: float) -> _Callback:
        last: dict[str, dict[str, dict[float, float]]] = {}

        def observe(_: CallbackOptions) -> Iterable[Observation]:
            for thread, loops in _by_thread():
                before, now = last.get(thread, {}), _delays(loops)
                last[thread] = now
                found = [
                    percentile(grown([*before.get(kind, {}).items()], [*counts.items()]), percent)
                    for kind, counts in now.items()
                ]
                yield Observation(max(found), {"thread.name": thread})

        return observe

    def __init__(self) -> None:
        self._times: dict[str, tuple[float, float]] = {}


def _delays(loops: list[LoopStats]) -> dict[str, dict[float, float]]:
    """The histograms of delays, those of all loops together."""
    found: dict[str, dict[float, float]] = {"gaps": {}, "ready_wait": {}, "timer_lateness": {}}
    for each in loops:
        for kind, counts in found.items():
            durations: Durations = getattr(each, kind)
            for bound, number in durations.buckets:
                counts[bound] = counts.get(bound, 0) + number
    return found


__all__ = ["export"]
