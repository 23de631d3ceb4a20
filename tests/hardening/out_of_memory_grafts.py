"""What is grafted, where an allocation fails: scenarios for out_of_memory.py.

A lock that could not be released stays locked, an item that could not be put in is not there: who waits for them waits
for ever, as with asyncio's own bodies. So these scenarios may end by being stopped.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

Act = Callable[[], object]


def runs(loop: Any, main: Coroutine[Any, Any, int]) -> Act:
    """The act of running a coroutine that is there already."""

    def act() -> None:
        try:
            loop.run_until_complete(main)
        except RuntimeError as error:
            if str(error) != "Lock is not acquired.":  # it could not be taken again, and is released
                raise

    return act


async def steps(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def end(tasks: list[asyncio.Task[Any]]) -> int:
    """Cancels them, and lets each end as it does."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if not task.cancelled() and isinstance(task.exception(), SystemError):
            raise task.exception()  # type: ignore[misc]
    return 7


def locks(loop: Any) -> Act:
    lock, happened, tokens = asyncio.Lock(), asyncio.Event(), asyncio.Semaphore(1)

    async def uses() -> None:
        async with lock:
            await steps(1)
        async with tokens:
            await steps(1)
        await happened.wait()

    async def main() -> int:
        tasks = [loop.create_task(uses()) for _ in range(3)]
        await steps(2)
        tasks[1].cancel()
        await steps(5)
        happened.set()
        await steps(2)
        return await end(tasks)

    return runs(loop, main())


def conditions(loop: Any) -> Act:
    changed, answers = asyncio.Condition(), [True, False]

    async def waits() -> None:
        async with changed:
            await changed.wait_for(lambda: answers.pop() if answers else True)

    async def main() -> int:
        tasks = [loop.create_task(waits()) for _ in range(3)]
        await steps(3)
        async with changed:
            changed.notify(2)
            await steps(1)
            tasks[0].cancel()
        await steps(2)
        async with changed:
            changed.notify_all()
        await steps(2)
        return await end(tasks)

    return runs(loop, main())


def queues(loop: Any) -> Act:
    items: Any = asyncio.PriorityQueue(1)
    simple: asyncio.Queue[int] = asyncio.Queue(1)

    async def puts(queue: asyncio.Queue[int]) -> None:
        for number in range(3):
            await queue.put(number)
        await queue.join()

    async def gets(queue: asyncio.Queue[int]) -> None:
        for _ in range(3):
            await queue.get()
            queue.task_done()

    async def main() -> int:
        tasks = [loop.create_task(work(queue)) for queue in (items, simple) for work in (puts, gets)]
        await steps(6)
        waits = loop.create_task(simple.get())
        await steps(1)
        return await end([*tasks, waits])

    return runs(loop, main())


def reads(loop: Any) -> Act:
    reader = asyncio.StreamReader(limit=16, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)

    async def main() -> int:
        reading = [
            reader.readline,
            lambda: reader.readexactly(3),
            lambda: reader.readuntil(b"b"),
            lambda: reader.read(9),
        ]
        tasks = []
        for read in reading:
            tasks.append(loop.create_task(read()))
            await steps(1)
            for part in (b"a", b"b", b"c\n"):
                protocol.data_received(part)
                await steps(1)
        protocol.eof_received()
        await steps(2)
        return await end(tasks)

    return runs(loop, main())


SCENARIOS: list[Callable[[Any], Act]] = [locks, conditions, queues, reads] if sys.version_info >= (3, 12) else []


def hoard() -> list[Any]:
    """Coroutines like those that the types have kept of dead ones."""
    coroutines = [asyncio.sleep(0) for _ in range(40)]
    for coroutine in coroutines:
        coroutine.close()
    return coroutines
