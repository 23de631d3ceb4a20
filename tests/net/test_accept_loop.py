"""A server accepts what comes: many at once, when descriptors run out, and while it is being closed."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from support.loops import Engine, Say, same_as_stock, tried, turn
from support.net import WHICH, Recorder, dial, listener, receive, receive_all, until


class Clients:
    """A server, and what its protocols are told."""

    def __init__(self, loop: Any, which: str = "tcp4", **options: Any) -> None:
        self.loop, self.protocols = loop, []  # type: ignore[var-annotated]
        self.listening = listener(which)
        create = loop.create_unix_server if which == "unix" else loop.create_server
        self.server = loop.run_until_complete(create(self.factory, sock=self.listening, **options))

    def factory(self) -> Recorder:
        self.protocols.append(Recorder())
        return self.protocols[-1]

    def dial(self, count: int) -> list[socket.socket]:
        return [dial(self.listening) for _ in range(count)]

    def finish(self, peers: list[socket.socket]) -> None:
        self.server.close()
        for peer in peers:
            peer.close()
        until(self.loop, lambda: all(protocol.lost for protocol in self.protocols))
        self.loop.run_until_complete(self.server.wait_closed())


def say_errors(loop: Any, say: Say) -> None:
    loop.set_exception_handler(
        lambda loop, context: say([context["message"], repr(context.get("exception")), sorted(context)])
    )


@pytest.mark.parametrize("which", WHICH)
def test_as_many_as_come(engine_name: str, which: str) -> None:
    """Of the whole backlog in one turn, up to its length; each in the order of its coming."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        clients = Clients(loop, which, backlog=10)
        peers = clients.dial(7)
        for number in range(6):
            turn(loop)
            say([number, [protocol.events for protocol in clients.protocols]])
        for number, peer in enumerate(peers):
            peer.send(b"%d" % number)
        until(loop, lambda: all(protocol.data for protocol in clients.protocols))
        say([bytes(protocol.data) for protocol in clients.protocols])
        clients.finish(peers)
        say([protocol.events for protocol in clients.protocols])

    same_as_stock(engine_name, scenario)


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """The process may open no more than it has, but for what a test closes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def exhaust(spare: int) -> None:
    """So many descriptors can still be opened."""
    free = []
    for _ in range(spare + 1):
        free.append(os.dup(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[-1], resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    for each in free:
        os.close(each)


@pytest.mark.usefixtures("few_descriptors")
def test_no_descriptors_left(engine_name: str) -> None:
    """The server says so, pauses for a second, and then serves whoever waited."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        contexts: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda loop, context: contexts.append(context))
        clients = Clients(loop)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        peers = clients.dial(5)
        timers: list[float] = []
        later = loop.call_later

        def call_later(delay: float, *arguments: Any, **options: Any) -> Any:
            timers.append(delay)
            return later(0, *arguments, **options)  # nobody waits for the second

        exhaust(2)
        loop.call_later = call_later
        turn(loop, 3)
        say(len(clients.protocols))
        say({(context["message"], repr(context["exception"]), tuple(sorted(context))) for context in contexts})
        say([type(context["socket"]).__name__ for context in contexts[:1]])
        say(set(timers))
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        until(loop, lambda: len(clients.protocols) == 5 and all(each.transport for each in clients.protocols))
        for number, peer in enumerate(peers):
            peer.send(b"%d" % number)
        until(loop, lambda: all(protocol.data for protocol in clients.protocols))
        say([bytes(protocol.data) for protocol in clients.protocols])
        del loop.call_later
        clients.finish(peers)

    lines = same_as_stock(engine_name, scenario)
    assert "OSError(24, 'Too many open files')" in lines[1] and lines[3] == "{1}"


@pytest.mark.usefixtures("few_descriptors")
def test_closed_while_it_pauses(engine_name: str) -> None:
    """The timer comes to a server that is closed, and serves nobody."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        contexts: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda loop, context: contexts.append(context))
        clients = Clients(loop)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        peers = clients.dial(1)
        later = loop.call_later
        loop.call_later = lambda delay, *arguments: later(0, *arguments)
        exhaust(0)
        turn(loop)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        clients.server.close()
        turn(loop, 3)
        say([len(contexts) > 0, len(clients.protocols)])
        del loop.call_later
        clients.finish(peers)

    same_as_stock(engine_name, scenario)


# asyncio leaves the socket of such a client to the collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_protocol_that_cannot_be_made(engine_name: str) -> None:
    """The other clients are served."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.set_exception_handler(
            lambda loop, context: say([context["message"], repr(context.get("exception")), sorted(context)])
        )
        listening = listener("tcp4")
        made: list[Recorder | None] = []

        def factory() -> Recorder:
            made.append(None if len(made) == 1 else Recorder())
            return made[-1] or exec("raise ZeroDivisionError('in the factory')")  # type: ignore[return-value]

        server = loop.run_until_complete(loop.create_server(factory, sock=listening))
        peers = [dial(listening) for _ in range(3)]
        for number, peer in enumerate(peers):
            peer.send(b"%d" % number)
        until(loop, lambda: len(made) == 3 and made[0].data and made[2].data)  # type: ignore[union-attr]
        say([protocol and bytes(protocol.data) for protocol in made])
        for peer in peers:
            peer.close()
        until(loop, lambda: made[0].lost and made[2].lost)  # type: ignore[union-attr]
        server.close()
        gc.collect()

    same_as_stock(engine_name, scenario)


