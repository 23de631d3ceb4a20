"""Random programs of several tasks that share locks, events, conditions, semaphores and queues.

Tasks are cancelled at any moment; methods are replaced in classes and hidden in instances, objects of subclasses are
among the others, and debug mode is switched on and off while the tasks run.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from graft.notes import Notes, outcome, shown, spin

Step = tuple[str, Any, int]

#: What is done to an object of each kind, by whoever has it.
OPERATIONS: dict[str, list[str]] = {
    "Lock": ["with", "with", "acquire", "release", "locked"],
    "Event": ["wait", "wait", "set", "clear"],
    "Condition": [
        "wait within",
        "wait within",
        "wait_for within",
        "notify within",
        "notify_all within",
        "with",
        "wait",
    ],
    "Semaphore": ["with", "with", "acquire", "release", "locked"],
    "BoundedSemaphore": ["with", "with", "acquire", "release", "locked"],
    "Queue": ["get", "get", "put", "put", "get_nowait", "put_nowait", "task_done", "join"],
}
QUEUES = ("Queue", "PriorityQueue", "LifoQueue")
OPERATIONS.update(dict.fromkeys(QUEUES, OPERATIONS["Queue"]))
METHODS: dict[str, list[str]] = {
    "Lock": ["acquire", "release", "locked", "_wake_up_first", "_get_loop", "__aenter__", "__aexit__"],
    "Event": ["wait", "set", "_get_loop"],
    "Condition": ["wait", "wait_for", "notify", "_notify", "notify_all", "_get_loop", "__aenter__"],
    "Semaphore": ["acquire", "release", "locked", "_wake_up_next", "_get_loop", "__aexit__"],
    "BoundedSemaphore": ["acquire", "release", "locked", "_wake_up_next"],
    "Queue": ["get", "put", "get_nowait", "put_nowait", "_get", "_put", "full", "empty", "_wakeup_next", "task_done"],
}
METHODS.update(dict.fromkeys(QUEUES, METHODS["Queue"]))
STATE = ("_waiters", "_locked", "_value", "_getters", "_putters", "_unfinished_tasks", "_is_shutdown")

DERIVED: dict[str, Any] = {}


class Thing:
    """An object of asyncio's, and how it is made: of a subclass, or of the class itself."""

    def __init__(self, kind: str, number: int, is_derived: bool) -> None:
        self.kind, self.number, self.is_derived = kind, number, is_derived

    def __repr__(self) -> str:
        return f"{'derived ' * self.is_derived}{self.kind}({self.number})"

    @property
    def cls(self) -> Any:
        """The class of asyncio's, or a subclass of it, which replaces nothing as long as the program does not."""
        cls = getattr(asyncio, self.kind)
        if not self.is_derived:
            return cls
        # A few of them: native code looks at so many subclasses and at no more.
        return DERIVED.setdefault(self.kind, type(f"Derived{self.kind}", (cls,), {}))

    def make(self, others: list[Any]) -> Any:
        """A new one. A condition may have the lock of those before."""
        cls = self.cls
        if self.kind == "Condition":
            locks = [each for each in others if isinstance(each, asyncio.Lock)]
            return cls(locks[0] if locks and self.number % 2 else None)
        if self.kind in ("Lock", "Event"):
            return cls()
        return cls(self.number)


def program(seed: int) -> tuple[list[Thing], list[list[Step]], list[Step]]:
    """Things, what each task does with them, and what happens to tasks and things meanwhile."""
    draw = random.Random(seed)
    kinds = draw.choices(sorted(OPERATIONS), k=draw.randrange(1, 4))
    things = [Thing(kind, draw.randrange(3), draw.random() < 0.3) for kind in kinds]
    tasks: list[list[Step]] = []
    for _ in range(draw.randrange(2, 7)):
        steps: list[Step] = []
        for _ in range(draw.randrange(1, 8)):
            place = draw.randrange(len(things))
            operation = draw.choice(OPERATIONS[things[place].kind])
            if things[place].kind in QUEUES and draw.random() < 0.03:
                operation = draw.choice(["shutdown", "shutdown now"])
            steps.append((operation, place, draw.randrange(4)) if draw.random() < 0.85 else ("spin", 0, place + 1))
        tasks.append(steps)
    events: list[Step] = []
    for _ in range(draw.randrange(2, 25)):
        event = draw.choices(
            ["spin", "cancel", "look", "patch", "restore", "hide", "debug", "shake"], [30, 14, 5, 3, 2, 1, 1, 1]
        )[0]
        events.append((event, draw.randrange(1 << 16), draw.randrange(4)))
    return things, tasks, events


