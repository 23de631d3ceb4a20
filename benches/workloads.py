"""The workloads: small asyncio programs, written on the public API only, the same code for every implementation.

Each is a coroutine function of one argument, how often to repeat. ``operations`` says how many operations one
repetition does: the unit in which every report of this directory counts.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

GROUP = 100  # tasks in one gather or TaskGroup
TREE_LEVELS = 6
TREE_BRANCHES = 3
TREE_TASKS = sum(TREE_BRANCHES**level for level in range(1, TREE_LEVELS + 1))


@dataclass(frozen=True)
class Workload:
    """One workload: what it runs, and what one operation of it is."""

    run: Callable[[int], Awaitable[None]]
    operation: str
    operations: int = 1
    since: tuple[int, int] = (3, 11)


WORKLOADS: dict[str, Workload] = {}


def workload(
    name: str, *, operation: str, operations: int = 1, since: tuple[int, int] = (3, 11)
) -> Callable[[Callable[[int], Awaitable[None]]], Callable[[int], Awaitable[None]]]:
    """Enter a coroutine function in WORKLOADS."""

    def enter(run: Callable[[int], Awaitable[None]]) -> Callable[[int], Awaitable[None]]:
        WORKLOADS[name] = Workload(run, operation, operations, since)
        return run

    return enter


def available() -> dict[str, Workload]:
    """The workloads that this Python can run."""
    return {name: entry for name, entry in WORKLOADS.items() if sys.version_info[:2] >= entry.since}


async def noop() -> None:
    """A task's body that never suspends."""


@workload("sleep0", operation="`await asyncio.sleep(0)`")
async def sleep0(n: int) -> None:
    sleep = asyncio.sleep
    for _ in range(n):
        await sleep(0)


@workload("future", operation="a future made, resolved by `call_soon`, awaited")
async def future(n: int) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(n):
        waiter = loop.create_future()
        loop.call_soon(waiter.set_result, None)
        await waiter


@workload("pingpong", operation="one of two tasks wakes the other by a future", operations=2)
async def pingpong(n: int) -> None:
    loop = asyncio.get_running_loop()
    inbox: list[asyncio.Future[None]] = [loop.create_future(), loop.create_future()]

    async def player(me: int, other: int) -> None:
        for _ in range(n):
            await inbox[me]
            inbox[me] = loop.create_future()
            inbox[other].set_result(None)

    players = [asyncio.create_task(player(0, 1)), asyncio.create_task(player(1, 0))]
    await asyncio.sleep(0)
    inbox[0].set_result(None)
    await asyncio.wait(players)


@workload("create_task", operation="`await create_task(noop())`")
async def create_task(n: int) -> None:
    for _ in range(n):
        await asyncio.create_task(noop())


@workload("gather", operation="one task of a `gather` of 100", operations=GROUP)
async def gather(n: int) -> None:
    for _ in range(n):
        await asyncio.gather(*[noop() for _ in range(GROUP)])


@workload("taskgroup", operation="one task of a `TaskGroup` of 100", operations=GROUP)
async def taskgroup(n: int) -> None:
    for _ in range(n):
        async with asyncio.TaskGroup() as group:
            for _ in range(GROUP):
                group.create_task(noop())


@workload("taskgroup_eager", operation="the same with `eager_task_factory`", operations=GROUP, since=(3, 12))
async def taskgroup_eager(n: int) -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]  # since 3.12
    try:
        await taskgroup(n)
    finally:
        loop.set_task_factory(None)


@workload("queue", operation="one item through a `Queue(1)`")
async def queue(n: int) -> None:
    items: asyncio.Queue[int] = asyncio.Queue(1)

    async def produce() -> None:
        for number in range(n):
            await items.put(number)

    producer = asyncio.create_task(produce())
    for _ in range(n):
        await items.get()
    await producer


@workload("event", operation="two tasks wake each other by an `Event`, there and back")
async def event(n: int) -> None:
    ping, pong = asyncio.Event(), asyncio.Event()

    async def echo() -> None:
        for _ in range(n):
            await ping.wait()
            ping.clear()
            pong.set()

    other = asyncio.create_task(echo())
    for _ in range(n):
        ping.set()
        await pong.wait()
        pong.clear()
    await other


@workload("lock", operation="a `Lock` that two tasks want changes hands", operations=2)
async def lock(n: int) -> None:
    shared = asyncio.Lock()

    async def contend() -> None:
        for _ in range(n):
            async with shared:
                await asyncio.sleep(0)

    await asyncio.gather(contend(), contend())


@workload("cancel", operation="a task created, started, cancelled, awaited")
async def cancel(n: int) -> None:
    loop = asyncio.get_running_loop()

    async def wait_for_ever() -> None:
        await loop.create_future()

    for _ in range(n):
        task = asyncio.create_task(wait_for_ever())
        await asyncio.sleep(0)
        task.cancel()
        try:  # not contextlib.suppress, whose own cost would be measured as well
            await task
        except asyncio.CancelledError:
            pass


@workload(
    "gather_tree",
    operation=f"one task of a {TREE_LEVELS}-level tree of `gather`({TREE_BRANCHES})",
    operations=TREE_TASKS,
)
async def gather_tree(n: int) -> None:
    async def node(level: int) -> None:
        if level:
            await asyncio.gather(*[node(level - 1) for _ in range(TREE_BRANCHES)])

    for _ in range(n):
        await node(TREE_LEVELS)
