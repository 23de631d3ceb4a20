"""Where programs take hold of TLS in asyncio: classes, private attributes, what they replace; which route is taken."""

from __future__ import annotations

import asyncio
import contextlib
import io
import ssl
import sys
from asyncio import sslproto
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from rasyncio import _variables
from support.loops import Say, record
from support.net import Recorder, socket_pair, until
from support.tls import (
    HOST,
    Peer,
    TlsEnds,
    client_context,
    close_all,
    same,
    server_context,
    tls_connected,
)

pytestmark = pytest.mark.usefixtures("route")


def both_ways(loop: Any, ends: TlsEnds, say: Say) -> None:
    """Some bytes in each direction."""
    ends.protocol.data.clear()
    ends.peer.send(b"question")
    until(loop, lambda: len(ends.protocol.data) >= 8)
    say(bytes(ends.protocol.data))
    ends.transport.write(b"answer")
    say(ends.peer.receive(loop, 6))


def test_classes_and_attributes() -> None:
    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        ends = tls_connected(loop)
        transport, protocol = ends.transport, ends.transport._ssl_protocol
        say([isinstance(transport, one) for one in (sslproto._SSLProtocolTransport, asyncio.Transport)])
        say([type(transport).__name__, type(protocol) is sslproto.SSLProtocol])
        say([protocol._app_transport is transport, transport._loop is loop, transport._closed])
        say(repr(transport).split(" object")[0].split(".")[-1])
        say([transport._start_tls_compatible, str(transport._sendfile_compatible), transport.can_write_eof()])
        say(transport.get_protocol() is ends.protocol is protocol._app_protocol)
        say([transport.is_reading(), transport.is_closing(), transport._protocol_paused])
        say([transport.get_write_buffer_limits(), transport.get_read_buffer_limits()])
        say([transport.get_write_buffer_size(), transport.get_read_buffer_size()])
        say([transport.get_extra_info(name, "?") is not None for name in ("peername", "socket", "nothing")])
        say(sorted(name for name in vars(protocol) if not name.startswith("_handshake")))
        for name, argument in (("write_eof", ()), ("write", (1,)), ("_test__append_write_backlog", (b"held back, ",))):
            try:
                say(getattr(transport, name)(*argument))
            except Exception as error:
                say(f"{type(error).__name__}: {error}")
        transport.write(b"and the rest")
        say(ends.peer.receive(loop, 23))
        close_all(loop, ends)
        say([transport._ssl_protocol is protocol, protocol._app_transport, transport._closed])

    same(scenario)


def start_tls(loop: Any, ends: Any, peer: Peer, server_side: bool, context: ssl.SSLContext) -> Any:
    """Upgrade a connection at both ends."""
    options: dict[str, Any] = {} if server_side else {"server_hostname": HOST}
    upgrading = loop.start_tls(ends.transport, ends.protocol, context, server_side=server_side, **options)
    task = loop.create_task(upgrading)
    peer.shake_hands(loop, task.done)
    return task.result()


@pytest.mark.parametrize("server_side", [False, True], ids=["client", "server"])
def test_start_tls(server_side: bool, route: str) -> None:
    def scenario(engine: Any, say: Say, natively: bool) -> None:
        loop = engine.new()
        mine, theirs = socket_pair("unix")
        protocol = Recorder()
        made = loop.run_until_complete(loop.create_connection(lambda: protocol, sock=mine))[0]
        contexts = [server_context(), client_context()]
        peer = Peer(theirs, contexts[server_side], not server_side)
        transport = start_tls(loop, TlsEnds(made, protocol, peer), peer, server_side, contexts[not server_side])
        if natively:
            say(str(transport.get_extra_info("rasyncio_tls")))
            return close_all(loop, TlsEnds(transport, protocol, peer))
        ends = TlsEnds(transport, protocol, peer)
        both_ways(loop, ends, say)
        say([type(transport).__name__, transport._ssl_protocol._transport is made])
        transport.close()
        peer.close_notify()
        until(loop, lambda: protocol.lost)
        say(protocol.events)
        close_all(loop, ends)
        return None

    same(scenario, False)
    assert record("ours", scenario, True) == [route]


