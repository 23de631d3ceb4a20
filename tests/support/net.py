"""Connections with a transport at one end, and at the other a plain socket that the test drives."""

from __future__ import annotations

import asyncio
import inspect
import os
import socket
import time
from asyncio import selector_events
from collections.abc import Callable
from typing import Any, NamedTuple

from .loops import turn

WHICH = ("unix", "tcp4", "tcp6")
#: asyncio's own transport may forget that its connection is lost, if it was closed with a full buffer: to abort it then
#: fails (gh-156512).
FORGETS_LOSS = "not self._conn_lost" not in inspect.getsource(
    selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
)
#: More than the buffers of a connection's two sockets hold together.
HUGE = 3_000_000
BUFFER = 100_000


class Recorder(asyncio.Protocol):
    """Writes down what it is told, data in one piece where nothing else comes in between."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.data = bytearray()
        self.transport: Any = None
        self.lost = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.events.append("connection_made")

    def data_received(self, data: bytes) -> None:
        self.data += data
        if self.events and isinstance(self.events[-1], bytes):
            data = self.events.pop() + data
        self.events.append(data)

    def eof_received(self) -> Any:
        self.events.append("eof_received")

    def pause_writing(self) -> None:
        self.events.append("pause_writing")

    def resume_writing(self) -> None:
        self.events.append("resume_writing")

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self.events.append(f"connection_lost {error!r}")


class Ends(NamedTuple):
    transport: Any
    protocol: Any
    peer: socket.socket


def listener(which: str) -> socket.socket:
    """A new listening socket; a Unix one has an abstract name of the kernel's choice."""
    family = {"unix": socket.AF_UNIX, "tcp4": socket.AF_INET, "tcp6": socket.AF_INET6}[which]
    made = socket.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    made.bind({"unix": "", "tcp4": ("127.0.0.1", 0), "tcp6": ("::1", 0)}[which])
    made.listen()
    made.setblocking(False)
    return made


def dial(listening: socket.socket) -> socket.socket:
    """A socket that is connected to a listening one."""
    made = socket.socket(listening.family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    made.connect(listening.getsockname())
    made.setblocking(False)
    return made


def socket_pair(which: str) -> tuple[socket.socket, socket.socket]:
    if which == "unix":
        pair = socket.socketpair()
        pair[0].setblocking(False)
        pair[1].setblocking(False)
        return pair
    with listener(which) as listening:
        listening.settimeout(20)
        one = dial(listening)
        other = listening.accept()[0]
    other.setblocking(False)
    return one, other


def connected(loop: Any, which: str = "unix", protocol: Any = None, sock: Any = None) -> Ends:
    """A transport in the loop, and its peer."""
    mine, peer = (sock, None) if sock is not None else socket_pair(which)
    protocol = protocol or Recorder()
    create = loop.create_unix_connection if which == "unix" else loop.create_connection
    transport, _ = loop.run_until_complete(create(lambda: protocol, sock=mine))
    return Ends(transport, protocol, peer)


def is_native(transport: Any) -> bool:
    """Is it one of ours, not asyncio's?"""
    return type(transport).__module__.startswith("rasyncio")


def until(loop: Any, condition: Callable[[], Any], seconds: float = 20) -> None:
    """Let the loop run until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come"
        loop.run_until_complete(asyncio.sleep(0.001))


def receive(loop: Any, peer: socket.socket, size: int) -> bytes:
    """So many bytes from a peer, while the loop runs; fewer if its stream ends."""
    data = bytearray()

    def is_there() -> bool:
        while len(data) < size:
            try:
                piece = peer.recv(size - len(data))
            except BlockingIOError:
                return False
            if not piece:
                return True
            data.extend(piece)
        return True

    until(loop, is_there)
    return bytes(data)


def receive_all(loop: Any, peer: socket.socket) -> bytes:
    """What comes until the stream ends."""
    data, ended = bytearray(), False

    def is_over() -> bool:
        nonlocal ended
        while not ended:
            try:
                piece = peer.recv(1 << 20)
            except BlockingIOError:
                return False
            data.extend(piece)
            ended = not piece
        return True

    until(loop, is_over)
    return bytes(data)


def finish(loop: Any, *ends: Ends) -> None:
    """Close both ends, and let the loop see that."""
    for transport, protocol, peer in ends:
        transport.abort()
        if peer is not None:
            peer.close()
        until(loop, lambda protocol=protocol: getattr(protocol, "lost", True))
    turn(loop, 3)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
