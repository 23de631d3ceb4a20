"""The timeout of `wait_for`, which is made when somebody looks for it: it is as if it had been there from the start."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from typing import Any

import pytest

from graft.notes import Notes, of_either, outcome_of_call, shown, spin
from graft.timeouts import LONG, chain_of, state_of, stubborn, waits

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")


def timers() -> list[Any]:
    """Those that are not cancelled."""
    loop: Any = asyncio.get_running_loop()
    return [timer for timer in loop._scheduled if not timer.cancelled()]


def test_it_is_made_when_somebody_looks(grafted: None) -> None:
    def made() -> int:
        return sum(isinstance(each, asyncio.Timeout) for each in gc.get_objects())

    async def main() -> list[int]:
        before = made()
        task = asyncio.create_task(waits(asyncio.get_running_loop().create_future(), LONG))
        await spin(2)
        counts = [made() - before]
        (timer,) = timers()
        counts.append(made() - before)
        limit = timer._callback.__self__
        counts.append(made() - before)
        assert timer._callback.__self__ is limit
        task.cancel()
        await asyncio.wait([task])
        return counts

    assert asyncio.run(main()) == [0, 0, 1]


@pytest.mark.parametrize("moment", range(4))
@pytest.mark.parametrize("end", ["result", "error", "cancel", "expire", "reschedule", "forget", "timer"])
def test_seen_at_each_moment(installed: None, end: str, moment: int) -> None:
    """What it is then, what it is afterwards, and what comes of it."""

    async def program(notes: Notes) -> None:
        future = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(waits(future, LONG))
        limits: list[Any] = []
        for turn in range(5):
            await spin(1)
            if turn == moment:
                limits = [timer._callback.__self__ for timer in timers()]
                notes.append([state_of(limit) for limit in limits])
                pairs = list(zip(limits, timers(), strict=True))
                notes.append([limit._timeout_handler is timer for limit, timer in pairs])
                notes.append([limit._task is task and limit.when() == timer.when() for limit, timer in pairs])
            if turn == 2:
                if end == "result":
                    future.set_result("result")
                elif end == "error":
                    future.set_exception(KeyError("failed"))
                elif end == "cancel":
                    task.cancel("cancelled")
                elif end == "expire":
                    for timer in timers():
                        timer._run()
                elif end == "timer":
                    for timer in timers():
                        timer.cancel()
                    future.set_result("without a timer")
                for limit in limits:
                    if end == "reschedule":
                        limit.reschedule(0)
                    elif end == "forget":
                        limit._timeout_handler = None
        task.cancel("at last")
        notes.append([await chain_of(task), task.cancelling(), task.cancelled(), len(timers())])
        notes.append([state_of(limit) for limit in limits])

    in_python, grafted = of_either(program)
    assert grafted == in_python


def test_none_is_forever(installed: None) -> None:
    async def program(notes: Notes) -> None:
        future = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(waits(future, None))
        await spin(2)
        notes.append(len(timers()))
        future.set_result("result")
        notes.append(await chain_of(task))

    in_python, grafted = of_either(program)
    assert grafted == in_python


@pytest.mark.parametrize("name", ["__init__", "__setattr__", "_State", "Timeout"])
def test_replaced_before_it_is_made(installed: None, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was made of may be another thing by then."""

    async def program(notes: Notes) -> None:
        def noting(*arguments: Any) -> Any:
            notes.append(name)
            return object.__setattr__(*arguments) if name == "__setattr__" else None

        future = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(waits(future, LONG))
        await spin(2)
        with monkeypatch.context() as patch:
            if name in ("_State", "Timeout"):
                patch.setattr(f"asyncio.timeouts.{name}", type(name, (), {}))
            else:
                patch.setattr(asyncio.Timeout, name, noting)
            (timer,) = timers()
            limit = timer._callback.__self__
            notes.append((isinstance(limit, asyncio.Timeout), limit._state.name, list(vars(limit))))
        future.set_result("result")
        notes.append(await chain_of(task))

    in_python, grafted = of_either(program)
    assert grafted == in_python


def test_nothing_is_left(installed: None) -> None:
    """Who waited is gone at once, whether its time was over, or it was dropped, or never looked at."""

    async def program(notes: Notes) -> None:
        gc.collect()
        gc.disable()
        try:
            for end in ("result", "expire", "drop", "look"):
                future = asyncio.get_running_loop().create_future()
                waiting: Any = asyncio.wait_for(future, LONG)
                waiting.send(None)
                seen = weakref.ref(waiting)
                limit = None
                if end == "look":
                    (timer,) = timers()
                    limit = weakref.ref(timer._callback.__self__)
                    del timer
                if end == "result":
                    future.set_result("result")
                    notes.append(await outcome_of_call(lambda waiting=waiting: waiting.send(None)))  # type: ignore[misc]
                elif end == "expire":
                    waiting.close()
                del waiting
                notes.append((end, seen() is None, limit and limit() is None, len(timers())))
        finally:
            gc.enable()

    in_python, grafted = of_either(program)
    assert grafted == in_python


def test_time_is_over(installed: None) -> None:
    async def program(notes: Notes) -> None:
        loop: Any = asyncio.get_running_loop()
        reports: Notes = []
        loop.set_exception_handler(lambda _, context: reports.append(shown(context["message"])))
        for seconds in (0.001, 1e-9):
            for awaited in (asyncio.sleep(LONG), stubborn(), loop.create_future()):
                task = asyncio.create_task(waits(awaited, seconds))
                notes.append([await chain_of(task), task.cancelling(), len(timers())])
        notes.append(reports)

    in_python, grafted = of_either(program)
    assert grafted == in_python
