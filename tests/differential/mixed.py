"""CPython's classes and ours in turn, as `asyncio.Future` and `asyncio.Task`: they are of one world."""

from __future__ import annotations

import asyncio
import itertools
import sys
from typing import Any


class InTurn:
    """What makes an object of one class, and then one of the other; a class that is derived from it has the first."""

    def __init__(self, first: Any, second: Any, base: Any) -> None:
        self._kinds = first, second
        self._turns = itertools.cycle(self._kinds)
        self._base = base

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return next(self._turns)(*arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kinds[0], name)

    def __mro_entries__(self, _bases: object) -> tuple[Any]:
        return (self._base,)

    def __instancecheck__(self, thing: object) -> bool:
        return isinstance(thing, self._kinds)

    def __or__(self, other: Any) -> Any:
        return self._kinds[0] | self._kinds[1] | other


def mix() -> None:
    """Install ours, and put both in the place of asyncio's Future and Task, for programs and for loops."""
    theirs = asyncio.Future, asyncio.Task
    import rasyncio

    rasyncio.install(loop=False)
    assert rasyncio._asyncio.__rasyncio_own_state__ is None
    numbers = itertools.count(1)

    # Each module counts its tasks by itself, so that two could have the same name.
    class Named(theirs[1]):  # type: ignore[misc]
        def __init__(self, *arguments: Any, name: object = None, **keywords: Any) -> None:
            super().__init__(*arguments, name=f"Task-{next(numbers)}" if name is None else name, **keywords)

    class TaskInTurn(InTurn):
        def __call__(self, *arguments: Any, name: object = None, **keywords: Any) -> Any:
            name = f"Task-{next(numbers)}" if name is None else name
            return super().__call__(*arguments, name=name, **keywords)

    task = TaskInTurn(theirs[1], asyncio.Task, Named)
    asyncio.Future = InTurn(theirs[0], asyncio.Future, theirs[0])  # type: ignore[misc,assignment]
    asyncio.Task = asyncio.tasks.Task = task  # type: ignore[misc,assignment]  # the second for loop.create_task()
    if sys.version_info >= (3, 12):
        asyncio.eager_task_factory = asyncio.create_eager_task_factory(task)  # type: ignore[assignment]
