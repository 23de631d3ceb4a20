"""What must not pile up over a program's life, nor wait for the garbage collector: test_lifetime.py and
test_loop_lifetime.py look at single objects, this at programs, memory and processes."""

from __future__ import annotations

import collections
import os
import re
import textwrap
from typing import Any

import pytest

from support.impls import run_fresh, run_on
from support.loops import ENGINES

#: `make leaks` sets it: as much as it takes to be sure, for minutes.
FULL = "RASYNCIO_FULL_LEAK_TESTS" in os.environ
TASKS = 10_000_000 if FULL else 150_000
SWAPS = 1000 if FULL else 200

# Each is the body of `async def program()`. They end with nothing left, or with what asyncio's own Python code leaves.
PROGRAMS = {
    "exception of a task": """
        task = asyncio.create_task(fails())
        try:
            await task
        except ValueError:
            pass
        del task
    """,
    "exception asked for often": """
        task = asyncio.create_task(fails())
        await asyncio.wait([task])
        for ask in (task.exception, task.result, task.result):
            try:
                ask()
            except ValueError:
                pass
        del task, ask
    """,
    "exception of a future": """
        future = loop.create_future()
        loop.call_soon(future.set_exception, ValueError("text"))
        try:
            await future
        except ValueError:
            pass
        del future
    """,
    "exception that is never asked for": """
        loop.set_exception_handler(lambda loop, context: None)
        loop.create_future().set_exception(ValueError("text"))
        asyncio.create_task(fails())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    """,
    "exceptions through gather": """
        await asyncio.gather(fails(), value(), fails(), return_exceptions=True)
        try:
            await asyncio.gather(fails(), value())
        except ValueError:
            pass
    """,
    "cancelled future": """
        future = loop.create_future()
        loop.call_soon(future.cancel, "message")
        try:
            await future
        except asyncio.CancelledError:
            pass
        del future
    """,
    "cancelled future asked for often": """
        future = loop.create_future()
        future.cancel("message")
        for ask in (future.result, future.exception, future.result):
            try:
                ask()
            except asyncio.CancelledError:
                pass
        del future, ask
    """,
    "cancelled task": """
        task = asyncio.create_task(asyncio.sleep(1000))
        await asyncio.sleep(0)
        task.cancel("message")
        try:
            await task
        except asyncio.CancelledError:
            pass
        del task
    """,
    "cancelled chain of tasks": """
        async def waits(depth):
            await (asyncio.create_task(waits(depth - 1)) if depth else loop.create_future())
        task = asyncio.create_task(waits(10))
        await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])
        try:
            task.result()
        except asyncio.CancelledError:
            pass
        del task, waits
    """,
    "timeouts": """
        for wait in (asyncio.wait_for(asyncio.sleep(1000), 0.001), asyncio.wait_for(loop.create_future(), 0.001)):
            try:
                await wait
            except TimeoutError:
                pass
        try:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(1000)
        except TimeoutError:
            pass
        del wait
    """,
    "failing group": """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fails())
                group.create_task(asyncio.sleep(1000))
        except* ValueError:
            pass
        del group
    """,
    "exception from a thread": """
        def work():
            raise ValueError("text")
        try:
            await loop.run_in_executor(None, work)
        except ValueError:
            pass
        del work
    """,
    "failing callbacks": """
        loop.set_exception_handler(lambda loop, context: None)
        def callback(*args):
            raise ValueError("text")
        loop.call_soon(callback)
        loop.call_later(0, callback)
        loop.call_soon_threadsafe(callback)
        future = loop.create_future()
        future.add_done_callback(callback)
        future.set_result(None)
        await asyncio.sleep(0.001)
        del future, callback
    """,
}

GARBAGE = """
import asyncio, gc

async def value():
    return 1

async def fails():
    await asyncio.sleep(0)
    raise ValueError("text")

async def program():
    loop = asyncio.get_running_loop()
{body}

async def main():
    for _ in range(3):
        await program()
    await asyncio.sleep(0.001)
    gc.collect()
    gc.disable()
    for _ in range(5):
        await program()
    await asyncio.sleep(0.001)
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    for thing in gc.garbage:
        print(type(thing).__name__)

run(main())
"""


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_more_garbage_than_with_cpythons_own(program: str) -> None:
    """Nothing that the collector has to find but what asyncio's Python code leaves on CPython's own module, too."""
    code = GARBAGE.format(body=textwrap.indent(textwrap.dedent(PROGRAMS[program]), "    "))
    found = {name: collections.Counter(run_fresh(f"loop {name}", code).split()) for name in ENGINES}
    for name in ENGINES:
        assert not found[name] - found["stock"], name


