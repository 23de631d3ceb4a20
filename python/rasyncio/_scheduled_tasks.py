"""The public container of all tasks that CPython's module has up to 3.13, over the native list of tasks.

`asyncio.tasks._scheduled_tasks` (3.11: `_all_tasks`) is a `weakref.WeakSet` that anyone may iterate and change. Native
tasks are linked in a list that costs nothing to keep; here it looks like a part of the set. What is not in that list is
foreign: tasks of other implementations, and those of subclasses with a hash, a comparison or a finaliser of their own.

Profilers keep the plain set behind it, `data`, and read that whenever they like. So who asks for it gets the very set
that all tasks are in from then on, and the container is the WeakSet that it says it is: what follows is as in CPython,
and costs what it costs there. All that is not defined here asks for `data`.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast
from weakref import WeakSet, ref

from . import _asyncio

# What has the native list, up to 3.13.
_native: Any = _asyncio

# The callback of a WeakSet's references, by which who has died is taken out.
_REMOVE = cast("Any", WeakSet())._remove.__code__


class ScheduledTasks(WeakSet[Any]):
    """A weak set of foreign tasks that also shows, adds and removes native ones, until somebody asks for its `data`."""

    #: The plain set.
    _foreign: set[ref[Any]]
    #: What `_REMOVE` is the code of.
    _remove: Callable[[ref[Any]], None]

    def __new__(cls, data: Iterable[Any] | None = None) -> "ScheduledTasks":
        """A new set is a plain WeakSet: there is one list of native tasks."""
        return cast("ScheduledTasks", WeakSet(data if data is not None else ()))

    @property
    def data(self) -> set[ref[Any]]:
        """The plain set of weak references to all tasks, from now on."""
        foreign = self._foreign
        if sys._getframe(1).f_code is not _REMOVE:
            linked = _native.__rasyncio_list_in_set__()  # each new task is added to it from now on
            foreign.update(ref(task, self._remove) for task in linked)
            self.__dict__["data"] = foreign
            object.__setattr__(self, "__class__", WeakSet)
        return foreign

    # What is asked often, and goes without it.

    def __iter__(self) -> Iterator[Any]:
        return iter([task for reference in self._references() if (task := reference()) is not None])

    def __len__(self) -> int:
        return len(self._references())

    def __contains__(self, item: object) -> bool:
        try:
            reference = ref(item)
        except TypeError:
            return False
        return reference in self._references()

    def __repr__(self) -> str:
        return repr(self._references())

    def _references(self) -> set[ref[Any]]:
        return self._foreign | {ref(task) for task in _native.__rasyncio_linked_tasks__()}

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

    def __reduce__(self) -> Any:
        self.data  # noqa: B018  # what is in it is in the state
        return WeakSet.__reduce__(self)

    __copy__ = WeakSet.copy

    def add_foreign(self, item: Any) -> None:
        self._foreign.add(ref(item, self._remove))

    def discard_foreign(self, item: Any) -> None:
        self._foreign.discard(ref(item))


def made() -> WeakSet[Any]:
    """The container of a process where CPython's module is not in use."""
    return turned(WeakSet())


def turned(tasks: WeakSet[Any]) -> WeakSet[Any]:
    """The very same set, which shows native tasks, too, from now on: whoever has it sees them."""
    tasks.__dict__["_foreign"] = tasks.__dict__.pop("data")
    object.__setattr__(tasks, "__class__", ScheduledTasks)
    return tasks


def merge(mine: Any, theirs: Any) -> None:
    """Make `theirs`, CPython's own container, that of all tasks; `mine`, ours until now, has the same tasks then."""
    if type(mine) is ScheduledTasks:  # and `theirs` is turned
        for reference in list(mine._foreign):
            if (task := reference()) is not None:
                theirs.add_foreign(task)
        mine._foreign = theirs.__dict__["_foreign"]
    else:  # somebody has its data, which stays the one
        mine.update(theirs)
        theirs.data = mine.data
