"""What programs note, so that two runs can be compared."""

from __future__ import annotations

import asyncio
import contextvars
import re
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from rasyncio import _graft

Notes = list[Any]


def told(exception: BaseException) -> tuple[str, str, list[Any]]:
    """An exception as it is printed: what it is, where it came through; and what it has in it."""
    entries = traceback.extract_tb(exception.__traceback__)
    inner = [told(each) for each in getattr(exception, "exceptions", ())]
    return type(exception).__name__, str(exception), [*((entry.name, entry.line) for entry in entries), *inner]


async def outcome(awaitable: Awaitable[Any]) -> Any:
    """The result, or the exception as it is printed."""
    try:
        return await awaitable
    except BaseException as exception:
        return told(exception)


async def spin(times: int) -> None:
    """Let others run."""
    for _ in range(times):
        await asyncio.sleep(0)


def other_tasks() -> list[asyncio.Task[Any]]:
    """All but the one that runs, in the order in which they were made."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    return sorted(others, key=lambda task: int(task.get_name().removeprefix("Task-")))


async def end_others() -> None:
    """Cancels all other tasks until they are done. asyncio.run() does it once, and waits for stubborn ones for ever."""
    while others := other_tasks():
        for each in others:
            each.cancel()
        await spin(2)


async def outcome_of_call(function: Callable[[], Any]) -> Any:
    """What a call returns, or the exception as it is printed."""
    try:
        return function()
    except BaseException as exception:
        return told(exception)


def of_either(program: Callable[[Notes], Coroutine[Any, Any, None]]) -> tuple[Notes, Notes]:
    """What a program notes with bodies in Python, and grafted."""
    both: list[Notes] = []
    for wanted in (False, True):
        _graft.attach(wanted)
        notes: Notes = []
        asyncio.run(program(notes))
        both.append(notes)
    return both[0], both[1]


def noting_cancel(variable: contextvars.ContextVar[str], seen: Notes) -> type[asyncio.Future[Any]]:
    """A class of futures that note what the variable is where they are cancelled."""

    class Noting(asyncio.Future):  # type: ignore[type-arg]
        def cancel(self, msg: Any = None) -> bool:
            seen.append(variable.get())
            return super().cancel(msg)

    return Noting


def shown(text: str) -> str:
    """Without addresses, and names that count up."""
    return re.sub(r"Task-\d+|0x[0-9a-f]+", "...", text)


def nameless(notes: Any) -> Any:
    """All of them without what is another in each run."""
    if isinstance(notes, str):
        return re.sub(r"\bFuture \d+", "Future ...", shown(notes))
    return type(notes)(map(nameless, notes)) if isinstance(notes, (list, tuple)) else notes
