"""Wherever a queue's own `_get` and `_put`, which native code calls, do something to the queue and to who waits for it.

What then comes is what comes with asyncio's own bodies, and nothing crashes.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from types import CoroutineType
from typing import Any

import pytest

from graft.notes import Notes, nameless, outcome, outcome_of_call, shown, spin, told
from rasyncio import _graft

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")


class World:
    """What a queue and an action know of each other."""

    def __init__(self, base: Any, place: str, action: str) -> None:
        self.name, self.when = place.split()
        self.action = action
        self.notes: Notes = []
        self.loop: Any = asyncio.get_running_loop()
        self.tasks: list[asyncio.Task[Any]] = []
        self.coroutines: list[Any] = []
        self.count = 0
        self.cls = class_of(self, base)
        self.queue: Any = self.cls(2)

    def here(self, name: str, when: str) -> None:
        """Acts, the first time at the place."""
        if (name, when) == (self.name, self.when) and not self.count:
            self.count += 1
            if self.action == "raise":
                raise KeyError("raised")
            try:
                self.notes.append(shown(repr(ACTIONS[self.action](self))))
            except Exception as error:
                self.notes.append((type(error).__name__, str(error)))

    def start(self, coroutine: Any) -> None:
        """Another task, which notes what becomes of that."""
        number = len(self.tasks)
        self.coroutines.append(coroutine)

        async def noting() -> None:
            self.notes.append((number, await outcome(coroutine)))

        self.tasks.append(asyncio.ensure_future(noting()))


def class_of(world: World, base: Any) -> Any:
    """One whose methods act before and behind what they do."""

    class Own(base):  # type: ignore[misc]
        def _get(self) -> Any:
            world.here("_get", "before")
            item = super()._get()
            world.here("_get", "behind")
            return item

        def _put(self, item: Any) -> None:
            world.here("_put", "before")
            super()._put(item)
            world.here("_put", "behind")

    return Own


def change_class(world: World) -> None:
    """The methods that native code knows of are replaced by what does the same."""
    for name in ("full", "empty", "_wakeup_next", "get_nowait", "put_nowait", "qsize"):
        plain = getattr(world.cls, name)
        setattr(world.cls, name, lambda *given, plain=plain, name=name: world.notes.append(name) or plain(*given))


def plain_methods(world: World) -> None:
    del world.cls._get, world.cls._put


def hide(world: World) -> None:
    for name in ("full", "empty", "_wakeup_next", "_get", "_put"):
        plain = getattr(world.queue, name)
        setattr(
            world.queue, name, lambda *given, plain=plain, note=f"own {name}": world.notes.append(note) or plain(*given)
        )


def clear(world: World) -> None:
    for name in ("_getters", "_putters", "_queue"):
        getattr(world.queue, name).clear()


def forget(world: World) -> None:
    for name in ("_getters", "_putters"):
        setattr(world.queue, name, None)


def another_class(world: World) -> None:
    world.queue.__class__ = class_of(world, world.cls.__base__)


PLACES = [f"{name} {when}" for name in ("_get", "_put") for when in ("before", "behind")]
ACTIONS: dict[str, Callable[[World], object]] = {
    "put": lambda world: world.queue.put_nowait(7),
    "get": lambda world: world.queue.get_nowait(),
    "put and get": lambda world: (world.queue.put_nowait(7), world.queue.get_nowait()),
    "wait for items": lambda world: world.start(world.queue.get()),
    "wait for room": lambda world: world.start(world.queue.put(8)),
    "task done": lambda world: world.queue.task_done(),
    "cancel": lambda world: [task.cancel("cancelled") for task in world.tasks],
    "cancel the first": lambda world: world.tasks[0].cancel("cancelled"),
    "shut down": lambda world: world.queue.shutdown() if hasattr(world.queue, "shutdown") else None,
    "shut down at once": lambda world: world.queue.shutdown(True) if hasattr(world.queue, "shutdown") else None,
    "change class": change_class,
    "plain methods": plain_methods,
    "another class": another_class,
    "base class": lambda world: setattr(world.queue, "__class__", world.cls.__base__),
    "hide": hide,
    "attributes": lambda world: vars(world.queue).clear(),
    "limit": lambda world: setattr(world.queue, "_maxsize", 1),
    "no limit": lambda world: setattr(world.queue, "_maxsize", 0),
    "no number": lambda world: setattr(world.queue, "_unfinished_tasks", "text"),
    "another list": lambda world: setattr(world.queue, "_queue", []),
    "clear": clear,
    "forget": forget,
    "debug": lambda world: world.loop.set_debug(True),
    "detach": lambda world: _graft.attach(False),
    "profile": lambda world: sys.setprofile(lambda *_: None),
    "collect": lambda world: (gc.collect(), None)[1],
    "close": lambda world: world.loop.close(),
    "raise": lambda world: None,
}


async def items_come(world: World) -> None:
    """Two wait for items."""
    for _ in range(2):
        world.start(world.queue.get())
    await spin(1)
    for item in (3, 1, 2):
        world.notes.append(await outcome_of_call(lambda item=item: world.queue.put_nowait(item)))  # type: ignore[misc]
        await spin(2)


async def items_go(world: World) -> None:
    """Two wait for room."""
    for item in (4, 3, 2, 1):
        world.start(world.queue.put(item))
    await spin(1)
    for _ in range(3):
        world.notes.append(await outcome_of_call(world.queue.get_nowait))
        await spin(2)


async def nobody_waits(world: World) -> None:
    for item in (2, 1):
        world.start(world.queue.put(item))
        await spin(1)
    world.start(world.queue.join())
    for _ in range(2):
        world.start(world.queue.get())
        await spin(1)
        world.notes.append(await outcome_of_call(world.queue.task_done))


async def changed_meanwhile(world: World) -> None:
    """While somebody waits: that does not come from the methods."""
    world.start(world.queue.get())
    await spin(1)
    world.here(world.name, world.when)
    for item in (3, 1, 2):
        world.start(world.queue.put(item))
        await spin(1)


PROGRAMS: dict[str, Callable[[World], Awaitable[None]]] = {
    "items come": items_come,
    "items go": items_go,
    "nobody waits": nobody_waits,
    "changed meanwhile": changed_meanwhile,
}


def state(queue: Any) -> Any:
    return shown(repr(queue)), len(queue._getters or ()), len(queue._putters or ()), queue._unfinished_tasks


async def happens(world: World, program: str) -> None:
    try:
        world.notes.append(await outcome(PROGRAMS[program](world)))
    finally:
        sys.setprofile(None)
        world.loop.set_debug(False)
    world.notes.append(await outcome_of_call(lambda: state(world.queue)))
    for _ in range(3):
        world.notes.append(await outcome_of_call(world.queue.get_nowait))
        await spin(2)
    for task in world.tasks:
        task.cancel()
        await spin(2)
    world.notes.append([task.done() for task in world.tasks])
    world.notes.append(await outcome_of_call(lambda: state(world.queue)))
    for coroutine in world.coroutines:  # of a task that was cancelled before it began
        coroutine.close()


def run(program: str, base: Any, place: str, action: str, wanted: bool) -> Notes:
    """What is seen of it."""
    if wanted:
        gc.collect()  # earlier queues' classes: native code looks at so many at a time
    _graft.attach(wanted)
    notes: Notes = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: notes.append(told(context["exception"])))  # type: ignore[arg-type]
        world = World(base, place, action)
        coroutine = world.queue.get()
        coroutine.close()
        assert (type(coroutine) is not CoroutineType) == wanted
        await happens(world, program)
        notes.append(world.notes)

    try:
        asyncio.run(main())
    finally:
        sys.setprofile(None)
    return nameless(notes)  # type: ignore[no-any-return]


def without_lines(notes: Any) -> Any:
    """Of exceptions what they are, and not where they came through (docs/grafting.md)."""
    if isinstance(notes, tuple) and len(notes) == 3 and isinstance(notes[2], list):
        return notes[:2]
    return type(notes)(map(without_lines, notes)) if isinstance(notes, (list, tuple)) else notes


#: Where attributes are missing, or are something else, it fails in other lines (docs/grafting.md).
OTHER_LINES = {"attributes", "no number"}


#: Where the methods act; or nobody does but the program.
CASES = [(program, place) for program in PROGRAMS if program != "changed meanwhile" for place in PLACES]


@pytest.mark.parametrize("base", [asyncio.Queue, asyncio.PriorityQueue])
@pytest.mark.parametrize(("program", "place"), [*CASES, ("changed meanwhile", PLACES[0])])
@pytest.mark.parametrize("action", ACTIONS)
def test_it_does_what_the_body_does(installed: None, program: str, base: Any, place: str, action: str) -> None:
    in_python, grafted = run(program, base, place, action, False), run(program, base, place, action, True)
    if action in OTHER_LINES:
        assert without_lines(grafted) == without_lines(in_python)
    else:
        assert grafted == in_python
