"""Debug mode: slow callbacks, source tracebacks, the thread check, where coroutines come from, what nobody awaited."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import sys
import threading
import time
import warnings
from typing import Any

import pytest

from support.loops import Engine, Say, run_fresh, same_as_stock, tried, turn


async def value(result: object = None) -> object:
    await asyncio.sleep(0)
    return result


def callback(*args: object) -> None:
    """Do nothing."""


# --- switching it on


def test_off_by_default(eventloop: Any) -> None:
    assert eventloop.get_debug() is False and eventloop._debug is False


@pytest.mark.parametrize("debug", [True, False, 1, 0, "yes", None], ids=repr)
def test_set_debug(engine_name: str, debug: Any) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        say(loop.set_debug(debug))
        say(loop.get_debug())
        say(loop._debug)
        say(loop)
        say(loop.call_soon(callback)._source_traceback is None)

    same_as_stock(engine_name, scenario)


@pytest.mark.parametrize("flags", [("-Xdev",), ()], ids=["-X dev", "PYTHONASYNCIODEBUG"])
def test_on_from_outside(engine_name: str, flags: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    if not flags:
        monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    body = """
    loop = new_loop()
    print(loop.get_debug(), loop.call_soon(print)._source_traceback is not None)
    loop.close()
    """
    assert run_fresh(engine_name, body, flags=flags) == "True True\n"


def test_switched_on_and_off_while_running(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()

        async def main() -> None:
            for debug in (False, True, True, False, False):
                loop.set_debug(debug)
                await asyncio.sleep(0)
                say(loop.get_debug())
                say(sys.get_coroutine_origin_tracking_depth())
                say(loop.call_soon(callback)._source_traceback is None)
                say(loop.call_later(1, callback)._source_traceback is None)
                say(loop.create_future()._source_traceback is None)
                say(loop._current_handle is None)
                task = asyncio.create_task(value(), name="task")
                say(task._source_traceback is None)
                await task

        loop.run_until_complete(main())
        say(sys.get_coroutine_origin_tracking_depth())

    lines = same_as_stock(engine_name, scenario)
    assert lines.count("True") > 5 < lines.count("False")


def test_switched_by_the_runner(engine: Engine) -> None:
    async def main() -> bool:
        return asyncio.get_running_loop().get_debug()

    assert engine.run(main(), debug=True) is True
    assert engine.run(main(), debug=False) is False


# --- slow callbacks


def sleepy(seconds: float = 0.03) -> None:
    time.sleep(seconds)


async def sleepy_task() -> None:
    time.sleep(0.03)
    await asyncio.sleep(0)
    time.sleep(0.03)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        re.sub(r"took \d\.\d{3} seconds", "took N seconds", record.getMessage())
        for record in caplog.records
        if (record.name, record.levelname) == ("asyncio", "WARNING")
    ]


def test_slow_callbacks(engine_name: str, caplog: pytest.LogCaptureFixture) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        caplog.clear()
        loop = engine.new()
        loop.set_debug(True)
        say(loop.slow_callback_duration)
        loop.slow_callback_duration = 0.02
        loop.call_soon(sleepy)
        loop.call_soon_threadsafe(sleepy, 0.031)
        loop.call_at(0, sleepy, 0.032)
        loop.call_soon(callback)
        handle = loop.call_soon(lambda: (sleepy(), handle.cancel()))
        turn(loop, 3)
        loop.run_until_complete(loop.create_task(sleepy_task(), name="slow task"))
        future = asyncio.Future(loop=loop)
        future.add_done_callback(lambda _: sleepy())
        future.set_result(1)
        turn(loop)
        for line in warnings_of(caplog):
            # on a busy machine the others may be slow too
            if "sleepy" in line or "lambda" in line:
                say(line)

    lines = same_as_stock(engine_name, scenario)
    assert len(lines) >= 8
    assert re.fullmatch(
        r"Executing <Handle sleepy\(\) at \S+test_loop_debug.py:\d+ created at \S+test_loop_debug.py:N> took N seconds",
        lines[1],
    ), lines[1]


def test_slow_callbacks_are_timed_by_the_loops_clock(engine_name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Exactly as slow as allowed is too slow."""

    def scenario(engine: Engine, say: Say) -> None:
        caplog.clear()
        loop = engine.new()
        loop.set_debug(True)
        clock = 0.0
        loop.time = lambda: clock

        def takes(seconds: float) -> None:
            nonlocal clock
            clock += seconds

        for seconds in (0.0625, 0.125, 1234.5678):
            loop.slow_callback_duration = 0.125
            loop.call_soon(takes, seconds)
        turn(loop)
        for record in caplog.records:
            say(record.getMessage())

    lines = same_as_stock(engine_name, scenario)
    assert [line.rsplit("took ", 1)[1] for line in lines] == ["0.125 seconds", "1234.568 seconds"]


