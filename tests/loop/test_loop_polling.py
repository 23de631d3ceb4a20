"""How soon a busy loop serves what comes from outside, and how rarely an idle one wakes up."""

from __future__ import annotations

import asyncio
import math
import queue
import resource
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from support.loops import Engine, Say, run_fresh, same_as_stock, turn

# --- the bound: one millisecond, while something re-schedules itself for ever


def serve(spinner: str, event: str) -> None:
    """Run in a fresh interpreter: say the typical delay of an event in a loop that is kept busy.

    Another process may have the processor for a while. So the best of some rounds counts: a loop that polls too
    rarely has no good round.
    """
    import asyncio
    import functools
    import os
    import queue
    import signal
    import socket
    import statistics
    import threading
    import time

    loop = new_loop()  # noqa: F821
    samples: list[float] = []
    started = 0.0
    served = threading.Event()
    left, right = socket.socketpair()

    def note(delay: float) -> None:
        samples.append(delay)
        served.set()
        if len(samples) == 15:
            loop.stop()

    def serve_event(*args: object) -> None:
        if event == "descriptor":
            left.recv(100)
        note(time.perf_counter() - started)

    def serve_timer(when: float) -> None:
        note(loop.time() - when)
        when = loop.time() + 0.003
        loop.call_at(when, serve_timer, when)

    def cause() -> None:
        """In a thread of its own, once for each sample."""
        nonlocal started
        while len(samples) < 15:
            served.clear()
            time.sleep(0.002)
            started = time.perf_counter()
            if event == "descriptor":
                right.send(b"x")
            elif event == "threadsafe":
                loop.call_soon_threadsafe(serve_event)
            else:
                os.kill(os.getpid(), signal.SIGUSR1)
            served.wait()

    async def sleeps() -> None:
        while True:
            await asyncio.sleep(0)

    async def futures() -> None:
        while True:
            future = loop.create_future()
            loop.call_soon(future.set_result, None)
            await future

    def callback() -> None:
        loop.call_soon(callback)

    def start_spinner() -> None:
        if spinner == "callback":
            loop.call_soon(callback)
        elif spinner == "native":
            # calls loop.call_soon(itself), without a line of Python on a native loop
            partial = functools.partial(loop.call_soon)
            partial.__setstate__((loop.call_soon, (partial,), {}, {}))
            loop.call_soon(partial)
        elif spinner == "timers":
            loop.call_soon(timers)
        elif spinner == "answers":
            answering.start()
            ask()
        else:
            tasks.append(loop.create_task({"sleep": sleeps, "futures": futures}[spinner]()))

    def timers() -> None:
        loop.call_later(0, timers)

    questions: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def ask() -> None:
        """Nothing to run then, but not for long."""
        questions.put(True)

    def answer() -> None:
        while questions.get():
            loop.call_soon_threadsafe(ask)

    answering = threading.Thread(target=answer)
    tasks: list[asyncio.Task[None]] = []
    start_spinner()
    if event == "descriptor":
        loop.add_reader(left, serve_event)
    elif event == "signal handler":
        loop.add_signal_handler(signal.SIGUSR1, serve_event)
    elif event == "plain signal":
        signal.signal(signal.SIGUSR1, serve_event)
    medians = []
    for _ in range(20):
        samples.clear()
        if event == "timer":
            loop.call_soon(serve_timer, loop.time())
            loop.run_forever()
        else:
            thread = threading.Thread(target=cause)
            thread.start()
            loop.run_forever()
            thread.join()
        medians.append(statistics.median(samples))
        if medians[-1] <= 0.001:
            break
    print(min(medians))
    if spinner == "answers":
        questions.put(False)
        answering.join()
    for task in tasks:
        task.cancel()
    if spinner in ("sleep", "futures"):
        loop.run_until_complete(asyncio.wait(tasks))
    left.close()
    right.close()
    loop.close()


@pytest.mark.parametrize("event", ["descriptor", "timer", "threadsafe", "signal handler", "plain signal"])
@pytest.mark.parametrize("spinner", ["callback", "sleep", "futures", "native", "timers", "answers"])
def test_busy_loop_serves_within_a_millisecond(engine_name: str, spinner: str, event: str) -> None:
    assert float(run_fresh(engine_name, serve, spinner, event, timeout=50)) <= 0.001


