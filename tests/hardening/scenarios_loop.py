"""Programs in which Python code runs in the middle of an event loop's work, and does something to the loop.

The loop's counterpart of scenarios.py: `scenario(new_loop, operation, place, action)` runs one operation with `action`
done at `place` inside it, and returns what came of it as text. It runs in interpreters of their own, see
test_reentrancy_loop.py, and imports nothing but asyncio.
"""

import asyncio
import contextvars
import gc
import selectors
import signal
import socket
import sys
import weakref
from collections.abc import Callable
from typing import Any

from scenarios import Place, short

VARIABLE: contextvars.ContextVar[int] = contextvars.ContextVar("VARIABLE", default=0)


class World(Place):
    """One loop in the middle of one operation, and one action at one place of it."""

    def __init__(self, new_loop: Callable[..., Any], place: str, action: str) -> None:
        super().__init__(place, action)
        self.new_loop = new_loop
        self.handles: list[Any] = []
        self.sockets = socket.socketpair()
        self.loop = self.adopt(new_loop())

    def adopt(self, loop: Any) -> Any:
        """Have the loop report to the log."""
        loop.set_exception_handler(
            lambda _loop, report: self.log.append(f"reported {report['message'][:22]} {report.get('exception')!r}")
        )
        return loop

    def act(self) -> None:
        ACTIONS[self.action](self)

    def note(self, action: Callable[[], object]) -> None:
        try:
            said = action()
            if said is not None:
                self.log.append(short(repr(said)))
        except BaseException as error:
            self.log.append(short(f"{type(error).__name__}: {error}"))

    def say(self, text: str) -> Callable[..., None]:
        """A callback that says so."""
        return lambda *_: self.log.append(text)

    def keep(self, handle: Any) -> None:
        self.handles.append(handle)

    def waits(self) -> bool:
        return any(not handle.cancelled() for handle in self.loop._scheduled)

    def turn(self, times: int = 5) -> None:
        """Iterate, as `run_forever` does, but not for ever."""
        self.armed = True
        asyncio._set_running_loop(self.loop)
        signal.signal(signal.SIGALRM, lambda *_: self.loop.is_closed() or self.loop.call_soon_threadsafe(len, ()))
        signal.setitimer(signal.ITIMER_REAL, 0.5, 0.05)  # of what waits for something that was taken away
        try:
            for _ in range(times):
                if self.loop.is_closed() or not (self.loop._ready or self.waits()):
                    break
                self.note(self.loop._run_once)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            asyncio._set_running_loop(None)
            self.armed = False


class Loud:
    """A callable, an argument, a number or a file that says where it is used."""

    def __init__(self, world: World, label: str) -> None:
        self.world, self.label = world, label

    def __call__(self, *args: object) -> None:
        self.world.log.append(f"called {self.label}")
        self.world.at(f"{self.label}()")

    def __del__(self) -> None:
        self.world.at(f"free {self.label}")

    def __repr__(self) -> str:
        self.world.at(f"repr {self.label}")
        return f"<{self.label}>"

    def __float__(self) -> float:
        self.world.at(f"float {self.label}")
        return 0.5

    def __index__(self) -> int:
        self.world.at(f"index {self.label}")
        return 0

    def __radd__(self, other: float) -> float:
        self.world.at(f"radd {self.label}")
        return other

    def fileno(self) -> int:
        self.world.at(f"fileno {self.label}")
        return self.world.sockets[0].fileno()


class Foreign:
    """What Python code put into the queue: no handle at all."""

    def __init__(self, world: World) -> None:
        self.world = world

    @property
    def _cancelled(self) -> bool:
        self.world.at("foreign._cancelled")
        return False

    def _run(self) -> None:
        self.world.log.append("ran foreign")
        self.world.at("foreign._run()")


class Context:
    """Anything that has a `run` will do for a context."""

    def __init__(self, world: World) -> None:
        self.world = world

    def run(self, callback: Callable[..., object], *args: object) -> object:
        self.world.at("context.run()")
        return callback(*args)


