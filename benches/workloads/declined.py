"""What native code may leave to asyncio's own functions, though they are grafted: it looks at each call.

For `python -m benches.instructions.declining`; `WORKLOADS` has none of it.
"""

import asyncio

from benches.workloads import Run, Workload

DECLINED: dict[str, Workload] = {}


def workload(run: Run) -> Run:
    """Enter it; its docstring says what one operation is."""
    name = run.__name__
    DECLINED[name] = Workload("declined", run, run.__doc__ or "", 1, (3, 12), "", run)
    return run


class OwnQueue(asyncio.Queue[int]):
    """A subclass, whatever it is for."""


class OwnOrderQueue(asyncio.Queue[int]):
    """A subclass that keeps its items in another way."""

    def _get(self) -> int:
        items: list[int] = self._queue  # type: ignore[attr-defined]
        return items.pop()


class CountingQueue(asyncio.Queue[int]):
    """A subclass whose methods call asyncio's."""

    count = 0

    def put_nowait(self, item: int) -> None:
        """Count it."""
        self.count += 1
        super().put_nowait(item)


async def pass_through(items: asyncio.Queue[int], n: int) -> None:
    """One task puts so many items in, another takes them out."""

    async def produce() -> None:
        for number in range(n):
            await items.put(number)

    producer = asyncio.create_task(produce())
    for _ in range(n):
        await items.get()
    await producer


def put_and_get(items: asyncio.Queue[int], n: int) -> None:
    """The same at once, one by one."""
    for number in range(n):
        items.put_nowait(number)
        items.get_nowait()


@workload
async def subclassed_queue(n: int) -> None:
    """one item through a `Queue(1)` of a subclass that replaces nothing"""
    await pass_through(OwnQueue(1), n)


@workload
async def subclassed_nowait(n: int) -> None:
    """`put_nowait` and `get_nowait` of a queue of a subclass"""
    put_and_get(OwnQueue(), n)


@workload
async def own_order(n: int) -> None:
    """one item through a `Queue(1)` of a subclass with a `_get` of its own"""
    await pass_through(OwnOrderQueue(1), n)


@workload
async def own_order_nowait(n: int) -> None:
    """`put_nowait` and `get_nowait` of such a queue"""
    put_and_get(OwnOrderQueue(), n)


@workload
async def subclassed_put_nowait(n: int) -> None:
    """the same of a subclass whose `put_nowait` calls asyncio's"""
    put_and_get(CountingQueue(), n)


@workload
async def semaphore(n: int) -> None:
    """`async with` a `Semaphore` that is free"""
    free = asyncio.Semaphore(1)
    for _ in range(n):
        async with free:
            pass


@workload
async def condition(n: int) -> None:
    """`async with` a `Condition` that is free"""
    free = asyncio.Condition()
    for _ in range(n):
        async with free:
            pass


class OwnEvent(asyncio.Event):
    """A subclass, whatever it is for."""


@workload
async def subclassed_event(n: int) -> None:
    """`set`, `wait` and `clear` of an `Event` of such a subclass"""
    event = OwnEvent()
    for _ in range(n):
        event.set()
        await event.wait()
        event.clear()


@workload
async def debug_sleep0(n: int) -> None:
    """`await asyncio.sleep(0)` in debug mode"""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    for _ in range(n):
        await asyncio.sleep(0)
    loop.set_debug(False)


@workload
async def debug_lock(n: int) -> None:
    """`async with` a free `Lock` in debug mode"""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    free = asyncio.Lock()
    for _ in range(n):
        async with free:
            pass
    loop.set_debug(False)
