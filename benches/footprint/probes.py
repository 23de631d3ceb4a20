"""What runs in the measured interpreter, a fresh process for each figure (see interpreter.py)."""

import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from benches import implementations
from benches.probes import CLOCKS

Make = Callable[[int], Awaitable[Sequence[object]]]


def sizes(implementation: str) -> dict[str, int]:
    """Bytes of each kind of object, with what stands in front of it (`sys.getsizeof`)."""
    loop_class = implementations.select(implementation)
    import asyncio

    async def noop() -> None:
        pass

    async def futures_and_tasks() -> dict[str, int]:
        loop = asyncio.get_running_loop()
        scheduled: list[Any] = []

        def call_soon(callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
            scheduled.append(callback)
            return asyncio.BaseEventLoop.call_soon(loop, callback, *args, context=context)  # type: ignore[arg-type]

        vars(loop)["call_soon"] = call_soon  # the only place where a step wrapper can be seen
        task = loop.create_task(noop())
        del vars(loop)["call_soon"]
        await task
        other = loop.create_task(noop())
        entry = vars(loop)["_ready"][-1]  # a Handle, or whatever the implementation puts in its place
        await other
        future = loop.create_future()
        return {
            "Future": sys.getsizeof(future),
            "Task": sys.getsizeof(task),
            "Future's iterator": sys.getsizeof(future.__await__()),
            "step wrapper": sys.getsizeof(scheduled[0]),
            "entry in asyncio's ready queue": sys.getsizeof(entry),
        }

    async def handles() -> dict[str, int]:
        loop = asyncio.get_running_loop()
        timer = loop.call_later(60, id, None)
        timer.cancel()
        return {"Handle": sys.getsizeof(loop.call_soon(id, None)), "TimerHandle": sys.getsizeof(timer)}

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        found = runner.run(futures_and_tasks())
    with asyncio.Runner(loop_factory=loop_class) as runner:
        return found | runner.run(handles())


def pending_bytes(implementation: str, kind: str, count: int) -> float:
    """Resident memory for each of many pending things, in bytes, with all that belongs to it."""
    loop_class = implementations.select(implementation)
    import asyncio

    def resident() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def wait_for_ever() -> None:
        await asyncio.get_running_loop().create_future()

    async def with_timeout() -> None:
        async with asyncio.timeout(3600):
            await wait_for_ever()

    async def with_group() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait_for_ever())

    def tasks(work: Callable[[], Coroutine[Any, Any, object]]) -> Make:
        async def make(number: int) -> list[asyncio.Task[object]]:
            made = [asyncio.create_task(work()) for _ in range(number)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return made

        return make

    async def queues(number: int) -> list[asyncio.Queue[object]]:
        return [asyncio.Queue(1) for _ in range(number)]

    async def readers(number: int) -> list[asyncio.StreamReader]:
        return [asyncio.StreamReader() for _ in range(number)]

    async def timers(number: int) -> list[asyncio.TimerHandle]:
        loop = asyncio.get_running_loop()
        return [loop.call_later(3600 + index % 1000, id, None) for index in range(number)]

    async def callbacks(number: int) -> list[asyncio.Handle]:
        loop = asyncio.get_running_loop()
        return [loop.call_soon(id, None) for _ in range(number)]

    kinds: dict[str, Make] = {
        "task": tasks(wait_for_ever),
        "timer": timers,
        "callback": callbacks,
        "queue": queues,
        "reader": readers,
        "task in `Queue().get()`": tasks(lambda: asyncio.Queue[object]().get()),
        "task in `Event().wait()`": tasks(lambda: asyncio.Event().wait()),
        "task in `StreamReader().readline()`": tasks(lambda: asyncio.StreamReader().readline()),
        "task in a `timeout`": tasks(with_timeout),
        "task in `wait_for`": tasks(lambda: asyncio.wait_for(wait_for_ever(), 3600)),
        "task in a `TaskGroup` of one": tasks(with_group),
    }

    async def measure() -> float:
        kept = [await kinds[kind](1)]  # what the first one alone needs
        before = resident()
        kept.append(await kinds[kind](count))
        return (resident() - before) / count

    with asyncio.Runner(loop_factory=loop_class) as runner:
        return runner.run(measure())


def idle(implementation: str, seconds: float, far_timer: bool) -> tuple[int, float]:
    """What a loop that has nothing to do costs in this time: how often its thread waits anew, CPU seconds."""
    loop_class = implementations.select(implementation)
    import asyncio

    async def measure() -> tuple[int, float]:
        loop = asyncio.get_running_loop()
        if far_timer:
            loop.call_later(3600, id, None)
        over = loop.create_future()
        loop.add_signal_handler(signal.SIGALRM, over.set_result, None)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        before, start = resource.getrusage(resource.RUSAGE_THREAD), time.thread_time()
        await over
        after = resource.getrusage(resource.RUSAGE_THREAD)
        return after.ru_nvcsw - before.ru_nvcsw, time.thread_time() - start

    with asyncio.Runner(loop_factory=loop_class) as runner:
        return runner.run(measure())


def import_seconds(clock: str, *modules: str) -> float:
    """How long the first import of these modules takes, one after the other."""
    read = CLOCKS[clock]
    start = read()
    for module in modules:
        __import__(module)
    return read() - start


def package() -> str:
    """Where rasyncio is."""
    import rasyncio

    return os.path.dirname(rasyncio.__file__)
