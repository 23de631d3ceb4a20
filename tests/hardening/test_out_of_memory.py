"""Memory that is short: `MemoryError`, and nothing worse.

CPython's allocator fails as `_testcapi.set_nomemory` tells it, at each allocation in turn (scenarios in
out_of_memory.py). Rust's own containers have another allocator: that one fails by a limit on the address space.
"""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

import out_of_memory
from support.children import TESTS, run_python
from support.impls import MINOR
from support.loops import run_fresh

# What child processes did is kept for all tests of the file.
pytestmark = pytest.mark.xdist_group("out_of_memory")

pytest.importorskip("_testcapi", reason="this Python has not the module that makes allocations fail")

INSTALL = {
    "swap": "rasyncio.install(loop=False)",
    "loop": "rasyncio.install()",
}
NAMES = [scenario.__name__ for scenario in out_of_memory.SCENARIOS]
#: Interpreters that crash by themselves when Python code runs out of memory, with CPython's own module too: they do
#: only what runs little of it.
CRASHES = MINOR in ((3, 12), (3, 13))
LITTLE_PYTHON = [
    "make_future",
    "make_task",
    "fail_future",
    "callbacks",
    "iterate_future",
    "timers",
    "readers",
    "foreign_loop",
    "run_coroutine",
]
#: The selectors of the standard library raise SystemError themselves (3.11).
SKIPPED = {
    "swap": NAMES if CRASHES else ["readers"],
    "loop": [name for name in NAMES if CRASHES and name not in LITTLE_PYTHON],
}


@functools.cache
def walked(how: str) -> tuple[str, str]:
    """The lines that `walk` said, and where it was last."""
    code = f"""
    import faulthandler
    faulthandler.enable()
    faulthandler.dump_traceback_later(110, exit=True)
    import rasyncio
    {INSTALL[how]}
    import out_of_memory
    out_of_memory.walk({SKIPPED[how]!r})
    """
    child = run_python(code, flags=(), timeout=120, path=[TESTS, Path(__file__).parent])
    return child.stdout, f"exit status {child.returncode}\n{child.stdout}\n{child.stderr[-4000:]}"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("how", INSTALL)
@pytest.mark.parametrize("name", NAMES)
def test_each_allocation_fails(how: str, name: str) -> None:
    if name in SKIPPED[how]:
        pytest.skip("what crashes or raises SystemError here is CPython's own")
    said, report = walked(how)
    lines = said.splitlines()
    assert [line for line in lines if line.startswith(f"problem in {name}")] == []
    ended = [line for line in lines if line.split()[0] == name]
    assert ended, f"did not come to the end of it: {report}"
    assert int(ended[0].split()[1]) > 0, "no allocation failed"


GROWTH = {
    "the ready queue, by handles": "lambda: loop._ready.append(handle)",
    "the ready queue, by call_soon": "lambda: loop.call_soon(print, context=context)",
    "the ready queue, by futures": "lambda: done.add_done_callback(print, context=context)",
    "timers": "lambda: loop.call_at(1e9, print, context=context)",
}


@pytest.mark.parametrize("what", GROWTH)
def test_growth_without_end(what: str) -> None:
    """Rust's allocator ends the process unless it is asked for room first."""
    code = f"""
    import contextvars, resource
    loop = new_loop()
    context = contextvars.copy_context()
    handle = loop.call_later(1e9, print)
    done = loop.create_future()
    done.set_result(1)
    act = {GROWTH[what]}
    pages = int(open("/proc/self/statm").read().split()[0])
    limit = pages * resource.getpagesize() + 30 * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    try:
        for _ in range(10**7):
            act()
    except MemoryError:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print("MemoryError", len(loop._ready) + len(loop._scheduled) > 100_000)
    loop._ready.clear()
    loop._scheduled.clear()
    print(loop.run_until_complete(asyncio.sleep(0, "fine")))
    loop.close()
    """
    assert run_fresh("ours", code) == "MemoryError True\nfine\n"
