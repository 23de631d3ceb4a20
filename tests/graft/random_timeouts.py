"""Random programs of tasks with timeouts in each other: who is cancelled, whose time is over, what is patched.

No program waits for time: a timeout is over at once, or never, or when the program says so.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable
from typing import Any

from graft.notes import Notes, end_others, spin
from graft.timeouts import LONG, chain_of, state_of

FUTURES = 4
PATCHES = ("reschedule", "_on_timeout", "__aenter__", "__aexit__", "when", "expired")
HIDDEN = ("reschedule", "_on_timeout", "when", "_insert_timeout_error")
DELAYS = (LONG, LONG, LONG, None, 0, -1)

Tree = tuple[str, Any, tuple[Any, ...]]
Action = tuple[str, Any, Any]


def tree(draw: random.Random, depth: int) -> Tree:
    """What a task does: a kind, a value, and what is done inside of it."""
    leaves = ["spin", "spin", "future", "future", "fails", "shorten", "event"]
    inner = ["timeout", "timeout", "timeout", "wait_for", "wait_for", "task", "catch", "stubborn", "finally", "group"]
    kind = draw.choice(leaves if not depth or draw.random() < 0.3 else inner)
    count = draw.randrange(1, 4) if kind in inner else 0
    children = tuple(tree(draw, depth - 1) for _ in range(count))
    value: Any = draw.randrange(4)
    if kind in ("timeout", "wait_for", "shorten"):
        value = draw.choice(DELAYS)
    return kind, value, children


def program(seed: int) -> tuple[list[Tree], list[Action]]:
    """What tasks do, and what is done to them."""
    draw = random.Random(seed)
    trees = [tree(draw, 3) for _ in range(draw.randrange(1, 4))]
    kinds = ["spin", "cancel", "expire", "expire any", "result", "error", "drop", "uncancel", "look"]
    weights = [30, 15, 10, 4, 8, 3, 3, 2, 5]
    kinds += ["patch", "hide", "watch", "attribute", "subclass"]
    weights += [2, 2, 2, 1, 1]
    actions = []
    for _ in range(draw.randrange(4, 30)):
        kind = draw.choices(kinds, weights)[0]
        value: Any = draw.randrange(6)
        if kind == "patch":
            value = draw.choice(PATCHES)
        elif kind == "hide":
            value = value, draw.choice(HIDDEN)
        actions.append((kind, value, draw.randrange(3)))
    return trees, actions


class Run:
    """A program that runs."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.limits: list[Any] = []
        loop = asyncio.get_running_loop()
        self.futures = [loop.create_future() for _ in range(FUTURES)]
        self.event = asyncio.Event()
        self.inner: list[asyncio.Task[Any]] = []
        self.patched: dict[str, Any] = {}
        self.make: Callable[[float | None], Any] = asyncio.timeout

    async def do(self, what: Tree) -> Any:
        """Do what a tree says."""
        kind, value, children = what
        if kind == "spin":
            return await spin(value)
        if kind == "future":
            return await self.futures[value]
        if kind == "event":
            return await self.event.wait()
        if kind == "fails":
            raise (ValueError("of its own"), asyncio.CancelledError("of its own"), TimeoutError(), KeyError(1))[value]
        if kind == "shorten":
            return self.limits[-1].reschedule(value and asyncio.get_running_loop().time() + value) if self.limits else 0
        if kind == "timeout":
            limit = self.make(value)
            self.limits.append(limit)
            async with limit:
                return await self.each(children)
        if kind == "wait_for":
            return await asyncio.wait_for(self.each(children), value)
        if kind == "task":
            task = asyncio.ensure_future(self.each(children))
            self.inner.append(task)
            return await (asyncio.wait_for(task, LONG) if value % 2 else task)
        if kind == "group":
            async with asyncio.TaskGroup() as group:
                group.create_task(self.each(children))  # of several, a set says in which order they are cancelled
            return "group"
        return await self.guarded(kind, children)

    async def guarded(self, kind: str, children: tuple[Tree, ...]) -> Any:
        """What is done about exceptions."""
        try:
            return await self.each(children[:1])
        except BaseException as error:
            self.notes.append((kind, type(error).__name__))
            if kind == "stubborn" and isinstance(error, asyncio.CancelledError):
                return await self.each(children[1:])
            if kind == "catch" and isinstance(error, Exception):
                return "caught"
            raise
        finally:
            if kind == "finally":
                await self.each(children[1:])

    async def each(self, children: tuple[Tree, ...]) -> list[Any]:
        """One after the other."""
        return [await self.do(child) for child in children]

    def act(self, kind: str, value: Any, tasks: list[asyncio.Task[Any]]) -> None:
        """Do something to the tasks."""
        running = [task for task in [*tasks, *self.inner] if not task.done()]
        future = self.futures[value % FUTURES] if isinstance(value, int) else None
        if kind == "cancel" and running:
            self.notes.append(running[value % len(running)].cancel(f"cancelled {value}"))
        elif kind == "uncancel" and running:
            self.notes.append(running[value % len(running)].uncancel())
        elif kind == "expire" and self.limits:
            self.limits[value % len(self.limits)].reschedule(0)
        elif kind == "expire any":
            timers = [getattr(each._callback, "__self__", None) for each in timers_of(asyncio.get_running_loop())]
            found = [each for each in timers if isinstance(each, asyncio.Timeout)]
            self.notes.append(len(found))
            if found:
                found[value % len(found)].reschedule(0)
        elif kind == "result" and future is not None and not future.done():
            future.set_result(value)
        elif kind == "error" and future is not None and not future.done():
            future.set_exception(OSError(value))
        elif kind == "drop" and future is not None:
            self.futures[value % FUTURES] = asyncio.get_running_loop().create_future()
            future.cancel()
        elif kind == "look":
            self.notes.append([state_of(limit) for limit in self.limits[-3:]])
            self.event.set() if value % 2 else self.event.clear()
        else:
            self.meddle(kind, value)

    def meddle(self, kind: str, value: Any) -> None:
        """Patch something."""
        if kind == "patch" and value not in self.patched:
            self.patched[value] = getattr(asyncio.Timeout, value)
            setattr(asyncio.Timeout, value, self.noted(value, self.patched[value]))
        elif kind == "hide" and self.limits and hasattr(asyncio.Timeout, value[1]):
            limit = self.limits[value[0] % len(self.limits)]
            setattr(limit, value[1], self.noted(f"own {value[1]}", getattr(limit, value[1])))
        elif kind == "watch":
            sys.setprofile(None if sys.getprofile() else lambda *_: None)
        elif kind == "attribute" and self.limits:
            self.limits[value % len(self.limits)].other = value
        elif kind == "subclass":
            self.make = Own.after if self.make is asyncio.timeout else asyncio.timeout

    def noted(self, name: str, plain: Any) -> Any:
        """The same, which says that it is called."""

        def method(*arguments: Any) -> Any:
            self.notes.append(name)
            return plain(*arguments)

        return method


