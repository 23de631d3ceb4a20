"""The native transport of datagrams: several for an event, addresses, what it shows, what its callbacks do to it."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import socket
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.loops import WITH_DEBUG, Engine, Say, run_fresh, same_as_stock, tried, turn
from support.net import is_native, until

NATIVE = ("ours", "ours-c")
LOCAL = {"udp4": (socket.AF_INET, "127.0.0.1"), "udp6": (socket.AF_INET6, "::1")}
#: As many datagrams are received for an event at most.
MOST = 16


class Recorder(asyncio.DatagramProtocol):
    """Writes down what it is told, and does what the test wants then."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.transport: Any = None
        self.lost = False
        self.then: Callable[[], object] = lambda: None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.events.append((data, address))
        self.then()

    def error_received(self, error: Exception) -> None:
        self.events.append(f"error {error!r}")
        self.then()

    def pause_writing(self) -> None:
        self.events.append("pause_writing")

    def resume_writing(self) -> None:
        self.events.append("resume_writing")

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self.events.append(f"connection_lost {error!r}")

    def received(self) -> list[bytes]:
        return [event[0] for event in self.events if type(event) is tuple]


def opened(loop: Any, **options: Any) -> Recorder:
    protocol = Recorder()
    loop.run_until_complete(loop.create_datagram_endpoint(lambda: protocol, **options))
    return protocol


def plain_socket(which: str = "udp4") -> socket.socket:
    family, host = LOCAL[which]
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.bind((host, 0))
    made.settimeout(20)
    return made


def finish(loop: Any, *protocols: Recorder) -> None:
    for protocol in protocols:
        protocol.transport.abort()
        until(loop, lambda protocol=protocol: protocol.lost)


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


@pytest.fixture
def bound(engine: Engine) -> Iterator[tuple[Any, Recorder, socket.socket, Any]]:
    """A loop, a transport in it, a socket that sends to it, and where to."""
    loop = engine.new()
    protocol = opened(loop, local_addr=("127.0.0.1", 0))
    with plain_socket() as peer:
        yield loop, protocol, peer, protocol.transport.get_extra_info("sockname")
    if not protocol.lost:
        finish(loop, protocol)


def test_who_has_a_native_one(engine: Engine) -> None:
    loop = engine.new()
    mine, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    protocols = [opened(loop, local_addr=(host, 0)) for _, host in LOCAL.values()] + [opened(loop, sock=mine)]
    for protocol in protocols:
        assert is_native(protocol.transport) == (engine.name in NATIVE)
        assert isinstance(protocol.transport, asyncio.selector_events._SelectorDatagramTransport)  # type: ignore[attr-defined]
        assert type(protocol.transport).__name__ == "_SelectorDatagramTransport"
    finish(loop, *protocols)
    peer.close()


def test_sockets_of_other_kinds_have_asyncios(engine: Engine) -> None:
    class Subclass(socket.socket):
        pass

    loop = engine.new()
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    derived = Subclass(socket.AF_INET, socket.SOCK_DGRAM)
    protocols = [Recorder(), Recorder()]
    for sock, protocol in zip((one, derived), protocols, strict=True):
        sock.setblocking(False)
        # Some releases' create_datagram_endpoint() refuses the first of them.
        loop._make_datagram_transport(sock, protocol)
    turn(loop)
    assert not any(is_native(protocol.transport) for protocol in protocols)
    finish(loop, *protocols)
    other.close()


# Several for an event


def each_iteration(loop: Any, protocol: Recorder, count: int) -> list[int]:
    """How many datagrams came in each iteration of the loop, until so many have come."""
    found: list[int] = []

    def look() -> None:
        found.append(len(protocol.received()) - sum(found))
        if sum(found) < count:
            loop.call_soon(look)
        else:
            loop.stop()

    loop.call_soon(look)
    loop.run_forever()
    return found


