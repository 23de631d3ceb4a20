"""Runs one program on the asyncio of this process, and writes down what can be seen of it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any
from unittest import mock

from .things import Duck, Errors, InOrder, Override, loud_class

#: So many turns has the loop at the end, for what is still under way.
LAST_TURNS = 12
#: So often callbacks do something, and so often overridden methods: what they do may call them again, and twice.
CALLS = 50
REENTRIES = 20
NOT_THERE = "nothing there"
variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable", default="unset")


def is_of_selector(error: BaseException | None) -> bool:
    """Is it how an asyncio that asks its selector for a file's key is told that there is none?"""
    return type(error) is KeyError and "is not registered" in str(error)


def behind_key_errors(error: BaseException | None) -> BaseException | None:
    """What was handled when it began to look, in a mapping and by that in a dict."""
    while isinstance(error, KeyError):
        error = error.__context__
    return error


class Callback:
    """What a program hands over to be called, as a bound method: one that is equal to itself, but not identical."""

    def __init__(self, world: World, number: int, actions: list[Any]) -> None:
        self.world, self.number, self.actions = world, number, actions

    def run(self, *arguments: Any) -> None:
        self.world.enter(f"callback {self.number}", *arguments)
        self.world.calls += 1
        if self.world.calls <= CALLS:
            self.world.perform(self.actions)

    def __repr__(self) -> str:
        return f"<callback {self.number}>"


