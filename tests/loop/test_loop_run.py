"""run_forever, run_until_complete, stop and close; errors and exits out of callbacks; the exception handler."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import sys
import threading
import traceback
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from support.impls import PATCH
from support.loops import Engine, Say, same_as_stock, tried, turn


async def value(result: object = None, times: int = 1) -> object:
    for _ in range(times):
        await asyncio.sleep(0)
    return result


def fails(error: BaseException) -> None:
    raise error


# --- running and stopping


def test_is_running(eventloop: Any) -> None:
    seen: list[tuple[bool, bool]] = []
    eventloop.call_soon(lambda: seen.append((eventloop.is_running(), asyncio.get_running_loop() is eventloop)))
    assert not eventloop.is_running()
    turn(eventloop)
    assert seen == [(True, True)]
    assert not eventloop.is_running() and asyncio._get_running_loop() is None


def test_thread_id(eventloop: Any) -> None:
    seen: list[int | None] = []
    eventloop.call_soon(lambda: seen.append(eventloop._thread_id))
    turn(eventloop)
    assert seen == [threading.get_ident()] and eventloop._thread_id is None


def test_run_forever_returns_none(eventloop: Any) -> None:
    eventloop.stop()
    assert eventloop.run_forever() is None


def test_stop_before_run_runs_one_iteration(eventloop: Any) -> None:
    called: list[int] = []

    def again(number: int) -> None:
        called.append(number)
        eventloop.call_soon(again, number + 1)

    eventloop.call_soon(again, 0)
    assert eventloop.stop() is None
    assert eventloop._stopping
    eventloop.run_forever()
    assert called == [0] and not eventloop._stopping
    turn(eventloop)
    assert called == [0, 1]


def test_stop_before_run_polls_once(eventloop: Any) -> None:
    """Due timers run, others do not, and the loop does not wait."""
    called: list[str] = []
    eventloop.call_at(0, called.append, "due")
    eventloop.call_later(1000, called.append, "not due")
    eventloop.stop()
    eventloop.run_forever()
    assert called == ["due"]


def test_stop_twice_and_run_twice(eventloop: Any) -> None:
    for _ in range(2):
        eventloop.call_soon(eventloop.stop)
        eventloop.call_soon(eventloop.stop)
        eventloop.run_forever()
    assert not eventloop._stopping


def test_a_stopped_loop_goes_on_where_it_was(eventloop: Any) -> None:
    log: list[object] = []

    async def worker() -> None:
        for number in range(6):
            log.append(number)
            await asyncio.sleep(0)

    task = eventloop.create_task(worker())
    for _ in range(3):
        turn(eventloop)
        log.append("stopped")
    eventloop.run_until_complete(task)
    assert log == [0, "stopped", 1, "stopped", 2, "stopped", 3, 4, 5]


def test_run_until_complete(eventloop: Any) -> None:
    assert eventloop.run_until_complete(value(1)) == 1
    assert eventloop.run_until_complete(eventloop.create_task(value(2))) == 2
    done = eventloop.create_future()
    done.set_result(3)
    assert eventloop.run_until_complete(done) == 3
    with pytest.raises(LookupError, match="in vain"):
        eventloop.run_until_complete(failing(LookupError("in vain")))
    cancelled = eventloop.create_future()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        eventloop.run_until_complete(cancelled)


async def failing(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


def test_run_until_complete_of_an_awaitable(eventloop: Any) -> None:
    class Awaitable:
        def __await__(self) -> Any:
            yield from asyncio.sleep(0).__await__()
            return 5

    assert eventloop.run_until_complete(Awaitable()) == 5


@pytest.mark.parametrize("thing", [None, 5, "text", value], ids=["none", "int", "text", "function"])
def test_run_until_complete_of_something_else(engine_name: str, thing: object) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        tried(say, lambda: loop.run_until_complete(thing))
        say(loop.is_running())
        say(loop.run_until_complete(value(1)))

    same_as_stock(engine_name, scenario)


def test_run_until_complete_of_another_loops_future(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop, other = engine.new(), engine.new()
        tried(say, lambda: loop.run_until_complete(other.create_future()))

    assert same_as_stock(engine_name, scenario)[0].startswith("ValueError: The future belongs to a different loop")


def test_stopped_before_the_future_is_done(eventloop: Any) -> None:
    future = eventloop.create_future()
    eventloop.call_soon(eventloop.stop)
    with pytest.raises(RuntimeError, match=r"^Event loop stopped before Future completed\.$"):
        eventloop.run_until_complete(future)
    assert future._callbacks in (None, [])
    eventloop.call_soon(future.set_result, 4)
    assert eventloop.run_until_complete(future) == 4


def test_stop_and_completion_in_one_iteration(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        future = loop.create_future()
        loop.call_soon(future.set_result, 1)
        loop.call_soon(loop.stop)
        tried(say, lambda: loop.run_until_complete(future))

    same_as_stock(engine_name, scenario)


@pytest.fixture
def _no_nesting_bug(engine: Engine) -> None:
    if PATCH == (3, 13, 0) and not engine.ours:
        pytest.skip("3.13.0 forgets that the loop is running when it refuses to run it again")


@pytest.mark.usefixtures("_no_nesting_bug")
def test_nested_runs_are_refused(engine: Engine) -> None:
    loop, other = engine.new(), engine.new()
    future, other_future = loop.create_future(), other.create_future()
    said: list[object] = []

    def nested() -> None:
        tried(said.append, loop.run_forever)
        tried(said.append, other.run_forever)
        tried(said.append, lambda: loop.run_until_complete(future))
        tried(said.append, lambda: other.run_until_complete(other_future))
        tried(said.append, loop.close)
        said.append((loop.is_running(), other.is_running(), asyncio.get_running_loop() is loop))

    loop.call_soon(nested)
    turn(loop)
    assert said == [
        "RuntimeError: This event loop is already running",
        "RuntimeError: Cannot run the event loop while another loop is running",
        "RuntimeError: This event loop is already running",
        "RuntimeError: Cannot run the event loop while another loop is running",
        "RuntimeError: Cannot close a running event loop",
        (True, False, True),
    ]
    with pytest.raises(RuntimeError, match="^no running event loop$"):
        asyncio.get_running_loop()


@pytest.mark.usefixtures("_no_nesting_bug")
def test_running_in_a_second_thread_is_refused(eventloop: Any) -> None:
    errors: list[str] = []

    def second() -> None:
        try:
            eventloop.run_forever()
        except RuntimeError as error:
            errors.append(str(error))
        eventloop.call_soon_threadsafe(eventloop.stop)

    eventloop.call_soon(threading.Thread(target=second).start)
    eventloop.run_forever()
    assert errors == ["This event loop is already running"]


def test_loops_in_turn_and_one_inside_the_others_thread(engine: Engine) -> None:
    outer, inner = engine.new(), engine.new()
    results: list[object] = []

    def other_thread() -> None:
        results.append(inner.run_until_complete(value("inner")))

    async def main() -> None:
        await outer.run_in_executor(None, other_thread)
        await outer.shutdown_default_executor()

    outer.run_until_complete(main())
    results.append(inner.run_until_complete(value("inner again")))
    results.append(outer.run_until_complete(value("outer again")))
    assert results == ["inner", "inner again", "outer again"]


# --- closing


def test_close(eventloop: Any) -> None:
    assert not eventloop.is_closed()
    assert eventloop.close() is None
    assert eventloop.is_closed() and eventloop._closed
    assert eventloop.close() is None


def test_close_drops_what_is_scheduled(eventloop: Any) -> None:
    called: list[int] = []
    handles = [eventloop.call_soon(called.append, 1), eventloop.call_at(0, called.append, 2)]
    eventloop.close()
    assert called == [] and len(eventloop._ready) == len(eventloop._scheduled) == 0
    for handle in handles:
        assert not handle.cancelled()
        handle.cancel()


def test_close_while_running(eventloop: Any) -> None:
    errors: list[str] = []

    def close() -> None:
        try:
            eventloop.close()
        except RuntimeError as error:
            errors.append(str(error))

    eventloop.call_soon(close)
    turn(eventloop)
    assert errors == ["Cannot close a running event loop"] and not eventloop.is_closed()


def test_close_in_debug_mode_is_logged(eventloop: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "asyncio")
    eventloop.set_debug(True)
    eventloop.close()
    assert f"Close <{type(eventloop).__name__} running=False closed=False debug=True>" in caplog.text


def test_close_frees_the_descriptors(engine: Engine) -> None:
    import os

    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    engine.new().close()
    before = count()
    loops = [engine.new() for _ in range(20)]
    assert count() > before
    for loop in loops:
        turn(loop)
        loop.close()
    assert count() == before


def test_future_of_a_closed_loop(eventloop: Any) -> None:
    future = eventloop.create_future()
    future.add_done_callback(print)
    eventloop.close()
    with pytest.raises(RuntimeError, match="^Event loop is closed$"):
        future.set_result(None)


def test_unclosed_loop_warns(engine: Engine) -> None:
    loop = engine.loop_class(*engine.arguments)
    text = repr(loop)
    with pytest.warns(ResourceWarning) as caught:  # noqa: PT031
        del loop
        gc.collect()
    assert [str(warning.message) for warning in caught] == [f"unclosed event loop {text}"]
    assert caught[0].source is not None


def test_unclosed_loop_frees_the_descriptors(engine: Engine) -> None:
    import os

    engine.new().close()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.warns(ResourceWarning):  # noqa: PT031
        engine.loop_class(*engine.arguments)
        gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


# --- errors out of callbacks


class Raises:
    def __init__(self, error: Any) -> None:
        self.error = error

    def __call__(self) -> None:
        raise self.error

    def __repr__(self) -> str:
        return "<raises>"


ERRORS: dict[str, Any] = {
    "instance": LookupError("on purpose"),
    "class": LookupError,
    "cancelled": asyncio.CancelledError("by whom?"),
    "stop iteration": StopIteration(5),
    "generator exit": GeneratorExit(),
    "group": ExceptionGroup("group", [ValueError(1)]),
    "base": BaseException("base"),
    "recursion": RecursionError("deep"),
    "memory": MemoryError(),
}


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
@pytest.mark.parametrize("way", ["call_soon", "call_soon_threadsafe", "call_at", "call_later"])
def test_error_in_a_callback(engine_name: str, way: str, debug: bool) -> None:
    def scenario(engine: Engine, say: Say, name: str, error: Any) -> None:
        loop = engine.new()
        loop.slow_callback_duration = 100
        loop.set_debug(debug)
        handles: list[object] = []

        def handler(*args: Any) -> None:
            which, context = args
            say(which is loop)
            say(type(context).__name__)
            say(list(context))
            say(context["message"].split(" created at ")[0])
            say(context["exception"] is error if isinstance(error, BaseException) else type(context["exception"]))
            say(context["handle"] is handles[0])
            say([frame.name for frame in traceback.extract_tb(context["exception"].__traceback__)][-1])
            say(sys.exc_info()[1] is context["exception"])

        loop.set_exception_handler(handler)
        time = (0,) if way in ("call_at", "call_later") else ()
        handles.append(getattr(loop, way)(*time, Raises(error)))
        getattr(loop, way)(*time, say, f"the callback after {name} runs")
        turn(loop, 2)
        say(sys.exc_info())

    for name, error in ERRORS.items():
        assert f"the callback after {name} runs" in same_as_stock(engine_name, scenario, name, error)


def test_default_handler_logs(engine_name: str, caplog: pytest.LogCaptureFixture) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        caplog.clear()
        loop = engine.new()
        loop.call_soon(divmod, 1, 0)
        loop.set_debug(False)
        turn(loop)
        for entry in caplog.records:
            say((entry.name, entry.levelname, entry.getMessage(), entry.exc_info and entry.exc_info[1]))

    lines = same_as_stock(engine_name, scenario)
    assert len(lines) == 1 and "Exception in callback" in lines[0]


def test_handler_can_be_set_and_taken_away(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        say(loop.get_exception_handler())
        tried(say, lambda: loop.set_exception_handler(5))
        tried(say, lambda: loop.set_exception_handler(print))
        say(loop.get_exception_handler())
        loop.set_exception_handler(None)
        say(loop.get_exception_handler())
        loop.default_exception_handler = lambda context: say(context["message"])
        loop.call_soon(divmod, 1, 0)
        turn(loop)
        loop.call_exception_handler({"message": "by hand"})

    same_as_stock(engine_name, scenario)


def test_handler_that_fails(engine_name: str, caplog: pytest.LogCaptureFixture) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        caplog.clear()
        loop = engine.new()
        loop.set_exception_handler(lambda _loop, context: fails(KeyError("handler")))
        loop.call_soon(divmod, 1, 0)
        loop.call_soon(say, "next")
        turn(loop)
        for entry in caplog.records:
            say((entry.levelname, entry.getMessage().split("\n")[0], entry.exc_info and entry.exc_info[1]))

    assert "next" in same_as_stock(engine_name, scenario)


def test_call_exception_handler_overridden(engine: Engine) -> None:
    class Loop(engine.loop_class):  # type: ignore[misc]
        def call_exception_handler(self, context: dict[str, Any]) -> None:
            reports.append(context)

    reports: list[dict[str, Any]] = []
    loop = engine.new(Loop)
    loop.call_soon(divmod, 1, 0)
    turn(loop)
    assert [type(report["exception"]) for report in reports] == [ZeroDivisionError]


def test_handler_stops_the_loop(eventloop: Any) -> None:
    eventloop.set_exception_handler(lambda loop, _context: loop.stop())
    eventloop.call_soon(divmod, 1, 0)
    eventloop.run_forever()


def test_handler_runs_in_the_handles_context(engine_name: str) -> None:
    """From 3.12 on."""

    def scenario(engine: Engine, say: Say) -> None:
        variable = contextvars.ContextVar("variable", default=0)
        context = contextvars.Context()
        context.run(variable.set, 5)
        loop = engine.new()
        loop.set_exception_handler(lambda _loop, _context: say(variable.get()))
        loop.call_soon(divmod, 1, 0, context=context)
        turn(loop)

    same_as_stock(engine_name, scenario)


def test_cause_and_context_are_left_alone(eventloop: Any) -> None:
    reports: list[dict[str, Any]] = []
    eventloop.set_exception_handler(lambda _loop, context: reports.append(context))
    outer, inner = LookupError("outer"), ValueError("inner")

    def callback() -> None:
        try:
            raise inner
        except ValueError:
            raise outer from inner

    eventloop.call_soon(callback)
    try:
        raise KeyError("around the loop")
    except KeyError as around:
        turn(eventloop)
        current = sys.exc_info()[1]
        unchanged = current is around
    assert unchanged
    [report] = reports
    assert report["exception"] is outer
    assert outer.__cause__ is inner and outer.__context__ is inner


def test_exception_being_handled_around_the_loop(engine_name: str) -> None:
    """What `sys.exc_info()` and `__context__` say inside callbacks and tasks, when the loop is run in an `except`."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.set_exception_handler(lambda _loop, context: say(repr(context["exception"].__context__)))

        async def task() -> None:
            say(sys.exc_info()[1])
            await asyncio.sleep(0)
            say(sys.exc_info()[1])

        loop.call_soon(lambda: say(sys.exc_info()[1]))
        loop.call_soon(divmod, 1, 0)
        try:
            raise KeyError("around")
        except KeyError:
            loop.run_until_complete(task())

    same_as_stock(engine_name, scenario)


