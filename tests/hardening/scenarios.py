"""Programs in which Python code runs in the middle of an operation of a Future or a Task, and does something to it.

`scenario(place, action)` runs one operation with `action` done at `place` inside it, and returns what came of it as
text. It runs in interpreters of their own, see test_reentrancy.py, and imports nothing but asyncio.
"""

import asyncio
import contextlib
import contextvars
import gc
import re
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

EAGER = sys.version_info >= (3, 12)


def short(text: str) -> str:
    """Without addresses, line numbers, file names and the numbers of tasks."""
    text = re.sub(r"0x[0-9a-f]+", "0x", re.sub(r"(at )?/\S+?:\d+", "at FILE", text))
    return re.sub(r"Task-\d+", "Task-N", text)


class Loop:
    """Four methods; each says where it is before it does its work."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.ready: deque[tuple[Any, tuple[Any, ...], Any]] = deque()
        self.running: object = False

    def __repr__(self) -> str:
        return "<Loop>"

    def get_debug(self) -> object:
        self.world.at("get_debug")
        return Truth(self.world)

    def is_running(self) -> object:
        self.world.at("is_running")
        return self.running

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> None:
        self.world.at("call_soon")
        self.ready.append((callback, args, context))

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.world.log.append(context["message"])
        self.world.at("call_exception_handler")

    def __getattribute__(self, name: str) -> Any:
        if name in ("call_soon", "get_debug", "is_running", "call_exception_handler"):
            object.__getattribute__(self, "world").at(f"loop.{name}")
        return object.__getattribute__(self, name)

    def __hash__(self) -> int:
        self.world.at("hash(loop)")
        return 5

    def __eq__(self, other: object) -> bool:
        self.world.at("loop == loop")
        return self is other


class Truth:
    def __init__(self, world: "World") -> None:
        self.world = world

    def __bool__(self) -> bool:
        self.world.at("bool(get_debug)")
        return False


class Message:
    """A cancel message, a result, a context value: does something when it is freed or shown."""

    def __init__(self, world: "World", label: str) -> None:
        self.world, self.label = world, label

    def __del__(self) -> None:
        self.world.at(f"free {self.label}")

    def __repr__(self) -> str:
        self.world.at(f"repr {self.label}")
        return f"<{self.label}>"

    def __str__(self) -> str:
        self.world.at(f"str {self.label}")
        return f"{self.label}"


class Callback:
    """A callback that is compared and freed loudly."""

    def __init__(self, world: "World", label: str) -> None:
        self.world, self.label = world, label

    def __eq__(self, other: object) -> bool:
        self.world.at(f"{self.label} ==")
        return self is other or self.label == getattr(other, "label", None)

    __hash__ = None  # type: ignore[assignment]

    def __call__(self, future: Any) -> None:
        self.world.log.append(f"called {self.label}")

    def __del__(self) -> None:
        self.world.at(f"free {self.label}")

    def __repr__(self) -> str:
        return f"<{self.label}>"


class Duck:
    """A future-like object whose every attribute is a place."""

    def __init__(self, world: "World") -> None:
        vars(self).update(world=world, _asyncio_future_blocking=True, callbacks=[])

    def get_loop(self) -> Loop:
        self.world.at("duck.get_loop()")
        return self.world.loop  # type: ignore[no-any-return]

    def add_done_callback(self, callback: Any, *, context: Any) -> None:
        self.world.at("duck.add_done_callback()")
        self.callbacks.append(callback)

    def cancel(self, msg: object = None) -> bool:
        self.world.at("duck.cancel()")
        return True

    def result(self) -> str:
        self.world.at("duck.result()")
        return "duck"

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("__") and name not in ("world", "callbacks"):
            object.__getattribute__(self, "world").at(f"duck.{name}")
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: object) -> None:
        self.world.at(f"duck.{name} =")
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return "<Duck>"


class Coro(Coroutine[Any, Any, Any]):
    """A coroutine made by hand."""

    def __init__(self, world: "World") -> None:
        self.world = world

    def send(self, value: object) -> Any:
        self.world.at("coro.send()")
        raise StopIteration(7)

    def throw(self, *error: Any) -> Any:
        self.world.at("coro.throw()")
        raise StopIteration(8)

    def close(self) -> None:
        self.world.at("coro.close()")

    def __await__(self) -> Any:
        raise AssertionError

    def __repr__(self) -> str:
        self.world.at("repr(coro)")
        return "<Coro>"


class NoCoro:
    def __init__(self, world: "World") -> None:
        self.world = world

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            object.__getattribute__(self, "world").at("isinstance(coro)")
        return object.__getattribute__(self, name)

    def __repr__(self) -> str:
        self.world.at("repr(coro)")
        return "<NoCoro>"


@types.coroutine
def give(value: Any) -> Any:
    return (yield value)


def nobody(future: Any) -> None:
    """A callback that is never added."""


class Place:
    """A place in the middle of an operation, at which something is done. What it is, the subclasses know (`act`)."""

    def __init__(self, place: str, action: str) -> None:
        self.place, self.action = place, action
        self.visited: set[str] = set()
        self.log: list[str] = []
        self.armed = False

    def act(self) -> None:
        raise NotImplementedError

    def at(self, place: str) -> None:
        """Called at every place; the first time at the place that was asked for, do the action."""
        if self.armed:
            self.visited.add(place)
            if place == self.place:
                self.armed = False
                self.act()

    def disarm(self) -> None:
        """The operation is over; the log begins with whether it came by."""
        self.armed = False
        self.log.insert(0, "reached" if self.place in self.visited else "not reached")


class World(Place):
    """One loop, one future and one task in the middle of one operation, and one action at one place of it."""

    def __init__(self, place: str, action: str) -> None:
        super().__init__(place, action)
        #: Classes of this world alone, which may be changed.
        self.classes: list[type] = []
        self.loop = self.own(Loop)(self)
        self.subject: Any = None
        self.kept: list[Any] = []

    def own(self, base: type, **attributes: object) -> Any:
        """A class of this world alone, with another between it and its base."""
        self.classes.append(type(base.__name__, (type("Between", (base,), {}),), attributes))
        return self.classes[-1]

    def act(self) -> None:
        ACTIONS[self.action](self)

    def note(self, action: Callable[[], object]) -> None:
        try:
            self.log.append(short(repr(action())))
        except BaseException as error:
            self.log.append(short(f"{type(error).__name__}: {error}"))

    def run(self, steps: int = 30) -> None:
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self.loop)
        try:
            while self.loop.ready and steps:
                steps -= 1
                callback, args, context = self.loop.ready.popleft()
                runner = context.run if isinstance(context, contextvars.Context) else lambda call, *a: call(*a)
                self.note(lambda c=callback, a=args, r=runner: r(c, *a) and None)
        finally:
            asyncio._set_running_loop(before)


# --- operations


def new_future(world: World) -> None:
    world.subject = asyncio.Future.__new__(asyncio.Future)
    world.armed = True
    world.note(lambda: world.subject.__init__(loop=world.loop))


def new_task(world: World) -> None:
    world.subject = asyncio.Task.__new__(asyncio.Task)
    world.armed = True
    world.note(lambda: world.subject.__init__(Coro(world), loop=world.loop, name=Message(world, "name")))


def new_task_of_nothing(world: World) -> None:
    world.subject = asyncio.Task.__new__(asyncio.Task)
    world.armed = True
    world.note(lambda: world.subject.__init__(NoCoro(world), loop=world.loop))


def new_eager(world: World) -> None:
    async def main() -> None:
        world.at("first step")
        await give(None)

    world.subject = asyncio.Task.__new__(asyncio.Task)
    world.loop.running = True
    asyncio._set_running_loop(world.loop)
    world.armed = True
    world.note(lambda: world.subject.__init__(main(), loop=world.loop, eager_start=True, name="E"))
    world.armed = False
    asyncio._set_running_loop(None)


def three_callbacks(world: World, count: int = 3) -> None:
    world.subject = asyncio.Future(loop=world.loop)
    for number in range(count):
        context = contextvars.Context()
        world.subject.add_done_callback(Callback(world, f"callback{number}"), context=context)


def finish(world: World) -> None:
    three_callbacks(world)
    world.armed = True
    world.note(lambda: world.subject.set_result(Message(world, "result")))


def fail(world: World) -> None:
    class Error(Exception):
        def __new__(cls, *args: object) -> Any:
            world.at("new exception")
            return super().__new__(cls, *args)

        def __init__(self, *args: object) -> None:
            world.at("init exception")

    three_callbacks(world)
    world.armed = True
    world.note(lambda: world.subject.set_exception(Error))
    world.subject and world.note(world.subject.exception)


def cancel(world: World) -> None:
    three_callbacks(world)
    world.armed = True
    world.note(lambda: world.subject.cancel(Message(world, "message")))


def remove(count: int) -> Callable[[World], None]:
    def operation(world: World) -> None:
        three_callbacks(world, count)
        world.armed = True
        world.note(lambda: world.subject.remove_done_callback(nobody))

    return operation


def remove_all(world: World) -> None:
    three_callbacks(world)

    class Anything:
        label = "anything"

    for entry, _ in world.subject._callbacks:
        entry.label = "anything"
    del entry
    world.armed = True
    world.note(lambda: world.subject.remove_done_callback(Anything()))


def add_to_done(world: World) -> None:
    world.subject = asyncio.Future(loop=world.loop)
    world.subject.set_result(1)
    world.armed = True
    world.note(lambda: world.subject.add_done_callback(Callback(world, "late")))


def replace_message(world: World) -> None:
    world.subject = asyncio.Future(loop=world.loop)
    world.subject._cancel_message = Message(world, "old message")
    world.armed = True
    world.note(lambda: setattr(world.subject, "_cancel_message", Message(world, "message")))


def show(world: World) -> None:
    world.subject = asyncio.Future(loop=world.loop)
    world.subject.set_result(Message(world, "result"))
    world.armed = True
    world.note(lambda: repr(world.subject))


def await_duck(world: World) -> None:
    async def main() -> Any:
        return await give(duck)

    duck = Duck(world)
    world.subject = asyncio.Task(main(), loop=world.loop, name="T")
    world.armed = True
    world.run()
    for callback in duck.callbacks:
        world.loop.call_soon(callback, duck)
    world.run()


def await_duck_cancelled(world: World) -> None:
    async def main() -> Any:
        world.subject.cancel(Message(world, "message"))
        return await give(duck)

    duck = Duck(world)
    world.subject = asyncio.Task(main(), loop=world.loop, name="T")
    world.armed = True
    world.run()


def await_future_cancelled(world: World) -> None:
    def attribute(future: Any, name: str) -> Any:
        world.at(f"future.{name}")
        return object.__getattribute__(future, name)

    async def main() -> Any:
        world.subject.cancel(Message(world, "message"))
        future = world.own(asyncio.Future, __getattribute__=attribute)(loop=world.loop)
        return await future

    world.subject = asyncio.Task(main(), loop=world.loop, name="T")
    world.armed = True
    world.run()


def cancel_waiting(world: World) -> None:
    async def main() -> Any:
        return await give(duck)

    duck = Duck(world)
    world.subject = asyncio.Task(main(), loop=world.loop, name="T")
    world.run()
    world.armed = True
    world.note(lambda: world.subject.cancel(Message(world, "message")))
    world.run()


def run_coro(world: World) -> None:
    world.subject = asyncio.Task(Coro(world), loop=world.loop, name="T")
    world.subject.add_done_callback(Callback(world, "callback0"), context=contextvars.Context())
    world.armed = True
    world.run()


def throw_coro(world: World) -> None:
    world.subject = asyncio.Task(Coro(world), loop=world.loop, name="T")
    world.subject.cancel(Message(world, "message"))
    world.armed = True
    world.run()


def yield_none(world: World) -> None:
    async def main() -> None:
        await give(None)
        await give(5)

    world.subject = asyncio.Task(main(), loop=world.loop, name="T")
    world.armed = True
    world.run()


def wait_and_finish(world: World) -> None:
    async def main() -> Any:
        return await future

    future = asyncio.Future(loop=world.loop)
    world.subject = asyncio.Task(main(), loop=world.loop, name="T")
    world.run()
    world.armed = True
    world.note(lambda: future.set_result(Message(world, "result")))
    world.run()


def rename(world: World) -> None:
    world.subject = asyncio.Task(Coro(world), loop=world.loop, name="T")
    world.armed = True
    world.note(lambda: world.subject.set_name(Message(world, "name")))
    world.run()


def lose_pending(world: World) -> None:
    world.subject = asyncio.Task(Coro(world), loop=world.loop, name="T")
    world.armed = True
    world.subject = None
    world.note(world.loop.ready.clear)
    gc.collect()


def lose_failed(world: World) -> None:
    future = asyncio.Future(loop=world.loop)
    future.set_exception(KeyError("lost"))
    future._cancel_message = Message(world, "message")
    world.armed = True
    del future
    gc.collect()


def lose_cycle(world: World) -> None:
    future = asyncio.Future(loop=world.loop)
    future.add_done_callback(Callback(world, "callback0"))
    future.add_done_callback(Callback(world, "callback1"))
    future._cancel_message = Message(world, "message")
    future.itself = future  # type: ignore[attr-defined]
    world.armed = True
    del future
    gc.collect()


def start_again(world: World) -> None:
    """A second `__init__`, which frees what the first life held (3.15 refuses it)."""
    three_callbacks(world)
    world.subject._cancel_message = Message(world, "message")
    world.armed = True
    world.note(lambda: world.subject.__init__(loop=world.loop))


def registry(world: World) -> None:
    world.subject = asyncio.Task(Coro(world), loop=world.loop, name="T")
    if sys.version_info < (3, 14):  # current tasks are a dict there: another loop with the same hash makes it compare
        world.kept.append(Loop(world))
        asyncio.tasks._enter_task(world.kept[0], world.subject)
    asyncio._set_running_loop(world.loop)
    world.armed = True
    world.note(lambda: asyncio.tasks._enter_task(world.loop, world.subject))
    world.note(lambda: asyncio.current_task(world.loop))
    world.note(lambda: asyncio.tasks._leave_task(world.loop, world.subject))
    world.note(lambda: len(asyncio.all_tasks(world.loop)))
    asyncio._set_running_loop(None)
    world.armed = False
    for other in world.kept:
        asyncio.tasks._leave_task(other, world.subject)
    world.run()


OPERATIONS: dict[str, tuple[Callable[[World], None], list[str]]] = {
    "new future": (new_future, ["loop.get_debug", "get_debug", "bool(get_debug)"]),
    "new task": (
        new_task,
        ["loop.get_debug", "get_debug", "bool(get_debug)", "str name", "free name", "loop.call_soon", "call_soon"],
    ),
    "new task of nothing": (new_task_of_nothing, ["isinstance(coro)", "repr(coro)", "get_debug"]),
    "finish": (finish, ["loop.call_soon", "call_soon"]),
    "fail": (fail, ["new exception", "init exception", "loop.call_soon", "call_soon"]),
    "cancel": (cancel, ["loop.call_soon", "call_soon"]),
    "remove from 1": (remove(1), ["callback0 =="]),
    "remove from 2": (remove(2), ["callback0 ==", "callback1 =="]),
    "remove from 4": (remove(4), ["callback0 ==", "callback1 ==", "callback2 ==", "callback3 =="]),
    "remove all": (remove_all, ["free anything", "anything =="]),
    "add to done": (add_to_done, ["loop.call_soon", "call_soon"]),
    "replace message": (replace_message, ["free old message"]),
    "show": (show, ["repr result"]),
    "await duck": (
        await_duck,
        [
            "duck._asyncio_future_blocking",
            "duck.get_loop",
            "duck.get_loop()",
            "duck._asyncio_future_blocking =",
            "duck.add_done_callback",
            "duck.add_done_callback()",
            "duck.result",
            "duck.result()",
        ],
    ),
    "await duck cancelled": (await_duck_cancelled, ["duck.cancel", "duck.cancel()", "duck.add_done_callback()"]),
    "await future cancelled": (
        await_future_cancelled,
        [
            "future.cancel",
            "future.get_loop",
            "future._asyncio_future_blocking",
            "future.add_done_callback",
            "call_soon",
        ],
    ),
    "cancel waiting": (cancel_waiting, ["duck.cancel", "duck.cancel()"]),
    "run": (run_coro, ["coro.send()", "loop.call_soon", "call_soon"]),
    "throw": (throw_coro, ["coro.throw()"]),
    "yield None": (yield_none, ["loop.call_soon", "call_soon"]),
    "wait": (wait_and_finish, ["loop.call_soon", "call_soon"]),
    "rename": (rename, ["str name", "free name"]),
    "lose pending": (lose_pending, ["call_exception_handler", "loop.call_exception_handler"]),
    "lose failed": (lose_failed, ["call_exception_handler", "loop.call_exception_handler", "free message"]),
    "lose cycle": (lose_cycle, ["free callback0", "free callback1", "free message"]),
    "start again": (start_again, ["get_debug", "free callback0", "free callback1", "free message"]),
    "registry": (registry, ["hash(loop)", "loop == loop"]),
}
if EAGER:
    OPERATIONS["new eager"] = (
        new_eager,
        ["is_running", "loop.is_running", "get_debug", "first step", "hash(loop)", "loop.call_soon", "call_soon"],
    )


# --- actions


def _quietly(call: Callable[[World], object]) -> Callable[[World], None]:
    """Do it, and log what it says, so that the interrupted operation goes on."""

    def action(world: World) -> None:
        world.note(lambda: call(world))

    return action


def _raise(world: World) -> None:
    raise KeyError("in the middle")


def _init(world: World) -> object:
    other = World("nowhere", "nothing")
    arguments = (Coro(other),) if isinstance(world.subject, asyncio.Task) else ()
    return world.subject.__init__(*arguments, loop=other.loop)


def _drop(world: World) -> object:
    world.subject = None
    world.loop.ready.clear()
    gc.collect()
    return None


def _remove_every(world: World) -> int:
    removed = 0
    for callback, _ in list(world.subject._callbacks or ()):
        removed += world.subject.remove_done_callback(callback)
    return removed


def _step(world: World) -> object:
    return world.run(1)


def _churn(world: World) -> object:
    """Make and free many objects of the kinds that could be reused in the place of a freed one."""
    for _ in range(5):
        [contextvars.Context() for _ in range(20)]
        [asyncio.Future(loop=world.loop) for _ in range(5)]
    return gc.collect() >= 0


CHANGED = (
    "call_soon",
    "get_debug",
    "cancel",
    "add_done_callback",
    "get_loop",
    "done",
    "get_name",
    "__hash__",
    "__eq__",
)


def _others(world: World, cls: type) -> dict[str, object]:
    """Other methods for a class, which say that they are."""

    def other(name: str, method: Callable[..., object]) -> Callable[..., object]:
        def say(*args: object, **keywords: object) -> object:
            world.log.append(f"other {name}")
            return method(*args, **keywords)

        return say

    return {name: other(name, getattr(cls, name)) for name in CHANGED if hasattr(cls, name)}


def _change_classes(world: World) -> object:
    for cls in world.classes:
        for name, method in _others(world, cls).items():
            setattr(cls, name, method)
    return None


def _empty_classes(world: World) -> object:
    for cls in world.classes:
        for name in [name for name, value in vars(cls).items() if callable(value)]:
            delattr(cls, name)
    return None


def _change_bases(world: World) -> object:
    for cls in world.classes:
        (between,) = cls.__bases__
        cls.__bases__ = (type("Other", (between,), _others(world, between)),)
    return None


ACTIONS: dict[str, Callable[[World], None]] = {
    "nothing": lambda world: None,
    "gc": _quietly(_churn),
    "raise": _raise,
    "set_result": _quietly(lambda world: world.subject.set_result(99)),
    "set_exception": _quietly(lambda world: world.subject.set_exception(ValueError("again"))),
    "cancel": _quietly(lambda world: world.subject.cancel("again")),
    "add": _quietly(lambda world: world.subject.add_done_callback(nobody)),
    "remove": _quietly(_remove_every),
    "init": _quietly(_init),
    "drop": _quietly(_drop),
    "run": _quietly(_step),
    "message": _quietly(lambda world: setattr(world.subject, "_cancel_message", "other")),
    "repr": _quietly(lambda world: len(repr(world.subject)) > 0),
    "iterate": _quietly(lambda world: next(world.subject.__await__()) is world.subject),
    "finalize": _quietly(lambda world: world.subject.__del__()),
    "register": _quietly(lambda world: asyncio.tasks._register_task(world.subject)),
    "class dict": _quietly(_change_classes),
    "class emptied": _quietly(_empty_classes),
    "class bases": _quietly(_change_bases),
    "read": _quietly(lambda world: (world.subject.done(), world.subject.exception())),
}


def scenario(operation: str, place: str, action: str) -> str:
    """What came of it: what was said on the way, the state after it, and what is still to be run.

    In a thread of its own, since the running loop and (3.14) the current task belong to the thread.
    """
    if sys.version_info < (3, 14):
        asyncio.tasks._current_tasks.clear()  # of an earlier scenario that was cut off: other loops with the same hash
    world = World(place, action)
    hook, sys.unraisablehook = sys.unraisablehook, lambda args: world.log.append(f"unraisable {args.exc_type.__name__}")
    try:
        thread = threading.Thread(target=_scenario, args=(world, operation))
        thread.start()
        thread.join()
    finally:
        sys.unraisablehook = hook
    return "; ".join(world.log)


def _scenario(world: World, operation: str) -> None:
    OPERATIONS[operation][0](world)
    world.disarm()
    subject = world.subject
    if subject is not None:
        world.note(lambda: subject._state)
        world.note(lambda: [getattr(c, "label", type(c).__name__) for c, _ in subject._callbacks or ()])
        world.note(lambda: subject._cancel_message)
    world.log.append(f"{len(world.loop.ready)} to run")
    world.run()
    if subject is not None:
        world.note(lambda: subject._state)
        with contextlib.suppress(BaseException):
            subject._log_destroy_pending = False
        if subject.done() and not subject.cancelled():
            subject.exception()
    world.subject = subject = None
    world.loop.ready.clear()
    gc.collect()
