"""Which steps block their loop, told while they do: `rasyncio.watch()`.

A thread in native code looks at the loops now and then, without the GIL. When one has been in the same step for too
long, it calls the reporter of this module, which looks at the blocked thread's stack, and once more when the step is
over.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from . import _asyncio
from ._slow_step import SlowStep, look
from ._variables import complain

#: Where slow steps are logged.
logger = logging.getLogger("rasyncio")
#: The variable of the environment that has a threshold, in seconds: install() watches then.
VARIABLE = "RASYNCIO_WATCH"
#: Steps that are like one another are reported once in so many seconds, and others counted, for the next report.
_QUIET = 60.0
_FORGOTTEN = 60 * _QUIET
#: So many kinds of them are remembered; more in a minute are not reported.
_KINDS_MAX = 1000
#: As many slow steps are remembered, the last.
_RECENT_MAX = 50


@dataclass(slots=True)
class Told:
    """A slow step that was told of, as it is known by now. The watching thread alone changes it."""

    time: float
    """When, on time.time()."""
    step: SlowStep
    more: int = 0
    """How many more like it there were since, which were not told."""


#: The last that were told of.
recent: deque[Told] = deque(maxlen=_RECENT_MAX)


class _Reporter:
    """What the thread calls."""

    def __init__(self, threshold: float, callback: Callable[[SlowStep], object] | None) -> None:
        self.threshold = threshold
        self.callback = callback
        self.kinds: dict[object, tuple[float, Told]] = {}  # what was told last of a kind, and when, on time.monotonic()
        self.blocking: dict[tuple[int, int], Told] = {}  # what was reported and is not over

    def __call__(self, thread: int, beats: int, seconds: float, waited: float | None, goes_on: bool | None) -> None:
        if waited is None:
            told = self.blocking.pop((thread, beats), None)
            if told is not None:
                told.step = replace(told.step, is_over=True, seconds=seconds)
                self.tell(told.step)
            return
        step, kind = look(thread, seconds, waited, bool(goes_on))
        now = time.monotonic()
        self.forget(now)
        kind = object() if kind is None else kind
        since, before = self.kinds.get(kind, (0.0, None))
        if before is not None:
            if now - since < _QUIET:
                before.more += 1
                return
            step = replace(step, repeats=before.more)
        elif len(self.kinds) >= _KINDS_MAX:
            return
        told = Told(time.time(), step)
        self.kinds[kind] = now, told
        self.blocking[thread, beats] = told
        recent.append(told)
        self.tell(step)

    def forget(self, now: float) -> None:
        """What need not be known any more: its time is over, and there is nothing to be told of it."""
        self.kinds = {
            kind: (since, told)
            for kind, (since, told) in self.kinds.items()
            if now - since < (_FORGOTTEN if told.more else _QUIET)
        }

    def tell(self, step: SlowStep) -> None:
        stack = "" if step.is_over or not step.stack else "\n" + "".join(step.stack).rstrip()
        logger.warning("%s%s", step, stack, extra={"slow_step": step})
        if self.callback is not None:
            self.callback(step)


def watched() -> float | None:
    """What is slow in this process, in seconds; None if nobody watches."""
    reporter = _asyncio._watching()
    return reporter.threshold if isinstance(reporter, _Reporter) else None


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

    Each is logged as a warning of the logger "rasyncio", with task, place and stack, and once more when it is over. Of
    those with the same place, caller and coroutine function, one a minute is told, and how many more there were. The
    record has the SlowStep as its attribute `slow_step`. `callback` gets it, too: in the thread that watches, so it
    must not use the loop but by call_soon_threadsafe().

    All loops of rasyncio in the process are watched, those included that run already. Without anything slow it costs
    nothing: a thread looks at them eight times in a threshold, without the GIL. A second call takes the first one's
    place. A forked child is not watched until it calls watch() itself; as there is a thread, os.fork() gives the
    DeprecationWarning of 3.12 and later for processes that have several.

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
        complain(VARIABLE, "a number of seconds, such as 0.1", value)
