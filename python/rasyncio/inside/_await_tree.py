"""Who awaits whom: the tree of tasks that one task is in.

From 3.14 on asyncio keeps for each task which tasks await it, TaskGroup and gather() included. Before, what a task
waits for is looked at: another task, or those of a gather().
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Any

from .._loop import EventLoop, loops
from .._some_tasks import some_tasks
from ._tasks import AnyTask, described, identity, stack

#: As many tasks are in a tree, and as many below one another.
NODES_MAX = 200
DEPTH_MAX = 30
#: As many tasks of the process are looked at.
_LOOKED_AT_MAX = 20_000


def await_tree(wanted: str) -> dict[str, Any] | None:
    """The tree that the task of that identity is in, from who awaits it down; None if there is no such task.

    A node is a task with its stack, and the tasks that it awaits as nodes.
    """
    known: dict[int, tuple[AnyTask, EventLoop]] = {}
    for loop in list(loops.values()):
        if not loop.is_closed():
            known.update((id(task), (task, loop)) for task in some_tasks(loop, _LOOKED_AT_MAX - len(known)))
    chosen = next((task for task, _ in known.values() if identity(task) == wanted), None)
    if chosen is None:
        return None
    awaited: dict[int, list[AnyTask]] = {}
    awaiting: dict[int, list[AnyTask]] = {}
    for task, _ in known.values():
        for other in _awaited_by(task) if _TELLS else []:
            awaited.setdefault(id(other), []).append(task)
            awaiting.setdefault(id(task), []).append(other)
        for other in [] if _TELLS else _awaits(task):
            awaited.setdefault(id(task), []).append(other)
            awaiting.setdefault(id(other), []).append(task)
    return _Tree(known, awaited).node(_root(chosen, awaiting), 0)


#: Whether tasks tell who awaits them.
_TELLS = hasattr(asyncio, "future_add_to_awaited_by")


def _awaited_by(task: AnyTask) -> list[AnyTask]:
    """The tasks that await it, directly or by a future in between."""
    found: list[AnyTask] = []
    for other in list(getattr(task, "_asyncio_awaited_by", None) or ()):
        between = [other] if isinstance(other, asyncio.Task) else getattr(other, "_asyncio_awaited_by", None) or ()
        found += (each for each in between if isinstance(each, asyncio.Task))
    return found


def _awaits(task: AnyTask) -> list[AnyTask]:
    """The tasks that it waits for."""
    waiter = getattr(task, "_fut_waiter", None)
    if isinstance(waiter, asyncio.Task):
        return [waiter]
    children = getattr(waiter, "_children", None)
    return [each for each in children if isinstance(each, asyncio.Task)] if isinstance(children, list) else []


def _root(task: AnyTask, awaiting: dict[int, list[AnyTask]]) -> AnyTask:
    """Who awaits who awaits it, and so on; where several do, the first."""
    seen = {id(task)}
    for _ in range(DEPTH_MAX - 1):
        others = [other for other in awaiting.get(id(task), []) if id(other) not in seen]
        if not others:
            break
        task = others[0]
        seen.add(id(task))
    return task


class _Tree:
    """Nodes, a bounded number; a task that is awaited twice is one with its own at the first place only."""

    def __init__(self, known: dict[int, tuple[AnyTask, EventLoop]], awaited: dict[int, list[AnyTask]]) -> None:
        self._known = known
        self._awaited = awaited
        self._seen: set[int] = set()

    def node(self, task: AnyTask, depth: int) -> dict[str, Any] | None:
        _, loop = self._known.get(id(task), (None, None))
        if loop is None or task.done() or len(self._seen) >= NODES_MAX:
            return None
        is_new = id(task) not in self._seen
        self._seen.add(id(task))
        below = self._awaited.get(id(task), []) if is_new and depth < DEPTH_MAX else []
        nodes = (self.node(other, depth + 1) for other in below)
        return {
            **described(task, loop),
            "stack": stack(task, loop),
            "awaits": list(islice((node for node in nodes if node is not None), NODES_MAX)),
        }
