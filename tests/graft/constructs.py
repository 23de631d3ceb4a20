"""What each grafted function is for: a program that uses it in all its ways, and tells what it sees.

`PROGRAMS` has one for each construct; a coroutine function that gets a list and notes in it whatever can be seen.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from graft.chains import CHAIN_PROGRAMS, CHAIN_USES
from graft.groups import GROUP_PROGRAMS, GROUP_USES
from graft.locks import LOCK_PROGRAMS, LOCK_USES
from graft.notes import Notes, outcome, outcome_of_call, shown, spin
from graft.streams import STREAM_PROGRAMS, STREAM_USES
from graft.timeouts import TIMEOUT_PROGRAMS, TIMEOUT_USES


async def sleep(notes: Notes) -> None:
    """`asyncio.sleep`, woken up, cancelled at each moment, and given nonsense."""
    notes.append(await asyncio.sleep(0))
    notes.append(await asyncio.sleep(0, "result"))
    notes.append(await asyncio.sleep(-1, None))
    notes.append(await asyncio.sleep(0.001, [1]))
    notes.append(await asyncio.sleep(delay=0, result=2))
    for delay in (0, 10):
        for moment in range(3):
            task = asyncio.create_task(asyncio.sleep(delay, "late"))
            await spin(moment)
            notes.append(task.cancel(f"moment {moment}"))
            notes.append(await outcome(task))
    for nonsense in (float("nan"), "1", None):
        notes.append(await outcome(asyncio.sleep(nonsense)))  # type: ignore[arg-type]
    coroutine = asyncio.sleep(10)
    coroutine.send(None)
    notes.append(await outcome_of_call(lambda: coroutine.throw(ValueError("thrown"))))


async def event(notes: Notes) -> None:
    """`Event`: waiters that are woken up in order, cancelled before and after, and one that comes too late."""
    happened = asyncio.Event()
    order: Notes = []

    async def waiter(name: int) -> str:
        order.append((name, await happened.wait()))
        return f"waiter {name}"

    tasks = [asyncio.create_task(waiter(name)) for name in range(4)]
    await spin(1)
    notes.append(len(happened._waiters))  # type: ignore[attr-defined]
    tasks[1].cancel("before")
    happened.set()
    tasks[2].cancel("after")
    notes.append([await outcome(task) for task in tasks])
    notes.extend([order, happened.is_set(), await happened.wait(), len(happened._waiters)])  # type: ignore[attr-defined]
    happened.set()
    happened.clear()
    direct = asyncio.create_task(happened.wait())
    await spin(1)
    happened._waiters.clear()  # type: ignore[attr-defined]
    direct.cancel()
    notes.append(await outcome(direct))
    waits = asyncio.wait_for(happened.wait(), 0.001)
    notes.append((await outcome(waits))[0])


async def lock(notes: Notes) -> None:
    """`Lock`: in order, cancelled while it waits and just after it was woken up, released by anybody."""
    mutex = asyncio.Lock()
    order: Notes = []

    async def user(name: int) -> None:
        async with mutex:
            order.append(name)
            await spin(1)

    tasks = [asyncio.create_task(user(name)) for name in range(5)]
    await spin(1)
    notes.append((mutex.locked(), len(mutex._waiters or ())))  # type: ignore[attr-defined]
    tasks[2].cancel("waiting")
    await spin(1)
    tasks[1].cancel("woken up")
    notes.append([await outcome(task) for task in tasks])
    notes.extend([list(order), mutex.locked(), await mutex.acquire()])
    second = asyncio.create_task(mutex.acquire())
    await spin(1)
    mutex.release()
    second.cancel()
    third = asyncio.create_task(mutex.acquire())
    notes.extend([await outcome(second), await outcome(third)])
    mutex.release()
    notes.append(await outcome_of_call(mutex.release))

    async def fails() -> None:
        async with mutex:
            raise ValueError("inside")

    notes.extend([await outcome(fails()), mutex.locked()])


async def queue(notes: Notes) -> None:
    """`Queue` and its kin: in order, full and empty, cancelled while waiting and just after being woken up, joined."""
    for make in (asyncio.Queue, asyncio.LifoQueue, asyncio.PriorityQueue):
        items: asyncio.Queue[int] = make(2)
        notes.extend([await outcome_of_call(items.get_nowait), items.put_nowait(3), await items.put(1)])
        notes.append(await outcome_of_call(lambda items=items: items.put_nowait(2)))  # type: ignore[misc]
        putters = [asyncio.create_task(items.put(number)) for number in range(4, 8)]
        await spin(1)
        notes.append(shown(str(items)))
        putters[1].cancel("waiting")
        notes.append(await items.get())
        putters[0].cancel("woken up")
        await spin(2)
        notes.extend([[putter.done() for putter in putters], items.get_nowait(), await items.get()])
        notes.append([await outcome(putter) for putter in putters])
        notes.extend([await items.get(), await items.get() if items.qsize() else None, str(items)])
        getters = [asyncio.create_task(items.get()) for _ in range(4)]
        await spin(1)
        notes.append(shown(str(items)))
        getters[1].cancel("waiting")
        items.put_nowait(8)
        getters[0].cancel("woken up")
        await spin(2)
        notes.append([getter.done() for getter in getters])
        await items.put(9)
        notes.append([await outcome(getter) for getter in getters])
        joiners = [asyncio.create_task(items.join()) for _ in range(2)]
        await spin(1)
        joiners[0].cancel("joining")
        while items._unfinished_tasks:  # type: ignore[attr-defined]
            items.task_done()
        notes.extend([await outcome(joiner) for joiner in joiners])
        notes.extend([await items.join(), await outcome_of_call(items.task_done)])
        with_left = asyncio.create_task(items.get())
        await spin(1)
        items._getters.clear()  # type: ignore[attr-defined]
        with_left.cancel()
        notes.append(await outcome(with_left))
        await shut(notes, make)
        notes.append((await outcome(asyncio.wait_for(items.get(), 0.001)))[0])


async def shut(notes: Notes, make: Callable[[int], asyncio.Queue[int]]) -> None:
    """`Queue.shutdown()`, which 3.12 does not have."""
    for immediate in (False, True):
        items = make(1)
        if not hasattr(items, "shutdown"):
            return
        items.put_nowait(1)
        late = [asyncio.create_task(items.put(2)), asyncio.create_task(items.join())]
        await spin(1)
        items.shutdown(immediate)
        notes.extend([await outcome(late[0]), await outcome(items.put(3))])
        notes.append(await outcome_of_call(lambda items=items: items.put_nowait(4)))  # type: ignore[misc]
        notes.extend([await outcome(items.get()), await outcome(items.get())])
        notes.extend([await outcome_of_call(items.get_nowait), await outcome_of_call(items.task_done)])
        notes.append(await outcome(late[1]))
    items = make(1)
    getter = asyncio.create_task(items.get())
    await spin(1)
    items.shutdown()
    notes.append(await outcome(getter))


async def gather(notes: Notes) -> None:
    """`gather`: of coroutines and futures, done and not, with failures, cancelled from inside and from outside."""

    async def work(value: int, fails: bool = False) -> int:
        await spin(value)
        if fails:
            raise ValueError(value)
        return value

    loop = asyncio.get_running_loop()
    notes.append(await asyncio.gather())
    notes.append(await asyncio.gather(work(2), work(0), asyncio.sleep(0, "native")))
    future, done = loop.create_future(), loop.create_future()
    done.set_result("done")
    gathering = asyncio.gather(done, future, done)
    await spin(1)
    future.set_result("late")
    notes.append(await gathering)
    failing = [work(1), work(2, True), work(3), work(1, True)]
    notes.append(await outcome(asyncio.gather(*failing)))
    notes.append([str(each) for each in await asyncio.gather(work(1), work(1, True), return_exceptions=True)])
    for return_exceptions in (False, True):
        children = [asyncio.create_task(work(5)) for _ in range(3)]
        gathering = asyncio.gather(*children, return_exceptions=return_exceptions)
        await spin(1)
        notes.append(gathering.cancel("all"))
        notes.append(await outcome(gathering))
        notes.append([child.cancelled() for child in children])
    for children in ([work(5), loop.create_future()], [loop.create_future(), work(5)]):
        gathering = asyncio.gather(*children, return_exceptions=True)  # its error is that of the last one listed
        await spin(1)
        gathering.cancel("last")
        notes.append(await outcome(gathering))
    own = loop.create_future()
    own.done = lambda: notes.append("own done") or False
    gathering = asyncio.gather(own, work(1))
    own.set_result("own")
    notes.append(await gathering)
    child = loop.create_future()
    hides = asyncio.gather(child)
    del hides._cancel_requested  # type: ignore[attr-defined]
    hides.done = lambda: notes.append("done is hidden") or True  # as many attributes as before
    child.set_result(1)
    await spin(2)
    notes.append(asyncio.Future.done(hides))
    children = [asyncio.create_task(work(5)) for _ in range(3)]
    gathering = asyncio.gather(*children, return_exceptions=True)
    await spin(1)
    children[1].cancel("one")
    notes.append([repr(each) for each in await gathering])
    first, last = loop.create_future(), loop.create_future()
    gathering = asyncio.gather(first, last, return_exceptions=True)
    last.cancel("the last in the list, done first")
    await spin(1)
    notes.append(gathering.cancel("the first, done last"))
    notes.append(await outcome(gathering))
    hidden = loop.create_future()
    hidden.done = lambda: notes.append("asked")  # type: ignore[method-assign]
    gathering = asyncio.gather(hidden, work(0))
    hidden.set_result("hidden")
    notes.append(await gathering)
    task = asyncio.create_task(work(3))
    gathering = asyncio.gather(task, work(4))
    notes.append(shown(repr(task)))
    task.remove_done_callback(task._callbacks[0][0])  # type: ignore[attr-defined]
    await spin(8)
    notes.append((gathering.done(), gathering.cancel()))
    for instead in (tuple, iter, dict.fromkeys, lambda children: 1):
        gathering = asyncio.gather(loop.create_future(), loop.create_future())
        children = gathering._children  # type: ignore[attr-defined]
        gathering._children = instead(children)  # type: ignore[attr-defined]
        notes.append(await outcome_of_call(gathering.cancel))
        notes.append([child.cancel() for child in children])
        notes.append(await outcome(gathering))
    notes.append(await outcome_of_call(lambda: asyncio.gather(1)))  # type: ignore[call-overload]
    already = loop.create_future()
    already.set_exception(KeyError("early"))
    notes.append(await outcome(asyncio.gather(already, future)))


async def create_task(notes: Notes) -> None:
    """`create_task`, with its keywords, and of what is no coroutine."""
    import contextvars

    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="outside")
    context = contextvars.copy_context()
    context.run(variable.set, "inside")

    async def look() -> str:
        return variable.get()

    task = asyncio.create_task(look(), name="named", context=context)
    notes.extend([task.get_name(), await task, await asyncio.create_task(look())])
    notes.append((await outcome_of_call(lambda: asyncio.create_task(1)))[:2])  # type: ignore[arg-type]
    notes.append((await outcome_of_call(asyncio.create_task))[:2])  # type: ignore[arg-type]
    coroutine = look()
    notes.append((await outcome_of_call(lambda: asyncio.create_task(coroutine, nonsense=1)))[:2])  # type: ignore[call-arg]
    coroutine.close()


async def taskgroup(notes: Notes) -> None:
    """`TaskGroup`: that goes well, and not: bodies and tasks that raise, cancellation at each moment, nested ones."""

    async def work(value: int, fails: type[BaseException] | None = None) -> int:
        await spin(value)
        if fails:
            raise fails(value)
        return value

    async def stubborn(times: int) -> None:
        for _ in range(times):
            try:
                await spin(6)
            except asyncio.CancelledError:
                notes.append("not yet")

    async def group_of(*awaited: Coroutine[Any, Any, Any], body: Coroutine[Any, Any, Any] | None = None) -> list[Any]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in awaited]
            notes.append((shown(repr(group)), group._exiting, len(group._tasks)))  # type: ignore[attr-defined]
            if body:
                await body
        notes.append(shown(repr(group)))
        notes.append(shown(repr([group._parent_task, group._errors, group._base_error])))  # type: ignore[attr-defined]
        return [task.result() for task in tasks]

    async def apart(coroutine: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(coroutine)
        notes.append([await outcome(task), task.cancelling()])

    await apart(group_of())
    await apart(group_of(work(0), work(2), asyncio.sleep(0, "native")))
    await apart(group_of(work(1), body=work(4)))
    for fails in (ValueError, asyncio.CancelledError):
        await apart(group_of(work(1, fails), work(3), work(0)))
        await apart(group_of(work(4), body=work(1, fails)))
    await apart(group_of(work(1, ValueError), work(1, KeyError), body=work(1, OSError)))
    await apart(group_of(work(1, ValueError), stubborn(2)))
    for moment in range(1, 9):
        for function, arguments in ((work, (3,)), (work, (1, ValueError)), (stubborn, (1,))):
            task = asyncio.create_task(group_of(function(*arguments), work(2)))
            await spin(moment)
            notes.append(task.cancel(f"moment {moment}"))
            if moment % 2:
                await spin(1)
                task.cancel("again")
            notes.append([await outcome(task), task.cancelling(), task.cancelled()])
    nested = group_of(group_of(work(2), group_of(work(1, ValueError), work(5))), work(4))
    await apart(nested)
    await taskgroup_misused(notes, work)


async def taskgroup_misused(notes: Notes, work: Callable[..., Coroutine[Any, Any, Any]]) -> None:
    """Groups that are entered twice, not at all, are over; odd arguments; a task in and out of it; tasks of a task."""
    group = asyncio.TaskGroup()
    for attempt in range(2):
        coroutine = work(0)
        notes.append((await outcome_of_call(lambda: group.create_task(coroutine)))[:2])  # noqa: B023
        coroutine.close()
        if not attempt:
            async with group:
                notes.append(await outcome(group.__aenter__()))
                named = group.create_task(work(1), name="named")
                notes.append((named.get_name(), shown(repr(named))))
                callback = named._callbacks[0][0]  # type: ignore[attr-defined]
                notes.append((callback == group._on_task_done, named.remove_done_callback(callback)))  # type: ignore[attr-defined]
                named.add_done_callback(callback)
                late = group.create_task(work(3))
                late.add_done_callback(lambda _: notes.append("called"))

                async def makes(depth: int) -> None:
                    if depth:
                        group.create_task(makes(depth - 1))
                    await spin(1)

                group.create_task(makes(3))
                notes.append((await outcome_of_call(lambda: group.create_task(1)))[:2])  # type: ignore[arg-type]
            notes.append([named.result(), late.result()])
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined, unused-ignore]
        tasks = [group.create_task(work(0)), group.create_task(work(2)), group.create_task(asyncio.sleep(0.001, 1))]
        notes.append(sorted((task.done(), task in group._tasks) for task in tasks))  # type: ignore[attr-defined]
        loop.set_task_factory(None)
    notes.append([task.result() for task in tasks])
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined, unused-ignore]

    async def eagerly() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(work(0, ValueError))
            notes.append("made")

    notes.append(await outcome(asyncio.create_task(eagerly())))
    loop.set_task_factory(None)
    by_hand = asyncio.TaskGroup()
    await by_hand.__aenter__()
    by_hand.create_task(work(1))
    leaving = by_hand.__aexit__(None, None, None)
    leaving.send(None)
    notes.append(await outcome_of_call(lambda: leaving.throw(ValueError("thrown"))))


async def accept(notes: Notes) -> None:
    """`_accept_connection2`: a protocol that is told, factories and transports that fail, cancelled at each moment."""
    loop: Any = asyncio.get_running_loop()
    seconds = [10.0, 10.0, *((None,) if sys.version_info >= (3, 15) else ())]

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(transport)
            notes.append((type(self).__name__, transport.get_extra_info("peername"), transport.get_protocol() is self))  # type: ignore[attr-defined]

        def connection_lost(self, exc: Exception | None) -> None:
            notes.append(exc)

    class Refuses(Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(transport)
            raise ValueError("not you")

    def fails() -> asyncio.Protocol:
        raise OSError("no protocol")

    def exits() -> asyncio.Protocol:
        raise SystemExit(3)

    def accepted(factory: Callable[[], Any], connection: object = None) -> Any:
        ours, theirs = socket.socketpair()
        for each in (ours, theirs):
            each.setblocking(False)
            kept.append(each)
        return loop._accept_connection2(factory, connection or ours, {"peername": "them"}, None, None, *seconds)

    def report(_: Any, context: dict[str, Any]) -> None:
        notes.append(sorted(context))
        notes.append(context["message"].partition(" at 0x")[0])  # the address is another each time

    kept: list[socket.socket] = []
    made: list[asyncio.BaseTransport] = []
    loop.set_exception_handler(report)
    try:
        coroutine = accepted(Protocol)
        notes.append((coroutine.__qualname__, dict(coroutine.cr_frame.f_locals["extra"]), coroutine.cr_await))
        notes.append(await outcome(coroutine))
        for factory in (Refuses, fails):
            notes.append(await outcome(accepted(factory)))
            await spin(3)
        notes.append(await outcome(accepted(Protocol, "no socket")))
        exiting = accepted(exits)
        notes.append(await outcome_of_call(lambda: exiting.send(None)))
        for moment in range(4):
            task = asyncio.create_task(accepted(Protocol))
            await spin(moment)
            notes.append(task.cancel())
            notes.append(await outcome(task))
            await spin(4)
        if not loop.get_debug():  # what is reported when debug mode is switched on meanwhile
            for thrown in (ValueError("thrown"), KeyboardInterrupt("thrown")):
                waits = accepted(Protocol)
                waits.send(None)
                loop.set_debug(True)
                notes.append(await outcome_of_call(lambda: waits.throw(thrown)))  # noqa: B023
                loop.set_debug(False)
                await spin(4)
    finally:
        for transport in made:
            transport.close()
        await spin(3)
        for each in kept:
            each.close()


PROGRAMS: dict[str, Callable[[Notes], Coroutine[Any, Any, None]]] = {
    "accept": accept,
    "create_task": create_task,
    "event": event,
    "gather": gather,
    "lock": lock,
    "queue": queue,
    "sleep": sleep,
    "taskgroup": taskgroup,
    **CHAIN_PROGRAMS,
    **GROUP_PROGRAMS,
    **LOCK_PROGRAMS,
    **STREAM_PROGRAMS,
    **TIMEOUT_PROGRAMS,
}

QUEUE_METHODS = ("get", "get_nowait", "join", "put", "put_nowait", "task_done")

#: The grafted functions, by the program that uses each.
USES = {
    "asyncio.selector_events.BaseSelectorEventLoop._accept_connection2": "accept",
    "asyncio.tasks.create_task": "create_task",
    "asyncio.tasks.gather": "gather",
    "asyncio.tasks.sleep": "sleep",
    "asyncio.taskgroups.TaskGroup.__aenter__": "taskgroup",
    "asyncio.taskgroups.TaskGroup.__aexit__": "taskgroup",
    "asyncio.taskgroups.TaskGroup._on_task_done": "taskgroup",
    "asyncio.taskgroups.TaskGroup.create_task": "taskgroup",
    "asyncio.locks.Event.set": "event",
    "asyncio.locks.Event.wait": "event",
    "asyncio.locks.Lock.acquire": "lock",
    "asyncio.locks.Lock.locked": "lock",
    "asyncio.locks.Lock.release": "lock",
    "asyncio.locks._ContextManagerMixin.__aenter__": "lock",
    "asyncio.locks._ContextManagerMixin.__aexit__": "lock",
    **CHAIN_USES,
    **GROUP_USES,
    **LOCK_USES,
    **STREAM_USES,
    **TIMEOUT_USES,
    **{f"asyncio.queues.Queue.{name}": "queue" for name in QUEUE_METHODS},
}


def run(name: str, factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> Notes:
    """What the program of that name sees."""
    notes: Notes = []
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(PROGRAMS[name](notes))
    return notes
