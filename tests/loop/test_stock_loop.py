"""Steps and callbacks go natively to an unmodified stock loop, and through the loop's own methods to any other."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import re
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest

import rasyncio


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    rasyncio.install(loop=False)
    yield
    rasyncio.uninstall()


class Count:
    """Counts the calls of a function that it stands in for."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return self.function(*args, **kwargs)


async def steps() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def run_with(change: Callable[[asyncio.AbstractEventLoop], Any]) -> tuple[int, int, int]:
    """The calls that the change has seen: of three steps before it, of three under it, and of three after it."""

    async def main() -> tuple[int, int, int]:
        loop = asyncio.get_running_loop()
        await steps()
        with change(loop) as count:
            before = count.calls
            await steps()
            under = count.calls
        await steps()
        return before, under, count.calls - under

    return asyncio.run(main())


@contextmanager
def on_instance(loop: Any, name: str) -> Iterator[Count]:
    count = Count(getattr(loop, name))
    setattr(loop, name, count)
    yield count
    delattr(loop, name)


@contextmanager
def on_class(owner: Any, name: str) -> Iterator[Count]:
    count = Count(getattr(owner, name))
    with mock.patch.object(owner, name, lambda *args, **kwargs: count(*args, **kwargs)):
        yield count


@pytest.mark.parametrize("name", ["call_soon", "_call_soon", "_check_closed"])
def test_method_replaced_on_the_instance(name: str) -> None:
    assert run_with(lambda loop: on_instance(loop, name)) == (0, 3, 0)


@pytest.mark.parametrize("name", ["call_soon", "_call_soon", "_check_closed"])
def test_method_replaced_on_the_class(name: str) -> None:
    assert run_with(lambda loop: on_class(type(loop), name)) == (0, 3, 0)


def test_method_replaced_on_the_base_class() -> None:
    assert run_with(lambda loop: on_class(asyncio.BaseEventLoop, "call_soon")) == (0, 3, 0)


def test_get_debug_replaced() -> None:
    # `Handle` asks once for each step.
    assert run_with(lambda loop: on_instance(loop, "get_debug")) == (0, 3, 0)


@pytest.mark.parametrize("name", ["__init__", "_run"])
def test_handle_method_replaced(name: str) -> None:
    before, under, _ = run_with(lambda loop: on_class(asyncio.Handle, name))
    assert (before, under) == (0, 3)


def test_handle_class_replaced() -> None:
    @contextmanager
    def other_class(_loop: Any) -> Iterator[Count]:
        count = Count(asyncio.Handle)
        with mock.patch.object(asyncio.events, "Handle", count):
            yield count

    assert run_with(other_class) == (0, 3, 0)


def test_attributes_replaced_as_a_whole() -> None:
    @contextmanager
    def other_dict(loop: Any) -> Iterator[Count]:
        count = Count(loop.call_soon)
        original = loop.__dict__
        loop.__dict__ = {**original, "call_soon": count}
        yield count
        loop.__dict__ = original

    assert run_with(other_dict) == (0, 3, 0)


def test_attributes_dict_is_not_made() -> None:
    """Python code that uses the attributes of an object is slower once somebody has asked for the object's dict."""

    def has_dict(loop: Any) -> bool:
        return any(type(each) is dict and each.get("_ready") is loop._ready for each in gc.get_objects())

    async def main() -> list[bool]:
        loop = asyncio.get_running_loop()
        await steps()
        before = has_dict(loop)
        vars(loop)
        return [before, has_dict(loop)]

    assert asyncio.run(main()) == [False, True]


def touch_dict(loop: Any) -> None:
    vars(loop)


def more_attributes_than_are_shared(loop: Any) -> None:
    for number in range(40):
        setattr(loop, f"more_{number}", number)


def name_that_is_not_interned(loop: Any) -> None:
    vars(loop)["".join(["call", "_soon"])] = loop.call_soon
    del loop.call_soon


