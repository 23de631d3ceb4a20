"""Who comes first is served first, and no wake-up is lost, whoever is cancelled and when.

What CPython's own bodies do is the reference: each test runs on these, too.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from graft.notes import spin

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")

#: How to wait for something of each kind, and how to let one through.
Kind = tuple[Callable[[], Any], Callable[[Any], Awaitable[Any]], Callable[[Any], object]]
KINDS: dict[str, Kind] = {
    "Lock": (asyncio.Lock, lambda lock: lock.acquire(), lambda lock: lock.release()),
    "Semaphore": (lambda: asyncio.Semaphore(1), lambda tokens: tokens.acquire(), lambda tokens: tokens.release()),
    "BoundedSemaphore": (
        lambda: asyncio.BoundedSemaphore(1),
        lambda tokens: tokens.acquire(),
        lambda tokens: tokens.release(),
    ),
    "Queue.get": (asyncio.Queue, lambda items: items.get(), lambda items: items.put_nowait(1)),
    "Queue.put": (lambda: asyncio.Queue(1), lambda items: items.put(1), lambda items: items.get_nowait()),
}
WAITERS = 5


async def use_up(kind: str, thing: Any) -> None:
    """The next one has to wait."""
    if kind != "Queue.get":
        await KINDS[kind][1](thing)


async def through(kind: str, cancelled: tuple[int, ...], moment: int) -> list[int]:
    """Who gets through and in which order, where some are cancelled so many steps after the first was let through."""
    make, wait, let_through = KINDS[kind]
    thing = make()
    await use_up(kind, thing)
    order: list[int] = []

    async def waits(number: int) -> None:
        await wait(thing)
        order.append(number)

    tasks = [asyncio.create_task(waits(number)) for number in range(WAITERS)]
    await spin(1)
    let_through(thing)
    await spin(moment)
    for number in cancelled:
        tasks[number].cancel()
    await spin(4)
    while len(order) < WAITERS - sum(task.cancelled() for task in tasks):
        before = len(order)
        let_through(thing)
        await spin(4)
        assert len(order) == before + 1, "a wake-up was lost"
    await asyncio.gather(*tasks, return_exceptions=True)
    return order


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("moment", range(3))
def test_first_come_first_served(either: bool, kind: str, moment: int) -> None:
    everybody = range(WAITERS)
    for cancelled in itertools.chain.from_iterable(itertools.combinations(everybody, count) for count in range(4)):
        order = asyncio.run(through(kind, cancelled, moment))
        assert order == sorted(order)
        assert set(everybody) - set(cancelled) <= set(order)


@pytest.mark.parametrize("kind", KINDS)
def test_who_comes_later_does_not_overtake(either: bool, kind: str) -> None:
    """Somebody is woken up, and has not run yet, when another asks. (In a queue, that one is served first.)"""
    make, wait, let_through = KINDS[kind]

    async def main() -> list[str]:
        thing = make()
        await use_up(kind, thing)
        order: list[str] = []

        async def waits(name: str) -> None:
            await wait(thing)
            order.append(name)

        first = asyncio.create_task(waits("first"))
        await spin(1)
        late = asyncio.create_task(waits("late"))
        let_through(thing)
        await spin(3)
        let_through(thing)
        await asyncio.gather(first, late)
        return order

    expected = ["late", "first"] if kind.startswith("Queue") else ["first", "late"]
    assert asyncio.run(main()) == expected


@pytest.mark.parametrize("value", [1, 2, 3])
@pytest.mark.parametrize("moment", range(4))
def test_a_semaphore_keeps_its_value(either: bool, value: int, moment: int) -> None:
    async def main() -> int:
        tokens: Any = asyncio.Semaphore(value)
        inside = 0

        async def uses() -> None:
            nonlocal inside
            async with tokens:
                inside += 1
                assert inside <= value
                try:
                    await spin(2)
                finally:
                    inside -= 1

        for cancelled in range(1, 8):
            tasks = [asyncio.create_task(uses()) for _ in range(8)]
            for number in range(cancelled):
                await spin(moment)
                tasks[number].cancel()
            await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
            assert not tokens.locked()
        found: int = tokens._value
        return found

    assert asyncio.run(main()) == value


@pytest.mark.parametrize("moment", range(6))
@pytest.mark.parametrize("holds", range(4))
def test_a_notification_is_passed_on(either: bool, moment: int, holds: int) -> None:
    """One of two is notified and cancelled before it has the lock again: the other is (3.12.1: is not) notified."""

    async def main() -> bool:
        changed = asyncio.Condition()
        notified: list[int] = []

        async def waits(number: int) -> None:
            async with changed:
                await changed.wait()
                notified.append(number)

        tasks = [asyncio.create_task(waits(number)) for number in range(2)]
        await spin(2)
        async with changed:
            changed.notify()
            await spin(holds)
        await spin(moment)
        was_too_late = 0 in notified
        tasks[0].cancel()
        await spin(6)
        got_it = notified == ([0] if was_too_late else [1])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return got_it

    passes_on = "_notify" in vars(asyncio.Condition)
    assert asyncio.run(main()) or not passes_on


@pytest.mark.parametrize("joiners", [1, 3])
def test_whoever_joins_is_told(either: bool, joiners: int) -> None:
    """Also when something is put in again before they have run."""

    async def main() -> None:
        items: asyncio.Queue[int] = asyncio.Queue()
        items.put_nowait(1)
        tasks = [asyncio.create_task(items.join()) for _ in range(joiners)]
        await spin(1)
        items.get_nowait()
        items.task_done()
        items.put_nowait(2)
        tasks[0].cancel()
        await spin(2)
        assert all(task.done() for task in tasks)
        late = asyncio.create_task(items.join())
        await spin(2)
        assert not late.done()
        items.get_nowait()
        items.task_done()
        await asyncio.gather(*tasks, late, return_exceptions=True)

    asyncio.run(main())
