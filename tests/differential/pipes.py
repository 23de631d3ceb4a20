"""Random programs of two pipes with transports, one that reads and one that writes; what a program is, programs.py
says. And what runs them.

The other ends are descriptors that the program reads and writes between the loop's turns. How much of what is written a
pipe has taken is not said where it is between what surely fits and what surely does not.
"""

from __future__ import annotations

import asyncio
import os
import socket
import zlib
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from . import one_end
from .programs import Program, operation

SIZE = st.sampled_from([0, 1, 7, 500, 4096, 5000, 300_000])
FITS = st.sampled_from([1, 7, 500, 4096, 5000])
KIND = st.sampled_from(["bytes", "bytes", "bytearray", "memoryview", "changed", "wide", "str", "None"])
WHO = st.sampled_from(["reader", "writer"])
ACTION = st.one_of(
    operation("write", KIND, SIZE),
    operation("write", KIND, SIZE),
    operation("write", KIND, SIZE),
    operation("writelines", st.lists(SIZE, max_size=3)),
    operation("write_eof"),
    operation("close", WHO),
    operation("abort"),
    operation("pause_reading"),
    operation("resume_reading"),
    operation("limits", st.sampled_from([None, 0, 1, 1000, 100_000])),
    operation("look"),
    operation("raise", st.sampled_from(sorted(one_end.ERRORS))),
    operation("peer_write", FITS),
    operation("call_soon", st.sampled_from(["look", "abort", "pause_reading", "resume_reading", "write_eof"])),
)
CALLBACKS = ["data_received", "eof_received", "pause_writing", "resume_writing", "connection_lost"]
DOES = st.dictionaries(st.sampled_from(CALLBACKS), st.lists(ACTION, max_size=3), max_size=2)
STEP = st.one_of(
    ACTION,
    operation("peer_write", st.one_of(FITS, st.just(60_000))),
    operation("peer_read"),
    operation("peer_close", WHO),
    operation("set_protocol", WHO, DOES),
)
SETUP = st.fixed_dictionaries(
    {
        "pipes": st.sampled_from(["pipe", "pipe", "socket"]),
        "reader": DOES,
        "writer": DOES,
    }
)
PIPES: st.SearchStrategy[Program] = st.fixed_dictionaries({"setup": SETUP, "steps": st.lists(STEP, max_size=12)})

#: So much is surely taken at once, and so much surely not.
TAKEN, OVERFLOWS = 20_000, 300_000


class Loud(asyncio.Protocol):
    """Its callbacks say that they are called."""

    def __init__(self, world: World, who: str, does: dict[str, Any]) -> None:
        self.world, self.who, self.does = world, who, does

    def called(self, name: str, *details: object) -> None:
        self.world.called(self.does, name, self.who, *details)

    def connection_made(self, transport: Any) -> None:
        self.called("connection_made")

    def data_received(self, data: bytes) -> None:
        self.called("data_received", type(data).__name__, len(data), zlib.crc32(data))

    def eof_received(self) -> None:
        self.called("eof_received")

    def pause_writing(self) -> None:
        self.called("pause_writing")

    def resume_writing(self) -> None:
        self.called("resume_writing")

    def connection_lost(self, error: Exception | None) -> None:
        self.called("connection_lost", error)


def ends(which: str) -> tuple[int, int]:
    """The descriptors of a pipe's two ends, to read from and to write to."""
    if which == "socket":
        one, other = socket.socketpair()
        return one.detach(), other.detach()
    return os.pipe()


