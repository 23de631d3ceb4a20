"""What programs, suites and the standard library read of a transport, private names included, and what they set."""

from __future__ import annotations

import asyncio
import functools
import gc
import re
import warnings
import weakref
from typing import Any

import pytest

from support.loops import Engine, Say, same_as_stock, tried, turn
from support.net import (
    FORGETS_LOSS,
    HUGE,
    WHICH,
    Ends,
    Recorder,
    connected,
    dial,
    finish,
    listener,
    receive,
    socket_pair,
    until,
)

DATA = (
    "_sock",
    "_sock_fd",
    "_loop",
    "_protocol",
    "_extra",
    "_server",
    "_buffer",
    "_conn_lost",
    "_closing",
    "_paused",
    "_eof",
    "_empty_waiter",
    "_protocol_paused",
    "_protocol_connected",
    "_high_water",
    "_low_water",
    "max_size",
    "_start_tls_compatible",
    "_sendfile_compatible",
)
METHODS = (
    "_read_ready",
    "_read_ready_cb",
    "_write_ready",
    "_fatal_error",
    "_force_close",
    "_call_connection_lost",
    "_make_empty_waiter",
    "_reset_empty_waiter",
    "_maybe_pause_protocol",
    "_maybe_resume_protocol",
    "_set_write_buffer_limits",
    "_add_reader",
)


def told(value: Any) -> str:
    """Plain data as they are, of others the type."""
    if isinstance(value, (bool, int, type(None))):
        return repr(value)
    return type(value).__name__


def say_all(say: Say, ends: Ends) -> None:
    """All that can be read of a transport."""
    transport = ends.transport
    for name in DATA:
        value = getattr(transport, name, "not there")
        if name == "_sock_fd":
            say(f"{name} is a number: {type(value) is int and value >= 0}")
        elif name == "_buffer":
            say(f"{name} has something: {bool(value)}, {len(value) > 0}")
        else:
            say(f"{name}: {told(value)}")
    for name in METHODS:
        say(f"{name} can be called: {callable(getattr(transport, name, 'not there'))}")
    say(f"known to the loop: {ends.protocol.loop._transports.get(transport._sock_fd) is transport}")
    say(re.sub(r"bufsize=[1-9]\d*", "bufsize=some", repr(transport)))


def stages(engine: Engine, say: Say, which: str) -> None:
    loop = engine.new()
    protocol = Recorder()
    protocol.loop = loop  # type: ignore[attr-defined]
    ends = connected(loop, which, protocol)
    transport = ends.transport
    steps = {
        "made": lambda: None,
        "paused": transport.pause_reading,
        "resumed": transport.resume_reading,
        "limits": lambda: transport.set_write_buffer_limits(high=1000, low=10),
        "full": lambda: transport.write(bytes(HUGE)),
        "protocol": lambda: transport.set_protocol(protocol),
        "closing": transport.close,
    }
    for name, step in steps.items():
        say(name)
        step()
        turn(loop)
        say_all(say, ends)
    assert receive(loop, ends.peer, HUGE) == bytes(HUGE)
    until(loop, lambda: protocol.lost)
    say("closed")
    say_all(say, ends)
    say(protocol.events)
    finish(loop, ends)


@pytest.mark.skipif(FORGETS_LOSS, reason="asyncio's own transport fails at the last stage (gh-156512)")
@pytest.mark.parametrize("which", WHICH)
def test_at_each_stage(engine_name: str, which: str) -> None:
    lines = same_as_stock(engine_name, stages, which)
    assert "<_SelectorSocketTransport fd=N read=polling write=<polling, bufsize=some>>" in lines
    assert "<_SelectorSocketTransport closed fd=N>" in lines


