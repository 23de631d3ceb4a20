"""What loops did between two snapshots: what is there now, and not since the program began."""

from __future__ import annotations

from typing import Any, TypedDict

_Buckets = list[tuple[float, float]]


class Rates(TypedDict):
    """Of one loop. Seconds, or how many in a second."""

    id: str
    name: str
    blocked: float  # for how long by now
    load: float
    lag: float
    lag_most: float
    tasks: float
    ready: float
    timers: float
    files: float
    callbacks: float
    iterations: float
    connections: float
    received: float
    sent: float


def rates(before: dict[str, Any] | None, after: dict[str, Any]) -> list[Rates]:
    """What each loop of `after` did since `before`, or since it began."""
    earlier = {loop["id"]: loop for loop in before["loops"]} if before is not None else {}
    return [_of(earlier.get(loop["id"]), loop) for loop in after["loops"]]


def _of(before: dict[str, Any] | None, after: dict[str, Any]) -> Rates:
    if before is not None and before["iterations"] > after["iterations"]:
        before = None  # another loop, at the same place in memory

    def grown(name: str) -> float:
        value: float = after[name] - (before[name] if before is not None else 0)
        return max(value, 0.0)

    running = grown("seconds_running")
    busy = max(running - grown("seconds_asleep"), 0.0)
    since = {
        name: _since(before[name]["buckets"] if before is not None else [], after[name]["buckets"])
        for name in ("gaps", "ready_wait", "timer_lateness")
    }

    def each_second(name: str) -> float:
        return grown(name) / running if running else 0.0

    return {
        "id": after["id"],
        "name": after["thread_name"] or ("not running" if after["thread"] is None else "?"),
        "blocked": after["gap_now"],
        "load": min(busy / running, 1.0) if running else 0.0,
        "lag": max(percentile(each, 99) for each in since.values()),
        "lag_most": max(percentile(each, 100) for each in since.values()),
        "tasks": after["tasks_alive"],
        "ready": after["ready_now"],
        "timers": after["timers_scheduled"],
        "files": after["files_watched"],
        "callbacks": each_second("callbacks"),
        "iterations": each_second("iterations"),
        "connections": after["connections_made"] - after["connections_lost"],
        "received": each_second("bytes_received"),
        "sent": each_second("bytes_sent"),
    }


def _since(before: _Buckets, after: _Buckets) -> _Buckets:
    counted = dict(before)
    return [(bound, number - counted.get(bound, 0)) for bound, number in after if number > counted.get(bound, 0)]


def percentile(buckets: _Buckets, percent: float) -> float:
    """The upper bound of the bucket where so many per cent are reached; 0 if there are none."""
    wanted, seen = sum(number for _, number in buckets) * percent / 100, 0.0
    for bound, number in sorted(buckets):
        seen += number
        if seen >= wanted:
            return bound
    return 0.0
