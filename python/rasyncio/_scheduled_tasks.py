"""The public container of all tasks that CPython's module has up to 3.13, over the native list of tasks.

`asyncio.tasks._scheduled_tasks` (3.11: `_all_tasks`) is a `weakref.WeakSet` that anyone may iterate and change. Native
tasks are linked in a list that costs nothing to keep; here it looks like a part of the set. What is not in that list is
foreign: tasks of other implementations, and those of subclasses with a hash, a comparison or a finaliser of their own.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self
from weakref import WeakSet, ref

from . import _asyncio


class ScheduledTasks(WeakSet[Any]):
    """A weak set of foreign tasks that also shows, adds and removes native ones."""

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
            self.add_foreign(item)

    def discard(self, item: Any) -> None:
        if isinstance(item, _asyncio.Task):
            _asyncio._unregister_task(item)
        else:
            self.discard_foreign(item)

    def add_foreign(self, item: Any) -> None:
        self._foreign.add(ref(item, self._foreign.discard))

    def discard_foreign(self, item: Any) -> None:
        self._foreign.discard(ref(item))

    # What changes the plain set behind a WeakSet changes a copy of it here, and then what differs.

    @contextlib.contextmanager
    def _changing(self) -> Iterator[set[ref[Any]]]:
        before = self.data
        changed = set(before)
        try:
            yield changed
        finally:
            for reference in before - changed:
                if (item := reference()) is not None:
                    self.discard(item)
            for reference in changed - before:
                if (item := reference()) is not None:
                    self.add(item)

    def remove(self, item: Any) -> None:
        with self._changing() as data:
            data.remove(ref(item))

    def pop(self) -> Any:
        with self._changing() as data:
            while data:
                if (item := data.pop()()) is not None:
                    return item
        raise KeyError("pop from empty WeakSet")

    def clear(self) -> None:
        with self._changing() as data:
            data.clear()

    def __isub__(self, other: Iterable[Any]) -> Self:
        with self._changing() as data:
            if other is self:
                data.clear()
            else:
                data.difference_update(ref(item) for item in other)
        return self

    def __iand__(self, other: Iterable[Any]) -> Self:  # type: ignore[misc]  # as in typeshed
        with self._changing() as data:
            data.intersection_update(ref(item) for item in other)
        return self

    def __ixor__(self, other: Iterable[Any]) -> Self:  # type: ignore[misc]  # as in typeshed
        with self._changing() as data:
            if other is self:
                data.clear()
            else:
                data.symmetric_difference_update(ref(item) for item in other)
        return self

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
