"""What event loops have done, counted as they go.

The loop counts in native code, always; a snapshot is made of it when somebody asks. Durations are kept in buckets that
are right to a quarter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._loop import EventLoop, loops
from ._profile import FunctionProfile
from ._profile import of_loop as profiled
from ._some_tasks import some_tasks

#: Tasks that are not rasyncio's are looked for, and counted, up to so many.
_FOREIGN_MAX = 2000


@dataclass(frozen=True, slots=True)
class Durations:
    """How long something took, each time."""

    largest: float
    """The longest of all, in seconds; 0 if there was none."""
    buckets: tuple[tuple[float, int], ...]
    """How many were how long: pairs of an upper bound in seconds and a number, the shortest first.

    Each bound is at most a quarter more than what is in its bucket. Buckets that have nothing are left out.
    """

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(count for _, count in self.buckets)

    def percentile(self, percent: float) -> float:
        """A duration, in seconds, that so many per cent of them did not exceed; 0 if there was none.

        It is right to a quarter, and never more than the largest. Raises ValueError for what is not from 0 to 100.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"a percentile is from 0 to 100, not {percent!r}")
        wanted, seen = self.count * percent / 100, 0
        for bound, count in self.buckets:
            seen += count
            if seen >= wanted:
                return min(bound, self.largest)
        return 0.0


@dataclass(frozen=True, slots=True)
class LoopStats:
    """What an event loop has done since it was made, at one moment.

    What to look at first: `lag_most` above some tens of milliseconds means that something has blocked the loop for that
    long, be it once. `lag` above that means that it does so all the time. `load` near 1 means that the loop has no time
    left, and everything waits. `tasks_alive` or `ready_now` that only grow mean that more comes in than is done.
    """

    loop: str
    """The loop's repr()."""
    thread: int | None
    """`threading.get_ident()` of the thread that runs it; None if none does."""
    seconds_running: float
    """For how long it has run."""
    seconds_asleep: float
    """For how long of that it had nothing to do, and waited for files, timers, calls of other threads."""
    iterations: int
    """How often it has gone through its ready queue."""
    callbacks: int
    """How many callbacks it has run: steps of tasks, wake-ups, handles."""
    polls: int
    """How often it has asked the system which files are ready, looks in between not counted."""
    gaps: Durations
    """How long it was busy between two looks at its files and timers, each time; they waited that long at most.

    A loop that is always busy looks about every 40 microseconds at least, unless a callback takes longer.
    """
    gap_now: float
    """For how long it has been busy since the last look, at this moment, in seconds; 0 if it waits, or does not run.

    Asked from another thread, much of it means that the loop is blocked right now.
    """
    waits: int
    """How often it had nothing to do, and waited."""
    threadsafe_calls: int
    """How often call_soon_threadsafe() was called."""
    ready_now: int
    """How many callbacks are in the ready queue."""
    ready_most: int
    """How many there were at most when an iteration began."""
    ready_wait: Durations
    """How long callbacks were in the ready queue; of samples: the first that is queued after each poll."""
    timers_scheduled: int
    """How many timers are scheduled, those that were cancelled a short time ago included."""
    timer_lateness: Durations
    """How long after their time timers came into the ready queue."""
    files_watched: int
    """How many of the program's files (sockets, pipes) it waits for."""
    tasks_made: int
    """How many tasks were made for it, of rasyncio's class or one that derives from it."""
    tasks_returned: int
    """How many of them ended by returning."""
    tasks_failed: int
    """How many ended by an exception."""
    tasks_cancelled: int
    """How many ended cancelled."""
    tasks_alive: int
    """How many of them are not done. Of a loop that has none of rasyncio's: how many others, up to 2000."""
    connections_made: int
    """How many stream connections it got that rasyncio itself reads from and writes to, accepted ones and others."""
    connections_lost: int
    """How many of them have ended; one that is forgotten without being closed has not."""
    bytes_received: int
    """How many bytes came by stream connections that rasyncio itself reads from."""
    bytes_sent: int
    """How many bytes went out by stream connections that rasyncio itself writes to."""
    functions: tuple[FunctionProfile, ...] = ()
    """What each coroutine function took, if it was asked for and a `rasyncio.profile()` is on, or was."""

    @property
    def seconds_busy(self) -> float:
        """For how long it was not asleep while it ran; the time in which it waited for the GIL is part of that."""
        return max(self.seconds_running - self.seconds_asleep, 0.0)

    @property
    def load(self) -> float:
        """Which part of its time it was busy, from 0 to 1; of all the time that it ran. 0 if it never ran."""
        return self.seconds_busy / self.seconds_running if self.seconds_running else 0.0

    @property
    def lag(self) -> float:
        """How late things run, in seconds: the largest 99th percentile of `gaps`, `ready_wait` and `timer_lateness`.

        Each delay counts once, however long it is: of a busy loop that is blocked now and then, `lag` stays small.
        See `lag_most` for that.
        """
        return max(each.percentile(99) for each in self._delays)

    @property
    def lag_most(self) -> float:
        """How late something ran at most, in seconds: the largest of `gaps`, `ready_wait` and `timer_lateness`.

        Above 0.05 (50 ms), something has blocked the loop; `rasyncio.watch()` finds out what.
        """
        return max(each.largest for each in self._delays)

    @property
    def _delays(self) -> tuple[Durations, ...]:
        return self.gaps, self.ready_wait, self.timer_lateness


def name_of(loop: EventLoop) -> str:
    """The loop's repr(), or what a subclass's raises."""
    try:
        return repr(loop)
    except Exception as error:
        return f"<{type(loop).__qualname__}: repr() raises {type(error).__name__}>"


def _durations(counted: list[Any]) -> Durations:
    largest, *buckets = counted
    return Durations(largest, tuple(buckets))


def of_loop(loop: EventLoop, tasks: bool = False) -> LoopStats:
    """Make a snapshot of what the loop has counted; with `tasks`, also of what a profile has found."""
    counts: dict[str, Any] = loop._counts()
    if tasks:
        counts["functions"] = profiled(loop)
    for name in ("gaps", "ready_wait", "timer_lateness"):
        counts[name] = _durations(counts[name])
    if not counts["tasks_made"]:
        counts["tasks_alive"] = len(some_tasks(loop, _FOREIGN_MAX))
    return LoopStats(loop=name_of(loop), thread=loop._thread_id, **counts)


def stats() -> tuple[LoopStats, ...]:
    """Tell what each of the process's loops of rasyncio has done, those that are closed left out."""
    return tuple(of_loop(loop) for loop in list(loops.values()) if not loop.is_closed())