@pytest.mark.parametrize("prepare", [touch_dict, more_attributes_than_are_shared, name_that_is_not_interned])
def test_method_replaced_wherever_the_attributes_are(prepare: Callable[[Any], None]) -> None:
    class Loop(asyncio.SelectorEventLoop):
        """Its instances share names with no other loop's."""

    loops = [Loop(), Loop()]
    prepare(loops[0])
    for loop in loops * 2:
        with on_instance(loop, "call_soon") as count:
            loop.run_until_complete(steps())
        under = count.calls
        loop.run_until_complete(steps())
        assert (under >= 4, count.calls - under) == (True, 0)
    for loop in loops:
        loop.close()


def test_ready_queue_replaced() -> None:
    @contextmanager
    def other_queue(loop: Any) -> Iterator[Count]:
        class Queue(type(loop._ready)):  # type: ignore[misc]
            def append(self, item: Any) -> None:
                count()
                super().append(item)

        count = Count(lambda: None)
        loop._ready = Queue(loop._ready)
        yield count
        loop._ready = type(loop._ready).__mro__[1](loop._ready)

    assert run_with(other_queue) == (0, 3, 0)


@pytest.mark.parametrize("name", ["call_soon", "get_debug"])
def test_subclass_overrides(name: str) -> None:
    calls = []

    def override(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return getattr(asyncio.SelectorEventLoop, name)(self, *args, **kwargs)

    loop = type("Loop", (asyncio.SelectorEventLoop,), {name: override})()
    try:
        loop.run_until_complete(steps())
    finally:
        loop.close()
    assert len(calls) >= 4


def test_getattribute_sees_every_look_up() -> None:
    seen = []

    class Loop(asyncio.SelectorEventLoop):
        def __getattribute__(self, name: str) -> Any:
            seen.append(name)
            return super().__getattribute__(name)

    loop = Loop()
    try:
        loop.run_until_complete(steps())
    finally:
        loop.close()
    assert seen.count("call_soon") >= 4


def test_two_loops_in_turn() -> None:
    plain, patched = asyncio.new_event_loop(), asyncio.new_event_loop()
    with on_instance(patched, "call_soon") as count:
        for _ in range(3):
            plain.run_until_complete(steps())
            before = count.calls
            patched.run_until_complete(steps())
            assert count.calls >= before + 4
    plain.close()
    patched.close()


def test_closed_loop() -> None:
    loop = asyncio.new_event_loop()
    future = loop.create_future()
    future.add_done_callback(print)
    loop.run_until_complete(steps())
    loop.close()
    with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
        future.set_result(None)


def test_debug_switched_on_and_off() -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        kinds = []
        for debug in (False, True, False):
            loop.set_debug(debug)
            task = asyncio.ensure_future(asyncio.sleep(0))
            kinds.append(type(loop._ready[-1]).__name__)  # type: ignore[attr-defined]
            await task
        return kinds

    native = type(ready_entry()).__name__
    assert asyncio.run(main()) == [native, "Handle", native]


def ready_entry(callback: Callable[[asyncio.Future[Any]], Any] | None = None) -> Any:
    """The entry of a stock loop's queue for a future's callback or, if there is none, for a task's first step."""
    loop: Any = asyncio.new_event_loop()
    try:
        if callback is None:
            task = loop.create_task(asyncio.sleep(0), name="stepper")
            entry = loop._ready[-1]
            loop.run_until_complete(task)
            return entry
        future = loop.create_future()
        future.set_result(1)
        future.add_done_callback(callback)
        return loop._ready[-1]
    finally:
        loop.close()


def as_stock(entry: Any) -> asyncio.Handle:
    return asyncio.Handle(entry._callback, entry._args, entry._loop, entry._context)


@pytest.mark.parametrize("callback", [None, print], ids=["step", "callback"])
def test_entry_looks_like_a_handle(callback: Any) -> None:
    entry = ready_entry(callback)
    addresses = re.compile(r"0x[0-9a-f]+")
    assert addresses.sub("", repr(entry)) == addresses.sub("", repr(as_stock(entry)))
    assert isinstance(entry, asyncio.Handle)
    assert isinstance(entry._context, contextvars.Context)
    if sys.version_info >= (3, 12):
        assert entry._context is entry.get_context()
    assert (entry._cancelled, entry.cancelled(), entry._source_traceback) == (False, False, None)
    assert callable(entry._callback)
    entry.cancel()
    assert (entry._cancelled, entry.cancelled()) == (True, True)
    assert (entry._callback, entry._args) == (None, None)
    assert repr(entry) == "<Handle cancelled>"
    entry._run()


def test_step_entry_names_its_task() -> None:
    assert ready_entry()._callback.__self__.get_name() == "stepper"


def test_cancelled_entry_is_passed_over() -> None:
    called = []

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        future = loop.create_future()
        future.add_done_callback(called.append)
        future.set_result(None)
        loop._ready[-1].cancel()
        await steps()

    asyncio.run(main())
    assert called == []


def reports_of(callback: Callable[[Any], Any], *, stock: bool) -> list[dict[str, Any]]:
    """What the exception handler is told of a callback that fails, with our entry or the loop's own handle."""
    reports: list[dict[str, Any]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: reports.append(dict(context)))
        future = loop.create_future()
        if stock:
            loop.call_soon(callback, future)
        else:
            future.add_done_callback(callback)
            future.set_result(None)
        await steps()

    asyncio.run(main())
    return reports


def fails(_future: Any) -> None:
    raise LookupError("on purpose")


def test_failing_callback_is_reported_as_by_the_loop() -> None:
    [ours], [stock] = reports_of(fails, stock=False), reports_of(fails, stock=True)
    assert list(ours) == list(stock) == ["message", "exception", "handle"]
    pending = ours["message"].replace("finished result=None", "pending")
    assert pending == stock["message"]
    assert repr(ours["exception"]) == repr(stock["exception"]) == "LookupError('on purpose')"
    assert isinstance(ours["handle"], asyncio.Handle)
    assert ours["handle"]._callback is stock["handle"]._callback is fails


def test_the_exception_is_being_handled_while_it_is_reported() -> None:
    seen = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: seen.append((sys.exc_info()[1], context["exception"])))
        future = loop.create_future()
        future.add_done_callback(fails)
        future.set_result(None)
        await steps()
        assert sys.exc_info()[1] is None

    asyncio.run(main())
    [(handled, reported)] = seen
    assert handled is reported