def test_error_frees_what_it_held(eventloop: Any) -> None:
    """No reference is left in the loop after an error was reported; the traceback is a cycle, as on the stock loop."""

    class Thing:
        pass

    def callback(thing: Thing) -> None:
        raise LookupError

    eventloop.set_exception_handler(lambda _loop, _context: None)
    thing = Thing()
    gone = weakref.ref(thing)
    eventloop.call_soon(callback, thing)
    del thing
    turn(eventloop)
    gc.collect()
    assert gone() is None


# --- exits

EXITS = [KeyboardInterrupt, SystemExit]


def in_callback(loop: Any, error: BaseException) -> None:
    loop.call_soon(fails, error)


def in_threadsafe(loop: Any, error: BaseException) -> None:
    loop.call_soon_threadsafe(fails, error)


def in_timer(loop: Any, error: BaseException) -> None:
    loop.call_later(0.001, fails, error)


def in_future_callback(loop: Any, error: BaseException) -> None:
    future = loop.create_future()
    future.add_done_callback(lambda _future: fails(error))
    loop.call_soon(future.set_result, None)


def in_writer(loop: Any, error: BaseException) -> None:
    def writer() -> None:
        loop.remove_writer(loop._csock)
        fails(error)

    loop.add_writer(loop._csock, writer)


