"""Trees of tasks: pyperformance's async_tree family, with the names and the parameters of its documentation.

https://pyperformance.readthedocs.io/benchmarks.html#async-tree. A node waits for its six children, each of which is a
task, six levels deep; what a leaf does is the variant. Names with `_tg` use `TaskGroup` in the place of `gather`, those
with `_eager` asyncio's eager task factory.

A leaf that does "IO" sleeps for 50 ms. An implementation that has nothing left to do before the last leaf is due waits
for it, and this time is a part of its figure. It shows most where leaves are memoized, next to nothing elsewhere.
"""

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random

from benches.workloads import SEED, enter

LEVELS = 6
BRANCHES = 6
TASKS = sum(BRANCHES**level for level in range(1, LEVELS + 1))
IO_SECONDS = 0.05
MEMOIZED = 0.9  # of the leaves with IO that can be memoized
CPU = 0.5  # of the leaves where CPU and IO are mixed
FACTORIAL = 500
SMALL = 3  # levels

Leaf = Callable[[], Awaitable[None]]
Leaves = Callable[[Random], Leaf]
Node = Callable[[int, Leaf], Awaitable[None]]


async def gathered(level: int, leaf: Leaf) -> None:
    """A node that waits for its children by `gather`."""
    if level:
        await asyncio.gather(*[gathered(level - 1, leaf) for _ in range(BRANCHES)])
    else:
        await leaf()


async def grouped(level: int, leaf: Leaf) -> None:
    """A node whose children are a `TaskGroup`."""
    if level:
        async with asyncio.TaskGroup() as group:
            for _ in range(BRANCHES):
                group.create_task(grouped(level - 1, leaf))
    else:
        await leaf()


def none(_: Random) -> Leaf:
    """Leaves that do nothing."""

    async def leaf() -> None:
        pass

    return leaf


def io(_: Random) -> Leaf:
    """Leaves that all wait."""

    async def leaf() -> None:
        await asyncio.sleep(IO_SECONDS)

    return leaf


def memoization(random: Random) -> Leaf:
    """Leaves most of which need not wait, since the answer is known."""

    async def leaf() -> None:
        if random.random() >= MEMOIZED:
            await asyncio.sleep(IO_SECONDS)

    return leaf


def cpu_io_mixed(random: Random) -> Leaf:
    """Leaves of which half compute, and the others are like those of `memoization`."""
    other = memoization(random)

    async def leaf() -> None:
        if random.random() < CPU:
            math.factorial(FACTORIAL)
        else:
            await other()

    return leaf


WHAT_LEAVES_DO: dict[Leaves, str] = {
    none: "leaves do nothing",
    io: "leaves sleep 50 ms",
    memoization: "a tenth of the leaves sleep 50 ms",
    cpu_io_mixed: "half of the leaves compute, a twentieth sleep 50 ms",
}


async def grow(n: int, *, eager: bool, node: Node, leaves: Leaves, levels: int = LEVELS) -> None:
    """A tree, n times."""
    loop = asyncio.get_running_loop()
    if eager:
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]  # since 3.12
    try:
        for _ in range(n):
            # No leaf suspends between two numbers, so the order of the leaves makes no difference to the work.
            await node(levels, leaves(Random(SEED)))
    finally:
        if eager:
            loop.set_task_factory(None)


def enter_tree(eager: bool, node: Node, leaves: Leaves) -> None:
    """Enter one of the family in WORKLOADS."""
    variant = "" if leaves is none else f"_{leaves.__name__}"
    run = partial(grow, eager=eager, node=node, leaves=leaves)
    enter(
        f"async_tree{'_eager' if eager else ''}{variant}{'_tg' if node is grouped else ''}",
        run,
        group="tree",
        operation=f"one {'eager ' if eager else ''}task of {LEVELS} levels of "
        f"{'`TaskGroup`s' if node is grouped else '`gather`s'} of {BRANCHES}; {WHAT_LEAVES_DO[leaves]}",
        operations=TASKS,
        since=(3, 12) if eager else (3, 11),
        small=partial(run, levels=SMALL),
    )


for choice in itertools.product((False, True), (gathered, grouped), WHAT_LEAVES_DO):
    enter_tree(*choice)
