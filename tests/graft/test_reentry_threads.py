"""Wherever the grafts of threads' futures call Python code, that does something to the futures, their loop, or asyncio.

What then comes is what comes with asyncio's own bodies, and nothing crashes.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from graft.chains import ENDINGS, Logged, Source, in_thread
from graft.notes import Notes, nameless, of_either, outcome, outcome_of_call, shown, spin, told
from rasyncio import _graft

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")


class Derived(Source[Any]):
    """Native code knows nothing of it."""


class World:
    """What a place and an action know of each other."""

    def __init__(self, action: str) -> None:
        self.action = action
        self.notes: Notes = []
        self.loop: Any = asyncio.get_running_loop()
        self.other: Any = type(self.loop)()
        self.source: Any = Source()
        self.wrapped: Any = None
        self.replaced: list[tuple[Any, str, Any]] = []
        self.count = 0

    def here(self, *_: object) -> None:
        """Acts, the first time."""
        self.count += 1
        if self.count == 1:
            try:
                self.notes.append(shown(repr(ACTIONS[self.action](self))))
            except (ValueError, AttributeError, RuntimeError, asyncio.InvalidStateError) as error:
                self.notes.append((type(error).__name__, str(error)))
            if self.action == "raise":
                raise KeyError("raised")

    def before(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        """Acts, and then does that."""

        def function(*arguments: Any, **keywords: Any) -> Any:
            self.here()
            return plain(*arguments, **keywords)

        return function

    def replace(self, owner: Any, name: str) -> None:
        """With what does the same, and notes that."""
        plain = vars(owner)[name]
        self.replaced.append((owner, name, plain))
        setattr(owner, name, lambda *arguments, **keywords: self.notes.append(name) or plain(*arguments, **keywords))

    def functions(self) -> list[Any]:
        """What the two futures call."""
        found = [callback for callback, _ in getattr(self.wrapped, "_callbacks", None) or ()]
        return [each for each in found + self.source._done_callbacks if hasattr(each, "__closure__")]


class Executor(concurrent.futures.Executor):
    """Does nothing but act."""

    def __init__(self, world: World) -> None:
        self.world = world

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        self.world.here()
        return self.world.source


async def added_to_source(world: World) -> None:
    world.source.add_done_callback = world.before(world.source.add_done_callback)
    world.wrapped = asyncio.wrap_future(world.source)


async def added_to_source_of_another_loop(world: World) -> None:
    world.source.add_done_callback = world.before(world.source.add_done_callback)
    world.wrapped = asyncio.wrap_future(world.source, loop=world.other)


async def chained(world: World) -> None:
    world.source.add_done_callback = world.before(world.source.add_done_callback)
    world.wrapped = world.loop.create_future()
    asyncio.futures._chain_future(world.source, world.wrapped)  # type: ignore[attr-defined]


async def cancelled(world: World) -> None:
    world.source.cancel = world.before(world.source.cancel)
    world.wrapped = asyncio.wrap_future(world.source)
    world.wrapped.cancel()
    await spin(2)


async def callback_before(world: World) -> None:
    world.source.add_done_callback(world.here)
    world.wrapped = asyncio.wrap_future(world.source)
    world.source.set_result(1)


async def callback_before_in_a_thread(world: World) -> None:
    world.source.add_done_callback(world.here)
    world.wrapped = asyncio.wrap_future(world.source)
    in_thread(lambda: world.source.set_exception(ValueError("of a thread")))


async def callback_of_another_loop(world: World) -> None:
    world.source.add_done_callback(world.here)
    world.wrapped = asyncio.wrap_future(world.source, loop=world.other)
    in_thread(lambda: world.source.set_result(1))


async def on_its_way(world: World) -> None:
    """Between the call from the thread and its arrival."""
    world.wrapped = asyncio.wrap_future(world.source)
    world.loop.call_soon(world.here)
    in_thread(lambda: world.source.set_result(1))
    await spin(1)


async def submitted(world: World) -> None:
    world.wrapped = world.loop.run_in_executor(Executor(world), int)


async def default_executor(world: World) -> None:
    world.loop._default_executor = Executor(world)
    world.loop._check_default_executor = world.before(world.loop._check_default_executor)
    try:
        world.wrapped = world.loop.run_in_executor(None, int)
    finally:
        world.loop._default_executor = None
        del world.loop._check_default_executor


async def lookalike(world: World) -> None:
    """What `submit` has returned is asked for its class."""

    class Asked:
        @property
        def __class__(self) -> Any:
            world.here()
            return Source

    world.source = Asked()
    world.wrapped = world.loop.run_in_executor(Executor(world), int)


PLACES: dict[str, Callable[[World], Awaitable[None]]] = {
    "added to source": added_to_source,
    "added to source, of another loop": added_to_source_of_another_loop,
    "chained": chained,
    "cancelled": cancelled,
    "callback before": callback_before,
    "callback before, in a thread": callback_before_in_a_thread,
    "callback, of another loop": callback_of_another_loop,
    "on its way": on_its_way,
    "submitted": submitted,
    "default executor": default_executor,
    "lookalike": lookalike,
}


def empty_cells(world: World) -> None:
    for function in world.functions():
        for cell in function.__closure__:
            del cell.cell_contents


def other_cells(world: World) -> None:
    for function in world.functions():
        for cell in function.__closure__:
            cell.cell_contents = world.other.create_future()


def other_code(world: World) -> None:
    for function in world.functions():
        function.__code__ = (lambda source: source).__code__


def forget_callbacks(world: World) -> None:
    world.source._done_callbacks.clear()
    for callback, _ in list(world.wrapped._callbacks or ()):
        world.wrapped.remove_done_callback(callback)


def call_them(world: World) -> list[Any]:
    """The functions, as if their futures were done."""
    results = []
    for function in world.functions():
        for future in (world.source, world.wrapped):
            try:
                results.append(function(future))
            except Exception as error:
                results.append((type(error).__name__, shown(str(error))))
    return results


def change_class(world: World) -> None:
    world.source.__class__ = Derived


ACTIONS: dict[str, Callable[[World], object]] = {
    "complete": lambda world: world.source.set_result("result"),
    "fail": lambda world: world.source.set_exception(KeyError("failed")),
    "begin": lambda world: world.source.set_running_or_notify_cancel(),
    "cancel source": lambda world: world.source.cancel(),
    "cancel": lambda world: world.wrapped and world.wrapped.cancel("cancelled"),
    "cancel from a thread": lambda world: in_thread(lambda: world.wrapped and world.wrapped.cancel("cancelled")),
    "set": lambda world: world.wrapped and world.wrapped.set_result("of its own"),
    "attributes": lambda world: vars(world.source).clear(),
    "state": lambda world: setattr(world.source, "_state", "FINISHED"),
    "class": change_class,
    "empty cells": empty_cells,
    "other cells": other_cells,
    "other code": other_code,
    "forget callbacks": forget_callbacks,
    "call them": call_them,
    "detach": lambda world: _graft.attach(False),
    "debug": lambda world: world.loop.set_debug(True),
    "profile": lambda world: sys.setprofile(lambda *_: None),
    "collect": lambda world: (gc.collect(), None)[1],
    "replace copying": lambda world: world.replace(asyncio.futures, "_copy_future_state"),
    "replace chaining": lambda world: world.replace(asyncio.futures, "_chain_future"),
    "replace asking": lambda world: world.replace(Source, "exception"),
    "close the other loop": lambda world: world.other.close(),
    "another default": lambda world: setattr(world.loop, "_default_executor", None),
    "raise": lambda world: None,
}


async def happens(world: World, place: str) -> None:
    """What is seen of the place, and of what is left then."""
    made = await outcome(PLACES[place](world))
    asyncio._set_running_loop(world.loop)
    world.notes.append(made)
    world.loop.set_debug(False)
    sys.setprofile(None)
    await spin(3)
    if not world.other.is_closed():

        def run_other() -> None:
            world.other.call_soon(world.other.stop)
            world.other.run_forever()

        in_thread(run_other)
    for each in (world.source, world.wrapped):
        world.notes.append((await outcome_of_call(lambda each=each: shown(repr(each))))[:200])  # type: ignore[misc]
    if isinstance(world.source, Source):
        world.notes.append(told_of(await outcome_of_call(lambda: world.source.set_result("at last"))))
        await spin(3)
    if world.wrapped is not None and world.wrapped.get_loop() is world.loop and world.wrapped.done():
        world.notes.append(await outcome(world.wrapped))
    world.other.close()


def told_of(note: Any) -> Any:
    """An exception without where it came through."""
    return note[:2] if isinstance(note, tuple) and len(note) == 3 else note


def run(place: str, action: str, wanted: bool) -> Notes:
    _graft.attach(wanted)
    logger = logging.getLogger("concurrent.futures")
    notes: Notes = []
    handler = Logged(notes)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        world = World(action)
        loop.set_exception_handler(
            lambda _, context: "retrieved" in context["message"] or notes.append(told(context["exception"]))  # type: ignore[arg-type]
        )
        try:
            await happens(world, place)
        finally:
            for owner, name, plain in reversed(world.replaced):
                setattr(owner, name, plain)
        notes.append(world.notes)

    logger.addHandler(handler)
    logger.propagate = False
    try:
        asyncio.run(main())
    finally:
        sys.setprofile(None)
        logger.removeHandler(handler)
        logger.propagate = True
    return nameless(notes)  # type: ignore[no-any-return]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("action", ACTIONS)
def test_it_does_what_the_body_does(installed: None, place: str, action: str) -> None:
    assert run(place, action, True) == run(place, action, False)


def hand_over(how: str, source: Any, wrapped: Any) -> None:
    """What the source has ended with, by asyncio's function, or by one of those inside of `_chain_future`."""
    sets = source._done_callbacks[0]
    cells = dict(zip(sets.__code__.co_freevars, sets.__closure__, strict=True))
    if how == "_copy_future_state":
        asyncio.futures._copy_future_state(source, wrapped)  # type: ignore[attr-defined]
    elif how == "_set_state":
        cells["_set_state"].cell_contents(wrapped, source)
    else:  # it takes the running loop for the destination's
        cells["dest_loop"].cell_contents = asyncio.get_running_loop()
        sets(source)


@pytest.mark.parametrize("end", ["result", "failed"])
@pytest.mark.parametrize("how", ["_copy_future_state", "_set_state", "_call_set_state"])
def test_an_outcome_for_a_closed_loop_says_where_that_was_found(installed: None, how: str, end: str) -> None:
    async def program(notes: Notes) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: notes.append(told(context["exception"])))  # type: ignore[arg-type]
        other, source = type(loop)(), Source[Any]()
        wrapped: Any = asyncio.wrap_future(source, loop=other)
        other.close()
        ENDINGS[end](source)
        notes.append(await outcome_of_call(lambda: hand_over(how, source, wrapped)))
        await spin(2)
        notes.append((wrapped.done(), await outcome_of_call(wrapped.result)))

    in_python, grafted = of_either(program)
    assert grafted == in_python
    assert "'_copy_future_state', 'dest.set_" in str(in_python)
