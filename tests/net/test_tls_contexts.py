"""What an `ssl.SSLContext` can do, it does on native routes as on asyncio's own: the same events, errors and texts."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest

from support.loops import Say, record
from support.net import Recorder, socket_pair, until
from support.tls import (
    HOST,
    OTHER_HOST,
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

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = (TLS12, TLS13)


@pytest.fixture(autouse=True)
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What callbacks raise where nobody can catch it."""
    told: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: told.append(repr(what.exc_value)))
    return told


def exchange(loop: Any, ends: Any, say: Say) -> None:
    """A few bytes each way."""
    ends.peer.send(b"question")
    until(loop, lambda: ends.protocol.data.endswith(b"question") or ends.protocol.lost)
    if not ends.protocol.lost:
        ends.transport.write(b"answer")
        say(ends.peer.receive(loop, 6))


def shown(transport: Any, say: Say) -> None:
    """What a program can ask of a connection."""
    tls = transport.get_extra_info("ssl_object")
    say([type(tls).__name__, tls.version(), tls.selected_alpn_protocol(), tls.session_reused, tls.server_side])
    say(transport.get_extra_info("peercert"))
    say([transport.get_extra_info(name) for name in ("cipher", "compression")])
    say(transport.get_extra_info("sslcontext") is transport._ssl_protocol._sslcontext)
    say(sorted(transport._ssl_protocol._extra))


@pytest.mark.parametrize("version", VERSIONS, ids=str)
@pytest.mark.parametrize("server_side", [False, True], ids=["client", "server"])
def test_what_a_connection_says(version: ssl.TLSVersion, server_side: bool) -> None:
    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        server, client = server_context(version=version), client_context(version)
        server.set_alpn_protocols(["h2", "http/1.1"])
        client.set_alpn_protocols(["http/1.1"])
        contexts = (server, client) if server_side else (client, server)
        ends = tls_connected(loop, server_side=server_side, context=contexts[0], peer_context=contexts[1])
        shown(ends.transport, say)
        exchange(loop, ends, say)
        ends.transport.close()
        for _ in range(3):
            with contextlib.suppress(ssl.SSLError):
                ends.peer.tried(ends.peer.tls.unwrap)
            loop.run_until_complete(asyncio.sleep(0.005))
        until(loop, lambda: ends.protocol.lost)
        say(ends.protocol.events)
        close_all(loop, ends)

    same(scenario)


@pytest.mark.parametrize("version", VERSIONS, ids=str)
@pytest.mark.parametrize("certificate", ["client", "", "stranger"])
def test_client_certificates(version: ssl.TLSVersion, certificate: str) -> None:
    """Also none, and one of an authority that nobody knows: with TLS 1.3 that comes with the first read."""

    def scenario(engine: Any, say: Say, server_side: bool) -> None:
        loop = engine.new()
        told = reported(loop)
        server = server_context(version=version)
        server.verify_mode = ssl.CERT_REQUIRED
        server.load_verify_locations(certificates() / "ca.pem")
        client = client_context(version, certificate)
        contexts = (server, client) if server_side else (client, server)
        mine, theirs = socket_pair("unix")
        protocol = Recorder()
        peer = Peer(theirs, contexts[1], not server_side)
        if server_side:
            connecting = loop.connect_accepted_socket(lambda: protocol, mine, ssl=contexts[0])
        else:
            connecting = loop.create_connection(lambda: protocol, sock=mine, ssl=contexts[0], server_hostname=HOST)
        task = loop.create_task(connecting)
        for _ in range(60):
            with contextlib.suppress(ssl.SSLError, OSError):
                peer.tried(peer.tls.read if peer.tls.version() else peer.tls.do_handshake)
            loop.run_until_complete(asyncio.sleep(0.001))
        say(repr(task.exception()) if task.done() else "pending")
        task.cancel()
        if task.done() and not task.exception():
            transport = task.result()[0]
            say(transport.get_extra_info("peercert"))
            transport.write(b"something")
            loop.run_until_complete(asyncio.sleep(0.01))
            transport.abort()
        loop.run_until_complete(asyncio.sleep(0.01))
        say(protocol.events)
        say(told)
        peer.close()

    for server_side in (True, False):
        same(scenario, server_side)


