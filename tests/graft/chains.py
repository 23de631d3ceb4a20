"""Programs of futures that follow each other, a thread's and a loop's: see `constructs.py`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from graft.notes import Notes, outcome, outcome_of_call, shown, spin, told

Source = concurrent.futures.Future


class Logged(logging.Handler):
    """What `concurrent.futures` says of callbacks that have failed."""

    def __init__(self, notes: Notes) -> None:
        super().__init__()
        self.notes = notes

    def emit(self, record: logging.LogRecord) -> None:
        exception = record.exc_info[1] if record.exc_info else None
        self.notes.append((shown(record.getMessage()), exception and told(exception)))


#: What a thread's future may end with, by name.
ENDINGS: dict[str, Callable[[Source[Any]], object]] = {
    "result": lambda source: source.set_result("result"),
    "None": lambda source: source.set_result(None),
    "failed": lambda source: source.set_exception(ValueError("failed")),
    "stop": lambda source: source.set_exception(StopIteration(1)),
    "exit": lambda source: source.set_exception(SystemExit(3)),
    "cancelled as an exception": lambda source: source.set_exception(concurrent.futures.CancelledError("theirs")),
    "invalid as an exception": lambda source: source.set_exception(concurrent.futures.InvalidStateError("theirs")),
    "timeout as an exception": lambda source: source.set_exception(concurrent.futures.TimeoutError("theirs")),
    "ours as an exception": lambda source: source.set_exception(asyncio.CancelledError("ours")),
    "no exception": lambda source: source.set_exception("text"),  # type: ignore[arg-type]
    "a class": lambda source: source.set_exception(KeyError),  # type: ignore[arg-type]
    "cancelled": lambda source: source.cancel(),
    "cancelled and told": lambda source: (source.cancel(), source.set_running_or_notify_cancel()),
    "running first": lambda source: (source.set_running_or_notify_cancel(), source.set_result(2)),
}


def in_thread(function: Callable[[], object]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def functions_of(source: Any, wrapped: Any) -> list[Any]:
    """What the two futures call, as a program sees it."""
    callbacks = [callback for callback, _ in wrapped._callbacks or ()] + source._done_callbacks
    seen: list[Any] = []
    for callback in callbacks:
        cells = dict(zip(callback.__code__.co_freevars, callback.__closure__ or (), strict=True))
        seen.append((callback.__name__, callback.__qualname__, callback.__module__, type(callback).__name__))
        seen.append([(name, type(cell.cell_contents).__name__) for name, cell in cells.items()])
        if "_set_state" in cells:
            setter = cells["_set_state"].cell_contents
            seen.append((setter.__qualname__, setter.__closure__, setter.__code__.co_varnames))
    seen.append([shown(str(callback)) for callback in callbacks])
    return seen


async def wrap(notes: Notes) -> None:
    """`wrap_future`: of all endings, before and after, here and in a thread; cancelled; of nonsense; what is seen."""
    loop: Any = asyncio.get_running_loop()
    reported: Notes = []
    loop.set_exception_handler(lambda _, context: reported.append((context["message"], repr(context["exception"]))))
    logger, handler = logging.getLogger("concurrent.futures"), Logged(notes)
    logger.addHandler(handler)
    logger.propagate = False
    try:
        for name, end in ENDINGS.items():
            for where in (lambda function: function(), in_thread):
                for early in (True, False):
                    source: Source[Any] = Source()
                    if early:
                        where(lambda: end(source))  # noqa: B023
                    wrapped = asyncio.wrap_future(source)
                    if not early:
                        where(lambda: end(source))  # noqa: B023
                    notes.append((name, early, wrapped.done(), len(source._done_callbacks)))  # type: ignore[attr-defined]
                    await spin(3)
                    if wrapped.done():
                        notes.append(await outcome(wrapped))
                    wrapped.cancel()
                    await spin(2)
        await cancelled(notes)
        await looked_at(notes)
        await of_others(notes)
        await given_up(notes)
    finally:
        logger.removeHandler(handler)
        logger.propagate = True
        loop.set_exception_handler(None)
    notes.append(reported)


async def cancelled(notes: Notes) -> None:
    """Cancelled from here, at each moment: the source follows, unless it runs or is done."""
    for begin in (lambda source: None, lambda source: source.set_running_or_notify_cancel()):
        for moment in range(3):
            source: Source[Any] = Source()
            begin(source)
            wrapped = asyncio.wrap_future(source)
            wrapped.add_done_callback(lambda future: notes.append(("called", future.cancelled())))
            waiter = asyncio.create_task(asyncio.wait([wrapped]))
            await spin(moment)
            notes.append(wrapped.cancel("message"))
            notes.append((source.cancelled(), source.done()))
            await spin(2)
            notes.append((source.cancelled(), source.done(), shown(repr(source))))
            if not source.done():
                source.set_result("too late")
            await spin(2)
            notes.append(await outcome(wrapped))
            await waiter
    source = Source()
    wrapped = asyncio.wrap_future(source)
    source.set_result(1)
    wrapped.cancel()  # the result is on its way, or has come
    await spin(3)
    notes.append((wrapped.cancelled(), source.cancelled()))
    source = Source()
    wrapped = asyncio.wrap_future(source)
    wrapped.set_result("of its own")
    source.set_result("in vain")
    await spin(3)
    notes.append(wrapped.result())
    source = Source()
    source.cancel = lambda: notes.append("own cancel")  # type: ignore[method-assign, assignment, return-value]
    wrapped = asyncio.wrap_future(source)
    wrapped.cancel()
    await spin(3)

    def fails() -> bool:
        raise ValueError("will not be cancelled")

    source.cancel = fails  # type: ignore[method-assign]
    wrapped = asyncio.wrap_future(source)
    wrapped.cancel()
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: notes.append(told(context["exception"])))
    await spin(3)
    loop.set_exception_handler(handler)


async def looked_at(notes: Notes) -> None:
    """What a program sees of the callbacks; those are taken out, called by hand, and given other variables."""
    loop = asyncio.get_running_loop()
    source: Source[Any] = Source()
    wrapped: Any = asyncio.wrap_future(source)
    notes.append(functions_of(source, wrapped))
    notes.append(shown(repr(wrapped)))
    checks, sets = wrapped._callbacks[0][0], source._done_callbacks[0]  # type: ignore[attr-defined]
    notes.append((wrapped.remove_done_callback(checks), wrapped.remove_done_callback(checks)))
    wrapped.cancel()
    await spin(2)
    notes.append(source.cancelled())
    notes.append([await outcome_of_call(lambda: checks(wrapped)), source.cancelled()])
    for call in (checks, lambda: checks(1), lambda: sets(), lambda: sets(wrapped, 1), lambda: checks(destination=2)):
        notes.append((await outcome_of_call(call))[:2])
    other = loop.create_future()
    source = Source()
    wrapped = asyncio.wrap_future(source)
    sets = source._done_callbacks[0]  # type: ignore[attr-defined]
    cells = dict(zip(sets.__code__.co_freevars, sets.__closure__, strict=True))
    cells["destination"].cell_contents = other
    source.set_result("elsewhere")
    await spin(3)
    notes.append((wrapped.done(), other.done() and other.result()))
    source = Source()
    wrapped = asyncio.wrap_future(source)
    sets = source._done_callbacks[0]  # type: ignore[attr-defined]
    cells = dict(zip(sets.__code__.co_freevars, sets.__closure__, strict=True))
    cells["_set_state"].cell_contents = lambda *given: notes.append([shown(repr(each)) for each in given])
    source.set_result("told")
    await spin(3)
    notes.append(wrapped.done())
    del cells["destination"].cell_contents
    notes.append(await outcome_of_call(lambda: sets(source)))
    source = Source()
    wrapped = asyncio.wrap_future(source)
    sets = source._done_callbacks[0]  # type: ignore[attr-defined]
    setter = sets.__closure__[sets.__code__.co_freevars.index("_set_state")].cell_contents
    notes.append(await outcome_of_call(lambda: setter(wrapped, source)))  # not done
    source.set_result(1)
    await spin(3)
    notes.append(await outcome_of_call(lambda: setter(wrapped, source)))  # done already
    notes.append((await outcome_of_call(lambda: setter(1, source)))[:2])
    notes.append((await outcome_of_call(lambda: setter(wrapped)))[:2])


async def of_others(notes: Notes) -> None:
    """Futures that are of a subclass, or have attributes of their own; `loop=`; what is no future; contexts."""
    loop: Any = asyncio.get_running_loop()
    other = asyncio.SelectorEventLoop()

    class Derived(Source[Any]):
        def result(self, timeout: float | None = None) -> Any:
            return "derived", super().result(timeout)

    for make in (Source, Derived):
        source: Any = make()
        wrapped = asyncio.wrap_future(source, loop=None)
        source.set_result(1)
        notes.append(await wrapped)
    for name in ("result", "exception", "done", "cancelled", "_get_snapshot"):
        source = Source()
        if hasattr(source, name):
            wrapped = asyncio.wrap_future(source)
            source.set_result("hidden")
            its = getattr(source, name)
            setattr(source, name, lambda *given, its=its, name=name: notes.append(f"own {name}") or its(*given))
            await spin(3)
            notes.append(wrapped.done() and await outcome(wrapped))
    source = Source()
    source.add_done_callback = lambda callback: notes.append(callback.__name__)  # type: ignore[method-assign, assignment]
    asyncio.wrap_future(source)

    def refuses(_: object) -> None:
        raise ValueError("no callbacks")

    source.add_done_callback = refuses  # type: ignore[method-assign]
    notes.append(await outcome_of_call(lambda: asyncio.wrap_future(source)))
    future = loop.create_future()
    task = asyncio.create_task(spin(1))
    notes.extend([asyncio.wrap_future(each) is each for each in (future, task)])  # type: ignore[arg-type]
    notes.append(asyncio.wrap_future(future, loop=other) is future)
    await task
    for nonsense in (1, None, Source, object()):
        notes.append(shown(str(await outcome_of_call(lambda: asyncio.wrap_future(nonsense)))))  # type: ignore[arg-type] # noqa: B023
    notes.append((await outcome_of_call(lambda: asyncio.wrap_future(source, loop)))[:2])  # type: ignore[call-arg, misc]
    notes.append((await outcome_of_call(lambda: asyncio.wrap_future(source, lop=loop)))[:2])  # type: ignore[call-arg]
    source = Source()
    wrapped = asyncio.wrap_future(source, loop=other)
    source.set_result("for the other loop")
    notes.append((wrapped.get_loop() is other, wrapped.done()))
    in_thread(lambda: notes.append(other.run_until_complete(wrapped)))
    source = Source()
    asyncio.wrap_future(source, loop=other)
    other.close()
    source.set_result("nobody is there")
    chain = asyncio.futures._chain_future  # type: ignore[attr-defined]
    for arguments in ((Source(), 1), (1, future), (future, None), (Source(),)):
        notes.append(shown(str((await outcome_of_call(lambda: chain(*arguments)))[:2])))  # noqa: B023
    for make_source, make_destination in ((loop.create_future, Source), (loop.create_future, loop.create_future)):
        for end in ("result", "failed", "cancelled"):
            ours, theirs = make_source(), make_destination()
            chain(ours, theirs)
            ENDINGS[end](ours)
            await spin(3)
            notes.append((end, shown(repr(theirs))))
            theirs.cancelled() or (theirs.done() and theirs.exception())
            ours, theirs = make_source(), make_destination()
            chain(ours, theirs)
            theirs.cancel()
            await spin(3)
            notes.append((ours.cancelled(), theirs.cancelled()))
    await in_contexts(notes)


async def in_contexts(notes: Notes) -> None:
    """What runs in which context: a class of results that look."""
    variable = contextvars.ContextVar("variable", default="outside")
    source: Source[Any] = Source()
    source.exception = lambda timeout=None: notes.append(variable.get())  # type: ignore[method-assign, assignment, return-value]
    if hasattr(source, "_get_snapshot"):
        snapshot = source._get_snapshot
        source._get_snapshot = lambda: notes.append(variable.get()) or snapshot()
    wrapped = asyncio.wrap_future(source)

    def end() -> None:
        variable.set("in the thread")
        source.set_result("in a context")

    in_thread(end)
    notes.append(await wrapped)


async def given_up(notes: Notes) -> None:
    """Something is replaced, or debug mode comes, between the beginning and the end."""
    loop: Any = asyncio.get_running_loop()
    futures: Any = asyncio.futures
    for name in ("_copy_future_state", "_convert_future_exc", "isfuture"):
        function = getattr(futures, name)
        uses: Notes = []
        for moment in range(2):
            source: Source[Any] = Source()
            wrapped = asyncio.wrap_future(source)
            if moment:
                source.set_exception(ValueError(name))
            setattr(futures, name, lambda *given, function=function, uses=uses: uses.append(1) or function(*given))
            try:
                if not moment:
                    in_thread(lambda: source.set_exception(ValueError(name)))  # noqa: B023
                await spin(3)
                notes.append((name, moment, len(uses), await outcome(wrapped)))
            finally:
                setattr(futures, name, function)
    for name in ("done", "exception", "_invoke_callbacks"):
        function = getattr(Source, name)
        uses = []
        source = Source()
        wrapped = asyncio.wrap_future(source)
        setattr(Source, name, lambda *given, function=function, uses=uses: uses.append(1) or function(*given))
        try:
            in_thread(lambda: source.set_result(name))  # noqa: B023
            await spin(3)
            notes.append((name, len(uses), await wrapped))
        finally:
            setattr(Source, name, function)
    source = Source()
    wrapped = asyncio.wrap_future(source)
    loop.set_debug(True)
    source.set_result("debug")
    await spin(3)
    loop.set_debug(False)
    notes.append(await wrapped)


class Own(concurrent.futures.Executor):
    """Does it at once, and returns what it likes."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        future = self.make()
        if isinstance(future, (Source, asyncio.Future)):
            future.set_result(fn(*args, **kwargs))
        return future


