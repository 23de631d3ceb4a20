"""Each construct does natively what it does in Python: results, order, exceptions and their tracebacks."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

import rasyncio
from graft.constructs import PROGRAMS, USES, run
from rasyncio import _graft

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_natively(installed: None, name: str) -> None:
    in_python = run(name)
    _graft.attach(True)
    assert run(name) == in_python
    assert [each for each in USES if USES[each] == name and each not in rasyncio.grafted().on] == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_in_debug_mode(grafted: None, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    in_debug = run(name)
    _graft.detach()
    assert in_debug == run(name)


def stock() -> asyncio.AbstractEventLoop:
    """asyncio's own loop."""
    return asyncio.SelectorEventLoop()


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_on_the_stock_loop(grafted: None, name: str) -> None:
    here = run(name, stock)
    _graft.detach()
    assert here == run(name, stock)


def test_each_graft_has_its_program(grafted: None) -> None:
    names = {f"{module}.{path}" for module, path in _graft._asyncio._grafts()}
    assert names == USES.keys()


@pytest.mark.parametrize("make", [asyncio.Event, asyncio.Lock])
def test_of_another_loop(either: bool, make: Callable[[], Any]) -> None:
    """Whoever waits in a second loop is refused, as by Python code."""
    waited = make()

    async def wait() -> None:
        coroutine = waited.wait() if isinstance(waited, asyncio.Event) else waited.acquire()
        task = asyncio.ensure_future(coroutine)
        await asyncio.sleep(0)
        if not task.done():
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled() and task.exception():
            raise task.exception()  # type: ignore[misc]

    if isinstance(waited, asyncio.Lock):
        asyncio.run(waited.acquire())
    asyncio.run(wait())
    with pytest.raises(RuntimeError, match="is bound to a different event loop"):
        asyncio.run(wait())