@pytest.mark.parametrize("fault", ["expired", "stranger", "other", "no common version"])
def test_handshakes_that_fail(fault: str) -> None:
    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        told = reported(loop)
        mine, theirs = socket_pair("unix")
        server = server_context(version=TLS12) if fault == "no common version" else server_context(fault)
        peer = Peer(theirs, server, True)
        protocol = Recorder()
        client = client_context(TLS13 if fault == "no common version" else None)
        task = loop.create_task(loop.create_connection(lambda: protocol, sock=mine, ssl=client, server_hostname=HOST))
        for _ in range(40):
            with contextlib.suppress(ssl.SSLError, OSError):
                peer.tried(peer.tls.do_handshake)
            loop.run_until_complete(asyncio.sleep(0.001))
        say(repr(task.exception()))
        say(protocol.events)
        say(told)
        peer.close()

    same(scenario)


@pytest.mark.parametrize("kind", ["looks", "swaps", "refuses", "raises", "writes"])
def test_sni_callbacks(kind: str, unraisable: list[str]) -> None:
    """Also one that swaps the context, one that raises, and one that looks at the object that is being made."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        told = reported(loop)
        server, other = server_context("other"), server_context("server")
        other.set_alpn_protocols(["swapped"])

        def callback(tls: Any, name: str | None, context: ssl.SSLContext) -> Any:
            say([type(tls).__name__, name, context is server])
            if kind == "swaps":
                tls.context = other
            if kind == "raises":
                raise ZeroDivisionError("in the callback")
            return ssl.ALERT_DESCRIPTION_ACCESS_DENIED if kind == "refuses" else None

        server.sni_callback = callback
        mine, theirs = socket_pair("unix")
        client = client_context()
        client.check_hostname = False
        protocol, peer = Recorder(), Peer(theirs, client, False)
        task = loop.create_task(loop.connect_accepted_socket(lambda: protocol, mine, ssl=server))
        for _ in range(40):
            with contextlib.suppress(ssl.SSLError, OSError):
                peer.tried(peer.tls.do_handshake)
            loop.run_until_complete(asyncio.sleep(0.001))
        say(repr(task.exception()) if task.done() and task.exception() else "done")
        if task.done() and not task.exception():
            say(peer.tls.getpeercert()["subject"])  # type: ignore[index]
            transport = task.result()[0]
            for text in (b"one", b"x" * 40_000):
                transport.write(text)
                say(peer.receive(loop, len(text)) == text)
                peer.send(text)
                until(loop, lambda text=text: protocol.data.endswith(text))
            say(transport.get_extra_info("ssl_object").context is (other if kind == "swaps" else server))
            transport.abort()
            until(loop, lambda: protocol.lost)
        say(protocol.events[-1:])
        say([told, unraisable])
        unraisable.clear()
        peer.close()

    same(scenario)


def test_a_session_is_taken_up_again(route: str) -> None:
    def scenario(engine: Any, say: Say, version: ssl.TLSVersion) -> None:
        loop = engine.new()
        server, client = server_context(version=version), client_context(version)
        ends = tls_connected(loop, server_side=True, context=server, peer_context=client)
        ends.transport.write(b"with tickets")
        say(ends.peer.receive(loop, 12))
        session = ends.peer.tls.session
        close_all(loop, ends)
        mine, theirs = socket_pair("unix")
        protocol, peer = Recorder(), Peer(theirs, client, False)
        peer.tls.session = session
        task = loop.create_task(loop.connect_accepted_socket(lambda: protocol, mine, ssl=server))
        peer.shake_hands(loop, task.done)
        transport = task.result()[0]
        say([peer.tls.session_reused, transport.get_extra_info("ssl_object").session_reused])
        peer.send(b"again")
        until(loop, lambda: protocol.data == b"again")
        transport.abort()
        until(loop, lambda: protocol.lost)
        peer.close()

    for version in VERSIONS:
        same(scenario, version)


def test_a_client_takes_a_session_up_again() -> None:
    """By a context that hands it to its next connection, as programs do, for asyncio has no argument for it."""

    def scenario(engine: Any, say: Say, version: ssl.TLSVersion) -> None:
        class Resuming(ssl.SSLContext):
            session: ssl.SSLSession | None = None

            def wrap_bio(self, *args: Any, **options: Any) -> Any:
                return super().wrap_bio(*args, **options, session=self.session)

        loop = engine.new()
        server, client = server_context(version=version), Resuming(ssl.PROTOCOL_TLS_CLIENT)
        client.minimum_version = client.maximum_version = version
        client.load_verify_locations(certificates() / "ca.pem")
        for _ in range(3):
            ends = tls_connected(loop, context=client, peer_context=server)
            exchange(loop, ends, say)
            tls = ends.transport.get_extra_info("ssl_object")
            say([tls.session_reused, tls.session.has_ticket])
            client.session = tls.session
            close_all(loop, ends)

    for version in VERSIONS:
        same(scenario, version)


@pytest.mark.parametrize("mode", [ssl.CERT_NONE, ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
@pytest.mark.parametrize("certificate", ["", "client", "stranger", "expired"])
def test_modes_of_verification(mode: ssl.VerifyMode, certificate: str) -> None:
    """Of a server that asks for its client's certificate; and what is known of that certificate then."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        told = reported(loop)
        server = server_context(version=TLS12)
        server.verify_mode = mode
        server.load_verify_locations(certificates() / "ca.pem")
        mine, theirs = socket_pair("unix")
        protocol, peer = Recorder(), Peer(theirs, client_context(TLS12, certificate), False)
        task = loop.create_task(loop.connect_accepted_socket(lambda: protocol, mine, ssl=server))
        for _ in range(40):
            with contextlib.suppress(ssl.SSLError, OSError):
                peer.tried(peer.tls.do_handshake)
            loop.run_until_complete(asyncio.sleep(0.001))
        say(repr(task.exception()))
        if not task.exception():
            transport = task.result()[0]
            say([transport.get_extra_info("peercert"), transport.get_extra_info("ssl_object").getpeercert(True)])
            peer.send(b"question")
            until(loop, lambda: protocol.data == b"question")
            transport.abort()
            until(loop, lambda: protocol.lost)
        say([protocol.events, told])
        peer.close()

    same(scenario)


