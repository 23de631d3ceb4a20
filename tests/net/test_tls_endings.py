"""How connections with TLS end, by either native route: as on asyncio's own, whatever the peer does."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from support.loops import Say
from support.net import Recorder, socket_pair, until
from support.tls import (
    HOST,
    Peer,
    TlsEnds,
    client_context,
    close_all,
    reported,
    same,
    server_context,
    tls_connected,
)

pytestmark = pytest.mark.usefixtures("route")


def flip(data: bytes, place: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 0x10
    return bytes(changed)


def plain_alert(level: int, what: int) -> bytes:
    return bytes([21, 3, 3, 0, 2, level, what])


#: What a peer does with a record of five bytes, and other things; then it closes its socket.
DEEDS: dict[str, Callable[[Peer], object]] = {
    "closes properly": lambda peer: (peer.send(b"12345"), peer.close_notify()),
    "closes properly, in one piece": lambda peer: (peer.tls.write(b"12345"), peer.close_notify()),
    "vanishes": lambda peer: peer.send(b"12345"),
    "vanishes within a record": lambda peer: peer.sock.send(peer.records(b"12345")[:-3]),
    "vanishes within a header": lambda peer: peer.sock.send(peer.records(b"12345")[:3]),
    "spoils the first byte": lambda peer: peer.sock.send(flip(peer.records(b"12345"), 0)),
    "spoils the version": lambda peer: peer.sock.send(flip(peer.records(b"12345"), 1)),
    "spoils the length": lambda peer: peer.sock.send(flip(peer.records(b"12345"), 3)),
    "spoils the data": lambda peer: peer.sock.send(flip(peer.records(b"12345"), 8)),
    "spoils the end": lambda peer: peer.sock.send(flip(peer.records(b"12345"), -1)),
    "spoils the second": lambda peer: peer.sock.send(peer.records(b"12345") + flip(peer.records(b"67890"), -1)),
    "repeats a record": lambda peer: (lambda record: peer.sock.send(record + record))(peer.records(b"12345")),
    "leaves one out": lambda peer: (peer.records(b"12345"), peer.sock.send(peer.records(b"67890"))),
    "sends garbage": lambda peer: peer.sock.send(b"GET / HTTP/1.1\r\n\r\n"),
    "sends an alert in the clear": lambda peer: peer.sock.send(plain_alert(2, 40)),
    "sends a warning in the clear": lambda peer: peer.sock.send(plain_alert(1, 90)),
    "sends after closing": lambda peer: (
        peer.close_notify(),
        contextlib.suppress(ssl.SSLError).__enter__(),
        peer.sock.send(b"\x17\x03\x03\x00\x05abcde"),
    ),
}


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=str)
@pytest.mark.parametrize("before", [0, 5000, 40_000])
def test_what_a_peer_does(deed: str, version: ssl.TLSVersion, before: int) -> None:
    """Also behind some thousand bytes that leave with it: much is decrypted in another way than little."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        told = reported(loop)
        ends = tls_connected(loop, context=client_context(version), peer_context=server_context(version=version))
        ends.transport.write(b"before")
        say(ends.peer.receive(loop, 6))
        if before:
            ends.peer.tls.write(bytes(before))
        DEEDS[deed](ends.peer)
        loop.run_until_complete(asyncio.sleep(0.005))
        ends.peer.sock.close()
        until(loop, lambda: ends.protocol.lost)
        ends.transport.write(b"too late")
        say(ends.protocol.events)
        say(told)
        close_all(loop, ends)

    same(scenario)


@pytest.mark.parametrize(
    "data", [b"", b"\x16", b"garbage, that is no TLS", b"\x16\x03\x01\xff\xff", b"\x80\x80\x01\x03\x01"]
)
@pytest.mark.parametrize("server_side", [False, True], ids=["client", "server"])
def test_no_handshake(data: bytes, server_side: bool) -> None:
    """Garbage, or nothing, in the place of the first message; then the peer is gone."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        told = reported(loop)
        mine, theirs = socket_pair("unix")
        protocol = Recorder()
        if server_side:
            connecting = loop.connect_accepted_socket(lambda: protocol, mine, ssl=server_context())
        else:
            connecting = loop.create_connection(lambda: protocol, sock=mine, ssl=client_context(), server_hostname=HOST)
        task = loop.create_task(connecting)
        loop.run_until_complete(asyncio.sleep(0.005))
        if data:
            theirs.send(data)
        loop.run_until_complete(asyncio.sleep(0.005))
        theirs.close()
        until(loop, task.done)
        say(repr(task.exception()))
        say([protocol.events, told])

    same(scenario)


def test_a_handshake_cut_off_everywhere() -> None:
    """The server's first message ends after each of some numbers of bytes."""

    def scenario(engine: Any, say: Say, length: int) -> None:
        loop = engine.new()
        mine, theirs = socket_pair("unix")
        protocol, peer = Recorder(), Peer(theirs, server_context(version=ssl.TLSVersion.TLSv1_2), True)
        task = loop.create_task(
            loop.create_connection(lambda: protocol, sock=mine, ssl=client_context(), server_hostname=HOST)
        )
        loop.run_until_complete(asyncio.sleep(0.002))
        peer.pump()
        with contextlib.suppress(ssl.SSLWantReadError):
            peer.tls.do_handshake()
        theirs.send(peer.outgoing.read()[:length])
        loop.run_until_complete(asyncio.sleep(0.002))
        theirs.close()
        until(loop, task.done)
        say([type(task.exception()).__name__, protocol.events])

    for length in (1, 4, 5, 6, 50, 90, 91, 92, 200, 500):
        same(scenario, length)


