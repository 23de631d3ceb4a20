"""Wherever a graft calls Python code, that code does something to the objects that the graft is at.

What then comes is what comes with asyncio's own bodies, and nothing crashes.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from graft.notes import Notes, outcome, shown, spin
from rasyncio import _graft

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")

Act = Callable[[], object]


class World:
    """What a place and an action know of each other."""

    def __init__(self) -> None:
        self.notes: Notes = []
        self.thing: Any = None
        self.task: Any = None
        self.coroutine: Any = None
        self.act: Act = lambda: None
        self.count = 0

    def here(self) -> None:
        """Acts, the first time."""
        self.count += 1
        if self.count == 1:
            try:
                self.notes.append(repr(self.act()))
            except BaseException as error:
                self.notes.append((type(error).__name__, str(error)))


class Equal:
    """Compares with everything, and is equal to nothing."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __eq__(self, other: object) -> bool:
        self.world.here()
        return False

    def __hash__(self) -> int:
        return 1

    def done(self) -> bool:
        self.world.here()
        return True

    cancelled = done


class Dies:
    """Does it when it dies."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __del__(self) -> None:
        self.world.here()

    def __call__(self) -> bool:
        return True


class Orders:
    """An item that is compared with others."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __lt__(self, other: object) -> bool:
        self.world.here()
        return True


async def begin(world: World, awaitable: Any) -> None:
    world.coroutine = awaitable
    world.task = asyncio.ensure_future(awaitable)
    await spin(1)


async def end(world: World, *others: Awaitable[Any]) -> None:
    """Cancels all of them until they end; who waits for a lock that nobody lets go of is given it."""
    await spin(3)
    world.coroutine = None
    tasks = [world.task, *map(asyncio.ensure_future, others)]
    for _ in range(20):
        for task in tasks:
            task.cancel()
        await spin(2)
        if all(task.done() for task in tasks):
            break
        if isinstance(world.thing, asyncio.Condition) and world.thing._lock.locked():  # type: ignore[attr-defined]
            world.thing._lock.release()  # type: ignore[attr-defined]
    for task in tasks:
        done = await outcome(task)
        world.notes.append(done if isinstance(done, tuple) else shown(repr(done)))
    world.notes.append(shown(repr(world.thing)))


async def end_if_begun(world: World) -> None:
    """Where the place has not come to its end."""
    if world.task and not world.task.done():
        await end(world)


def compares(make: Callable[[], Any], wait: str, wake: str) -> Callable[[World], Awaitable[None]]:
    """Who waits is looked for among what compares, and is woken up behind that."""

    async def place(world: World) -> None:
        world.thing = thing = make()
        if hasattr(thing, "acquire"):
            await thing.acquire()
        await begin(world, getattr(thing, wait)())
        waiters = getattr(thing, "_waiters", None)
        if waiters is None:
            waiters = thing._getters
        waiters.appendleft(Equal(world))
        try:
            if wake == "cancel":
                world.task.cancel()
            else:
                getattr(thing, wake)(*((1,) if wake == "put_nowait" else ()))
        except AttributeError as error:  # it is no future
            world.notes.append(str(error))
        await end(world)

    return place


async def predicate(world: World) -> None:
    world.thing = changed = asyncio.Condition()
    await changed.acquire()

    def asked() -> bool:
        world.here()
        return world.count > 1

    await begin(world, changed.wait_for(asked))
    await spin(1)
    for _ in range(2):
        if not changed.locked():
            async with changed:
                changed.notify_all()
        await spin(2)
    await end(world)


async def predicate_dies(world: World) -> None:
    world.thing = changed = asyncio.Condition()
    await changed.acquire()
    await begin(world, changed.wait_for(Dies(world)))
    world.coroutine = None
    await end(world)
    gc.collect()


async def item_dies(world: World) -> None:
    world.thing = items = asyncio.Queue(1)  # type: ignore[var-annotated]
    items.put_nowait(1)
    await begin(world, items.put(Dies(world)))
    world.coroutine = None
    world.task.cancel()
    await end(world)
    gc.collect()


async def items_compare(world: World) -> None:
    world.thing = items = asyncio.PriorityQueue(2)  # type: ignore[var-annotated]
    items.put_nowait(Orders(world))
    await begin(world, items.put(Orders(world)))
    getter = asyncio.ensure_future(items.get())
    await end(world, getter)


async def waiter_dies(world: World) -> None:
    """A weak reference to the future that somebody waits for."""
    world.thing = happened = asyncio.Event()
    await begin(world, happened.wait())
    reference = weakref.ref(happened._waiters[0], lambda _: world.here())  # type: ignore[attr-defined]
    happened.set()
    await end(world)
    del reference
    gc.collect()


async def result_is_asked(world: World) -> None:
    """A future of the program's own among those who wait."""

    class Future(asyncio.Future):  # type: ignore[type-arg]
        def set_result(self, result: object) -> None:
            world.here()
            super().set_result(result)

    world.thing = tokens = asyncio.Semaphore(0)
    await begin(world, tokens.acquire())
    tokens._waiters.appendleft(Future())  # type: ignore[union-attr]
    tokens.release()
    tokens.release()
    await end(world)