@pytest.mark.skipif(not hasattr(ssl, "OP_ENABLE_KTLS"), reason="the ssl module has it from 3.12 on")
@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_a_context_that_would_have_the_kernel_encrypt(version: ssl.TLSVersion, route: str) -> None:
    """`OP_ENABLE_KTLS` is for sockets, of which a connection of asyncio's has none: it makes no difference."""

    def scenario(engine: Any, say: Say, server_side: bool) -> None:
        loop = engine.new()
        context = server_context(version=version) if server_side else client_context(version)
        context.options |= ssl.OP_ENABLE_KTLS
        ends = tls_connected(loop, server_side=server_side, context=context)
        say(ends.transport.get_extra_info("sslcontext").options & ssl.OP_ENABLE_KTLS == ssl.OP_ENABLE_KTLS)
        exchange(loop, ends, say)
        text = bytes(range(250)) * 1000
        ends.transport.write(text)
        say(ends.peer.receive(loop, len(text)) == text)
        say(str(ends.transport.get_extra_info("rasyncio_tls")))
        close_all(loop, ends)

    for server_side in (False, True):
        stock, ours = record("stock", scenario, server_side), record("ours", scenario, server_side)
        assert ours == [line if line != "None" else route for line in stock]


def test_authentication_after_the_handshake() -> None:
    """TLS 1.3: a server that asks for the certificate later, in both roles."""

    def scenario(engine: Any, say: Say, server_side: bool, certificate: str) -> None:
        loop = engine.new()
        told = reported(loop)
        server, client = server_context(version=TLS13), client_context(TLS13, certificate)
        server.load_verify_locations(certificates() / "ca.pem")
        server.verify_mode = ssl.CERT_REQUIRED
        client.post_handshake_auth = server.post_handshake_auth = True
        contexts = (server, client) if server_side else (client, server)
        ends = tls_connected(loop, server_side=server_side, context=contexts[0], peer_context=contexts[1])
        exchange(loop, ends, say)
        own = ends.transport.get_extra_info("ssl_object")
        asking, asked = (own, ends.peer.tls) if server_side else (ends.peer.tls, own)
        say(asking.getpeercert())
        asking.verify_client_post_handshake()
        say(asked.getpeercert() is not None)
        ends.transport.write(b"with the request")
        say(ends.peer.receive(loop, 16))
        ends.peer.send(b"with the certificate")
        for _ in range(20):
            ends.peer.tried(lambda: None)
            loop.run_until_complete(asyncio.sleep(0.001))
        if not server_side:
            try:
                ends.peer.tried(lambda: ends.peer.tls.read(100))
            except ssl.SSLError as error:
                say(error.reason)
        try:
            say(asking.getpeercert()["subject"])  # type: ignore[index]
        except ValueError as error:
            say(repr(error))
        say(bytes(ends.protocol.data))
        say(told)
        close_all(loop, ends)
        say(ends.protocol.events[-1])

    for server_side in (False, True):
        for certificate in ("client", ""):
            same(scenario, server_side, certificate)


