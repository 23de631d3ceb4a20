"""Random programs of one connection with TLS; what a program is, programs.py says. And what runs them.

The peer is an `ssl.SSLObject` that the program drives: what it has encrypted reaches the socket whole, in pieces, or
spoilt. All that a protocol is told is said, with the checksum of its data; what the peer reads; and what the loop's
exception handler is told.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import zlib
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from support.net import socket_pair
from support.tls import HOST, Peer, client_context, server_context

from . import one_end
from .programs import Program, operation

SIZE = st.sampled_from([1, 7, 500, 1000, 1023, 1024, 1025, 5000, 16_384, 16_385, 50_000, 200_000, 600_000])
KIND = st.sampled_from(["bytes", "bytes", "bytearray", "memoryview", "wide", "str"])
#: What becomes of ciphertext: at which part of it (per mille), and how.
FATE = st.one_of(
    st.just(["whole"]),
    st.just(["whole"]),
    st.tuples(st.just("cut"), st.integers(0, 1000)).map(list),
    st.tuples(st.just("cut by"), st.sampled_from([1, 5, 6, 700, 16_000])).map(list),
    st.tuples(st.just("flip"), st.integers(0, 1000), st.integers(0, 7)).map(list),
    st.tuples(st.just("truncate"), st.integers(0, 1000)).map(list),
    st.tuples(st.just("insert"), st.integers(0, 1000), st.binary(min_size=1, max_size=8).map(bytes.hex)).map(list),
    st.just(["twice"]),
    st.just(["lose"]),
)
#: Also records in the clear: a warning, a fatal alert, the end, a change of ciphers, a ClientHello that is none.
RAW = st.one_of(
    st.binary(min_size=1, max_size=40).map(bytes.hex),
    st.sampled_from(["15030300020100", "15030300020228", "150303000201 5a", "140303000101", "16030300040e000000"]),
)
ACTION = st.one_of(
    operation("write", KIND, SIZE),
    operation("write", KIND, SIZE),
    operation("writelines", st.lists(SIZE, max_size=4)),
    operation("close"),
    operation("abort"),
    operation("pause_reading"),
    operation("resume_reading"),
    operation("limits", st.sampled_from([None, 0, 1, 1000, 100_000])),
    operation("look"),
    operation("raise", st.sampled_from(["ValueError", "OSError", "CancelledError"])),
    operation("peer_send", st.lists(SIZE, min_size=1, max_size=3), st.just(["whole"])),
)
CALLBACKS = ["data_received", "buffer_updated", "eof_received", "pause_writing", "resume_writing", "connection_lost"]
PROTOCOL = st.fixed_dictionaries(
    {
        "buffer": st.sampled_from([0, 0, 1, 100, 16_384, 65_536]),
        "eof": st.sampled_from([None, True]),
        "does": st.dictionaries(st.sampled_from(CALLBACKS), st.lists(ACTION, max_size=3), max_size=2),
    }
)
STEP = st.one_of(
    ACTION,
    operation("peer_send", st.lists(SIZE, min_size=1, max_size=4), FATE),
    operation("peer_send", st.lists(SIZE, min_size=1, max_size=4), FATE),
    operation("peer_raw", RAW),
    operation("peer_read"),
    operation("peer_read"),
    operation("peer_close_notify"),
    operation("peer_end"),
    operation("by_hand", st.sampled_from(["read", "write", "_do_read", "_process_outgoing"])),
    operation("set_protocol", PROTOCOL),
)
SETUP = st.fixed_dictionaries(
    {"tls": st.sampled_from(["TLSv1_2", "TLSv1_3"]), "server_side": st.booleans(), "protocol": PROTOCOL}
)
TLS: st.SearchStrategy[Program] = st.fixed_dictionaries({"setup": SETUP, "steps": st.lists(STEP, max_size=12)})

#: Of a connection that was cut off, the peer gets as much as the socket had taken; that is not less than this.
TAKEN = 100_000


class Loud:
    """A protocol's callbacks: each says that it is called, and does what the program wants it to."""

    def __init__(self, world: World, description: dict[str, Any]) -> None:
        self.world, self.description = world, description

    def called(self, name: str, *details: object) -> None:
        self.world.called(self.description["does"], name, *details)

    def connection_made(self, transport: Any) -> None:
        self.world.transport = transport
        self.called("connection_made")

    def connection_lost(self, error: Exception | None) -> None:
        self.world.is_cut_off |= error is not None
        if self.world.unread > TAKEN:
            self.world.late.append(error)
        else:
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
        self.called("data_received", type(data).__name__, len(data), zlib.crc32(data))


class Buffered(Loud, asyncio.BufferedProtocol):
    def get_buffer(self, sizehint: int) -> memoryview:
        # No bytearray: asyncio fills a copy of it (gh-156275).
        self.room = bytearray(self.description["buffer"])
        return memoryview(self.room)

    def buffer_updated(self, size: int) -> None:
        self.called("buffer_updated", size, zlib.crc32(self.room[:size]))


