"""Programs of `timeout`, `timeout_at` and `wait_for`, which note all that can be seen."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from graft.notes import Notes, outcome, outcome_of_call, shown, spin, told

LONG = 100.0  # seconds that are never over


def chained(exception: BaseException | None) -> list[Any]:
    """An exception, and what it comes from."""
    chain: list[Any] = []
    while exception is not None and len(chain) < 8:
        same = exception.__cause__ is exception.__context__
        chain.append((told(exception), same, exception.__suppress_context__))
        exception = exception.__cause__ or exception.__context__
    return chain


async def chain_of(awaitable: Awaitable[Any]) -> Any:
    """The result, or the exception and what it comes from."""
    try:
        return await awaitable
    except BaseException as exception:
        return chained(exception)


def state_of(limit: Any) -> list[Any]:
    """All that can be seen of a timeout, but when it is."""
    handler = limit._timeout_handler
    shown_handler = handler and (
        type(handler).__name__,
        shown(repr(handler._callback)).split(" when=")[0],
        handler._args,
    )
    when = limit.when()
    return [
        shown(repr(limit)).split(" when=")[0],
        when is None or type(when).__name__,
        limit.expired(),
        limit._state.name,
        limit._task and type(limit._task).__name__,
        getattr(limit, "_cancelling", "none"),
        shown_handler,
        list(vars(limit)),
    ]


async def fails(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


async def stubborn() -> str:
    """It does not let itself be cancelled."""
    try:
        await asyncio.sleep(LONG)
    except asyncio.CancelledError:
        await asyncio.sleep(0)
    return "stubborn"


async def in_finally(error: BaseException | None) -> None:
    """It is cancelled, and does something else about it."""
    try:
        await asyncio.sleep(LONG)
    finally:
        if error:
            raise error


async def timeout(notes: Notes) -> None:
    """`timeout` and `timeout_at`: in time, too late, cancelled at each moment, rescheduled, misused."""
    loop = asyncio.get_running_loop()
    for make in (
        lambda: asyncio.timeout(LONG),
        lambda: asyncio.timeout(delay=100),
        lambda: asyncio.timeout(None),
        lambda: asyncio.timeout_at(loop.time() + LONG),
        lambda: asyncio.timeout_at(when=None),
        lambda: asyncio.timeout_at(int(loop.time()) + 100),
    ):
        limit = make()
        notes.append(state_of(limit))
        async with limit as entered:
            notes.append((entered is limit, limit._task is asyncio.current_task(), state_of(limit)))
            await asyncio.sleep(0)
        notes.append(state_of(limit))
        notes.append(await outcome(limit.__aenter__()))
    for error in (ValueError("inside"), asyncio.CancelledError("inside"), KeyboardInterrupt("inside")):
        limit = asyncio.timeout(LONG)
        notes.append(await chain_of(within(limit, fails(error))))
        notes.append(state_of(limit))
    await too_late(notes)
    for moment in range(5):
        for delay in (LONG, 0, -1):
            limit = asyncio.timeout(delay)
            task = asyncio.create_task(within(limit, asyncio.sleep(LONG if moment % 2 else 0, "result")))
            await spin(moment)
            notes.append((task.cancel(f"moment {moment}"), task.cancelling()))
            notes.append([await chain_of(task), task.cancelling(), task.cancelled(), state_of(limit)])
    await rescheduled(notes)
    await timeout_misused(notes)


async def within(limit: Any, *awaited: Awaitable[Any]) -> list[Any]:
    """Await them inside of the timeout."""
    async with limit:
        return [await each for each in awaited]


async def too_late(notes: Notes) -> None:
    """What has expired: each that can come out of it, also of two in each other, also together with a cancellation."""
    loop = asyncio.get_running_loop()
    for delay in (0.001, 0, -1):
        for make in (
            lambda: asyncio.sleep(LONG),
            stubborn,
            lambda: in_finally(None),
            lambda: in_finally(ValueError("after")),
            lambda: in_finally(asyncio.CancelledError("another")),
            lambda: in_finally(BaseExceptionGroup("several", [ValueError(1), asyncio.CancelledError()])),
            lambda: in_group(ValueError("in a group")),
        ):
            limit = asyncio.timeout(delay)
            task = asyncio.create_task(within(limit, make()))
            notes.append([await chain_of(task), task.cancelling(), state_of(limit)])
    for first, second in ((0, LONG), (LONG, 0), (0, 0), (0, None)):
        outer, inner = asyncio.timeout(first), asyncio.timeout(second)
        notes.append(await chain_of(within(outer, within(inner, asyncio.sleep(LONG)))))
        notes.append((state_of(outer), state_of(inner)))
    for moment in range(4):
        limit = asyncio.timeout(0)
        task = asyncio.create_task(within(limit, stubborn() if moment % 2 else asyncio.sleep(LONG)))
        loop.call_soon(task.cancel, "together")
        await spin(moment)
        task.cancel(f"moment {moment}")
        notes.append([await chain_of(task), task.cancelling(), state_of(limit)])


async def in_group(error: BaseException) -> None:
    """A group of tasks in which one fails when all are cancelled."""
    async with asyncio.TaskGroup() as group:
        group.create_task(in_finally(error))
        group.create_task(asyncio.sleep(LONG))


async def rescheduled(notes: Notes) -> None:
    """`reschedule()`, at each state."""
    loop = asyncio.get_running_loop()
    limit: Any = asyncio.timeout(LONG)
    notes.append(await outcome_of_call(lambda: limit.reschedule(None)))
    async with limit:
        for when in (None, loop.time() + LONG, loop.time() + 2 * LONG, None, 1e9):
            before = limit._timeout_handler
            limit.reschedule(when)
            notes.append((before and before.cancelled(), limit._timeout_handler is before, state_of(limit)))
            await asyncio.sleep(0)
    notes.append(await outcome_of_call(lambda: limit.reschedule(1)))
    for when in (0, loop.time() + 0.001):
        limit = asyncio.timeout(LONG)

        async def shortens() -> None:
            limit.reschedule(when)  # noqa: B023
            await asyncio.sleep(LONG)

        notes.append(await chain_of(within(limit, shortens())))
        notes.append((state_of(limit), await outcome_of_call(lambda: limit.reschedule(1))))  # noqa: B023


async def timeout_misused(notes: Notes) -> None:
    """Nonsense, no task, left without being entered, left twice; a handle that is cancelled, or another's."""
    for nonsense in ("1", float("nan"), True, 1 << 2000):
        made = await outcome_of_call(lambda: asyncio.timeout(nonsense))  # type: ignore[arg-type]  # noqa: B023
        if isinstance(made, asyncio.Timeout):
            made = [await chain_of(within(made, asyncio.sleep(0))), state_of(made)]
        notes.append(made)
        notes.append(await chain_of(within(asyncio.timeout_at(nonsense), asyncio.sleep(0))))  # type: ignore[arg-type]
    make: Any = asyncio.timeout
    several: list[Any] = [((), {}), ((1, 2), {}), ((1,), {"delay": 1}), ((), {"nonsense": 1})]
    for arguments, keywords in several:
        notes.append(await outcome_of_call(lambda: make(*arguments, **keywords)))  # noqa: B023
    limit: Any = asyncio.timeout(LONG)
    notes.append(await outcome(limit.__aexit__(None, None, None)))
    async with limit:
        notes.append(await outcome(limit.__aenter__()))
        limit._timeout_handler.cancel()
    notes.append(await outcome(limit.__aexit__(None, None, None)))
    alone: list[Any] = []

    def call_it() -> None:
        made = asyncio.timeout(LONG)
        entering = made.__aenter__()
        try:
            entering.send(None)
        except RuntimeError as error:
            alone.append((str(error), state_of(made)))

    asyncio.get_running_loop().call_soon(call_it)
    await spin(2)
    notes.append(alone)
    limit = asyncio.timeout(LONG)
    async with limit:
        limit._timeout_handler.cancel()
        limit._timeout_handler = Canceller(notes)
    notes.append(state_of(limit)[3])