def test_a_servers_transport(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop, protocol = engine.new(), Recorder()
        protocol.loop = loop  # type: ignore[attr-defined]
        listening = listener("tcp4")
        server = loop.run_until_complete(loop.create_server(lambda: protocol, sock=listening))
        with dial(listening) as peer:
            until(loop, lambda: protocol.transport is not None)
            say(protocol.transport._server is server)
            say_all(say, Ends(protocol.transport, protocol, peer))
        until(loop, lambda: protocol.lost)
        say(f"{protocol.transport._server}")
        server.close()
        loop.run_until_complete(server.wait_closed())

    assert same_as_stock(engine_name, scenario)[0] == "True"


def test_is_what_asyncio_says(eventloop: Any) -> None:
    ends = connected(eventloop)
    transport = ends.transport
    assert isinstance(transport, asyncio.Transport)
    assert isinstance(transport, asyncio.transports._FlowControlMixin)  # type: ignore[attr-defined]
    assert not isinstance(transport, asyncio.DatagramTransport)
    assert type(transport).__name__ == "_SelectorSocketTransport"
    assert transport == transport and transport in {transport}
    assert weakref.ref(transport)() is transport
    finish(eventloop, ends)


@pytest.mark.parametrize("which", WHICH)
def test_extra_info(engine_name: str, which: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        ends = connected(loop, which)
        transport, peer = ends.transport, ends.peer
        say(transport.get_extra_info("peername") == peer.getsockname())
        say(transport.get_extra_info("sockname") == peer.getpeername())
        sock = transport.get_extra_info("socket")
        say(f"{type(sock).__name__} {sock.family!r} {sock.fileno() == transport._sock_fd}")
        for name in ("sslcontext", "ssl_object", "pipe", 5, None):
            say(f"{name}: {transport.get_extra_info(name)!r} {transport.get_extra_info(name, 'default')!r}")
        tried(say, lambda: transport.get_extra_info([]))
        tried(say, transport.get_extra_info)
        say(sorted(transport._extra))
        transport._extra["own"] = "value"
        say(transport.get_extra_info("own"))
        finish(loop, ends)
        say([transport.get_extra_info("own"), sorted(transport._extra), sock.fileno()])

    same_as_stock(engine_name, scenario)


def test_attributes_of_a_programs_own(eventloop: Any) -> None:
    ends = connected(eventloop)
    ends.transport.anything = "value"
    assert ends.transport.anything == "value" and "anything" in vars(ends.transport)
    with pytest.raises(AttributeError):
        _ = ends.transport.something
    finish(eventloop, ends)


def test_a_greatest_size_that_a_program_sets(eventloop: Any) -> None:
    protocol = Recorder()
    pieces: list[bytes] = []
    protocol.data_received = pieces.append  # type: ignore[method-assign]
    ends = connected(eventloop, protocol=protocol)
    ends.transport.max_size = 10
    ends.peer.send(b"0123456789abcdefghijklm")
    until(eventloop, lambda: len(b"".join(pieces)) == 23)
    assert pieces == [b"0123456789", b"abcdefghij", b"klm"]
    finish(eventloop, ends)


def test_what_is_read_is_the_kind_of_bytes_that_it_was(eventloop: Any) -> None:
    """Of whatever size, and nobody else's afterwards."""
    pieces: list[bytes] = []
    protocol = Recorder()
    protocol.data_received = pieces.append  # type: ignore[method-assign]
    ends = connected(eventloop, protocol=protocol)
    sizes = [1, 2, 100, 4095, 4096, 4097, 8192, 5000, 60_000, 10, 60_001, 1]
    for number, size in enumerate(sizes):
        ends.peer.send(bytes([number]) * size)
        until(eventloop, lambda: sum(map(len, pieces)) == sum(sizes[: number + 1]))  # noqa: B023
    assert all(type(piece) is bytes for piece in pieces)
    assert pieces == [bytes([number]) * size for number, size in enumerate(sizes)]
    assert len({hash(piece) for piece in pieces}) == len(sizes)
    finish(eventloop, ends)


def test_a_transport_that_nobody_closed(engine_name: str) -> None:
    """It says so when it is freed, and closes its socket."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        ends = connected(loop)
        peer, reference = ends.peer, weakref.ref(ends.transport)
        ends.transport.pause_reading()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del ends
            turn(loop, 2)
            gc.collect()
        texts = [str(each.message) for each in caught if "unclosed transport" in str(each.message)]
        say(texts)
        say([each.category.__name__ for each in caught if "unclosed transport" in str(each.message)])
        say(f"gone: {reference() is None}")
        say(peer.recv(1))
        peer.close()

    same_as_stock(engine_name, scenario)


def test_a_loop_that_is_closed_with_connections(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        mine, peer = socket_pair("tcp4")
        transport = connected(loop, "tcp4", sock=mine).transport
        del mine
        transport.write(b"before")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loop.close()
            say(repr(transport))
            tried(say, functools.partial(transport.write, b" after"))
            tried(say, transport.close)
            tried(say, transport.abort)
            del transport
            gc.collect()
        texts = {str(each.message) for each in caught}
        say(sorted(text for text in texts if text.startswith("unclosed transport")))
        peer.settimeout(20)
        say([peer.recv(100), peer.recv(100)])
        peer.close()

    same_as_stock(engine_name, scenario)


class Held:
    """Whether it has been freed."""


def test_a_closed_transport_holds_nothing(eventloop: Any) -> None:
    """Neither its protocol nor its buffers, though somebody holds the transport."""
    protocol = Recorder()
    ends = connected(eventloop, protocol=protocol)
    held = Held()
    protocol.held = held  # type: ignore[attr-defined]
    reference = weakref.ref(held)
    transport = ends.transport
    finish(eventloop, ends)
    del ends, protocol, held
    gc.collect()
    assert reference() is None
    assert transport.is_closing() and transport.get_protocol() is None


@pytest.mark.parametrize("end", ["close", "abort", "close and abort", "abort and close", "forget"])
def test_the_reader_that_is_told(engine_name: str, end: str) -> None:
    """What it is at each point on the way to the end; a program that has set it to None is told when it reads."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.set_exception_handler(lambda loop, context: say(repr(context["exception"])))
        ends = connected(loop)

        def tell() -> None:
            say(getattr(ends.transport._read_ready_cb, "__name__", None))

        tell()
        if end == "forget":
            ends.transport._read_ready_cb = None
            tell()
            ends.peer.send(b"text")
            turn(loop)
            say(bytes(ends.protocol.data))
            ends.transport.set_protocol(ends.protocol)
            tell()
            until(loop, lambda: ends.protocol.data == b"text")
            ends.transport.abort()
        else:
            for act in end.split(" and "):
                getattr(ends.transport, act)()
                tell()
        until(loop, lambda: ends.protocol.lost)
        tell()
        ends.peer.close()

    same_as_stock(engine_name, scenario)