class World:
    """A program's loop, all that it has made, and its trace."""

    def __init__(self, new_loop: Callable[[], Any], setup: dict[str, Any]) -> None:
        self.trace: list[str] = []
        self.things: list[Any] = []
        self.labels: dict[int, str] = {}
        self.made: dict[str, int] = {}
        self.callbacks: list[Callback] = []
        self.handles: list[Any] = []
        self.timeouts: list[Any] = []
        self.errors = Errors()
        self.seen_errors = 0
        self.reentry = setup["reentry"]
        self.in_override = False
        self.reentries = 0
        self.calls = 0
        self.kept: list[Any] = []
        self.handler = setup["handler"]
        self.loop = new_loop()
        self.first_name = self._first_name()
        self.start = self.loop.time()
        self.loop.slow_callback_duration = 1e9
        self.loop.set_debug(setup["debug"])
        if self.handler != "none":
            self.loop.set_exception_handler(self.handle)
        override = Override(self.overridden, frozenset(setup["overrides"]))
        self.LoudFuture = loud_class("LoudFuture", asyncio.Future, override)
        self.LoudTask = loud_class("LoudTask", asyncio.Task, override)
        if setup["factory"] == "own":
            self.loop.set_task_factory(self.make_task)
        elif setup["factory"] == "eager":
            self.loop.set_task_factory(asyncio.eager_task_factory)
        self.contexts = [contextvars.copy_context() for _ in range(2)]
        for number, context in enumerate(self.contexts):
            context.run(variable.set, f"context {number}")
        for _ in range(setup["futures"]):
            self.add("f", asyncio.Future(loop=self.loop))

    def _first_name(self) -> int:
        """Tasks are numbered through the whole process: the number of this program's first one."""

        async def nothing() -> None:
            pass

        return int(self.loop.run_until_complete(named(nothing())).removeprefix("Task-")) + 1

    # --- what the program has made

    def add(self, kind: str, thing: Any) -> Any:
        """Remember a thing under a new label, unless it is known."""
        if all(thing is not other for other in self.things):
            self.made[kind] = self.made.get(kind, -1) + 1
            self.labels[id(thing)] = f"{kind}{self.made[kind]}"
            self.things.append(thing)
        return thing

    def thing(self, index: int) -> Any:
        """The thing that an index means, or None."""
        if index < 0:
            return self.current()
        return self.things[index % len(self.things)] if self.things else None

    def some(self, indices: Iterable[int]) -> list[Any]:
        return [thing for index in indices if (thing := self.thing(index)) is not None]

    def current(self) -> Any:
        try:
            return asyncio.current_task(self.loop)
        except RuntimeError:
            return None

    def callback(self, actions: list[Any]) -> Callable[..., None]:
        self.callbacks.append(Callback(self, len(self.callbacks), actions))
        return self.callbacks[-1].run

    def make_task(self, loop: Any, coro: Any, **options: Any) -> Any:
        """The task factory of programs that have their own."""
        self.say("factory", sorted(options))
        return self.LoudTask(coro, loop=loop, **options)

    def options(self, name: Any, context: int | None, eager: bool = False) -> dict[str, Any]:
        """Keyword arguments; those that are None are not given."""
        options = {"name": name, "context": None if context is None else self.contexts[context]}
        return {key: value for key, value in options.items() if value is not None} | (
            {"eager_start": True} if eager else {}
        )

    def value(self, value: Any) -> Any:
        return self.thing(value[0]) if isinstance(value, list) else value

    # --- the trace

    def say(self, what: str, *details: Any) -> None:
        line = " ".join([what, *(detail if isinstance(detail, str) else self.show(detail) for detail in details)])
        self.trace.append(self.plain(line))

    def enter(self, what: str, *details: Any) -> None:
        """Say that something of the program's is called, by whom and in which context."""
        self.say(f"{what}:", *details, f"[task {self.label(self.current())}, {self.show(variable.get())}]")

    def label(self, thing: Any) -> str:
        if thing is None:
            return "None"
        if any(thing is known for known in self.things):
            return self.labels[id(thing)]
        return getattr(thing, "label_when_dropped", f"unknown {type(thing).__name__}")

    def show(self, value: Any, depth: int = 0) -> str:
        if isinstance(value, asyncio.Future | asyncio.tasks._PyTask | Duck):
            return self.label(value)
        if isinstance(value, BaseException):
            return self.show_error(value, depth)
        if isinstance(value, list | tuple):
            return f"[{', '.join(self.show(each, depth + 1) for each in value)}]"
        if isinstance(value, set | frozenset | InOrder):
            return f"{{{', '.join(sorted(self.show(each, depth + 1) for each in value))}}}"
        return repr(value)

    def show_error(self, error: BaseException, depth: int) -> str:
        """An exception: its number (the same object has the same one), arguments, relatives, frames."""
        number = vars(error).setdefault("_number", self.seen_errors)
        if number == self.seen_errors:
            self.seen_errors += 1
        if depth > 6:
            return f"error {number} ..."
        context = error.__context__
        if is_of_selector(context):
            context = behind_key_errors(context)
        relatives = {
            "cause": error.__cause__,
            "context": context,
            "in it": getattr(error, "exceptions", None),
        }
        parts = [f"{name}={self.show(value, depth + 1)}" for name, value in relatives.items() if value is not None]
        if error.__suppress_context__:
            parts.append("from")
        frames, traceback = [], error.__traceback__
        while traceback is not None:
            if traceback.tb_frame.f_code.co_filename.startswith(HERE):
                frames.append(traceback.tb_frame.f_code.co_name)
            traceback = traceback.tb_next
        arguments = ", ".join(self.show(argument, depth + 1) for argument in error.args)
        notes = " ".join([*parts, f"tb={'>'.join(frames)}"])
        return f"{type(error).__name__}({arguments})#{number}<{notes}>"

    def plain(self, text: str) -> str:
        """Without what differs from run to run: addresses, paths, times, the numbers of tasks, the loop's class."""
        text = re.sub(r"0x[0-9a-f]+", "0x", text)
        text = re.sub(r"/[^ ',:>]+/", "", text)
        text = re.sub(r"created at [^ >]+", "created at PLACE", text)
        text = re.sub(r"\.\.\.[^ >]*\.py:\d+", "...PLACE", text)  # cut short in its middle
        text = re.sub(r"when=[\d.-]+", "when=TIME", text)
        text = re.sub(r"\bTask-(\d+)", lambda found: f"Task-{int(found[1]) - self.first_name}", text)
        return re.sub(r"\b(EventLoop|_UnixSelectorEventLoop)\b", "Loop", text)

    def handle(self, loop: Any, context: dict[str, Any]) -> None:
        """The loop's exception handler."""
        details = [
            f"{key}={self.show(value)}"
            for key, value in sorted(context.items())
            if key not in ("message", "source_traceback")
        ]
        self.say("handler:", context["message"], *details, "source_traceback" if "source_traceback" in context else "")
        forget_frames(context.get("exception"))
        if self.handler == "raises":
            raise ValueError("from the handler")

    def overridden(self, name: str, thing: Any) -> None:
        """A loud thing's overridden method was called."""
        self.say("override", name, "of", self.label(thing))
        if not self.in_override and name not in ("__del__", "__repr__") and self.reentries < REENTRIES:
            self.in_override = True
            self.reentries += 1
            try:
                self.perform(self.reentry)
            finally:
                self.in_override = False

    # --- running

    def operations(self) -> dict[str, Callable[..., Any]]:
        from .operations import OPERATIONS

        return OPERATIONS

    def perform(self, actions: list[Any]) -> None:
        """Do operations. An exception of one is said, and the next is done; but `raise` is for the caller."""
        for name, *arguments in actions:
            if name == "raise":
                self.say("raise", arguments[0])
                self.errors.throw(*arguments)
            operation = self.operations()[name]
            try:
                answer = operation(self, *arguments)
            except BaseException as error:
                self.say(f"{name} raised", error)
            else:
                self.say(name, *([] if answer is None else [answer]))

    def start_and_finish(self, steps: list[Any]) -> None:
        for step in steps:
            try:
                self.perform([step])
            except BaseException as error:
                self.say("at the top level", error)
        self.finish()

    def leave_current(self) -> None:
        """A current task that is left behind would be there for the next program, too."""
        asyncio._set_running_loop(self.loop)
        current = self.current()
        if current is not None:
            self.say("left behind", current)
            asyncio.tasks._leave_task(self.loop, current)  # type: ignore[attr-defined]
        asyncio._set_running_loop(None)

    def forget(self) -> None:
        for made in (self.kept, self.callbacks, self.handles, self.timeouts, self.contexts):
            made.clear()
        gc.collect()

    def finish(self) -> None:
        """Let everything come to its end, then drop it all."""
        from .operations import in_any_order

        for _ in range(LAST_TURNS):
            self.perform([["turn"]])
        for index in range(len(self.things)):
            self.perform([["state", index]])
        for index in range(len(self.things)):
            self.perform([["drop", index]])
        in_any_order(self, self.forget)
        left = in_any_order(self, lambda: asyncio.all_tasks(self.loop))
        self.say("left over", left)
        del left
        self.leave_current()
        self.loop.close()
        self.perform([["collect"]])