def test_slow_callback_that_fails(engine_name: str, caplog: pytest.LogCaptureFixture) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        caplog.clear()
        loop = engine.new()
        loop.set_debug(True)
        loop.slow_callback_duration = 0.02

        def slow_and_fails() -> None:
            sleepy()
            raise LookupError("slow")

        loop.call_soon(slow_and_fails)
        turn(loop)
        for record in caplog.records:
            if "slow_and_fails" in record.getMessage():
                say(record.levelname)
                say(re.sub(r"took .*", "took", record.getMessage().split("\n")[0]))

    assert same_as_stock(engine_name, scenario)[0::2] == ["ERROR", "WARNING"]


def test_not_slow_without_debug_mode(eventloop: Any, caplog: pytest.LogCaptureFixture) -> None:
    eventloop.slow_callback_duration = 0.001
    eventloop.call_soon(sleepy)
    turn(eventloop)
    assert warnings_of(caplog) == []


def test_current_handle(eventloop: Any) -> None:
    seen: list[object] = []
    assert eventloop._current_handle is None
    eventloop.set_debug(True)
    handle = eventloop.call_soon(lambda: seen.append(eventloop._current_handle))
    turn(eventloop)
    assert seen == [handle]
    assert eventloop._current_handle is None


def test_handler_is_told_where_the_handle_comes_from(engine_name: str, caplog: pytest.LogCaptureFixture) -> None:
    """The default handler adds the traceback of the running handle."""

    def scenario(engine: Engine, say: Say) -> None:
        caplog.clear()
        loop = engine.new()
        loop.set_debug(True)
        loop.call_soon(loop.call_exception_handler, {"message": "by hand"})
        loop.call_soon(divmod, 1, 0)
        turn(loop)
        for record in caplog.records:
            for line in record.getMessage().splitlines():
                if not line.startswith("  ") or "in scenario" in line:
                    say(line)

    lines = same_as_stock(engine_name, scenario)
    assert "by hand" in lines
    assert "source_traceback: Object created at (most recent call last):" in lines
    assert "handle_traceback: Handle created at (most recent call last):" in lines


# --- source tracebacks


def line_of(traceback: Any) -> str:
    frame = traceback[-1]
    return f"{frame.name}: {frame.line}"


def test_source_tracebacks_end_at_the_caller(engine: Engine) -> None:
    loop = engine.new()
    loop.set_debug(True)

    def makes() -> list[str]:
        made = [
            loop.call_soon(callback),
            loop.call_soon_threadsafe(callback),
            loop.call_later(1, callback),
            loop.call_at(1, callback),
            loop.create_task(value()),
        ]
        loop.run_until_complete(made[-1])
        return [line_of(each._source_traceback) for each in made]

    assert makes() == [
        "makes: loop.call_soon(callback),",
        "makes: loop.call_soon_threadsafe(callback),",
        "makes: loop.call_later(1, callback),",
        "makes: loop.call_at(1, callback),",
        "makes: loop.create_task(value()),",
    ]


