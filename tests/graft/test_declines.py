"""Where native code does not stand in: who watches, other loops, subclasses, replaced parts of the loop."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CoroutineType
from typing import Any

import pytest

import rasyncio
from rasyncio import _graft
from support.children import run_python

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")


def is_native(coroutine: Any) -> bool:
    """Is it the native coroutine? It is closed."""
    coroutine.close()
    return type(coroutine) is not CoroutineType


def sleeps_natively() -> bool:
    """Is `asyncio.sleep` native here and now?"""
    return is_native(asyncio.sleep(0))


def test_usually(grafted: None) -> None:
    assert sleeps_natively()
    assert rasyncio.grafted().off == {}
    assert "asyncio.tasks.sleep" in str(rasyncio.grafted())


@contextmanager
def profiling() -> Iterator[None]:
    sys.setprofile(lambda *_: None)
    yield
    sys.setprofile(None)


@contextmanager
def tracing() -> Iterator[None]:
    before = sys.gettrace()
    sys.settrace(lambda *_: None)
    yield
    sys.settrace(before)


@contextmanager
def profiling_elsewhere() -> Iterator[None]:
    begun, over = threading.Event(), threading.Event()

    def work() -> None:
        sys.setprofile(lambda *_: None)
        begun.set()
        over.wait()
        sys.setprofile(None)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    yield
    over.set()
    thread.join()


@contextmanager
def monitoring(local: bool) -> Iterator[None]:
    tools = sys.monitoring
    tools.use_tool_id(4, "a test")
    if local:
        tools.set_local_events(4, asyncio.sleep.__code__, tools.events.LINE)
    else:
        tools.set_events(4, tools.events.PY_START)
    yield
    if local:
        tools.set_local_events(4, asyncio.sleep.__code__, 0)
    tools.set_events(4, 0)
    tools.free_tool_id(4)


@contextmanager
def noting_origins() -> Iterator[None]:
    sys.set_coroutine_origin_tracking_depth(3)
    yield
    sys.set_coroutine_origin_tracking_depth(0)


WATCHERS: dict[str, Callable[[], Any]] = {
    "a profiler": profiling,
    "a tracer": tracing,
    "a profiler in another thread": profiling_elsewhere,
    "a tool": lambda: monitoring(local=False),
    "a tool for one function": lambda: monitoring(local=True),
    "origin tracking": noting_origins,
}


@pytest.mark.parametrize("name", WATCHERS)
def test_while_somebody_watches(grafted: None, name: str) -> None:
    assert sleeps_natively()
    with WATCHERS[name]():
        assert not sleeps_natively()
    assert sleeps_natively()


def test_a_profiler_sees_the_body(either: bool) -> None:
    calls = []

    def note(frame: Any, event: str, _: object) -> None:
        if event == "call" and "asyncio" in frame.f_code.co_filename:
            calls.append(frame.f_code.co_qualname)

    async def main() -> None:
        event = asyncio.Event()
        sys.setprofile(note)
        asyncio.get_running_loop().call_soon(event.set)
        await event.wait()
        sys.setprofile(None)

    asyncio.run(main())
    assert "Event.wait" in calls
    assert "Event.set" in calls


def test_profiler_that_comes_while_it_waits(either: bool) -> None:
    """It goes on natively: its frame was not there to be seen."""

    async def main() -> list[Any]:
        event = asyncio.Event()
        task = asyncio.create_task(event.wait())
        await asyncio.sleep(0)
        sys.setprofile(lambda *_: None)
        event.set()
        result = await task
        sys.setprofile(None)
        return [result, list(event._waiters)]  # type: ignore[attr-defined]

    assert asyncio.run(main()) == [True, []]


def test_loop_with_its_own_futures(grafted: None) -> None:
    class OwnFuture(asyncio.Future[Any]):
        """A future of the program's."""

    class OwnLoop(rasyncio.EventLoop):
        """A loop with a method of its own."""

        def create_future(self) -> asyncio.Future[Any]:
            return OwnFuture(loop=self)

    async def main() -> type:
        task = asyncio.create_task(asyncio.Event().wait())
        await asyncio.sleep(0)
        kind = type(task._fut_waiter)  # type: ignore[attr-defined]
        task.cancel()
        return kind

    with asyncio.Runner(loop_factory=OwnLoop) as runner:
        assert runner.run(main()) is OwnFuture


@pytest.mark.parametrize("by", ["attribute", "dict", "class"])
def test_create_task_of_a_loop(grafted: None, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    async def main() -> list[Any]:
        loop: Any = asyncio.get_running_loop()
        plain = loop.create_task

        def create_task(coroutine: Any, **keywords: Any) -> Any:
            made.append(coroutine.__name__)
            return plain(coroutine, **keywords)

        if by == "attribute":
            loop.create_task = create_task
        elif by == "dict":
            loop.__dict__["create_task"] = create_task
        else:
            monkeypatch.setattr(rasyncio.EventLoop, "create_task", lambda self, *a, **k: create_task(*a, **k))
        await asyncio.create_task(asyncio.sleep(0))
        return await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2))

    assert asyncio.run(main()) == [1, 2]
    assert made[:3] == ["sleep"] * 3


def test_task_factory(grafted: None) -> None:
    class OwnTask(asyncio.Task[Any]):
        pass

    async def main() -> list[type]:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(lambda loop, coro, **keywords: OwnTask(coro, loop=loop, **keywords))
        gathering: Any = asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
        kinds = [type(child) for child in gathering._children]
        await gathering
        return [*kinds, type(asyncio.create_task(asyncio.sleep(0)))]

    assert asyncio.run(main()) == [OwnTask] * 3


@pytest.mark.parametrize("make", [asyncio.Event, asyncio.Lock])
def test_subclass(grafted: None, make: type) -> None:
    """Of what a subclass overrides, all is called."""
    calls: list[str] = []

    def noting(name: str) -> Callable[..., Any]:
        def method(self: Any, *arguments: Any) -> Any:
            calls.append(name)
            return getattr(make, name)(self, *arguments)

        return method

    methods = [name for name in dir(make) if callable(getattr(make, name)) and not name.startswith("__")]
    subclass = type("Subclass", (make,), {name: noting(name) for name in methods})

    async def main() -> None:
        thing = subclass()
        if make is asyncio.Event:
            asyncio.get_running_loop().call_soon(thing.set)
            await thing.wait()
        else:
            async with thing:
                task = asyncio.create_task(thing.acquire())
                await asyncio.sleep(0)
            await task

    asyncio.run(main())
    grafted_calls = list(calls)
    _graft.detach()
    calls.clear()
    asyncio.run(main())
    assert grafted_calls == calls


def test_not_wanted(installed: None) -> None:
    rasyncio.install(graft=False)
    assert not sleeps_natively()
    assert rasyncio.grafted().on == ()
    assert set(rasyncio.grafted().off.values()) == {"install(graft=False) was called"}
    rasyncio.install()
    assert sleeps_natively()
    rasyncio.uninstall()
    assert not sleeps_natively()


def test_not_wanted_by_the_environment() -> None:
    code = "import rasyncio; rasyncio.install(); print(rasyncio.grafted().on, set(rasyncio.grafted().off.values()))"
    done = run_python(code, env={**os.environ, "RASYNCIO_GRAFT": "0"})
    assert (done.stdout, done.stderr) == ("() {'RASYNCIO_GRAFT is 0 in the environment'}\n", "")