class World(one_end.World):
    """A program's loop, its connection, and its trace."""

    def __init__(self, loop: Any, setup: dict[str, Any]) -> None:
        super().__init__(loop)
        self.transport: Any = None
        self.is_cut_off = False
        #: Bytes written that the peer has not read; and the ends of connections with so many that a socket may be full.
        #: How many pieces were sent at once decides whether it is, and so when such a connection ends.
        self.unread, self.late = 0, list[Exception | None]()
        version, server_side = ssl.TLSVersion[setup["tls"]], setup["server_side"]
        contexts = [client_context(version), server_context(version=version)]
        mine, theirs = socket_pair("unix")
        self.peer = Peer(theirs, contexts[not server_side], not server_side)
        protocol = self.protocol(setup["protocol"])
        if server_side:
            connecting = loop.connect_accepted_socket(lambda: protocol, mine, ssl=contexts[1])
        else:
            connecting = loop.create_connection(lambda: protocol, sock=mine, ssl=contexts[0], server_hostname=HOST)
        task = loop.create_task(connecting)
        self.peer.shake_hands(loop, task.done)
        task.result()
        self.settle()
        route = self.transport.get_extra_info("rasyncio_tls")
        assert route == (os.environ["RASYNCIO_TLS"] if type(loop).__module__.startswith("rasyncio") else None)

    def say(self, what: str, *details: object) -> None:
        # How many writes have failed by then depends on how many pieces are sent at once (docs/differences.md).
        if details != ("socket.send() raised exception.",):
            super().say(what, *details)

    def protocol(self, description: dict[str, Any]) -> Loud:
        return (Buffered if description["buffer"] else Plain)(self, description)

    # --- the program's end

    def do_write(self, kind: str, size: int) -> Any:
        size -= size % 4 if kind == "wide" else 0
        data = self.stream[:size]
        self.unread += size
        return self.transport.write(one_end.given(kind, data, bytearray()))

    def do_writelines(self, sizes: list[int]) -> Any:
        self.unread += sum(sizes)
        return self.transport.writelines([self.stream[:size] for size in sizes])

    def do_close(self) -> Any:
        return self.transport.close()

    def do_abort(self) -> Any:
        self.is_cut_off = True
        return self.transport.abort()

    def do_pause_reading(self) -> Any:
        return self.transport.pause_reading()

    def do_resume_reading(self) -> Any:
        return self.transport.resume_reading()

    def do_limits(self, high: int | None) -> Any:
        self.transport.set_write_buffer_limits(high)
        return self.transport.get_write_buffer_limits()

    def do_look(self) -> Any:
        transport = self.transport
        return [transport.is_closing(), transport.is_reading(), transport.get_read_buffer_size()]

    def do_set_protocol(self, description: dict[str, Any]) -> Any:
        return self.transport.set_protocol(self.protocol(description))

    def do_by_hand(self, what: str) -> Any:
        """What Python code can do beneath the transport."""
        protocol = self.transport._ssl_protocol
        if protocol is None or protocol._sslobj is None:
            return "gone"
        methods: dict[str, Callable[[], Any]] = {
            "read": lambda: zlib.crc32(protocol._sslobj.read(1000)),
            "write": lambda: protocol._sslobj.write(self.stream[:1500]),
            "_do_read": lambda: protocol._do_read() if protocol._state.name == "WRAPPED" else "not now",
            "_process_outgoing": lambda: protocol._process_outgoing(),
        }
        return methods[what]()

    # --- the peer

    def send(self, data: bytes) -> Any:
        """As much as the socket takes."""
        try:
            return self.peer.sock.send(data) if data else 0
        except OSError as error:
            return error

    def do_peer_send(self, sizes: list[int], fate: list[Any]) -> Any:
        try:
            data = self.peer.records(*(self.stream[:size] for size in sizes))
        except ssl.SSLError as error:
            return error.reason
        how, *details = fate
        place = len(data) * details[0] // 1001 if details else 0
        if how == "cut by":
            pieces = range(0, min(len(data), 200 * details[0]), details[0])
            return [self.sent_and_settled(data[start : start + details[0]]) for start in pieces][-1]
        if how == "cut":
            return [self.sent_and_settled(data[:place]), self.send(data[place:])]
        if how == "flip":
            data = data[:place] + bytes([data[place] ^ 1 << details[1]]) + data[place + 1 :]
        if how == "insert":
            data = data[:place] + bytes.fromhex(details[1]) + data[place:]
        return self.send({"truncate": data[:place], "twice": data + data, "lose": b""}.get(how, data))

    def sent_and_settled(self, data: bytes) -> Any:
        sent = self.send(data)
        if not self.loop.is_running():
            self.settle()
        return sent

    def do_peer_raw(self, data: str) -> Any:
        return self.send(bytes.fromhex(data))

    def do_peer_read(self) -> Any:
        """All that comes."""
        try:
            return self.read_all()
        finally:
            self.unread, late, self.late = 0, self.late, []
            for error in late:
                self.say("connection_lost", error)

    def read_all(self) -> Any:
        received, idle = bytearray(), 0
        while idle < 3:
            try:
                piece = self.peer.tried(lambda: self.peer.tls.read(1 << 18))
            except (ssl.SSLError, OSError) as error:
                return self.seen(received, str(error))
            received += piece or b""
            idle = 0 if piece else idle + 1
            self.settle()
        return self.seen(received, self.peer.ended)

    def seen(self, received: bytearray, end: object) -> Any:
        """How many pieces were sent at once decides how much of them a full socket takes."""
        if self.is_cut_off and len(received) > TAKEN:
            return ["much", received.startswith(self.stream[:1]), end]
        return [len(received), zlib.crc32(received), end]

    def do_peer_close_notify(self) -> Any:
        try:
            return repr(self.peer.tried(self.peer.tls.unwrap))[:5]
        except (ssl.SSLError, OSError) as error:
            return str(error)

    def do_peer_end(self) -> Any:
        return self.peer.sock.close()

    def end(self) -> None:
        self.step(["peer_read"])
        self.step(["abort"])
        self.transport = None
        self.peer.sock.close()


def run(new_loop: Callable[[], Any], program: Program) -> list[str]:
    """The trace of a program."""
    return one_end.run(new_loop, program, World)
