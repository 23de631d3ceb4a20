"""Whose steps take the time: `rasyncio.profile()`. Times are compared with each other, or have a lower bound."""

from __future__ import annotations

import asyncio
import gc
import os
import time
import types
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

import rasyncio
from rasyncio._profile import FunctionProfile, Profile
from support.children import run_python
from support.impls import MINOR
from support.loops import engine_for, turn


@pytest.fixture
def loop() -> Iterator[Any]:
    with engine_for("ours") as engine:
        yield engine.new()


def of(profile: Profile, function: Callable[..., object]) -> FunctionProfile:
    (found,) = [each for each in profile.functions if each.name == function.__qualname__]
    return found


async def steps(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def blocks(seconds: float) -> None:
    time.sleep(seconds)
    await asyncio.sleep(0)
    time.sleep(2 * seconds)


async def waits(seconds: float) -> None:
    await asyncio.sleep(seconds)


def test_steps_and_times_of_each_function(loop: Any) -> None:
    async def main() -> None:
        await asyncio.gather(steps(10), steps(20), blocks(0.01), waits(0.05))

    with rasyncio.profile() as profile:
        loop.run_until_complete(main())
    assert of(profile, steps).steps == 11 + 21
    found = of(profile, blocks)
    assert found.place == f"{__file__}:{blocks.__code__.co_firstlineno}"
    assert found.steps == 2
    assert found.seconds_busy >= 0.03 and 0.02 <= found.seconds_longest < found.seconds_busy
    found = of(profile, waits)
    assert found.steps == 2 and found.seconds_waiting >= 0.045
    busy = [each.seconds_busy for each in profile.functions]
    assert busy == sorted(busy, reverse=True)
    assert profile.report().splitlines()[1].endswith(f"{profile.functions[0].name} ({profile.functions[0].place})")
    assert len(profile.report(limit=1).splitlines()) == 2


def test_callbacks(loop: Any) -> None:
    def callback() -> None:
        time.sleep(0.01)

    with rasyncio.profile() as profile:
        loop.call_soon(callback)
        loop.call_later(0, callback)
        loop.call_soon(time.sleep, 0.01)
        loop.call_soon(callback).cancel()
        turn(loop, 3)
    assert of(profile, callback).steps == 2
    assert of(profile, callback).seconds_busy >= 0.02
    builtin = of(profile, types.BuiltinFunctionType)
    assert builtin.place is None and builtin.seconds_busy >= 0.01


def test_it_runs_what_would_have_run_in_that_order(loop: Any) -> None:
    """Contexts, exceptions, and what is cancelled in the iteration in which it would have run."""

    def play() -> list[object]:
        said: list[object] = []
        loop.set_exception_handler(lambda loop, context: said.append(repr(context["exception"])))

        def fails() -> None:
            raise ValueError("said")

        async def task(name: str) -> None:
            said.append((name, asyncio.current_task() is not None))
            await asyncio.sleep(0)
            later.cancel()
            said.append(name)

        async def main() -> None:
            await asyncio.gather(task("a"), task("b"))

        loop.call_soon(fails)
        later = loop.call_later(1000, said.append, "never")
        loop.run_until_complete(main())
        return said

    expected = play()
    with rasyncio.profile():
        assert play() == expected
    assert play() == expected


def test_exits_go_through(loop: Any) -> None:
    def leaves() -> None:
        raise SystemExit(3)

    with rasyncio.profile() as profile:
        loop.call_soon(leaves)
        with pytest.raises(SystemExit):
            loop.run_forever()
    assert of(profile, leaves).steps == 1


def test_debug_mode(loop: Any) -> None:
    loop.set_debug(True)
    with rasyncio.profile() as profile:
        loop.run_until_complete(steps(5))
    assert of(profile, steps).steps == 6
    loop.set_debug(False)
    loop.run_until_complete(steps(5))
    assert of(profile, steps).steps == 6


def test_while_it_is_on_and_of_loops_that_are_made_then(loop: Any) -> None:
    profile = rasyncio.profile()
    assert profile.functions == ()
    profile.start()
    other = rasyncio.EventLoop()
    try:
        loop.run_until_complete(steps(1))
        other.run_until_complete(steps(3))
        assert of(profile, steps).steps == 2 + 4
        assert [each.steps for each in loop.stats(tasks=True).functions if each.name == "steps"] == [2]
        assert loop.stats().functions == ()
        profile.stop()
        other.run_until_complete(steps(3))
        assert of(profile, steps).steps == 6
    finally:
        other.close()
    assert of(profile, steps).steps == 6
    profile.start()
    assert profile.functions == ()
    profile.stop()
    profile.stop()


def test_one_at_a_time(loop: Any) -> None:
    with rasyncio.profile(), pytest.raises(RuntimeError, match=r"another profile is on: stop\(\) it first"):
        rasyncio.profile().start()
    with rasyncio.profile():
        pass


def test_it_is_turned_on_by_the_environment() -> None:
    code = """
import asyncio, rasyncio
async def steps(): await asyncio.sleep(0)
async def main():
    await asyncio.create_task(steps())
    return [each.name for each in asyncio.get_running_loop().stats(tasks=True).functions]
async def with_its_own():
    with rasyncio.profile() as found:
        await asyncio.create_task(steps())
        return [each.name for each in found.functions]
for each in main, with_its_own, main:
    print("steps" in rasyncio.run(each()))
"""
    said = "rasyncio: RASYNCIO_PROFILE must be 1 or 0, not 'often'\n"
    for value, is_on, stderr in ("1", True, ""), ("0", False, ""), ("", False, ""), ("often", False, said):
        done = run_python(code, env={**os.environ, "RASYNCIO_PROFILE": value})
        assert (done.returncode, done.stderr) == (0, stderr)
        assert done.stdout == f"{is_on}\nTrue\nFalse\n", "the program's own takes its place"


@pytest.mark.skipif(MINOR < (3, 12), reason="eager tasks came with 3.12")
def test_what_starts_eagerly_is_part_of_the_step_that_starts_it(loop: Any) -> None:
    async def main() -> None:
        loop.set_task_factory(asyncio.eager_task_factory)
        try:
            await asyncio.create_task(blocks(0.01))
        finally:
            loop.set_task_factory(None)

    with rasyncio.profile() as profile:
        loop.run_until_complete(main())
    assert of(profile, main).seconds_busy >= 0.01
    assert of(profile, blocks).steps == 1


def test_a_coroutine_of_somebodys_own_whose_attributes_fail(loop: Any) -> None:
    class Foreign(Coroutine[Any, Any, int]):
        def send(self, value: object) -> Any:
            raise StopIteration(5)

        def throw(self, *args: Any) -> Any:
            raise AssertionError

        def close(self) -> None:
            """Nothing to close."""

        def __await__(self) -> Any:
            raise AssertionError

        def __getattr__(self, name: str) -> object:
            raise ZeroDivisionError(name)

    with rasyncio.profile() as profile:
        assert loop.run_until_complete(Foreign()) == 5
    assert of(profile, Foreign).steps == 1


def test_it_keeps_no_task_and_no_class_alive_that_is_garbage(loop: Any) -> None:
    class Callback:
        def __call__(self) -> None:
            """Do nothing."""

    class_ = weakref.ref(Callback)
    loop_ = rasyncio.EventLoop()
    with rasyncio.profile():
        task = loop_.create_task(steps(0))
        loop_.call_soon(Callback())
        loop_.run_until_complete(task)
        gone = weakref.ref(task)
        del task
        assert gone() is None
    loop_.close()
    assert class_() is not None
    del Callback, loop_
    gc.collect()
    assert class_() is None