def in_handler(loop: Any, error: BaseException) -> None:
    def handler(_loop: object, _context: object) -> None:
        loop.set_exception_handler(None)
        fails(error)

    loop.set_exception_handler(handler)
    loop.call_soon(divmod, 1, 0)


PLACES = [in_callback, in_threadsafe, in_timer, in_future_callback, in_writer, in_handler]


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
@pytest.mark.parametrize("kind", EXITS)
@pytest.mark.parametrize("place", PLACES)
def test_exit_leaves_the_loop_usable(
    eventloop: Any, place: Callable[[Any, BaseException], None], kind: type[BaseException], debug: bool
) -> None:
    eventloop.set_debug(debug)
    error = kind(3)
    called: list[int] = []
    place(eventloop, error)
    for number in range(3):
        eventloop.call_soon(called.append, number)
    with pytest.raises(kind) as caught:
        eventloop.run_forever()
    assert caught.value is error
    assert not eventloop.is_running() and asyncio._get_running_loop() is None
    assert eventloop.run_until_complete(value("usable")) == "usable"
    assert called == [0, 1, 2]  # what was ready behind it has run by now
    turn(eventloop)
    assert called == [0, 1, 2]


@pytest.mark.parametrize("kind", EXITS)
def test_exit_out_of_a_task(eventloop: Any, kind: type[BaseException]) -> None:
    error = kind(3)
    with pytest.raises(kind) as caught:
        eventloop.run_until_complete(failing(error))
    assert caught.value is error
    assert eventloop.run_until_complete(value("usable")) == "usable"