def test_source_traceback_of_futures(engine_name: str) -> None:
    """Where it ends depends on the loop's own frame, as on the stock loop; the caller is in it."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.set_debug(True)
        future = loop.create_future()
        names = [frame.name for frame in future._source_traceback]
        say("scenario" in names)
        say(asyncio.Future(loop=loop)._source_traceback[-1].name)

    same_as_stock(engine_name, scenario)


def test_source_traceback_of_steps(engine_name: str) -> None:
    """They have one; where it ends is up to the loop."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.set_debug(True)

        async def main() -> None:
            for _ in range(2):
                say(type(loop._current_handle._source_traceback).__name__)
                say(" created at " in repr(loop._current_handle))
                await asyncio.sleep(0)

        loop.run_until_complete(loop.create_task(main(), name="a task"))

    same_as_stock(engine_name, scenario)


def test_report_has_the_source_traceback(eventloop: Any) -> None:
    reports: list[dict[str, Any]] = []
    eventloop.set_exception_handler(lambda _loop, context: reports.append(context))
    eventloop.set_debug(True)
    handle = eventloop.call_soon(divmod, 1, 0)
    turn(eventloop)
    assert reports[0]["source_traceback"] is handle._source_traceback
    assert list(reports[0]) == ["message", "exception", "handle", "source_traceback"]


# --- the thread check


def in_a_thread(action: Any) -> None:
    thread = threading.Thread(target=action)
    thread.start()
    thread.join()


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
def test_calls_from_another_thread(engine_name: str, debug: bool) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.slow_callback_duration = 100
        loop.set_debug(debug)
        coro = value()

        def calls() -> None:
            tried(say, lambda: loop.call_soon(callback) and "call_soon")
            tried(say, lambda: loop.call_at(1, callback) and "call_at")
            tried(say, lambda: loop.call_later(1, callback) and "call_later")
            tried(say, lambda: loop.call_soon_threadsafe(callback) and "call_soon_threadsafe")
            tried(say, lambda: loop.create_future() and "create_future")

        in_a_thread(calls)  # the loop is not running: nobody's thread is wrong
        loop.call_soon(in_a_thread, calls)
        turn(loop)
        coro.close()

    lines = same_as_stock(engine_name, scenario)
    text = "RuntimeError: Non-thread-safe operation invoked on an event loop other than the current one"
    assert lines[:5] == ["call_soon", "call_at", "call_later", "call_soon_threadsafe", "create_future"]
    assert lines[5:8] == ([text] * 3 if debug else lines[:3])
    assert lines[8:] == ["call_soon_threadsafe", "create_future"]


def test_task_steps_are_checked_too(eventloop: Any) -> None:
    """A future of a loop in debug mode that is finished in the wrong thread says so."""
    eventloop.set_debug(True)
    eventloop.slow_callback_duration = 100
    future = eventloop.create_future()
    future.add_done_callback(callback)
    errors: list[str] = []

    def finish() -> None:
        try:
            future.set_result(1)
        except RuntimeError as error:
            errors.append(str(error))

    eventloop.call_soon(in_a_thread, finish)
    turn(eventloop)
    assert errors == ["Non-thread-safe operation invoked on an event loop other than the current one"]


def test_check_thread_by_hand(eventloop: Any) -> None:
    """aiohttp and others call it."""
    assert eventloop._check_thread() is None
    errors: list[BaseException] = []

    def check() -> None:
        try:
            eventloop._check_thread()
        except RuntimeError as error:
            errors.append(error)

    eventloop.call_soon(eventloop._check_thread)
    eventloop.call_soon(in_a_thread, check)
    turn(eventloop)
    assert len(errors) == 1


# --- where coroutines come from