def noted(plain: Any, name: str, notes: Notes) -> Any:
    """What does the same, and notes that."""

    def method(*arguments: Any, **keywords: Any) -> Any:
        notes.append(name)
        return plain(*arguments, **keywords)

    return method


async def do(operation: str, thing: Any, number: int, answers: Callable[[], bool]) -> Any:
    """One step of a task."""
    operation, _, how = operation.partition(" ")
    if how == "within":
        async with thing:
            if operation == "wait_for":
                return await thing.wait_for(answers)
            if operation == "notify":
                return thing.notify(number)
            result = getattr(thing, operation)()
            return await result if operation == "wait" else result
    if operation == "spin":
        return await spin(number)
    if operation == "with":
        async with thing:
            return await spin(number)
    if operation == "shutdown":
        return thing.shutdown(immediate=bool(how)) if hasattr(thing, "shutdown") else None
    arguments = (number,) if operation in ("put", "put_nowait") else ()
    result = getattr(thing, operation)(*arguments)
    return await result if operation in ("acquire", "wait", "get", "put", "join") and result is not None else result


def state(thing: Any) -> list[Any]:
    """What can be seen of it."""
    values = [vars(thing).get(name) for name in STATE]
    return [shown(repr(thing)), [len(each) if hasattr(each, "__len__") else each for each in values]]


def lock_of(thing: Any) -> asyncio.Lock | None:
    """A lock itself, or that of a condition."""
    return thing if isinstance(thing, asyncio.Lock) else vars(thing).get("_lock")


async def run(seed: int, notes: Notes) -> None:
    """Run the program of that seed, and note all that can be seen."""
    descriptions, plans, events = program(seed)
    loop = asyncio.get_running_loop()
    loop.slow_callback_duration = 1e9
    draw = random.Random(seed)
    things: list[Any] = []
    for description in descriptions:
        things.append(description.make(things))
    patched: dict[tuple[type, str], Any] = {}
    over = False

    async def performs(number: int, steps: list[Step]) -> None:
        for place, (operation, thing, value) in enumerate(steps):
            if over:
                break
            answers = iter([False] * value)
            done = await outcome(do(operation, things[thing], value, lambda answers=answers: next(answers, True)))  # type: ignore[misc]
            notes.append((number, place, operation, done))

    def put(event: str, value: int) -> None:
        place = value % len(things)
        cls = descriptions[place].cls
        name = METHODS[descriptions[place].kind][value // 16 % len(METHODS[descriptions[place].kind])]
        if not hasattr(cls, name):
            return
        if event == "hide":
            if not name.startswith("__"):
                setattr(things[place], name, noted(getattr(things[place], name), f"own {name}", notes))
            return
        defines = next(base for base in cls.__mro__ if name in vars(base))
        owner = cls if value // 4096 % 2 else defines
        if (owner, name) not in patched:
            patched[owner, name] = vars(owner).get(name)
            setattr(owner, name, noted(vars(defines)[name], f"{owner.__name__}.{name}", notes))

    def restore() -> None:
        for (owner, name), plain in patched.items():
            if plain is None:
                delattr(owner, name)
            else:
                setattr(owner, name, plain)
        patched.clear()

    tasks = [asyncio.ensure_future(performs(number, steps)) for number, steps in enumerate(plans)]
    try:
        for event, value, steps in events:
            if event == "spin":
                await spin(steps)
            elif event == "cancel":
                notes.append(tasks[value % len(tasks)].cancel(f"cancelled {value}"))
            elif event == "look":
                notes.append([state(thing) for thing in things])
            elif event in ("patch", "hide"):
                put(event, value)
            elif event == "restore":
                restore()
            elif event == "debug":
                loop.set_debug(not loop.get_debug())
            elif event == "shake":  # those who wait, in another order, or without the first
                thing = things[value % len(things)]
                waiters = vars(thing).get("_waiters") or vars(thing).get("_getters")
                if waiters and steps:
                    waiters.rotate(1)
                elif waiters:
                    waiters.popleft()
        await spin(draw.randrange(6))
        notes.append([state(thing) for thing in things])
    finally:
        over = True
        restore()
        loop.set_debug(False)
        while not all(task.done() for task in tasks):
            for task in tasks:
                task.cancel()
            for lock in filter(None, map(lock_of, things)):  # who waits for a condition takes its lock, come what may
                if vars(lock)["_locked"]:
                    asyncio.Lock.release(lock)
            await spin(1)
        notes.append([(task.cancelled(), task.done()) for task in tasks])