async def condition_with_an_acquire(world: World) -> None:
    """Replaced while somebody waits."""
    world.thing = changed = asyncio.Condition()
    await changed.acquire()
    await begin(world, changed.wait())
    plain = changed.acquire

    async def acquire() -> bool:
        world.here()
        await asyncio.sleep(0)
        return await plain()

    changed.acquire = acquire  # type: ignore[method-assign, assignment]
    async with changed:
        changed.notify()
    await spin(3)
    if changed.locked():
        changed.release()
    await end(world)


PLACES: dict[str, Callable[[World], Awaitable[None]]] = {
    "Lock.acquire": compares(asyncio.Lock, "acquire", "cancel"),
    "Lock.release": compares(asyncio.Lock, "acquire", "release"),
    "Event.wait": compares(asyncio.Event, "wait", "cancel"),
    "Event.set": compares(asyncio.Event, "wait", "set"),
    "Semaphore.acquire": compares(lambda: asyncio.Semaphore(1), "acquire", "cancel"),
    "Semaphore.release": compares(lambda: asyncio.BoundedSemaphore(1), "acquire", "release"),
    "Condition.wait": compares(asyncio.Condition, "wait", "cancel"),
    "Condition.notify": compares(asyncio.Condition, "wait", "notify_all"),
    "Queue.get": compares(asyncio.Queue, "get", "cancel"),
    "Queue.put_nowait": compares(asyncio.Queue, "get", "put_nowait"),
    "predicate": predicate,
    "predicate dies": predicate_dies,
    "item dies": item_dies,
    "items compare": items_compare,
    "waiter dies": waiter_dies,
    "result is asked": result_is_asked,
    "acquire replaced": condition_with_an_acquire,
}


def clear(world: World) -> None:
    for name in ("_waiters", "_getters", "_putters", "_queue"):
        if getattr(world.thing, name, None):
            getattr(world.thing, name).clear()


def forget(world: World) -> None:
    for name in ("_waiters", "_getters", "_putters"):
        if hasattr(world.thing, name):
            setattr(world.thing, name, None)


def replace(world: World) -> None:
    """All that could be replaced, with what does the same; `run` puts it back."""
    for cls in (type(world.thing), asyncio.Lock):
        for name, plain in list(vars(cls).items()):
            if callable(plain) and not name.startswith("__"):
                put(cls, name, lambda *arguments, plain=plain, **keywords: plain(*arguments, **keywords))


REPLACED: list[tuple[type, str, Any]] = []


def put(cls: type, name: str, value: Any) -> None:
    REPLACED.append((cls, name, vars(cls)[name]))
    setattr(cls, name, value)


def release(world: World) -> object:
    """Or what comes nearest."""
    for name in ("release", "set", "task_done"):
        if hasattr(world.thing, name):
            return getattr(world.thing, name)()
    return None


def wait_again(world: World) -> None:
    """Another one waits, and is forgotten."""
    for name in ("acquire", "wait", "get"):
        if hasattr(world.thing, name):
            coroutine = getattr(world.thing, name)()
            try:
                coroutine.send(None)
            except StopIteration:
                return
            coroutine.close()
            return


def raises(world: World) -> None:
    raise ValueError("raised")


ACTIONS: dict[str, Callable[[World], object]] = {
    "clear": clear,
    "forget": forget,
    "cancel": lambda world: world.task and world.task.cancel(),
    "collect": lambda world: (gc.collect(), None)[1],
    "send": lambda world: world.coroutine and world.coroutine.send(None),
    "close": lambda world: world.coroutine and world.coroutine.close(),
    "throw": lambda world: world.coroutine and world.coroutine.throw(ValueError("thrown")),
    "attributes": lambda world: vars(world.thing).clear(),
    "detach": lambda world: _graft.attach(False),
    "debug": lambda world: asyncio.get_running_loop().set_debug(True),
    "profile": lambda world: sys.setprofile(lambda *_: None),
    "replace": replace,
    "release": release,
    "wait again": wait_again,
    "raise": raises,
}


def run(place: str, action: str, wanted: bool) -> Notes:
    """What is seen of it."""
    _graft.attach(wanted)
    world = World()

    async def main() -> None:
        for part in (PLACES[place], end_if_begun):
            try:
                await part(world)
            except Exception as error:  # e.g. an attribute that is not there any more
                world.notes.append((type(error).__name__, str(error)))
        asyncio.get_running_loop().set_debug(False)

    world.act = lambda: ACTIONS[action](world)
    try:
        asyncio.run(main())
    finally:
        sys.setprofile(None)
        while REPLACED:
            cls, name, value = REPLACED.pop()
            setattr(cls, name, value)
    return world.notes


def without_lines(notes: Any) -> Any:
    """Of exceptions what they are, and not where they came through (docs/grafting.md)."""
    if isinstance(notes, tuple) and len(notes) == 3 and isinstance(notes[2], list):
        return notes[:2]
    return [without_lines(each) for each in notes] if isinstance(notes, list) else notes


#: An exception's traceback keeps what a function of Python's was called with alive (docs/grafting.md).
DIES_LATER = {("item dies", "cancel")}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("action", ACTIONS)
def test_it_does_what_the_body_does(installed: None, place: str, action: str) -> None:
    if (place, action) in DIES_LATER:
        pytest.skip("in Python the item dies when the task is done")
    in_python, grafted = run(place, action, False), run(place, action, True)
    if action == "attributes" or place == "items compare":
        assert without_lines(grafted) == without_lines(in_python)
    else:
        assert grafted == in_python
