"""Steps that block their loop are told while they do: `rasyncio.watch()`.

What a step takes is far above the threshold, and no test says how long anything takes at most.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import rasyncio
from rasyncio._slow_step import SlowStep
from rasyncio._watch import recent
from support.loops import engine_for

#: In seconds; a step that does nothing is not kept from the processor for that long.
THRESHOLD = 0.1
WAITS = 20.0


@pytest.fixture
def loop() -> Iterator[Any]:
    with engine_for("ours") as engine:
        yield engine.new()


class Told:
    """What was told of slow steps, as it comes."""

    def __init__(self) -> None:
        self.steps: queue.Queue[SlowStep] = queue.Queue()

    def __call__(self, step: SlowStep) -> None:
        self.steps.put(step)

    def next(self) -> SlowStep:
        return self.steps.get(timeout=WAITS)

    def nothing_more(self) -> bool:
        return self.steps.empty()


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()
    with rasyncio.watch(THRESHOLD, told):
        yield told


def block_until(event: threading.Event) -> None:
    """Block without letting the loop know."""
    assert event.wait(WAITS)


def test_a_step_is_told_of_while_it_blocks_and_when_it_is_over(loop: Any, told: Told) -> None:
    seen = threading.Event()

    async def blocks() -> None:
        block_until(seen)

    async def main() -> None:
        await asyncio.create_task(blocks(), name="the culprit")

    def looks() -> None:
        steps.append(told.next())
        seen.set()

    steps: list[SlowStep] = []
    thread = threading.Thread(target=looks)
    thread.start()
    loop.run_until_complete(main())
    thread.join()
    (step,) = steps
    over = told.next()
    assert (step.is_over, over.is_over) == (False, True)
    assert step.thread == over.thread == threading.get_ident()
    assert (step.task, over.task) == ("the culprit", "the culprit")
    assert step.coroutine is not None and step.coroutine.endswith("blocks")
    assert step.place is not None and step.place == over.place and "threading.py" in step.place
    assert any("block_until(seen)" in line for line in step.stack)
    assert THRESHOLD <= step.seconds <= over.seconds
    assert "'the culprit'" in str(step) and "has blocked the event loop for" in str(step)
    assert "blocked the event loop for" in str(over)


def test_a_callback_that_is_no_tasks(loop: Any, told: Told) -> None:
    loop.call_soon(time.sleep, 4 * THRESHOLD)
    loop.call_soon(loop.stop)
    loop.run_forever()
    step = told.next()
    assert (step.task, step.coroutine) == (None, None)
    assert str(step).startswith("a callback has blocked")


def test_what_is_not_slow_is_not_told(loop: Any, told: Told) -> None:
    """A loop that waits, one of many short steps, and one that does not run."""

    async def main() -> None:
        await asyncio.sleep(5 * THRESHOLD)
        end = time.monotonic() + 5 * THRESHOLD
        while time.monotonic() < end:
            await asyncio.sleep(0)

    loop.run_until_complete(main())
    time.sleep(5 * THRESHOLD)
    loop.call_soon(time.sleep, 4 * THRESHOLD)
    loop.call_soon(loop.stop)
    loop.run_forever()
    step = told.next()
    assert step.place is not None and "run_forever" in step.place + "".join(step.stack)
    assert told.next().is_over and told.nothing_more()


def test_a_place_is_told_of_once_a_minute(loop: Any, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    def blocks() -> None:
        time.sleep(4 * THRESHOLD)

    for _ in range(3):
        loop.call_soon(blocks)
    loop.call_soon(loop.stop)
    loop.run_forever()
    first = told.next()
    assert [first.is_over, told.next().is_over] == [False, True]
    assert told.nothing_more()
    assert (first.repeats, recent[-1].more, recent[-1].step.is_over) == (0, 2, True)
    monkeypatch.setattr("rasyncio._watch._QUIET", 0)
    loop.call_soon(blocks)
    loop.call_soon(loop.stop)
    loop.run_forever()
    again = told.next()
    assert (again.is_over, again.repeats) == (False, 2)
    assert "; 2 more like it were not told since the last time" in str(again)


def test_two_who_call_the_same(loop: Any, told: Told) -> None:
    """The frame that blocks is the library's, the culprits are not."""

    async def resizes_images() -> None:
        threading.Event().wait(4 * THRESHOLD)

    async def sends_mail() -> None:
        threading.Event().wait(4 * THRESHOLD)

    def cleans_up() -> None:
        threading.Event().wait(4 * THRESHOLD)

    async def main() -> None:
        for _ in range(2):
            await asyncio.gather(resizes_images(), sends_mail())
            loop.call_soon(cleans_up)
        await asyncio.sleep(0)

    loop.run_until_complete(main())
    steps = [told.next() for _ in range(6)]
    assert told.nothing_more()
    names = ("resizes_images", "sends_mail", "cleans_up")
    assert [bool(step.place and step.place.endswith("Condition.wait")) for step in steps] == [True] * 6
    called = [str(step.called_at).rpartition(".")[2] for step in steps if not step.is_over]
    assert called == [*names]
    assert f", called at {__file__}:" in str(steps[0])


