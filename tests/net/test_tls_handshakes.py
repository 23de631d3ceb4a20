"""Handshakes and shutdowns natively, by either route: what a program sees and replaces is as on asyncio's own."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import time
from asyncio import sslproto
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.loops import Say
from support.net import Recorder, socket_pair, until
from support.tls import (
    HOST,
    Peer,
    certificates,
    client_context,
    close_all,
    reported,
    same,
    server_context,
    tls_connected,
)

pytestmark = pytest.mark.usefixtures("route")

VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=str)
SIDES = pytest.mark.parametrize("server_side", [False, True], ids=["client", "server"])


def connecting(
    loop: Any, protocol: Any, server_side: bool, version: ssl.TLSVersion | None = None, **options: Any
) -> tuple[Any, Peer]:
    """A task that connects, and its peer, which has said nothing yet."""
    mine, theirs = socket_pair("unix")
    contexts = [client_context(version), server_context(version=version)]
    peer = Peer(theirs, contexts[not server_side], not server_side)
    if server_side:
        made = loop.connect_accepted_socket(lambda: protocol, mine, ssl=contexts[1], **options)
    else:
        made = loop.create_connection(lambda: protocol, sock=mine, ssl=contexts[0], server_hostname=HOST, **options)
    return loop.create_task(made), peer


@SIDES
@VERSIONS
@pytest.mark.parametrize("flight", [0, 1])
def test_a_bit_that_is_wrong(server_side: bool, version: ssl.TLSVersion, flight: int) -> None:
    """In some byte of what the peer says first, or next: its error, and what is told of it."""

    def scenario(engine: Any, say: Say, place: int) -> None:
        loop, protocol = engine.new(), Recorder()
        told = reported(loop)
        task, peer = connecting(loop, protocol, server_side, version)
        for number in range(4):
            for _ in range(4):
                loop.run_until_complete(asyncio.sleep(0))
            peer.pump()
            # From 3.13 on a session that has failed raises what the last error of the system happened to be.
            with contextlib.suppress(OSError):
                peer.tls.do_handshake()
            data = bytearray(peer.outgoing.read())
            if number == flight and data:
                data[min(place, len(data) - 1)] ^= 0x41
            with contextlib.suppress(BrokenPipeError):
                peer.sock.send(data)
        for _ in range(4):
            loop.run_until_complete(asyncio.sleep(0))
        peer.sock.close()
        until(loop, task.done)
        say(repr(task.exception()))
        for _ in range(4):
            loop.run_until_complete(asyncio.sleep(0))
        say([protocol.events, told])
        if not task.exception():
            task.result()[0].abort()
        for _ in range(4):
            loop.run_until_complete(asyncio.sleep(0))

    for place in (0, 1, 3, 4, 5, 7, 10, 30, 1 << 20):
        same(scenario, place)


#: What a program does at once in `connection_made`.
DEEDS: dict[str, Callable[[Any, Any], object]] = {
    "closes": lambda loop, transport: transport.close(),
    "closes twice": lambda loop, transport: (transport.close(), transport.close()),
    "aborts": lambda loop, transport: transport.abort(),
    "writes and closes": lambda loop, transport: (transport.write(b"early"), transport.close()),
    "writes much and closes": lambda loop, transport: (transport.write(bytes(300_000)), transport.close()),
    "pauses": lambda loop, transport: transport.pause_reading(),
    "pauses and closes": lambda loop, transport: (transport.pause_reading(), transport.close()),
    "has another protocol": lambda loop, transport: transport.set_protocol(Recorder()),
    "looks": lambda loop, transport: [transport.get_extra_info(name) for name in ("cipher", "peercert")],
    "raises": lambda loop, transport: {}["nothing"],
    "forgets its session": lambda loop, transport: setattr(transport._ssl_protocol, "_sslobj", None),
    "has a state of its own": lambda loop, transport: setattr(transport._ssl_protocol, "_state", "mine"),
    "has a reader of its own": lambda loop, transport: setattr(transport._ssl_protocol, "_do_read", loop.get_debug),
}


@SIDES
@VERSIONS
@pytest.mark.parametrize("deed", DEEDS)
def test_what_is_done_in_connection_made(deed: str, version: ssl.TLSVersion, server_side: bool) -> None:
    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        told = reported(loop)

        class Eager(Recorder):
            def connection_made(self, transport: Any) -> None:
                super().connection_made(transport)
                say(DEEDS[deed](loop, transport))

        protocol = Eager()
        task, peer = connecting(loop, protocol, server_side, version)
        for _ in range(12):
            if not peer.tls.version():
                with contextlib.suppress(ssl.SSLError, OSError):
                    peer.tried(peer.tls.do_handshake)
            loop.run_until_complete(asyncio.sleep(0))
        received = bytearray()
        for _ in range(12):
            with contextlib.suppress(ssl.SSLError, OSError):
                while piece := peer.tried(lambda: peer.tls.read(1 << 16)):
                    received += piece
            loop.run_until_complete(asyncio.sleep(0))
        say([len(received), bytes(received[:10])])
        with contextlib.suppress(ssl.SSLError, OSError):
            peer.send(b"an answer")
        for _ in range(12):
            loop.run_until_complete(asyncio.sleep(0))
        peer.sock.close()
        until(loop, task.done)
        say(repr(task.exception()))
        for _ in range(12):
            loop.run_until_complete(asyncio.sleep(0))
        say([protocol.events, told])
        if not task.exception():
            task.result()[0].abort()
        loop.run_until_complete(asyncio.sleep(0))

    same(scenario)


METHODS = (
    *("_do_handshake", "_on_handshake_complete", "_wakeup_waiter", "_do_read", "_process_outgoing", "_set_state"),
    *("_start_shutdown", "_do_flush", "_do_shutdown", "_call_eof_received", "_on_shutdown_complete"),
)


@SIDES
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("when", ["before the handshake", "of this one", "before the end"])
def test_methods_that_a_program_has_replaced(name: str, when: str, server_side: bool) -> None:
    """They are called as often as by asyncio's own."""

    def scenario(engine: Any, say: Say) -> None:
        calls: list[str] = []
        original: Any = getattr(sslproto.SSLProtocol, name)

        def note(self: Any, *arguments: Any) -> Any:
            calls.append(f"{name} {[each for each in arguments if each is None]} {self._state.name}")
            return original(self, *arguments)

        loop, protocol = engine.new(), Recorder()
        with pytest.MonkeyPatch.context() as monkeypatch:
            if when == "before the handshake":
                monkeypatch.setattr(sslproto.SSLProtocol, name, note)
            task, peer = connecting(loop, protocol, server_side)
            loop.run_until_complete(asyncio.sleep(0))
            if when == "of this one":
                sock = next(iter(loop._transports.values()))
                inner = sock.get_protocol()
                setattr(inner, name, note.__get__(inner))
            peer.shake_hands(loop, task.done)
            transport = task.result()[0]
            peer.send(b"question")
            until(loop, lambda: len(protocol.data) == 8)
            if when == "before the end":
                monkeypatch.setattr(sslproto.SSLProtocol, name, note)
            transport.close()
            for _ in range(8):
                loop.run_until_complete(asyncio.sleep(0))
            peer.close_notify()
            until(loop, lambda: protocol.lost)
            say(calls)
            say(protocol.events)
            peer.sock.close()

    same(scenario)


