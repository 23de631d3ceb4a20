"""What a program can see of a connection that is accepted: in which turn what is called, by which task, with what."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import re
import socket
import warnings
import weakref
from asyncio import selector_events
from collections.abc import Callable
from typing import Any

import pytest

from support.loops import Engine, Say, run_fresh, same_as_stock, tried, turn
from support.net import WHICH, Recorder, dial, is_native, listener, receive_all, until

NUMBER: contextvars.ContextVar[int] = contextvars.ContextVar("NUMBER")


def serve(loop: Any, factory: Callable[[], Any], which: str = "tcp4", **options: Any) -> tuple[Any, socket.socket]:
    """A server, and its listening socket."""
    listening = listener(which)
    create = loop.create_unix_server if which == "unix" else loop.create_server
    return loop.run_until_complete(create(factory, sock=listening, **options)), listening


def end(loop: Any, server: Any, protocols: list[Any], *peers: socket.socket) -> None:
    server.close()
    for peer in peers:
        peer.close()
    until(loop, lambda: all(each.lost for each in protocols))
    loop.run_until_complete(server.wait_closed())


def keeping(protocols: list[Any], make: Callable[[], Any] = Recorder) -> Callable[[], Any]:
    """A factory, what it has made is in the list."""

    def factory() -> Any:
        protocols.append(make())
        return protocols[-1]

    return factory


def without_places(text: str) -> str:
    """Without where it was made, which a native function does not tell in debug mode."""
    return re.sub(r" created at [^ >]*", "", text)


class Told(Recorder):
    """Says what it is told, and what is so then."""

    def __init__(self, loop: Any, say: Say) -> None:
        super().__init__()
        self.loop, self.say = loop, say

    def tell(self, what: str) -> None:
        task = asyncio.current_task(self.loop)
        others = sorted(each.get_coro().__qualname__ for each in asyncio.all_tasks(self.loop))  # type: ignore[union-attr]
        self.say([what, NUMBER.get(0), task and task.get_coro().__qualname__, others])  # type: ignore[union-attr]

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.tell("made")
        NUMBER.set(NUMBER.get(0) + 10)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.tell("data")
        NUMBER.set(NUMBER.get(0) + 100)
        self.transport.write(data)
        self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.tell("lost")


@pytest.mark.parametrize("which", WHICH)
def test_turns_tasks_and_contexts(engine_name: str, which: str) -> None:
    """Each callback in its turn, among others; the factory in a task, with a context that the rest is a copy of."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        protocols: list[Told] = []

        def factory() -> Told:
            protocol = Told(loop, say)
            protocol.tell("factory")
            NUMBER.set(NUMBER.get(0) + 1)
            task: Any = asyncio.current_task(loop)
            say([task.get_name(), task.get_coro().cr_code.co_name, type(task.get_coro()).__name__])
            say(without_places(repr(task)))
            loop.call_soon(say, "called by the factory")
            protocols.append(protocol)
            return protocol

        NUMBER.set(1000)
        server, listening = serve(loop, factory, which)
        NUMBER.set(0)
        peers = [dial(listening) for _ in range(2)]
        for peer in peers:
            peer.send(b"question")
        for number in range(7):
            loop.call_soon(say, f"turn {number}")
            turn(loop)
            say(sorted(without_places(repr(task)) for task in asyncio.all_tasks(loop)))
        say([receive_all(loop, peer) for peer in peers])
        end(loop, server, protocols, *peers)
        say([protocol.events for protocol in protocols])

    same_as_stock(engine_name, scenario)


