"""One owner for each descriptor: a number that is used again never gets, nor gives, a byte of another connection.

What made people leave other loops: a transport that closed by number, or was closed twice, closed somebody else's
socket; an attempt that was cancelled left its number registered.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from support.loops import WITH_DEBUG, Engine, Say, same_as_stock, turn
from support.net import (
    HUGE,
    WHICH,
    Recorder,
    connected,
    descriptors,
    dial,
    finish,
    listener,
    receive,
    receive_all,
    socket_pair,
    until,
)


class Strangers:
    """Socket pairs that take the numbers that are free, each with a byte to be read, and room to write."""

    def __init__(self, count: int = 4) -> None:
        self.sockets = [each for _ in range(count) for each in socket.socketpair()]
        for each in self.sockets:
            each.setblocking(False)
            each.send(b"!")

    def numbers(self) -> set[int]:
        return {each.fileno() for each in self.sockets}

    def check(self) -> None:
        """Nobody has read, written to, shut down or closed any of them."""
        for each in self.sockets:
            assert each.recv(10) == b"!"
            with pytest.raises(BlockingIOError):
                each.recv(10)
        for each in self.sockets:
            each.close()


# Whether a transport that nobody has, or its socket, is finalised first, is the collector's business.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("end", ["close", "abort", "peer closes", "peer resets", "dropped", "raises"])
def test_a_number_that_is_used_again_at_once(engine: Engine, end: str) -> None:
    loop = engine.new()
    loop.set_exception_handler(lambda loop, context: None)
    ends = connected(loop)
    number = ends.transport._sock_fd
    transport = ends.transport

    def fail(data: bytes) -> None:
        raise ZeroDivisionError

    if end == "close":
        transport.write(b"last words")
        transport.close()
    elif end == "abort":
        transport.write(bytes(HUGE))
        transport.abort()
    elif end == "peer closes":
        ends.peer.close()
    elif end == "peer resets":
        transport.write(bytes(HUGE))
        ends.peer.close()
    elif end == "dropped":
        transport.pause_reading()
        ends.protocol.lost = True
        ends.protocol.transport = transport = None
        ends = ends._replace(transport=None)
        turn(loop, 2)
        with pytest.warns(ResourceWarning, match="unclosed transport"):
            gc.collect()
    else:
        ends.protocol.data_received = fail
        ends.peer.send(b"data")
    until(loop, lambda: ends.protocol.lost)
    turn(loop, 2)
    strangers = Strangers()
    assert number in strangers.numbers()
    if transport is not None:  # whatever a program still does to the old one
        for act in (transport.close, transport.abort, transport.pause_reading, transport.resume_reading):
            act()
        transport.write(b"to nobody")
    turn(loop, 3)
    gc.collect()
    del transport
    ends.peer.close()
    turn(loop, 3)
    strangers.check()


def test_numbers_of_connections_that_come_and_go(engine: Engine) -> None:
    """Each connection gets its own bytes only, though all take the same few numbers."""
    loop = engine.new()
    numbers = set()
    for number in range(200):
        which = WHICH[number % 3]
        ends = connected(loop, which)
        numbers.add(ends.transport._sock_fd)
        text = b"%d" % number
        ends.transport.write(text)
        ends.peer.send(text)
        if number % 4:
            until(loop, lambda: ends.protocol.data)  # noqa: B023
            assert ends.protocol.data == text
        if number % 2:
            ends.transport.abort()
        else:
            ends.transport.close()
        assert receive(loop, ends.peer, len(text)) == text
        until(loop, lambda: ends.protocol.lost)  # noqa: B023
        assert ends.protocol.data in (text, b"")
        ends.peer.close()
    assert len(numbers) < 20


def test_a_connection_made_in_connection_lost(engine: Engine) -> None:
    """Its socket has the number that is closed a moment later, or another; its bytes are its own."""
    loop = engine.new()
    made: list[Any] = []

    class Reconnecting(Recorder):
        def connection_lost(self, error: Exception | None) -> None:
            super().connection_lost(error)
            if len(made) < 20:
                mine, peer = socket_pair("unix")
                peer.send(b"%d" % len(made))
                task = loop.create_task(loop.create_unix_connection(Reconnecting, sock=mine))
                made.append((task, peer))

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.write(b"answer " + data)
            self.transport.close()

    ends = connected(loop, protocol=Reconnecting())
    ends.transport.abort()
    until(loop, lambda: len(made) == 20)
    for number, (task, peer) in enumerate(made):
        assert receive_all(loop, peer) == b"answer %d" % number
        until(loop, lambda: task.result()[1].lost)  # noqa: B023
        peer.close()
    ends.peer.close()


BEHIND: dict[str, Callable[[socket.socket], object]] = {
    "close": lambda sock: sock.close(),
    "detach": lambda sock: sock.detach(),
    "shutdown": lambda sock: sock.shutdown(socket.SHUT_RDWR),
}
AFTERWARDS: dict[str, Callable[[Any, Any], object]] = {
    "nothing": lambda loop, ends: None,
    "write": lambda loop, ends: ends.transport.write(b"text"),
    "close": lambda loop, ends: ends.transport.close(),
    "abort": lambda loop, ends: ends.transport.abort(),
    "pause and resume": lambda loop, ends: [
        ends.transport.pause_reading(),
        turn(loop),
        ends.transport.resume_reading(),
    ],
    "write_eof": lambda loop, ends: ends.transport.write_eof(),
    "peer sends": lambda loop, ends: ends.peer.send(b"text"),
    "peer closes": lambda loop, ends: ends.peer.close(),
}


# What select() says of a closed file is not what epoll says; and of a file that is closed while something is left to be
# written, asyncio's own abort() raises what its selector raises.
@pytest.mark.parametrize("engine_name", [name for name in WITH_DEBUG if name != "ours-select"])
@pytest.mark.parametrize("afterwards", AFTERWARDS)
@pytest.mark.parametrize(
    ("behind", "full"), [(name, full) for name in BEHIND for full in (False, True) if (name, full) != ("close", True)]
)
def test_a_socket_closed_behind_the_transports_back(engine_name: str, behind: str, afterwards: str, full: bool) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.set_exception_handler(
            lambda loop, context: say([context["message"], repr(context.get("exception")), sorted(context)])
        )
        ends = connected(loop)
        sock = ends.transport._sock
        number = sock.fileno()
        if full:
            ends.transport.write(bytes(HUGE))
        BEHIND[behind](sock)
        try:
            AFTERWARDS[afterwards](loop, ends)
        except OSError as error:
            say(f"{type(error).__name__}: {error}")
        turn(loop, 4)
        say(ends.protocol.events)
        say([ends.transport.is_closing(), ends.protocol.lost])
        ends.transport.abort()
        turn(loop, 4)
        say(ends.protocol.events)
        if behind == "detach":
            os.close(number)
        ends.peer.close()

    same_as_stock(engine_name, scenario)


def test_a_number_of_another_socket_behind_the_transports_back(engine: Engine) -> None:
    """dup2() puts another file in the place: the transport goes on with that, and closes it once."""
    loop = engine.new()
    ends = connected(loop)
    number = ends.transport._sock_fd
    one, other = socket_pair("unix")
    os.dup2(one.fileno(), number)
    one.close()
    ends.transport.write(b"text")
    assert receive(loop, other, 4) == b"text"
    assert ends.peer.recv(10) == b"", "the first socket was closed by dup2()"
    ends.transport.abort()
    turn(loop, 3)
    assert other.recv(10) == b""
    strangers = Strangers()
    assert number in strangers.numbers()
    turn(loop, 3)
    gc.collect()
    strangers.check()
    ends.peer.close()
    other.close()


def test_a_duplicate_outlives_the_transport(engine: Engine) -> None:
    """The transport closes its own descriptor, and no more than that."""
    loop = engine.new()
    ends = connected(loop)
    other = ends.transport._sock.dup()
    ends.transport.write(b"first ")
    ends.transport.abort()
    turn(loop, 3)
    other.send(b"second")
    assert receive(loop, ends.peer, 12) == b"first second"
    ends.peer.send(b"to the duplicate")
    turn(loop, 3)
    assert other.recv(100) == b"to the duplicate"
    assert ends.protocol.data == b""
    other.close()
    ends.peer.close()


# --- attempts that are cancelled


class Attempts:
    """What can be cancelled: coroutines, and the sockets that they are made with."""

    def __init__(self, loop: Any) -> None:
        self.loop, self.sockets = loop, contextlib.ExitStack()
        self.protocols: list[Recorder] = []

    def own(self, sock: socket.socket) -> socket.socket:
        sock.setblocking(False)
        return self.sockets.enter_context(sock)

    def protocol(self) -> Recorder:
        self.protocols.append(Recorder())
        return self.protocols[-1]

    def connecting(self, which: str) -> socket.socket:
        return self.own(socket.socket({"unix": socket.AF_UNIX, "tcp4": socket.AF_INET, "tcp6": socket.AF_INET6}[which]))

    def listening(self, which: str) -> socket.socket:
        return self.own(listener(which))

    def pair(self) -> socket.socket:
        mine, peer = socket_pair("unix")
        self.own(peer).send(b"data")
        return self.own(mine)

    def silent(self) -> socket.socket:
        mine, peer = socket_pair("unix")
        self.own(peer)
        return self.own(mine)

    def make(self, name: str) -> Any:
        loop = self.loop
        makers: dict[str, Callable[[], Any]] = {
            "create_connection": lambda: loop.create_connection(self.protocol, *self.listening("tcp4").getsockname()),
            "create_connection by name": lambda: loop.create_connection(
                self.protocol, "localhost", self.listening("tcp4").getsockname()[1]
            ),
            "create_connection to several": lambda: loop.create_connection(
                self.protocol,
                "localhost",
                self.listening("tcp4").getsockname()[1],
                happy_eyeballs_delay=0.001,
                interleave=1,
            ),
            "create_connection with an address": lambda: loop.create_connection(
                self.protocol, *self.listening("tcp4").getsockname(), local_addr=("127.0.0.1", 0)
            ),
            "create_connection with a socket": lambda: loop.create_connection(self.protocol, sock=self.pair()),
            "create_connection refused": lambda: loop.create_connection(self.protocol, "127.0.0.1", 1),
            "create_unix_connection": lambda: loop.create_unix_connection(
                self.protocol, self.listening("unix").getsockname()
            ),
            "create_server": lambda: loop.create_server(self.protocol, "127.0.0.1", 0),
            "create_server of two": lambda: loop.create_server(self.protocol, ["127.0.0.1", "::1"], 0),
            "create_unix_server": lambda: loop.create_unix_server(self.protocol, f"\0test of rasyncio {os.getpid()}"),
            "connect_accepted_socket": lambda: loop.connect_accepted_socket(self.protocol, self.pair()),
            "create_datagram_endpoint": lambda: loop.create_datagram_endpoint(
                Recorder, local_addr=("127.0.0.1", 0), remote_addr=("127.0.0.1", 9)
            ),
            "sock_connect": lambda: loop.sock_connect(self.connecting("tcp4"), self.listening("tcp4").getsockname()),
            "sock_connect unix": lambda: loop.sock_connect(
                self.connecting("unix"), self.listening("unix").getsockname()
            ),
            "sock_accept": lambda: loop.sock_accept(self.listening("tcp4")),
            "sock_recv": lambda: loop.sock_recv(self.silent(), 10),
            "sock_sendall": lambda: loop.sock_sendall(self.own(self.pair()), bytes(HUGE)),
        }
        return makers[name]()


ATTEMPTS = [
    "create_connection",
    "create_connection by name",
    "create_connection to several",
    "create_connection with an address",
    "create_connection with a socket",
    "create_connection refused",
    "create_unix_connection",
    "create_server",
    "create_server of two",
    "create_unix_server",
    "connect_accepted_socket",
    "create_datagram_endpoint",
    "sock_connect",
    "sock_connect unix",
    "sock_accept",
    "sock_recv",
    "sock_sendall",
]


def close_result(result: Any) -> None:
    for each in result if isinstance(result, tuple) else [result]:
        if hasattr(each, "close"):
            each.close()


# asyncio leaves the sockets of a server that nobody got to the collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("name", ATTEMPTS)
def test_an_attempt_cancelled_at_each_await(engine: Engine, name: str) -> None:
    """The numbers of its sockets are used again at once, by sockets that nobody may touch."""
    loop = engine.new()
    loop.run_until_complete(asyncio.sleep(0))
    for turns in range(12):
        attempts = Attempts(loop)
        before = descriptors()
        task = loop.create_task(attempts.make(name))
        turn(loop, turns)
        done = task.done()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            close_result(loop.run_until_complete(asyncio.wait_for(asyncio.wait([task]), 20)) and task.result())
        for protocol in attempts.protocols:
            if protocol.transport is not None:
                protocol.transport.abort()
        attempts.sockets.close()
        strangers = Strangers()
        turn(loop, 4)
        strangers.check()
        del task, attempts
        gc.collect()
        turn(loop, 2)
        if "server" not in name:  # asyncio's stays, listening
            until(loop, lambda: descriptors() <= before)  # noqa: B023  # a thread that looks up a name has some, too
        if done and turns > 6:
            break


@pytest.mark.parametrize("message", [None, "a message"])
def test_cancelled_in_the_step_in_which_it_is_made(engine: Engine, message: str | None) -> None:
    """The connection is there, its waiter woken, and then it is cancelled."""
    loop = engine.new()

    class Cancelling(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            task.cancel(*([message] if message else []))

    mine, peer = socket_pair("unix")
    protocol = Cancelling()
    task = loop.create_task(loop.create_unix_connection(lambda: protocol, sock=mine))
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    until(loop, lambda: protocol.lost)
    assert receive_all(loop, peer) == b""
    strangers = Strangers()
    turn(loop, 3)
    strangers.check()
    peer.close()


# --- nothing piles up


def test_a_thousand_connections_leave_nothing(engine: Engine) -> None:
    loop = engine.new()
    protocols: list[Recorder] = []

    class Echo(Recorder):
        def data_received(self, data: bytes) -> None:
            self.transport.write(data)
            self.transport.close()

    def factory() -> Recorder:
        protocols.append(Echo())
        return protocols[-1]

    listening = listener("tcp4")
    address = listening.getsockname()
    server = loop.run_until_complete(loop.create_server(factory, sock=listening))

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"text")
        assert await reader.read() == b"text"
        writer.close()
        await writer.wait_closed()

    async def many(count: int) -> None:
        for _ in range(count // 20):
            await asyncio.gather(*map(one, range(20)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def kept() -> tuple[int, int, int]:
        protocols.clear()
        gc.collect()
        return descriptors(), len(loop._transports), len(gc.get_objects())

    loop.run_until_complete(many(100))
    turn(loop, 3)
    before = kept()
    loop.run_until_complete(many(900))
    turn(loop, 3)
    after = kept()
    assert after[:2] == before[:2]
    assert after[2] - before[2] < 100
    server.close()
    loop.run_until_complete(server.wait_closed())


def test_a_slow_reader_is_bounded_by_the_water_marks(engine: Engine) -> None:
    """Who stops at pause_writing has at most the high mark and one write in memory."""
    loop = engine.new()
    ends = connected(loop, "tcp4")
    ends.transport.set_write_buffer_limits(high=200_000)
    largest = total = 0
    piece = bytes(10_000)

    async def writes() -> None:
        nonlocal largest, total
        for _ in range(1000):
            if ends.transport._protocol_paused:
                await asyncio.sleep(0)
                continue
            ends.transport.write(piece)
            total += len(piece)
            largest = max(largest, ends.transport.get_write_buffer_size())

    loop.run_until_complete(writes())
    assert 200_000 < largest <= 200_000 + len(piece)
    assert len(receive(loop, ends.peer, total)) == total
    until(loop, lambda: not ends.transport._protocol_paused)
    _, *events = ends.protocol.events
    assert events == ["pause_writing", "resume_writing"] * (len(events) // 2)
    finish(loop, ends)


def test_a_fast_sender_is_stopped_by_pause_reading(engine: Engine) -> None:
    """What is not read stays in the kernel."""
    loop = engine.new()
    ends = connected(loop, "tcp4")
    ends.transport.pause_reading()
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += ends.peer.send(bytes(100_000))
            turn(loop)
    assert ends.protocol.data == b""
    ends.transport.resume_reading()
    until(loop, lambda: len(ends.protocol.data) == sent)
    finish(loop, ends)


def test_a_server_whose_clients_come_before_it_listens(engine: Engine) -> None:
    """What was in the backlog is served, each with its own bytes."""
    loop = engine.new()
    listening = listener("tcp4")
    peers = [dial(listening) for _ in range(50)]
    for number, peer in enumerate(peers):
        peer.send(b"%d" % number)

    class Echo(Recorder):
        def data_received(self, data: bytes) -> None:
            self.transport.write(b"answer " + data)
            self.transport.close()

    server = loop.run_until_complete(loop.create_server(Echo, sock=listening))
    for number, peer in enumerate(peers):
        assert receive_all(loop, peer) == b"answer %d" % number
        peer.close()
    server.close()
    loop.run_until_complete(server.wait_closed())