def left_at_exit(name: str, body: str) -> tuple[int, int]:
    """How many bytes and blocks of CPython's small-object allocator are in use when the interpreter has gone."""
    child = run_on(name, body, env=os.environ | {"PYTHONMALLOCSTATS": "1"})
    assert child.returncode == 0, child.stderr[-2000:]
    last = child.stderr[child.stderr.rindex("Small block threshold") :]
    size = re.search(r"# bytes in allocated blocks\s+=\s+([\d,]+)", last)
    assert size
    blocks = sum(int(row.split()[3]) for row in re.findall(r"^ *\d+ +\d+ +\d+ +\d+ +\d+ *$", last, re.MULTILINE))
    return int(size[1].replace(",", "")), blocks


@pytest.mark.parametrize("name", [f"loop {name}" for name in ENGINES])
def test_what_is_left_at_exit_does_not_grow(name: str) -> None:
    """An interpreter that has done much leaves as much as one that has done little: its own constants."""
    body = """
async def child(n):
    await asyncio.sleep(0)
    if n % 3 == 0:
        raise ValueError(n)
    await asyncio.sleep(0 if n % 3 == 1 else 1000)

async def main():
    for _ in range({rounds}):
        tasks = [asyncio.create_task(child(n)) for n in range(9)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for task in tasks[2::3]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    for task in tasks:  # pending at the end, too
        asyncio.get_running_loop().call_later(1000, print, task)

run(main())
"""
    few, many = (left_at_exit(name, body.format(rounds=rounds)) for rounds in (20, 520))
    # Less than one block for each of the 4500 tasks that the second has more.
    assert many[1] - few[1] < 1000 and many[0] - few[0] < 64_000, (few, many)


@pytest.mark.timeout(60 + SWAPS // 5)
def test_install_and_uninstall_again_and_again() -> None:
    def body(swaps: int) -> None:
        import asyncio
        import gc
        import sys

        import rasyncio

        async def child():
            await asyncio.sleep(0)

        def measure(rounds):
            for number in range(rounds):
                rasyncio.install(loop=number % 2 == 0)
                assert asyncio.Task is rasyncio.Task
                if number % 10 < 2:
                    asyncio.run(child())
                rasyncio.uninstall()
                assert asyncio.Task is not rasyncio.Task
            gc.collect()
            if sys.version_info < (3, 13):
                # The interpreter's cache of methods keeps the names that it was asked for (4,096 at most), and each
                # swap gives classes new version tags.
                sys._clear_type_cache()
            shared = (None, rasyncio.Task, rasyncio.Future, asyncio.Task, asyncio.Future, rasyncio.EventLoop)
            counts = [sys.getrefcount(thing) for thing in shared] if sys.version_info < (3, 12) else []
            counts += [sys.getrefcount(thing) for thing in shared[1:]]
            return len(gc.get_objects()), sys.getallocatedblocks(), sum(counts)

        measure(20)
        before = measure(10)
        after = measure(swaps)
        print(*(now - then for now, then in zip(after, before, strict=True)))

    objects, blocks, references = map(int, run_fresh("c", body, SWAPS, timeout=60 + SWAPS // 5).split())
    assert objects < 50 and blocks < 150 and references < 50


@pytest.mark.timeout(60 + TASKS // 1000)
def test_many_tasks_in_flat_memory(engine_name: str) -> None:
    """Resident memory after all of the tasks is what it was after the first third."""

    def body(count: int) -> None:
        import asyncio
        import gc
        import os
        import sys

        async def child(number):
            await asyncio.sleep(0)
            if number % 10 == 1:
                raise ValueError(number)
            return number

        async def batch(start):
            loop = asyncio.get_running_loop()
            tasks = [asyncio.create_task(child(n)) for n in range(start, start + 60)]
            tasks += [loop.create_task(asyncio.sleep(1000)) for _ in range(20)]
            await asyncio.sleep(0)
            for task in tasks[60:]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            async with asyncio.TaskGroup() as group:
                for n in range(10):
                    group.create_task(asyncio.wait_for(child(n * 10), 60))

        def rss():
            gc.collect()
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024

        async def main():
            samples = []
            for start in range(0, count, 90):
                if start * 3 // count > len(samples):
                    samples.append((rss(), sys.getallocatedblocks()))
                await batch(start)
            samples.append((rss(), sys.getallocatedblocks()))
            print(*samples[0], *samples[-1], len(samples))

        run(main())  # noqa: F821

    result: Any = run_fresh(f"loop {engine_name}", body, TASKS, timeout=60 + TASKS // 1000)
    rss, blocks, last_rss, last_blocks, samples = map(int, result.split())
    print(f"{TASKS} tasks on {engine_name}: {rss} KiB, {blocks} blocks, then {last_rss} KiB, {last_blocks} blocks")
    assert samples == 3
    assert last_rss - rss < 2048 and last_blocks - blocks < 1000, result
