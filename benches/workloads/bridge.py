"""Rust's futures awaited by Python, and Python's coroutines awaited by Rust: examples/tokio_bridge.

They are there where that extension can be imported (`python -m benches.speed.bridge` builds it).
"""

import asyncio
from collections.abc import Callable

from benches.workloads import Run, enter

AT_ONCE = 10_000


def workload(name: str, *, operation: str, operations: int = 1) -> Callable[[Run], Run]:
    """Enter what follows in WORKLOADS."""

    def decorate(run: Run) -> Run:
        enter(name, run, group="bridge", operation=operation, operations=operations, needs="tokio_bridge")
        return run

    return decorate


async def itself(number: int) -> int:
    """What Rust awaits."""
    return number


@workload("one_by_one", operation="await a short tokio future, one after the other")
async def one_by_one(n: int) -> None:
    from tokio_bridge import short

    for number in range(n):
        await short(number)


@workload("at_once", operation="a short tokio future, all awaited at once", operations=AT_ONCE)
async def at_once(n: int) -> None:
    from tokio_bridge import short

    for _ in range(n):
        await asyncio.gather(*map(short, range(AT_ONCE)))


@workload("callback", operation="Rust awaits a Python coroutine, one after the other")
async def callback(n: int) -> None:
    from tokio_bridge import call

    await call(itself, n)


@workload("callbacks", operation="Rust awaits a Python coroutine, all at once", operations=AT_ONCE)
async def callbacks(n: int) -> None:
    from tokio_bridge import map as map_in_rust

    for _ in range(n):
        await map_in_rust(itself, range(AT_ONCE), limit=AT_ONCE)