def test_tls_in_tls(route: str) -> None:
    """A connection with TLS is upgraded once more; the peer has one `SSLObject` in another."""
    routes: list[str | None] = []

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        ends = tls_connected(loop)
        outer = ends.peer
        inner = Peer(outer.sock, server_context(), True)
        task = loop.create_task(loop.start_tls(ends.transport, ends.protocol, client_context(), server_hostname=HOST))

        def through(action: Callable[[], Any]) -> Any:
            piece = outer.tried(lambda: outer.tls.read(1 << 16))
            while piece:
                inner.incoming.write(piece)
                piece = outer.tried(lambda: outer.tls.read(1 << 16))
            try:
                return action()
            except ssl.SSLWantReadError:
                return None
            finally:
                if data := inner.outgoing.read():
                    outer.send(data)

        until(loop, lambda: (inner.tls.version() or through(inner.tls.do_handshake) or True) and task.done())
        transport = task.result()
        routes.extend(each.get_extra_info("rasyncio_tls") for each in (ends.transport, transport))
        for size in (10, 20_000, 300_000):
            ends.protocol.data.clear()
            text = bytes(range(10)) * (size // 10)
            transport.write(text)
            received = bytearray()

            def is_there(received: bytearray = received, size: int = size) -> bool:
                piece = through(lambda: inner.tls.read(1 << 16))
                while piece:
                    received.extend(piece)
                    piece = through(lambda: inner.tls.read(1 << 16))
                return len(received) >= size

            until(loop, is_there)
            say(bytes(received) == text)
            inner.tls.write(text)
            outer.tls.write(inner.outgoing.read())
            outer.send_raw(loop, outer.outgoing.read())
            until(loop, lambda size=size: len(ends.protocol.data) >= size)
            say(ends.protocol.data == text)
        transport.abort()
        until(loop, lambda: ends.protocol.lost)
        say(ends.protocol.events[-1])
        outer.close()

    same(scenario)
    assert routes == [None, None, route, route]


#: What programs put in the place of asyncio's; each has to be called, or looked at, as asyncio does.
REPLACED: dict[str, Callable[[Any, pytest.MonkeyPatch, list[str]], object]] = {}


def replacing(function: Callable[[Any, pytest.MonkeyPatch, list[str]], object]) -> None:
    REPLACED[function.__name__.replace("_", " ").strip()] = function


def noting(calls: list[str], owner: Any, name: str) -> Any:
    """The method of that name, which also notes that it was called."""
    original = getattr(owner, name)

    def note(*args: Any, **options: Any) -> Any:
        calls.append(name)
        return original(*args, **options)

    return note


@replacing
def a_method_of_the_protocol(ends: Any, monkeypatch: pytest.MonkeyPatch, calls: list[str]) -> None:
    for name in ("_do_read", "_do_write", "_process_outgoing", "_write_appdata", "buffer_updated"):
        monkeypatch.setattr(sslproto.SSLProtocol, name, noting(calls, sslproto.SSLProtocol, name))


@replacing
def a_method_of_this_protocol(ends: Any, monkeypatch: pytest.MonkeyPatch, calls: list[str]) -> None:
    protocol = ends.transport._ssl_protocol
    for name in ("_do_read", "_do_write", "_process_outgoing", "_control_app_writing", "buffer_updated"):
        setattr(protocol, name, noting(calls, protocol, name))


@replacing
def a_method_of_all_transports(ends: Any, monkeypatch: pytest.MonkeyPatch, calls: list[str]) -> None:
    monkeypatch.setattr(sslproto._SSLProtocolTransport, "write", noting(calls, sslproto._SSLProtocolTransport, "write"))


@replacing
def a_method_of_this_transport(ends: Any, monkeypatch: pytest.MonkeyPatch, calls: list[str]) -> None:
    ends.transport.write = noting(calls, ends.transport, "write")


@replacing
def methods_of_all_connections(ends: Any, monkeypatch: pytest.MonkeyPatch, calls: list[str]) -> None:
    for name in ("read", "write"):
        monkeypatch.setattr(ssl.SSLObject, name, noting(calls, ssl.SSLObject, name))


@replacing
def methods_of_this_connection(ends: Any, monkeypatch: pytest.MonkeyPatch, calls: list[str]) -> None:
    tls = ends.transport.get_extra_info("ssl_object")
    for name in ("read", "write"):
        setattr(tls, name, noting(calls, tls, name))


class Wrapped:
    """An object's stand-in, which notes what is asked of it."""

    def __init__(self, inner: Any, calls: list[str]) -> None:
        self.inner, self.calls = inner, calls

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        return getattr(self.inner, name)


@replacing
def the_connection(ends: Any, monkeypatch: pytest.MonkeyPatch, calls: list[str]) -> None:
    protocol = ends.transport._ssl_protocol
    protocol._sslobj = Wrapped(protocol._sslobj, calls)


@replacing
def the_transport_beneath(ends: Any, monkeypatch: pytest.MonkeyPatch, calls: list[str]) -> None:
    protocol = ends.transport._ssl_protocol
    protocol._transport = Wrapped(protocol._transport, calls)


@replacing
def max_size(ends: Any, monkeypatch: pytest.MonkeyPatch, calls: list[str]) -> None:
    monkeypatch.setattr(sslproto.SSLProtocol, "max_size", 3)


@replacing
def the_protocol_of_the_program(ends: Any, monkeypatch: pytest.MonkeyPatch, calls: list[str]) -> None:
    ends.protocol.data_received = noting(calls, ends.protocol, "data_received")


@replacing
def water_marks(ends: Any, monkeypatch: pytest.MonkeyPatch, calls: list[str]) -> None:
    ends.transport._ssl_protocol._outgoing_high_water = -1.5
    ends.transport._ssl_protocol._incoming_high_water = 1 << 70


@pytest.mark.parametrize("what", REPLACED)
def test_what_a_program_replaces_is_called(what: str) -> None:
    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        calls: list[str] = []
        ends = tls_connected(loop)
        both_ways(loop, ends, say)
        with pytest.MonkeyPatch.context() as monkeypatch:
            REPLACED[what](ends, monkeypatch, calls)
            both_ways(loop, ends, say)
            say(calls)
            say([event for event in ends.protocol.events if isinstance(event, str)])
        both_ways(loop, ends, say)
        close_all(loop, ends)

    same(scenario)


def test_attributes_in_another_order() -> None:
    """Native code finds them wherever they are in a protocol's dict; the next connection has them elsewhere again."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        for _ in range(2):
            ends = tls_connected(loop)
            both_ways(loop, ends, say)
            attributes = vars(ends.transport._ssl_protocol)
            backwards = dict(reversed(attributes.items()))
            attributes.clear()
            attributes.update(backwards)
            both_ways(loop, ends, say)
            for name in list(attributes)[::2]:
                attributes[name] = attributes.pop(name)
            both_ways(loop, ends, say)
            ends.transport._ssl_protocol.something = [*map(str, range(100))]
            both_ways(loop, ends, say)
            say(ends.transport.get_write_buffer_size())
            close_all(loop, ends)

    same(scenario)


def test_attributes_in_another_kind_of_dict() -> None:
    """One whose keys are not all strings, with one that only equals a name, and one with a name less."""

    def scenario(engine: Any, say: Say) -> None:
        class Text(str):
            __slots__ = ()

        loop = engine.new()
        for change in ("a number", "an equal name", "a name less", "very many"):
            ends = tls_connected(loop)
            both_ways(loop, ends, say)
            attributes = vars(ends.transport._ssl_protocol)
            if change == "a number":
                attributes[1] = "one"
            elif change == "an equal name":
                attributes[Text("_app_reading_paused")] = attributes.pop("_app_reading_paused")
            elif change == "a name less":
                del attributes["_extra"]
            else:
                attributes.update((str(number), number) for number in range(1000))
                attributes["_ssl_writing_paused"] = attributes.pop("_ssl_writing_paused")
            both_ways(loop, ends, say)
            ends.transport.pause_reading()
            say([change, ends.transport.is_reading()])
            ends.transport.resume_reading()
            both_ways(loop, ends, say)
            attributes["_extra"] = {}
            close_all(loop, ends)

    same(scenario)


def test_names_in_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class of the program's own in the place of asyncio's."""

    def scenario(engine: Any, say: Say) -> None:
        class Own(sslproto.SSLProtocol):
            def _do_read(self) -> None:
                say("_do_read")
                super()._do_read()  # type: ignore[misc]

        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(sslproto, "SSLProtocol", Own)
            loop = engine.new()
            ends = tls_connected(loop)
            both_ways(loop, ends, say)
            say(str(ends.transport.get_extra_info("rasyncio_tls")))
            close_all(loop, ends)

    same(scenario)


def test_no_buffer_of_a_quarter_of_a_megabyte(route: str) -> None:
    """asyncio keeps one for each connection."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        ends = tls_connected(loop)
        both_ways(loop, ends, say)
        say(len(ends.transport._ssl_protocol._ssl_buffer))
        close_all(loop, ends)

    assert record("ours", scenario)[-1] == "0"


def test_the_buffer_is_there_when_asyncios_code_reads() -> None:
    """Also where the protocol was made without it."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        ends = tls_connected(loop)
        protocol = ends.transport._ssl_protocol
        say([protocol.max_size, "max_size" in vars(protocol)])
        say([len(protocol.get_buffer(wanted)) for wanted in (-1, 9)])
        protocol._do_read = protocol._do_read
        both_ways(loop, ends, say)
        close_all(loop, ends)

    same(scenario)


def test_a_constructor_that_a_program_has_replaced() -> None:
    def scenario(engine: Any, say: Say) -> None:
        original: Any = sslproto.SSLProtocol.__init__

        def constructor(self: Any, *arguments: Any, **options: Any) -> None:
            say([self.max_size, vars(self), len(arguments), sorted(options)])
            original(self, *arguments, **options)

        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(sslproto.SSLProtocol, "__init__", constructor)
            loop = engine.new()
            ends = tls_connected(loop)
            both_ways(loop, ends, say)
            close_all(loop, ends)

    same(scenario)


def test_a_transport_that_somebody_has_already_stays() -> None:
    """Who makes the protocol by hand, and takes its transport, keeps that one."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        mine, theirs = socket_pair("unix")
        lower = loop.run_until_complete(loop.create_connection(asyncio.Protocol, sock=mine))[0]
        protocol, peer = Recorder(), Peer(theirs, server_context(), True)
        waiter = loop.create_future()
        by_hand = sslproto.SSLProtocol(loop, protocol, client_context(), waiter, server_hostname=HOST)
        transport = by_hand._app_transport  # type: ignore[attr-defined]
        lower.set_protocol(by_hand)
        by_hand.connection_made(lower)
        peer.shake_hands(loop, waiter.done)
        say([by_hand._app_transport is transport, protocol.transport is transport])  # type: ignore[attr-defined]
        ends = TlsEnds(transport, protocol, peer)
        both_ways(loop, ends, say)
        close_all(loop, ends)

    same(scenario)


def test_another_route_for_each_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        for chosen in ("openssl", "memorybio", "python"):
            monkeypatch.setenv("RASYNCIO_TLS", chosen)
            ends = tls_connected(loop)
            say(str(ends.transport.get_extra_info("rasyncio_tls")))
            both_ways(loop, ends, say)
            close_all(loop, ends)
        monkeypatch.delenv("RASYNCIO_TLS")
        ends = tls_connected(loop)
        say(str(ends.transport.get_extra_info("rasyncio_tls")))
        close_all(loop, ends)
        monkeypatch.setenv("RASYNCIO_TLS", "rustls")
        with mock.patch.object(_variables, "_told", set()), contextlib.redirect_stderr(io.StringIO()) as said:
            ends = tls_connected(loop)
            close_all(loop, ends)
            ends = tls_connected(loop)
        assert said.getvalue() == "rasyncio: RASYNCIO_TLS must be one of openssl, memorybio, python, not 'rustls'\n"
        say(str(ends.transport.get_extra_info("rasyncio_tls")))
        close_all(loop, ends)

    found = [line for line in record("ours", scenario) if not line.startswith("b'")]
    assert found == ["openssl", "memorybio", "None", "openssl", "openssl"]


def test_python_may_take_over_at_any_time(route: str) -> None:
    """Its methods and native code work on the same state: one reads what the other has left."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        ends = tls_connected(loop)
        tls, protocol = ends.transport.get_extra_info("ssl_object"), ends.transport._ssl_protocol
        for _ in range(3):
            both_ways(loop, ends, say)
            ends.transport.pause_reading()
            ends.peer.send(b"held back, ")
            until(loop, lambda: protocol._incoming.pending > 0)
            say(tls.read(4))
            ends.transport.resume_reading()
            until(loop, lambda: ends.protocol.data.endswith(b", "))
            say(bytes(ends.protocol.data[-7:]))
            tls.write(b"by hand, ")
            ends.transport.write(b"and not")
            say(ends.peer.receive(loop, 16))
            protocol._write_appdata([b"by its ", b"method"])
            say(ends.peer.receive(loop, 13))
        close_all(loop, ends)

    same(scenario)


def test_the_library_is_found() -> None:
    """Here, wherever `_ssl` is OpenSSL's: else the other route would be tested twice."""
    from rasyncio import _tls

    assert sys.platform != "linux" or _tls._knows_openssl(ssl) == ssl.OPENSSL_VERSION.startswith("OpenSSL 3")