def test_others_have_their_turn_in_between(bound: Any) -> None:
    """Of many datagrams that wait, a few are received in an iteration; all of them, in their order, in the end."""
    loop, protocol, peer, address = bound
    for data in numbers(100):
        peer.sendto(data, address)
    assert max(each_iteration(loop, protocol, 100)) == (MOST if is_native(protocol.transport) else 1)
    assert protocol.received() == numbers(100)


def test_much_data_has_its_turn_too(bound: Any) -> None:
    """Bounded by bytes as well: no more are received when there are 256 KiB."""
    loop, protocol, peer, address = bound
    protocol.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    data = bytes(60_000)
    for _ in range(6):
        # As many as may be, for the system doubles what each takes of the buffer.
        peer.sendto(data, address)
    found = each_iteration(loop, protocol, 3)
    assert max(found) <= 5
    assert all(each == data for each in protocol.received())


def test_a_single_one_does_not_hide_those_that_come_later(bound: Any) -> None:
    """After events with one datagram each, bursts still come whole."""
    loop, protocol, peer, address = bound
    sent = []
    for burst in [1] * 20 + [40] + [1, 2, 3] * 10 + [17]:
        for _ in range(burst):
            sent.append(b"%d" % len(sent))
            peer.sendto(sent[-1], address)
        until(loop, lambda: len(protocol.received()) == len(sent))
    assert protocol.received() == sent


STOPPERS: dict[str, Callable[[Any, Any], object]] = {
    "close": lambda loop, transport: transport.close(),
    "abort": lambda loop, transport: transport.abort(),
    "pause": lambda loop, transport: transport.pause_reading(),
    "stop": lambda loop, transport: loop.stop(),
    "remove_reader": lambda loop, transport: loop._remove_reader(transport._sock_fd),
}


@pytest.mark.parametrize("how", STOPPERS)
def test_what_stops_it_stops_it_at_once(engine_name: str, how: str) -> None:
    """Done in datagram_received, it counts before the next datagram, as many as there are."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        protocol = opened(loop, local_addr=("127.0.0.1", 0))
        address = protocol.transport.get_extra_info("sockname")
        with plain_socket() as peer:
            for data in numbers(10):
                peer.sendto(data, address)
            protocol.then = lambda: STOPPERS[how](loop, protocol.transport)
            loop.call_later(0.05, loop.stop)
            loop.run_forever()
            say(protocol.received())
            if how == "pause":
                protocol.then = lambda: None
                protocol.transport.resume_reading()
                until(loop, lambda: len(protocol.received()) == 10)
                say(protocol.received())
        if how in ("close", "abort"):
            until(loop, lambda: protocol.lost)
            say(protocol.events[-1])
        else:
            finish(loop, protocol)

    assert same_as_stock(engine_name, scenario)[0] == "[b'0']"


def test_resumed_within_the_same_call(bound: Any) -> None:
    loop, protocol, peer, address = bound

    def pause_and_resume() -> None:
        protocol.transport.pause_reading()
        protocol.transport.resume_reading()

    protocol.then = pause_and_resume
    for data in numbers(50):
        peer.sendto(data, address)
    until(loop, lambda: len(protocol.received()) == 50)
    assert protocol.received() == numbers(50)


def test_another_protocol_gets_the_next_one(bound: Any) -> None:
    loop, protocol, peer, address = bound
    other = Recorder()
    protocol.then = lambda: protocol.transport.set_protocol(other)
    for data in numbers(10):
        peer.sendto(data, address)
    until(loop, lambda: len(other.received()) == 9)
    assert protocol.received() == [b"0"]
    protocol.transport.set_protocol(protocol)


def test_five_thousand_while_the_loop_is_busy(engine: Engine) -> None:
    """In bursts that the socket's buffer holds, with other work in each iteration."""
    loop = engine.new()
    protocol = opened(loop, local_addr=("127.0.0.1", 0))
    address = protocol.transport.get_extra_info("sockname")
    busy = True

    def work() -> None:
        sum(range(1000))
        if busy:
            loop.call_soon(work)

    loop.call_soon(work)
    count = iter(range(5000))
    with plain_socket() as peer:
        for burst in range(50):
            for _ in range(100):
                peer.sendto(b"%d" % next(count), address)
            until(loop, lambda burst=burst: len(protocol.events) == 100 * (burst + 1))
    busy = False
    turn(loop, 2)
    assert protocol.received() == numbers(5000)
    finish(loop, protocol)


