"""`sock_recv`, `sock_sendall` and their kin: what comes of them, and what they are while they wait."""

from __future__ import annotations

import array
import asyncio
import contextlib
import gc
import inspect
import select
import socket
import ssl
import struct
import warnings
import weakref
from collections.abc import Callable, Iterator
from types import CoroutineType
from typing import Any
from unittest import mock

import pytest

from support.loops import Engine, Say, same_as_stock, tried, turn

Pair = tuple[socket.socket, socket.socket]


def not_blocking(*sockets: socket.socket) -> None:
    for sock in sockets:
        sock.setblocking(False)


@contextlib.contextmanager
def pair_of(kind: socket.SocketKind = socket.SOCK_STREAM) -> Iterator[Pair]:
    """Two sockets that are connected, and do not block."""
    left, right = socket.socketpair(type=kind)
    not_blocking(left, right)
    with left, right:
        yield left, right


@pytest.fixture
def pair() -> Iterator[Pair]:
    with pair_of() as sockets:
        yield sockets


@contextlib.contextmanager
def tcp() -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        left = socket.create_connection(server.getsockname())
        right, _ = server.accept()
    not_blocking(left, right)
    with left, right:
        yield left, right


@contextlib.contextmanager
def datagrams() -> Iterator[Pair]:
    """Two sockets that are not connected."""
    with socket.socket(type=socket.SOCK_DGRAM) as left, socket.socket(type=socket.SOCK_DGRAM) as right:
        for each in (left, right):
            each.bind(("127.0.0.1", 0))
        not_blocking(left, right)
        yield left, right


def fill(sock: socket.socket) -> int:
    """Write until there is no room; how much that was."""
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            count += sock.send(bytes(1 << 16))
    return count


def empty(sock: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        select.select([sock], [], [], 10)
        got += sock.recv(1 << 20)
    return got


def waiting(loop: Any, operation: Any) -> asyncio.Task[Any]:
    """A task that waits for it."""
    task: asyncio.Task[Any] = loop.create_task(operation)
    turn(loop, 2)
    assert not task.done()
    return task


# --- what comes of them


def test_recv(eventloop: Any, pair: Pair) -> None:
    left, right = pair
    right.send(b"at once")
    assert eventloop.run_until_complete(eventloop.sock_recv(left, 100)) == b"at once"
    for size in (1, 5, 100, 4000, 10_000, 50_000, 10_000, 3):
        task = waiting(eventloop, eventloop.sock_recv(left, size))
        data = bytes(range(256)) * (size // 256 + 1)
        right.send(data)
        got = eventloop.run_until_complete(task)
        assert got == data[: len(got)] and 0 < len(got) <= size and type(got) is bytes
        assert empty(left, len(data) - len(got)) == data[len(got) :]
    task = waiting(eventloop, eventloop.sock_recv(left, 10))
    right.close()
    assert eventloop.run_until_complete(task) == b""
    assert eventloop.run_until_complete(eventloop.sock_recv(left, 10)) == b""


def test_recv_of_large_sizes(eventloop: Any) -> None:
    with tcp() as (left, right):
        for size in (300_000, 1 << 20, 100):
            for before in (True, False):
                if before:
                    right.send(b"x" * 1000)
                    task = eventloop.create_task(eventloop.sock_recv(left, size))
                else:
                    task = waiting(eventloop, eventloop.sock_recv(left, size))
                    right.send(b"x" * 1000)
                count = min(size, 1000)
                assert eventloop.run_until_complete(task) == b"x" * count
                empty(left, 1000 - count)


def test_a_whole_datagram(eventloop: Any) -> None:
    """Its end is lost if less is asked for, and nothing of the next comes with it."""
    with pair_of(socket.SOCK_DGRAM) as (left, right):
        for sizes in ((5000, 5000, 9000, 100, 20_000), (1, 100_000, 4096)):
            for size in sizes:
                right.send(bytes(size))
                right.send(b"next")
                assert eventloop.run_until_complete(eventloop.sock_recv(left, 110_000)) == bytes(size)
                assert eventloop.run_until_complete(eventloop.sock_recv(left, 2)) == b"ne"
        task = waiting(eventloop, eventloop.sock_recv(left, 10))
        right.send(b"")
        assert eventloop.run_until_complete(task) == b""


@pytest.mark.parametrize(
    "make", [bytearray, lambda size: memoryview(bytearray(size)), lambda n: array.array("B", bytes(n))]
)
def test_recv_into(eventloop: Any, pair: Pair, make: Callable[[int], Any]) -> None:
    left, right = pair
    buffer = make(10)
    right.send(b"one")
    assert eventloop.run_until_complete(eventloop.sock_recv_into(left, buffer)) == 3
    assert bytes(buffer)[:3] == b"one"
    task = waiting(eventloop, eventloop.sock_recv_into(left, buffer))
    right.send(b"two and more than that")
    assert eventloop.run_until_complete(task) == 10
    assert bytes(buffer) == b"two and mo"
    assert left.recv(100) == b"re than that"
    assert eventloop.run_until_complete(eventloop.sock_recv_into(left, make(0))) == 0


def test_datagrams_with_addresses(eventloop: Any) -> None:
    with datagrams() as (left, right):
        for wait in (False, True):
            buffer = bytearray(10)
            for start in (
                lambda: eventloop.sock_recvfrom(right, 10),
                lambda buffer=buffer: eventloop.sock_recvfrom_into(right, buffer),  # type: ignore[misc]
                lambda buffer=buffer: eventloop.sock_recvfrom_into(right, buffer, 2),  # type: ignore[misc]
            ):
                task = waiting(eventloop, start()) if wait else None
                sent = eventloop.run_until_complete(eventloop.sock_sendto(left, b"data", right.getsockname()))
                assert sent == 4
                got, address = eventloop.run_until_complete(task or start())
                assert address == left.getsockname()
                assert got in (b"data", 4, 2)
            assert buffer == b"data" + bytes(6)


@pytest.mark.parametrize("size", [0, 1, 1000, 5_000_000])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: array.array("B", data)])
def test_sendall(eventloop: Any, pair: Pair, size: int, kind: Callable[[bytes], Any]) -> None:
    left, right = pair
    data = bytes(index & 0xFF for index in range(size))
    task = eventloop.create_task(eventloop.sock_sendall(left, kind(data)))
    got = b""
    while len(got) < size:
        got += eventloop.run_until_complete(eventloop.sock_recv(right, 100_000))
    assert eventloop.run_until_complete(task) is None
    assert got == data


