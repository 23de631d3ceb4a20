"""Programs of `Semaphore`, `BoundedSemaphore` and `Condition`, for `constructs.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from graft.notes import Notes, outcome, outcome_of_call, spin


async def semaphore(notes: Notes) -> None:
    """`Semaphore`: in order, cancelled while it waits and just after it was woken up, with and without a bound."""
    for make in (asyncio.Semaphore, asyncio.BoundedSemaphore):
        await semaphore_of(make, notes)
    bounded = asyncio.BoundedSemaphore(1)
    notes.append(await outcome_of_call(bounded.release))
    await bounded.acquire()
    bounded.release()
    notes.append(await outcome_of_call(bounded.release))
    await bounded.acquire()

    async def releases() -> None:
        async with bounded:
            bounded.release()
            bounded.release()

    bounded.release()
    notes.extend([await outcome(releases()), bounded._value])


async def semaphore_of(make: Callable[[int], asyncio.Semaphore], notes: Notes) -> None:
    """The same of either class."""
    tokens: Any = make(2)
    order: Notes = []

    async def user(name: int) -> None:
        async with tokens:
            order.append((name, tokens._value, tokens.locked()))
            await spin(1)

    users = [asyncio.create_task(user(name)) for name in range(7)]
    await spin(1)
    notes.append((tokens.locked(), tokens._value, len(tokens._waiters or ())))
    users[3].cancel("waiting")
    await spin(1)
    users[2].cancel("woken up")
    users[4].cancel("woken up")
    notes.append([await outcome(each) for each in users])
    notes.extend([list(order), tokens.locked(), tokens._value, await tokens.acquire(), await tokens.acquire()])
    for moment in range(5):
        waiters = [asyncio.create_task(tokens.acquire()) for _ in range(4)]
        await spin(1)
        tokens.release()
        tokens.release()
        await spin(moment % 3)
        notes.append([each.cancel(f"moment {moment}") for each in waiters[: moment % 4]])
        await spin(2)
        notes.append(([each.done() for each in waiters], tokens._value, tokens.locked()))
        for each in waiters:
            each.cancel()
        notes.append([await outcome(each) for each in waiters])
        while tokens._value < 2:
            tokens.release()
        notes.append([await tokens.acquire() for _ in range(2)])
    first, second = (asyncio.create_task(tokens.acquire()) for _ in range(2))
    await spin(1)
    tokens._waiters.clear()
    first.cancel()
    notes.append(await outcome(first))
    tokens._value += 2
    second.cancel()
    notes.extend([await outcome(second), tokens._value])
    late = asyncio.create_task(tokens.acquire())
    await spin(1)
    notes.extend([late.done(), tokens._value])


async def condition(notes: Notes) -> None:
    """`Condition`: notified in order, cancelled at each moment, also while it takes the lock again."""
    changed: Any = asyncio.Condition()
    order: Notes = []

    async def waiter(name: int) -> None:
        async with changed:
            order.append((name, await changed.wait(), changed.locked()))

    async def tell(count: int | None) -> None:
        async with changed:
            changed.notify_all() if count is None else changed.notify(count)

    waiters = [asyncio.create_task(waiter(name)) for name in range(6)]
    await spin(2)
    notes.append((changed.locked(), len(changed._waiters)))
    await tell(2)
    waiters[0].cancel("notified")
    waiters[4].cancel("waiting")
    await spin(4)
    notes.append(([each.done() for each in waiters], len(changed._waiters)))
    await tell(None)
    notes.append([await outcome(each) for each in waiters])
    notes.append(list(order))
    for call in (changed.notify, changed.notify_all, lambda: changed.notify(n=2), changed.release):
        notes.append(await outcome_of_call(call))
    notes.extend([await outcome(changed.wait()), await outcome(changed.wait_for(lambda: False))])
    await condition_cancelled(notes)
    await condition_predicate(notes)


async def condition_cancelled(notes: Notes) -> None:
    """Cancelled at each moment, once and again, while somebody else holds the lock; closed; failing in `remove`."""
    changed: Any = asyncio.Condition()

    async def waits() -> str:
        async with changed:
            try:
                await changed.wait()
            except asyncio.CancelledError as error:
                notes.append((str(error), changed.locked(), repr(error.__context__)))
                raise
        return "notified"

    async def holds(steps: int) -> None:
        async with changed:
            changed.notify(1)
            await spin(steps)

    for moment in range(1, 9):
        for again in (None, 1, 2):
            tasks = [asyncio.create_task(waits()) for _ in range(3)]
            await spin(2)
            holder = asyncio.create_task(holds(4))
            await spin(moment)
            notes.append(tasks[0].cancel(f"moment {moment}"))
            if again is not None:
                await spin(again)
                notes.append(tasks[0].cancel(f"again {again}"))
            await holder
            await spin(8)
            notes.append([each.done() for each in tasks])
            async with changed:
                changed.notify_all()
            notes.append([await outcome(each) for each in tasks])
    async with changed:
        direct = changed.wait()
        direct.send(None)
        notes.append((changed.locked(), await outcome_of_call(direct.close), changed.locked()))
        await changed.acquire() if not changed.locked() else None
        direct = changed.wait()
        direct.send(None)
        changed._waiters.clear()
        notes.append(await outcome_of_call(lambda: direct.throw(ValueError("thrown"))))
        direct = changed.wait()
        direct.send(None)
        notes.append(await outcome_of_call(lambda: direct.throw(ValueError("thrown"))))


async def condition_predicate(notes: Notes) -> None:
    """`wait_for`: true at once and later, failing then and now, of what cannot be true or false."""

    class Odd:
        def __bool__(self) -> bool:
            raise TypeError("neither")

    for late in (False, True):
        for last in ("result", 0, Odd(), ValueError("asked"), None):
            changed = asyncio.Condition()
            answers: list[Any] = [False, [], ""] if late else []
            answers.append(last)

            def asked(answers: list[Any] = answers) -> Any:
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                if isinstance(answer, Exception):
                    raise answer
                return answer

            async def waits(changed: asyncio.Condition = changed, asked: Callable[[], Any] = asked) -> Any:
                async with changed:
                    return await changed.wait_for(asked)

            task = asyncio.create_task(waits())
            for _ in range(4):
                await spin(2)
                async with changed:
                    changed.notify()
            await spin(3)
            task.cancel("too late")
            notes.append(await outcome(task))


#: By name.
LOCK_PROGRAMS: dict[str, Callable[[Notes], Coroutine[Any, Any, None]]] = {
    "condition": condition,
    "semaphore": semaphore,
}

#: The grafted functions, by the program that uses each.
LOCK_USES = {
    **{f"asyncio.locks.Condition.{name}": "condition" for name in ("notify", "notify_all", "wait", "wait_for")},
    **{f"asyncio.locks.Semaphore.{name}": "semaphore" for name in ("acquire", "locked", "release")},
    "asyncio.locks.BoundedSemaphore.release": "semaphore",
}