def test_one_that_fails_leaves_the_others(engine_name: str) -> None:
    """An exception of datagram_received goes to the loop's handler, and the next datagram to the protocol."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.set_exception_handler(lambda _, context: say([repr(context["exception"]), sorted(context)]))
        protocol = opened(loop, local_addr=("127.0.0.1", 0))
        address = protocol.transport.get_extra_info("sockname")

        def fail() -> None:
            raise ZeroDivisionError(len(protocol.received()))

        protocol.then = fail
        with plain_socket() as peer:
            for data in numbers(5):
                peer.sendto(data, address)
            until(loop, lambda: len(protocol.received()) == 5)
        say(protocol.received())
        finish(loop, protocol)

    same_as_stock(engine_name, scenario)


# Addresses


def shown(address: Any) -> list[Any]:
    items = address if type(address) is tuple else (address,)
    return [type(address).__name__, *([type(item).__name__, ascii(item)] for item in items)]


def sources() -> dict[str, tuple[socket.socket, socket.socket]]:
    """Sockets that send, each with one that receives; with paths in the present folder."""

    def of(family: int, source: Any, target: Any) -> tuple[socket.socket, socket.socket]:
        one, other = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
        if source is not None:
            one.bind(source)
        other.bind(target)
        return one, other

    mapped, dual = plain_socket(), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    dual.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    dual.bind(("::", 0))
    return {
        "udp4": of(socket.AF_INET, ("127.0.0.1", 0), ("127.0.0.1", 0)),
        "udp4, another host": of(socket.AF_INET, ("127.100.20.3", 0), ("127.0.0.1", 0)),
        "udp6": of(socket.AF_INET6, ("::1", 0), ("::1", 0)),
        "udp6, mapped": (mapped, dual),
        "path": of(socket.AF_UNIX, "source", "target"),
        "path of other letters": of(socket.AF_UNIX, "\udcffü", "target ü"),
        "longest path": of(socket.AF_UNIX, "x" * 107, "target x"),
        "abstract": of(socket.AF_UNIX, f"\0rasyncio {os.getpid()} \0\n", "target y"),
        "no name": of(socket.AF_UNIX, None, "target z"),
    }


def test_a_source_is_what_recvfrom_gives(engine: Engine, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loop = engine.new()
    for name, (source, target) in sources().items():
        where = ("127.0.0.1", target.getsockname()[1]) if name == "udp6, mapped" else target.getsockname()
        source.sendto(b"to the socket", where)
        target.settimeout(20)
        expected = target.recvfrom(100)[1]
        protocol = opened(loop, sock=target)
        source.sendto(b"to the transport", where)
        source.sendto(b"once more", where)
        until(loop, lambda protocol=protocol: len(protocol.received()) == 2)
        assert [shown(address) for _, address in protocol.events] == [shown(expected)] * 2, name
        finish(loop, protocol)
        source.close()


def link_local() -> tuple[str, int] | None:
    """An address of this machine's that needs a scope, and that."""
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        number, index, *_, name = line.split()
        if number.startswith("fe80"):
            host = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(number))
            assert socket.if_nametoindex(name) == int(index, 16)
            return host, int(index, 16)
    return None


@pytest.mark.skipif(link_local() is None, reason="no interface has a link-local address")
def test_scopes(engine: Engine) -> None:
    where = link_local()
    assert where is not None
    host, scope = where
    loop = engine.new()
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.bind((host, 0, 0, scope))
    protocol = opened(loop, sock=sock)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as peer:
        peer.bind((host, 0, 0, scope))
        peer.settimeout(20)
        peer.sendto(b"data", protocol.transport.get_extra_info("sockname"))
        until(loop, protocol.received)
        assert protocol.events == [(b"data", peer.getsockname())]
        protocol.transport.sendto(b"answer", protocol.events[0][1])
        protocol.transport.sendto(b"by numbers", (host, peer.getsockname()[1], 0, scope))
        assert [peer.recv(100), peer.recv(100)] == [b"answer", b"by numbers"]
    finish(loop, protocol)


