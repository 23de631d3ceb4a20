"""What an event loop of ours says of itself: `loop.stats()`, and `rasyncio.stats()` of all of them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import selectors
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import rasyncio
from rasyncio._stats import Durations, LoopStats
from rasyncio.inside._await_tree import await_tree
from rasyncio.inside._prometheus import prometheus
from rasyncio.inside._snapshot import LOOKED_AT_MAX, snapshot
from rasyncio.inside._tasks import identity
from support.children import check_python
from support.impls import MINOR
from support.loops import engine_for, turn


@pytest.fixture
def loop() -> Iterator[Any]:
    with engine_for("ours") as engine:
        yield engine.new()


def counted(loop: Any, *names: str) -> tuple[Any, ...]:
    stats = loop.stats()
    return tuple(getattr(stats, name) for name in names)


def test_a_loop_that_cannot_say_what_it_is() -> None:
    class Nameless(rasyncio.EventLoop):
        def __repr__(self) -> str:
            raise ValueError("no")

    loop = Nameless()
    try:
        name = f"<{Nameless.__qualname__}: repr() raises ValueError>"
        assert loop.stats().loop == name
        assert name in [each.loop for each in rasyncio.stats()]
        assert name in [each["loop"] for each in snapshot()["loops"]]
        assert "rasyncio_loop_tasks_alive" in prometheus()
    finally:
        loop.close()


def test_a_new_loop_has_done_nothing(loop: Any) -> None:
    stats = loop.stats()
    assert isinstance(stats, LoopStats)
    numbers = {name: value for name, value in dataclasses.asdict(stats).items() if isinstance(value, int | float)}
    assert numbers and not any(numbers.values())
    assert stats.thread is None
    assert (stats.load, stats.lag, stats.seconds_busy) == (0, 0, 0)
    assert stats.gaps == stats.ready_wait == stats.timer_lateness == Durations(0.0, ())


def test_a_snapshot_does_not_change(loop: Any) -> None:
    stats = loop.stats()
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.callbacks = 1
    turn(loop)
    assert stats.callbacks == 0
    assert loop.stats().callbacks == 1


def test_callbacks_and_iterations(loop: Any) -> None:
    for _ in range(10):
        loop.call_soon(int)
    cancelled = [loop.call_soon(int) for _ in range(3)]
    for handle in cancelled:
        handle.cancel()
    assert counted(loop, "ready_now", "callbacks") == (13, 0)
    turn(loop, 5)
    assert counted(loop, "ready_now", "callbacks", "iterations", "ready_most") == (0, 10 + 5, 5, 14)


def test_what_the_python_side_of_the_loop_runs_is_counted(loop: Any) -> None:
    ready = loop._ready  # from now on, iterations are asyncio's own
    loop.call_soon(int)
    assert counted(loop, "ready_now") == (1,)
    timer = loop.call_later(1000, int)
    scheduled = loop._scheduled
    assert counted(loop, "timers_scheduled") == (1,)
    assert timer in scheduled and ready
    del ready, scheduled
    turn(loop)
    assert counted(loop, "ready_now", "timers_scheduled") == (0, 1)


def test_tasks_by_how_they_end(loop: Any) -> None:
    async def returns() -> None:
        await asyncio.sleep(0)

    async def fails() -> None:
        raise ValueError

    async def is_cancelled() -> None:
        await asyncio.sleep(1000)

    async def cancels_itself() -> None:
        current = asyncio.current_task()
        assert current is not None
        current.cancel()

    async def main() -> None:
        tasks = [asyncio.ensure_future(coro()) for coro in (returns, returns, fails, is_cancelled, cancels_itself)]
        await asyncio.sleep(0)
        tasks[3].cancel()
        assert counted(loop, "tasks_made", "tasks_alive") == (6, 4)
        await asyncio.gather(*tasks, return_exceptions=True)

    names = ("tasks_made", "tasks_returned", "tasks_failed", "tasks_cancelled", "tasks_alive")
    loop.run_until_complete(main())
    assert counted(loop, *names) == (6, 3, 1, 2, 0)


def test_a_task_that_dies_pending_is_not_alive(loop: Any) -> None:
    loop.set_exception_handler(lambda loop, context: None)

    async def waits() -> None:
        await loop.create_future()

    task = loop.create_task(waits())
    turn(loop)
    assert counted(loop, "tasks_made", "tasks_alive") == (1, 1)
    del task
    gc.collect()
    assert counted(loop, "tasks_made", "tasks_alive", "tasks_returned") == (1, 0, 0)


def test_tasks_alive_is_what_all_tasks_has(loop: Any) -> None:
    """Whatever becomes of them."""
    loop.set_exception_handler(lambda loop, context: None)

    class Finalized(asyncio.Task):  # type: ignore[type-arg]
        def __del__(self) -> None:
            pass  # without the base class's

    class Revived(asyncio.Task):  # type: ignore[type-arg]
        def __del__(self) -> None:
            revived.append(self)

    revived: list[Revived] = []

    def check(alive: int) -> None:
        assert (loop.stats().tasks_alive, len(asyncio.all_tasks(loop))) == (alive, alive)

    async def waits(future: Any = None) -> None:
        await (future or loop.create_future())

    async def main() -> None:
        check(1)
        for kind in (asyncio.Task, Finalized):
            task = kind(waits(), loop=loop)
            check(2)
            await asyncio.sleep(0)
            task.cancel()
            check(2)
            await asyncio.gather(task, return_exceptions=True)
            check(1)
            # Destroyed while it is pending: by its last reference, and by a collection.
            task = kind(waits(), loop=loop)
            await asyncio.sleep(0)
            task = None
            gc.collect()
            check(1)
            task = kind(waits(), loop=loop)
            task.itself = task
            await asyncio.sleep(0)
            task = None
            gc.collect()
            check(1)
        # What is no task in the end.
        for wrong in (5, None):
            with pytest.raises(TypeError, match="a coroutine was expected"):
                asyncio.Task(wrong, loop=loop)  # type: ignore[arg-type]
        gc.collect()
        check(1)
        # One that comes back to life.
        future = loop.create_future()
        task = Revived(waits(future), loop=loop)
        await asyncio.sleep(0)
        del task, future
        gc.collect()
        assert len(revived) == 1
        assert loop.stats().tasks_alive == 2
        revived[0].cancel()
        await asyncio.gather(*revived, return_exceptions=True)
        check(1)
        # Initialised once more.
        task = asyncio.Task(waits(), loop=loop)
        task.__init__(waits(), loop=loop)  # type: ignore[misc]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert loop.stats().tasks_alive == 1

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # coroutines that were never awaited
        loop.run_until_complete(main())
        check(0)
        loop.close()
        coroutine = waits()
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            asyncio.Task(coroutine, loop=loop)
        coroutine.close()
        gc.collect()
    stats = loop.stats()
    assert stats.tasks_alive == 0


@pytest.mark.skipif(MINOR < (3, 12), reason="eager tasks came with 3.12")
def test_eager_tasks_that_are_alive(loop: Any) -> None:
    async def at_once() -> int:
        return loop.stats().tasks_alive

    async def fails() -> None:
        raise ValueError

    async def exits() -> None:
        raise SystemExit

    async def waits() -> None:
        await asyncio.sleep(0)

    async def main() -> None:
        loop.set_task_factory(asyncio.eager_task_factory)
        try:
            assert asyncio.create_task(at_once()).result() == 2
            with contextlib.suppress(ValueError):
                await asyncio.create_task(fails())
            with pytest.raises(SystemExit):
                loop.create_task(exits())
            assert counted(loop, "tasks_made", "tasks_alive") == (4, 1)
            task = asyncio.create_task(waits())
            assert loop.stats().tasks_alive == 2
            await task
            assert loop.stats().tasks_alive == 1
        finally:
            loop.set_task_factory(None)

    loop.run_until_complete(main())
    gc.collect()
    assert counted(loop, "tasks_made", "tasks_alive") == (5, 0)


def test_tasks_of_pythons_own(loop: Any) -> None:
    """They are no part of what is counted, and take nothing away from it."""
    python: Any = asyncio.tasks._PyTask  # type: ignore[attr-defined]

    async def main() -> None:
        tasks = [python(asyncio.sleep(0), loop=loop) for _ in range(3)]
        assert counted(loop, "tasks_made", "tasks_alive") == (1, 1)
        await asyncio.gather(*tasks)
        assert counted(loop, "tasks_made", "tasks_alive") == (1, 1)

    loop.run_until_complete(main())
    assert counted(loop, "tasks_made", "tasks_alive") == (1, 0)


def test_a_loop_that_runs_no_tasks_of_ours() -> None:
    code = """