@SIDES
@pytest.mark.parametrize("reads", ["data", "buffer"])
@pytest.mark.parametrize("paused", [False, True], ids=["reading", "paused"])
@pytest.mark.parametrize("unread", [0, 10, 100_000])
def test_closing_with_data_unread(unread: int, paused: bool, reads: str, server_side: bool) -> None:
    """In the library, or in the socket; the peer answers, or it sends more and then does."""

    def scenario(engine: Any, say: Say, more: bytes) -> None:
        loop = engine.new()
        told = reported(loop)
        protocol = Recorder() if reads == "data" else Buffered()
        ends = tls_connected(loop, protocol, server_side=server_side)
        if paused:
            ends.transport.pause_reading()
        if unread:
            ends.peer.send(bytes(unread))
            loop.run_until_complete(asyncio.sleep(0))
        ends.transport.close()
        say([ends.transport.is_closing(), ends.transport._ssl_protocol._state.name])
        if more:
            with contextlib.suppress(ssl.SSLError, OSError):
                ends.peer.send(more)
            for _ in range(8):
                loop.run_until_complete(asyncio.sleep(0))
        ends.peer.pump()
        with contextlib.suppress(ssl.SSLError, OSError):
            ends.peer.close_notify()
        for _ in range(20):
            loop.run_until_complete(asyncio.sleep(0))
        ends.peer.sock.close()
        until(loop, lambda: protocol.lost)
        say([sum(len(event) for event in protocol.events if isinstance(event, bytes)), protocol.events[-1:], told])

    for more in (b"", b"more", bytes(40_000)):
        same(scenario, more)


class Buffered(Recorder, asyncio.BufferedProtocol):
    """Reads into memory of its own."""

    def get_buffer(self, sizehint: int) -> memoryview:
        self.room = bytearray(1000)
        return memoryview(self.room)

    def buffer_updated(self, size: int) -> None:
        self.data_received(bytes(self.room[:size]))


