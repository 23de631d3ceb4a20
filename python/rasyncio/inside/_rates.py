"""What loops did between two snapshots: what is there now, and not since the program began."""

from __future__ import annotations

import bisect
from typing import Any, TypedDict

_Buckets = list[tuple[float, float]]
#: Buckets' bounds are the same if they differ by no more than that part; one's is at least a tenth above another's.
_SAME = 0.03


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

    def added(name: str) -> float:
        value: float = after[name] - (before[name] if before is not None else 0)
        return max(value, 0.0)

    running = added("seconds_running")
    busy = max(running - added("seconds_asleep"), 0.0)
    since = {
        name: grown(before[name]["buckets"] if before is not None else [], after[name]["buckets"])
        for name in ("gaps", "ready_wait", "timer_lateness")
    }

    def each_second(name: str) -> float:
        return added(name) / running if running else 0.0

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


def grown(before: _Buckets, after: _Buckets) -> _Buckets:
    """What has come since. Bounds are those of before, but for the clock's rate, which is measured ever better."""
    earlier = sorted(before)
    found = []
    for bound, number in after:
        place = bisect.bisect_left(earlier, (bound * (1 - _SAME), 0.0))
        if place < len(earlier) and earlier[place][0] <= bound * (1 + _SAME):
            number -= earlier[place][1]
        if number > 0:
            found.append((bound, number))
    return found


def percentile(buckets: _Buckets, percent: float) -> float:
    """The upper bound of the bucket where so many per cent are reached; 0 if there are none."""
    wanted, seen = sum(number for _, number in buckets) * percent / 100, 0.0
    for bound, number in sorted(buckets):
        seen += number
        if seen >= wanted:
            return bound
    return 0.0
