"""What can be said of a task, in any thread, without running code of the program where that can be avoided.

Coroutines and generators of Python's are looked into; what else a task may drive is told by its type alone.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Iterator
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any, TypedDict

from .._loop import EventLoop
from .._slow_step import coroutine_name

#: A text is cut off after so many characters.
TEXT_MAX = 300
#: As many frames of a task are told, the innermost.
FRAMES_MAX = 30
#: As many coroutines in one another are looked into.
_CHAIN_MAX = 500

#: What the places of asyncio's own code begin with.
_ASYNCIO = os.path.join(os.path.dirname(asyncio.__file__), "")

AnyTask = asyncio.Task[Any]


class Described(TypedDict):
    """A task."""

    id: str
    name: str
    coroutine: str
    state: str  # "running", "ready" to run, "waiting"
    place: str  # the innermost frame that is not asyncio's, as "file:line in function"; "" if there is none
    waits_for: str  # the class of what it waits for; "" if it does not wait


def clipped(text: object) -> str:
    """A str of at most TEXT_MAX characters."""
    plain = "".join(text) if isinstance(text, str) else str(text)
    return plain if len(plain) <= TEXT_MAX else plain[: TEXT_MAX - 1] + "…"


def natural(name: str) -> list[tuple[int, str]]:
    """A key to sort names by: Task-2 comes before Task-10."""
    return [(int(part[:15]) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", name)]


def described(task: AnyTask, loop: EventLoop) -> Described:
    """Say what is known of the task, a method that fails told by what it raises."""
    waiter = _waiter(task)
    running = asyncio.current_task(loop) is task
    frames = stack(task, loop)
    return {
        "id": identity(task),
        "name": _name(task),
        "coroutine": _coroutine(task),
        "state": "running" if running else "ready" if waiter is None else "waiting",
        "place": next((each for each in reversed(frames) if not each.startswith(_ASYNCIO)), ""),
        "waits_for": "" if waiter is None else clipped(type(waiter).__name__),
    }


def identity(task: AnyTask) -> str:
    """What tells a task from others that are there."""
    return f"{id(task):x}"


def stack(task: AnyTask, loop: EventLoop) -> list[str]:
    """The task's frames as "file:line in function", the innermost last; of one that runs, those of its thread."""
    frames = _frames(_driven(task))
    thread = loop._thread_id
    if frames and thread is not None and asyncio.current_task(loop) is task:
        frames = _running_frames(thread, frames[0]) or frames
    return [clipped(f"{f.f_code.co_filename}:{f.f_lineno} in {f.f_code.co_qualname}") for f in frames[-FRAMES_MAX:]]


def _frames(coroutine: object) -> list[FrameType]:
    return [frame for frame, _ in zip(_chain(coroutine), range(_CHAIN_MAX), strict=False)]


def _chain(awaited: object) -> Iterator[FrameType]:
    while True:
        frame: FrameType | None
        if isinstance(awaited, CoroutineType):
            frame, awaited = awaited.cr_frame, awaited.cr_await
        elif isinstance(awaited, GeneratorType):
            frame, awaited = awaited.gi_frame, awaited.gi_yieldfrom
        elif isinstance(awaited, AsyncGeneratorType):
            frame, awaited = awaited.ag_frame, awaited.ag_await
        else:
            return
        if frame is None:
            return
        yield frame


def _running_frames(thread: int, outermost: FrameType) -> list[FrameType]:
    """The thread's frames from the outermost one of a coroutine on; none if it is not among them any more."""
    frames: list[FrameType] = []
    frame = sys._current_frames().get(thread)
    while frame is not None and len(frames) < 10 * _CHAIN_MAX:
        frames.append(frame)
        if frame is outermost:
            return frames[::-1]
        frame = frame.f_back
    return []


def _waiter(task: AnyTask) -> object:
    return getattr(task, "_fut_waiter", None)


def _name(task: AnyTask) -> str:
    try:
        return clipped(task.get_name())
    except Exception as error:  # a subclass may have one of its own
        return f"({type(error).__name__})"


def _driven(task: AnyTask) -> object:
    """What it drives; None if it does not tell."""
    try:
        return task.get_coro()
    except Exception:  # the same
        return None


def _coroutine(task: AnyTask) -> str:
    return clipped(coroutine_name(_driven(task)))
