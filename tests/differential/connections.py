"""Runs a program of connections: its transports, the peers of these, and protocols that say when they are called.

What is legitimately not the same twice is not said: how much a full socket takes (a buffer is empty or has something
in it), numbers of descriptors and ports, how a stream is cut into pieces where nothing else happens in between. What
a transport writes has its place in a stream of random bytes, so that a byte lost, doubled, misplaced or of another
connection is seen in the checksum of what arrives.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import fcntl
import gc
import os
import random
import re
import select
import socket
import struct
import termios
import zlib
from collections.abc import Callable
from typing import Any

from .interpreter import CALLS, LAST_TURNS, World, forget_frames

#: So much is surely taken by a socket whose peer has read everything before.
FITS = 100_000
#: So much is read at once by any transport; of more, ours may leave some for the next turn.
READ_AT_ONCE = 65_536
#: So much is surely not taken.
OVERFLOWS = 2_000_000
#: How long a kernel may take to show at one end of a TCP connection what was done at the other.
PATIENCE_MS = 100
#: The buffers of TCP sockets, so that the kernel does not enlarge them.
TCP_BUFFER = 100_000
CONNECTIONS = 4


class Stream:
    """Bytes that are at no two places the same."""

    def __init__(self, seed: str) -> None:
        self._block = random.Random(seed).randbytes(65_521)
        self.position = 0

    def take(self, size: int) -> bytes:
        start = self.position % len(self._block)
        self.position += size
        return (self._block * ((start + size) // len(self._block) + 1))[start : start + size]


class Connection:
    """A transport, the protocols that it has had, and the plain socket or other connection at its other end."""

    def __init__(self, world: Network, which: str) -> None:
        self.world, self.which = world, which
        self.label = f"c{len(world.connections)}"
        self.transport: Any = None
        self.peer: socket.socket | None = None
        self.other: Connection | None = None
        self.out, self.back = Stream(f"{self.label} out"), Stream(f"{self.label} back")
        #: How many bytes were handed to the transport, have come to its peer, and have come to its protocols.
        self.written = self.arrived = self.received = 0
        self.protocols = 0
        self.sends_files = self.draining = False
        world.connections.append(self)

    def under_way(self) -> int:
        """What was written and has not arrived."""
        return self.written - (self.other.received if self.other is not None else self.arrived)

    def may_write(self, size: int) -> bool:
        """Is it known without asking the kernel whether the socket takes that?"""
        if self.draining:  # it makes room, nobody knows how much at a time
            return False
        total = self.under_way() + size
        if self.other is not None:
            return total <= READ_AT_ONCE
        return total <= FITS or total >= OVERFLOWS

    def descriptor(self) -> int:
        """That of the transport's socket; -1 where there is none any more."""
        sock = None if self.transport is None else self.transport.get_extra_info("socket")
        return -1 if sock is None else int(sock.fileno())

    def has_descriptor(self) -> bool:
        """Whether the transport's socket is open, and has the number that the transport knows."""
        sock = self.transport._sock
        return sock is not None and bool(sock.fileno() == self.transport._sock_fd)

    def wait_for(self, descriptor: int, what: Callable[[], bool]) -> None:
        """Give TCP the time to show something at one end."""
        if self.which == "unix" or descriptor < 0:
            return
        poller = select.poll()
        for _ in range(PATIENCE_MS):
            if what():
                return
            poller.poll(1)

    def wait_until_readable(self, size: int) -> None:
        """Until the transport's socket has so much unread."""
        descriptor = self.descriptor()
        self.wait_for(descriptor, lambda: unread(descriptor) >= size)

    def wait_until_ended(self) -> None:
        """Until the transport's socket knows that its peer has closed, shut down or reset."""
        descriptor = self.descriptor()
        if descriptor >= 0:
            poller = select.poll()
            poller.register(descriptor, select.POLLRDHUP)
            self.wait_for(descriptor, lambda: bool(poller.poll(0)))

    def __repr__(self) -> str:
        return self.label