def test_busy_loop_lets_other_threads_run(engine_name: str) -> None:
    """Also when no line of Python is run that would hand over the interpreter."""

    def body() -> None:
        import functools
        import threading

        loop = new_loop()  # noqa: F821
        partial = functools.partial(loop.call_soon)
        partial.__setstate__((loop.call_soon, (partial,), {}, {}))
        loop.call_soon(partial)
        count = 0

        def work() -> None:
            nonlocal count
            while count < 300_000:
                count += 1
            loop.call_soon_threadsafe(loop.stop)

        thread = threading.Thread(target=work)
        thread.start()
        loop.run_forever()
        thread.join()
        loop.close()
        print(count)

    assert run_fresh(engine_name, body, timeout=50) == "300000\n"


def test_a_lone_callback_costs_no_wait(eventloop: Any) -> None:
    """What is read at the end of a burst of callbacks is read at once, not after some time of polling less."""
    left, right = socket.socketpair()
    left.setblocking(False)
    with left, right:
        best, started = math.inf, 0.0

        def work(number: int) -> None:
            nonlocal started
            if number:
                eventloop.call_soon(work, number - 1)
            else:
                started = time.perf_counter()
                right.send(b"x")

        def reader() -> None:
            nonlocal best
            left.recv(10)
            best = min(best, time.perf_counter() - started)
            eventloop.stop()

        eventloop.add_reader(left, reader)
        for _ in range(20):
            eventloop.call_soon(work, 100)
            eventloop.run_forever()
        eventloop.remove_reader(left)
    assert best < 0.001


# --- idle


def switches_and_seconds(loop: Any, seconds: float = 0.2) -> tuple[int, float]:
    """How often this thread went to sleep, and how long it computed, while the loop had nothing to do."""
    loop.call_later(seconds, loop.stop)
    thread = resource.RUSAGE_THREAD
    before, computed = resource.getrusage(thread).ru_nvcsw, time.thread_time()
    loop.run_forever()
    return resource.getrusage(thread).ru_nvcsw - before, time.thread_time() - computed


def empty(loop: Any) -> None:
    """Nothing but the timer that ends it."""


def far_timers(loop: Any) -> None:
    for number in range(1000):
        loop.call_later(1000 + number, print)


def cancelled_timers(loop: Any) -> None:
    for number in range(1000):
        loop.call_later(number / 5000, print).cancel()


def waiting_tasks(loop: Any) -> None:
    async def wait() -> None:
        await loop.create_future()

    tasks = [loop.create_task(wait()) for _ in range(100)]
    turn(loop, 2)
    for task in tasks:
        task._log_destroy_pending = False
    loop.kept = tasks


def after_work(loop: Any) -> None:
    async def work() -> None:
        for _ in range(1000):
            await asyncio.sleep(0)

    loop.run_until_complete(work())