def test_a_handshake_that_takes_too_long() -> None:
    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        mine, theirs = socket_pair("unix")
        protocol = Recorder()
        connecting = loop.create_connection(
            lambda: protocol, sock=mine, ssl=client_context(), server_hostname=HOST, ssl_handshake_timeout=0.05
        )
        task = loop.create_task(connecting)
        until(loop, task.done)
        say(repr(task.exception()))
        say(protocol.events)
        theirs.close()

    same(scenario)


@pytest.mark.parametrize("how", ["close", "close twice", "abort", "write, close", "much, close", "close, write"])
@pytest.mark.parametrize("answers", [False, True])
def test_closing(how: str, answers: bool) -> None:
    """Also where the peer does not answer to that, for which `ssl_shutdown_timeout` is."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        told = reported(loop)
        ends = tls_connected(loop, which="tcp4", ssl_shutdown_timeout=60 if answers else 0.05)
        size = 2_000_000 if "much" in how else 5
        if "write, " in how or "much" in how:
            ends.transport.write(b"x" * size)
        if how == "abort":
            ends.transport.abort()
        else:
            ends.transport.close()
        if how == "close twice":
            ends.transport.close()
        if how == "close, write":
            ends.transport.write(b"too late")
        if how != "close twice":
            say(ends.transport.is_closing())
        received, ended = bytearray(), False

        def is_over() -> bool:
            nonlocal ended
            while answers and not ended:
                try:
                    piece = ends.peer.tried(lambda: ends.peer.tls.read(1 << 16))
                except ssl.SSLError as error:
                    say(f"peer: {error.reason}")
                    ended = True
                    break
                if piece is None:
                    ended = ends.peer.ended
                    break
                received.extend(piece)
                if not piece:
                    say("peer: the end")
                    with contextlib.suppress(ssl.SSLError):
                        ends.peer.tried(ends.peer.tls.unwrap)
                    ended = True
            return bool(ends.protocol.lost)

        until(loop, is_over)
        say(len(received))
        say([event for event in ends.protocol.events if "pause" not in event])
        say(told)
        close_all(loop, ends)

    same(scenario)


def test_closing_does_not_go_on_downloading() -> None:
    """A peer that sends on and on, and does not hear that the connection is closed."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        ends = tls_connected(loop, ssl_shutdown_timeout=5)
        ends.peer.send(b"something")
        until(loop, lambda: ends.protocol.data)
        ends.transport.close()
        count = 0
        with contextlib.suppress(OSError):
            while not ends.protocol.lost:
                count += ends.peer.sock.send(ends.peer.records(b"x" * 10_000))
                loop.run_until_complete(asyncio.sleep(0))
                assert count < 10_000_000
        until(loop, lambda: ends.protocol.lost)
        say(ends.protocol.events)
        close_all(loop, ends)

    same(scenario)


@pytest.mark.parametrize("paused", [False, True])
def test_the_end_while_reading_is_paused(paused: bool) -> None:
    def scenario(engine: Any, say: Say, notified: bool) -> None:
        loop = engine.new()
        ends = tls_connected(loop)
        if paused:
            ends.transport.pause_reading()
        ends.peer.send(b"the last", b" words")
        if notified:
            ends.peer.close_notify()
        ends.peer.sock.close()
        loop.run_until_complete(asyncio.sleep(0.02))
        say(ends.protocol.events)
        if paused:
            ends.transport.resume_reading()
        until(loop, lambda: ends.protocol.lost)
        say(ends.protocol.events)
        close_all(loop, ends)

    for notified in (False, True):
        same(scenario, notified)


def test_what_eof_received_says_has_no_effect() -> None:
    class Stays(Recorder):
        def eof_received(self) -> Any:
            super().eof_received()
            self.transport.write(b"not heard")
            return True

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        ends = tls_connected(loop, Stays())
        ends.peer.send(b"the end")
        ends.peer.close_notify()
        until(loop, lambda: ends.protocol.lost)
        say(ends.protocol.events)
        close_all(loop, ends)

    same(scenario)


class Breaks(Recorder):
    """Raises in a callback."""

    def __init__(self, callback: str, error: BaseException) -> None:
        super().__init__()
        self.callback, self.error = callback, error

    def __getattribute__(self, name: str) -> Any:
        if name == object.__getattribute__(self, "__dict__").get("callback"):
            error, self.callback = self.error, ""
            getattr(self, name)  # it is there

            def fails(*args: Any) -> None:
                raise error

            return fails
        return super().__getattribute__(name)


