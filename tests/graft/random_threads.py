"""Random programs of futures that follow each other, a thread's and a loop's, and of an executor.

The executor does nothing by itself: a job begins and ends when the program says so, here or in a thread, which has
ended before anything else is done. So a program does the same each time.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import logging
import random
from collections.abc import Callable
from types import FunctionType
from typing import Any

from graft.chains import ENDINGS, Logged, Source, in_thread
from graft.notes import Notes, end_others, nameless, outcome, shown, spin, told

Step = tuple[str, int, int]

#: What is done, and how often.
WEIGHTS = {
    "wrap": 10,
    "executor": 10,
    "to_thread": 6,
    "chain": 4,
    "coroutine": 4,
    "end": 24,
    "begin": 5,
    "await": 12,
    "cancel": 10,
    "cancel source": 6,
    "cancel task": 6,
    "set": 3,
    "spin": 24,
    "look": 6,
    "remove": 2,
    "call": 3,
    "cells": 2,
    "other loop": 3,
    "run other loop": 2,
    "close other loop": 1,
    "patch": 3,
    "hide": 2,
    "restore": 2,
    "debug": 1,
    "shut": 1,
}
#: `SystemExit` ends the loop, if a task ends with it.
ENDS = [name for name in ENDINGS if name != "exit"]
#: What a job ends with, if it is none of a future's endings.
RAISED: list[Callable[[], BaseException]] = [
    lambda: ValueError("of a job"),
    lambda: StopIteration(2),
    lambda: asyncio.CancelledError("of a job"),
    lambda: concurrent.futures.CancelledError("of a job"),
    lambda: TimeoutError("of a job"),
    lambda: concurrent.futures.InvalidStateError("of a job"),
    lambda: asyncio.InvalidStateError("of a job"),
]
PATCHES: list[tuple[str, str]] = [
    ("asyncio.futures", "_copy_future_state"),
    ("asyncio.futures", "_chain_future"),
    ("asyncio.futures", "_convert_future_exc"),
    ("asyncio.futures", "_set_concurrent_future_state"),
    ("asyncio.futures", "_get_loop"),
    ("asyncio.futures", "wrap_future"),
    ("asyncio.futures", "isfuture"),
    ("Source", "done"),
    ("Source", "cancelled"),
    ("Source", "exception"),
    ("Source", "result"),
    ("Source", "cancel"),
    ("Source", "add_done_callback"),
    ("Source", "set_running_or_notify_cancel"),
]
METHODS = [name for owner, name in PATCHES if owner == "Source"]


def program(seed: int) -> list[Step]:
    """What is done, with which of the things that there are, and how."""
    draw = random.Random(seed)
    kinds = draw.choices(list(WEIGHTS), list(WEIGHTS.values()), k=draw.randrange(5, 50))
    return [(kind, draw.randrange(1 << 16), draw.randrange(1 << 16)) for kind in kinds]


class Derived(Source[Any]):
    """A thread's future that native code knows nothing of."""

    def result(self, timeout: float | None = None) -> Any:
        return "derived", super().result(timeout)


class Job:
    """What an executor was given, until the program has it done."""

    def __init__(self, future: Source[Any], function: Callable[[], Any]) -> None:
        self.future, self.function = future, function

    def __call__(self) -> None:
        if self.future.set_running_or_notify_cancel():
            try:
                result = self.function()
            except BaseException as exception:
                self.future.set_exception(exception)
            else:
                self.future.set_result(result)


class Executor(concurrent.futures.ThreadPoolExecutor):
    """Does nothing by itself. A loop's default executor is of this class."""

    def __init__(self, jobs: list[Any], make: Callable[[], Any]) -> None:
        super().__init__(1)
        self.jobs, self.make, self.is_shut = jobs, make, False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if self.is_shut:
            raise RuntimeError("shut")
        future = self.make()
        if isinstance(future, Source):
            self.jobs.append(Job(future, lambda: fn(*args, **kwargs)))
        return future


