"""The native coroutine shows what the coroutine of the function's own body would."""

from __future__ import annotations

import asyncio
import collections.abc
import gc
import inspect
import io
import sys
import types
import warnings
import weakref
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

import pytest

import rasyncio
from graft.notes import outcome_of_call, shown
from rasyncio import _graft

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")


def seen(coroutine: Any) -> list[Any]:
    """What can be seen of a coroutine."""
    frame = coroutine.cr_frame
    return [
        coroutine.__class__,
        isinstance(coroutine, (types.CoroutineType, collections.abc.Coroutine)),
        inspect.iscoroutine(coroutine),
        inspect.isawaitable(coroutine),
        asyncio.iscoroutine(coroutine),
        inspect.getcoroutinestate(coroutine),
        shown(repr(coroutine)),
        (coroutine.__name__, coroutine.__qualname__, coroutine.cr_origin),
        (coroutine.cr_code, coroutine.cr_running, coroutine.cr_suspended),
        shown(repr(coroutine.cr_await)),
        frame and (frame.f_code, frame.f_lineno, sorted(frame.f_locals)[:1]),
    ]


def of_either(observe: Callable[[], Any]) -> list[Any]:
    """What is observed with bodies in Python, and grafted."""
    results = []
    for wanted in (False, True):
        _graft.attach(wanted)
        results.append(observe())
    return results


def paused_protocol() -> Any:
    """One whose writers have to wait."""
    protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
    protocol.pause_writing()
    return protocol


class Open(asyncio.Transport):
    """Only who lets go of a writer is told that it is closing, so that nobody is warned."""

    def is_closing(self) -> bool:
        return sys._getframe(1).f_code.co_name == "__del__"


def paused_writer() -> asyncio.StreamWriter:
    """A writer whose `drain()` waits."""
    return asyncio.StreamWriter(Open(), paused_protocol(), None, asyncio.get_running_loop())


def full_queue() -> asyncio.Queue[int]:
    """One that has no room."""
    queue: asyncio.Queue[int] = asyncio.Queue(1)
    queue.put_nowait(1)
    return queue


MAKERS: dict[str, Callable[[], Any]] = {
    "sleep": lambda: asyncio.sleep(10),
    "sleep0": lambda: asyncio.sleep(0),
    "Event.wait": lambda: asyncio.Event().wait(),
    "Lock.acquire": lambda: asyncio.Lock().acquire(),
    "Lock.__aenter__": lambda: asyncio.Lock().__aenter__(),
    "Lock.__aexit__": lambda: asyncio.Lock().__aexit__(None, None, None),
    "TaskGroup.__aenter__": lambda: asyncio.TaskGroup().__aenter__(),
    "TaskGroup.__aexit__": lambda: asyncio.TaskGroup().__aexit__(None, None, None),
    "StreamReader.read": lambda: asyncio.StreamReader().read(5),
    "StreamReader.read, of all": lambda: asyncio.StreamReader().read(),
    "StreamReader.readexactly": lambda: asyncio.StreamReader().readexactly(5),
    "StreamReader.readline": lambda: asyncio.StreamReader().readline(),
    "StreamReader.readuntil": lambda: asyncio.StreamReader().readuntil(b"x"),
    "StreamReader.__anext__": lambda: anext(asyncio.StreamReader()),
    "StreamReader._wait_for_data": lambda: asyncio.StreamReader()._wait_for_data("name"),  # type: ignore[attr-defined]
    "StreamWriter.drain": lambda: paused_writer().drain(),
    "_drain_helper": lambda: paused_protocol()._drain_helper(),
    "Timeout.__aenter__": lambda: asyncio.timeout(None).__aenter__(),
    "Timeout.__aexit__": lambda: asyncio.timeout(10).__aexit__(None, None, None),
    "wait_for": lambda: asyncio.wait_for(asyncio.get_running_loop().create_future(), 10),
    "Queue.get": lambda: asyncio.Queue().get(),
    "Queue.put": lambda: full_queue().put(2),
    "Queue.join": lambda: full_queue().join(),
}


@pytest.mark.parametrize("name", MAKERS)
def test_seen_at_each_stage(installed: None, name: str) -> None:
    def observe() -> list[Any]:
        async def main() -> list[Any]:
            coroutine = MAKERS[name]()
            stages = [seen(coroutine)]
            stages.append(await_once(coroutine))
            stages.append(seen(coroutine))
            coroutine.close()
            stages.append(seen(coroutine))
            stages.append(outcome_of_call(lambda: coroutine.send(None)))
            return [await stage if inspect.isawaitable(stage) else stage for stage in stages]

        return asyncio.run(main())

    in_python, grafted = of_either(observe)
    assert grafted == in_python


def await_once(coroutine: Any) -> Any:
    """Its first step."""
    return outcome_of_call(lambda: shown(repr(coroutine.send(None))))


async def awaits(awaitable: Any) -> Any:
    """A second one who awaits it."""
    return await awaitable


def waits_for(awaitable: Any) -> Any:
    """One who awaits it by way of `wait_for`, and gives up."""
    waiting = asyncio.wait_for(awaitable, 10)
    try:
        return waiting.send(None) and None
    finally:
        waiting.close()