class World(one_end.World):
    """A program's loop, its two transports, and the other ends of their pipes."""

    turns = 12

    def __init__(self, loop: Any, setup: dict[str, Any]) -> None:
        super().__init__(loop)
        self.which = setup["pipes"]
        self.written = self.read = self.position = 0
        reading, self.to_reader = ends(self.which)
        self.from_writer, writing = ends(self.which)
        for descriptor in (self.to_reader, self.from_writer):
            os.set_blocking(descriptor, False)
        files = open(reading, "rb", 0), open(writing, "wb", 0)  # noqa: SIM115  # the transports close them
        connecting = [
            loop.connect_read_pipe(lambda: Loud(self, "reader", setup["reader"]), files[0]),
            loop.connect_write_pipe(lambda: Loud(self, "writer", setup["writer"]), files[1]),
        ]
        self.reader, self.writer = (loop.run_until_complete(each)[0] for each in connecting)
        self.settle()
        for transport in (self.reader, self.writer):
            is_ours = type(transport).__module__.startswith("rasyncio")
            assert is_ours == type(loop).__module__.startswith("rasyncio")

    def data(self, size: int) -> bytes:
        """Bytes that are at no two places the same."""
        self.position += size + 1
        start = self.position % 200_000
        return self.stream[start : start + size]

    # --- the program's end

    def may_write(self, size: int) -> bool:
        """Is it known without asking the kernel whether the pipe takes that?"""
        is_empty = self.written == self.read
        return self.written - self.read + size <= TAKEN or (is_empty and size >= OVERFLOWS)

    def do_write(self, kind: str, size: int) -> Any:
        if not self.may_write(size):
            return "not now"
        size -= size % 4 if kind == "wide" else 0
        data = self.data(size)
        changed = bytearray(data)
        sent = self.writer.write(one_end.given(kind, data, changed))
        if kind not in ("str", "None") and not self.writer.is_closing():
            self.written += size
        if size < OVERFLOWS:
            changed[:] = bytes(size)
        return sent

    def do_writelines(self, sizes: list[int]) -> Any:
        sizes = [size for size in sizes if size < OVERFLOWS]
        if not self.may_write(sum(sizes)):
            return "not now"
        sent = self.writer.writelines([self.data(size) for size in sizes])
        if not self.writer.is_closing():
            self.written += sum(sizes)
        return sent

    def do_write_eof(self) -> Any:
        return [self.writer.can_write_eof(), self.writer.write_eof()]

    def do_close(self, who: str) -> Any:
        return getattr(self, who).close()

    def do_abort(self) -> Any:
        return self.writer.abort()

    def do_pause_reading(self) -> Any:
        return self.reader.pause_reading()

    def do_resume_reading(self) -> Any:
        return self.reader.resume_reading()

    def do_limits(self, high: int | None) -> Any:
        self.writer.set_write_buffer_limits(high)
        return self.writer.get_write_buffer_limits()

    def do_look(self) -> Any:
        reader, writer = self.reader, self.writer
        waits = writer.get_write_buffer_size() > 0
        return [reader.is_closing(), reader.is_reading(), writer.is_closing(), waits]

    def do_call_soon(self, what: str) -> Any:
        self.loop.call_soon(self.perform, [what])

    def do_set_protocol(self, who: str, does: dict[str, Any]) -> Any:
        return getattr(self, who).set_protocol(Loud(self, who, does))

    # --- the other ends

    def do_peer_write(self, size: int) -> Any:
        if self.to_reader < 0:
            return "closed"
        try:
            return os.write(self.to_reader, self.data(size))
        except OSError as error:
            return error

    def do_peer_read(self) -> Any:
        """All that comes."""
        received, idle, ended = bytearray(), 0, False
        while self.from_writer >= 0 and idle < 3:
            try:
                piece = os.read(self.from_writer, 1 << 18)
                ended = not piece
            except BlockingIOError:
                piece = b""
            received += piece
            idle = 0 if piece else idle + 1
            if self.loop.is_running():
                break
            self.settle()
        self.read += len(received)
        if self.writer.get_write_buffer_size() == 0:
            self.written = self.read
        return [len(received), zlib.crc32(received), ended]

    def do_peer_close(self, who: str) -> Any:
        name = "to_reader" if who == "reader" else "from_writer"
        if getattr(self, name) >= 0:
            os.close(getattr(self, name))
            setattr(self, name, -1)

    def end(self) -> None:
        self.step(["peer_read"])
        self.step(["look"])
        self.step(["close", "reader"])
        self.step(["close", "writer"])
        self.step(["peer_read"])
        self.step(["abort"])
        for who in ("reader", "writer"):
            self.do_peer_close(who)


def run(new_loop: Callable[[], Any], program: Program) -> list[str]:
    """The trace of a program."""
    return one_end.run(new_loop, program, World)