class Selector(selectors.SelectSelector):
    world: World

    def select(self, timeout: float | None = None) -> Any:
        self.world.at("select()")
        return super().select(0)

    def modify(self, *args: Any) -> Any:
        self.world.at("modify()")
        return super().modify(*args)

    def register(self, *args: Any) -> Any:
        if hasattr(self, "world"):
            self.world.at("register()")
        return super().register(*args)

    def unregister(self, *args: Any) -> Any:
        if hasattr(self, "world"):
            self.world.at("unregister()")
        return super().unregister(*args)


# --- operations


def callbacks(world: World) -> None:
    loop = world.loop
    world.keep(loop.call_soon(Loud(world, "first")))
    world.keep(loop.call_soon(Loud(world, "second"), 1, 2))
    world.keep(loop.call_soon(Loud(world, "third"), Loud(world, "argument")))
    world.turn()


def freed_callbacks(world: World) -> None:
    for label in ("first", "second"):
        world.loop.call_soon(Loud(world, label))
    world.loop.call_soon(Loud(world, "third")).cancel()
    world.turn()


def timers(world: World) -> None:
    for label in ("first", "second", "third"):
        world.keep(world.loop.call_at(0.5, Loud(world, label)))
    world.loop.call_at(0.25, Loud(world, "cancelled")).cancel()
    world.turn()


def many_cancelled_timers(world: World) -> None:
    for number in range(200):
        handle = world.loop.call_at(0.5 + number, Loud(world, "swept" if number else "first"))
        if number > 20:
            handle.cancel()
    handle = None
    world.turn()


def delays(world: World) -> None:
    world.armed = True
    world.note(lambda: world.keep(world.loop.call_later(Loud(world, "delay"), world.say("later"))))
    world.turn()


def odd_times(world: World) -> None:
    """What asyncio cannot compare, and finds out later."""
    world.armed = True
    world.note(lambda: world.keep(world.loop.call_at(Loud(world, "when"), world.say("at"))))
    world.loop._scheduled.clear()


def files(world: World) -> None:
    world.sockets[1].send(b"x")
    file = Loud(world, "file")
    world.armed = True
    world.note(lambda: world.loop._add_reader(file, Loud(world, "reader")) and None)
    world.note(lambda: world.loop._add_writer(file, Loud(world, "writer")) and None)
    world.note(lambda: world.loop._add_reader(file, Loud(world, "other reader")) and None)
    world.loop.call_soon(len, ())
    world.turn(2)
    world.armed = True
    world.note(lambda: world.loop._remove_reader(file))
    world.note(lambda: world.loop._remove_writer(file))


def reports(world: World) -> None:
    def handler(_loop: object, report: dict[str, Any]) -> None:
        world.log.append(f"handled {report['exception']!r}")
        world.at("handler()")

    class Bad(Loud):
        def __call__(self, *args: object) -> None:
            raise ValueError("bad")

    world.loop.set_exception_handler(handler)
    world.keep(world.loop.call_soon(Bad(world, "bad")))
    world.keep(world.loop.call_soon(world.say("after")))
    world.turn()


def factory(world: World) -> None:
    def make(loop: Any, coro: Any, **options: Any) -> Any:
        world.at("factory()")
        return asyncio.Task(coro, loop=loop, **options)

    async def main() -> None:
        world.log.append("main")
        world.at("step")
        await asyncio.sleep(0)
        world.at("second step")

    world.loop.set_task_factory(make)
    world.armed = True
    coro = main()
    world.note(lambda: world.loop.create_task(coro) and None)
    world.turn()
    coro.close()


def foreign_handle(world: World) -> None:
    world.loop._ready.append(Foreign(world))
    world.loop.call_soon(world.say("after"))
    world.turn()


def foreign_context(world: World) -> None:
    world.keep(world.loop.call_soon(world.say("inside"), context=Context(world)))
    world.keep(world.loop.call_soon(world.say("after")))
    world.turn()


def entered_context(world: World) -> None:
    """The context that a callback is to run in is entered already."""
    context = contextvars.copy_context()

    def inside() -> None:
        VARIABLE.set(VARIABLE.get() + 1)
        world.at("inside")

    world.loop.call_soon(inside)
    world.loop.call_soon(inside, context=context)
    world.loop.call_soon(lambda: world.at("outside"))
    context.run(world.turn)
    world.log.append(f"variable {context.get(VARIABLE)}")