def after_threadsafe(loop: Any) -> None:
    threads = [threading.Thread(target=loop.call_soon_threadsafe, args=(int,)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    turn(loop, 3)


def after_quick_answers(loop: Any) -> None:
    """Another thread has called the loop each time soon after it had nothing to do."""

    def answer() -> None:
        while questions.get():
            loop.call_soon_threadsafe(ask)
        loop.call_soon_threadsafe(loop.stop)

    def ask() -> None:
        nonlocal left
        left -= 1
        questions.put(left > 0)

    left = 300
    questions: queue.SimpleQueue[bool] = queue.SimpleQueue()
    thread = threading.Thread(target=answer)
    thread.start()
    loop.call_soon(ask)
    loop.run_forever()
    thread.join()


def with_reader(loop: Any) -> None:
    loop.kept = socket.socketpair()
    loop.add_reader(loop.kept[0], print)
    turn(loop)


def with_removed_writer(loop: Any) -> None:
    with_reader(loop)
    loop.add_writer(loop.kept[0], int)
    turn(loop, 2)
    loop.remove_writer(loop.kept[0])


def endless_timer(loop: Any) -> None:
    loop.call_later(math.inf, print)
    loop.call_later(1e300, print)


IDLE: list[Callable[[Any], None]] = [
    empty,
    far_timers,
    cancelled_timers,
    waiting_tasks,
    after_work,
    after_threadsafe,
    after_quick_answers,
    with_reader,
    with_removed_writer,
    endless_timer,
]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts a thread's switches as Linux does")
@pytest.mark.parametrize("prepare", IDLE)
def test_idle_loop_sleeps(engine: Engine, prepare: Callable[[Any], None]) -> None:
    """It wakes up for the timer at the end, and not before; the stock loop needs one switch, or two."""
    loop = engine.new()
    prepare(loop)
    measured = [switches_and_seconds(loop) for _ in range(2)]
    for end in getattr(loop, "kept", ()):
        if isinstance(end, socket.socket):
            loop.remove_reader(end)
            end.close()
    assert min(switches for switches, _ in measured) <= 3, measured
    assert min(seconds for _, seconds in measured) < 0.05, measured


def test_idle_wait_is_as_long_as_the_timer(eventloop: Any) -> None:
    """Neither early, in which case it would wait again, nor late by more than the clock's grain."""
    late = math.inf
    for _ in range(30):
        handle = eventloop.call_later(0.003, eventloop.stop)
        eventloop.run_forever()
        late = min(late, eventloop.time() - handle.when())
    assert 0 <= late < 0.0015


# --- a selector from outside is asked as by the stock loop


class Asked(selectors.SelectSelector):
    """Notes what it is asked, and stops the loop in place of waiting."""

    loop: Any

    def __init__(self) -> None:
        super().__init__()
        self.timeouts: list[float | None] = []

    def select(self, timeout: float | None = None) -> list[Any]:
        self.timeouts.append(timeout)
        self.loop.stop()
        return super().select(0)


TIMERS: dict[str, tuple[float, ...]] = {
    "none": (),
    "one": (105.5,),
    "two": (300.25, 250.5),
    "due": (100.0,),
    "past": (50.0,),
    "far": (1e9,),
    "infinite": (math.inf,),
}


@pytest.mark.parametrize("timers", TIMERS.values(), ids=TIMERS)
def test_timeouts(engine_name: str, timers: tuple[float, ...]) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        selector = Asked()
        loop = engine.loop_class(selector)
        selector.loop = loop
        loop.time = lambda: 100.0
        for when in timers:
            loop.call_at(when, say, when)
        loop.run_forever()
        say([timeout if timeout is None else float(timeout) for timeout in selector.timeouts])
        loop.close()

    same_as_stock(engine_name, scenario)


def test_a_selector_of_ones_own(engine_name: str) -> None:
    """Its `register`, `modify`, `unregister` and `close` are called as by the stock loop."""

    class Loud(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
        def register(self, fileobj: Any, events: int, data: Any = None) -> Any:
            log.append(f"register {events} {[each is not None for each in data]}")
            return super().register(fileobj, events, data)

        def modify(self, fileobj: Any, events: int, data: Any = None) -> Any:
            log.append(f"modify {events} {[each is not None for each in data]}")
            return super().modify(fileobj, events, data)

        def unregister(self, fileobj: Any) -> Any:
            log.append("unregister")
            return super().unregister(fileobj)

        def close(self) -> None:
            log.append("close")
            super().close()

    log: list[str] = []

    def scenario(engine: Engine, say: Say) -> None:
        log.clear()
        selector = Loud()
        loop = engine.loop_class(selector)
        say(loop._selector is selector)
        left, right = socket.socketpair()
        with left, right:
            loop.add_reader(left, int)
            loop.add_writer(left, int)
            loop.add_reader(left, int)
            turn(loop)
            loop.remove_writer(left)
            loop.remove_reader(left)
        loop.close()
        for line in log:
            say(line)

    same_as_stock(engine_name, scenario)


def test_a_selector_that_fails(engine: Engine) -> None:
    class Broken(selectors.SelectSelector):
        broken = False

        def select(self, timeout: float | None = None) -> list[Any]:
            if self.broken:
                raise OSError(5, "the selector is broken")
            return super().select(timeout)

    selector = Broken()
    loop = engine.loop_class(selector)
    turn(loop)
    selector.broken = True
    with pytest.raises(OSError, match="the selector is broken"):
        loop.run_forever()
    assert not loop.is_running()
    selector.broken = False
    turn(loop)
    loop.close()


def test_which_selector(engine: Engine) -> None:
    """With none given the stock loop makes a default one; ours polls by itself."""
    with_selector = engine.loop_class(selectors.SelectSelector())
    assert isinstance(with_selector._selector, selectors.SelectSelector)
    turn(with_selector)
    with_selector.close()
    assert with_selector._selector is None


@pytest.mark.parametrize("kind", ["SelectSelector", "PollSelector", "EpollSelector", "DefaultSelector"])
def test_every_selector(engine: Engine, kind: str) -> None:
    async def main() -> bytes:
        left, right = socket.socketpair()
        left.setblocking(False)
        right.setblocking(False)
        with left, right:
            received = asyncio.create_task(loop.sock_recv(left, 10))
            await asyncio.sleep(0.002)
            await loop.sock_sendall(right, b"data")
            return await received

    if not hasattr(selectors, kind):
        pytest.skip(f"this system has no {kind}")
    loop = engine.loop_class(getattr(selectors, kind)())
    assert loop.run_until_complete(main()) == b"data"
    loop.close()
