"""What is grafted, where an allocation fails: scenarios for out_of_memory.py.

A lock that could not be released stays locked, an item that could not be put in is not there: who waits for them waits
for ever, as with asyncio's own bodies. So these scenarios may end by being stopped.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import socket
import struct
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import rasyncio

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


class Own(asyncio.Queue[int]):
    """With an order of its own."""

    def _put(self, item: int) -> None:
        self._queue.append(item)  # type: ignore[attr-defined]

    def _get(self) -> int:
        return self._queue.pop()  # type: ignore[attr-defined,no-any-return]


def subclasses(loop: Any) -> Act:
    """Each time others, which native code has not looked at yet."""
    lock, happened, items = (type("Derived", (cls,), {})() for cls in (asyncio.Lock, asyncio.Event, Own))

    async def uses(number: int) -> None:
        async with lock:
            await items.put(number)
            await steps(1)
        await happened.wait()
        await items.get()
        items.task_done()

    async def main() -> int:
        tasks = [loop.create_task(uses(number)) for number in range(3)]
        await steps(4)
        happened.set()
        await steps(4)
        return await end(tasks)

    return runs(loop, main())


def looked_at(loop: Any) -> Act:
    """Reads that wait in the place of others, which are made when somebody looks, throws or cancels."""
    reader = asyncio.StreamReader(loop=loop)

    async def main() -> int:
        reads = [reader.readline, lambda: anext(reader), lambda: reader.readuntil(b"ab"), lambda: reader.readexactly(3)]
        for read, look in itertools.product(reads, (True, False)):
            coroutine: Any = read()
            task = loop.create_task(coroutine)
            await steps(1)
            if look:
                while coroutine is not None:
                    coroutine = getattr(coroutine, "cr_await", None)
            if read is reads[0]:
                task.cancel()
            reader.feed_data(b"ab\n")
            await steps(2)
            await end([task])
        return 7

    return runs(loop, main())


def received(loop: Any) -> Act:
    """What a transport receives for a reader: of what can be read, nothing is missing.

    (asyncio's own transport loses what it cannot give to the reader, if it cannot tell the reader either.)
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    reader = asyncio.StreamReader(loop=loop, limit=1 << 20)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport = loop._make_socket_transport(ours, protocol)
    loop.run_until_complete(asyncio.sleep(0))
    everything = b"".join(struct.pack("<I", number) for number in range(10_000))

    async def main() -> int:
        sent = read = 0
        for size, wanted in ((5000, 100), (5000, 200), (6000, 15_000), (100, 800), (4200, 9000), (50, 50)):
            theirs.send(everything[sent : sent + size])
            sent += size
            await steps(4)
            part = await reader.read(wanted)
            if isinstance(loop, rasyncio.EventLoop):
                assert part == everything[read : read + len(part)], "something is missing"
            read += len(part)
        return 7

    coroutine = main()

    def act() -> None:
        with ours, theirs:
            try:
                assert loop.run_until_complete(coroutine) == 7
            finally:
                transport.abort()
                if not loop.is_running():
                    loop.call_soon(loop.stop)
                    loop.run_forever()

    return act


class AtOnce(concurrent.futures.Executor):
    """Does it when it is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        future.set_result(fn(*args, **kwargs))
        return future


def chains(loop: Any) -> Act:
    """Futures that follow each other. One whose source could not tell it waits for ever."""
    sources: list[concurrent.futures.Future[int]] = [concurrent.futures.Future() for _ in range(4)]
    executor = AtOnce()

    async def main() -> int:
        futures = [asyncio.wrap_future(source) for source in sources]
        futures.append(loop.run_in_executor(executor, int, "7"))
        sources[0].set_result(7)
        sources[1].set_exception(ValueError("failed"))
        sources[2].cancel()
        futures[3].cancel()
        await steps(3)
        for future in futures:
            future.cancel()
        return await end(futures)  # type: ignore[arg-type]

    return runs(loop, main())


SCENARIOS: list[Callable[[Any], Act]] = (
    [locks, conditions, queues, reads, subclasses, looked_at, received, chains] if sys.version_info >= (3, 12) else []
)


def hoard() -> list[Any]:
    """Coroutines like those that the types have kept of dead ones."""
    coroutines = [asyncio.sleep(0) for _ in range(40)]
    for coroutine in coroutines:
        coroutine.close()
    return coroutines