async def executor(notes: Notes) -> None:
    """`run_in_executor` and `to_thread`: what is returned and raised, by which executor, in which context."""
    loop: Any = asyncio.get_running_loop()
    variable = contextvars.ContextVar("variable", default="outside")
    variable.set("in the task")

    def work(*given: object, **keywords: object) -> Any:
        return given, keywords, variable.get(), threading.current_thread() is threading.main_thread()

    def fails(exception: BaseException) -> None:
        raise exception

    notes.append(loop._default_executor)
    one = concurrent.futures.ThreadPoolExecutor(1)
    for _ in range(2):
        notes.append(await loop.run_in_executor(None, work, 1, 2))
        notes.append(await loop.run_in_executor(one, work))
        notes.append(await loop.run_in_executor(executor=one, func=work))
        notes.append(await asyncio.to_thread(work, 1, keyword=2))
        loop.set_default_executor(one)
    for exception in (
        ValueError("failed"),
        asyncio.CancelledError("cancelled"),
        concurrent.futures.TimeoutError("time"),
    ):
        for call in (loop.run_in_executor(None, fails, exception), asyncio.to_thread(fails, exception)):
            notes.append((await outcome(call))[:2])
    for arguments in ((), (None,), (1, work), ("executor", work, 1)):
        notes.append(await outcome_of_call(lambda: loop.run_in_executor(*arguments)))  # noqa: B023
    made = await outcome_of_call(lambda: loop.run_in_executor(None, "not callable"))
    notes.append((await outcome(made) if isinstance(made, asyncio.Future) else made)[:2])
    notes.append((await outcome_of_call(lambda: loop.run_in_executor(None, work, keyword=1)))[:2])
    await in_order(notes, one)
    for make in (Source, loop.create_future, lambda: 1, lambda: None, type("Derived", (Source,), {})):
        made = await outcome_of_call(lambda: loop.run_in_executor(Own(make), work, 1))  # noqa: B023
        notes.append(await made if isinstance(made, asyncio.Future) else shown(str(made)))
    await replaced_meanwhile(notes, one)
    one.shutdown()
    for call in (lambda: loop.run_in_executor(one, work), lambda: loop.run_in_executor(None, work)):
        notes.append(await outcome_of_call(call))
    notes.append(await outcome(asyncio.to_thread(work)))
    loop._executor_shutdown_called = True
    notes.append(await outcome_of_call(lambda: loop.run_in_executor(None, work)))
    loop._executor_shutdown_called = False
    loop._default_executor = Own(Source)
    notes.append(await asyncio.to_thread(work))
    loop._default_executor = None
    other: Any = type(loop)()
    closed = type(loop)()
    closed.close()
    notes.append(await outcome_of_call(lambda: closed.run_in_executor(None, work)))
    made = other.run_in_executor(Own(Source), work)
    notes.append(made.get_loop() is other)
    in_thread(lambda: notes.append(other.run_until_complete(made)))
    other.close()


