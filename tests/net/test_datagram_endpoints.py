"""Datagrams: their order and number, errors, addresses, limits, and what a program may hand over."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from support.loops import Engine, Say, same_as_stock, tried, turn
from support.net import until


class Recorder(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.events: list[Any] = []
        self.lost = False

    def connection_made(self, transport: Any) -> None:
        self.events.append("connection_made")

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.events.append(bytes(data))

    def error_received(self, error: Exception) -> None:
        self.events.append(f"error {error!r}")

    def pause_writing(self) -> None:
        self.events.append("pause_writing")

    def resume_writing(self) -> None:
        self.events.append("resume_writing")

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self.events.append(f"connection_lost {error!r}")

    def received(self) -> list[bytes]:
        return [each for each in self.events if isinstance(each, bytes)]


FAMILIES = {"udp4": (socket.AF_INET, "127.0.0.1"), "udp6": (socket.AF_INET6, "::1")}


class Endpoint:
    """A transport of datagrams, and a plain socket that sends to it."""

    def __init__(self, engine: Engine, family: str = "udp4", connected: bool = False, **options: Any) -> None:
        self.loop, self.protocol = engine.new(), Recorder()
        number, host = FAMILIES[family]
        self.peer = socket.socket(number, socket.SOCK_DGRAM)
        self.peer.bind((host, 0))
        self.peer.settimeout(20)
        if connected:
            options["remote_addr"] = self.peer.getsockname()[:2]
        making = self.loop.create_datagram_endpoint(lambda: self.protocol, local_addr=(host, 0), **options)
        self.transport, _ = self.loop.run_until_complete(making)
        self.address = self.transport.get_extra_info("sockname")

    def send(self, *datagrams: bytes) -> None:
        for each in datagrams:
            self.peer.sendto(each, self.address)

    def finish(self) -> None:
        self.transport.abort()
        until(self.loop, lambda: self.protocol.lost)
        self.peer.close()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("connected", [False, True])
def test_both_ways(engine_name: str, family: str, connected: bool) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        end = Endpoint(engine, family, connected)
        transport = end.transport
        say([type(transport).__name__, isinstance(transport, asyncio.DatagramTransport)])
        end.send(b"first", b"", b"x" * 60_000)
        until(end.loop, lambda: len(end.protocol.received()) == 3)
        say([len(each) for each in end.protocol.received()])
        where = () if connected else (end.peer.getsockname(),)
        for data in (b"text", bytearray(b"array"), memoryview(b"view"), b"y" * 60_000):
            transport.sendto(data, *where)
            received, source = end.peer.recvfrom(100_000)
            say([received[:10], len(received), source == end.address])
        say([transport.get_write_buffer_size(), transport.get_write_buffer_limits(), transport.is_closing()])
        say(sorted(transport._extra))
        say(transport.get_extra_info("peername") == (end.peer.getsockname() if connected else None))
        transport.close()
        transport.close()
        say(transport.is_closing())
        until(end.loop, lambda: end.protocol.lost)
        say([each for each in end.protocol.events if not isinstance(each, bytes)])
        end.finish()

    same_as_stock(engine_name, scenario)


ARGUMENTS: dict[str, Callable[[Any, Any], object]] = {
    "str": lambda transport, address: transport.sendto("text", address),
    "None": lambda transport, address: transport.sendto(None, address),
    "int": lambda transport, address: transport.sendto(5, address),
    "list": lambda transport, address: transport.sendto([b"a"], address),
    "nothing": lambda transport, address: transport.sendto(),
    "too long": lambda transport, address: transport.sendto(bytes(70_000), address),
    "no address": lambda transport, address: transport.sendto(b"data"),
    "address of a name": lambda transport, address: transport.sendto(b"data", ("localhost", address[1])),
    "address of the wrong kind": lambda transport, address: transport.sendto(b"data", "nowhere"),
    "port of the wrong kind": lambda transport, address: transport.sendto(b"data", ("127.0.0.1", "80")),
    "port out of range": lambda transport, address: transport.sendto(b"data", ("127.0.0.1", 70_000)),
    "other family": lambda transport, address: transport.sendto(b"data", ("::1", 9)),
    "by name": lambda transport, address: transport.sendto(data=b"data", addr=address),
    "strided": lambda transport, address: transport.sendto(memoryview(b"datadata")[::2], address),
    "of ints": lambda transport, address: transport.sendto(memoryview(b"datadata").cast("i"), address),
    "negative limit": lambda transport, address: transport.set_write_buffer_limits(high=-1),
    "low above high": lambda transport, address: transport.set_write_buffer_limits(high=1, low=2),
    "wrong peer": lambda transport, address: transport.sendto(b"data", ("127.0.0.1", 9)),
    "write": lambda transport, address: transport.write(b"data"),
}


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("what", ARGUMENTS)
def test_what_is_handed_over(engine_name: str, what: str, connected: bool) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        end = Endpoint(engine, connected=connected)
        end.loop.set_exception_handler(
            lambda loop, context: say([context["message"], repr(context.get("exception")), sorted(context)])
        )
        address = end.peer.getsockname()
        text: list[str] = []
        tried(lambda thing: text.append(str(thing)), lambda: ARGUMENTS[what](end.transport, address))
        say(text[0].replace(str(address[1]), "PORT"))
        turn(end.loop, 3)
        end.peer.settimeout(0)
        try:
            say(end.peer.recv(100))
        except BlockingIOError:
            say("nothing came")
        say([end.transport.is_closing(), end.transport.get_write_buffer_size()])
        say(end.protocol.events)
        end.finish()

    same_as_stock(engine_name, scenario)


def test_nobody_is_there(engine_name: str) -> None:
    """A connected socket is told, and the program by error_received(); the next datagram is sent again."""

    def scenario(engine: Engine, say: Say) -> None:
        end = Endpoint(engine, connected=True)
        address = end.peer.getsockname()
        end.peer.close()
        end.transport.sendto(b"to nobody")
        until(end.loop, lambda: any(str(each).startswith("error") for each in end.protocol.events))
        say(end.protocol.events)
        end.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        end.peer.bind(address)
        end.peer.settimeout(20)
        end.transport.sendto(b"to somebody")
        say(end.peer.recv(100))
        end.finish()

    same_as_stock(engine_name, scenario)


def test_none_is_lost_while_the_loop_is_busy(engine: Engine) -> None:
    """For a bounded time: what fits into the socket's buffer is read afterwards, in its order."""
    end = Endpoint(engine)
    end.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    busy = [0]

    def work() -> None:
        end.send(*(b"%d" % (busy[0] * 10 + number) for number in range(10)))
        busy[0] += 1
        if busy[0] < 20:
            end.loop.call_soon(work)

    end.loop.call_soon(work)
    until(end.loop, lambda: len(end.protocol.received()) == 200)
    assert end.protocol.received() == [b"%d" % number for number in range(200)]
    end.finish()