class Own(asyncio.Timeout):  # type: ignore[misc]
    """A subclass, which is said to be none."""

    @classmethod
    def after(cls, delay: float | None) -> Own:
        """Of so many seconds."""
        return cls(None if delay is None else asyncio.get_running_loop().time() + delay)


def timers_of(loop: Any) -> list[Any]:
    """Those that are not cancelled, in their order."""
    return sorted((timer for timer in loop._scheduled if not timer.cancelled()), key=lambda timer: timer.when())


async def run(seed: int, notes: Notes) -> None:
    """Run the program of that seed, and note all that can be seen."""
    trees, actions = program(seed)
    running = Run(notes)

    async def task_of(number: int, what: Tree) -> None:
        notes.append((number, await chain_of(running.do(what))))

    tasks = [asyncio.create_task(task_of(number, what)) for number, what in enumerate(trees)]
    try:
        for kind, value, turns in actions:
            await spin(turns)
            try:
                running.act(kind, value, tasks)
            except RuntimeError as error:
                notes.append((kind, str(error)))
        await spin(4)
        notes.append([(task.done(), task.cancelling()) for task in tasks])
    finally:
        sys.setprofile(None)
        for name, plain in running.patched.items():
            setattr(asyncio.Timeout, name, plain)
        for future in running.futures:
            future.cancel()
        await end_others()
        notes.append([task.done() for task in tasks])
        notes.append([state_of(limit) for limit in running.limits])
