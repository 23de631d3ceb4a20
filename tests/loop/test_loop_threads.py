"""Calls from other threads: none is lost, each thread's are in order, few wake the loop, and closed loops refuse."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.loops import Engine, run_fresh, turn


def threads(count: int, target: Callable[[int], None]) -> list[threading.Thread]:
    started = [threading.Thread(target=target, args=(number,)) for number in range(count)]
    for thread in started:
        thread.start()
    return started


@pytest.fixture
def _quick_switches() -> Any:
    """Threads take turns often."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_quick_switches")
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_none_is_lost_and_each_threads_are_in_order(eventloop: Any, busy: bool) -> None:
    count, each = 8, 2000
    called: list[tuple[int, int]] = []

    def caller(thread: int) -> None:
        for number in range(each):
            eventloop.call_soon_threadsafe(called.append, (thread, number))
        eventloop.call_soon_threadsafe(done)

    def done() -> None:
        nonlocal left
        left -= 1
        if not left:
            eventloop.stop()

    def spin() -> None:
        if left:
            eventloop.call_soon(spin)

    left = count
    if busy:
        eventloop.call_soon(spin)
    started = threads(count, caller)
    eventloop.run_forever()
    for thread in started:
        thread.join()
    assert len(called) == count * each
    for thread in range(count):
        assert [number for caller, number in called if caller == thread] == list(range(each))


@pytest.mark.usefixtures("_quick_switches")
def test_calls_from_both_sides(eventloop: Any) -> None:
    """The loop's own call_soon and timers mix with the calls of other threads."""
    called: list[str] = []

    def own(number: int) -> None:
        called.append("own")
        eventloop.call_later(0, called.append, "timer")
        if number:
            eventloop.call_soon(own, number - 1)

    def caller(_: int) -> None:
        for _ in range(1000):
            eventloop.call_soon_threadsafe(called.append, "other")

    eventloop.call_soon(own, 2999)
    started = threads(3, caller)
    while len(called) < 9000:
        turn(eventloop)
    for thread in started:
        thread.join()
    turn(eventloop, 2)
    assert (called.count("own"), called.count("timer"), called.count("other")) == (3000, 3000, 3000)


def test_order_against_call_soon(eventloop: Any) -> None:
    """In the loop's own thread it is call_soon with a wake-up."""
    called: list[int] = []
    eventloop.call_soon(called.append, 0)
    eventloop.call_soon_threadsafe(called.append, 1)
    eventloop.call_soon(called.append, 2)
    eventloop.call_soon_threadsafe(called.append, 3)
    turn(eventloop)
    assert called == [0, 1, 2, 3]


def test_order_of_two_threads_that_take_turns(eventloop: Any) -> None:
    """Whoever calls first is called first."""
    called: list[int] = []
    turns = [threading.Semaphore(1), threading.Semaphore(0)]

    def caller(me: int) -> None:
        for number in range(500):
            turns[me].acquire()
            eventloop.call_soon_threadsafe(called.append, 2 * number + me)
            turns[1 - me].release()

    for thread in threads(2, caller):
        thread.join()
    turn(eventloop)
    assert called == list(range(1000))


def test_wakes_an_idle_loop(eventloop: Any) -> None:
    """A loop that has nothing to do, and so would wait for ever."""

    def caller() -> None:
        time.sleep(0.05)
        started.append(time.monotonic())
        eventloop.call_soon_threadsafe(lambda: (started.append(time.monotonic()), eventloop.stop()))

    best = 1.0
    for _ in range(5):
        started: list[float] = []
        thread = threading.Thread(target=caller)
        thread.start()
        eventloop.run_forever()
        thread.join()
        best = min(best, started[1] - started[0])
    assert best < 0.01


def test_wakes_a_loop_that_waits_for_a_timer(eventloop: Any) -> None:
    eventloop.call_later(1000, print)
    timer = threading.Timer(0.02, eventloop.call_soon_threadsafe, (eventloop.stop,))
    timer.start()
    eventloop.run_forever()
    timer.join()


def test_calls_before_the_run(eventloop: Any) -> None:
    called: list[int] = []

    def caller(number: int) -> None:
        eventloop.call_soon_threadsafe(called.append, number)

    for thread in threads(5, caller):
        thread.join()
    turn(eventloop)
    assert sorted(called) == [0, 1, 2, 3, 4]


def test_calls_between_runs_wake_the_next_one(eventloop: Any) -> None:
    """Wake-ups that were asked for in one run and not seen in it do no harm, and none is missing."""
    for number in range(50):
        called: list[int] = []
        thread = threading.Thread(target=eventloop.call_soon_threadsafe, args=(called.append, number))
        thread.start()
        thread.join()
        eventloop.call_soon_threadsafe(eventloop.stop)
        eventloop.run_forever()
        assert called == [number]