def test_it_is_logged(loop: Any, caplog: pytest.LogCaptureFixture) -> None:
    with rasyncio.watch(THRESHOLD), caplog.at_level(logging.WARNING, "rasyncio"):
        loop.call_soon(time.sleep, 4 * THRESHOLD)
        loop.call_soon(loop.stop)
        loop.run_forever()
        deadline = time.monotonic() + WAITS
        while len(caplog.records) < 2 and time.monotonic() < deadline:
            time.sleep(0.005)
    blocked, over = caplog.records
    assert blocked.name == over.name == "rasyncio"
    assert isinstance(blocked.slow_step, SlowStep)  # type: ignore[attr-defined]
    assert 'File "' in blocked.getMessage() and 'File "' not in over.getMessage()


def test_a_callback_that_fails_is_told_and_forgotten(loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    unraisable: queue.Queue[Any] = queue.Queue()
    monkeypatch.setattr(sys, "unraisablehook", lambda event: unraisable.put(repr(event.exc_value)))

    def fails(step: SlowStep) -> None:
        raise ValueError(step.is_over)

    with rasyncio.watch(THRESHOLD, fails):
        loop.call_soon(time.sleep, 4 * THRESHOLD)
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert unraisable.get(timeout=WAITS) == "ValueError(False)"
        assert unraisable.get(timeout=WAITS) == "ValueError(True)"


# What keeps the GIL lets nobody look.

#: A call in C that does not let go of the GIL.
KEEPS_THE_GIL = ctypes.PyDLL(None).usleep
MICROSECONDS = int(4 * THRESHOLD * 1e6)


def test_a_function_that_keeps_the_gil_and_goes_on(loop: Any, told: Told) -> None:
    seen = threading.Event()
    stopped = threading.Thread(target=lambda: (steps.append(told.next()), seen.set()))
    steps: list[SlowStep] = []
    stopped.start()

    async def goes_on() -> None:
        KEEPS_THE_GIL(MICROSECONDS)
        block_until(seen)

    loop.run_until_complete(goes_on())
    stopped.join()
    (step,) = steps
    assert step.coroutine is not None and step.coroutine.endswith("goes_on")
    assert step.seconds >= step.gil_held > 2 * THRESHOLD
    assert f"; for {step.gil_held:.3f} s of that it held the GIL, and nobody could look" in str(step)


# In a process of their own: what else is in this one, as a tracer of pytest's, may have Python code run with each step.

KEEPS_IT_TO_THE_END = f"""
import asyncio, contextlib, ctypes, queue, rasyncio
told = queue.Queue()
rasyncio.watch({THRESHOLD}, told.put)
keeps_the_gil = ctypes.PyDLL(None).usleep
class KeepsTheGil:
    def __await__(self):
        return map(keeps_the_gil, [{MICROSECONDS}])
async def main():
    with contextlib.suppress(RuntimeError):  # as the step gives a number
        await KeepsTheGil()
def show():
    step, over = told.get(timeout={WAITS}), told.get(timeout={WAITS})
    assert (step.is_over, over.is_over) == (False, True)
    assert step.gil_held > {2 * THRESHOLD}
    assert "; for " in str(step) and "it held the GIL, and nobody could look" in str(step)
    print(step.task, step.coroutine, step.place, step.called_at, step.stack, str(step).partition(" for ")[0])
"""
NOBODY_KNOWS = "None None None None () a step, or several (whose, nobody could see) has blocked the event loop\n"


def test_a_task_that_keeps_the_gil_until_its_step_is_over() -> None:
    """It is not told as what the loop does next."""
    ran = run(f"{KEEPS_IT_TO_THE_END}\nrasyncio.run(main())\nshow()")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == NOBODY_KNOWS


def test_callbacks_in_c_that_keep_the_gil_are_told_each() -> None:
    """There is no place by which one is known to be like another."""
    ran = run(f"""{KEEPS_IT_TO_THE_END}
loop = rasyncio.EventLoop()
for _ in range(3):
    loop.call_soon(keeps_the_gil, {MICROSECONDS})
    loop.call_soon(loop.stop)
    loop.run_forever()
    show()  # in between, the one who looks gets the GIL
assert told.empty()
""")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == 3 * NOBODY_KNOWS


def test_several_loops_in_threads(told: Told) -> None:
    ready = threading.Barrier(3)
    idents: dict[str, int] = {}

    def one(name: str) -> None:
        async def blocks() -> None:
            idents[name] = threading.get_ident()
            ready.wait(WAITS)
            exec(compile(f"import time\n{chr(10) * ord(name)}time.sleep({5 * THRESHOLD})", f"<{name}>", "exec"))

        loop = rasyncio.EventLoop()
        loop.run_until_complete(blocks())
        loop.close()

    threads = [threading.Thread(target=one, args=name) for name in "ab"]
    for thread in threads:
        thread.start()
    ready.wait(WAITS)
    steps = [told.next() for _ in range(4)]
    for thread in threads:
        thread.join()
    blocked = {step.thread: step.place for step in steps if not step.is_over and step.place}
    assert set(idents.values()) <= set(blocked)


def test_another_takes_its_place_and_stopping_twice_does_no_harm() -> None:
    first = rasyncio.watch(1)
    second = rasyncio.watch(2.5)
    assert repr(first) == "<rasyncio.Watch stopped threshold=1>"
    assert repr(second) == "<rasyncio.Watch watching threshold=2.5>"
    first.stop()
    assert "watching" in repr(second)
    assert any(thread.name == "rasyncio watch" for thread in threading.enumerate()) is False, "Python does not know it"
    second.stop()
    second.stop()
    assert "stopped" in repr(second)


def test_stopping_it_in_its_callback(loop: Any) -> None:
    stopped = threading.Event()

    def stops(step: SlowStep) -> None:
        watch.stop()
        stopped.set()

    watch = rasyncio.watch(THRESHOLD, stops)
    loop.call_soon(block_until, stopped)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert "stopped" in repr(watch)


@pytest.mark.parametrize("threshold", [0, -1, float("nan"), float("inf"), "1", None, 1j])
def test_thresholds_that_are_none(threshold: Any) -> None:
    with pytest.raises(ValueError, match="the threshold must be a positive number of seconds, not "):
        rasyncio.watch(threshold)


def test_callbacks_that_are_none() -> None:
    with pytest.raises(TypeError, match="the callback must be callable, not 5"):
        rasyncio.watch(1, 5)  # type: ignore[arg-type]


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


BLOCKS = """
import asyncio, sys, time, rasyncio
async def main():
    time.sleep(0.4)
rasyncio.run(main())
"""


def test_by_a_variable() -> None:
    ran = run(BLOCKS, RASYNCIO_WATCH="0.05")
    assert ran.returncode == 0
    assert "(main) has blocked the event loop for" in ran.stderr
    assert "(main) blocked the event loop for" in ran.stderr


def test_a_variable_that_says_nothing() -> None:
    assert run(BLOCKS, RASYNCIO_WATCH="0").stderr == run(BLOCKS).stderr == ""
    for wrong in ("often", "-1"):
        ran = run(BLOCKS, RASYNCIO_WATCH=wrong)
        assert ran.returncode == 0
        assert ran.stderr == f"rasyncio: RASYNCIO_WATCH must be a number of seconds, such as 0.1, not {wrong!r}\n"


def test_the_interpreter_ends_while_a_step_is_being_told_of() -> None:
    code = """
import asyncio, sys, threading, time, rasyncio
began = threading.Event()
def slow_callback(step):
    began.set()
    time.sleep(0.3)
watch = rasyncio.watch(0.01, slow_callback)
async def main():
    began.wait(20)
rasyncio.run(main())
print("done")
"""
    ran = run(code)
    assert (ran.returncode, ran.stdout, ran.stderr.count("Traceback")) == (0, "done\n", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_is_not_watched_until_it_asks() -> None:
    code = """
import asyncio, os, sys, time, rasyncio, warnings
warnings.simplefilter("ignore")
told = []
watch = rasyncio.watch(0.1, told.append)
async def main():
    time.sleep(0.5)
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        assert "stopped" in repr(watch)
        rasyncio.run(main())
        assert not told
        with rasyncio.watch(0.1, told.append):
            rasyncio.run(main())
        os._exit(0 if [step.is_over for step in told] == [False, True] else 1)
    break
_, status = os.waitpid(pid, 0)
watch.stop()
sys.exit(os.waitstatus_to_exitcode(status))
"""
    ran = run(code)
    assert ran.returncode == 0, ran.stderr


def test_signals_go_to_the_threads_that_python_knows(loop: Any, told: Told) -> None:
    caught: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: caught.append(number))
    try:
        for _ in range(20):
            os.kill(os.getpid(), signal.SIGUSR1)
            loop.run_until_complete(asyncio.sleep(0.001))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(caught) == 20