class Canceller:
    """Something else than a handle."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes

    def cancel(self) -> None:
        self.notes.append("cancelled")


async def wait_for(notes: Notes) -> None:
    """`wait_for`: of coroutines, futures, tasks and others, in time and too late, cancelled at each moment."""
    loop = asyncio.get_running_loop()

    class Own:
        def __await__(self) -> Any:
            yield from asyncio.sleep(0, "own").__await__()
            return "own"

    for seconds in (LONG, 100, None, 0, -1, float("inf"), 1e-9):
        done, future = loop.create_future(), loop.create_future()
        done.set_result("done")
        loop.call_soon(future.set_result, "future")
        for awaited in (asyncio.sleep(0, "slept"), done, future, asyncio.create_task(spin(2)), Own(), stubborn_once()):
            notes.append(await chain_of(asyncio.wait_for(awaited, timeout=seconds)))
            if isinstance(awaited, asyncio.Future):
                notes.append((awaited.done(), awaited.cancelled()))
        notes.append(await chain_of(asyncio.wait_for(fails(ValueError("inside")), seconds)))
        failed = loop.create_future()
        failed.set_exception(KeyError("early"))
        notes.append(await chain_of(asyncio.wait_for(failed, seconds)))
    for seconds in (0.001, 0, -1):
        makers: tuple[Callable[[], Any], ...] = (
            lambda: asyncio.sleep(LONG),
            loop.create_future,
            lambda: asyncio.create_task(asyncio.sleep(LONG)),
            lambda: asyncio.create_task(stubborn()),
            stubborn,
            lambda: in_finally(ValueError("after")),
            lambda: asyncio.wait_for(asyncio.sleep(LONG), LONG),
            lambda: asyncio.shield(asyncio.sleep(LONG)),
        )
        for make in makers:
            task = asyncio.create_task(waits(make(), seconds))
            notes.append([await chain_of(task), task.cancelling()])
    for moment in range(5):
        some: tuple[Any, ...] = (asyncio.sleep(LONG), asyncio.sleep(0, 1), loop.create_future(), stubborn())
        for awaited in (*some, in_finally(OSError())):
            task = asyncio.create_task(waits(awaited, LONG if moment % 2 else 1e-9))
            await spin(moment)
            notes.append((task.cancel(f"moment {moment}"), shown(repr(task))))
            notes.append([await chain_of(task), task.cancelling(), task.cancelled()])
            if isinstance(awaited, Coroutine):
                awaited.close()
    await wait_for_misused(notes)


async def waits(awaited: Any, seconds: float | None) -> Any:
    """`wait_for`, awaited by another coroutine."""
    return await asyncio.wait_for(awaited, seconds)


async def stubborn_once() -> str:
    """Something that waits twice."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return "twice"


