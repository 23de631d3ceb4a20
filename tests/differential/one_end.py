"""Runs a program of one end of something: a loop, its transports, and a plain end that the program drives.

All that a protocol is told is said, what the other end gets, what the loop's exception handler is told, and what
asyncio logs. After each step the loop has as many turns as it takes to do all that can be done.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import re
from collections.abc import Callable
from typing import Any, ClassVar

from support.impls import plain
from support.loops import turn

from .programs import Program

#: How often callbacks do something.
CALLS = 20
ERRORS: dict[str, type[BaseException]] = {
    "ValueError": ValueError,
    "OSError": OSError,
    "CancelledError": asyncio.CancelledError,
}


def given(kind: str, data: bytes, changed: bytearray) -> Any:
    """What is handed to a transport: the data in that kind of object, or what is none; `changed` changes afterwards."""
    makers: dict[str, Callable[[], Any]] = {
        "bytes": lambda: data,
        "bytearray": lambda: bytearray(data),
        "changed": lambda: changed,
        "memoryview": lambda: memoryview(data),
        "wide": lambda: memoryview(data).cast("i"),
        "str": lambda: "text",
        "None": lambda: None,
        "subclass": lambda: type("Subclass", (bytes,), {})(data),
    }
    return makers[kind]()


class World:
    """A program's loop and its trace; methods `do_NAME` are its operations."""

    #: Turns in which all is done that can be.
    turns: ClassVar[int] = 8

    def __init__(self, loop: Any) -> None:
        self.loop, self.trace, self.calls = loop, [""], 0
        self.stream = random.Random(0).randbytes(600_000)
        loop.set_exception_handler(self.told)

    def say(self, what: str, *details: object) -> None:
        self.trace.append(plain(f"{what}: {', '.join(map(repr, details))}"))

    def told(self, _loop: Any, context: dict[str, Any]) -> None:
        # asyncio does not know any more which callback it was, where that has closed its transport.
        message = re.sub(r"(?<=Exception in callback ).*", "...", context["message"])
        self.say("told", message, context.get("exception"))

    def called(self, does: dict[str, Any], name: str, *details: object) -> None:
        """A callback says that it is called, and does what the program wants it to."""
        self.say(name, *details)
        self.calls += 1
        if self.calls <= CALLS:
            for action in does.get(name, []):
                self.perform(action)

    def settle(self) -> None:
        turn(self.loop, self.turns)

    def perform(self, step: list[Any]) -> None:
        name, *arguments = step
        self.say(f"> {name}", getattr(self, f"do_{name}")(*arguments))

    def step(self, step: list[Any]) -> None:
        """At the top level, where exceptions are said."""
        try:
            self.perform(step)
        except (Exception, asyncio.CancelledError) as error:
            self.say(f"> {step[0]} raises", error)
        try:
            self.settle()
        except asyncio.CancelledError as error:
            self.say("the loop raises", error)
            self.settle()

    def do_raise(self, name: str) -> Any:
        raise ERRORS[name](name)

    def end(self) -> None:
        """The program is over: close what is open."""


class Says(logging.Handler):
    """What asyncio writes into its log is a part of the trace."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.WARNING)
        self.world = world

    def emit(self, record: logging.LogRecord) -> None:
        self.world.say("logged", record.getMessage())


def run(new_loop: Callable[[], Any], program: Program, made: Callable[[Any, Any], World]) -> list[str]:
    """The trace of a program, in the world that is made of a loop and the program's setup."""
    loop, logger = new_loop(), logging.getLogger("asyncio")
    logger.propagate = False
    try:
        world = made(loop, program["setup"])
        logger.addHandler(Says(world))
        for step in program["steps"]:
            world.step(step)
        world.end()
        return world.trace
    finally:
        for handler in [each for each in logger.handlers if isinstance(each, Says)]:
            logger.removeHandler(handler)
        with contextlib.suppress(Exception):
            loop.close()