def test_calls_from_a_callback_of_the_loop(eventloop: Any) -> None:
    called: list[int] = []

    def again(number: int) -> None:
        called.append(number)
        if number < 100:
            eventloop.call_soon_threadsafe(again, number + 1)
        else:
            eventloop.stop()

    eventloop.call_soon(again, 0)
    eventloop.run_forever()
    assert called == list(range(101))


def test_wake_ups_are_coalesced(eventloop: Any) -> None:
    """A hundred thousand calls neither fill the wake-up's pipe nor leave the loop waking up for each."""
    called = 0

    def count() -> None:
        nonlocal called
        called += 1

    for _ in range(100_000):
        eventloop.call_soon_threadsafe(count)
    turn(eventloop)
    assert called == 100_000
    for _ in range(100):
        turn(eventloop)
    # nothing is left to be read
    if eventloop._ssock is not None:
        with pytest.raises(BlockingIOError):
            eventloop._ssock.recv(1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts system calls by /proc")
@pytest.mark.parametrize("asleep", [True, False], ids=["asleep", "awake"])
def test_many_calls_cost_few_system_calls(engine: Engine, asleep: bool) -> None:
    """A loop that is awake, or was woken up and has not run yet, is not woken up again."""
    if not engine.ours or engine.arguments:
        pytest.skip("asyncio's way of waking up, with a selector of Python's: a byte for each call")
    eventloop = engine.new()
    found = []

    def writes() -> int:
        lines = Path("/proc/self/io").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("syscw:"))

    def call() -> None:
        if asleep:
            time.sleep(0.02)
        before = writes()
        for _ in range(1000):
            eventloop.call_soon_threadsafe(int)
        found.append(writes() - before)
        eventloop.call_soon_threadsafe(eventloop.stop)

    thread = threading.Thread(target=call)
    eventloop.call_soon(thread.start)
    if not asleep:
        eventloop.call_soon(thread.join)
    eventloop.run_forever()
    thread.join()
    # While the thread calls, a loop that sleeps may get the GIL a few times, and go to sleep again.
    assert found[0] < 100


def test_a_full_pipe_is_no_error(eventloop: Any) -> None:
    called: list[int] = []
    with contextlib.suppress(BlockingIOError):
        while True:
            eventloop._csock.send(b"\0" * 65536)
    eventloop.call_soon_threadsafe(called.append, 1)
    turn(eventloop, 3)
    assert called == [1]
    eventloop.call_later(0.01, eventloop.stop)
    eventloop.run_forever()
    with pytest.raises(BlockingIOError):
        eventloop._ssock.recv(1)


def test_write_to_self(eventloop: Any) -> None:
    """Other libraries wake the loop by it."""

    def caller() -> None:
        time.sleep(0.02)
        eventloop._ready.append(asyncio.Handle(eventloop.stop, (), eventloop))
        eventloop._write_to_self()

    thread = threading.Thread(target=caller)
    thread.start()
    eventloop.run_forever()
    thread.join()


def test_cancel_before_it_runs(eventloop: Any) -> None:
    called: list[int] = []
    handle = eventloop.call_soon_threadsafe(called.append, 1)
    handle.cancel()
    turn(eventloop)
    assert called == [] and handle.cancelled()


def test_cancel_in_another_thread(eventloop: Any) -> None:
    """While the loop runs: each handle is either called or cancelled before."""
    called: set[int] = set()
    handles = [eventloop.call_soon_threadsafe(called.add, number) for number in range(5000)]
    thread = threading.Thread(target=lambda: [handle.cancel() for handle in reversed(handles)])
    thread.start()
    turn(eventloop)
    thread.join()
    assert all(handle.cancelled() for handle in handles)
    assert called <= set(range(5000))


def test_context_is_the_callers(eventloop: Any) -> None:
    variable = contextvars.ContextVar("variable", default="loop")
    seen: list[str] = []

    def caller() -> None:
        variable.set("thread")
        eventloop.call_soon_threadsafe(lambda: (seen.append(variable.get()), eventloop.stop()))

    thread = threading.Thread(target=caller)
    thread.start()
    eventloop.run_forever()
    thread.join()
    assert seen == ["thread"]


# --- the end


def test_closed_loop(eventloop: Any) -> None:
    eventloop.close()
    errors: list[str] = []

    def caller(_: int) -> None:
        try:
            eventloop.call_soon_threadsafe(print)
        except RuntimeError as error:
            errors.append(str(error))

    for thread in threads(3, caller):
        thread.join()
    assert errors == ["Event loop is closed"] * 3


