"""Programs in which the protocol of a pipe does something to its transport, its loop or itself in a callback.

A scenario is a place (the callback) and an action. What it says must be the same on any loop; see
test_reentrancy_net.py.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable
from typing import Any

from stage import LoopStage

#: More than a pipe holds.
MUCH = 200_000


class Stage(LoopStage):
    """Two pipes, one that is read and one that is written to, and what has happened."""

    def __init__(self, new_loop: Callable[[], Any], place: str, action: str) -> None:
        super().__init__(new_loop, place, action)
        #: The transport whose callback is running, or ran last.
        self.transport: Any = None
        reading, self.writing = os.pipe()
        self.reading, writing = os.pipe()
        os.set_blocking(self.writing, False)
        os.set_blocking(self.reading, False)
        self.reader, self.writer = Protocol(self), Protocol(self)
        tasks = [
            self.loop.create_task(self.loop.connect_read_pipe(lambda: self.reader, open(reading, "rb", 0))),  # noqa: SIM115
            self.loop.create_task(self.loop.connect_write_pipe(lambda: self.writer, open(writing, "wb", 0))),  # noqa: SIM115
        ]
        self.turn(4)
        for task in tasks:
            if task.done() and not task.cancelled():
                self.say(f"made: {task.exception()!r}")
            task.cancel()

    def at(self, place: str, transport: Any) -> None:
        """A protocol's callback."""
        self.say(place)
        if place == self.place and self.acted < 2:
            self.acted += 1
            self.transport = transport
            ACTIONS[self.action](self)

    def feed(self, data: bytes) -> None:
        os.write(self.writing, data)
        self.turn(2)

    def drain(self) -> None:
        """Read what there is, and let more come."""
        size, idle = 0, 0
        while idle < 3:
            try:
                data = os.read(self.reading, 1 << 20)
            except BlockingIOError:
                idle += 1
                self.turn()
                continue
            if not data:
                self.say("end of the pipe")
                break
            size, idle = size + len(data), 0
        self.say(f"{size} have come")

    def shut(self, name: str) -> None:
        """Close a descriptor of ours, unless that was done."""
        number, self.__dict__[name] = getattr(self, name), -1
        if number >= 0:
            os.close(number)
        self.turn(3)


class Protocol(asyncio.Protocol):
    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.stage.at("connection_made", transport)

    def data_received(self, data: bytes) -> None:
        self.stage.say(f"{len(data)} bytes")
        self.stage.at("data_received", self.transport)

    def eof_received(self) -> Any:
        self.stage.at("eof_received", self.transport)

    def pause_writing(self) -> None:
        self.stage.at("pause_writing", self.transport)

    def resume_writing(self) -> None:
        self.stage.at("resume_writing", self.transport)

    def connection_lost(self, error: Any) -> None:
        self.stage.say(f"lost: {type(error).__name__}")
        self.stage.at("connection_lost", self.transport)


def forget_everything(stage: Stage) -> None:
    """All that the program has of the two."""
    stage.transport = None
    stage.reader.transport = stage.writer.transport = None
    gc.collect()


def nested_loop(stage: Stage) -> None:
    stage.loop.run_until_complete(asyncio.sleep(0))


def replace_buffer(stage: Stage) -> None:
    stage.transport._buffer = bytearray(b"other")


def raise_error(stage: Stage) -> None:
    raise ZeroDivisionError


def raise_system_exit(stage: Stage) -> None:
    raise SystemExit


def raise_base_exception(stage: Stage) -> None:
    raise GeneratorExit("odd")


ACTIONS: dict[str, Callable[[Stage], object]] = {
    "close": lambda stage: stage.transport.close(),
    "abort": lambda stage: stage.transport.abort(),
    "write": lambda stage: stage.transport.write(b"text"),
    "write much": lambda stage: stage.transport.write(bytes(MUCH)),
    "write to the other": lambda stage: stage.writer.transport.write(b"text"),
    "write_eof": lambda stage: stage.transport.write_eof(),
    "pause_reading": lambda stage: stage.transport.pause_reading(),
    "resume_reading": lambda stage: stage.transport.resume_reading(),
    "pause and resume": lambda stage: [stage.transport.pause_reading(), stage.transport.resume_reading()],
    "set_protocol": lambda stage: stage.transport.set_protocol(Protocol(stage)),
    "set_protocol none": lambda stage: stage.transport.set_protocol(None),
    "limits": lambda stage: stage.transport.set_write_buffer_limits(high=0),
    "stop": lambda stage: stage.loop.stop(),
    "close the loop": lambda stage: stage.loop.close(),
    "nested loop": nested_loop,
    "collect": lambda stage: gc.collect(),
    "forget everything": forget_everything,
    "close the pipe": lambda stage: stage.transport._pipe.close(),
    "more comes": lambda stage: os.write(stage.writing, b"more"),
    "writers go": lambda stage: stage.shut("writing"),
    "readers go": lambda stage: stage.shut("reading"),
    "connection lost by hand": lambda stage: stage.transport._call_connection_lost(None),
    "fatal error": lambda stage: stage.transport._fatal_error(ValueError("by hand"), "by hand"),
    "read ready by hand": lambda stage: stage.transport._read_ready(),
    "write ready by hand": lambda stage: stage.transport._write_ready(),
    "replace the buffer": replace_buffer,
    "look at the buffer": lambda stage: stage.say(str(len(stage.transport._buffer))),
    "repr": lambda stage: repr(stage.transport),
    "raise an error": raise_error,
    "raise SystemExit": raise_system_exit,
    "raise GeneratorExit": raise_base_exception,
}
PLACES = ("connection_made", "data_received", "eof_received", "pause_writing", "resume_writing", "connection_lost")


def scenario(new_loop: Callable[[], Any], place: str, action: str) -> str:
    """Go through all callbacks, and do the action at the place; what happened."""
    stage = Stage(new_loop, place, action)
    steps: list[Callable[[], object]] = [
        lambda: stage.feed(b"first"),
        lambda: stage.feed(bytes(10_000)),
        lambda: stage.writer.transport.write(bytes(MUCH)),
        lambda: stage.turn(2),
        stage.drain,
        lambda: stage.feed(b"second"),
        lambda: stage.shut("writing"),
        lambda: stage.writer.transport.write(b"last"),
        lambda: stage.writer.transport.close(),
        lambda: stage.turn(3),
        lambda: stage.shut("reading"),
    ]
    for step in steps:
        try:
            step()
        except BaseException as error:
            stage.say(f"{type(error).__name__}: {error}")
    for end in (stage.reader, stage.writer):
        try:
            if end.transport is not None:
                end.transport.close()
        except Exception as error:
            stage.say(f"{type(error).__name__}: {error}")
    for name in ("writing", "reading"):
        stage.shut(name)
    if not stage.loop.is_closed():
        stage.loop.close()
    said = stage.said
    stage.__dict__.clear()
    gc.collect()
    return "\n".join(said)