@SIDES
def test_timeouts(server_side: bool) -> None:
    """The peer never shakes hands; it never answers that this end is closed."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        told = reported(loop)
        protocol = Recorder()
        task, peer = connecting(loop, protocol, server_side, ssl_handshake_timeout=0.02)
        until(loop, task.done)
        say([repr(task.exception()), protocol.events, told])
        peer.sock.close()
        ends = tls_connected(loop, server_side=server_side, ssl_shutdown_timeout=0.02)
        handles = sorted(name for name, value in vars(ends.transport._ssl_protocol).items() if value is None)
        say(handles)
        ends.transport.close()
        until(loop, lambda: ends.protocol.lost)
        say([ends.protocol.events, told])
        ends.peer.sock.close()

    same(scenario)


@SIDES
def test_a_loop_whose_debug_mode_begins_meanwhile(server_side: bool) -> None:
    def scenario(engine: Any, say: Say) -> None:
        loop, protocol = engine.new(), Recorder()
        told = reported(loop)
        task, peer = connecting(loop, protocol, server_side)
        loop.run_until_complete(asyncio.sleep(0))
        loop.set_debug(True)
        until(loop, lambda: task.done() or bool(peer.tls.version() or peer.tried(peer.tls.do_handshake)))
        for _ in range(8):
            loop.run_until_complete(asyncio.sleep(0))
        say([repr(task.exception()) if task.done() else "waits", protocol.events, told])
        loop.set_debug(False)
        task.cancel()
        peer.sock.close()
        until(loop, task.done)

    same(scenario)


@SIDES
def test_a_connection_that_shakes_hands_in_its_own_way(server_side: bool) -> None:
    """A class of the program's own that replaces nothing but `do_handshake`."""

    def scenario(engine: Any, say: Say) -> None:
        steps: list[str] = []

        class Own(ssl.SSLObject):
            def do_handshake(self) -> None:
                steps.append("do_handshake")
                super().do_handshake()

        context = server_context() if server_side else client_context()
        context.sslobject_class = Own
        loop = engine.new()
        ends = tls_connected(loop, server_side=server_side, context=context)
        say([steps, type(ends.transport.get_extra_info("ssl_object")).__name__])
        ends.peer.send(b"question")
        until(loop, lambda: len(ends.protocol.data) == 8)
        close_all(loop, ends)
        say(steps)

    same(scenario)


def brief_certificate(folder: Path, seconds: int) -> float:
    """A server's certificate in `brief.pem`, with its key; until when it is valid."""
    until_when = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)
    (folder / "database").touch()
    (folder / "settings").write_text(
        f"[ca]\ndatabase={folder}/database\nserial={folder}/serial\nnew_certs_dir={folder}\ndefault_md=sha256\n"
        f"policy=any\nx509_extensions=names\n[any]\ncommonName=supplied\n[names]\nsubjectAltName=DNS:{HOST}\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    )
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "brief.key")
    by = ("-cert", certificates() / "ca.pem", "-keyfile", certificates() / "ca.key", "-create_serial", "-rand_serial")
    dates = ("-startdate", "20200101000000Z", "-enddate", until_when.strftime("%Y%m%d%H%M%SZ"))
    for command in (
        ["req", "-new", *key, "-subj", f"/CN={HOST}", "-out", "brief.csr"],
        ["ca", "-batch", "-config", "settings", "-name", "ca", *by, *dates, "-in", "brief.csr", "-out", "brief.pem"],
    ):
        subprocess.run(["openssl", *map(str, command)], cwd=folder, check=True, capture_output=True)
    return until_when.timestamp()


def test_a_certificate_that_expires(tmp_path: Path) -> None:
    """While a connection is up, which goes on; the next handshake fails."""

    def scenario(engine: Any, say: Say, folder: Path) -> None:
        folder.mkdir()
        loop = engine.new()
        told = reported(loop)
        expires = brief_certificate(folder, 3)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "brief.pem", folder / "brief.key")
        ends = tls_connected(loop, peer_context=context)
        until(loop, lambda: time.time() > expires + 1)
        for size in (10, 50_000):
            ends.peer.send(bytes(size))
            until(loop, lambda size=size: len(ends.protocol.data) >= size)
            ends.transport.write(bytes(size))
            say([len(ends.peer.receive(loop, size)), bytes(ends.protocol.data) == bytes(size)])
            ends.protocol.data.clear()
        mine, theirs = socket_pair("unix")
        peer = Peer(theirs, context, True)
        again = loop.create_task(
            loop.create_connection(Recorder, sock=mine, ssl=client_context(), server_hostname=HOST)
        )

        def is_over() -> bool:
            with contextlib.suppress(ssl.SSLError):
                peer.tried(peer.tls.do_handshake)
            return bool(again.done())

        until(loop, is_over)
        say(repr(again.exception()))
        say(told)
        ends.transport.close()
        ends.peer.pump()
        ends.peer.close_notify()
        until(loop, lambda: ends.protocol.lost)
        say(ends.protocol.events[-1])
        close_all(loop, ends)
        theirs.close()

    folders = iter(tmp_path / str(number) for number in range(9))
    same(lambda engine, say: scenario(engine, say, next(folders)))
