"""Makes CPython's module and ours one world: whoever kept what of either sees the tasks of both.

From 3.14 on running loop, current task and tasks are in the interpreter's own places, and it is only made known which
futures are the other's: to ours, so that debuggers see who awaits whom, and to `asyncio.graph`.

Up to 3.13 they are in containers of a module, which CPython's keeps in C variables: so ours uses those of CPython's,
and what was in ours goes there. Then a task of a class that was derived from CPython's is the current one while it
runs, `all_tasks()` lists both kinds, and a function of either module that somebody stored says what the other's says.

Once linked, the two stay so, whichever is in place.
"""

from __future__ import annotations

import sys
from _weakrefset import WeakSet

from ._native import ours

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

_CONTAINERS = ("_current_tasks", "_eager_tasks", "_scheduled_tasks", "_all_tasks")
# Profilers that keep the address of all tasks' plain set without a reference to it.
_READERS = ("ddtrace.internal.datadog.profiling.stack", "echion.core")


def link(theirs: ModuleType) -> list[tuple[object, object]]:
    """Link CPython's module and ours, and return the containers that were ours until now, each with the common one."""
    assert ours is not None
    pairs: dict[str, tuple[Any, Any]] = {
        name: (vars(ours)[name], getattr(theirs, name)) for name in _CONTAINERS if name in vars(ours)
    }
    pairs = {name: (mine, common) for name, (mine, common) in pairs.items() if mine is not common}
    is_read = False
    for mine, common in pairs.values():
        if issubclass(type(common), WeakSet) and type(mine) is not WeakSet:
            # One reference is the container's, one the call's.
            is_read = sys.getrefcount(common.data) > 2 or any(reader in sys.modules for reader in _READERS)
            _scheduled_tasks().turned(common)
    ours.__rasyncio_link__(theirs)
    _show_in_graphs(theirs)
    for name, (mine, common) in pairs.items():
        if name == "_current_tasks":
            for loop, task in mine.items():
                common.setdefault(loop, task)
        elif name == "_eager_tasks":
            common |= mine
        else:
            _scheduled_tasks().merge(mine, common)
            if is_read:
                common.data  # noqa: B018  # all tasks are in it from now on
    return list(pairs.values())


def _show_in_graphs(theirs: ModuleType) -> None:
    """Let `asyncio.capture_call_graph()` and its kin (3.14 on) take the futures and tasks of either module.

    They ask whether something is an `asyncio.Future`, which what is not in place now is none of; so they find this
    `isinstance` where they would find the builtin.
    """
    graph: Any = sys.modules.get("asyncio.graph")
    if graph is None or hasattr(graph, "isinstance"):
        return
    assert ours is not None
    kinds = {kind: (own, other) for own, other in _classes(ours, theirs) for kind in (own, other)}

    def either(thing: object, kind: Any, /) -> bool:
        return isinstance(thing, kinds.get(kind, kind) if isinstance(kind, type) else kind)

    graph.isinstance = either


def _classes(*modules: Any) -> list[tuple[type, type]]:
    return [tuple(getattr(module, name) for module in modules) for name in ("Future", "Task")]


def _scheduled_tasks() -> Any:
    from . import _scheduled_tasks as module

    return module
