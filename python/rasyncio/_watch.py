"""Which steps block their loop, told while they do: `rasyncio.watch()`.

A thread in native code looks at the loops now and then, without the GIL. When one has been in the same step for too
long, it calls the reporter of this module, which looks at the blocked thread's stack, and once more when the step is
over.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

from . import _asyncio
from ._loop import loops

#: Where slow steps are logged.
logger = logging.getLogger("rasyncio")
#: The variable of the environment that has a threshold, in seconds: install() watches then.
VARIABLE = "RASYNCIO_WATCH"
#: A place in the code is reported once in so many seconds.
_QUIET = 60.0
#: So many places are remembered; more of them in a minute are not reported.
_PLACES_MAX = 1000
#: As many frames of a stack are reported, the innermost.
_FRAMES_MAX = 50
#: As many slow steps are remembered, the last.
_RECENT_MAX = 50


@dataclass(frozen=True, slots=True)
class SlowStep:
    """A step that blocked its loop: told once while it did, and once more when it was over."""

    is_over: bool
    """Whether it is over; else it still blocks the loop, and may never end."""
    seconds: float
    """For how long it has blocked so far, or in all when it is over."""
    thread: int
    """`threading.get_ident()` of the loop's thread."""
    task: str | None
    """The name of the task whose step it is; None for a callback that is no task's."""
    coroutine: str | None
    """The qualified name of the task's coroutine function."""
    place: str | None
    """What blocks, as `file:line in function`: the innermost frame. None if no stack could be taken; see `gil_held`."""
    stack: tuple[str, ...] = field(repr=False)
    """The stack, as traceback.format_list() has it, the innermost frame last."""
    gil_held: float
    """For how many seconds the step kept the GIL, so that nobody could look at its stack.

    A function in C that does not let go of the GIL does that. If the step went on to do something else meanwhile, there
    is no stack; else it is of what the step did next.
    """

    def __str__(self) -> str:
        who = "a callback" if self.task is None else f"task {self.task!r} ({self.coroutine})"
        where = f" at {self.place}" if self.place is not None else ""
        if self.is_over:
            return f"{who} blocked the event loop for {self.seconds:.3f} s{where}"
        text = f"{who} has blocked the event loop for {self.seconds:.3f} s{where}"
        if self.gil_held > _GIL_HELD_LONG:
            text += f"; for {self.gil_held:.3f} s of that it held the GIL, and nobody could look"
        return text


#: In seconds. Python code lets go of the GIL within some milliseconds when another thread wants it.
_GIL_HELD_LONG = 0.05


#: The last slow steps, each with when it was told of, on time.time(); one that is over has taken its own place.
recent: deque[tuple[float, SlowStep]] = deque(maxlen=_RECENT_MAX)


class _Reporter:
    """What the thread calls."""

    def __init__(self, threshold: float, callback: Callable[[SlowStep], object] | None) -> None:
        self.threshold = threshold
        self.callback = callback
        self.reported: dict[str, float] = {}  # place: when, on time.monotonic()
        self.blocking: dict[tuple[int, int], SlowStep] = {}  # what was reported and is not over

    def __call__(self, thread: int, beats: int, seconds: float, waited: float | None, goes_on: bool | None) -> None:
        if waited is None:
            step = self.blocking.pop((thread, beats), None)
            if step is not None:
                over = replace(step, is_over=True, seconds=seconds)
                _remember(over, step)
                self.tell(over)
            return
        step = _look(thread, seconds, waited, bool(goes_on))
        if self.is_new(step.place or step.coroutine or ""):
            self.blocking[thread, beats] = step
            _remember(step)
            self.tell(step)

    def is_new(self, place: str) -> bool:
        now = time.monotonic()
        self.reported = {place: when for place, when in self.reported.items() if now - when < _QUIET}
        if place in self.reported or len(self.reported) >= _PLACES_MAX:
            return False
        self.reported[place] = now
        return True

    def tell(self, step: SlowStep) -> None:
        stack = "" if step.is_over or not step.stack else "\n" + "".join(step.stack).rstrip()
        logger.warning("%s%s", step, stack, extra={"slow_step": step})
        if self.callback is not None:
            self.callback(step)