def test_closed_or_paused_from_datagram_received(engine_name: str) -> None:
    """Nothing is delivered after close()."""

    def scenario(engine: Engine, say: Say) -> None:
        end = Endpoint(engine)
        received = end.protocol.datagram_received

        def datagram_received(data: bytes, address: Any) -> None:
            received(data, address)
            end.transport.sendto(b"answer " + data, address)
            end.transport.close()

        end.protocol.datagram_received = datagram_received  # type: ignore[method-assign]
        end.send(b"first", b"second", b"third")
        until(end.loop, lambda: end.protocol.lost)
        say(end.protocol.events)
        say(end.peer.recv(100))
        end.peer.settimeout(0)
        tried(say, lambda: end.peer.recv(100))
        end.finish()

    same_as_stock(engine_name, scenario)


def test_protocols_that_raise(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        end = Endpoint(engine)
        end.loop.set_exception_handler(
            lambda loop, context: say([context["message"][:40], repr(context.get("exception")), sorted(context)])
        )

        def fail(data: bytes, address: Any) -> None:
            raise ZeroDivisionError("in datagram_received")

        end.protocol.datagram_received = fail  # type: ignore[method-assign]
        end.send(b"first", b"second")
        turn(end.loop, 5)
        say([end.transport.is_closing(), end.protocol.lost])
        say(end.protocol.events)
        end.finish()

    same_as_stock(engine_name, scenario)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_protocols_that_end_the_program(engine: Engine, error: type[BaseException]) -> None:
    end = Endpoint(engine)

    def fail(data: bytes, address: Any) -> None:
        raise error

    end.protocol.datagram_received = fail  # type: ignore[method-assign]
    end.send(b"data")
    with pytest.raises(error):
        until(end.loop, lambda: False, seconds=20)
    turn(end.loop, 2)
    end.finish()


def test_a_pair_of_unix_sockets(engine_name: str) -> None:
    """They have no addresses."""

    def scenario(engine: Engine, say: Say) -> None:
        loop, protocol = engine.new(), Recorder()
        mine, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        mine.setblocking(False)
        peer.setblocking(False)
        transport, _ = loop.run_until_complete(loop.create_datagram_endpoint(lambda: protocol, sock=mine))
        transport.set_write_buffer_limits(high=5000)
        peer.send(b"data")
        until(loop, lambda: protocol.received())
        say(protocol.events)
        tried(say, lambda: transport.sendto(b"without an address"))
        turn(loop, 2)
        transport.abort()
        until(loop, lambda: protocol.lost)
        peer.close()

    same_as_stock(engine_name, scenario)


def test_a_full_buffer(engine: Engine, tmp_path: Any) -> None:
    """Bounded by the water marks; everything comes, in its order, when somebody reads."""
    loop, protocol = engine.new(), Recorder()
    path = os.fspath(tmp_path / "peer")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.bind(path)
        peer.setblocking(False)
        making = loop.create_datagram_endpoint(lambda: protocol, remote_addr=path, family=socket.AF_UNIX)
        transport, _ = loop.run_until_complete(making)
        transport.set_write_buffer_limits(high=5000, low=0)
        sent = 0
        while "pause_writing" not in protocol.events:
            transport.sendto(b"%d" % sent + bytes(1000))
            sent += 1
        assert transport.get_write_buffer_size() > 5000
        received: list[bytes] = []

        def reads() -> bool:
            try:
                received.append(peer.recv(10_000))
            except BlockingIOError:
                pass
            return len(received) == sent

        until(loop, reads)
        assert received == [b"%d" % number + bytes(1000) for number in range(sent)]
        until(loop, lambda: "resume_writing" in protocol.events)
        transport.close()
        until(loop, lambda: protocol.lost)
    assert protocol.events == ["connection_made", "pause_writing", "resume_writing", "connection_lost None"]


def test_closed_with_a_full_buffer(engine: Engine, tmp_path: Any) -> None:
    """What was handed over is sent before the connection is lost."""
    loop, protocol = engine.new(), Recorder()
    path = os.fspath(tmp_path / "peer")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.bind(path)
        peer.setblocking(False)
        making = loop.create_datagram_endpoint(lambda: protocol, remote_addr=path, family=socket.AF_UNIX)
        transport, _ = loop.run_until_complete(making)
        sent = 0
        while not transport.get_write_buffer_size():
            transport.sendto(b"%d" % sent)
            sent += 1
        transport.close()
        turn(loop, 3)
        assert not protocol.lost
        received: list[bytes] = []

        def reads() -> bool:
            try:
                received.append(peer.recv(100))
            except BlockingIOError:
                pass
            return protocol.lost

        until(loop, reads)
        while len(received) < sent:
            received.append(peer.recv(100))
        assert received == [b"%d" % number for number in range(sent)]


def test_broadcast(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        for allow in (None, True):
            end = Endpoint(engine, allow_broadcast=allow)
            sock = end.transport.get_extra_info("socket")
            say(bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)))
            if not allow:
                end.transport.sendto(b"data", ("255.255.255.255", 9))
                turn(end.loop, 2)
                say(end.protocol.events)
            end.finish()

    same_as_stock(engine_name, scenario)


def test_a_number_that_is_used_again_at_once(engine: Engine) -> None:
    end = Endpoint(engine)
    number = end.transport._sock_fd
    end.transport.close()
    until(end.loop, lambda: end.protocol.lost)
    turn(end.loop, 2)
    one, other = socket.socketpair()
    assert number in (one.fileno(), other.fileno())
    one.send(b"mine")
    other.send(b"mine")
    end.transport.abort()
    turn(end.loop, 3)
    assert one.recv(10) == other.recv(10) == b"mine"
    one.close()
    other.close()
    end.finish()