def test_connection_made_that_raises(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        class Failing(Recorder):
            def connection_made(self, transport: Any) -> None:
                super().connection_made(transport)
                raise ZeroDivisionError("in connection_made")

        loop = engine.new()
        loop.set_exception_handler(
            lambda loop, context: say([type(context["exception"]).__name__, sorted(context), context["message"][:22]])
        )
        listening = listener("tcp4")
        protocol = Failing()
        server = loop.run_until_complete(loop.create_server(lambda: protocol, sock=listening))
        with dial(listening) as peer:
            peer.send(b"data")
            until(loop, lambda: protocol.data or protocol.lost)
            say(protocol.events)
        until(loop, lambda: protocol.lost)
        server.close()
        loop.run_until_complete(server.wait_closed())

    same_as_stock(engine_name, scenario)


def test_servers_life(engine_name: str) -> None:
    """What a server counts, says of itself, and waits for, while connections come and go."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        clients = Clients(loop, start_serving=False)
        server = clients.server
        say([server.is_serving(), len(server.sockets)])
        loop.run_until_complete(server.start_serving())
        say(server.is_serving())
        peers = clients.dial(3)
        until(loop, lambda: len([each for each in clients.protocols if each.transport]) == 3)
        say([each.transport._server is server for each in clients.protocols])
        server.close()
        say([server.is_serving(), len(server.sockets)])
        waiting = loop.create_task(server.wait_closed())
        turn(loop, 3)
        say(waiting.done())
        peers[0].close()
        until(loop, lambda: clients.protocols[0].lost)
        say(waiting.done())
        for name in ("close_clients", "abort_clients"):
            if hasattr(server, name):
                tried(say, getattr(server, name))
        for protocol in clients.protocols:
            protocol.transport.abort()
        until(loop, lambda: all(protocol.lost for protocol in clients.protocols))
        turn(loop, 3)
        say(waiting.done())
        say([protocol.events for protocol in clients.protocols])
        clients.finish(peers)

    same_as_stock(engine_name, scenario)


def test_clients_closed_by_the_server(engine: Engine) -> None:
    loop = engine.new()
    clients = Clients(loop)
    if not hasattr(clients.server, "close_clients"):
        clients.finish([])
        pytest.skip("servers of this Python know nothing of their clients")
    peers = clients.dial(3)
    until(loop, lambda: len([each for each in clients.protocols if each.transport]) == 3)
    for protocol in clients.protocols:
        protocol.transport.write(b"text")
    clients.server.close_clients()
    for peer in peers:
        assert receive_all(loop, peer) == b"text"
    clients.finish(peers)
    assert all(protocol.events == ["connection_made", "connection_lost None"] for protocol in clients.protocols)


def test_a_client_that_has_gone_before_it_is_accepted(engine_name: str) -> None:
    """Reset while it is in the backlog: the server goes on."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        say_errors(loop, say)
        clients = Clients(loop)
        gone, peer = clients.dial(2)
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        gone.close()
        peer.send(b"data")
        until(loop, lambda: any(protocol.data for protocol in clients.protocols))
        until(loop, lambda: len(clients.protocols) == 2 and clients.protocols[0].lost)
        say([protocol.events for protocol in clients.protocols])
        clients.finish([peer])

    same_as_stock(engine_name, scenario)


def test_a_listener_closed_behind_the_servers_back(engine: Engine) -> None:
    """Its number is used again at once, by a socket that nobody accepts from."""
    loop = engine.new()
    clients = Clients(loop)
    number = clients.listening.fileno()
    clients.listening.close()
    one, other = socket.socketpair()
    assert number in (one.fileno(), other.fileno())
    other.send(b"mine")
    one.send(b"mine")
    turn(loop, 3)
    assert one.recv(10) == other.recv(10) == b"mine"
    assert not clients.protocols
    with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
        clients.server.close()
    one.close()
    other.close()


def test_many_servers_and_clients_at_once(engine: Engine) -> None:
    loop = engine.new()
    clients = [Clients(loop, which) for which in WHICH for _ in range(3)]
    peers = [(server, peer) for server in clients for peer in server.dial(10)]
    for number, (_, peer) in enumerate(peers):
        peer.send(b"%d" % number)
    until(loop, lambda: all(len(each.protocols) == 10 for each in clients))
    until(loop, lambda: all(protocol.data for each in clients for protocol in each.protocols))
    for server in clients:
        for protocol in server.protocols:
            protocol.transport.write(b"answer " + protocol.data)
    for number, (_, peer) in enumerate(peers):
        expected = b"answer %d" % number
        assert receive(loop, peer, len(expected)) == expected
        peer.close()
    for server in clients:
        server.finish([])


def test_server_is_asyncios(eventloop: Any) -> None:
    clients = Clients(eventloop)
    assert type(clients.server) is asyncio.base_events.Server
    clients.finish([])