class Text(str):
    pass


class Number(int):
    pass


#: Addresses to send to, from the port that somebody reads at.
TARGETS: dict[str, Callable[[int], Any]] = {
    "numbers": lambda port: ("127.0.0.1", port),
    "a list": lambda port: ["127.0.0.1", port],
    "a string": lambda port: "127.0.0.1",
    "one item": lambda port: ("127.0.0.1",),
    "three items": lambda port: ("127.0.0.1", port, 0),
    "no items": lambda port: (),
    "another kind of string": lambda port: (Text("127.0.0.1"), port),
    "bytes": lambda port: (b"127.0.0.1", port),
    "a bytearray": lambda port: (bytearray(b"127.0.0.1"), port),
    "another kind of number": lambda port: ("127.0.0.1", Number(port)),
    "a truth": lambda port: ("127.0.0.1", True),
    "a float": lambda port: ("127.0.0.1", 1.5),
    "None as host": lambda port: (None, port),
    "None as port": lambda port: ("127.0.0.1", None),
    "a negative port": lambda port: ("127.0.0.1", -1),
    "too large a port": lambda port: ("127.0.0.1", 65536),
    "much too large a port": lambda port: ("127.0.0.1", 1 << 70),
    "port 0": lambda port: ("127.0.0.1", 0),
    "the empty host": lambda port: ("", port),
    "octal": lambda port: ("0177.0.0.1", port),
    "short": lambda port: ("127.1", port),
    "a blank": lambda port: ("127.0.0.1 ", port),
    "a NUL": lambda port: ("127.0.0.1\0", port),
    "a surrogate": lambda port: ("\udc80", port),
    "wide digits": lambda port: ("\uff11\uff12\uff17.0.0.1", port),
    "broadcast": lambda port: ("<broadcast>", port),
    "other family": lambda port: ("::1", port),
    "nowhere": lambda port: ("240.0.0.1", port),
    "sixth": lambda port: ("::1", port, 0, 0),
    "sixth, short": lambda port: ("::1", port),
    "sixth, three": lambda port: ("::1", port, 5),
    "sixth, long": lambda port: ("0:0:0:0:0:0:0:1", port),
    "sixth, mapped": lambda port: ("::ffff:127.0.0.1", port),
    "sixth, scope in the host": lambda port: ("::1%lo", port),
    "sixth, of another scope": lambda port: ("::1", port, 0, 1),
    "sixth, much flow": lambda port: ("::1", port, 1 << 20, 0),
    "sixth, negative flow": lambda port: ("::1", port, -1, 0),
    "sixth, much scope": lambda port: ("::1", port, 0, 1 << 32),
    "sixth, negative scope": lambda port: ("::1", port, 0, -1),
    "sixth, five items": lambda port: ("::1", port, 0, 0, 0),
}