def _remember(step: SlowStep, before: SlowStep | None = None) -> None:
    """Put it among the recent ones, in the place of what was told of it before."""
    for number, (when, other) in enumerate(recent):
        if other is before:
            recent[number] = (when, step)
            return
    if before is None:
        recent.append((time.time(), step))


def watched() -> float | None:
    """What is slow in this process, in seconds; None if nobody watches."""
    reporter = _asyncio._watching()
    return reporter.threshold if isinstance(reporter, _Reporter) else None


def coroutine_name(coroutine: object) -> str:
    """The qualified name of the coroutine's function, or that of its type."""
    name = getattr(coroutine, "__qualname__", None)
    return name if isinstance(name, str) else type(coroutine).__qualname__


def _look(thread: int, seconds: float, waited: float, goes_on: bool) -> SlowStep:
    frame = sys._current_frames().get(thread) if goes_on else None
    task = _current_task(thread) if goes_on else None
    name = coroutine = place = None
    if task is not None:
        name = task.get_name()
        coroutine = coroutine_name(task.get_coro())
    stack: tuple[str, ...] = ()
    if frame is not None:
        place = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        stack = tuple(_formatted(frame))
    return SlowStep(False, seconds, thread, name, coroutine, place, stack, waited)


def _formatted(frame: FrameType) -> list[str]:
    summary = traceback.StackSummary.extract(
        ((each, line) for each, line in traceback.walk_stack(frame)), limit=_FRAMES_MAX, lookup_lines=True
    )
    summary.reverse()
    return summary.format()


def _current_task(thread: int) -> asyncio.Task[Any] | None:
    for loop in list(loops.values()):
        if loop._thread_id == thread:
            return asyncio.current_task(loop)
    return None


class Watch:
    """Steps are watched, until it is stopped; as a context manager, until its end."""

    def __init__(self, reporter: _Reporter) -> None:
        self._reporter = reporter

    @property
    def threshold(self) -> float:
        """What is slow, in seconds."""
        return self._reporter.threshold

    @property
    def is_on(self) -> bool:
        """Whether it goes on: it was not stopped, and no other call of watch() has taken its place."""
        return _asyncio._watching() is self._reporter

    def stop(self) -> None:
        """Watch no longer. If another call of watch() has taken its place, that goes on."""
        _asyncio._unwatch(self._reporter)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "watching" if self.is_on else "stopped"
        return f"<rasyncio.Watch {state} threshold={self.threshold}>"


def watch(threshold: float = 0.1, callback: Callable[[SlowStep], object] | None = None) -> Watch:
    """Report the steps of event loops that take longer than `threshold` seconds, while they block.

    Each is logged as a warning of the logger "rasyncio", with task, place and stack, and once more when it is over; a
    place in the code once a minute. The record has the SlowStep as its attribute `slow_step`. `callback` gets it, too:
    in the thread that watches, so it must not use the loop but by call_soon_threadsafe().

    All loops of rasyncio in the process are watched, those included that run already. Without anything slow it costs
    nothing: a thread looks at them some ten times in a threshold, without the GIL. A second call takes the first one's
    place. A forked child is not watched until it calls watch() itself.

    Raises ValueError if the threshold is not a positive number, RuntimeError in a sub-interpreter.
    """
    if not (isinstance(threshold, int | float) and math.isfinite(threshold) and threshold > 0):
        raise ValueError(f"the threshold must be a positive number of seconds, not {threshold!r}")
    if callback is not None and not callable(callback):
        raise TypeError(f"the callback must be callable, not {callback!r}")
    reporter = _Reporter(threshold, callback)
    _asyncio._watch(float(threshold), reporter)
    return Watch(reporter)


def watch_if_asked() -> None:
    """Watch, if RASYNCIO_WATCH in the environment says so; say on stderr what is wrong with it."""
    value = os.environ.get(VARIABLE, "")
    if value in ("", "0") or _asyncio._watching() is not None:
        return
    try:
        watch(float(value))
    except ValueError:
        print(f"rasyncio: {VARIABLE} must be a number of seconds, such as 0.1, not {value!r}", file=sys.stderr)
