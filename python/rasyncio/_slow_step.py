"""A step that blocks its loop, and what another thread can see of it meanwhile: its task, its thread's stack."""

from __future__ import annotations

import asyncio
import os
import sys
import sysconfig
import traceback
from asyncio import base_events, events
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from ._loop import EventLoop, loops

#: As many frames of a stack are reported, the innermost.
_FRAMES_MAX = 50
#: In seconds. Python code lets go of the GIL within some milliseconds when another thread wants it.
_GIL_HELD_LONG = 0.05
#: What runs steps; a frame of a step's own is above it.
_RUNS_STEPS = frozenset(
    each.__code__
    for each in (
        EventLoop.run_forever,
        base_events.BaseEventLoop.run_forever,
        base_events.BaseEventLoop._run_once,  # type: ignore[attr-defined]
        events.Handle._run,
    )
)
#: What the names of our files begin with, and those of Python's library; what is in those of installed packages.
_OURS = os.path.join(os.path.dirname(__file__), "")
_LIBRARY = (os.path.join(sysconfig.get_path("stdlib"), ""), "<frozen ")
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


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
    """The name of the task whose step it is; None for a callback that is no task's, and if nobody could see it."""
    coroutine: str | None
    """The qualified name of the task's coroutine function."""
    place: str | None
    """What blocks, as `file:line in function`: the innermost frame. None if nobody could see it; see `gil_held`."""
    called_at: str | None
    """The innermost frame that is neither Python's library's nor an installed package's; None if there is none."""
    stack: tuple[str, ...] = field(repr=False)
    """The stack, as traceback.format_list() has it, the innermost frame last."""
    gil_held: float
    """For how many seconds the step kept the GIL, so that nobody could look at its stack.

    A function in C that does not let go of the GIL does that. If the step was over by then, nobody knows whose it was,
    and it may have been several; else the stack is of what the step did next.
    """
    repeats: int = 0
    """How many like it, of the same place, caller and coroutine function, came since the last one that was told."""

    def __str__(self) -> str:
        verb = "blocked" if self.is_over else "has blocked"
        text = f"{self._who} {verb} the event loop for {self.seconds:.3f} s"
        if self.place is not None:
            text += f" at {self.place}"
        if self.called_at not in (None, self.place):
            text += f", called at {self.called_at}"
        if self.gil_held > _GIL_HELD_LONG and not self.is_over:
            text += f"; for {self.gil_held:.3f} s of that it held the GIL, and nobody could look"
        if self.repeats and not self.is_over:
            text += f"; {self.repeats} more like it were not told since the last time"
        return text

    @property
    def _who(self) -> str:
        if self.task is not None:
            return f"task {self.task!r} ({self.coroutine})"
        return "a callback" if self.place is not None else "a step, or several (whose, nobody could see)"


def coroutine_name(coroutine: object) -> str:
    """The qualified name of the coroutine's function, or that of its type."""
    name = getattr(coroutine, "__qualname__", None)
    return name if isinstance(name, str) else type(coroutine).__qualname__


def look(thread: int, seconds: float, waited: float, goes_on: bool) -> tuple[SlowStep, object]:
    """Look at the step that the thread is in, if it is, having waited for the GIL for so many seconds.

    Gives the step, and what is equal for those that are like it; None if it cannot be told which are.
    """
    frame = sys._current_frames().get(thread) if goes_on else None
    task = _current_task(thread) if goes_on else None
    is_bare = task is None and frame is not None and frame.f_code in _RUNS_STEPS
    if frame is None or (is_bare and waited > _GIL_HELD_LONG):
        # It kept the GIL until it was over: what the thread does now is something else.
        return SlowStep(False, seconds, thread, None, None, None, None, (), waited), None
    name = coroutine = None
    if task is not None:
        name = task.get_name()
        coroutine = coroutine_name(task.get_coro())
    place, called_at = _place(frame), _called_at(frame)
    step = SlowStep(False, seconds, thread, name, coroutine, place, called_at, tuple(_formatted(frame)), waited)
    # Of a function in C that is itself the callback, there is no frame.
    return step, None if is_bare else (place, called_at, coroutine)


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"


def _called_at(frame: FrameType | None) -> str | None:
    """The innermost frame of the step that is the program's own; or else of a package."""
    of_package = None
    while frame is not None and frame.f_code not in _RUNS_STEPS:
        file = frame.f_code.co_filename
        if file.startswith(_OURS):
            pass
        elif any(each in file for each in _PACKAGES):
            of_package = of_package or _place(frame)
        elif not file.startswith(_LIBRARY):
            return _place(frame)
        frame = frame.f_back
    return of_package


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