def overridden(world: World) -> None:
    class Loop(type(world.loop)):  # type: ignore[misc]
        def time(self) -> float:
            world.at("time()")
            return super().time()  # type: ignore[no-any-return]

        def get_debug(self) -> bool:
            world.at("get_debug()")
            return False

        def call_soon(self, *args: Any, **options: Any) -> Any:
            world.at("call_soon()")
            return super().call_soon(*args, **options)

        def _timer_handle_cancelled(self, handle: Any) -> None:
            world.at("timer cancelled")
            super()._timer_handle_cancelled(handle)

    world.loop.close()
    world.loop = loop = world.adopt(Loop())
    world.armed = True
    world.note(lambda: world.keep(loop.call_soon(world.say("soon"))))
    world.note(lambda: world.keep(loop.call_later(0, world.say("later"))))
    world.note(lambda: loop.call_later(10, world.say("never")).cancel())
    world.turn()


def selector(world: World) -> None:
    chosen = Selector()
    world.loop.close()
    world.loop = world.adopt(type(world.loop)(chosen))
    chosen.world = world
    world.sockets[1].send(b"x")
    world.armed = True
    fd = world.sockets[0].fileno()
    world.note(lambda: world.loop._add_reader(fd, world.say("reader")) and None)
    world.note(lambda: world.loop._add_writer(fd, world.say("writer")) and None)
    world.loop.call_soon(len, ())
    world.turn(2)
    world.armed = True
    world.note(lambda: world.loop._remove_writer(fd))
    world.note(lambda: world.loop._remove_reader(fd))


def debug(world: World) -> None:
    world.loop.set_debug(True)
    world.loop.slow_callback_duration = 0
    world.keep(world.loop.call_soon(Loud(world, "first")))
    world.keep(world.loop.call_later(0, Loud(world, "second")))
    world.turn()


def weak_references(world: World) -> None:
    handle = world.loop.call_soon(world.say("first"))
    world.handles.append(weakref.ref(handle, lambda _: world.at("weakref callback")))
    del handle
    world.loop.call_soon(world.say("after"))
    world.turn()


def collections(world: World) -> None:
    def collector(phase: str, _info: object) -> None:
        world.at(f"collection {phase}")

    gc.callbacks.append(collector)
    world.loop.call_soon(gc.collect)
    world.loop.call_soon(Loud(world, "after"))
    try:
        world.turn()
    finally:
        gc.callbacks.remove(collector)


def traced(world: World) -> None:
    def first() -> None:
        world.log.append("called first")

    def profiler(frame: Any, event: str, _argument: object) -> None:
        if frame.f_code is first.__code__:
            world.at(f"profile {event}")

    world.loop.call_soon(first)
    world.loop.call_soon(Loud(world, "after"))
    sys.setprofile(profiler)
    try:
        world.turn()
    finally:
        sys.setprofile(None)


def subclassed(world: World) -> None:
    """On a loop whose class, and the one between it and its base, are of this world alone."""
    base = type(world.loop)
    world.loop.close()
    world.loop = loop = world.adopt(type("Loop", (type("Between", (base,), {}),), {})())

    async def main() -> None:
        await asyncio.sleep(0)
        loop.call_later(0, world.say("from the task"))
        await loop.create_future()

    world.keep(loop.call_soon(Loud(world, "first")))
    world.keep(loop.call_later(0, Loud(world, "timer")))
    task = loop.create_task(main())
    loop.call_later(0, task.cancel)
    world.keep(loop.call_soon(Loud(world, "second")))
    world.turn()
    world.keep(loop.call_soon(world.say("after")))
    loop.call_later(10, world.say("never")).cancel()
    world.turn()


