"""Programs in which a protocol does something to its connection, its loop or itself in the middle of a callback.

A scenario is a place (the callback) and an action. What it says must be the same on any loop; see
test_reentrancy_net.py.
"""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable
from typing import Any

from stage import LoopStage

#: More than both ends' buffers hold.
MUCH = 2_000_000


class Stage(LoopStage):
    """A connection, its peer, and what has happened."""

    def __init__(self, new_loop: Callable[[], Any], place: str, action: str) -> None:
        super().__init__(new_loop, place, action)
        self.transport: Any = None
        self.extra: list[Any] = []
        self.server: Any = None
        kind = Buffered if place in ("get_buffer", "buffer_updated") else Plain
        self.first = kind(self)
        protocol = self.first
        if place in OF_SERVERS:
            mine = socket.socket(socket.AF_UNIX)
            mine.bind("")  # a name of the kernel's choice
            mine.setblocking(False)

            def factory() -> Any:
                self.at("factory")
                return protocol

            task = self.loop.create_task(self.serve(factory, mine))
            self.turn(3)
            self.peer = socket.socket(socket.AF_UNIX)
            self.peer.connect(mine.getsockname())
            self.peer.setblocking(False)
        else:
            mine, self.peer = socket.socketpair()
            mine.setblocking(False)
            self.peer.setblocking(False)
            task = self.loop.create_task(self.loop.create_unix_connection(lambda: protocol, sock=mine))
        self.turn(4)
        if task.done() and not task.cancelled():
            self.say(f"made: {task.exception()!r}")
        task.cancel()
        del mine, task

    async def serve(self, factory: Callable[[], Any], listening: socket.socket) -> None:
        self.server = await self.loop.create_unix_server(factory, sock=listening)

    def at(self, place: str) -> None:
        """A protocol's callback."""
        self.say(place)
        if place == self.place and self.acted < 2:
            self.acted += 1
            ACTIONS[self.action](self)

    def drain(self) -> None:
        """Read what there is, and let more come."""
        size, idle = 0, 0
        while idle < 3:
            try:
                data = self.peer.recv(1 << 20)
            except BlockingIOError:
                idle += 1
                self.turn()
                continue
            except OSError as error:
                self.say(type(error).__name__)
                break
            if not data:
                self.say("end of the stream")
                break
            size, idle = size + len(data), 0
        self.say(f"the peer got {size}")


class Common:
    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def connection_made(self, transport: Any) -> None:
        self.stage.transport = transport
        self.stage.at("accepted" if self.stage.server else "connection_made")

    def eof_received(self) -> Any:
        self.stage.at("eof_received")
        return True

    def pause_writing(self) -> None:
        self.stage.at("pause_writing")

    def resume_writing(self) -> None:
        self.stage.at("resume_writing")

    def connection_lost(self, error: Any) -> None:
        self.stage.say(f"lost: {type(error).__name__}")
        self.stage.at("connection_lost")