import asyncio, rasyncio
async def main():
    tasks = [asyncio.create_task(asyncio.sleep(0.01)) for _ in range(3)]
    stats = asyncio.get_running_loop().stats()
    print(type(tasks[0]) is rasyncio._asyncio.Task, stats.tasks_made, stats.tasks_alive)
    await asyncio.gather(*tasks)
    print(asyncio.get_running_loop().stats().tasks_alive)
loop = rasyncio.EventLoop()
loop.run_until_complete(main())
loop.close()
"""
    assert check_python(code) == "False 0 4\n1\n"


def test_what_a_look_at_tasks_costs(loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not ask for all tasks, however many there are."""

    def asks(loop: object = None) -> set[Any]:
        raise AssertionError("all tasks are asked for")

    async def main() -> None:
        tasks = [asyncio.create_task(asyncio.sleep(1000)) for _ in range(3000)]
        await asyncio.sleep(0)
        monkeypatch.setattr(asyncio, "all_tasks", asks)
        monkeypatch.setattr(asyncio.tasks, "all_tasks", asks)
        assert loop.stats().tasks_alive == 3001
        assert rasyncio.stats()[0].tasks_alive == 3001
        said = snapshot()
        assert said["tasks"]["looked_at"] == LOOKED_AT_MAX < 3001
        assert await_tree(identity(tasks[0])) is not None
        assert "tasks_alive" in prometheus()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert loop.stats().tasks_alive == 1

    loop.run_until_complete(main())


