"""The public container of all tasks that CPython's module has up to 3.13, over the native list of tasks.

`asyncio.tasks._scheduled_tasks` (3.11: `_all_tasks`) is a `weakref.WeakSet` that anyone may iterate and change. Native
tasks are linked in a list that costs nothing to keep; here it looks like a part of the set.
"""

from __future__ import annotations

import weakref
from collections.abc import MutableSet
from typing import Any

from . import _asyncio


class ScheduledTasks(weakref.WeakSet[Any]):
    """A weak set of foreign tasks that also shows, adds and removes native ones."""

    # Changing operators that reach into the plain set behind a WeakSet, done with add() and discard() instead.
    __ior__ = MutableSet.__ior__  # type: ignore[assignment]
    __iand__ = MutableSet.__iand__  # type: ignore[assignment]
    __ixor__ = MutableSet.__ixor__  # type: ignore[assignment]
    __isub__ = MutableSet.__isub__  # type: ignore[assignment]
    pop = MutableSet.pop
    remove = MutableSet.remove  # type: ignore[assignment]
    clear = MutableSet.clear

    @property
    def data(self) -> set[weakref.ref[Any]]:
        """A new set of weak references to all tasks; what reads a WeakSet starts from here."""
        return self._foreign | {weakref.ref(task) for task in _asyncio._linked_tasks()}

    @data.setter
    def data(self, foreign: set[weakref.ref[Any]]) -> None:
        self._foreign = foreign

    def add(self, item: Any) -> None:
        if isinstance(item, _asyncio.Task):
            _asyncio._register_task(item)
        else:
            self._foreign.add(weakref.ref(item, self._foreign.discard))

    def discard(self, item: Any) -> None:
        if isinstance(item, _asyncio.Task):
            _asyncio._unregister_task(item)
        else:
            self._foreign.discard(weakref.ref(item))