async def wait_for_misused(notes: Notes) -> None:
    """Nonsense; what is awaited already, or cannot be; the timer, seen and meddled with."""
    loop: Any = asyncio.get_running_loop()
    for nonsense in (1, None, "text"):
        notes.append(await chain_of(asyncio.wait_for(nonsense, LONG)))  # type: ignore[arg-type]
    for seconds in ("1", True, float("nan"), [1]):
        coroutine = asyncio.sleep(0, "slept")
        notes.append(await chain_of(asyncio.wait_for(coroutine, seconds)))  # type: ignore[arg-type]
        coroutine.close()
    finished = asyncio.sleep(0)
    finished.close()
    notes.append(await chain_of(asyncio.wait_for(finished, LONG)))
    suspended = stubborn_once()
    suspended.send(None)
    notes.append(await chain_of(asyncio.wait_for(suspended, LONG)))
    suspended.close()
    task = asyncio.create_task(waits(asyncio.sleep(LONG), LONG))
    await spin(2)
    (timer,) = (
        each
        for each in loop._scheduled
        if not each.cancelled() and isinstance(getattr(each._callback, "__self__", None), asyncio.Timeout)
    )
    notes.append(state_of(timer._callback.__self__))
    timer._run()
    notes.append(await chain_of(task))
    wait: Any = asyncio.wait_for
    several: list[Any] = [((), {}), ((1,), {}), ((1, 2, 3), {}), ((1,), {"nonsense": 1}), ((1, 2), {"timeout": 1})]
    for arguments, keywords in several:
        notes.append(await outcome_of_call(lambda: wait(*arguments, **keywords)))  # noqa: B023
    waiting = asyncio.wait_for(loop.create_future(), LONG)
    waiting.send(None)
    notes.append(await outcome_of_call(lambda: waiting.throw(ValueError("thrown"))))
    for seconds in (LONG, 0):
        closed = asyncio.wait_for(loop.create_future(), seconds)
        closed.send(None)
        notes.append(await outcome_of_call(closed.close))


def leaving_some(program: Callable[[Notes], Coroutine[Any, Any, None]]) -> Callable[[Notes], Coroutine[Any, Any, None]]:
    """Of what has no time or makes no sense, coroutines are left that nobody has awaited."""

    async def without_warnings(notes: Notes) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            await program(notes)
            gc.collect()

    return without_warnings


TIMEOUT_PROGRAMS = {"timeout": leaving_some(timeout), "wait_for": leaving_some(wait_for)}

#: The grafted functions, by the program that uses each.
TIMEOUT_USES = {
    "asyncio.tasks.wait_for": "wait_for",
    "asyncio.timeouts.Timeout.__aenter__": "timeout",
    "asyncio.timeouts.Timeout.__aexit__": "timeout",
    "asyncio.timeouts.timeout": "timeout",
    "asyncio.timeouts.timeout_at": "timeout",
}