@pytest.mark.parametrize("exit_class", [KeyboardInterrupt, SystemExit])
def test_exit_out_of_a_callback_leaves_the_loop_usable(exit_class: type[BaseException]) -> None:
    def leave(_future: Any) -> None:
        raise exit_class

    loop = asyncio.new_event_loop()
    future = loop.create_future()
    future.add_done_callback(leave)
    future.set_result(None)
    with pytest.raises(exit_class):
        loop.run_forever()
    assert loop.run_until_complete(asyncio.sleep(0, "usable")) == "usable"
    loop.close()


def test_context_of_a_callback_that_is_entered_already(caplog: pytest.LogCaptureFixture) -> None:
    """The loop cannot run the callback, logs that, and goes on with the next."""
    context = contextvars.copy_context()
    called = []

    def enter_and_run(loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon(loop.stop)
        loop.run_forever()

    loop = asyncio.new_event_loop()
    future = loop.create_future()
    future.set_result(None)
    future.add_done_callback(called.append, context=context)
    future.add_done_callback(lambda _future: called.append("next"))
    context.run(enter_and_run, loop)
    loop.close()
    assert called == ["next"]
    assert "cannot enter context" in caplog.text


def test_queue_with_entries_is_collected() -> None:
    class Marker:
        pass

    marker = Marker()
    gone = weakref.ref(marker)
    loop: Any = asyncio.new_event_loop()
    future = loop.create_future()
    future.add_done_callback(lambda _future, marker=marker: None)
    future.set_result(None)
    loop._cycle = loop
    loop.close = None
    loop._selector.close()
    loop._ssock.close()
    loop._csock.close()
    loop._closed = True
    del loop, future, marker
    gc.collect()
    assert gone() is None