def test_coroutine_origin(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        say(sys.get_coroutine_origin_tracking_depth())
        loop.set_debug(True)
        say(sys.get_coroutine_origin_tracking_depth())

        async def main() -> None:
            say(sys.get_coroutine_origin_tracking_depth())
            coro = value()
            say(coro.cr_origin is not None and coro.cr_origin[0][2])
            coro.close()

        loop.run_until_complete(main())
        say(sys.get_coroutine_origin_tracking_depth())
        loop.call_soon(divmod, 1, 0)
        loop.call_soon(_interrupt)
        loop.default_exception_handler = lambda context: None
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            say(sys.get_coroutine_origin_tracking_depth())

    assert "main" in same_as_stock(engine_name, scenario)


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_origin_depth_that_somebody_set(eventloop: Any) -> None:
    sys.set_coroutine_origin_tracking_depth(3)
    try:
        eventloop.set_debug(True)
        seen: list[int] = []
        eventloop.call_soon(lambda: seen.append(sys.get_coroutine_origin_tracking_depth()))
        turn(eventloop)
        assert seen == [10]
        assert sys.get_coroutine_origin_tracking_depth() == 3
    finally:
        sys.set_coroutine_origin_tracking_depth(0)


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
def test_never_awaited(engine_name: str, debug: bool) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        async def main() -> None:
            value()
            gc.collect()

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            engine.run(main(), debug=debug)
        for warning in caught:
            for line in str(warning.message).splitlines():
                if "in main" in line or line.startswith("coroutine"):
                    say(line)

    lines = same_as_stock(engine_name, scenario)
    assert lines[0] == "coroutine 'value' was never awaited"
    assert ("main" in lines[-1]) == debug


def log_of(engine: Engine, caplog: pytest.LogCaptureFixture, say: Say, main: Any, debug: bool) -> None:
    caplog.clear()
    caplog.set_level(logging.ERROR, "asyncio")
    engine.run(main(), debug=debug)
    gc.collect()
    for record in caplog.records:
        for line in record.getMessage().splitlines():
            if not line.startswith("  ") or __file__ in line:
                say(line)


@pytest.mark.usefixtures("no_gc")  # a collection before the last one changes the order in which things die
@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
def test_never_retrieved(engine_name: str, debug: bool, caplog: pytest.LogCaptureFixture) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        async def fails() -> None:
            raise LookupError("lost")

        async def main() -> None:
            asyncio.create_task(fails(), name="loser")  # noqa: RUF006
            asyncio.Future().set_exception(KeyError("lost too"))
            for _ in range(3):
                await asyncio.sleep(0)
            gc.collect()

        log_of(engine, caplog, say, main, debug)

    lines = same_as_stock(engine_name, scenario)
    assert "Future exception was never retrieved" in lines and "Task exception was never retrieved" in lines
    assert ("source_traceback: Object created at (most recent call last):" in lines) == debug


@pytest.mark.usefixtures("no_gc")  # a collection before the last one changes the order in which things die
@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
def test_destroyed_but_pending(engine_name: str, debug: bool, caplog: pytest.LogCaptureFixture) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        async def waits() -> None:
            await asyncio.Future()

        async def main() -> None:
            asyncio.create_task(waits(), name="waiter")  # noqa: RUF006
            for _ in range(3):
                await asyncio.sleep(0)
            gc.collect()

        log_of(engine, caplog, say, main, debug)

    lines = same_as_stock(engine_name, scenario)
    assert "Task was destroyed but it is pending!" in lines


# --- everything in debug mode


def test_a_program_in_debug_mode(engine_name: str) -> None:
    """The same order as without."""

    def scenario(engine: Engine, say: Say, debug: bool) -> None:
        async def child(name: str) -> str:
            for number in range(3):
                say(f"{name} {number}")
                await asyncio.sleep(0)
            await asyncio.sleep(0.001)
            return name

        async def main() -> None:
            async with asyncio.TaskGroup() as group:
                for name in "abc":
                    group.create_task(child(name))
            say(await asyncio.gather(*map(child, "xyz")))

        engine.run(main(), debug=debug)

    without = same_as_stock(engine_name, scenario, False)
    assert same_as_stock(engine_name, scenario, True) == without
