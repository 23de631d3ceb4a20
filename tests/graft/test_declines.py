"""Where native code does not stand in: who watches, other loops, subclasses, replaced parts of the loop."""

from __future__ import annotations

import asyncio
import collections
import copy
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CoroutineType
from typing import Any

import pytest

import rasyncio
from graft.constructs import outcome_of_call
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


class Doubling(asyncio.Queue[int]):
    """A queue that overrides how items are kept."""

    def _put(self, item: int) -> None:
        super()._put(2 * item)  # type: ignore[misc]


class FirstComeFirstServed(asyncio.LifoQueue[int]):
    """A queue that overrides a method of a subclass of asyncio's."""

    def _get(self) -> int:
        return self._queue.pop(0)  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize(("make", "expected"), [(Doubling, [2, 4, 6]), (FirstComeFirstServed, [1, 2, 3])])
def test_subclass_of_a_queue(either: bool, make: Callable[[int], asyncio.Queue[int]], expected: list[int]) -> None:
    async def main() -> list[int]:
        queue = make(2)
        putters = [asyncio.create_task(queue.put(number)) for number in (1, 2, 3)]
        await asyncio.sleep(0)
        found = [await queue.get(), queue.get_nowait(), await queue.get()]
        await asyncio.gather(*putters)
        return found

    assert asyncio.run(main()) == expected


@pytest.mark.parametrize("name", ["_get", "_put", "_wakeup_next", "empty", "full", "get_nowait", "put_nowait", "qsize"])
@pytest.mark.parametrize("make", [asyncio.Queue, asyncio.LifoQueue, asyncio.PriorityQueue])
@pytest.mark.parametrize("early", [True, False])
def test_method_of_a_queue(installed: None, make: Callable[[int], asyncio.Queue[int]], name: str, early: bool) -> None:
    """One that an instance has of its own is called, also by a coroutine that waits already."""
    uses: list[int] = []

    async def main() -> None:
        queue = make(1)
        getter = asyncio.create_task(queue.get())
        if not early:
            await asyncio.sleep(0)
        plain = getattr(queue, name)

        def method(*arguments: Any) -> Any:
            uses.append(len(uses))
            return plain(*arguments)

        setattr(queue, name, method)
        await asyncio.sleep(0)
        for number in range(2):
            await queue.put(number)
        await getter
        await queue.get()

    counts = []
    for wanted in (False, True):
        _graft.attach(wanted)
        uses.clear()
        asyncio.run(main())
        counts.append(len(uses))
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize(
    "attribute", ["_finished", "_getters", "_is_shutdown", "_maxsize", "_putters", "_queue", "_unfinished_tasks"]
)
@pytest.mark.parametrize("value", [None, 1, [], 1.5, {"a": 1}, 10**30], ids=repr)
def test_attribute_of_a_queue(installed: None, attribute: str, value: object) -> None:
    """Whatever a program makes of a queue's attributes, the same comes of it."""

    async def main() -> list[Any]:
        queue: asyncio.Queue[int] = asyncio.Queue(2)
        setattr(queue, attribute, copy.copy(value))
        found: list[Any] = []
        calls: list[Callable[[], Any]] = [
            lambda: queue.put_nowait(1),
            queue.get_nowait,
            lambda: finish(queue.put(2)),
            queue.task_done,
            lambda: finish(queue.join()),
            lambda: finish(queue.get()),
        ]
        for call in calls:
            found.append(await outcome_of_call(call))
        return [*found, repr(getattr(queue, attribute))]

    results = []
    for wanted in (False, True):
        _graft.attach(wanted)
        results.append(asyncio.run(main()))
    assert results[0] == results[1]


def finish(coroutine: Any) -> Any:
    """What it does at its first step; then it is closed."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    finally:
        coroutine.close()
    return "waits"


class Meddling(int):
    """An item that changes the queue while it is compared."""

    queue: Any = None

    def __lt__(self, other: object) -> bool:
        meddle, self.queue = self.queue, None
        if meddle is not None:
            meddle()
        return int.__lt__(self, other)  # type: ignore[operator]


MEDDLES: dict[str, Callable[[Any], Any]] = {
    "takes a waiter": lambda queue: queue._getters.popleft(),
    "counts": lambda queue: setattr(queue, "_unfinished_tasks", 5),
    "replaces the event": lambda queue: setattr(queue, "_finished", asyncio.Event()),
    "replaces a method": lambda queue: setattr(queue, "_wakeup_next", lambda waiters: waiters.clear()),
    "cancels": lambda queue: [waiter.cancel() for waiter in queue._getters],
    "becomes another": lambda queue: setattr(queue, "__class__", Doubling),
    "switches off": lambda queue: _graft.detach(),
}


@pytest.mark.parametrize("name", MEDDLES)
def test_queue_changed_while_items_are_compared(installed: None, name: str) -> None:
    async def main() -> list[Any]:
        queue: asyncio.PriorityQueue[Meddling] = asyncio.PriorityQueue()
        queue.put_nowait(Meddling(3))
        item = Meddling(2)
        item.queue = lambda: MEDDLES[name](queue)
        waiters = [asyncio.get_running_loop().create_future() for _ in range(2)]
        queue._getters.extend(waiters)  # type: ignore[attr-defined]
        queue.put_nowait(item)
        state = [list(queue._queue), queue._unfinished_tasks, queue._finished.is_set()]  # type: ignore[attr-defined]
        return [*state, len(queue._getters), [waiter.done() for waiter in waiters]]  # type: ignore[attr-defined]

    results = []
    for wanted in (False, True):
        _graft.attach(wanted)
        results.append(asyncio.run(main()))
    assert results[0] == results[1]


def test_item_that_falls_out_of_a_short_queue(installed: None) -> None:
    """A deque with a `maxlen` lets go of an item, whose end changes the queue."""

    class Last:
        def __init__(self, queue: Any) -> None:
            self.queue = queue

        def __del__(self) -> None:
            self.queue._unfinished_tasks = 10

    async def main() -> int:
        queue: Any = asyncio.Queue()
        queue._queue = collections.deque([Last(queue)], maxlen=1)
        queue.put_nowait(1)
        return queue._unfinished_tasks  # type: ignore[no-any-return]

    results = []
    for wanted in (False, True):
        _graft.attach(wanted)
        results.append(asyncio.run(main()))
    assert results == [11, 11]


@pytest.mark.parametrize("make", [asyncio.Event, asyncio.Lock, asyncio.Queue])
def test_waiter_with_a_method_of_its_own(either: bool, make: Callable[[], Any]) -> None:
    """Who waits is woken up by the method that a program has given it."""
    uses: list[str] = []

    async def main() -> None:
        thing = make()
        if isinstance(thing, asyncio.Lock):
            await thing.acquire()
        waits = {asyncio.Event: "wait", asyncio.Lock: "acquire", asyncio.Queue: "get"}[make]  # type: ignore[index]
        task = asyncio.create_task(getattr(thing, waits)())
        await asyncio.sleep(0)
        (waiter,) = thing._getters if isinstance(thing, asyncio.Queue) else thing._waiters
        plain = waiter.set_result

        def set_result(value: object) -> None:
            uses.append("set_result")
            plain(value)

        waiter.set_result = set_result
        wake = {asyncio.Event: "set", asyncio.Lock: "release"}.get(make)  # type: ignore[call-overload]
        if wake:
            getattr(thing, wake)()
        else:
            thing.put_nowait(1)
        await task

    asyncio.run(main())
    assert uses == ["set_result"]


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