HERE = __file__.rpartition("/")[0]


async def named(coro: Any) -> str:
    """The name of a task that runs `coro`."""
    task = asyncio.ensure_future(coro)
    await task
    return task.get_name()


def forget_frames(error: BaseException | None) -> None:
    """Free an exception of the frames it has gone through. Those of the stock loop, which ours has not, keep things."""
    if error is not None:
        error.__traceback__ = None


class _Log(logging.Handler):
    """What goes to asyncio's logger."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        lines = record.getMessage().splitlines()
        details = [line for line in lines[1:] if line.startswith(("task:", "future:", "handle:"))]
        self.world.say(f"log {record.levelname}:", *lines[:1], *details, *([error] if error else []))
        forget_frames(error)


def run(new_loop: Callable[[], Any], program: dict[str, Any], kind: type[World] = World) -> list[str]:
    """The trace of a program. Only what it says itself starts a garbage collection."""
    world = kind(new_loop, program["setup"])
    with (
        # What asyncio keeps in a set it visits in its order.
        mock.patch.object(asyncio.tasks, "set", InOrder, create=True),
        mock.patch.multiple(logging.getLogger("asyncio"), handlers=[_Log(world)], propagate=False),
        mock.patch.object(sys, "unraisablehook", lambda unraisable: world.say("unraisable:", unraisable.exc_value)),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_: world.say("warning:", str(message).split("\n")[0])
        contextvars.copy_context().run(world.start_and_finish, program["steps"])
    return world.trace