def test_a_key_log(tmp_path: Path, route: str) -> None:
    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        client = client_context()
        client.keylog_filename = str(tmp_path / f"{engine.name}.log")
        ends = tls_connected(loop, context=client)
        exchange(loop, ends, say)
        say(str(ends.transport.get_extra_info("rasyncio_tls")))
        close_all(loop, ends)
        lines = (tmp_path / f"{engine.name}.log").read_text().splitlines()
        say([line.split()[0] for line in lines if not line.startswith("#")])

    stock, ours = record("stock", scenario), record("ours", scenario)
    # What a callback raises is kept for _ssl's methods: so they are called.
    assert ours == [line if line != "None" else "memorybio" for line in stock]


@pytest.mark.parametrize("raises", [False, True])
def test_a_message_callback(raises: bool) -> None:
    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        told = reported(loop)
        client = client_context()
        seen: list[Any] = []
        is_armed = False

        def callback(connection: Any, direction: str, version: Any, content: Any, message: Any, data: bytes) -> None:
            seen.append((type(connection).__name__, direction, content.name))
            if raises and is_armed:
                raise ZeroDivisionError("in the callback")

        client._msg_callback = callback  # type: ignore[attr-defined]
        ends = tls_connected(loop, context=client)
        is_armed = True
        ends.peer.send(b"question")
        loop.run_until_complete(asyncio.sleep(0.02))
        if not ends.transport.is_closing():
            ends.transport.write(b"answer")
        loop.run_until_complete(asyncio.sleep(0.02))
        say(seen)
        say(bytes(ends.protocol.data))
        say(told)
        close_all(loop, ends)
        say(ends.protocol.events[-1])

    same(scenario)