def chosen(things: list[Any], value: int) -> Any:
    """One of them, rather of the last; nothing if there is none."""
    return things[-1 - min(value % 4, (value // 4) % len(things))] if things else None


def call(function: Callable[[], object]) -> None:
    function()


class Stage:
    """All that a program has made so far, and what is done with it, a step a method."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.loop: Any = asyncio.get_running_loop()
        self.other: Any = type(self.loop)()
        self.sources: list[Any] = []
        self.jobs: list[Any] = []
        self.wrapped: list[Any] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.patched: dict[tuple[str, str], Any] = {}
        self.variable = contextvars.ContextVar("variable", default="outside")
        self.executors = [Executor(self.jobs, make) for make in (Source, Derived, self.loop.create_future)]
        self.loop.set_default_executor(self.executors[0])

    def owner(self, name: str) -> Any:
        return Source if name == "Source" else asyncio.futures

    def noted(self, name: str, plain: Any) -> Any:
        def function(*arguments: Any, **keywords: Any) -> Any:
            self.notes.append(name)
            return plain(*arguments, **keywords)

        return function

    def put(self, kind: str, first: int, second: int) -> None:
        """Replaces something."""
        if kind == "hide":
            if source := chosen(self.sources, second):
                name = METHODS[first % len(METHODS)]
                setattr(source, name, self.noted(f"own {name}", getattr(source, name)))
            return
        owner, name = PATCHES[first % len(PATCHES)]
        if (owner, name) not in self.patched and hasattr(self.owner(owner), name):
            self.patched[owner, name] = plain = getattr(self.owner(owner), name)
            setattr(self.owner(owner), name, self.noted(name, plain))

    def restore(self) -> None:
        for (owner, name), plain in self.patched.items():
            setattr(self.owner(owner), name, plain)
        self.patched.clear()

    def work(self, number: int) -> Any:
        """A job's."""
        if number % 3:
            return number, self.variable.get()
        raise RAISED[number % len(RAISED)]()

    def begin(self, kind: str, first: int, second: int) -> None:
        """Something that ends later."""
        if kind == "wrap":
            source: Any = (Source, Source, Source, Derived, self.loop.create_future)[first % 5]()
            if second % 5 == 0 and isinstance(source, Source):
                ENDINGS[ENDS[second % len(ENDS)]](source)
            self.sources.append(source)
            keywords = ({}, {}, {"loop": None}, {"loop": self.loop})[second % 4]
            self.wrapped.append(asyncio.wrap_future(source, **keywords))
        elif kind == "executor":
            executor = (None, None, *self.executors)[first % 5]
            self.wrapped.append(self.loop.run_in_executor(executor, self.work, second))
        elif kind == "to_thread":
            self.tasks.append(asyncio.create_task(self.awaits(len(self.tasks), asyncio.to_thread(self.work, second))))
        elif kind == "other loop":
            self.sources.append(Source())
            self.wrapped.append(asyncio.wrap_future(self.sources[-1], loop=self.other))
        elif kind == "coroutine":
            self.sources.append(asyncio.run_coroutine_threadsafe(self.spins(second), self.loop))
        elif kind == "chain":
            make: list[Callable[[], Any]] = [Source, self.loop.create_future, self.other.create_future, Derived]
            source = chosen(self.sources, second) if first % 2 else make[first // 2 % 4]()
            self.wrapped.append(make[first // 8 % 4]())
            self.sources.append(source)
            asyncio.futures._chain_future(source, self.wrapped[-1])  # type: ignore[attr-defined]

    async def spins(self, number: int) -> Any:
        self.variable.set(f"coroutine {number}")
        await spin(number % 3)
        return self.work(number)

    async def awaits(self, number: int, awaited: Any) -> None:
        self.variable.set(f"task {number}")
        self.notes.append((number, await outcome(awaited)))

    def act(self, kind: str, first: int, second: int) -> None:
        """Something that is over when this returns."""
        where: Callable[[Callable[[], object]], object] = in_thread if second % 2 else call
        if kind == "end":
            job = chosen(self.jobs, first) if first % 2 else None
            source = chosen(self.sources, first)
            if job:
                where(lambda: self.notes.append(self.tried(job)))
            elif source is not None and not asyncio.isfuture(source):
                end = ENDINGS[ENDS[second // 2 % len(ENDS)]]
                where(lambda: self.notes.append(self.tried(lambda: end(source) and None)))
            elif source is not None:
                self.notes.append(self.tried(lambda: source.set_result("of a loop")))
        elif kind == "begin" and isinstance(source := chosen(self.sources, first), Source):
            where(lambda: self.notes.append(self.tried(source.set_running_or_notify_cancel)))
        elif kind == "await" and (wrapped := chosen(self.wrapped, first)) is not None:
            if asyncio.isfuture(wrapped):
                self.tasks.append(asyncio.create_task(self.awaits(len(self.tasks), wrapped)))
        elif kind == "cancel" and (wrapped := chosen(self.wrapped, first)) is not None:
            if isinstance(wrapped, Source):
                where(lambda: self.notes.append(self.tried(wrapped.cancel)))
            else:
                self.notes.append(wrapped.cancel(f"cancelled {first}"))
        elif kind == "cancel source" and (source := chosen(self.sources, first)) is not None:
            (where if isinstance(source, Source) else call)(lambda: self.notes.append(self.tried(source.cancel)))
        elif kind == "cancel task" and self.tasks:
            self.notes.append(chosen(self.tasks, first).cancel(f"task cancelled {first}"))
        elif kind == "set" and (wrapped := chosen(self.wrapped, first)) is not None:
            self.notes.append(self.tried(lambda: wrapped.set_result("of its own")))

    def look_inside(self, kind: str, first: int, second: int) -> None:
        """At the functions that the futures call, and at what these use."""
        if kind == "debug":
            self.loop.set_debug(not self.loop.get_debug())
        elif kind == "shut":
            self.executors[first % 3].is_shut ^= True
        elif kind == "look":
            self.notes.append(self.state())
        elif kind == "run other loop" and not self.other.is_closed():
            in_thread(self.run_other)
        elif kind == "close other loop":
            self.other.close()
        elif kind == "remove" and (wrapped := chosen(self.wrapped, first)) is not None and asyncio.isfuture(wrapped):
            callbacks = [each for each, _ in wrapped._callbacks or ()]  # type: ignore[attr-defined]
            # A task without its own would never end.
            functions = [each for each in callbacks if isinstance(each, FunctionType)]
            self.notes.append([wrapped.remove_done_callback(each) for each in functions])
        elif kind in ("call", "cells"):
            futures = [each for each in self.sources if isinstance(each, Source) and each._done_callbacks]  # type: ignore[attr-defined]
            if futures:
                future = chosen(futures, first)
                function = future._done_callbacks[second % len(future._done_callbacks)]
                if kind == "call":
                    argument = chosen([*self.wrapped, future], second // 8) if second % 3 else future
                    self.notes.append(self.tried(lambda: function(argument)))
                elif cells := function.__closure__:
                    cell = cells[second // 8 % len(cells)]
                    if second % 3:
                        cell.cell_contents = chosen([None, self.loop, *self.wrapped], first)
                    else:
                        del cell.cell_contents

    def run_other(self) -> None:
        self.other.call_soon(self.other.stop)
        self.other.run_forever()

    def tried(self, function: Callable[[], Any]) -> Any:
        """What it returns or raises."""
        try:
            result = function()
            return result if isinstance(result, (bool, str)) else shown(repr(result))
        except BaseException as exception:
            return told(exception)

    def state(self) -> Notes:
        """What can be seen."""
        seen: Notes = [shown(repr(each)) for each in (*self.sources, *self.wrapped)]
        for future in self.sources + [job.future for job in self.jobs]:
            if isinstance(future, Source):
                callbacks = future._done_callbacks  # type: ignore[attr-defined]
                seen.append([(each.__qualname__, type(each).__name__) for each in callbacks])
        return seen

    def do(self, kind: str, first: int, second: int) -> None:
        if kind in ("wrap", "executor", "to_thread", "chain", "coroutine", "other loop"):
            self.begin(kind, first, second)
        elif kind in ("patch", "hide"):
            self.put(kind, first, second)
        elif kind == "restore":
            self.restore()
        else:
            self.act(kind, first, second)
            self.look_inside(kind, first, second)


async def run(seed: int, notes: Notes) -> None:
    """Run the program of that seed, and note all that can be seen."""
    stage = Stage(notes)
    loop = stage.loop
    loop.slow_callback_duration = 1e9
    reported: Notes = []
    for each in (loop, stage.other):  # of what nobody has asked for it is said when it dies, which is nobody's affair
        each.set_exception_handler(
            lambda _, context: "retrieved" in context["message"] or reported.append(told(context["exception"]))
        )
    logger, handler = logging.getLogger("concurrent.futures"), Logged(notes)
    logger.addHandler(handler)
    logger.propagate = False
    try:
        for number, (kind, first, second) in enumerate(program(seed)):
            if kind == "spin":
                await spin(first % 4)
                continue
            try:
                stage.do(kind, first, second)
            except Exception as error:
                notes.append((number, kind, told(error)))
        await spin(4)
        notes.append(stage.state())
    finally:
        stage.restore()
        loop.set_debug(False)
        for future in filter(None, stage.sources + stage.wrapped):
            notes.append(stage.tried(future.cancel))
        await end_others()
        await spin(3)
        if not stage.other.is_closed():
            in_thread(stage.run_other)
            stage.other.close()
        notes.append([stage.state(), reported])
        logger.removeHandler(handler)
        logger.propagate = True
        loop._default_executor = None
        for executor in stage.executors:
            executor.shutdown()
        notes[:] = nameless(notes)
