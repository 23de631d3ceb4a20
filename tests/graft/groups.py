"""Programs of what makes tasks and waits for several: see `constructs.py`. `gather` and `TaskGroup` are there."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from graft.notes import Notes, outcome, outcome_of_call, shown, spin


async def ensure_future(notes: Notes) -> None:
    """`ensure_future`: of futures, coroutines, awaitables and nonsense, with `loop=`, with task factories."""
    loop: Any = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # nobody asks for the exception of a task that is left by an exit
    other = asyncio.SelectorEventLoop()
    future, foreign = loop.create_future(), other.create_future()
    uninitialized: Any = asyncio.Future.__new__(asyncio.Future)

    class Awaitable:
        def __await__(self) -> Any:
            yield
            return "awaited"

    async def work() -> str:
        return "done"

    async def fails() -> None:
        raise KeyboardInterrupt("at once")

    for given in ({}, {"loop": None}, {"loop": loop}, {"loop": other}):
        for one in (future, foreign, uninitialized):
            found = await outcome_of_call(lambda one=one, given=given: asyncio.ensure_future(one, **given))  # type: ignore[misc]
            notes.append(found is one or found)
        if given.get("loop") is other:
            continue
        for make in (work, Awaitable, lambda: asyncio.sleep(0, "native")):
            task = asyncio.ensure_future(make(), **given)
            notes.extend([type(task) is asyncio.Task, await task])
    for nonsense in (1, None, work, [future]):
        notes.append(await outcome_of_call(lambda: asyncio.ensure_future(nonsense)))  # type: ignore[arg-type] # noqa: B023
    notes.append((await outcome_of_call(asyncio.ensure_future))[:2])  # type: ignore[arg-type]
    notes.append((await outcome_of_call(lambda: asyncio.ensure_future(future, loop, 1)))[:2])  # type: ignore[call-arg]
    notes.append(await asyncio.ensure_future(coro_or_future=work()))
    failing = work()

    def factory(loop: Any, coroutine: Any, **keywords: Any) -> Any:
        notes.append(sorted(keywords))
        if coroutine is failing:
            raise RuntimeError("none today")
        return asyncio.Task(coroutine, loop=loop, **keywords)

    loop.set_task_factory(factory)
    notes.append(await asyncio.ensure_future(work()))
    notes.append(await outcome_of_call(lambda: asyncio.ensure_future(failing)))
    notes.append(await outcome_of_call(lambda: failing.send(None)))
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined, unused-ignore]
    task = asyncio.ensure_future(work())
    notes.extend([task.done(), task.result()])
    notes.append(await outcome_of_call(lambda: asyncio.ensure_future(fails())))
    loop.set_task_factory(None)
    other.close()


async def eager(notes: Notes) -> None:
    """`eager_task_factory`: who runs at once, and how far; what leaves a task; one whose class was exchanged."""
    loop: Any = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # nobody asks for the exception of a task that is left by an exit
    factory: Any = asyncio.eager_task_factory  # type: ignore[attr-defined, unused-ignore]
    outside = asyncio.current_task()

    async def work(times: int, fails: type[BaseException] | None = None) -> int:
        notes.append((asyncio.current_task() is outside, asyncio.current_task() in asyncio.all_tasks()))
        await spin(times)
        if fails:
            raise fails(times)
        return times

    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="outside")

    async def sets() -> None:
        variable.set("inside")

    loop.set_task_factory(factory)
    tasks = [asyncio.create_task(work(times)) for times in range(3)]
    notes.append([task.done() for task in tasks])
    notes.append([await task for task in tasks])
    context = contextvars.copy_context()
    await asyncio.create_task(sets(), context=context)
    notes.append((variable.get(), context.get(variable)))
    notes.append(asyncio.create_task(work(0), name="named").get_name())
    for fails in (ValueError, asyncio.CancelledError, KeyboardInterrupt):
        notes.append(await outcome_of_call(lambda: asyncio.create_task(work(0, fails)).cancelled()))  # noqa: B023
        if fails is not KeyboardInterrupt:
            notes.append(await outcome(asyncio.create_task(work(1, fails))))
    notes.append((await outcome_of_call(lambda: asyncio.create_task(1)))[:2])  # type: ignore[arg-type]
    for arguments, keywords in (((loop,), {}), ((loop, work(0)), {"nonsense": 1}), ((None, work(0)), {"name": "x"})):
        made = await outcome_of_call(lambda a=arguments, k=keywords: factory(*a, **k))  # type: ignore[misc]
        notes.append(made[:2] if isinstance(made, tuple) else await outcome(made))
        for argument in arguments[1:]:
            argument.close()
    notes.append(await outcome_of_call(lambda: factory(loop, 1)))
    if sys.version_info >= (3, 14):
        notes.append((task := factory(loop, work(0), eager_start=False)).done())
        await task
    cell = factory.__closure__[0]
    cls = cell.cell_contents

    cell.cell_contents = lambda *arguments, **keywords: notes.append(sorted(keywords)) or cls(*arguments, **keywords)
    try:
        notes.append(await asyncio.create_task(work(1)))
    finally:
        cell.cell_contents = cls
    loop.set_task_factory(asyncio.create_eager_task_factory(cls))  # type: ignore[attr-defined, unused-ignore]
    notes.append(asyncio.create_task(work(0)).done())
    loop.set_task_factory(None)
    for coroutine in [each for each in (work(0),) if each]:
        coroutine.close()


async def shield(notes: Notes) -> None:
    """`shield`: of what ends in any way, cancelled before, meanwhile and from inside; what is left at the callbacks."""
    loop: Any = asyncio.get_running_loop()

    async def work(value: int, fails: type[BaseException] | None = None) -> int:
        await spin(value)
        if fails:
            raise fails(value)
        return value

    def seen(future: Any) -> Any:
        awaited_by = len(getattr(future, "_asyncio_awaited_by", None) or ())
        return [shown(repr(callback)) for callback, _ in future._callbacks or ()], awaited_by

    for fails in (None, ValueError, asyncio.CancelledError):
        for times in range(3):
            notes.append(await outcome(asyncio.shield(work(times, fails))))
            task = asyncio.create_task(work(times, fails))
            await spin(1)
            outer = asyncio.shield(task)
            notes.extend([outer is task, type(outer) is asyncio.Future, seen(task), seen(outer)])
            notes.append(await outcome(outer))
    for moment in range(4):
        inner: Any = loop.create_future()

        async def waits(inner: Any = inner) -> Any:
            return await asyncio.shield(inner)

        task = asyncio.create_task(waits())
        await spin(moment)
        notes.append(task.cancel(f"moment {moment}"))
        if moment == 3:
            inner.set_exception(KeyError("meanwhile"))
        notes.extend([await outcome(task), seen(inner), inner.done()])
        if not inner.done():
            inner.set_exception(KeyError("late"))
        await spin(2)
        notes.append((inner._log_traceback, repr(inner.exception())))
    inner = loop.create_future()
    outer = asyncio.shield(inner)
    inner.cancel("inside")
    notes.append(await outcome(outer))
    inner = loop.create_future()
    outer = asyncio.shield(inner)
    callbacks = [callback for callback, _ in inner._callbacks]
    notes.append([(callback.__name__, sorted(callback.__code__.co_freevars)) for callback in callbacks])
    notes.append([inner.remove_done_callback(callback) for callback in callbacks])
    callbacks[-1](loop.create_future() if inner.done() else outer) if outer.done() else inner.set_result(1)
    await spin(2)
    notes.append(outer.done())
    outer.cancel()
    inner = loop.create_future()
    outer = asyncio.shield(inner)
    loop.set_exception_handler(lambda _, context: notes.append((context["message"][:40], repr(context["exception"]))))
    outer.set_result("early")
    inner.set_result("late")
    await spin(3)
    loop.set_exception_handler(None)
    notes.append(outer.result())
    both = loop.create_future()
    shields = [asyncio.create_task(asyncio.wait_for(asyncio.shield(both), 1000)) for _ in range(3)]
    await spin(2)
    shields[1].cancel()
    await spin(2)
    notes.append(seen(both)[1])
    both.set_result("both")
    notes.append([await outcome(each) for each in shields])
    own = loop.create_future()
    own.done = lambda: notes.append("own done") or False
    outer = asyncio.shield(own)
    own.set_result("own")
    notes.append(await outer)
    for nonsense in (1, None, [own]):
        notes.append(await outcome_of_call(lambda: asyncio.shield(nonsense)))  # type: ignore[arg-type] # noqa: B023


async def wait(notes: Notes) -> None:
    """`wait`: for each condition, with timeouts, cancelled at each moment, of futures of all kinds, and of nonsense."""
    loop: Any = asyncio.get_running_loop()

    class Derived(asyncio.Future[Any]):
        pass

    async def work(value: int, fails: type[BaseException] | None = None) -> int:
        await spin(value)
        if fails:
            raise fails(value)
        return value

    async def waits(tasks: Any, **keywords: Any) -> Any:
        numbered = list(tasks)
        done, pending = await asyncio.wait(tasks, **keywords)
        callbacks = [len(task._callbacks or ()) for task in numbered]
        return sorted(map(numbered.index, done)), sorted(map(numbered.index, pending)), callbacks

    def some(*fails: type[BaseException] | None) -> list[Any]:
        return [asyncio.ensure_future(work(3 * number, each)) for number, each in enumerate(fails)]

    conditions = [
        asyncio.ALL_COMPLETED,
        asyncio.FIRST_COMPLETED,
        asyncio.FIRST_EXCEPTION,
        "".join(["ALL", "_COMPLETED"]),
    ]
    for condition in conditions:
        for fails in ((None, None, None), (None, ValueError, None), (None, asyncio.CancelledError, KeyError)):
            tasks = some(*fails)
            notes.append(await waits(tasks, return_when=condition))
            await waits(tasks)
            notes.append([task.cancelled() or repr(task.exception()) for task in tasks])
    for form in (list, tuple, set, frozenset, dict.fromkeys, lambda tasks: [*tasks, *tasks]):
        tasks = some(None, None)
        done, pending = await asyncio.wait(form(tasks), return_when=asyncio.FIRST_COMPLETED)
        notes.append((done == {tasks[0]}, pending == {tasks[1]}, type(done), type(pending)))
        await waits(tasks)
    for timeout in (None, 0, -1, 0.0, 0.001, 1000, True):
        future, done_already = loop.create_future(), loop.create_future()
        done_already.set_result(1)
        if timeout is None or timeout >= 1:
            loop.call_later(0.001, future.set_result, 1)
        notes.append((timeout, await waits([future], timeout=timeout), await waits([done_already], timeout=timeout)))
    for moment in range(4):
        future = loop.create_future()
        task = asyncio.create_task(asyncio.wait([future, loop.create_future()], timeout=1000 * (moment % 2) or None))
        await spin(moment)
        notes.append(shown(repr(future)))
        notes.append(task.cancel(f"moment {moment}"))
        notes.extend([await outcome(task), future._callbacks])
    future = loop.create_future()
    task = asyncio.create_task(asyncio.wait([future]))
    await spin(1)
    callback = future._callbacks[0][0]
    notes.extend([shown(repr(callback)), callback.__name__, sorted(callback.__code__.co_freevars)])
    notes.append((future.remove_done_callback(callback), task.done()))
    future.add_done_callback(callback)
    future.set_result(1)
    await spin(3)
    notes.append(task.done())
    both = loop.create_future()
    others = [asyncio.create_task(waits([both, future], return_when=each)) for each in conditions]
    awaits = asyncio.ensure_future(work(2))
    await spin(1)
    both.add_done_callback(lambda _: notes.append("called"))
    notes.append(len(both._callbacks))
    others[0].cancel()
    await spin(1)
    both.set_exception(ValueError("both"))
    notes.extend([await outcome(other) for other in others])
    notes.extend([await awaits, repr(both.exception())])
    derived, own = Derived(loop=loop), loop.create_future()
    own.done = lambda: notes.append("own done") or True
    for futures in ([derived, future], [own, future], [own]):
        notes.append(await waits(futures, timeout=0))
    coroutine = work(1)
    for nonsense in ([], [coroutine], coroutine, future, [1], 1, (), None, [future, 1]):
        notes.append(await outcome(asyncio.wait(nonsense, timeout=0)))  # type: ignore[call-overload]
    coroutine.close()
    notes.append(await outcome(asyncio.wait([future], return_when="whenever")))
    notes.append(await outcome(asyncio.wait([future, loop.create_future()], timeout="soon")))  # type: ignore[call-overload]
    notes.append((await outcome_of_call(lambda: asyncio.wait([future], 1)))[:2])  # type: ignore[call-overload]
    by_hand = asyncio.wait([loop.create_future()], timeout=1000, return_when=asyncio.FIRST_COMPLETED)
    notes.append(by_hand.send(None)._asyncio_future_blocking)  # type: ignore[attr-defined]
    notes.append((by_hand.cr_frame.f_lineno, by_hand.cr_await.cr_code.co_name, by_hand.cr_await.cr_await is None))
    notes.append(await outcome_of_call(lambda: by_hand.throw(ValueError("thrown"))))


GROUP_PROGRAMS: dict[str, Callable[[Notes], Coroutine[Any, Any, None]]] = {
    "eager": eager,
    "ensure_future": ensure_future,
    "shield": shield,
    "wait": wait,
}

#: The grafted functions, by the program that uses each.
GROUP_USES = {
    "asyncio.tasks._GatheringFuture.cancel": "gather",
    "asyncio.tasks.eager_task_factory": "eager",
    "asyncio.tasks.ensure_future": "ensure_future",
    "asyncio.tasks.shield": "shield",
    "asyncio.tasks.wait": "wait",
}
