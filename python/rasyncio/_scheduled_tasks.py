"""The public container of all tasks that CPython's module has up to 3.13, over the native list of tasks.

`asyncio.tasks._scheduled_tasks` (3.11: `_all_tasks`) is a `weakref.WeakSet` that anyone may iterate and change. Native
tasks are linked in a list that costs nothing to keep; here it looks like a part of the set.
"""

from collections.abc import Callable, Iterable, MutableSet
from typing import Any
from weakref import WeakSet, ref

from . import _asyncio


class ScheduledTasks(WeakSet[Any]):
    """A weak set of foreign tasks that also shows, adds and removes native ones."""

    # Changing operators that reach into the plain set behind a WeakSet, done with add() and discard() instead.
    __ior__ = MutableSet.__ior__  # type: ignore[assignment]
    __iand__ = MutableSet.__iand__  # type: ignore[assignment]
    __ixor__ = MutableSet.__ixor__  # type: ignore[assignment]
    __isub__ = MutableSet.__isub__  # type: ignore[assignment]
    pop = MutableSet.pop
    remove = MutableSet.remove  # type: ignore[assignment]
    clear = MutableSet.clear

    def __init__(self, linked_tasks: Callable[[], list[Any]]) -> None:
        self._linked_tasks = linked_tasks
        super().__init__()

    @property
    def data(self) -> set[ref[Any]]:
        """A new set of weak references to all tasks; what reads a WeakSet starts from here."""
        return self._foreign | {ref(task) for task in self._linked_tasks()}

    @data.setter
    def data(self, foreign: set[ref[Any]]) -> None:
        self._foreign = foreign

    def add(self, item: Any) -> None:
        if isinstance(item, _asyncio.Task):
            _asyncio._register_task(item)
        else:
            self._foreign.add(ref(item, self._foreign.discard))

    def discard(self, item: Any) -> None:
        if isinstance(item, _asyncio.Task):
            _asyncio._unregister_task(item)
        else:
            self._foreign.discard(ref(item))

    # New sets are plain: there is one list of native tasks.

    def copy(self) -> WeakSet[Any]:  # type: ignore[override]
        return WeakSet(self)

    def union(self, other: Iterable[Any]) -> WeakSet[Any]:
        return WeakSet(self).union(other)

    def intersection(self, other: Iterable[Any]) -> WeakSet[Any]:  # type: ignore[override]
        return WeakSet(self).intersection(other)

    __copy__ = copy
    __or__ = union
    __and__ = intersection  # type: ignore[assignment]