MISUSES: dict[str, Callable[[Any], Any]] = {
    "send a value at first": lambda c: c.send(1),
    "throw at first": lambda c: c.throw(ValueError("early")),
    "throw a class": lambda c: c.throw(ValueError),
    "throw nonsense": lambda c: c.throw(1),
    "throw nothing": lambda c: c.throw(),
    "close twice": lambda c: (c.close(), c.close()),
    "throw when closed": lambda c: (c.close(), c.throw(ValueError("late"))),
    "send when closed": lambda c: (c.close(), c.send(None)),
    "throw in the middle": lambda c: (c.send(None), c.throw(ValueError("middle"))),
    "close in the middle": lambda c: (c.send(None) and None, c.close()),
    "send twice": lambda c: (c.send(None) and None, c.send(None) and None),
    "send a value in the middle": lambda c: (c.send(None) and None, c.send(2) and None),
    "awaited in the middle": lambda c: (c.send(None) and None, awaits(c).send(None)),
    "awaited when closed": lambda c: (c.close(), awaits(c).send(None)),
    "waited for": waits_for,
    "waited for in the middle": lambda c: (c.send(None) and None, waits_for(c)),
    "set a name": lambda c: (setattr(c, "__name__", "x"), setattr(c, "__qualname__", "y"), c.__name__, shown(repr(c))),
    "set no name": lambda c: setattr(c, "__name__", 1),
    "delete a name": lambda c: delattr(c, "__name__"),
    "set an attribute": lambda c: setattr(c, "other", 1),
    "iterate": lambda c: iter(c),
    "by an iterator": lambda c: shown(repr(next(c.__await__()))),
    "iterator": lambda c: (shown(repr(c.__await__())), iter(i := c.__await__()) is i, i.close()),
    "iterator thrown into": lambda c: c.__await__().throw(KeyError("there")),
    "iterator sent to": lambda c: shown(repr(c.__await__().send(None))),
    "a weak reference": lambda c: weakref.ref(c)() is c,
    "hash": lambda c: hash(c) == hash(c) and c == c,
}


@pytest.mark.parametrize("misuse", MISUSES)
@pytest.mark.parametrize("name", MAKERS)
def test_misuse(installed: None, name: str, misuse: str) -> None:
    def observe() -> Any:
        async def main() -> list[Any]:
            coroutine = MAKERS[name]()
            result = await outcome_of_call(lambda: MISUSES[misuse](coroutine))
            coroutine.close()
            return [result, seen(coroutine)]

        return asyncio.run(main())

    in_python, grafted = of_either(observe)
    assert grafted == in_python


@pytest.mark.parametrize("name", MAKERS)
def test_never_awaited(installed: None, name: str) -> None:
    def observe() -> list[str]:
        async def main() -> None:
            MAKERS[name]()

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            asyncio.run(main())
            gc.collect()
        return [str(each.message) for each in caught]

    in_python, grafted = of_either(observe)
    assert grafted == in_python
    assert len(in_python) == 1


def test_closed_when_it_is_let_go(installed: None) -> None:
    """One that is suspended leaves the queue of those who wait."""

    def observe() -> list[int]:
        async def main() -> list[int]:
            event = asyncio.Event()
            coroutine = event.wait()
            coroutine.send(None)
            before = len(event._waiters)  # type: ignore[attr-defined]
            del coroutine
            gc.collect()
            return [before, len(event._waiters)]  # type: ignore[attr-defined]

        return asyncio.run(main())

    in_python, grafted = of_either(observe)
    assert grafted == in_python == [1, 0]


@pytest.mark.parametrize("name", ["sleep", "Event.wait"])
def test_tasks_of_it(installed: None, name: str) -> None:
    """A task whose coroutine it is: repr, stack, call graph."""

    def observe() -> list[str]:
        async def main() -> list[str]:
            task = asyncio.create_task(MAKERS[name]())
            early = repr(task)
            await asyncio.sleep(0)
            file = io.StringIO()
            task.print_stack(file=file)
            graph = io.StringIO()
            if sys.version_info >= (3, 14):
                with redirect_stdout(graph):
                    asyncio.print_call_graph(task)
            task.cancel()
            await asyncio.wait([task])
            return [shown(text) for text in (early, file.getvalue(), graph.getvalue(), repr(task))]

        return asyncio.run(main())

    in_python, grafted = of_either(observe)
    assert grafted == in_python


def test_call_graph_of_those_who_await_it(installed: None) -> None:
    def observe() -> str:
        async def waits(lock: asyncio.Lock) -> None:
            async with lock:
                pass

        async def main() -> str:
            lock = asyncio.Lock()
            await lock.acquire()
            task = asyncio.create_task(waits(lock))
            await asyncio.sleep(0)
            chain, awaited = [], task.get_coro()
            while awaited is not None:
                frame = getattr(awaited, "cr_frame", None)
                chain.append(f"{shown(repr(awaited))} {frame and frame.f_lineno}")
                awaited = getattr(awaited, "cr_await", None)  # type: ignore[assignment]
            lock.release()
            await task
            return "\n".join(chain)

        return asyncio.run(main())

    in_python, grafted = of_either(observe)
    assert grafted == in_python


def test_it_is_native(grafted: None) -> None:
    """Or the other tests would compare Python with Python."""

    async def main() -> list[bool]:
        made = [make() for make in MAKERS.values()]
        kinds = [type(coroutine) is types.CoroutineType for coroutine in made]
        for coroutine in made:
            coroutine.close()
        return kinds

    assert asyncio.run(main()) == [False] * len(MAKERS)
    assert rasyncio.grafted().off == {}