def test_names_of_tasks_are_used_up(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        async def nothing() -> None:
            pass

        def number() -> int:
            task = loop.create_task(nothing())
            loop.run_until_complete(task)
            return int(task.get_name().partition("-")[2])

        loop = engine.new()
        protocols: list[Recorder] = []
        server, listening = serve(loop, keeping(protocols))
        before = number()
        peers = [dial(listening) for _ in range(3)]
        turn(loop, 3)
        say(number() - before)
        end(loop, server, protocols, *peers)

    same_as_stock(engine_name, scenario)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine .* was never awaited")
def test_cancelled_while_it_waits_for_its_transport(engine_name: str) -> None:
    """As asyncio.run() does it at the end: who is about to be served is not."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        protocols: list[Recorder] = []
        server, listening = serve(loop, keeping(protocols))
        for turns in range(1, 6):
            peer = dial(listening)
            turn(loop, turns)
            tasks = asyncio.all_tasks(loop)
            say([turns, len(tasks), len(protocols)])
            for task in tasks:
                task.cancel()
            turn(loop, 4)
            say([task.done() for task in tasks])
            peer.close()
            turn(loop, 4)
            say([protocol.events for protocol in protocols])
        gc.collect()
        end(loop, server, [protocol for protocol in protocols if protocol.transport])

    same_as_stock(engine_name, scenario)


def named_factory(say: Say) -> Callable[..., Any]:
    def factory(loop: Any, coroutine: Any, **options: Any) -> Any:
        say(["task factory", type(coroutine).__name__, coroutine.__qualname__])
        return asyncio.Task(coroutine, loop=loop, **options)

    return factory


def test_a_task_factory_gets_the_coroutine(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        protocols: list[Told] = []
        server, listening = serve(loop, keeping(protocols, lambda: Told(loop, say)))
        loop.set_task_factory(named_factory(say))
        peer = dial(listening)
        peer.send(b"question")
        turn(loop, 7)
        loop.set_task_factory(None)
        say(receive_all(loop, peer))
        end(loop, server, protocols, peer)

    same_as_stock(engine_name, scenario)


REPLACED = ("_accept_connection", "_accept_connection2", "_make_socket_transport", "_start_serving", "create_task")


def calling(say: Say, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def replacement(*arguments: Any, **options: Any) -> Any:
        say([name, len(arguments), sorted(options)])
        return original(*arguments, **options)

    return replacement


@pytest.mark.parametrize("how", ["subclass", "instance", "patched"])
@pytest.mark.parametrize("name", REPLACED)
def test_replaced_methods_are_called(engine_name: str, name: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        with monkeypatch.context() as patches:
            if how == "subclass":
                base = engine.loop_class
                own = calling(say, name, getattr(base, name))
                loop = engine.new(type("Loop", (base,), {name: own}))
            else:
                loop = engine.new()
            if how == "patched":
                where = asyncio.SelectorEventLoop
                patches.setattr(where, name, calling(say, name, getattr(where, name)))
            elif how == "instance":
                setattr(loop, name, calling(say, name, getattr(loop, name)))
            protocols: list[Recorder] = []
            server, listening = serve(loop, keeping(protocols))
            peer = dial(listening)
            until(loop, lambda: protocols and protocols[0].transport)
            peer.send(b"question")
            until(loop, lambda: protocols[0].data)
            end(loop, server, protocols, peer)
            say(protocols[0].events)
            vars(loop).pop(name, None)

    lines = same_as_stock(engine_name, scenario)
    assert any(name in line for line in lines)


def test_debug_mode_that_begins_later(engine_name: str, caplog: pytest.LogCaptureFixture) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        protocols: list[Recorder] = []
        server, listening = serve(loop, keeping(protocols))
        loop.set_debug(True)
        caplog.clear()
        with caplog.at_level("DEBUG", "asyncio"):
            peer = dial(listening)
            until(loop, lambda: protocols and protocols[0].transport)
        say(sum("got a new connection from" in record.getMessage() for record in caplog.records))
        end(loop, server, protocols, peer)

    assert same_as_stock(engine_name, scenario)[0] == "1"


# asyncio's server says good-bye twice, if a transport cannot be attached to it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("when", ["before the turn", "in the factory", "after the turn"])
def test_a_server_closed_in_the_middle(engine_name: str, when: str) -> None:
    """With connections in its backlog, and with those that are on their way to their protocols."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        say_errors(loop, say)
        protocols: list[Recorder] = []

        def factory() -> Recorder:
            protocols.append(Recorder())
            if when == "in the factory" and len(protocols) == 2:
                server.close()
            return protocols[-1]

        server, listening = serve(loop, factory)
        peers = [dial(listening) for _ in range(4)]
        if when == "before the turn":
            loop.call_soon(server.close)
        turn(loop)
        if when == "after the turn":
            server.close()
        turn(loop, 6)
        say([protocol.events for protocol in protocols])
        gc.collect()
        end(loop, server, [protocol for protocol in protocols if protocol.transport], *peers)
        say(len(protocols))

    same_as_stock(engine_name, scenario)


def say_errors(loop: Any, say: Say) -> None:
    loop.set_exception_handler(
        lambda loop, context: say([context["message"].partition("(")[0], repr(context.get("exception"))])
    )


@pytest.mark.parametrize("which", WHICH)
def test_the_socket_is_one_of_pythons(engine_name: str, which: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        protocols: list[Recorder] = []
        server, listening = serve(loop, keeping(protocols), which)
        socket.setdefaulttimeout(5)
        try:
            peer = dial(listening)
            until(loop, lambda: protocols and protocols[0].transport)
        finally:
            socket.setdefaulttimeout(None)
        sock = protocols[0].transport._sock
        say([type(sock) is socket.socket, sock.family, sock.type, sock.proto, sock.gettimeout(), sock.getblocking()])
        say([os.get_inheritable(sock.fileno()), os.get_blocking(sock.fileno()), sock._io_refs, sock._closed])
        say([sock.getsockname() == listening.getsockname(), sock.getpeername() == peer.getsockname()])
        say(sorted(set(dir(sock)) - {"__weakref__"}))
        assert weakref.ref(sock)() is sock
        copy = sock.dup()
        say([copy.family, copy.type, copy.proto, copy.gettimeout()])
        copy.close()
        tried(say, lambda: sock.recv(1))
        tried(say, sock.accept)
        file = sock.makefile("rb")  # it keeps the descriptor open
        number = sock.fileno()
        protocols[0].transport.close()
        until(loop, lambda: protocols[0].lost)
        say(
            [sock._closed, sock._io_refs, sock.fileno() == number, repr(sock).startswith("<socket.socket [closed] fd=")]
        )
        file.close()
        say([sock.fileno(), sock._io_refs])
        end(loop, server, protocols, peer)

    same_as_stock(engine_name, scenario)


@pytest.mark.parametrize("when", ["at once", "after the close", "in connection_lost"])
@pytest.mark.parametrize("which", WHICH)
def test_what_is_known_of_the_connection(engine_name: str, which: str, when: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()

        class Asking(Recorder):
            def connection_lost(self, error: Exception | None) -> None:
                if when == "in connection_lost":
                    ask(self)
                super().connection_lost(error)

        def ask(protocol: Recorder) -> None:
            info = protocol.transport.get_extra_info
            assert info("socket") is info("socket") and info("sockname") is info("sockname")
            say([type(info("socket")).__name__, info("socket").fileno() == protocol.transport._sock_fd])
            say([info("sockname") == listening.getsockname(), info("peername") == name, info("nothing", 7)])
            say(list(protocol.transport._extra))
            protocol.transport._extra["more"] = 8
            say(info("more"))
            protocol.transport._extra = {"other": 9}
            say([info("other"), info("socket")])

        protocols: list[Asking] = []
        server, listening = serve(loop, keeping(protocols, Asking), which)
        name = listening.getsockname() and None
        peer = dial(listening)
        name = peer.getsockname()
        until(loop, lambda: protocols and protocols[0].transport)
        if when == "at once":
            ask(protocols[0])
        protocols[0].transport.close()
        until(loop, lambda: protocols[0].lost)
        if when == "after the close":
            ask(protocols[0])
        end(loop, server, protocols, peer)

    same_as_stock(engine_name, scenario)


def test_the_loop_knows_its_transports(engine: Engine) -> None:
    """Whoever asks gets a dictionary with all of them that are alive, at any time."""
    loop = engine.new()
    protocols: list[Recorder] = []
    server, listening = serve(loop, keeping(protocols))
    peers = [dial(listening) for _ in range(3)]
    until(loop, lambda: len(protocols) == 3 and all(protocol.transport for protocol in protocols))
    assert type(loop._transports) is weakref.WeakValueDictionary
    held = loop._transports
    transports = {protocol.transport._sock_fd: protocol.transport for protocol in protocols}
    assert dict(held) == transports
    peers.append(dial(listening))
    until(loop, lambda: len(protocols) == 4 and protocols[3].transport)
    assert held[protocols[3].transport._sock_fd] is protocols[3].transport
    assert loop._transports is held
    with pytest.raises(RuntimeError, match="is used by transport"):
        loop.add_reader(protocols[0].transport._sock_fd, print)
    del held, transports
    gc.collect()
    for peer in peers:
        peer.close()
    until(loop, lambda: all(protocol.lost for protocol in protocols))
    numbers = [protocol.transport._sock_fd for protocol in protocols]
    again = [dial(listening) for _ in range(4)]
    until(loop, lambda: len(protocols) == 8 and all(protocol.transport for protocol in protocols))
    with pytest.raises(RuntimeError, match="is used by transport"):
        loop.add_reader(protocols[7].transport._sock_fd, print)
    for protocol in protocols[4:]:
        assert loop._transports[protocol.transport._sock_fd] is protocol.transport
    assert set(numbers) & {protocol.transport._sock_fd for protocol in protocols[4:]}, "no number was used again"
    end(loop, server, protocols, *again)
    protocols.clear()
    del protocol
    gc.collect()
    assert dict(loop._transports) == {}


def test_transports_are_native(eventloop: Any) -> None:
    """The tests above would tell nothing of ours if they were not."""
    protocols: list[Recorder] = []
    server, listening = serve(eventloop, keeping(protocols))
    peer = dial(listening)
    until(eventloop, lambda: protocols and protocols[0].transport)
    waits_natively = type(eventloop._selector).__name__ == "NativeSelector"
    assert is_native(protocols[0].transport) == (waits_natively and not eventloop.get_debug())
    peer.close()
    end(eventloop, server, protocols)


def test_audit_hooks_see_the_sockets(engine_name: str) -> None:
    """Before their descriptors are in them; one that raises has the connection closed."""

    def body() -> None:
        import asyncio
        import gc
        import os
        import socket
        import sys

        seen: list[object] = []
        on = False

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            if on and event == "socket.__new__":
                made = arguments[0]
                seen.append((type(made).__name__, made.fileno(), *map(int, arguments[1:])))  # type: ignore[attr-defined,call-overload]
                if len(seen) == 2:
                    raise PermissionError("not this one")

        sys.addaudithook(hook)
        loop = new_loop()  # type: ignore[name-defined]  # noqa: F821
        errors: list[str] = []
        loop.set_exception_handler(lambda loop, context: errors.append(repr(context["exception"])))
        server = loop.run_until_complete(loop.create_server(asyncio.Protocol, "127.0.0.1", 0))
        address = server.sockets[0].getsockname()
        peers = [socket.socket() for _ in range(3)]
        for peer in peers:
            peer.connect(address)
        before = len(os.listdir("/proc/self/fd"))
        on = True
        for _ in range(4):
            loop.call_soon(loop.stop)
            loop.run_forever()
        on = False
        print(seen, errors, flush=True)
        gc.collect()
        print(len(os.listdir("/proc/self/fd")) - before >= 2)
        os._exit(0)

    assert run_fresh(engine_name, body) == run_fresh("stock", body)


def test_as_many_as_the_backlog_says_for_each_event(engine_name: str) -> None:
    """Or one more, as asyncio's patch releases differ; also none at all."""

    def scenario(engine: Engine, say: Say, backlog: int) -> None:
        loop = engine.new()
        protocols: list[Recorder] = []
        server, listening = serve(loop, keeping(protocols), backlog=backlog)
        listening.listen(10)
        peers = [dial(listening) for _ in range(6)]
        for _ in range(8):
            turn(loop)
            say(len(protocols))
        until(loop, lambda: len(protocols) == 6 and all(protocol.transport for protocol in protocols))
        end(loop, server, protocols, *peers)

    for backlog in (1, 2, 3):
        same_as_stock(engine_name, scenario, backlog)


def test_a_set_of_clients_of_somebodys_own(engine: Engine) -> None:
    """What is attached to a server, and detached, is by its own methods where there are others."""
    loop = engine.new()
    if not hasattr(asyncio.base_events.Server, "close_clients"):
        pytest.skip("servers of this Python know nothing of their clients")
    calls: list[tuple[str, str]] = []
    protocols: list[Recorder] = []
    server, listening = serve(loop, keeping(protocols))

    class Clients(weakref.WeakSet):  # type: ignore[type-arg]
        def add(self, item: Any) -> None:
            calls.append(("add", type(item).__name__))
            super().add(item)

        def discard(self, item: Any) -> None:
            calls.append(("discard", type(item).__name__))
            super().discard(item)

    name = selector_events._SelectorSocketTransport.__name__  # type: ignore[attr-defined]
    for own in (False, True):
        if own:
            server._clients = Clients(server._clients)
        peer = dial(listening)
        until(loop, lambda: protocols and protocols[-1].transport)
        assert list(server._clients) == [protocols[-1].transport]
        peer.close()
        until(loop, lambda: protocols[-1].lost)
        assert list(server._clients) == []
        assert calls == ([("add", name), ("discard", name)] if own else [])
        protocols.clear()
    server._attach = lambda transport: calls.append(("attach", type(transport).__name__))
    server._detach = lambda transport: calls.append(("detach", type(transport).__name__))
    calls.clear()
    peer = dial(listening)
    until(loop, lambda: protocols and protocols[-1].transport)
    peer.close()
    until(loop, lambda: protocols[-1].lost)
    assert calls == [("attach", name), ("detach", name)]
    del server._attach, server._detach
    end(loop, server, protocols)


def test_clients_that_are_forgotten_leave_the_server(engine: Engine) -> None:
    loop = engine.new()
    if not hasattr(asyncio.base_events.Server, "close_clients"):
        pytest.skip("servers of this Python know nothing of their clients")
    protocols: list[Recorder] = []
    server, listening = serve(loop, keeping(protocols))
    peer = dial(listening)
    until(loop, lambda: protocols and protocols[0].transport)
    transport = weakref.ref(protocols[0].transport)
    loop._remove_reader(protocols[0].transport._sock_fd)
    protocols.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
    assert any(str(each.message).startswith("unclosed transport <_Selector") for each in caught)
    assert transport() is None
    assert len(server._clients) == 0
    end(loop, server, [], peer)
