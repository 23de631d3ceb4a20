"""Objects of subclasses: native where the subclass replaces nothing that matters, else its own methods are called."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from types import CoroutineType, FunctionType
from typing import Any

import pytest

from graft.notes import Notes, outcome, shown, spin
from graft.random_locks import METHODS, OPERATIONS, do
from rasyncio import _graft
from support.children import run_python

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")

#: How many states of a subclass native code looks at (`src/graft/subclasses.rs`).
CHANGES = 100
KINDS = sorted(OPERATIONS)
OF_QUEUES = ["_queue", "_getters", "_unfinished_tasks", "_maxsize"]
STATE = {
    "Lock": ["_waiters", "_locked", "_loop"],
    "Event": ["_waiters", "_value", "_loop"],
    "Condition": ["_waiters", "_loop", "locked"],
    "Semaphore": ["_waiters", "_value", "_loop"],
    "BoundedSemaphore": ["_waiters", "_value", "_bound_value"],
    **dict.fromkeys(("Queue", "PriorityQueue", "LifoQueue"), OF_QUEUES),
}
HOOKS = ["__getattribute__", "__getattr__", "__setattr__"]


@pytest.fixture(autouse=True)
def no_subclasses() -> None:
    """Those of earlier tests are gone: native code looks at so many at a time."""
    gc.collect()


def cls_of(kind: str) -> Any:
    return getattr(asyncio, kind)


def is_native(thing: Any) -> bool:
    """Is what waits for it the native coroutine? It is closed."""
    name = next(name for name in ("acquire", "get", "wait") if hasattr(type(thing), name))
    coroutine = getattr(thing, name)()
    coroutine.close()
    return type(coroutine) is not CoroutineType


async def use(thing: Any, kind: str, notes: Notes) -> None:
    """All that there is to do with it, by three tasks, one of which is cancelled."""
    operations = dict.fromkeys(OPERATIONS[kind])

    async def performs(number: int) -> None:
        for operation in operations:
            notes.append((number, operation, await outcome(do(operation, thing, number, lambda: True))))

    tasks = [asyncio.create_task(performs(number)) for number in range(3)]
    for turn in range(40):
        await spin(2)
        tasks[turn % 3].cancel()
        if hasattr(thing, "put_nowait") and turn % 4 == 0:
            notes.append(shown(repr(await outcome(asyncio.ensure_future(do("put", thing, turn, lambda: True))))))
        elif turn % 7 == 0 and kind != "Condition":
            release = thing.set if kind == "Event" else getattr(thing, "release", None)
            try:
                notes.append(release() if release else None)
            except (RuntimeError, ValueError) as error:
                notes.append(repr(error))
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=0)
    notes.append(shown(repr(thing)))


def compare(kind: str, derive: Callable[[Notes], Any]) -> list[Notes]:
    """What is noted with bodies in Python, and grafted."""
    results = []
    for wanted in (False, True):
        _graft.attach(wanted)
        notes: Notes = []

        async def main(notes: Notes = notes) -> None:
            await use(derive(notes)(), kind, notes)

        asyncio.run(main())
        results.append(notes)
    return results


@pytest.mark.parametrize("kind", KINDS)
def test_plain_subclass(grafted: None, kind: str) -> None:
    class Mixin:
        other = 1

    class Plain(cls_of(kind)):  # type: ignore[misc]
        """It has a constructor, a repr and attributes of its own."""

        more = 2

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.own = self.more

        def __repr__(self) -> str:
            return "plain"

        def report(self) -> Any:
            return self.own

    class Slots(cls_of(kind)):  # type: ignore[misc]
        __slots__ = ("here",)

    async def main() -> None:
        for cls in (cls_of(kind), Plain, type("Further", (Plain,), {}), type("Mixed", (Mixin, Plain), {}), Slots):
            thing = cls()
            assert is_native(thing)
            await use(thing, kind, [])
            assert is_native(thing)

    asyncio.run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_does_the_same(installed: None, kind: str) -> None:
    in_python, grafted = compare(kind, lambda _: type("Derived", (cls_of(kind),), {}))
    assert grafted == in_python


OVERRIDES = [(kind, name) for kind in KINDS for name in METHODS[kind] if hasattr(cls_of(kind), name)]


@pytest.mark.parametrize(("kind", "name"), OVERRIDES, ids=["-".join(each) for each in OVERRIDES])
@pytest.mark.parametrize("where", ["class", "mixin", "later"])
def test_method_that_is_overridden(installed: None, kind: str, name: str, where: str) -> None:
    def derive(notes: Notes) -> Any:
        plain = getattr(cls_of(kind), name)
        assert isinstance(plain, FunctionType)

        def method(*arguments: Any, **keywords: Any) -> Any:
            notes.append(name)
            return plain(*arguments, **keywords)

        if where == "mixin":
            return type("Derived", (type("Mixin", (), {name: method}), cls_of(kind)), {})
        cls: Any = type("Derived", (cls_of(kind),), {} if where == "later" else {name: method})
        if where == "later":
            is_native(cls())
            setattr(cls, name, method)
        return cls

    in_python, grafted = compare(kind, derive)
    assert grafted == in_python
    assert name in in_python


STATES = [(kind, name) for kind in KINDS for name in STATE[kind]]


@pytest.mark.parametrize(("kind", "name"), STATES, ids=["-".join(each) for each in STATES])
def test_attribute_that_is_a_property(installed: None, kind: str, name: str) -> None:
    def derive(notes: Notes) -> Any:
        def read(self: Any) -> Any:
            notes.append(f"read {name}")
            return self.__dict__[f"own {name}"]

        def write(self: Any, value: Any) -> None:
            notes.append(f"write {name}")
            self.__dict__[f"own {name}"] = value

        cls: Any = type("Derived", (cls_of(kind),), {name: property(read, write)})
        return cls if name != "_loop" else lambda: with_loop(cls())

    def with_loop(thing: Any) -> Any:
        thing._loop = None
        return thing

    in_python, grafted = compare(kind, derive)
    assert grafted == in_python
    assert f"read {name}" in in_python


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("where", ["class", "mixin behind"])
def test_hook(installed: None, kind: str, hook: str, where: str) -> None:
    def derive(notes: Notes) -> Any:
        def noted(self: Any, name: str, *value: Any) -> Any:
            notes.append((hook, name))
            if hook == "__getattr__":
                raise AttributeError(name)
            return getattr(object, hook)(self, name, *value)

        if where == "class":
            return type("Derived", (cls_of(kind),), {hook: noted})
        return type("Derived", (cls_of(kind), type("Mixin", (), {hook: noted})), {})

    in_python, grafted = compare(kind, derive)
    assert grafted == in_python
    assert hook == "__getattr__" or any(hook in note for note in in_python if isinstance(note, tuple))


def test_queue_with_an_order_of_its_own(either: bool) -> None:
    """`_put` and `_get` are called, whatever they keep the items in, and whatever they do to the queue."""

    class Ordered(asyncio.Queue[int]):
        def _init(self, maxsize: int) -> None:
            self._queue: Any = set()

        def _put(self, item: int) -> None:
            self._queue.add(item)
            if item == 7:
                self._unfinished_tasks += 10
            if item == 8:
                raise KeyError(item)

        def _get(self) -> int:
            item: int = min(self._queue)
            self._queue.remove(item)
            if item == 1:
                self._queue = sorted(self._queue)
                type(self)._put = lambda self, item: self._queue.append(item)  # type: ignore[method-assign, assignment]
                type(self)._get = lambda self: self._queue.pop()  # type: ignore[method-assign, assignment]
            return item

    async def main() -> Notes:
        queue = Ordered(3)
        notes: Notes = [is_native(queue)]

        async def puts() -> None:
            for number in (5, 1, 8, 5, 7, 9, 4):
                notes.append(await outcome(queue.put(number)))

        putting = asyncio.create_task(puts())
        await spin(3)
        notes.append(queue.qsize())
        for _ in range(5):
            notes.append(await queue.get())
        await putting
        return [*notes, queue._unfinished_tasks, list(queue._queue)]  # type: ignore[attr-defined]

    notes = asyncio.run(main())
    assert notes.pop(0) is either
    lines = ["return await awaitable", "return self.put_nowait(item)", "self._put(item)", "raise KeyError(item)"]
    failed = ("KeyError", "8", list(zip(["outcome", "put", "put_nowait", "_put"], lines, strict=True)))
    assert notes == [None, None, failed, 3, 1, 8, 5, None, None, None, 9, 7, None, 6, [5, 4]]


def test_class_that_changes(grafted: None) -> None:
    class Own(asyncio.Event):
        pass

    class Other(Own):
        async def wait(self) -> Any:
            return await super().wait()

        def _get_loop(self) -> Any:
            return asyncio.get_running_loop()

    async def main() -> None:
        event: Any = Own()
        assert is_native(event)
        event.__class__ = Other
        assert not is_native(event)
        event.__class__ = Own
        assert is_native(event)
        Own._get_loop = Other._get_loop  # type: ignore[attr-defined]
        assert not is_native(event)
        del Own._get_loop  # type: ignore[attr-defined]
        assert is_native(event)
        Own.__bases__ = (type("Between", (asyncio.Event,), {"_get_loop": Other._get_loop}),)
        assert not is_native(event)
        Own.__bases__ = (asyncio.Event,)
        assert is_native(event)

    asyncio.run(main())


def test_class_that_changes_all_the_time(either: bool) -> None:
    class Counted(asyncio.Event):
        made = 0

    async def main() -> int:
        event = Counted()
        for number in range(3 * CHANGES):
            Counted.made = number
            asyncio.get_running_loop().call_soon(event.set)
            await event.wait()
            event.clear()
        assert is_native(event) is False
        return Counted.made

    assert asyncio.run(main()) == 3 * CHANGES - 1


PROGRAM = """
import asyncio, gc, types, rasyncio
rasyncio.install()