def monitored(world: World) -> None:
    def first() -> None:
        world.log.append("called first")
        len(())
        raise ValueError("failed")

    def callback(name: str) -> Callable[..., None]:
        def hook(code: Any, *_: object) -> None:
            if code is first.__code__:
                world.at(f"monitor {name}")

        return hook

    world.loop.call_soon(first)
    world.loop.call_soon(Loud(world, "after"))
    monitoring, tool = sys.monitoring, sys.monitoring.PROFILER_ID
    monitoring.use_tool_id(tool, "scenario")
    events = {name: getattr(monitoring.events, name) for name in MONITORED}
    for name, event in events.items():
        monitoring.register_callback(tool, event, callback(name))
    # That of C_RETURN comes with that of CALL.
    monitoring.set_events(tool, sum(event for name, event in events.items() if name != "C_RETURN"))
    try:
        world.turn()
    finally:
        monitoring.set_events(tool, 0)
        for event in events.values():
            monitoring.register_callback(tool, event, None)
        monitoring.free_tool_id(tool)


MONITORED = ("PY_START", "LINE", "CALL", "C_RETURN", "RAISE", "PY_UNWIND")

OPERATIONS: dict[str, tuple[Callable[[World], None], list[str]]] = {
    "callbacks": (callbacks, ["first()", "second()", "third()"]),
    "freed callbacks": (freed_callbacks, ["free first", "free second"]),
    "timers": (timers, ["first()", "second()"]),
    "many cancelled timers": (many_cancelled_timers, ["free swept", "first()"]),
    "delays": (delays, ["radd delay"]),
    "odd times": (odd_times, ["float when"]),
    "files": (files, ["fileno file", "writer()", "free reader", "other reader()"]),
    "reports": (reports, ["handler()", "repr bad"]),
    "factory": (factory, ["factory()", "step", "second step"]),
    "foreign handle": (foreign_handle, ["foreign._cancelled", "foreign._run()"]),
    "foreign context": (foreign_context, ["context.run()"]),
    "entered context": (entered_context, ["inside", "outside"]),
    "overridden": (overridden, ["time()", "get_debug()", "call_soon()", "timer cancelled"]),
    "selector": (selector, ["select()", "modify()", "register()", "unregister()"]),
    "debug": (debug, ["first()", "second()"]),
    "weak references": (weak_references, ["weakref callback"]),
    "collections": (collections, ["collection start", "collection stop"]),
    "traced": (traced, ["profile call", "profile return"]),
    "subclassed": (subclassed, ["first()", "second()", "timer()"]),
}
if sys.version_info >= (3, 12):
    OPERATIONS["monitored"] = (monitored, [f"monitor {name}" for name in MONITORED])


# --- actions


def _quietly(call: Callable[[World], object]) -> Callable[[World], None]:
    def action(world: World) -> None:
        world.note(lambda: call(world))

    return action


def _raise(error: type[BaseException]) -> Callable[[World], None]:
    def action(world: World) -> None:
        raise error("in the middle")

    return action


def _cancel(world: World) -> None:
    for handle in [*world.loop._ready, *world.loop._scheduled]:
        if hasattr(handle, "cancel"):
            handle.cancel()


def _drop(world: World) -> None:
    world.handles.clear()
    gc.collect()


def _change_class(world: World) -> None:
    class Loop(type(world.loop)):  # type: ignore[misc]
        def call_soon(self, *args: Any, **options: Any) -> Any:
            world.log.append("new class")
            return super().call_soon(*args, **options)

    world.loop.__class__ = Loop


CHANGED = ("call_soon", "call_later", "call_at", "call_soon_threadsafe", "call_exception_handler", "create_task")
CHANGED += ("create_future", "get_debug", "_timer_handle_cancelled")


def _others(world: World, cls: type) -> dict[str, object]:
    """Other methods for a class, which say that they are."""

    def other(name: str, method: Callable[..., object]) -> Callable[..., object]:
        def say(*args: Any, **keywords: Any) -> object:
            world.log.append(f"other {name}")
            return method(*args, **keywords)

        return say

    return {name: other(name, getattr(cls, name)) for name in CHANGED}


def _is_own(cls: type) -> bool:
    return [base.__name__ for base in cls.__bases__] == ["Between"]


def _change_attributes(world: World) -> None:
    cls = type(world.loop)
    for name, method in _others(world, cls).items() if _is_own(cls) else ():
        setattr(cls, name, method)


def _change_base(world: World) -> None:
    """The same methods on a class that the loop's derives from."""
    cls = type(world.loop)
    for name, method in _others(world, cls).items() if _is_own(cls) else ():
        setattr(cls.__base__, name, method)