@pytest.mark.parametrize("which", LOCAL)
@pytest.mark.parametrize("target", TARGETS)
def test_where_it_goes(engine_name: str, which: str, target: str) -> None:
    """What a socket's own sendto makes of it: sent, refused by the system, or refused by Python, with its text."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.set_exception_handler(lambda _, context: say([context["message"], repr(context["exception"])]))
        protocol = opened(loop, local_addr=(LOCAL[which][1], 0))
        with plain_socket(which) as peer:
            port = peer.getsockname()[1]
            tried(say, lambda: protocol.transport.sendto(b"data", TARGETS[target](port)))
            turn(loop, 2)
            peer.settimeout(0)
            tried(say, lambda: peer.recv(10))
            say([str(event).replace(str(port), "PORT") for event in protocol.events])
            say(protocol.transport.is_closing())
        if not protocol.lost:
            finish(loop, protocol)

    same_as_stock(engine_name, scenario)


def test_a_connected_one_takes_its_own_address_only(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        with plain_socket() as peer:
            address = peer.getsockname()
            protocol = opened(loop, remote_addr=address)
            others = {"equal": (*address,), "a list": list(address), "other": ("127.0.0.1", 9), "none": None, "0": 0}
            for name, other in others.items():
                text: list[Any] = []
                tried(text.append, lambda other=other: protocol.transport.sendto(b"data", other))
                say([name, str(text[0]).replace(str(address[1]), "PORT")])
            peer.settimeout(0)
            for _ in range(3):
                tried(say, lambda: peer.recv(10))
        finish(loop, protocol)

    same_as_stock(engine_name, scenario)


@pytest.mark.parametrize("engine_name", WITH_DEBUG)
def test_hooks_are_told(engine_name: str) -> None:
    """Who audits the program sees each datagram to an address."""

    def program() -> None:
        import asyncio
        import socket
        import sys

        told = []

        def hook(event: str, arguments: object) -> None:
            if event == "socket.sendto":
                told.append((type(arguments[0]).__name__, arguments[1] == address, arguments[1] is address))  # type: ignore[index]

        async def main() -> None:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
            transport.sendto(b"data", address)
            transport.sendto(b"more", address)
            transport.close()

        peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        peer.bind(("127.0.0.1", 0))
        address = peer.getsockname()
        sys.addaudithook(hook)
        run(main())  # type: ignore[name-defined]  # noqa: F821
        print(told)

    found = run_fresh(engine_name, program)
    assert found.strip() == "[('socket', True, True), ('socket', True, True)]"


# A pair of sockets


def test_a_pair_without_names(engine: Engine) -> None:
    """What asyncio documents, but cannot do: data without an address goes to the peer."""
    loop = engine.new()
    mine, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    peer.setblocking(False)
    protocol = opened(loop, sock=mine)
    loop.set_exception_handler(lambda *_: None)
    protocol.transport.sendto(b"data")
    if is_native(protocol.transport):
        assert peer.recv(10) == b"data"
        sent = 0
        while not protocol.transport.get_write_buffer_size():
            protocol.transport.sendto(b"%d" % sent)
            sent += 1
        received: list[bytes] = []

        def reads() -> bool:
            try:
                received.append(peer.recv(100))
            except BlockingIOError:
                pass
            return len(received) == sent

        until(loop, reads)
        assert received == numbers(sent)
    else:
        until(loop, lambda: protocol.lost)
        assert "TypeError" in protocol.events[-1]
    finish(loop, protocol)
    peer.close()


@pytest.mark.parametrize("full", [False, True])
def test_a_pair_whose_sender_is_wrapped(engine: Engine, full: bool) -> None:
    """Whoever watches what waits going out changes nothing about it."""
    if engine.name not in ("ours", "ours-c"):
        pytest.skip("asyncio's own cannot send by a pair")
    loop = engine.new()
    mine, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    peer.setblocking(False)
    protocol = opened(loop, sock=mine)
    transport = protocol.transport
    calls, function, sent = [], transport._sendto_ready, 0

    def wrap() -> None:
        transport._sendto_ready = lambda: [calls.append(1), function()]

    if not full:
        wrap()
    while not transport.get_write_buffer_size():
        transport.sendto(b"%d" % sent)
        sent += 1
    if full:
        wrap()
    received = drain(loop, peer, sent)
    assert received == numbers(sent)
    if full:  # what waits already was handed its function before
        assert not calls
        until(loop, lambda: not transport._buffer)
        while not transport._buffer:
            transport.sendto(b"more")
        drain(loop, peer, 1)
    until(loop, lambda: calls)
    finish(loop, protocol)
    peer.close()


# What has to wait


def stuck(loop: Any, path: str) -> tuple[Recorder, socket.socket, int]:
    """A transport whose peer does not read, with one datagram that has to wait, and how many were sent."""
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    peer.bind(path)
    peer.setblocking(False)
    protocol = opened(loop, remote_addr=path, family=socket.AF_UNIX)
    sent = 0
    while not protocol.transport.get_write_buffer_size():
        protocol.transport.sendto(b"%d" % sent)
        sent += 1
    return protocol, peer, sent


def drain(loop: Any, peer: socket.socket, count: int) -> list[bytes]:
    received: list[bytes] = []

    def reads() -> bool:
        try:
            while True:
                received.append(peer.recv(100_000))
        except BlockingIOError:
            return len(received) >= count

    until(loop, reads)
    return received


HEADER = 8 if sys.version_info >= (3, 13) else 0


def test_what_waits_can_be_seen(engine: Engine, tmp_path: Any) -> None:
    loop = engine.new()
    protocol, peer, sent = stuck(loop, os.fspath(tmp_path / "peer"))
    transport = protocol.transport
    last = b"%d" % (sent - 1)
    assert list(transport._buffer) == [(last, os.fspath(tmp_path / "peer"))]
    assert transport._buffer_size == transport.get_write_buffer_size() == len(last) + HEADER
    array = bytearray(b"changed later")
    transport.sendto(array)
    transport.sendto(memoryview(array)[:7])
    array[:] = bytes(len(array))
    assert [(type(data), data) for data, _ in list(transport._buffer)[1:]] == [
        (bytes, b"changed later"),
        (bytes, b"changed"),
    ]
    assert transport._buffer_size == len(last) + 20 + 3 * HEADER
    assert drain(loop, peer, sent + 2)[-2:] == [b"changed later", b"changed"]
    until(loop, lambda: not transport._buffer)
    if sys.version_info[:3] != (3, 13, 0):
        assert transport._buffer_size == 0
    finish(loop, protocol)
    peer.close()


def test_pairs_that_others_put_there(engine: Engine, tmp_path: Any) -> None:
    """asyncio's own function sends what native code does not know."""
    loop = engine.new()
    protocol, peer, sent = stuck(loop, os.fspath(tmp_path / "peer"))
    protocol.transport._buffer.append((bytearray(b"an array"), None))
    protocol.transport._buffer.append([b"a list", None])
    assert drain(loop, peer, sent + 2)[-2:] == [b"an array", b"a list"]
    finish(loop, protocol)
    peer.close()


