"""Who enters a lock waits in the place of `acquire()`'s coroutine; who looks finds it, and all is as then."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from graft.notes import Notes, of_either, outcome, outcome_of_call, shown, spin
from graft.streams import chain, coroutines_within

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")


def state(lock: Any) -> Notes:
    """What the lock's attributes are."""
    waiters = lock._waiters
    return [lock.locked(), waiters and [(each.done(), each.cancelled()) for each in waiters]]


async def enters(lock: asyncio.Lock, turns: int = 0) -> str:
    async with lock:
        await spin(turns)
        return "entered"


@pytest.mark.parametrize("looks", [range(4), [], [0], [1], [2]], ids=str)
def test_who_looks(installed: None, looks: Any) -> None:
    """Of several who wait: before the release, after it, a step later; the result is the same whether anybody looks."""

    async def program(notes: Notes) -> None:
        lock = asyncio.Lock()
        await lock.acquire()
        tasks = [asyncio.ensure_future(outcome(enters(lock, 1))) for _ in range(3)]
        await spin(2)
        for turn in range(4):
            if turn in looks:
                notes.extend(chain(task.get_coro()) for task in tasks)
            if turn == 1:
                lock.release()
            else:
                await spin(1)
            notes.append((state(lock), [task.done() for task in tasks]))
        notes.extend(await asyncio.gather(*tasks))
        notes.append(state(lock))

    in_python, grafted = of_either(program)
    assert grafted == in_python


@pytest.mark.parametrize("act", ["cancel", "wake", "cancel_waiter", "fail", "forget", "clear", "locked", "release"])
@pytest.mark.parametrize("woken", [False, True])
@pytest.mark.parametrize("looks", [False, True])
def test_what_is_done_to_it(installed: None, act: str, woken: bool, looks: bool) -> None:
    """To the task, the waiter, the list of them and the lock, before and after the wake-up."""

    async def program(notes: Notes) -> None:
        lock: Any = asyncio.Lock()
        await lock.acquire()
        tasks = [asyncio.ensure_future(outcome(enters(lock))) for _ in range(2)]
        await spin(2)
        if looks:
            notes.append(chain(tasks[0].get_coro()))
        if woken:
            lock.release()
        first = lock._waiters[0]
        if act == "cancel":
            notes.append(tasks[0].cancel("no more"))
        elif act == "forget":
            lock._waiters.remove(first)
        elif act == "clear":
            lock._waiters = None
        elif act == "locked":
            lock._locked = "else"
        elif act == "release":
            notes.append(await outcome(asyncio.to_thread(int)))
            notes.append(await outcome_of_call(lock.release))
        elif not first.done():
            if act == "wake":
                first.set_result("something")
            elif act == "fail":
                first.set_exception(KeyError("failed"))
            else:
                first.cancel("waiter")
        await spin(4)
        notes.append((state(lock), [task.done() for task in tasks]))
        lock._waiters = lock._waiters or None
        for task in tasks:
            task.cancel()
        notes.extend(await asyncio.gather(*tasks))
        notes.append(state(lock))

    in_python, grafted = of_either(program)
    assert grafted == in_python


@pytest.mark.parametrize("how", ["throw", "close", "inside", "send"])
def test_what_is_thrown_in(installed: None, how: str) -> None:
    async def program(notes: Notes) -> None:
        lock: Any = asyncio.Lock()
        await lock.acquire()
        waiting: Any = enters(lock)
        waits_for = waiting.send(None)
        notes.append((asyncio.isfuture(waits_for), lock._waiters[0] is waits_for))
        if how == "throw":
            notes.append(await outcome_of_call(lambda: waiting.throw(KeyError("thrown"))))
        elif how == "close":
            notes.append(await outcome_of_call(waiting.close))
        elif how == "inside":
            notes.append(await outcome_of_call(lambda: waiting.cr_await.cr_await.throw(KeyError("inside"))))
            notes.append(await outcome_of_call(lambda: waiting.throw(KeyError("thrown"))))
        else:
            notes.append(await outcome_of_call(lambda: waiting.send(None)))
        notes.append((chain(waiting), state(lock)))

    in_python, grafted = of_either(program)
    assert grafted == in_python


def test_acquire_replaced_while_it_waits(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    async def program(notes: Notes) -> None:
        lock = asyncio.Lock()
        await lock.acquire()
        task = asyncio.ensure_future(outcome(enters(lock)))
        await spin(2)

        async def other(_: Any) -> bool:
            notes.append("called")
            return True

        with monkeypatch.context() as patch:
            patch.setattr(asyncio.Lock, "acquire", other)
            lock.release()
            notes.append((await task, state(lock)))

    in_python, grafted = of_either(program)
    assert grafted == in_python


def test_nothing_is_made_unless_somebody_looks(grafted: None) -> None:
    async def main() -> tuple[Notes, Notes]:
        lock = asyncio.Lock()
        await lock.acquire()
        entering: Any = lock.__aenter__()
        entering.send(None)
        return coroutines_within(entering)

    before, after = asyncio.run(main())
    assert not any(before)
    assert any(after)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="call graphs are new in 3.14")
def test_a_call_graph(installed: None) -> None:
    async def program(notes: Notes) -> None:
        lock = asyncio.Lock()
        await lock.acquire()
        task = asyncio.ensure_future(enters(lock))
        await spin(2)
        notes.append(shown(asyncio.format_call_graph(task) or ""))  # type: ignore[attr-defined]
        lock.release()
        notes.append(await task)

    in_python, grafted = of_either(program)
    assert grafted == in_python
    assert "acquire" in in_python[0]