async def in_order(notes: Notes, one: concurrent.futures.Executor) -> None:
    """Several at a time, of which some are cancelled before and while they run; a loop that is closed too early."""
    loop = asyncio.get_running_loop()
    order: Notes = []
    go, runs = threading.Event(), threading.Event()

    def first() -> str:
        runs.set()
        go.wait()
        return "first"

    calls = [loop.run_in_executor(one, first), *(loop.run_in_executor(one, order.append, n) for n in range(4))]
    runs.wait()
    for call in calls:
        call.add_done_callback(lambda done: order.append(("done", calls.index(done), done.cancelled())))
    notes.append([calls[0].cancel("runs"), calls[2].cancel("waits")])
    await spin(2)
    go.set()
    await asyncio.wait(calls)
    notes.append(sorted(order, key=str))
    notes.append([await outcome(call) for call in calls])
    go.clear()
    runs.clear()

    def elsewhere() -> None:
        async def begins() -> None:
            asyncio.get_running_loop().run_in_executor(one, first)
            runs.wait()

        other = type(loop)()
        other.run_until_complete(begins())
        other.close()

    in_thread(elsewhere)
    go.set()
    notes.append(await loop.run_in_executor(one, int))


async def replaced_meanwhile(notes: Notes, one: concurrent.futures.Executor) -> None:
    """What `submit` calls replaces something of asyncio's."""
    loop: Any = asyncio.get_running_loop()
    futures: Any = asyncio.futures
    for name in ("wrap_future", "_chain_future", "isfuture"):
        function = getattr(futures, name)
        uses: Notes = []

        def replacing(name: str = name, function: Any = function, uses: Notes = uses) -> Source[Any]:
            setattr(futures, name, lambda *given, **keywords: uses.append(1) or function(*given, **keywords))
            return Source()

        try:
            made = loop.run_in_executor(Own(replacing), int)
            notes.append((name, len(uses), await made))
        finally:
            setattr(futures, name, function)

    class Debugging(Own):
        def submit(self, *given: Any, **keywords: Any) -> Any:
            loop.set_debug(True)
            return super().submit(*given, **keywords)

    made = loop.run_in_executor(Debugging(Source), int)
    loop.set_debug(False)
    notes.append(await made)
    loop.create_future = lambda: notes.append("own future") or asyncio.Future()
    notes.append(await loop.run_in_executor(one, int))
    del loop.create_future
    loop._check_default_executor = lambda: notes.append("own check")
    notes.append(await loop.run_in_executor(None, int))
    del loop._check_default_executor


CHAIN_PROGRAMS: dict[str, Callable[[Notes], Coroutine[Any, Any, None]]] = {
    "executor": executor,
    "wrap": wrap,
}

#: The grafted functions, by the program that uses each.
CHAIN_USES = {
    "asyncio.base_events.BaseEventLoop.run_in_executor": "executor",
    "asyncio.futures._chain_future": "wrap",
    "asyncio.futures._copy_future_state": "wrap",
    "asyncio.futures.wrap_future": "wrap",
}