class Plain(Common, asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        self.stage.say(f"{len(data)} bytes")
        self.stage.at("data_received")


class Buffered(Common, asyncio.BufferedProtocol):
    def get_buffer(self, sizehint: int) -> Any:
        self.room = bytearray(100)
        self.stage.at("get_buffer")
        return self.room

    def buffer_updated(self, size: int) -> None:
        self.stage.say(f"{size} bytes")
        self.stage.at("buffer_updated")


def forget_everything(stage: Stage) -> None:
    """All that the program has of the connection."""
    stage.transport = None
    del stage.first
    gc.collect()


def replace_dictionary(stage: Stage) -> None:
    stage.transport.__dict__.clear()


def nested_loop(stage: Stage) -> None:
    stage.loop.run_until_complete(asyncio.sleep(0))


def raise_system_exit(stage: Stage) -> None:
    raise SystemExit


def raise_base_exception(stage: Stage) -> None:
    raise GeneratorExit("odd")


def raise_error(stage: Stage) -> None:
    raise ZeroDivisionError


def shrink(stage: Stage) -> None:
    """The buffer that was handed over, or one like it."""
    room = getattr(stage.first, "room", None)
    if room is not None:
        try:
            del room[:]
        except BufferError as error:
            stage.say(str(error))


def all_at_once(stage: Stage) -> None:
    transport = stage.transport
    transport.pause_reading()
    transport.write(b"a")
    transport.set_protocol(Plain(stage))
    transport.resume_reading()
    transport.writelines([b"b", b"c"])
    transport.write_eof()
    transport.close()
    transport.abort()


ACTIONS: dict[str, Callable[[Stage], object]] = {
    "close": lambda stage: stage.transport.close(),
    "abort": lambda stage: stage.transport.abort(),
    "write": lambda stage: stage.transport.write(b"text"),
    "write much": lambda stage: stage.transport.write(bytes(MUCH)),
    "writelines": lambda stage: stage.transport.writelines(each for each in (b"a", b"b")),
    "write_eof": lambda stage: stage.transport.write_eof(),
    "pause_reading": lambda stage: stage.transport.pause_reading(),
    "resume_reading": lambda stage: stage.transport.resume_reading(),
    "set_protocol plain": lambda stage: stage.transport.set_protocol(Plain(stage)),
    "set_protocol buffered": lambda stage: stage.transport.set_protocol(Buffered(stage)),
    "set_protocol none": lambda stage: stage.transport.set_protocol(None),
    "limits": lambda stage: stage.transport.set_write_buffer_limits(high=0),
    "close the server": lambda stage: stage.server.close(),
    "stop": lambda stage: stage.loop.stop(),
    "close the loop": lambda stage: stage.loop.close(),
    "nested loop": nested_loop,
    "collect": lambda stage: gc.collect(),
    "forget everything": forget_everything,
    "clear the dictionary": replace_dictionary,
    "close the socket": lambda stage: stage.transport._sock.close(),
    "peer sends": lambda stage: stage.peer.send(b"more"),
    "peer closes": lambda stage: stage.peer.close(),
    "connection lost by hand": lambda stage: stage.transport._call_connection_lost(None),
    "force close": lambda stage: stage.transport._force_close(ValueError("by hand")),
    "fatal error": lambda stage: stage.transport._fatal_error(ValueError("by hand"), "by hand"),
    "empty waiter": lambda stage: stage.transport._make_empty_waiter(),
    "read ready by hand": lambda stage: stage.transport._read_ready(),
    "write ready by hand": lambda stage: stage.transport._write_ready(),
    "repr": lambda stage: repr(stage.transport),
    "shrink the buffer": shrink,
    "all at once": all_at_once,
    "raise an error": raise_error,
    "raise SystemExit": raise_system_exit,
    "raise GeneratorExit": raise_base_exception,
}
#: Of a connection that a server accepts.
OF_SERVERS = ("factory", "accepted")
PLACES = (
    *OF_SERVERS,
    "connection_made",
    "data_received",
    "get_buffer",
    "buffer_updated",
    "eof_received",
    "pause_writing",
    "resume_writing",
    "connection_lost",
)


def scenario(new_loop: Callable[[], Any], place: str, action: str) -> str:
    """Go through all callbacks, and do the action at the place; what happened."""
    stage = Stage(new_loop, place, action)
    steps: list[Callable[[], object]] = [
        lambda: stage.peer.send(b"first"),
        lambda: stage.transport.write(bytes(MUCH)),
        lambda: stage.turn(2),
        stage.drain,
        lambda: stage.peer.send(b"second"),
        lambda: stage.turn(2),
        lambda: stage.peer.shutdown(socket.SHUT_WR),
        lambda: stage.turn(2),
        lambda: stage.transport.close(),
        lambda: stage.turn(3),
        lambda: stage.peer.close(),
        lambda: stage.turn(2),
    ]
    for step in steps:
        try:
            step()
        except BaseException as error:
            stage.say(f"{type(error).__name__}: {error}")
    if stage.server is not None:
        stage.server.close()
    if stage.transport is not None:
        try:
            stage.transport.abort()
        except Exception as error:
            stage.say(f"{type(error).__name__}: {error}")
        stage.turn(3)
    if not stage.loop.is_closed():
        stage.loop.close()
    said = stage.said
    stage.__dict__.clear()
    gc.collect()
    return "\n".join(said)
