"""What is inside of itself very often ends with a RecursionError, as the functions' bodies do; no process ends."""

from __future__ import annotations

import sys

import pytest

from support.children import run_python

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")

#: Deeper than any stack. (The interpreter's own limit is asked for; it is not lifted.)
DEPTH = 200_000

NESTED = """
import asyncio
import rasyncio
rasyncio.install()

def nested():
    coroutine = asyncio.sleep(0, 7)
    for _ in range({depth}):
        coroutine = asyncio.wait_for(coroutine, 50)
    return coroutine

async def run():
    return await nested()

async def cancel():
    task = asyncio.create_task(nested())
    await asyncio.sleep(0)
    task.cancel()
    return await task

async def close():
    coroutine = nested()
    try:
        coroutine.send(None)
    finally:
        coroutine.close()

async def drop():
    coroutine = nested()
    try:
        coroutine.send(None)
    finally:
        del coroutine

async def leave():
    nested().close()
    raise RecursionError("nothing ran")

async def gather():
    future = asyncio.get_running_loop().create_future()
    for _ in range({depth}):
        future = asyncio.gather(future)
    try:
        future.cancel()
    finally:
        future._children.clear()

try:
    asyncio.run({what}())
except RecursionError:
    print("RecursionError")
print("end")
"""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("what", ["run", "cancel", "close", "drop", "leave", "gather"])
def test_very_deep(what: str) -> None:
    done = run_python(NESTED.format(depth=DEPTH, what=what), flags=("-W", "ignore"), timeout=100)
    assert (done.returncode, done.stdout.splitlines()[-2:]) == (0, ["RecursionError", "end"]), done.stderr[-2000:]
