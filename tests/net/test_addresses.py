"""`loop.getaddrinfo`: what the system says, on any loop; and of addresses that are numbers, without a thread."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
from asyncio import base_events
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest

from support.loops import Engine, Say, same_as_stock, tried, turn

STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
#: What no thread is started for.
NUMBERS: list[tuple[Any, Any]] = [
    *itertools.product(["127.0.0.1", "255.255.255.255", "::1", "fe80::1", "::ffff:1.2.3.4", b"127.0.0.1"], [80]),
    *itertools.product(["127.0.0.1"], [0, 65535, 65536, -1, 10**30, "80", "080", b"80", None, "99999"]),
    *itertools.product([None], [80, "80", None]),
]
#: What one is started for: names, and what might be one. (None of them asks a name server.)
OTHERS: list[tuple[Any, Any]] = [
    ("localhost", 80),
    ("127.0.0.1", "http"),
    ("127.0.0.1", b"http"),
    ("127.0.0.1", " 80"),
    ("127.0.0.1", "+80"),
    ("127.0.0.1", ""),
    ("127.0.0.1", "\u0663"),
    ("127.0.0.1", True),
    ("127.0.0.1", 8.5),
    ("127.1", 80),
    ("0x7f.1", 80),
    ("::1%lo", 80),
    ("fe80::1%1", 80),
    ("", 80),
    ("127.0.0.1\0", 80),
    (type("Text", (str,), {})("127.0.0.1"), 80),
    (5, 80),
]
OPTIONS: list[dict[str, Any]] = [
    *({"type": kind} for kind in (STREAM, DATAGRAM, socket.SOCK_RAW, 77)),
    *({"family": family} for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, -3)),
    *({"proto": proto} for proto in (socket.IPPROTO_TCP, socket.IPPROTO_UDP, 99)),
    *({"flags": flag} for flag in (socket.AI_PASSIVE, socket.AI_CANONNAME, socket.AI_NUMERICHOST, -1)),
    {"flags": socket.AI_ADDRCONFIG, "type": STREAM},
    {"flags": socket.AI_V4MAPPED, "family": socket.AF_INET6},
    {"type": "stream"},
    {},
]


@pytest.mark.parametrize(("host", "port"), NUMBERS + OTHERS, ids=repr)
def test_it_is_what_the_system_says(engine: Engine, host: Any, port: Any) -> None:
    """The same objects, or the same error, as a direct call."""
    loop = engine.new()
    for options in OPTIONS:
        arguments = [options.get(name, 0) for name in ("family", "type", "proto", "flags")]
        said: list[Any] = []
        for ask in (
            lambda: socket.getaddrinfo(host, port, *arguments),  # noqa: B023
            lambda: loop.run_until_complete(loop.getaddrinfo(host, port, **options)),  # noqa: B023
        ):
            try:
                found = ask()
            except Exception as error:
                said.append((type(error), error.args))
            else:
                said.append([(tuple(map(type, each)), each) for each in found])
        assert said[0] == said[1], options


def test_arguments(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        for arguments in ((), ("127.0.0.1",), ("127.0.0.1", 80, 0)):
            tried(say, lambda arguments=arguments: loop.getaddrinfo(*arguments))  # type: ignore[misc]
        coroutine = loop.getaddrinfo("127.0.0.1", 80)
        say([asyncio.iscoroutine(coroutine), coroutine.__qualname__])
        coroutine.close()

    same_as_stock(engine_name, scenario)


def has_threads(loop: Any) -> bool:
    """Has it started one?"""
    return loop._default_executor is not None


@pytest.mark.parametrize(("host", "port"), NUMBERS, ids=repr)
def test_numbers_take_no_thread(engine: Engine, host: Any, port: Any) -> None:
    if not engine.ours or engine.debug:
        pytest.skip("asyncio starts one, and so does debug mode")
    loop = engine.new()
    for options in OPTIONS:
        tried(lambda thing: None, lambda: loop.run_until_complete(loop.getaddrinfo(host, port, **options)))  # noqa: B023
        assert not has_threads(loop)


@pytest.mark.parametrize(("host", "port"), OTHERS, ids=repr)
def test_names_take_one(engine: Engine, host: Any, port: Any) -> None:
    loop = engine.new()
    tried(lambda thing: None, lambda: loop.run_until_complete(loop.getaddrinfo(host, port)))
    assert has_threads(loop)


def test_servers_and_endpoints_take_no_thread(engine: Engine) -> None:
    """Whatever asks by way of it; asyncio itself knows most addresses without asking."""
    if not engine.ours or engine.debug:
        pytest.skip("asyncio starts one, and so does debug mode")
    loop = engine.new()

    made: list[Any] = []

    class Aborting(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            made.append(transport)
            transport.abort()

    async def main() -> None:
        for host in (None, "", "127.0.0.1", "::1", ["127.0.0.1", "::1"]):
            server = await loop.create_server(Aborting, host, 0)
            (first, *_) = server.sockets
            port = first.getsockname()[1]
            where = "::1" if first.family == socket.AF_INET6 else "127.0.0.1"
            transport, _ = await loop.create_connection(asyncio.Protocol, where, port)
            transport.abort()
            with socket.socket(first.family) as sock:
                sock.setblocking(False)
                await loop.sock_connect(sock, (where, port))
            while len(made) < 2:
                await asyncio.sleep(0)
            made.clear()
            server.close()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        transport.close()

    loop.run_until_complete(main())
    turn(loop, 3)
    assert not has_threads(loop)


def test_others_run_before_the_answer(engine: Engine) -> None:
    """Who asks again and again keeps nobody from running."""
    loop = engine.new()

    async def main() -> int:
        steps = 0

        async def step() -> None:
            nonlocal steps
            while True:
                steps += 1
                await asyncio.sleep(0)

        other = loop.create_task(step())
        for _ in range(10):
            await loop.getaddrinfo("127.0.0.1", 80)
        other.cancel()
        return steps

    assert loop.run_until_complete(main()) >= 10


def test_cancelling(engine: Engine) -> None:
    loop = engine.new()

    async def main() -> None:
        for turns in (0, 1) if engine.ours and not engine.debug else (0,):  # a thread may have answered by then
            task = loop.create_task(loop.getaddrinfo("127.0.0.1", 80))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    loop.run_until_complete(main())


def asked(loop: Any) -> Any:
    return loop.run_until_complete(loop.getaddrinfo("127.0.0.1", 80, type=STREAM))


def test_what_replaces_functions_is_called(engine: Engine) -> None:
    loop = engine.new()
    with mock.patch("socket.getaddrinfo", return_value=["mine"]) as replaced:
        assert asked(loop) == ["mine"]
        assert replaced.call_args.args == ("127.0.0.1", 80, 0, STREAM, 0, 0)
    with mock.patch("_socket.getaddrinfo", return_value=[]):
        assert asked(loop) == []
    with mock.patch.object(base_events.BaseEventLoop, "getaddrinfo", mock.AsyncMock(return_value="mine")):
        assert asked(loop) == "mine"
    fake = mock.Mock()
    fake.getaddrinfo.return_value = ["mine"]
    with mock.patch.object(base_events, "socket", fake):
        assert loop.run_until_complete(loop.getaddrinfo("127.0.0.1", 80)) == ["mine"]


def test_who_runs_the_executor_is_asked(engine: Engine) -> None:
    calls: list[Any] = []

    class Loop(engine.loop_class):  # type: ignore[name-defined,misc]
        def run_in_executor(self, executor: Any, function: Any, *args: Any) -> Any:
            calls.append(function.__name__.strip("_"))
            return super().run_in_executor(executor, function, *args)

    name = "getaddrinfo_debug" if engine.debug else "getaddrinfo"
    assert asked(engine.new(Loop))
    assert calls == [name]
    loop = engine.new()
    original = loop.run_in_executor
    loop.run_in_executor = lambda executor, function, *args: [calls.append(1), original(executor, function, *args)][1]
    assert asked(loop)
    assert calls == [name, 1]


def test_an_executor_of_the_programs(engine: Engine) -> None:
    """Who has set one counts on what it is asked."""
    loop = engine.new()

    class Counting(ThreadPoolExecutor):
        count = 0

        def submit(self, *args: Any, **options: Any) -> Any:
            self.count += 1
            return super().submit(*args, **options)

    for executor in (Counting(1), ThreadPoolExecutor(1, thread_name_prefix="mine")):
        loop.set_default_executor(executor)
        assert asked(loop)
        assert executor._threads
        assert getattr(executor, "count", 1) == 1


def test_after_the_executors_end(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.run_until_complete(loop.run_in_executor(None, threading.get_ident))
        say(asked(loop))
        loop.run_until_complete(loop.shutdown_default_executor())
        tried(say, lambda: asked(loop))

    same_as_stock(engine_name, scenario)


def test_on_another_loop_and_on_none(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop, other = engine.new(), engine.new()
        with pytest.raises(RuntimeError, match="attached to a different loop"):
            other.run_until_complete(loop.getaddrinfo("127.0.0.1", 80))
        turn(loop)
        loop.close()
        tried(say, lambda: other.run_until_complete(loop.getaddrinfo("127.0.0.1", 80)))

    same_as_stock(engine_name, scenario)