@pytest.mark.usefixtures("_quick_switches")
def test_closed_while_threads_call(engine: Engine) -> None:
    for _ in range(30):
        loop = engine.new()
        errors: list[str] = []
        ready = threading.Barrier(4)

        def caller(_: int, loop: Any = loop, errors: list[str] = errors, ready: threading.Barrier = ready) -> None:
            ready.wait()
            try:
                while True:
                    loop.call_soon_threadsafe(int)
            except RuntimeError as error:
                errors.append(str(error))

        started = threads(3, caller)
        ready.wait()
        for _ in range(20):
            turn(loop)
        loop.close()
        for thread in started:
            thread.join()
        assert errors == ["Event loop is closed"] * 3


def test_closed_and_freed_while_threads_call(engine_name: str) -> None:
    def body() -> None:
        import gc
        import threading

        def caller(get) -> None:
            try:
                while True:
                    get().call_soon_threadsafe(int)
            except RuntimeError as error:
                errors.append(str(error))

        errors: list[str] = []
        for _ in range(20):
            loop = new_loop()  # noqa: F821
            started = [threading.Thread(target=caller, args=(lambda loop=loop: loop,)) for _ in range(3)]
            for thread in started:
                thread.start()
            loop.call_later(0.005, loop.stop)
            loop.run_forever()
            loop.close()
            del loop
            gc.collect()
            for thread in started:
                thread.join()
            started.clear()
        print(len(errors), set(errors))

    assert run_fresh(engine_name, body) == "60 {'Event loop is closed'}\n"


# --- several loops, and the bridges to threads


@pytest.mark.usefixtures("_quick_switches")
def test_loops_in_several_threads(engine: Engine) -> None:
    """Each has its own tasks, timers and descriptors; they call each other."""
    loops = [engine.new() for _ in range(4)]
    received: list[list[int]] = [[] for _ in loops]
    results: list[Any] = [None] * len(loops)

    async def child(number: int) -> int:
        await asyncio.sleep(0.001)
        return number

    async def main(me: int) -> list[int]:
        for number in range(50):
            loops[(me + 1) % len(loops)].call_soon_threadsafe(received[(me + 1) % len(loops)].append, number)
            await asyncio.sleep(0)
        assert asyncio.get_running_loop() is loops[me]
        while len(received[me]) < 50:
            await asyncio.sleep(0.001)
        return await asyncio.gather(*map(child, range(20)))

    def run(me: int) -> None:
        results[me] = loops[me].run_until_complete(main(me))

    for thread in threads(len(loops), run):
        thread.join()
    assert results == [list(range(20))] * len(loops)
    assert received == [list(range(50))] * len(loops)


def test_run_coroutine_threadsafe(eventloop: Any) -> None:
    async def work(number: int) -> int:
        await asyncio.sleep(0.001)
        return number * 2

    def caller(number: int) -> None:
        results.append(asyncio.run_coroutine_threadsafe(work(number), eventloop).result(30))
        if len(results) == 10:
            eventloop.call_soon_threadsafe(eventloop.stop)

    results: list[int] = []
    started = threads(10, caller)
    eventloop.run_forever()
    for thread in started:
        thread.join()
    assert sorted(results) == [number * 2 for number in range(10)]


def test_run_coroutine_threadsafe_cancelled(eventloop: Any) -> None:
    log: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            log.append("cancelled")
            eventloop.stop()
            raise

    future = asyncio.run_coroutine_threadsafe(work(), eventloop)
    timer = threading.Timer(0.02, future.cancel)
    timer.start()
    eventloop.run_forever()
    timer.join()
    assert log == ["cancelled"] and future.cancelled()


def test_executor_results_wake_the_loop(eventloop: Any) -> None:
    async def main() -> list[int]:
        with ThreadPoolExecutor(4) as pool:
            return await asyncio.gather(*(eventloop.run_in_executor(pool, pow, number, 2) for number in range(500)))

    assert eventloop.run_until_complete(main()) == [number**2 for number in range(500)]


def test_a_thread_that_waits_for_the_loop(engine: Engine) -> None:
    """The loop is made, run and closed in a thread that is not the main one; it is stopped from the main one."""
    ready, loops = threading.Event(), []

    def run() -> None:
        loop = engine.loop_class(*engine.arguments)
        loops.append(loop)
        loop.call_soon(ready.set)
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    future = asyncio.run_coroutine_threadsafe(asyncio.to_thread(threading.get_ident), loops[0])
    assert future.result(30) not in (threading.get_ident(), thread.ident)
    loops[0].call_soon_threadsafe(loops[0].stop)
    thread.join(30)
    assert not thread.is_alive() and loops[0].is_closed()


def test_signals_cannot_be_handled_in_a_thread(engine: Engine) -> None:
    import signal

    errors: list[str] = []
    loop = engine.new()

    def add() -> None:
        try:
            loop.add_signal_handler(signal.SIGUSR1, print)
        except (RuntimeError, ValueError) as error:
            errors.append(str(error))

    thread = threading.Thread(target=add)
    thread.start()
    thread.join()
    assert errors == ["set_wakeup_fd only works in main thread of the main interpreter"]