class Failure(BaseException):
    """What no code expects."""


@pytest.mark.parametrize("callback", ["data_received", "eof_received", "pause_writing", "resume_writing"])
@pytest.mark.parametrize("error", [ValueError, Failure, asyncio.CancelledError, OSError, SystemExit])
def test_callbacks_that_raise(callback: str, error: type[BaseException]) -> None:
    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        told = reported(loop)
        protocol = Breaks("", error("on purpose"))
        ends = tls_connected(loop, protocol)
        protocol.callback = callback
        try:
            if "writing" in callback:
                ends.transport.set_write_buffer_limits(high=1)
                lower = ends.transport._ssl_protocol._transport
                lower.set_write_buffer_limits(high=0)
                ends.transport.write(b"x" * 1_000_000)
                loop.run_until_complete(asyncio.sleep(0.01))
                say(len(ends.peer.receive(loop, 1_000_000)))
            else:
                ends.peer.send(b"12345")
                ends.peer.close_notify()
            loop.run_until_complete(asyncio.sleep(0.02))
        except BaseException as raised:
            say(repr(raised))
        say(protocol.events)
        say(told)
        with contextlib.suppress(SystemExit, Failure):
            close_all(loop, ends)
        say(protocol.events[-1])

    same(scenario)


def test_nothing_is_left_of_a_connection() -> None:
    def scenario(engine: Any, say: Say) -> None:
        import weakref

        loop = engine.new()
        ends = tls_connected(loop)
        ends.peer.send(b"12345")
        until(loop, lambda ends=ends: ends.protocol.data)
        ssl_protocol = ends.transport._ssl_protocol
        kept = [
            weakref.ref(one)
            for one in (ends.transport, ssl_protocol, ssl_protocol._sslobj, ends.transport.get_extra_info("sslcontext"))
        ]
        ends.transport.close()
        ends.peer.close_notify()
        until(loop, lambda ends=ends: ends.protocol.lost)
        ends.peer.close()
        ends.protocol.transport = None
        del ends, ssl_protocol
        loop.run_until_complete(asyncio.sleep(0))
        gc.collect()
        say([one() for one in kept])

    same(scenario)


def test_a_transport_that_is_forgotten_says_so() -> None:
    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        ends = tls_connected(loop)
        peer = ends.peer
        ends.protocol.transport = None
        loop.close()
        del ends
        with pytest.warns(ResourceWarning) as warned:
            gc.collect()
        say(sorted({str(one.message).split(" object")[0].split(" fd=")[0] for one in warned}))
        peer.close()

    same(scenario)


def test_memory_does_not_grow_with_what_goes_through(route: str) -> None:
    """Neither with the bytes of one connection, nor with the connections."""

    def blocks_of(loop: Any, rounds: int) -> int:
        import sys

        for _ in range(rounds):
            ends: TlsEnds = tls_connected(loop)
            for _ in range(10):
                ends.peer.send_raw(loop, ends.peer.records(b"x" * 100_000))
                until(loop, lambda ends=ends: len(ends.protocol.data) >= 100_000)
                ends.protocol.data.clear()
                ends.protocol.events.clear()
                ends.transport.write(b"y" * 100_000)
                ends.peer.receive(loop, 100_000)
            close_all(loop, ends)
            ends.protocol.transport = None
            del ends
        gc.collect()
        return sys.getallocatedblocks()

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        blocks_of(loop, 3)
        before = blocks_of(loop, 1)
        after = blocks_of(loop, 10)
        say(after - before < 200)

    same(scenario)


def test_memory_does_not_grow_with_handshakes_that_fail(route: str) -> None:
    """Peers that vanish in the middle, and certificates that are refused."""

    def blocks_after(loop: Any, rounds: int) -> int:
        import sys

        for number in range(rounds):
            mine, theirs = socket_pair("unix")
            peer = Peer(theirs, server_context("expired" if number % 2 else "server"), True)
            connecting = loop.create_connection(Recorder, sock=mine, ssl=client_context(), server_hostname=HOST)
            task = loop.create_task(connecting)
            while not peer.incoming.pending:
                loop.run_until_complete(asyncio.sleep(0))
                peer.pump()
            if number % 2:
                until(loop, lambda peer=peer, task=task: task.done() or peer.tried(peer.tls.do_handshake))
            else:
                with contextlib.suppress(ssl.SSLWantReadError):
                    peer.tls.do_handshake()
                theirs.send(peer.outgoing.read()[:100])
                theirs.close()
            until(loop, task.done)
            assert isinstance(task.exception(), ssl.SSLError if number % 2 else ConnectionError)
            theirs.close()
            del connecting, task, peer
        gc.collect()
        return sys.getallocatedblocks()

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        blocks_after(loop, 10)
        before = blocks_after(loop, 2)
        say(blocks_after(loop, 40) - before < 200)

    same(scenario)