@pytest.mark.parametrize("late", [False, True])
def test_a_message_callback_of_a_context_given_later(late: bool) -> None:
    """By the callback for the name, or when hands were shaken: what it raises ends the connection."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        told = reported(loop)
        server, other = server_context(), server_context()
        is_armed = False

        def callback(connection: Any, direction: str, version: Any, content: Any, message: Any, data: bytes) -> None:
            if is_armed:
                say((type(connection).__name__, direction, content.name))
                raise ZeroDivisionError("in the callback")

        def swaps(tls: Any, name: str | None, context: ssl.SSLContext) -> None:
            tls.context = other

        other._msg_callback = callback  # type: ignore[attr-defined]
        if not late:
            server.sni_callback = swaps
        ends = tls_connected(loop, server_side=True, context=server)
        ends.peer.send(b"first")
        until(loop, lambda: ends.protocol.data == b"first")
        if late:
            swaps(ends.transport.get_extra_info("ssl_object"), None, server)
        is_armed = True
        ends.peer.send(b"question")
        loop.run_until_complete(asyncio.sleep(0.02))
        say(bytes(ends.protocol.data))
        say(told)
        is_armed = False
        close_all(loop, ends)
        say(ends.protocol.events[-1])

    same(scenario)


@pytest.mark.skipif(not getattr(ssl, "HAS_PSK", False), reason="the ssl module has it from 3.13 on")
@pytest.mark.parametrize("key", [b"the right one", b"another", None])
def test_keys_agreed_on_before(key: bytes | None, unraisable: list[str]) -> None:
    def scenario(engine: Any, say: Say, server_side: bool) -> None:
        loop = engine.new()
        told = reported(loop)
        server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        for context in (server, client):
            context.maximum_version = TLS12
            context.set_ciphers("PSK")

        def for_client(hint: str | None) -> tuple[str, bytes]:
            say(hint)
            if key is None:
                raise ZeroDivisionError("in the callback")
            return "me", key

        def for_server(identity: str | None) -> bytes:
            say(identity)
            return b"the right one"

        client.set_psk_client_callback(for_client)  # type: ignore[attr-defined]
        server.set_psk_server_callback(for_server, "hint")  # type: ignore[attr-defined]
        contexts = (server, client) if server_side else (client, server)
        mine, theirs = socket_pair("unix")
        protocol, peer = Recorder(), Peer(theirs, contexts[1], not server_side)
        if server_side:
            connecting = loop.connect_accepted_socket(lambda: protocol, mine, ssl=contexts[0])
        else:
            connecting = loop.create_connection(lambda: protocol, sock=mine, ssl=contexts[0], server_hostname=HOST)
        task = loop.create_task(connecting)
        for _ in range(40):
            try:
                peer.tried(peer.tls.do_handshake)
            except ZeroDivisionError as error:
                say(repr(error))
                break
            except (ssl.SSLError, OSError):
                pass
            loop.run_until_complete(asyncio.sleep(0.001))
        peer.sock.close()
        loop.run_until_complete(asyncio.sleep(0.01))
        say(repr(task.exception()) if task.done() else "pending")
        say(told)
        say([event for event in protocol.events if "lost" not in event])
        say(unraisable)
        unraisable.clear()
        task.cancel()
        loop.run_until_complete(asyncio.sleep(0))

    for server_side in (False, True):
        same(scenario, server_side)


def test_a_class_for_connections_of_the_programs_own() -> None:
    """`sslobject_class`: its methods are called."""

    def scenario(engine: Any, say: Say) -> None:
        calls: list[str] = []

        class Own(ssl.SSLObject):
            def read(self, *args: Any) -> Any:
                calls.append("read")
                return super().read(*args)

            def write(self, data: Any) -> int:
                calls.append("write")
                return super().write(data)

        loop = engine.new()
        client = client_context()
        client.sslobject_class = Own
        ends = tls_connected(loop, context=client)
        say(type(ends.transport.get_extra_info("ssl_object")).__name__)
        exchange(loop, ends, say)
        say(calls)
        say(str(ends.transport.get_extra_info("rasyncio_tls")))
        close_all(loop, ends)

    same(scenario)


def test_a_context_that_hands_on_to_another() -> None:
    """As that of truststore: a subclass, whose objects another context makes."""

    def scenario(engine: Any, say: Say) -> None:
        inner = client_context()

        class Outer(ssl.SSLContext):
            def wrap_bio(self, *args: Any, **options: Any) -> Any:
                say("wrap_bio")
                return inner.wrap_bio(*args, **options)

        loop = engine.new()
        ends = tls_connected(loop, context=Outer(ssl.PROTOCOL_TLS_CLIENT))
        say(ends.transport.get_extra_info("ssl_object").context is inner)
        exchange(loop, ends, say)
        close_all(loop, ends)

    same(scenario)


def test_names_of_hosts() -> None:
    def scenario(engine: Any, say: Say, name: str) -> None:
        loop = engine.new()
        mine, theirs = socket_pair("unix")
        protocol, peer = Recorder(), Peer(theirs, server_context("other"), True)
        connecting = loop.create_connection(lambda: protocol, sock=mine, ssl=client_context(), server_hostname=name)
        task = loop.create_task(connecting)
        for _ in range(40):
            with contextlib.suppress(ssl.SSLError, OSError):
                peer.tried(peer.tls.do_handshake)
            loop.run_until_complete(asyncio.sleep(0.001))
        say(re.sub(r"object at 0x\w+", "object", repr(task.exception())))
        if not task.exception():
            task.result()[0].abort()
            until(loop, lambda: protocol.lost)
        peer.close()

    for name in (OTHER_HOST, HOST, "no.such.host", "127.0.0.1"):
        same(scenario, name)