def test_time_asleep_and_busy(loop: Any) -> None:
    async def main() -> None:
        await asyncio.sleep(0.05)
        end = time.monotonic() + 0.05
        while time.monotonic() < end:
            pass

    loop.run_until_complete(main())
    stats = loop.stats()
    assert stats.waits >= 1
    assert 0.045 < stats.seconds_asleep <= stats.seconds_running
    assert 0.045 < stats.seconds_busy <= stats.seconds_running - 0.045
    assert 0 < stats.load < 1
    # Time in which the loop does not run counts for nothing.
    time.sleep(0.01)
    assert counted(loop, "seconds_running", "seconds_asleep") == pytest.approx(
        (stats.seconds_running, stats.seconds_asleep), rel=1e-2
    )


def test_a_run_within_a_run_counts_once(loop: Any) -> None:
    def inner() -> None:
        asyncio._set_running_loop(None)
        loop._thread_id = None
        turn(loop)
        time.sleep(0.02)
        loop.stop()

    start = time.monotonic()
    loop.call_soon(inner)
    turn(loop)
    assert 0.02 <= loop.stats().seconds_running <= time.monotonic() - start


def test_a_callback_that_blocks_shows_in_the_gaps_and_makes_others_late(loop: Any) -> None:
    def blocks() -> None:
        time.sleep(0.03)

    async def main() -> None:
        late = loop.create_future()
        loop.call_later(0.001, late.set_result, None)
        loop.call_soon(blocks)
        await late
        loop.call_soon(blocks)
        await asyncio.sleep(0)

    loop.run_until_complete(main())
    stats = loop.stats()
    assert stats.gaps.largest >= 0.03
    assert stats.timer_lateness.largest >= 0.028
    assert stats.lag >= 0.02


def test_what_waits_in_the_queue_is_sampled(loop: Any) -> None:
    async def main() -> None:
        await asyncio.sleep(0.001)
        # The first that an iteration queues after a poll is the sample: this one, in front of which another blocks.
        queued = loop.create_future()
        loop.call_soon(time.sleep, 0.03)
        loop.call_soon(queued.set_result, None)
        await queued

    async def several() -> None:
        for _ in range(5):
            await main()

    loop.run_until_complete(several())
    waits = loop.stats().ready_wait
    assert waits.count >= 5
    assert 0 < waits.percentile(0) <= waits.percentile(100) == waits.largest < 1