def unread(descriptor: int) -> int:
    size: int = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"\0" * 4))[0]
    return size


class Loud:
    """A protocol's callbacks: each says that it is called, and does what the program wants it to."""

    def __init__(self, connection: Connection, description: dict[str, Any]) -> None:
        self.connection, self.world = connection, connection.world
        self.description = description
        self.label = f"{connection}.{connection.protocols}"
        connection.protocols += 1

    def __repr__(self) -> str:
        return f"<protocol {self.label}>"

    def called(self, name: str, *details: Any) -> None:
        self.world.enter(f"{self.label} {name}", *details)
        self.act(name)

    def act(self, name: str) -> None:
        self.world.calls += 1
        actions = self.description["does"].get(name)
        if actions and self.world.calls <= CALLS:
            before, self.world.here = self.world.here, self.connection
            try:
                self.world.perform(actions)
            finally:
                self.world.here = before

    def came(self, name: str, data: bytes) -> None:
        self.connection.received += len(data)
        self.world.say_bytes(f"{self.label} {name}", data)
        self.act(name)

    def connection_made(self, transport: Any) -> None:
        if self.connection.transport is None:
            self.connection.transport = transport
        self.called("connection_made", transport is self.connection.transport)

    def connection_lost(self, error: Any) -> None:
        self.called("connection_lost", error)

    def eof_received(self) -> Any:
        self.called("eof_received")
        return self.description["eof"]

    def pause_writing(self) -> None:
        self.called("pause_writing")

    def resume_writing(self) -> None:
        self.called("resume_writing")