@pytest.mark.parametrize("kind", EXITS)
def test_exit_out_of_another_task(eventloop: Any, kind: type[BaseException]) -> None:
    log: list[object] = []

    async def main() -> str:
        task = asyncio.create_task(failing(kind(3)))
        try:
            await asyncio.sleep(0.01)
        finally:
            log.append("main goes on")
        assert isinstance(task.exception(), kind)
        return "done"

    main_task = eventloop.create_task(main())
    with pytest.raises(kind):
        eventloop.run_until_complete(main_task)
    assert not main_task.done() and log == []
    assert eventloop.run_until_complete(main_task) == "done"


def test_what_was_left_in_an_interrupted_iteration_runs_first(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.call_soon(say, 1)
        loop.call_soon(lambda: loop.call_soon(say, "scheduled before"))
        loop.call_soon(fails, KeyboardInterrupt())
        loop.call_soon(say, 2)
        loop.call_soon(say, 3)
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            say("interrupted")
            say(len(loop._ready))
        loop.call_soon(say, "scheduled after")
        turn(loop)

    same_as_stock(engine_name, scenario)


def test_stop_before_an_exit_is_forgotten(eventloop: Any) -> None:
    called: list[int] = []
    eventloop.call_soon(eventloop.stop)
    eventloop.call_soon(fails, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        eventloop.run_forever()
    assert not eventloop._stopping
    eventloop.call_later(0.001, called.append, 1)
    eventloop.call_later(0.002, eventloop.stop)
    eventloop.run_forever()
    assert called == [1]


# --- asynchronous generators


def test_shutdown_asyncgens(engine: Engine) -> None:
    log: list[str] = []

    async def generator(name: str) -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            log.append(name)

    async def main() -> None:
        generators = [generator(name) for name in "ab"]
        for each in generators:
            assert await anext(each) == 1
        assert len(asyncio.get_running_loop()._asyncgens) == 2  # type: ignore[attr-defined]
        kept.extend(generators)

    kept: list[object] = []
    loop = engine.new()
    loop.run_until_complete(main())
    assert log == []
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert sorted(log) == ["a", "b"]


def test_forgotten_asyncgen_is_closed_by_the_loop(engine: Engine) -> None:
    log: list[str] = []

    async def generator() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            log.append("closed")

    async def main() -> None:
        async for _ in generator():
            break
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)
        assert log == ["closed"]

    engine.run(main())


def test_asyncgen_after_shutdown_warns(engine: Engine) -> None:
    async def generator() -> AsyncIterator[int]:
        yield 1

    async def main() -> None:
        await loop.shutdown_asyncgens()
        each = generator()
        with pytest.warns(ResourceWarning, match=r"was scheduled after loop\.shutdown_asyncgens\(\) call"):
            await anext(each)
        await each.aclose()

    loop = engine.new()
    loop.run_until_complete(main())


def test_asyncgen_hooks_are_put_back(eventloop: Any) -> None:
    before = sys.get_asyncgen_hooks()
    hooks: list[Any] = []
    eventloop.call_soon(lambda: hooks.append(sys.get_asyncgen_hooks()))
    turn(eventloop)
    assert sys.get_asyncgen_hooks() == before
    assert hooks[0].firstiter == eventloop._asyncgen_firstiter_hook
    assert hooks[0].finalizer == eventloop._asyncgen_finalizer_hook
    eventloop.call_soon(fails, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        eventloop.run_forever()
    assert sys.get_asyncgen_hooks() == before


# --- executors


def test_executor(engine: Engine) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        here = threading.get_ident()
        there = await loop.run_in_executor(None, threading.get_ident)
        assert there != here and await asyncio.to_thread(threading.get_ident) != here
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, divmod, 1, 0)
        assert await asyncio.gather(*(asyncio.to_thread(pow, number, 2) for number in range(50))) == [
            number**2 for number in range(50)
        ]

    engine.run(main())


def test_executor_shutdown(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        say(loop.run_until_complete(loop.run_in_executor(None, pow, 2, 10)))
        say(loop.run_until_complete(loop.shutdown_default_executor()))
        tried(say, lambda: loop.run_in_executor(None, print))
        loop.close()
        tried(say, lambda: loop.run_in_executor(None, print))

    assert same_as_stock(engine_name, scenario)[2] == "RuntimeError: Executor shutdown has been called"


def test_executor_is_shut_down_by_close(eventloop: Any) -> None:
    eventloop.run_until_complete(eventloop.run_in_executor(None, int))
    executor = eventloop._default_executor
    eventloop.close()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(int)


def test_own_executor(eventloop: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1, thread_name_prefix="mine") as executor:
        name = eventloop.run_until_complete(
            eventloop.run_in_executor(executor, lambda: threading.current_thread().name)
        )
    assert name.startswith("mine")


# --- Runner


def test_runner(engine: Engine) -> None:
    with asyncio.Runner(loop_factory=engine.new) as runner:
        assert runner.run(value(1)) == 1
        assert runner.run(value(2)) == 2
        loop = runner.get_loop()
        assert type(loop) is engine.loop_class
    assert loop.is_closed()


def test_run_cancels_what_is_left(engine: Engine) -> None:
    log: list[str] = []

    async def left() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            log.append("cancelled")

    async def main() -> None:
        tasks.append(asyncio.create_task(left()))
        await asyncio.sleep(0)

    tasks: list[asyncio.Task[None]] = []
    engine.run(main())
    assert log == ["cancelled"] and tasks[0].cancelled()