def test_calls_from_threads(loop: Any) -> None:
    async def main() -> None:
        def calls() -> None:
            for _ in range(100):
                loop.call_soon_threadsafe(int)

        thread = threading.Thread(target=calls)
        thread.start()
        await loop.run_in_executor(None, thread.join)

    loop.run_until_complete(main())
    assert loop.stats().threadsafe_calls >= 100


def test_files_timers_and_bytes(loop: Any) -> None:
    async def main() -> None:
        served = asyncio.Event()

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(1000))
            writer.close()
            await writer.wait_closed()
            served.set()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert counted(loop, "files_watched")[0] >= 2
        async with asyncio.timeout(60):
            while counted(loop, "connections_made", "connections_lost") != (2, 0):
                await asyncio.sleep(0)
        writer.write(b"x" * 300)
        await writer.drain()
        writer.writelines([b"y" * 300, bytearray(400)])
        assert await reader.read() == b"x" * 300 + b"y" * 300 + bytes(400)
        writer.close()
        server.close()
        await served.wait()

    loop.run_until_complete(main())
    assert counted(loop, "bytes_received", "bytes_sent") == (2000, 2000)
    assert counted(loop, "connections_made", "connections_lost") == (2, 2)
    timer = loop.call_later(1000, int)
    assert counted(loop, "timers_scheduled") == (1,)
    timer.cancel()


def test_bytes_of_a_buffered_protocol(loop: Any) -> None:
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.buffer = bytearray(100)
            self.lost = loop.create_future()

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.buffer

        def connection_lost(self, exc: Exception | None) -> None:
            self.lost.set_result(exc)

    async def main() -> None:
        left, right = socket.socketpair()
        left.setblocking(False)
        with right:
            _, protocol = await loop.create_connection(Buffered, sock=left)
            right.sendall(b"x" * 450)
            right.shutdown(socket.SHUT_WR)
            await protocol.lost

    loop.run_until_complete(main())
    assert loop.stats().bytes_received == 450


def test_a_loop_with_a_selector_of_pythons(loop: Any) -> None:
    with_selector = rasyncio.EventLoop(selectors.SelectSelector())
    try:
        with_selector.run_until_complete(asyncio.wait_for(asyncio.sleep(0.02), 5))
        stats = with_selector.stats()
        assert stats.waits >= 1 and stats.callbacks > 1 and stats.seconds_asleep > 0.01
    finally:
        with_selector.close()


def test_a_loop_in_debug_mode(loop: Any) -> None:
    loop.set_debug(True)
    loop.call_soon(int)
    turn(loop)
    assert counted(loop, "callbacks", "iterations") == (2, 1)


def test_all_loops_but_closed_ones(loop: Any) -> None:
    class Unhashable(rasyncio.EventLoop):
        __hash__ = None  # type: ignore[assignment]

    other = Unhashable()
    try:
        said = {stats.loop for stats in rasyncio.stats()}
        assert {repr(loop), repr(other)} <= said
    finally:
        other.close()
    assert repr(other) not in {stats.loop for stats in rasyncio.stats()}


def test_from_another_thread(loop: Any) -> None:
    async def main() -> None:
        done = threading.Event()
        answers: list[LoopStats] = []

        def asks() -> None:
            answers.extend(loop.stats() for _ in range(200))
            done.set()

        threading.Thread(target=asks).start()
        while not done.is_set():
            await asyncio.sleep(0)
        assert {stats.thread for stats in answers} == {threading.get_ident()}
        callbacks = [stats.callbacks for stats in answers]
        assert callbacks == sorted(callbacks)

    loop.run_until_complete(main())


def test_percentiles() -> None:
    durations = Durations(0.9, ((0.1, 90), (0.5, 9), (1.0, 1)))
    assert durations.count == 100
    assert [durations.percentile(percent) for percent in (0, 50, 90, 91, 99, 100)] == [0.1, 0.1, 0.1, 0.5, 0.5, 0.9]
    assert Durations(0.0, ()).percentile(99) == 0
    for wrong in (-1, 101, float("nan")):
        with pytest.raises(ValueError, match="a percentile is from 0 to 100"):
            durations.percentile(wrong)