class Plain(Loud, asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.came("data_received", data)


class Buffered(Loud, asyncio.BufferedProtocol):
    def get_buffer(self, sizehint: int) -> Any:
        self.called("get_buffer", sizehint)
        self.room = bytearray(5 if self.description["buffer"] == "short" else 65_536)
        buffers: dict[str, Callable[[], Any]] = {
            "bytearray": lambda: self.room,
            "short": lambda: self.room,
            "memoryview": lambda: memoryview(self.room),
            "of ints": lambda: memoryview(self.room).cast("i"),
            "strided": lambda: memoryview(self.room)[::2],
            "empty": lambda: b"",
            "read-only": lambda: b"0123456789",
            "none": lambda: None,
        }
        return buffers[self.description["buffer"]]()

    def buffer_updated(self, size: int) -> None:
        self.came("buffer_updated", bytes(self.room[:size]))


class AtOnce(concurrent.futures.ThreadPoolExecutor):
    """An executor without threads, which would be done sooner or later."""

    def submit(
        self, function: Callable[..., Any], /, *arguments: Any, **options: Any
    ) -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            future.set_result(function(*arguments, **options))
        except Exception as error:
            future.set_exception(error)
        return future


class Network(World):
    """A program's loop, its connections, and its trace."""

    def __init__(self, new_loop: Callable[[], Any], setup: dict[str, Any]) -> None:
        self.open_before = descriptors()
        self.connections: list[Connection] = []
        self.here: Connection | None = None
        self.servers: list[Any] = []
        #: What is closed at the end: sockets, files, and descriptors that nothing owns any more.
        self.closed_at_end: list[Any] = []
        self.lines_with_bytes: tuple[str, str, int, bytes] = ("", "", -1, b"")
        super().__init__(new_loop, setup)
        self.loop.set_default_executor(AtOnce())

    def operations(self) -> dict[str, Callable[..., Any]]:
        from .network_operations import OPERATIONS

        return OPERATIONS

    def connection(self, index: int) -> Connection | None:
        if index < 0:
            return self.here
        return self.connections[index % len(self.connections)] if self.connections else None

    def protocol(self, connection: Connection, description: dict[str, Any]) -> Loud:
        return (Buffered if description["buffered"] else Plain)(connection, description)

    # --- the trace

    def say(self, what: str, *details: Any) -> None:
        """Not that a socket was not closed: it is chance whether it or its transport, which closes it, dies first."""
        if not (what == "warning:" and str(details[0]).startswith("unclosed <socket.socket")):
            super().say(what, *details)

    def say_bytes(self, what: str, data: bytes) -> None:
        """Say what came; it is added to what came before, where that was the last thing that was said."""
        current = self.label(self.current())
        known, task, line, before = self.lines_with_bytes
        if (what, current, len(self.trace)) == (known, task, line):
            self.trace.pop()
            data = before + data
        self.enter(what, f"{len(data)} bytes {zlib.crc32(data):08x}")
        self.lines_with_bytes = (what, current, len(self.trace), data)

    def show(self, value: Any, depth: int = 0) -> str:
        for connection in self.connections:
            if value is not None and value is connection.transport:
                return f"transport of {connection}"
        return super().show(value, depth)

    def plain(self, text: str) -> str:
        text = super().plain(text)
        text = re.sub(r"\b(fd=|fd |File descriptor |fileno=|_add_reader\()\d+", r"\1N", text)
        text = re.sub(r"bufsize=[1-9]\d*", "bufsize=some", text)
        text = re.sub(r"KeyError\(\d+\)", "KeyError(N)", text)
        text = re.sub(r"b'\\x00[0-9a-f]{5}'", "NAME", text)
        return re.sub(r"('(?:127\.0\.0\.1|::1)', )\d+", r"\1PORT", text)

    # --- running

    def quiet_turn(self, times: int = 1) -> None:
        """Turns of the loop that say only what goes wrong."""
        for _ in range(times):
            self.loop.call_soon(self.loop.stop)
            try:
                self.loop.run_forever()
            except BaseException as error:
                self.say("the loop raised", error)
                forget_frames(error)

    def listener(self, which: str) -> socket.socket:
        """A new listening socket."""
        if which == "unix":
            listening = socket.socket(socket.AF_UNIX)
            listening.bind("")  # an abstract name of the kernel's choice
        else:
            family, host = (socket.AF_INET, "127.0.0.1") if which == "tcp4" else (socket.AF_INET6, "::1")
            listening = socket.socket(family)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, TCP_BUFFER)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, TCP_BUFFER)
            listening.bind((host, 0))
        listening.listen()
        listening.setblocking(False)
        return listening

    def dial(self, listening: socket.socket) -> socket.socket:
        """A socket that is connected to a listening one."""
        made = socket.socket(listening.family)
        if listening.family != socket.AF_UNIX:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, TCP_BUFFER)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, TCP_BUFFER)
        made.connect(listening.getsockname())
        made.setblocking(False)
        return made

    def pair(self, which: str) -> tuple[socket.socket, socket.socket]:
        if which == "unix":
            pair = socket.socketpair()
        else:
            with self.listener(which) as listening:
                one = self.dial(listening)
                select.select([listening], [], [])
                pair = one, listening.accept()[0]
        for each in pair:
            each.setblocking(False)
        return pair

    def finish(self) -> None:
        """Let everything come to its end: the peers first, then what is still open."""
        self.quiet_turn(LAST_TURNS)
        for index in range(len(self.connections)):
            self.perform([["state", index]])
        for index in range(len(self.connections)):
            self.perform([["peer_drain", index], ["peer_end", index, "close"], ["turn"]])
        self.quiet_turn(LAST_TURNS)
        for server in self.servers:
            server.close()
        for index, connection in enumerate(self.connections):
            self.perform([["state", index]])
            if connection.transport is not None:
                self.perform([["abort", index]])
        self.quiet_turn(LAST_TURNS)
        for index in range(len(self.connections)):
            self.perform([["state", index]])
        self.end_of_all()

    def end_of_all(self) -> None:
        from .operations import in_any_order

        for connection in self.connections:
            connection.transport = connection.other = connection.peer = None
        self.servers.clear()
        in_any_order(self, self.forget)
        self.loop.close()
        self.perform([["collect"]])
        for each in self.closed_at_end:
            if isinstance(each, int):
                with contextlib.suppress(OSError):
                    os.close(each)
            else:
                each.close()
        gc.collect()
        self.say("descriptors left", descriptors() - self.open_before)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
