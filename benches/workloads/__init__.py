"""The workloads: asyncio programs, written on the public API only, the same code for every implementation.

Each is a coroutine function of one argument, how often to repeat. ``operations`` says how many operations one
repetition does: the unit in which every report counts. The randomness of a workload comes from a
generator of its own with a fixed seed, so that all implementations do the same work.
"""

import importlib.util
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

GROUPS = {
    "micro": "single operations",
    "tree": "trees of tasks",
    "program": "programs of many tasks",
    "bridge": "Rust's futures and coroutines, through pyo3-async-runtimes",
}
SEED = 20_250_101

Run = Callable[[int], Awaitable[None]]


@dataclass(frozen=True)
class Workload:
    """One workload: what it runs, and what one operation of it is."""

    group: str
    run: Run
    operation: str
    operations: int
    since: tuple[int, int]
    needs: str  # a module, if any
    small: Run  # the same with less in a repetition, to try whether it runs


WORKLOADS: dict[str, Workload] = {}


def enter(
    name: str,
    run: Run,
    *,
    group: str,
    operation: str,
    operations: int = 1,
    since: tuple[int, int] = (3, 11),
    needs: str = "",
    small: Run | None = None,
) -> None:
    """Enter a coroutine function in WORKLOADS."""
    WORKLOADS[name] = Workload(group, run, operation, operations, since, needs, small or run)


def find(name: str) -> Workload:
    """One of them, or one of those of `benches.instructions.declining`."""
    from benches.workloads.declined import DECLINED

    return WORKLOADS[name] if name in WORKLOADS else DECLINED[name]


def available() -> dict[str, Workload]:
    """The workloads that this Python can run."""
    return {
        name: entry
        for name, entry in WORKLOADS.items()
        if sys.version_info[:2] >= entry.since and (not entry.needs or importlib.util.find_spec(entry.needs))
    }


# They enter themselves, in this order.
from benches.workloads import micro, trees, programs, bridge  # noqa: E402, F401, I001