@pytest.mark.parametrize("how", ["close", "abort"])
def test_ended_while_something_waits(engine: Engine, how: str, tmp_path: Any) -> None:
    loop = engine.new()
    protocol, peer, sent = stuck(loop, os.fspath(tmp_path / "peer"))
    getattr(protocol.transport, how)()
    if how == "close":
        turn(loop, 3)
        assert not protocol.lost
    received = drain(loop, peer, sent if how == "close" else sent - 1)
    until(loop, lambda: protocol.lost)
    assert received == numbers(len(received))
    assert len(received) == (sent if how == "close" else sent - 1)
    peer.close()


def test_the_peer_goes_while_something_waits(engine_name: str, tmp_path: Any) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        protocol, peer, _ = stuck(loop, f"\0{os.fspath(tmp_path)}")
        protocol.transport.sendto(b"one more")
        peer.close()
        until(loop, lambda: len(protocol.events) >= 2)
        say(protocol.events)
        say([protocol.transport.is_closing(), len(protocol.transport._buffer)])
        finish(loop, protocol)

    same_as_stock(engine_name, scenario)


# Callbacks that come back to the transport


ERRORS: dict[str, Callable[[Any], object]] = {
    "close": lambda transport: transport.close(),
    "abort": lambda transport: transport.abort(),
    "sendto": lambda transport: transport.sendto(b"again"),
    "pause": lambda transport: transport.pause_reading(),
    "raise": lambda transport: 1 / 0,
}


