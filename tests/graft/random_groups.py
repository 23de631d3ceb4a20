"""Random programs of tasks and futures, and of what waits for several of them.

`gather`, `shield`, `wait`, `as_completed`, `TaskGroup`, `create_task`, `ensure_future`: over futures that are done in
any way and at any time, tasks that are cancelled at each await, subclasses, futures with attributes, task factories,
and with names of asyncio's patched in mid-flight.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from graft.notes import Notes, outcome, shown, spin

#: What a program may patch: a name in a module, or in a class there.
PATCHES: list[tuple[Any, str]] = [
    (asyncio.tasks, "ensure_future"),
    (asyncio.tasks, "shield"),
    (asyncio.tasks, "_wait"),
    (asyncio.tasks, "_release_waiter"),
    (asyncio.tasks, "current_task"),
    (asyncio.futures, "isfuture"),
    (asyncio.futures, "_get_loop"),
    (asyncio.tasks, "_GatheringFuture.cancel"),
    (asyncio.taskgroups, "TaskGroup._on_task_done"),
    (asyncio.taskgroups, "TaskGroup.create_task"),
    (asyncio.queues, "Queue.put_nowait"),
]
if sys.version_info >= (3, 13):
    PATCHES += [
        (asyncio.tasks, "_AsCompletedIterator._handle_completion"),
        (asyncio.tasks, "_AsCompletedIterator._wait_for_one"),
    ]
if sys.version_info >= (3, 14):
    PATCHES += [(asyncio.futures, "future_discard_from_awaited_by"), (asyncio.futures, "future_add_to_awaited_by")]
CONDITIONS = [asyncio.ALL_COMPLETED, asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION]
KINDS = {
    "future": 14,
    "work": 16,
    "gather": 10,
    "shield": 10,
    "wait": 12,
    "as_completed": 6,
    "group": 8,
    "finish": 24,
    "cancel": 16,
    "spin": 24,
    "look": 8,
    "callback": 4,
    "remove": 2,
    "attribute": 1,
    "patch": 3,
    "factory": 2,
    "debug": 1,
}

Action = tuple[str, Any]


class Failure(Exception):
    """What fails."""


def program(seed: int) -> list[Action]:
    """What is done."""
    draw = random.Random(seed)
    kinds = draw.choices(list(KINDS), list(KINDS.values()), k=draw.randrange(5, 50))
    return [(kind, [draw.randrange(1 << 20) for _ in range(8)]) for kind in kinds]


class Run:
    """A program that runs: what it has made, and what it has seen."""

    def __init__(self, notes: Notes) -> None:
        """Of the running loop."""
        self.notes = notes
        self.loop: Any = asyncio.get_running_loop()
        self.things: list[Any] = []  # futures, and tasks
        self.waiting: list[asyncio.Task[Any]] = []
        self.made: list[Coroutine[Any, Any, Any]] = []
        self.patched: dict[int, Any] = {}
        self.loop.set_exception_handler(self.note_error)

    def note_error(self, _: Any, context: dict[str, Any]) -> None:
        """What goes wrong in a callback. When something dies is nobody's affair."""
        if "exception" in context and "never" not in context["message"]:
            self.notes.append(("error", shown(context["message"]), shown(repr(context["exception"]))))

    def work(self, numbers: list[int], among: int | None = None) -> Coroutine[Any, Any, int]:
        """A coroutine that ends in some way, after some time.

        It awaits nothing that is younger than itself, or than the first `among` things: nobody must wait for himself.
        """
        kind, times, number = numbers[0] % 7, numbers[1] % 5, numbers[2]
        things = self.things[:among]
        thing = things[number % len(things)] if things else None
        coroutine = self.worked(kind, times, number, thing)
        self.made.append(coroutine)
        return coroutine

    async def worked(self, kind: int, times: int, number: int, thing: Any) -> int:
        """What such a coroutine does."""
        for _ in range(1 + (kind == 3)):
            try:
                if kind == 4 and thing is not None:
                    await thing
                await spin(times)
            except asyncio.CancelledError:
                if kind < 3:
                    raise
        if kind == 5:
            raise Failure(number)
        if kind == 6 and times == 4:
            raise asyncio.CancelledError(number)
        return number

    def pick(self, numbers: list[int], most: int = 4, coroutines: bool = False) -> list[Any]:
        """Some things, and coroutines."""
        picked: list[Any] = []
        for number in numbers[1 : 1 + numbers[0] % most]:
            if coroutines and number % 3 == 0:
                picked.append(self.work([number % 7, number % 5, number]))
            elif self.things:
                picked.append(self.things[number % len(self.things)])
        return picked

    def names(self, things: Any) -> list[Any]:
        """Things by their numbers."""
        numbers = {id(thing): number for number, thing in enumerate(self.things)}
        return sorted(numbers.get(id(thing), -1) for thing in things)

    def begin(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Have a task note what comes of it."""
        number = len(self.waiting)
        self.made.append(coroutine)

        async def noted() -> None:
            self.notes.append((number, shown(repr(await outcome(coroutine)))))

        self.waiting.append(asyncio.create_task(noted(), name=f"wait {number}"))

    async def gather(self, numbers: list[int]) -> Any:
        """All results."""
        things = self.pick(numbers, 6, coroutines=True)
        results = await asyncio.gather(*things, return_exceptions=bool(numbers[7] % 3 == 0))
        return [shown(repr(result)) for result in results]

    async def shield(self, numbers: list[int]) -> Any:
        """One result, of what lives on."""
        things = self.pick([1, *numbers[1:]], coroutines=True)
        return await asyncio.shield(things[0]) if things else None

    async def wait(self, numbers: list[int]) -> Any:
        """Who is done, and who is not."""
        things: Any = self.pick(numbers, 6)
        if numbers[7] % 9 == 0:
            things.append(self.work([0, 0, 0]))
        coroutine = things[-1] if numbers[7] % 9 == 0 else None
        form = [list, tuple, set, frozenset, lambda these: dict.fromkeys(these)][numbers[6] % 5]
        keywords: dict[str, Any] = {}
        if numbers[5] % 3:
            keywords["return_when"] = CONDITIONS[numbers[5] // 3 % 3]
        if numbers[4] % 3 == 0:
            keywords["timeout"] = [0, 0.0, 1000, None, -1][numbers[4] // 3 % 5]
        try:
            done, pending = await asyncio.wait(form(things), **keywords)
        finally:
            if coroutine:
                coroutine.close()
        return self.names(done), self.names(pending)

    async def as_completed(self, numbers: list[int]) -> Any:
        """Results in the order in which they come. (Of those that are done already it is that of their addresses.)"""
        things = [thing for thing in self.pick(numbers, 5) if not thing.done()]
        results: list[Any] = []
        for each in asyncio.as_completed(things, timeout=0 if numbers[7] % 5 == 0 else None):
            try:
                results.append(await each)
            except (Failure, TimeoutError) as error:
                results.append(repr(error))
        return results

    async def group(self, numbers: list[int], among: int | None = None) -> Any:
        """Tasks of a group, which may be one of groups. The tasks of an inner group await what is older than that."""
        async with asyncio.TaskGroup() as group:
            for number in numbers[1 : 1 + numbers[0] % 4]:
                older = len(self.things) if among is None else among
                coroutine = self.group([number % 3, *numbers[3:]], older) if number % 11 == 0 else None
                self.made += [coroutine] if coroutine else []
                task = group.create_task(coroutine or self.work([number % 7, number % 5, number], among))
                if number % 4 == 0:
                    self.things.append(task)
            await spin(numbers[5] % 3)
            if numbers[6] % 7 == 0:
                raise Failure("body")
        return "left"

    def finish(self, numbers: list[int]) -> None:
        """Something gets done."""
        futures = [thing for thing in self.things if not isinstance(thing, asyncio.Task)]
        if futures:
            future, kind = futures[-1 - numbers[0] % min(len(futures), 6)], numbers[1] % 4
            if kind < 2:
                future.set_result(numbers[2])
            elif kind == 2:
                future.set_exception(Failure(numbers[2]))
            else:
                self.notes.append(future.cancel(*(["finished"] * (numbers[3] % 2))))

    def look(self) -> None:
        """What can be seen of things, and of who waits."""
        for thing in self.things:
            callbacks = [shown(repr(callback)) for callback, _ in thing._callbacks or ()]
            awaited_by = len(getattr(thing, "_asyncio_awaited_by", None) or ())
            self.notes.append((thing.done(), thing.cancelled(), callbacks, awaited_by))
        for task in self.waiting:
            self.notes.append((task.done(), shown(repr(getattr(task, "_fut_waiter", None)))))

    def patch(self, place: int) -> None:
        """A name stands for something that notes its calls, or for what it was."""
        owner, path = PATCHES[place]
        cls, _, name = path.rpartition(".")
        owner = getattr(owner, cls) if cls else owner
        if place in self.patched:
            setattr(owner, name, self.patched.pop(place))
            return
        plain = self.patched[place] = vars(owner)[name]

        def noted(*arguments: Any, **keywords: Any) -> Any:
            self.notes.append(name)
            return plain(*arguments, **keywords)

        setattr(owner, name, noted)

    def do(self, kind: str, numbers: list[int]) -> None:
        """What awaits nothing."""
        place = -1 - numbers[0] % min(len(self.things) or 1, 6)
        if kind == "future":
            self.things.append(derived() if numbers[0] % 8 == 0 else self.loop.create_future())
        elif kind == "work":
            make: Callable[..., Any] = asyncio.ensure_future if numbers[7] % 2 else asyncio.create_task
            self.things.append(make(self.work(numbers)))
        elif kind in ("gather", "shield", "wait", "as_completed", "group"):
            self.begin(getattr(self, kind)(numbers))
        elif kind == "finish":
            self.finish(numbers)
        elif kind == "cancel":
            those = self.waiting if numbers[1] % 3 else self.things
            if those:
                self.notes.append(those[-1 - numbers[0] % min(len(those), 6)].cancel(f"cancelled {numbers[2]}"))
        elif kind == "look":
            self.look()
        elif kind == "callback" and self.things:
            number = len(self.notes)
            self.things[place].add_done_callback(lambda _: self.notes.append(("called", number)))
        elif kind == "remove" and self.things and self.things[place]._callbacks:
            callbacks = self.things[place]._callbacks
            if "wakeup" not in repr(callbacks[0][0]).lower() and "TaskGroup" not in repr(callbacks[0][0]):
                self.notes.append(self.things[place].remove_done_callback(callbacks[0][0]))
        elif kind == "attribute" and self.things:
            thing = self.things[place]
            thing.done = lambda: self.notes.append("own done") or type(thing).done(thing)
        elif kind == "patch":
            self.patch(numbers[0] % len(PATCHES))
        elif kind == "factory":
            self.loop.set_task_factory([None, asyncio.eager_task_factory, plain_factory][numbers[0] % 3])
        elif kind == "debug":
            self.loop.set_debug(not self.loop.get_debug())

    async def end(self) -> None:
        """Cancel what is left."""
        self.loop.set_task_factory(None)
        self.loop.set_debug(False)
        for place in list(self.patched):
            self.patch(place)
        for _ in range(30):
            left = [task for task in [*self.waiting, *self.things] if not task.done()]
            for each in left:
                each.cancel()
            await spin(3)
            for each in left:  # what waits for a callback that was removed may end in no other way
                waited = getattr(each, "_fut_waiter", None)
                if waited is not None and not isinstance(waited, asyncio.Task) and not waited.done():
                    waited.set_result([])
        for coroutine in self.made:  # nobody may have come to await it
            if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
                coroutine.close()
        self.notes.append([task.done() for task in self.waiting])


def derived() -> Any:
    """A future whose class is not asyncio's, as that is now."""

    class Derived(asyncio.Future[Any]):
        pass

    return Derived()


def plain_factory(loop: Any, coroutine: Any, **keywords: Any) -> Any:
    """A factory that does what the loop would do."""
    return asyncio.Task(coroutine, loop=loop, **keywords)


async def run(seed: int, notes: Notes) -> None:
    """Run the program of that seed, and note all that can be seen."""
    running = Run(notes)
    running.loop.slow_callback_duration = 1000
    try:
        for kind, numbers in program(seed):
            if kind == "spin":
                await spin(numbers[0] % 5)
                continue
            try:
                running.do(kind, numbers)
            except (asyncio.InvalidStateError, TypeError, ValueError, RuntimeError) as error:
                notes.append((kind, type(error).__name__, shown(str(error))))
    finally:
        await running.end()
