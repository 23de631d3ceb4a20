"""More programs for scenarios.py: the places where odd awaitables, subclasses, exceptions and hooks run Python code."""

import asyncio
import gc
import sys
import weakref
from typing import Any

from scenarios import OPERATIONS, Callback, Coro, Loop, Message, World, give


class LoudCoro(Coro):
    """Looking up its methods says so."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("send", "throw", "close"):
            object.__getattribute__(self, "world").at(f"coro.{name}")
        return object.__getattribute__(self, name)


class IteratorCoro(Coro):
    """Is an iterator too: then `__next__` is what drives it."""

    def __iter__(self) -> "IteratorCoro":
        return self

    def __next__(self) -> Any:
        self.world.at("coro.__next__()")
        raise StopIteration(9)


def _run_coro(make: type[Coro], cancelled: bool) -> Any:
    def operation(world: World) -> None:
        world.subject = asyncio.Task(make(world), loop=world.loop, name="T")
        if cancelled:
            world.subject.cancel("m")
        world.armed = True
        world.run()

    return operation


def hashed(world: World, coro: Any, name: str) -> Any:
    """A task in sets: hashed, compared, asked whether it is done. Of the implementation that is on now."""

    def hash_of(task: Any) -> int:
        if task.armed:
            world.at("hash(task)")
        return 5

    def equal(task: Any, other: object) -> bool:
        if task.armed:
            world.at("task == task")
        return task is other

    def done(task: Any) -> bool:
        if task.armed:
            world.at("task.done()")
        return asyncio.Task.done(task)

    cls = world.own(asyncio.Task, armed=False, __hash__=hash_of, __eq__=equal, done=done)
    task = cls(coro, loop=world.loop, name=name)
    task.armed = True
    return task


def awaited_by_several(world: World) -> None:
    async def main() -> Any:
        return await future

    world.subject = future = asyncio.Future(loop=world.loop)
    tasks = [hashed(world, main(), f"T{number}") for number in range(3)]
    world.kept += tasks
    world.armed = True
    world.run()
    world.note(lambda: len(future._asyncio_awaited_by or ()) if sys.version_info >= (3, 14) else None)
    world.note(lambda: future.done() or future.set_result(1))
    world.run()


def tasks_of_subclasses(world: World) -> None:
    world.subject = hashed(world, Coro(world), "T")
    world.armed = True
    asyncio._set_running_loop(world.loop)
    world.note(lambda: len(asyncio.all_tasks(world.loop)))
    asyncio._set_running_loop(None)


class Foreign:
    """A task of another implementation."""

    def __init__(self, world: World) -> None:
        self.world = world

    def done(self) -> bool:
        self.world.at("foreign.done()")
        return False

    def get_loop(self) -> Loop:
        self.world.at("foreign.get_loop()")
        return self.world.loop

    def __hash__(self) -> int:
        self.world.at("hash(foreign)")
        return 5


def foreign_tasks(world: World) -> None:
    world.subject = asyncio.Task(Coro(world), loop=world.loop, name="T")
    foreign = Foreign(world)
    world.armed = True
    asyncio._set_running_loop(world.loop)
    world.note(lambda: asyncio.tasks._register_task(foreign))
    world.note(lambda: len(asyncio.all_tasks(world.loop)))
    world.note(lambda: asyncio.tasks._unregister_task(foreign))
    asyncio._set_running_loop(None)


def _failing_with(base: type[BaseException]) -> Any:
    def operation(world: World) -> None:
        class Error(base):  # type: ignore[misc,valid-type]
            def __init__(self, *args: object) -> None:
                world.at("init exception")
                super().__init__(*args)

        world.subject = asyncio.Future(loop=world.loop)
        world.subject.add_done_callback(Callback(world, "callback0"))
        world.armed = True
        world.note(lambda: world.subject.set_exception(Error))
        world.subject and world.note(world.subject.exception)

    return operation


def no_exception_at_all(world: World) -> None:
    class Error(Exception):
        def __new__(cls, *args: object) -> Any:
            world.at("new exception")
            return Message(world, "no exception")

    world.subject = asyncio.Future(loop=world.loop)
    world.armed = True
    world.note(lambda: world.subject.set_exception(Error))


def throw_into_iterator(world: World) -> None:
    class Meta(type):
        def __subclasscheck__(cls, subclass: type) -> bool:
            world.at("subclasscheck")
            return False

    class Error(Exception, metaclass=Meta):
        def __init__(self, *args: object) -> None:
            world.at("init exception")

    world.subject = asyncio.Future(loop=world.loop)
    iterator = world.subject.__await__()
    next(iterator)
    world.armed = True
    world.note(lambda: iterator.throw(Error, ValueError("value")))
    world.note(lambda: iterator.throw(Error))


def blocking_property(world: World) -> None:
    class Future(world.own(asyncio.Future)):  # type: ignore[misc]
        @property
        def _asyncio_future_blocking(self) -> bool:
            world.at("get blocking")
            return True

        @_asyncio_future_blocking.setter
        def _asyncio_future_blocking(self, value: bool) -> None:
            world.at("set blocking")

        def add_done_callback(self, *args: Any, **options: Any) -> None:
            world.at("add_done_callback()")
            super().add_done_callback(*args, **options)

    async def main() -> Any:
        return await give(future)

    world.classes.append(Future)
    future = Future(loop=world.loop)
    world.subject = asyncio.Task(main(), loop=world.loop, name="T")
    world.armed = True
    world.run()
    future.done() or future.set_result(4)
    world.run()


def weak_reference(world: World) -> None:
    world.subject = asyncio.Future(loop=world.loop)
    task = asyncio.Task(Coro(world), loop=world.loop)
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    world.kept.append(weakref.ref(task, lambda _: world.at("weakref callback")))
    world.armed = True
    world.loop.ready.clear()
    del task
    gc.collect()


def collection(world: World) -> None:
    def hook(phase: str, _info: object) -> None:
        world.at(f"collection {phase}")

    world.subject = asyncio.Task(Coro(world), loop=world.loop, name="T")
    world.armed = True
    gc.callbacks.append(hook)
    try:
        gc.collect()
        world.run()
    finally:
        gc.callbacks.remove(hook)


def _hooked(install: Any, kind: str) -> Any:
    def operation(world: World) -> None:
        async def main() -> None:
            await give(None)

        def hook(frame: Any, event: str, _argument: object) -> Any:
            if frame.f_code is main.__code__:
                world.at(f"{kind} {event}")
            return hook

        world.subject = asyncio.Task(main(), loop=world.loop, name="T")
        world.armed = True
        install(hook)
        try:
            world.run()
        finally:
            install(None)

    return operation


def _monitored(cancelled: bool) -> Any:
    """Events of `sys.monitoring` in a coroutine that awaits a future, calls a method of it, and fails."""

    def operation(world: World) -> None:
        async def main() -> None:
            future.get_loop()
            await future
            raise KeyError("failed")

        def callback(name: str) -> Any:
            def hook(code: Any, *_: object) -> None:
                if code is main.__code__:
                    world.at(f"monitor {name}")

            return hook

        future = asyncio.Future(loop=world.loop)
        world.subject = asyncio.Task(main(), loop=world.loop, name="T")
        monitoring, tool = sys.monitoring, sys.monitoring.PROFILER_ID
        monitoring.use_tool_id(tool, "scenario")
        events = {name: getattr(monitoring.events, name) for name in MONITORED}
        for name, event in events.items():
            monitoring.register_callback(tool, event, callback(name))
        # That of C_RETURN comes with that of CALL.
        monitoring.set_events(tool, sum(event for name, event in events.items() if name != "C_RETURN"))
        world.armed = True
        try:
            world.run()
            if cancelled:
                world.note(lambda: world.subject.cancel("m"))
            else:
                world.note(lambda: future.done() or future.set_result(5))
            world.run()
        finally:
            monitoring.set_events(tool, 0)
            for event in events.values():
                monitoring.register_callback(tool, event, None)
            monitoring.free_tool_id(tool)

    return operation


MONITORED = ("PY_START", "LINE", "CALL", "C_RETURN", "PY_YIELD", "PY_RESUME", "PY_THROW", "RAISE", "PY_UNWIND")

if sys.version_info >= (3, 12):
    OPERATIONS["monitor"] = (_monitored(False), [f"monitor {name}" for name in MONITORED if name != "PY_THROW"])
    OPERATIONS["monitor cancelled"] = (
        _monitored(True),
        [f"monitor {name}" for name in ("PY_THROW", "RAISE", "PY_UNWIND")],
    )

OPERATIONS.update(
    {
        "look up send": (_run_coro(LoudCoro, False), ["coro.send"]),
        "look up throw": (_run_coro(LoudCoro, True), ["coro.throw"]),
        "iterate coro": (_run_coro(IteratorCoro, False), ["coro.__next__()"]),
        "awaited by several": (awaited_by_several, ["hash(task)", "task == task"]),
        "tasks of subclasses": (tasks_of_subclasses, ["hash(task)", "task.done()"]),
        "foreign tasks": (foreign_tasks, ["hash(foreign)", "foreign.done()", "foreign.get_loop()"]),
        "fail with StopIteration": (_failing_with(StopIteration), ["init exception"]),
        "fail with an exit": (_failing_with(SystemExit), ["init exception"]),
        "fail with nothing": (no_exception_at_all, ["new exception"]),
        "throw into iterator": (throw_into_iterator, ["init exception", "subclasscheck"]),
        "blocking property": (blocking_property, ["get blocking", "set blocking", "add_done_callback()"]),
        "weak reference": (weak_reference, ["weakref callback"]),
        "collection": (collection, ["collection start", "collection stop"]),
        "trace": (_hooked(sys.settrace, "trace"), ["trace call", "trace line", "trace return"]),
        "profile": (_hooked(sys.setprofile, "profile"), ["profile call", "profile return"]),
    }
)