class Own:
    def _get_loop(self):
        found.append(self)
        return asyncio.get_running_loop()

async def main():
    natives = 0
    for number in range(200):
        bases = (Own, asyncio.Event) if number % 2 else (asyncio.Event,)
        event = type(f"Event{number}", bases, {})()
        natives += type(waits := event.wait()) is not types.CoroutineType
        waits.close()
        if number < 100:
            kept.append(type(event))
        if number == 99:
            assert natives == 8, natives
            kept.clear()
            gc.collect()
        asyncio.get_running_loop().call_soon(event.set)
        await event.wait()
        assert found == ([event] if number % 2 else []), number
        del found[:], event, waits
        gc.collect()
    assert natives == 8 + 50, natives

found, kept = [], []
asyncio.run(main())
print("as often as in Python")
"""


def test_more_subclasses_than_are_looked_at(installed: None) -> None:
    """Sixteen at a time; they come and go, and some have the address of an earlier one."""
    done = run_python(PROGRAM)
    assert (done.stdout, done.stderr) == ("as often as in Python\n", "")


def test_class_between(installed: None) -> None:
    """`BoundedSemaphore` has the `acquire` of its base, until it gets its own."""

    async def main(notes: Notes) -> None:
        async with asyncio.BoundedSemaphore():
            notes.append("within")

    plain: Any = asyncio.Semaphore.acquire
    found = []
    for wanted in (False, True):
        _graft.attach(wanted)
        notes: Notes = []

        def noted(self: Any, notes: Notes = notes) -> Any:
            notes.append("acquire")
            return plain(self)

        asyncio.BoundedSemaphore.acquire = noted  # type: ignore[method-assign]
        try:
            asyncio.run(main(notes))
        finally:
            del asyncio.BoundedSemaphore.acquire
        found.append(notes)
    assert found == [["acquire", "within"]] * 2
