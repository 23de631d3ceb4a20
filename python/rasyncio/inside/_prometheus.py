"""What the loops have counted, in Prometheus' text format (version 0.0.4).

Loops are told apart by their thread's name; those of threads of the same name, and those that do not run, are counted
together.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from .._stats import Durations, LoopStats, stats

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: In seconds.
_BOUNDS = tuple(factor * 10.0**power for power in range(-6, 2) for factor in (1, 2.5, 5))[:-1]

_COUNTERS: tuple[tuple[str, str, Callable[[LoopStats], float]], ...] = (
    ("running_seconds", "For how long the loop has run.", lambda each: each.seconds_running),
    ("asleep_seconds", "For how long of that it had nothing to do.", lambda each: each.seconds_asleep),
    ("iterations", "How often it has gone through its ready queue.", lambda each: each.iterations),
    ("callbacks", "How many callbacks it has run.", lambda each: each.callbacks),
    ("polls", "How often it has asked the system which files are ready.", lambda each: each.polls),
    ("threadsafe_calls", "How often call_soon_threadsafe() was called.", lambda each: each.threadsafe_calls),
    ("connections_made", "Native connections that it got.", lambda each: each.connections_made),
    ("connections_lost", "Those of them that have ended.", lambda each: each.connections_lost),
    ("received_bytes", "Bytes that came by its native connections.", lambda each: each.bytes_received),
    ("sent_bytes", "Bytes that went out by its native connections.", lambda each: each.bytes_sent),
)
_GAUGES: tuple[tuple[str, str, Callable[[LoopStats], float]], ...] = (
    ("gap_now_seconds", "For how long it has been busy since its last look, by now.", lambda each: each.gap_now),
    ("ready", "How many callbacks are in the ready queue.", lambda each: each.ready_now),
    ("timers_scheduled", "How many timers are scheduled.", lambda each: each.timers_scheduled),
    ("files_watched", "How many files it waits for.", lambda each: each.files_watched),
    ("tasks_alive", "How many tasks are not done.", lambda each: each.tasks_alive),
)
_ENDS: tuple[tuple[str, Callable[[LoopStats], float]], ...] = (
    ("returned", lambda each: each.tasks_returned),
    ("failed", lambda each: each.tasks_failed),
    ("cancelled", lambda each: each.tasks_cancelled),
)
_HISTOGRAMS: tuple[tuple[str, str, Callable[[LoopStats], Durations]], ...] = (
    ("gap_seconds", "For how long it was busy between two looks at its files and timers.", lambda each: each.gaps),
    ("ready_wait_seconds", "How long callbacks were in the ready queue (samples).", lambda each: each.ready_wait),
    ("timer_lateness_seconds", "How late timers came into the ready queue.", lambda each: each.timer_lateness),
)


def prometheus() -> str:
    """Tell what the process's loops have counted, as the answer to a scrape."""
    by_thread: dict[str, list[LoopStats]] = {}
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for each in stats():
        by_thread.setdefault(names.get(each.thread, ""), []).append(each)
    lines: list[str] = []

    def metric(name: str, kind: str, text: str) -> str:
        full = f"rasyncio_loop_{name}"
        lines.extend((f"# HELP {full} {text}", f"# TYPE {full} {kind}"))
        return full

    for name, text, value in _COUNTERS:
        full = metric(f"{name}_total", "counter", text)
        lines.extend(f"{full}{_labels(thread)} {sum(map(value, of))!r}" for thread, of in by_thread.items())
    full = metric("tasks_made_total", "counter", "How many tasks were made for it.")
    lines.extend(f"{full}{_labels(thread)} {sum(each.tasks_made for each in of)}" for thread, of in by_thread.items())
    full = metric("tasks_ended_total", "counter", "How many of them ended, and how.")
    for thread, of in by_thread.items():
        lines.extend(f"{full}{_labels(thread, how=how)} {sum(map(value, of))!r}" for how, value in _ENDS)
    for name, text, value in _GAUGES:
        full = metric(name, "gauge", text)
        lines.extend(f"{full}{_labels(thread)} {sum(map(value, of))!r}" for thread, of in by_thread.items())
    for name, text, durations in _HISTOGRAMS:
        full = metric(name, "histogram", f"{text} Right to a quarter.")
        for thread, of in by_thread.items():
            lines.extend(_histogram(full, thread, [durations(each) for each in of]))
    return "\n".join(lines) + "\n"


def _histogram(full: str, thread: str, durations: list[Durations]) -> list[str]:
    """Ours are counted with the first bound that is no less than theirs; so is the sum, by their bounds."""
    buckets = [bucket for each in durations for bucket in each.buckets]
    count = sum(number for _, number in buckets)
    lines = [
        f"{full}_bucket{_labels(thread, le=f'{bound:g}')} {sum(number for upper, number in buckets if upper <= bound)}"
        for bound in _BOUNDS
    ]
    return [
        *lines,
        f"{full}_bucket{_labels(thread, le='+Inf')} {count}",
        f"{full}_sum{_labels(thread)} {sum(upper * number for upper, number in buckets)!r}",
        f"{full}_count{_labels(thread)} {count}",
    ]


def _labels(thread: str, **more: str) -> str:
    pairs = {"thread": thread, **more}
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs.items()) + "}"


def _escaped(value: str) -> str:
    plain = value.encode("utf-8", "replace").decode()
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