def _change_bases(world: World) -> None:
    cls = type(world.loop)
    if _is_own(cls):
        cls.__bases__ = (type("Other", cls.__bases__, _others(world, cls)),)


def _shadow(world: World) -> None:
    call_soon = world.loop.call_soon

    def shadow(*args: Any, **options: Any) -> Any:
        world.log.append("shadow")
        return call_soon(*args, **options)

    world.loop.call_soon = shadow
    world.loop.create_future().set_result(1)


def _task(world: World) -> None:
    async def main() -> None:
        world.log.append("task")

    world.keep(world.loop.create_task(main()))


def _run(world: World) -> None:
    world.loop.call_soon(world.loop.stop)
    world.loop.run_forever()


def _fd(world: World) -> int:
    return world.sockets[0].fileno()


ACTIONS: dict[str, Callable[[World], None]] = {
    "nothing": lambda world: None,
    "raise": _raise(ArithmeticError),
    "exit": _raise(SystemExit),
    "call_soon": _quietly(lambda world: world.keep(world.loop.call_soon(world.say("soon")))),
    "call_later": _quietly(lambda world: world.keep(world.loop.call_later(0, world.say("later")))),
    "call_at": _quietly(lambda world: world.keep(world.loop.call_at(0.1, world.say("early")))),
    "threadsafe": _quietly(lambda world: world.keep(world.loop.call_soon_threadsafe(world.say("threadsafe")))),
    "task": _quietly(_task),
    "cancel": _quietly(_cancel),
    "stop": _quietly(lambda world: world.loop.stop()),
    "close": _quietly(lambda world: world.loop.close()),
    "run": _quietly(_run),
    "clear ready": _quietly(lambda world: world.loop._ready.clear()),
    "clear scheduled": _quietly(lambda world: world.loop._scheduled.clear()),
    "append": _quietly(lambda world: world.loop._ready.append(Foreign(world))),
    "pop": _quietly(lambda world: world.loop._ready.popleft()._cancelled),
    "look": _quietly(lambda world: (len(list(world.loop._ready)), len(list(world.loop._scheduled)))),
    "repr": _quietly(lambda world: len([repr(handle) for handle in world.loop._ready]) >= 0),
    "debug": _quietly(lambda world: world.loop.set_debug(True)),
    "gc": _quietly(lambda world: gc.collect() < 0),
    "drop": _quietly(_drop),
    "remove reader": _quietly(lambda world: world.loop._remove_reader(_fd(world))),
    "replace reader": _quietly(lambda world: world.loop._add_reader(_fd(world), world.say("new reader")) and None),
    "add writer": _quietly(lambda world: world.loop._add_writer(_fd(world), world.say("new writer")) and None),
    "class": _quietly(_change_class),
    "class dict": _quietly(_change_attributes),
    "base dict": _quietly(_change_base),
    "class bases": _quietly(_change_bases),
    "shadow": _quietly(_shadow),
    "handler": _quietly(lambda world: world.loop.set_exception_handler(None)),
    "factory": _quietly(lambda world: world.loop.set_task_factory(None)),
    "context": _quietly(lambda world: VARIABLE.set(7) and None),
}


def scenario(new_loop: Callable[..., Any], operation: str, place: str, action: str) -> str:
    """What came of it: what was said on the way, and the state after it."""
    world = World(new_loop, place, action)
    hook, sys.unraisablehook = sys.unraisablehook, lambda args: world.log.append(f"unraisable {args.exc_type.__name__}")
    try:
        world.note(lambda: OPERATIONS[operation][0](world))
        world.disarm()
        loop = world.loop
        world.log.append(f"closed {loop.is_closed()}, {len(loop._ready)} ready, {len(loop._scheduled)} scheduled")
        if not loop.is_closed():
            world.log.append(f"files {sorted(loop._selector.get_map() or ()).count(_fd(world))}")
        loop._thread_id = None
        world.note(loop.close)
        world.handles.clear()
        gc.collect()
    finally:
        sys.unraisablehook = hook
        for end in world.sockets:
            end.close()
    return "; ".join(world.log)
