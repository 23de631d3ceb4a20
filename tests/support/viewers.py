"""A program to be looked into, and `python -m rasyncio top` that looks."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from support.children import PATIENCE

BY_PROCESS = pytest.mark.skipif(not hasattr(sys, "remote_exec"), reason="sys.remote_exec() came with 3.14")
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become another user")
NOBODY = 65534

PROGRAM = """\
import asyncio, sys, time, rasyncio
async def sleeps():
    await asyncio.sleep(1000)
async def nightly():
    while True:
        await asyncio.sleep(0.1)
        time.sleep(0.1)
async def main():
    tasks = [asyncio.create_task(sleeps(), name=f"sleeper-{number}") for number in range(3)]
    tasks.append(asyncio.create_task(nightly(), name="[red]nightly[/red]"))
    print("ready", flush=True)
    await asyncio.gather(*tasks)
rasyncio.run(main())
"""


@contextlib.contextmanager
def running(code: str = PROGRAM, stderr: Any = None, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A program, once it has said something."""
    environment = {**os.environ, **variables}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True
    ) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline()
            yield program
        finally:
            program.kill()


def top(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "rasyncio", "top", *map(str, arguments)],
        env={**os.environ, "COLUMNS": "150", **variables},
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
    )


def refused(*arguments: object, **variables: str) -> str:
    """The one line about a program that cannot be looked into."""
    done = top(*arguments, **variables)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.startswith("rasyncio: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def until(controller: int, wanted: bytes) -> bytes:
    """What comes on the terminal until that has come, or nothing more does."""
    text = b""
    deadline = time.monotonic() + 30
    while wanted not in text and time.monotonic() < deadline:
        if select.select([controller], [], [], 0.1)[0]:
            try:
                text += os.read(controller, 2**16)
            except OSError:  # the other end is closed
                break
    return text