@pytest.mark.parametrize("how", ERRORS)
def test_done_when_an_error_is_received(engine_name: str, how: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.set_exception_handler(lambda _, context: say([context["message"][:30], repr(context["exception"])]))
        with plain_socket() as peer:
            address = peer.getsockname()
        protocol = opened(loop, remote_addr=address)
        left = [3]

        def then() -> None:
            say([type(sys.exception()).__name__ if sys.version_info >= (3, 11) else None])
            left[0] -= 1
            if left[0] >= 0:
                ERRORS[how](protocol.transport)

        protocol.then = then
        tried(say, lambda: protocol.transport.sendto(b"to nobody"))
        until(loop, lambda: protocol.events)
        turn(loop, 3)
        tried(say, lambda: protocol.transport.sendto(b"to nobody") if not protocol.lost else None)
        turn(loop, 3)
        say([event for event in protocol.events if "lost" in event])
        say(set(protocol.events))
        if not protocol.lost:
            finish(loop, protocol)

    same_as_stock(engine_name, scenario)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_exits_go_through(engine: Engine, error: type[BaseException]) -> None:
    loop = engine.new()
    with plain_socket() as peer:
        address = peer.getsockname()
    protocol = opened(loop, remote_addr=address)

    def leave() -> None:
        raise error

    protocol.then = leave
    protocol.transport.sendto(b"to nobody")
    with pytest.raises(error):
        until(loop, lambda: False)
    protocol.then = lambda: None
    finish(loop, protocol)


def test_a_socket_that_was_closed_behind_it(engine_name: str) -> None:
    """Never a byte by a number that somebody else may have."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        with plain_socket() as peer:
            protocol = opened(loop, remote_addr=peer.getsockname())
            number = protocol.transport._sock_fd
            protocol.transport._sock.close()
            other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            other.connect(peer.getsockname())
            assert other.fileno() == number
            tried(say, lambda: protocol.transport.sendto(b"data"))
            say(protocol.events)
            peer.settimeout(0)
            tried(say, lambda: peer.recv(10))
            loop._remove_reader(number)
            protocol.transport.abort()
            until(loop, lambda: protocol.lost)
            other.close()

    same_as_stock(engine_name, scenario)


# What it shows


DATA = [
    "_sock",
    "_sock_fd",
    "_loop",
    "_protocol",
    "_extra",
    "_server",
    "_buffer",
    "_buffer_size",
    "_conn_lost",
    "_closing",
    "_paused",
    "_address",
    "_protocol_connected",
    "_protocol_paused",
    "_high_water",
    "_low_water",
    "max_size",
]


def told(value: Any) -> str:
    return repr(value) if isinstance(value, (bool, int, type(None))) else type(value).__name__


def test_attributes_at_each_stage(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        with plain_socket() as peer:
            protocol = opened(loop, remote_addr=peer.getsockname())
            transport = protocol.transport

            def say_all(stage: str) -> None:
                say(stage)
                for name in DATA:
                    value = getattr(transport, name)
                    say(f"{name}: {told(value) if name != '_sock_fd' else type(value)}")
                say(re.sub("fd=[0-9]+", "fd=N", repr(transport)))
                say([transport.is_closing(), transport.is_reading(), transport.get_write_buffer_limits()])

            say_all("made")
            say(transport.get_extra_info("socket").__class__.__name__)
            say([transport.get_extra_info("nothing", 5), sorted(transport._extra)])
            transport.pause_reading()
            say_all("paused")
            transport.resume_reading()
            transport.set_write_buffer_limits(high=100, low=10)
            say_all("resumed")
            transport.close()
            say_all("closing")
            until(loop, lambda: protocol.lost)
            say_all("closed")
            tried(say, lambda: transport.sendto(b"data"))

    same_as_stock(engine_name, scenario)


@pytest.mark.parametrize("name", ["_closing", "_paused", "_conn_lost", "_address", "_buffer", "_buffer_size", "_sock"])
def test_attributes_can_be_set_but_not_deleted(engine: Engine, name: str) -> None:
    loop = engine.new()
    protocol = opened(loop, local_addr=("127.0.0.1", 0))
    before = getattr(protocol.transport, name)
    setattr(protocol.transport, name, before)
    assert getattr(protocol.transport, name) == before
    if is_native(protocol.transport):
        with pytest.raises(AttributeError):
            delattr(protocol.transport, name)
    finish(loop, protocol)


REPLACED: dict[str, Callable[[Any, list[str], pytest.MonkeyPatch], object]] = {
    "an instance's method": lambda transport, calls, patch: setattr(
        transport, "_read_ready", lambda: (calls.append("called"), transport._sock.recv(100))
    ),
    "the class's method": lambda transport, calls, patch: patch.setattr(
        asyncio.selector_events._SelectorDatagramTransport,  # type: ignore[attr-defined]
        "_read_ready",
        lambda self: (calls.append("called"), self._sock.recv(100)),
    ),
    "the socket's": lambda transport, calls, patch: patch.setattr(
        socket.socket,
        "recvfrom",
        lambda self, size: (calls.append("called"), (self.recv(size), None))[1],
        raising=False,
    ),
}


@pytest.mark.parametrize("what", REPLACED)
def test_what_was_replaced_is_called(bound: Any, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    loop, protocol, peer, address = bound
    calls: list[str] = []
    if what == "an instance's method":
        protocol.transport.pause_reading()
    REPLACED[what](protocol.transport, calls, monkeypatch)
    protocol.transport.resume_reading()
    if what == "the class's method" and not is_native(protocol.transport):
        protocol.transport.pause_reading()  # asyncio's reader is the method as it was
        protocol.transport.resume_reading()
    peer.sendto(b"data", address)
    until(loop, lambda: calls)
    assert calls == ["called"]
    monkeypatch.undo()


# Its end


def test_forgotten_ones_warn_and_close(engine: Engine) -> None:
    loop = engine.new()
    protocol = opened(loop, local_addr=("127.0.0.1", 0))
    transport = protocol.transport
    sock = transport._sock
    protocol.transport = None
    loop._remove_reader(transport._sock_fd)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del transport
        gc.collect()
    assert "unclosed transport" in [str(each.message)[:18] for each in caught]
    assert sock.fileno() == -1


def test_nothing_is_left_of_closed_ones(engine: Engine) -> None:
    loop = engine.new()
    with plain_socket() as peer:
        for _ in range(3):
            protocol = opened(loop, local_addr=("127.0.0.1", 0))
            peer.sendto(b"data", protocol.transport.get_extra_info("sockname"))
            until(loop, protocol.received)
            protocol.transport.sendto(b"data", protocol.events[0][1])
            finish(loop, protocol)
            died = weakref.ref(protocol.transport), weakref.ref(protocol)
            del protocol
            turn(loop)
            gc.collect()
            assert [ref() for ref in died] == [None, None]


@pytest.mark.skipif(not hasattr(sys, "getallocatedblocks"), reason="blocks are not counted")
def test_blocks_do_not_pile_up(bound: Any) -> None:
    loop, protocol, peer, address = bound
    echo = protocol.transport

    def echoes(count: int) -> None:
        for _ in range(count):
            peer.sendto(b"data", address)
            until(loop, protocol.received)
            echo.sendto(b"answer", protocol.events[0][1])
            echo.sendto(b"answer", (*protocol.events[0][1],))
            assert peer.recv(10) == peer.recv(10) == b"answer"
            protocol.events.clear()

    echoes(50)
    gc.collect()
    before = sys.getallocatedblocks()
    echoes(300)
    gc.collect()
    assert sys.getallocatedblocks() - before < 150


@pytest.mark.parametrize("connected", [False, True])
def test_sending_after_the_socket_was_closed_behind_the_transport(engine_name: str, connected: bool) -> None:
    """An address that is none is said to be so before anybody sees that there is no descriptor."""

    peer = plain_socket()
    remote = peer.getsockname()

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.set_exception_handler(lambda loop, context: say([context["message"], repr(context["exception"])]))
        protocol = opened(loop, local_addr=("127.0.0.1", 0), **({"remote_addr": remote} if connected else {}))
        protocol.transport.abort()
        protocol.transport.get_extra_info("socket")._sock.close()
        for address in (None, remote, ("127.0.0.1",)):
            tried(say, lambda address=address: protocol.transport.sendto(b"data", address))  # type: ignore[misc]
        until(loop, lambda: protocol.lost)
        say(protocol.events)

    with peer:
        same_as_stock(engine_name, scenario)