def test_sendall_of_numbers(engine_name: str) -> None:
    """asyncio compares the number of bytes that were sent with that of items."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        with pair_of() as (left, right):
            for data in (
                memoryview(array.array("i", [1, 2, 3])),
                memoryview(bytes(8)).cast("B", (2, 4)),
                memoryview(bytes(8))[::2],
            ):
                tried(
                    say,
                    lambda data=data: loop.run_until_complete(asyncio.wait_for(loop.sock_sendall(left, data), 0.05)),
                )  # type: ignore[misc]
                with contextlib.suppress(BlockingIOError):
                    say(right.recv(100))

    same_as_stock(engine_name, scenario)


def test_a_bytearray_is_lent_while_it_is_sent(eventloop: Any, pair: Pair) -> None:
    left, right = pair
    data = bytearray(5_000_000)
    task = waiting(eventloop, eventloop.sock_sendall(left, data))
    with pytest.raises(BufferError):
        data.append(1)
    data[-1] = 7  # but what is in it is sent as it is then
    got = b""
    while len(got) < len(data):
        got += eventloop.run_until_complete(eventloop.sock_recv(right, 1 << 20))
    eventloop.run_until_complete(task)
    assert got[-1] == 7
    data.append(1)


def test_accept_and_connect(eventloop: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        not_blocking(server, client)
        task = waiting(eventloop, eventloop.sock_accept(server))
        assert eventloop.run_until_complete(eventloop.sock_connect(client, server.getsockname())) is None
        connection, address = eventloop.run_until_complete(task)
        with connection:
            assert type(connection) is socket.socket
            assert address == client.getsockname()
            assert connection.gettimeout() == 0
            eventloop.run_until_complete(eventloop.sock_sendall(client, b"data"))
            assert eventloop.run_until_complete(eventloop.sock_recv(connection, 10)) == b"data"
        with socket.create_connection(server.getsockname()):
            accepted, _ = eventloop.run_until_complete(eventloop.sock_accept(server))
            accepted.close()


def test_connect_to_a_name_and_by_unix(eventloop: Any, tmp_path: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        not_blocking(client)
        eventloop.run_until_complete(eventloop.sock_connect(client, ("localhost", server.getsockname()[1])))
        assert client.getpeername() == server.getsockname()
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        path = str(tmp_path / "s")
        server.bind(path)
        server.listen()
        not_blocking(client)
        eventloop.run_until_complete(eventloop.sock_connect(client, path))
        assert client.getpeername() == path


# --- errors


def test_errors_of_connections(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()

        def run(operation: Any) -> None:
            tried(say, lambda: loop.run_until_complete(operation))

        with tcp() as (left, right):
            task = waiting(loop, loop.sock_recv(left, 10))
            right.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            right.close()
            run(task)
            run(loop.sock_recv(left, 10))
            run(loop.sock_sendall(left, b"data"))
        with tcp() as (left, right):
            fill(left)
            task = waiting(loop, loop.sock_sendall(left, bytes(1000)))
            right.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            right.close()
            run(task)
        with socket.socket() as client:
            not_blocking(client)
            run(loop.sock_recv(client, 10))
            run(loop.sock_sendall(client, b"data"))
            run(loop.sock_accept(client))
            with socket.create_server(("127.0.0.1", 0)) as server:
                address = server.getsockname()
            try:
                loop.run_until_complete(loop.sock_connect(client, address))
            except ConnectionRefusedError as error:
                say([error.errno, str(error).replace(repr(address), "ADDRESS"), error.__context__])
            run(loop.sock_connect(client, ("127.0.0.1",)))
            run(loop.sock_connect(client, "127.0.0.1"))
            run(loop.sock_connect(client, None))
        with datagrams() as (left, right):
            run(loop.sock_sendto(left, bytes(100_000), right.getsockname()))
            run(loop.sock_sendto(left, b"data", None))

    same_as_stock(engine_name, scenario)


class OwnBytes(bytes):
    pass


def released() -> memoryview:
    view = memoryview(bytearray(10))
    view.release()
    return view


VALUES: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "str": lambda: "data",
    "zero": lambda: 0,
    "one": lambda: 1,
    "true": lambda: True,
    "negative": lambda: -1,
    "huge": lambda: 1 << 100,
    "large": lambda: 1 << 40,
    "float": lambda: 1.5,
    "bytes": lambda: b"data",
    "own bytes": lambda: OwnBytes(b"data"),
    "bytearray": lambda: bytearray(4),
    "no bytearray": lambda: bytearray(),
    "released": released,
    "list": lambda: [1],
    "strided": lambda: memoryview(bytearray(8))[::2],
    "mock": lambda: mock.NonCallableMock(),
}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "method", ["sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into", "sock_sendall"]
)
def test_arguments(engine_name: str, method: str, value: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        with pair_of() as (left, right):
            for data in (b"data", None):
                if data:
                    left.send(data)
                operation = getattr(loop, method)(right, VALUES[value]())
                tried(say, lambda operation=operation: loop.run_until_complete(asyncio.wait_for(operation, 0.01)))  # type: ignore[misc]
        with contextlib.suppress(BlockingIOError):
            tried(say, lambda: len(left.recv(100)))

    if value == "large" and method in ("sock_recv", "sock_recvfrom"):
        pytest.skip("asks for all of the memory")
    same_as_stock(engine_name, scenario)


class OwnSocket(socket.socket):
    def recv(self, *args: Any) -> bytes:
        return b"own: " + super().recv(*args)


@contextlib.contextmanager
def odd_socket(which: str) -> Iterator[Any]:
    if which == "mock":
        yield mock.NonCallableMock(gettimeout=lambda: 0, recv=lambda n: b"mock", send=len, spec=["gettimeout"])
        return
    with pair_of() as (left, right):
        right.send(b"data")
        if which == "closed":
            left.close()
            yield left
        elif which == "detached":
            with socket.socket(fileno=left.detach()):
                yield left
        elif which == "own":
            with OwnSocket(fileno=left.detach()) as own:
                not_blocking(own)
                yield own
        elif which == "tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            with context.wrap_socket(left, do_handshake_on_connect=False) as wrapped:
                yield wrapped
        else:
            yield {"none": None, "int": 5, "str": "text"}[which]


@pytest.mark.parametrize("which", ["mock", "closed", "detached", "own", "tls", "none", "int", "str"])
def test_odd_sockets(engine_name: str, which: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        with odd_socket(which) as sock:
            for name, arguments in (
                ("sock_recv", (10,)),
                ("sock_recv_into", (bytearray(10),)),
                ("sock_recvfrom", (10,)),
                ("sock_sendall", (b"data",)),
                ("sock_sendto", (b"data", ("127.0.0.1", 1))),
                ("sock_accept", ()),
                ("sock_connect", (("127.0.0.1", 1, 2, 3, 4, 5),)),
            ):
                operation = getattr(loop, name)(sock, *arguments)
                tried(say, lambda operation=operation: loop.run_until_complete(asyncio.wait_for(operation, 0.01)))  # type: ignore[misc]

    same_as_stock(engine_name, scenario)


def test_a_socket_that_blocks(engine: Engine) -> None:
    """asyncio refuses it in debug mode, and has it block otherwise."""
    loop = engine.new()
    left, right = socket.socketpair()
    with left, right:
        right.send(b"data")
        if engine.name.endswith("debug"):
            with pytest.raises(ValueError, match="the socket must be non-blocking"):
                loop.run_until_complete(loop.sock_recv(left, 10))
            return
        assert loop.run_until_complete(loop.sock_recv(left, 10)) == b"data"
        left.settimeout(0.01)
        with pytest.raises(TimeoutError):
            loop.run_until_complete(loop.sock_recv(left, 10))
        with pytest.raises(TimeoutError):
            loop.run_until_complete(loop.sock_recvfrom(left, 10))


def test_a_closed_loop(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        with pair_of() as (left, right):
            loop = engine.new()
            operations = [
                loop.sock_recv(left, 10),
                loop.sock_accept(left),
                loop.sock_sendall(left, b"data"),
                loop.sock_recv(right, 10),
            ]
            task = waiting(loop, loop.sock_recv(left, 10))
            loop.close()
            for operation in operations:
                tried(say, lambda operation=operation: operation.send(None))  # type: ignore[misc]
                operation.close()
            coroutine = task.get_coro()
            assert coroutine is not None
            coroutine.close()
            task._log_destroy_pending = False  # type: ignore[attr-defined]

    same_as_stock(engine_name, scenario)


# --- what they are


def test_what_is_returned_is_a_coroutine(engine: Engine, pair: Pair) -> None:
    loop = engine.new()
    left, _ = pair
    asyncios = asyncio.SelectorEventLoop
    for name, arguments in (
        ("sock_recv", (left, 10)),
        ("sock_recv_into", (left, bytearray(10))),
        ("sock_recvfrom", (left, 10)),
        ("sock_recvfrom_into", (left, bytearray(10))),
        ("sock_sendall", (left, b"data")),
        ("sock_sendto", (left, b"data", ("127.0.0.1", 1))),
        ("sock_accept", (left,)),
        ("sock_connect", (left, ("127.0.0.1", 1))),
    ):
        method = getattr(loop, name)
        assert inspect.iscoroutinefunction(method)
        assert inspect.signature(method).parameters.keys() == inspect.signature(
            getattr(asyncios, name)
        ).parameters.keys() - {"self"}
        assert method.__qualname__ == f"BaseSelectorEventLoop.{name}"
        assert method.__doc__ == getattr(asyncios, name).__doc__
        coroutine = method(*arguments)
        assert type(coroutine) is CoroutineType
        assert asyncio.iscoroutine(coroutine) and inspect.isawaitable(coroutine)
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED
        assert coroutine.__qualname__ == f"BaseSelectorEventLoop.{name}"
        coroutines = [coroutine]
        del coroutine
        with pytest.warns(RuntimeWarning, match=rf"coroutine 'BaseSelectorEventLoop\.{name}' was never awaited"):
            coroutines.clear()
    with pytest.raises(BlockingIOError):
        left.recv(10)  # nothing was done


def test_while_it_waits(engine: Engine, pair: Pair) -> None:
    loop = engine.new()
    left, right = pair
    coroutine = loop.sock_recv(left, 10)
    task = waiting(loop, coroutine)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_SUSPENDED
    assert coroutine.cr_frame is not None and not coroutine.cr_running
    assert coroutine.cr_await is not None
    assert isinstance(task._fut_waiter, asyncio.Future)  # type: ignore[attr-defined]
    assert [frame.f_code.co_name for frame in task.get_stack()] == ["sock_recv"]
    assert "sock_recv" in repr(task)
    right.send(b"data")
    assert loop.run_until_complete(task) == b"data"
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        coroutine.send(None)


def test_driven_by_hand(engine: Engine, pair: Pair) -> None:
    loop = engine.new()
    left, right = pair
    coroutine = loop.sock_recv(left, 10)
    future = coroutine.send(None)
    assert isinstance(future, asyncio.Future) and not future.done()
    right.send(b"data")
    while not future.done():
        turn(loop)
    assert future.result() == b"data"
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    assert stop.value.value == b"data"
    right.send(b"at once")
    with pytest.raises(StopIteration) as stop:
        loop.sock_recv(left, 10).send(None)
    assert stop.value.value == b"at once"
    coroutine = loop.sock_recv(left, 10)
    coroutine.send(None)
    with pytest.raises(ZeroDivisionError):
        coroutine.throw(ZeroDivisionError())
    coroutine = loop.sock_recv(left, 10)
    coroutine.send(None)
    coroutine.close()
    if engine.name in ("ours", "ours-c"):
        # asyncio's goes on to wait, and to receive for nobody.
        right.send(b"data")
        turn(loop, 3)
        assert left.recv(10) == b"data"


# --- cancellation, and others that wait


def test_cancelled_while_it_waits(eventloop: Any, pair: Pair) -> None:
    left, right = pair
    for start in (
        lambda: eventloop.sock_recv(left, 10),
        lambda: eventloop.sock_recv_into(left, bytearray(10)),
        lambda: eventloop.sock_recvfrom(left, 10),
        lambda: eventloop.sock_recvfrom_into(left, bytearray(10)),
    ):
        task = waiting(eventloop, start())
        task.cancel("why")
        with pytest.raises(asyncio.CancelledError, match="why"):
            eventloop.run_until_complete(task)
        turn(eventloop)
        assert left.fileno() not in eventloop._selector.get_map()
        right.send(b"data")
        turn(eventloop, 3)
        assert left.recv(10) == b"data"


def test_cancelled_with_a_full_buffer(eventloop: Any, pair: Pair) -> None:
    left, right = pair
    count = fill(left)
    task = waiting(eventloop, eventloop.sock_sendall(left, b"data"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        eventloop.run_until_complete(task)
    turn(eventloop)
    assert left.fileno() not in eventloop._selector.get_map()
    assert empty(right, count) == bytes(count)
    turn(eventloop, 3)
    with pytest.raises(BlockingIOError):
        right.recv(10)


def test_cancelled_at_each_await(engine_name: str) -> None:
    """What becomes of the data, of the other end, and of the files that the loop knows."""

    def scenario(engine: Engine, say: Say) -> None:
        for when in range(6):
            loop = engine.new()
            with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
                not_blocking(server, client)

                async def both(server: socket.socket = server, client: socket.socket = client) -> bytes:
                    loop = asyncio.get_running_loop()
                    accepting = loop.create_task(loop.sock_accept(server))
                    try:
                        await loop.sock_connect(client, ("127.0.0.1", server.getsockname()[1]))
                        connection, _ = await accepting
                        with connection:
                            receiving = loop.create_task(loop.sock_recv(client, 10))
                            await asyncio.sleep(0)
                            await loop.sock_sendall(connection, b"data")
                            return await receiving
                    finally:
                        accepting.cancel()

                task = loop.create_task(both())
                turn(loop, when)
                say([when, task.done(), task.cancel()])
                tried(
                    say,
                    lambda task=task, loop=loop: loop.run_until_complete(asyncio.gather(task, return_exceptions=True)),
                )  # type: ignore[misc]
                turn(loop, 3)
                say([fd in loop._selector.get_map() for fd in (server.fileno(), client.fileno())])
            for each in asyncio.all_tasks(loop):
                each.cancel()
            turn(loop, 3)
            loop.close()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        same_as_stock(engine_name, scenario)


def test_timeouts(eventloop: Any, pair: Pair) -> None:
    left, right = pair

    async def main() -> None:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(eventloop.sock_recv(left, 10), 0.001)
            right.send(b"data")
            assert await asyncio.wait_for(eventloop.sock_recv(left, 10), 10) == b"data"
            async with asyncio.timeout(10):
                task = asyncio.ensure_future(eventloop.sock_recv(left, 10))
                await asyncio.sleep(0)
                right.send(b"more")
                assert await task == b"more"

    eventloop.run_until_complete(main())


def test_a_second_reader_takes_the_place_of_the_first(eventloop: Any, pair: Pair) -> None:
    left, right = pair
    first = waiting(eventloop, eventloop.sock_recv(left, 10))
    second = waiting(eventloop, eventloop.sock_recv(left, 10))
    right.send(b"data")
    assert eventloop.run_until_complete(second) == b"data"
    turn(eventloop, 3)
    assert not first.done()
    right.send(b"more")
    turn(eventloop, 3)
    assert not first.done()
    first.cancel()
    turn(eventloop, 3)
    assert first.cancelled()
    assert eventloop.run_until_complete(eventloop.sock_recv(left, 10)) == b"more"


def test_a_cancelled_one_leaves_the_next_alone(eventloop: Any, pair: Pair) -> None:
    left, right = pair
    first = waiting(eventloop, eventloop.sock_recv(left, 10))
    second = waiting(eventloop, eventloop.sock_recv(left, 10))
    first.cancel()
    turn(eventloop, 3)
    assert first.cancelled()
    right.send(b"data")
    assert eventloop.run_until_complete(second) == b"data"


def test_replaced_in_the_iteration_in_which_it_is_ready(engine_name: str) -> None:
    if engine_name == "ours-select":
        pytest.skip("select() tells of files in the order of their numbers")

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        with pair_of() as (left, right), pair_of() as (first, second):
            got: list[str] = []
            task = waiting(loop, loop.sock_recv(left, 10))
            # This one is served first, and takes the place of the other's, whose callback is queued by then.
            loop.add_reader(first, lambda: (first.recv(10), loop.add_reader(left, got.append, "reader")))
            second.send(b"x")
            right.send(b"data")
            for _ in range(3):
                turn(loop)
                say([task.done(), got])
                loop.remove_reader(first)
            loop.remove_reader(left)
            tried(say, lambda: left.recv(10))
            task.cancel()
            turn(loop, 2)

    same_as_stock(engine_name, scenario)


def test_beside_add_reader_and_add_writer(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        with pair_of() as (left, right):
            calls: list[str] = []
            task = waiting(loop, loop.sock_recv(left, 10))
            loop.add_writer(left, calls.append, "writer")
            turn(loop, 2)
            say([len(calls) > 0, loop._selector.get_map()[left.fileno()].events])
            right.send(b"data")
            say(loop.run_until_complete(task))
            turn(loop, 2)
            say(loop._selector.get_map()[left.fileno()].events)
            say([loop.remove_writer(left), left.fileno() in loop._selector.get_map()])
            # A writer's place taken, and given back.
            count = fill(left)
            task = waiting(loop, loop.sock_sendall(left, b"data"))
            loop.add_reader(left, lambda: calls.append(left.recv(10).decode()))
            right.send(b"read")
            turn(loop, 3)
            say(calls[-1])
            empty(right, count)
            say(loop.run_until_complete(task))
            turn(loop, 2)
            say(loop._selector.get_map()[left.fileno()].events)
            say(loop.remove_reader(left))
            say(right.recv(10))
            # remove_reader() of a file that is waited for.
            task = waiting(loop, loop.sock_recv(left, 10))
            say(loop.remove_reader(left))
            right.send(b"data")
            turn(loop, 3)
            say(task.done())
            task.cancel()
            turn(loop, 2)
            say(loop.run_until_complete(loop.sock_recv(left, 10)))

    same_as_stock(engine_name, scenario)


def test_reads_and_writes_of_one_socket_at_once(eventloop: Any) -> None:
    with tcp() as (left, right):

        async def send(sock: socket.socket, count: int) -> None:
            for number in range(count):
                await eventloop.sock_sendall(sock, bytes([number % 251]) * 50_000)

        async def receive(sock: socket.socket, count: int) -> bytes:
            got = bytearray()
            while len(got) < count * 50_000:
                got += await eventloop.sock_recv(sock, 70_000)
            return bytes(got)

        async def main() -> None:
            _, _, one, two = await asyncio.gather(
                send(left, 40), send(right, 40), receive(left, 40), receive(right, 40)
            )
            assert one == two == b"".join(bytes([number]) * 50_000 for number in range(40))

        eventloop.run_until_complete(main())


def test_a_file_that_a_transport_uses(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        with pair_of() as (left, _):

            async def main() -> None:
                transport, _ = await loop.create_connection(asyncio.Protocol, sock=left)
                for operation in (loop.sock_recv(left, 10), loop.sock_accept(left)):
                    with contextlib.suppress(OSError):
                        try:
                            await asyncio.wait_for(operation, 0.01)
                        except RuntimeError as error:
                            say(
                                str(error)
                                .split(" is used by transport")[0]
                                .replace(repr(left), "SOCKET")
                                .replace(str(left.fileno()), "FD")
                            )
                transport.close()
                await asyncio.sleep(0)

            loop.run_until_complete(main())

    same_as_stock(engine_name, scenario)


# --- replacements


def test_replaced_methods_are_called(engine: Engine, pair: Pair) -> None:
    left, right = pair
    loop = engine.new()
    right.send(b"data")

    async def replacement(self: Any, sock: Any, n: int) -> bytes:
        return b"replaced"

    with mock.patch.object(asyncio.selector_events.BaseSelectorEventLoop, "sock_recv", replacement):
        assert loop.run_until_complete(loop.sock_recv(left, 10)) == b"replaced"
    assert loop.run_until_complete(loop.sock_recv(left, 10)) == b"data"
    right.send(b"data")
    with mock.patch.object(socket.socket, "recv", return_value=b"patched", create=True):
        assert loop.run_until_complete(loop.sock_recv(left, 10)) == b"patched"
    assert loop.run_until_complete(loop.sock_recv(left, 10)) == b"data"


def test_a_loop_with_a_future_of_its_own(engine: Engine, pair: Pair) -> None:
    left, right = pair
    made: list[Any] = []

    class Loop(engine.loop_class):  # type: ignore[name-defined,misc]
        def create_future(self) -> Any:
            made.append(asyncio.futures._PyFuture(loop=self))  # type: ignore[attr-defined]
            return made[-1]

    loop = engine.new(Loop)
    task = waiting(loop, loop.sock_recv(left, 10))
    right.send(b"data")
    assert loop.run_until_complete(task) == b"data"
    task = waiting(loop, loop.sock_recv(left, 10))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    task = waiting(loop, loop.sock_recv(left, 10))
    turn(loop, 2)
    task.cancel()
    turn(loop, 2)
    assert made


# --- what is left


def test_nothing_is_left_of_them(engine: Engine, no_gc: None) -> None:
    """No cycle keeps a socket, a task or an exception, whatever it has come to."""
    if engine.name in ("stock", "stock-debug", "ours-select", "ours-debug"):
        pytest.skip("asyncio's own coroutines and what they raise are in a cycle")
    loop = engine.new()
    for how in ("at once", "waited", "cancelled", "reset"):
        with tcp() as (left, right):
            if how == "at once":
                right.send(b"data")
                task = loop.create_task(loop.sock_recv(left, 10))
            else:
                task = waiting(loop, loop.sock_recv(left, 10))
            if how == "waited":
                right.send(b"data")
            elif how == "cancelled":
                task.cancel()
            elif how == "reset":
                right.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                right.close()
            while not task.done():
                turn(loop)
            assert how != "reset" or isinstance(task.exception(), ConnectionResetError)
            turn(loop, 2)
        alive = [weakref.ref(left), weakref.ref(task)]
        del left, right, task
        turn(loop)
        assert [ref() for ref in alive] == [None, None], how


def test_a_pending_one_ends_with_its_loop(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        with pair_of() as (left, _):
            said: list[Any] = []
            loop.set_exception_handler(lambda loop, context: said.append(context["message"]))
            ref = weakref.ref(waiting(loop, loop.sock_recv(left, 10)))
            gc.collect()
            say(ref() is not None)
            loop.close()
            gc.collect()
            say([ref(), said])

    same_as_stock(engine_name, scenario)
