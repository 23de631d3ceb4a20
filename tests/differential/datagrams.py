"""Random programs of a transport of datagrams; what a program is, programs.py says. And what runs them.

Two plain sockets are at the other end: the peer, to which a connected transport is connected, and another one. Ours
receives several datagrams for an event where asyncio's receives one, so all that have come are received before
anything else is done; what a callback does to the transport must count before the next one all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import zlib
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from support.net import is_native

from . import one_end
from .programs import Program, operation

#: 70,000 is more than a datagram of the internet has room for.
SIZE = st.sampled_from([0, 1, 7, 500, 1472, 4096, 9000, 65_507, 70_000])
FITS = st.sampled_from([0, 1, 7, 500, 1472, 4096])
KIND = st.sampled_from(["bytes", "bytes", "bytearray", "memoryview", "changed", "wide", "str", "None", "subclass"])
WHERE = st.sampled_from(["none", "none", "peer", "peer", "other", "nowhere", "name", "number", "short"])
ACTION = st.one_of(
    operation("sendto", KIND, SIZE, WHERE),
    operation("sendto", KIND, SIZE, WHERE),
    operation("sendto", KIND, SIZE, WHERE),
    operation("close"),
    operation("abort"),
    operation("limits", st.sampled_from([None, 0, 1, 1000, 100_000])),
    operation("look"),
    operation("raise", st.sampled_from(sorted(one_end.ERRORS))),
    operation("peer_send", st.lists(FITS, min_size=1, max_size=3)),
    operation("other_send", FITS),
    operation("call_soon", st.sampled_from(["close", "abort", "look"])),
)
CALLBACKS = ["datagram_received", "error_received", "pause_writing", "resume_writing", "connection_lost"]
DOES = st.dictionaries(st.sampled_from(CALLBACKS), st.lists(ACTION, max_size=3), max_size=2)
STEP = st.one_of(
    ACTION,
    operation("peer_send", st.lists(FITS, min_size=1, max_size=20)),
    operation("other_send", FITS),
    operation("peer_receive"),
    operation("burst", st.integers(2, 30), FITS, st.sampled_from(["none", "peer", "other"])),
    operation("peer_close"),
    operation("set_protocol", DOES),
    operation("close_socket", st.sampled_from(["close", "detach"])),
)
SETUP = st.fixed_dictionaries(
    {
        "datagrams": st.sampled_from(["udp4", "udp6", "unix", "unix", "pair"]),
        "connected": st.booleans(),
        "does": DOES,
    }
)
DATAGRAMS: st.SearchStrategy[Program] = st.fixed_dictionaries({"setup": SETUP, "steps": st.lists(STEP, max_size=12)})

LOCAL: dict[str, tuple[int, Any]] = {
    "udp4": (socket.AF_INET, ("127.0.0.1", 0)),
    "udp6": (socket.AF_INET6, ("::1", 0)),
    "unix": (socket.AF_UNIX, ""),  # the kernel chooses a name
}


def plain_socket(which: str) -> socket.socket:
    family, address = LOCAL[which]
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.bind(address)
    made.setblocking(False)
    return made


class Loud(asyncio.DatagramProtocol):
    """Its callbacks say that they are called."""

    def __init__(self, world: World, does: dict[str, Any]) -> None:
        self.world, self.does = world, does

    def called(self, name: str, *details: object) -> None:
        self.world.called(self.does, name, *details)

    def connection_made(self, transport: Any) -> None:
        self.world.transport = transport
        self.called("connection_made")

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.called("datagram_received", type(data).__name__, len(data), zlib.crc32(data), self.world.label_of(address))

    def error_received(self, error: Exception) -> None:
        self.called("error_received", error)

    def pause_writing(self) -> None:
        self.called("pause_writing")

    def resume_writing(self) -> None:
        self.called("resume_writing")

    def connection_lost(self, error: Exception | None) -> None:
        self.called("connection_lost", error)


class World(one_end.World):
    """A program's loop, its transport, and two sockets."""

    #: More than there are datagrams on their way.
    turns = 100

    def __init__(self, loop: Any, setup: dict[str, Any]) -> None:
        super().__init__(loop)
        self.transport: Any = None
        self.which = setup["datagrams"]
        self.position = 0
        self.peer: socket.socket | None
        if self.which == "pair":
            mine, self.peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.peer.setblocking(False)
            mine.setblocking(False)
            self.other = plain_socket("unix")
            self.names: dict[Any, str] = {}
        else:
            mine, self.peer, self.other = (plain_socket(self.which) for _ in range(3))
            self.names = {
                mine.getsockname(): "mine",
                self.peer.getsockname(): "peer",
                self.other.getsockname(): "other",
            }
            if setup["connected"]:
                mine.connect(self.peer.getsockname())
        self.addresses = {label: address for address, label in self.names.items()}
        self.addresses |= {
            "nowhere": ("127.0.0.1", "http-no"),
            "name": "\0no such socket",
            "number": 5,
            "short": ("::1",),
        }
        self.closed_at_end: list[int] = []
        protocol = Loud(self, setup["does"])
        loop.run_until_complete(loop.create_datagram_endpoint(lambda: protocol, sock=mine))
        self.settle()
        assert is_native(self.transport) == type(loop).__module__.startswith("rasyncio")

    def label_of(self, address: Any) -> Any:
        return self.names.get(address, address)

    def data(self, size: int) -> bytes:
        """Bytes that are at no two places the same."""
        self.position += size + 1
        start = self.position % 500_000
        return self.stream[start : start + size]

    # --- the program's end

    def do_sendto(self, kind: str, size: int, where: str) -> Any:
        if self.which == "pair":
            return "asyncio cannot"
        size -= size % 4 if kind == "wide" else 0
        data = self.data(size)
        changed = bytearray(data)
        made = one_end.given(kind, data, changed)
        sent = self.transport.sendto(made) if where == "none" else self.transport.sendto(made, self.addresses[where])
        changed[:] = bytes(size)
        return sent

    def do_burst(self, count: int, size: int, where: str) -> Any:
        for _ in range(count):
            self.do_sendto("bytes", size, where)
        return self.transport.get_write_buffer_size()

    def do_close(self) -> Any:
        return self.transport.close()

    def do_abort(self) -> Any:
        return self.transport.abort()

    def do_limits(self, high: int | None) -> Any:
        self.transport.set_write_buffer_limits(high)
        return self.transport.get_write_buffer_limits()

    def do_look(self) -> Any:
        transport = self.transport
        waiting = [(len(data), self.label_of(address)) for data, address in transport._buffer]
        return [transport.is_closing(), transport.get_write_buffer_size(), waiting]

    def do_call_soon(self, what: str) -> Any:
        self.loop.call_soon(self.perform, [what])

    def do_set_protocol(self, does: dict[str, Any]) -> Any:
        return self.transport.set_protocol(Loud(self, does))

    def do_close_socket(self, how: str) -> Any:
        """Behind the back of a transport that is aborted: else it would wait for a number that others have."""
        sock = self.transport.get_extra_info("socket")._sock
        self.transport.abort()
        if sock.fileno() >= 0 and how == "detach":
            self.closed_at_end.append(sock.detach())
        else:
            sock.close()

    # --- the other end

    def do_peer_send(self, sizes: list[int]) -> Any:
        if self.peer is None:
            return "closed"
        to = self.addresses.get("mine")
        return [self.sent(self.peer, size, to) for size in sizes]

    def do_other_send(self, size: int) -> Any:
        return self.sent(self.other, size, self.addresses["mine"]) if "mine" in self.addresses else "no name"

    def sent(self, sock: socket.socket, size: int, to: Any) -> Any:
        try:
            return sock.send(self.data(size)) if to is None else sock.sendto(self.data(size), to)
        except OSError as error:
            return error

    def do_peer_receive(self) -> Any:
        """All that comes."""
        found: list[Any] = []
        for label, sock in [("peer", self.peer), ("other", self.other)]:
            before = -1
            while sock is not None and len(found) > before:
                before = len(found)
                found.extend(self.received(label, sock))
                if not self.loop.is_running():
                    self.settle()
        return found

    def received(self, label: str, sock: socket.socket) -> list[Any]:
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    data, source = sock.recvfrom(100_000)
                except ConnectionError as error:  # of what it has sent itself to who is gone
                    found.append([label, error])
                    break
                found.append([label, len(data), zlib.crc32(data), self.label_of(source)])
        return found

    def do_peer_close(self) -> Any:
        """Of a Unix socket: what ICMP says of the others comes at its own time."""
        if self.which not in ("unix", "pair") or self.peer is None:
            return "not now"
        self.peer.close()
        self.peer = None
        return "closed"

    def end(self) -> None:
        self.step(["peer_receive"])
        self.step(["close"])
        self.step(["peer_receive"])
        self.step(["abort"])
        self.transport = None
        for sock in (self.peer, self.other):
            if sock is not None:
                sock.close()
        for descriptor in self.closed_at_end:
            os.close(descriptor)


def run(new_loop: Callable[[], Any], program: Program) -> list[str]:
    """The trace of a program."""
    return one_end.run(new_loop, program, World)
