"""What a transport is given that is wrong: CPython's exceptions and texts."""

from __future__ import annotations

import array
import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from support.loops import Engine, Say, same_as_stock, tried, turn
from support.net import HUGE, Recorder, connected, finish, is_native, receive, receive_all, until


class OwnBytes(bytes):
    pass


def released() -> memoryview:
    view = memoryview(b"data")
    view.release()
    return view


#: What is given to `write`; a list of any of them to `writelines`.
DATA: dict[str, Callable[[], Any]] = {
    "bytes": lambda: b"data",
    "bytes subclass": lambda: OwnBytes(b"data"),
    "bytearray": lambda: bytearray(b"data"),
    "memoryview": lambda: memoryview(b"data"),
    "of ints": lambda: memoryview(array.array("i", [1, 2, 3])),
    "of floats": lambda: memoryview(array.array("d", [1.5])),
    "two dimensions": lambda: memoryview(b"datadata").cast("B", (2, 4)),
    "no dimension": lambda: memoryview(b"d").cast("B", ()),
    "strided": lambda: memoryview(b"datadata")[::2],
    "backwards": lambda: memoryview(b"data")[::-1],
    "released": released,
    "empty": lambda: b"",
    "empty view": lambda: memoryview(b""),
    "str": lambda: "data",
    "empty str": lambda: "",
    "None": lambda: None,
    "int": lambda: 5,
    "array": lambda: array.array("B", b"data"),
    "list": lambda: [b"data"],
    "generator": lambda: (each for each in [b"data"]),
    "class": lambda: bytes,
}


def what_comes(say: Say, engine: Engine, act: Callable[[Any], object]) -> None:
    """Say what an act on a transport raises, what comes out of its other end, and what becomes of it."""
    loop = engine.new()
    loop.set_exception_handler(
        lambda loop, context: say([context["message"], repr(context.get("exception")), sorted(context)])
    )
    ends = connected(loop)
    tried(say, lambda: act(ends.transport))
    turn(loop, 3)
    say([ends.transport.is_closing(), ends.transport.get_write_buffer_size()])
    tried(say, lambda: ends.transport.write(b" and more"))
    ends.transport.close()
    say(receive_all(loop, ends.peer))
    say(ends.protocol.events)
    finish(loop, ends)


@pytest.mark.parametrize("kind", DATA)
def test_write(engine_name: str, kind: str) -> None:
    same_as_stock(engine_name, lambda engine, say: what_comes(say, engine, lambda each: each.write(DATA[kind]())))


#: asyncio's own `writelines` takes a view's items for its bytes, and loses the connection by it (or bytes).
NOT_OF_BYTES = ("of ints", "of floats", "two dimensions")


@pytest.mark.parametrize("kind", NOT_OF_BYTES)
def test_lines_that_are_no_bytes(eventloop: Any, kind: str) -> None:
    """Native transports send all of them."""
    ends = connected(eventloop)
    if not is_native(ends.transport):
        finish(eventloop, ends)
        pytest.skip("asyncio's transport loses them")
    ends.transport.writelines([b"before", DATA[kind](), b"after"])
    ends.transport.close()
    assert receive_all(eventloop, ends.peer) == b"before" + DATA[kind]().tobytes() + b"after"
    finish(eventloop, ends)


@pytest.mark.parametrize("kind", [kind for kind in DATA if kind not in NOT_OF_BYTES])
def test_writelines(engine_name: str, kind: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        what_comes(say, engine, lambda each: each.writelines([b"before", DATA[kind](), b"after"]))

    same_as_stock(engine_name, scenario)


def raising() -> Any:
    yield b"before"
    raise ZeroDivisionError("in the generator")


SHAPES: dict[str, Callable[[], Any]] = {
    "list": lambda: [b"a", b"b"],
    "tuple": lambda: (b"a", b"b"),
    "generator": lambda: (each for each in (b"a", b"b")),
    "generator that raises": raising,
    "empty list": list,
    "empty generator": lambda: (each for each in ()),
    "set": lambda: {b"a"},
    "dict": lambda: {b"a": 1},
    "bytes": lambda: b"ab",
    "bytearray": lambda: bytearray(b"ab"),
    "None": lambda: None,
    "int": lambda: 7,
    "of empty ones": lambda: [b"", bytearray(), memoryview(b"")],
    "many": lambda: [b"%d" % number for number in range(3000)],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_of_lines(engine_name: str, shape: str) -> None:
    same_as_stock(
        engine_name, lambda engine, say: what_comes(say, engine, lambda each: each.writelines(SHAPES[shape]()))
    )


CALLS: dict[str, Callable[[Any], object]] = {
    "write nothing": lambda transport: transport.write(),
    "write two": lambda transport: transport.write(b"a", b"b"),
    "write by name": lambda transport: transport.write(data=b"a"),
    "write by wrong name": lambda transport: transport.write(other=b"a"),
    "writelines by name": lambda transport: transport.writelines(list_of_data=[b"a"]),
    "writelines nothing": lambda transport: transport.writelines(),
    "close with an argument": lambda transport: transport.close(1),
    "abort with an argument": lambda transport: transport.abort(1),
    "write_eof with an argument": lambda transport: transport.write_eof(1),
    "pause_reading with an argument": lambda transport: transport.pause_reading(1),
    "set_protocol nothing": lambda transport: transport.set_protocol(),
    "limits": lambda transport: [
        transport.set_write_buffer_limits(),
        transport.get_write_buffer_limits(),
        transport.set_write_buffer_limits(high=10),
        transport.get_write_buffer_limits(),
        transport.set_write_buffer_limits(low=10),
        transport.get_write_buffer_limits(),
        transport.set_write_buffer_limits(20, 15),
        transport.get_write_buffer_limits(),
        transport.set_write_buffer_limits(high=0),
        transport.get_write_buffer_limits(),
    ],
    "low above high": lambda transport: transport.set_write_buffer_limits(high=1, low=2),
    "low below zero": lambda transport: transport.set_write_buffer_limits(low=-1),
    "high below zero": lambda transport: transport.set_write_buffer_limits(high=-1),
    "both below zero": lambda transport: transport.set_write_buffer_limits(high=-1, low=-2),
    "limits of floats": lambda transport: [
        transport.set_write_buffer_limits(high=10.5),
        transport.get_write_buffer_limits(),
    ],
    "limits of str": lambda transport: transport.set_write_buffer_limits(high="10"),
    "huge limits": lambda transport: [
        transport.set_write_buffer_limits(high=1 << 100),
        transport.get_write_buffer_limits(),
    ],
    "extra by name": lambda transport: transport.get_extra_info(name="peername", default=None) is not None,
    "written after the end": lambda transport: [transport.write_eof(), transport.write(b"a")],
    "lines after the end": lambda transport: [transport.write_eof(), transport.writelines([b"a"])],
    "nothing after the end": lambda transport: [transport.write_eof(), transport.write(b"")],
    "no lines after the end": lambda transport: [transport.write_eof(), transport.writelines([])],
    "two waiters": lambda transport: [transport._make_empty_waiter().done(), transport._make_empty_waiter()],
    "written while a file is sent": lambda transport: [transport._make_empty_waiter().done(), transport.write(b"a")],
    "lines while a file is sent": lambda transport: [transport._make_empty_waiter().done(), transport.writelines([])],
    "a waiter that is forgotten": lambda transport: [
        transport._make_empty_waiter().done(),
        transport._reset_empty_waiter(),
        transport.write(b"a"),
    ],
}


@pytest.mark.parametrize("call", CALLS)
def test_calls(engine_name: str, call: str) -> None:
    same_as_stock(engine_name, lambda engine, say: what_comes(say, engine, CALLS[call]))


@pytest.mark.parametrize("call", CALLS)
def test_calls_on_a_closed_transport(engine_name: str, call: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        ends = connected(loop)
        finish(loop, ends)
        tried(say, lambda: CALLS[call](ends.transport))

    same_as_stock(engine_name, scenario)


#: What `get_buffer` answers.
BUFFERS: dict[str, Callable[[], Any]] = {
    "bytearray": lambda: bytearray(10),
    "one byte": lambda: bytearray(1),
    "memoryview": lambda: memoryview(bytearray(10)),
    "array": lambda: array.array("B", bytes(10)),
    "of ints": lambda: memoryview(array.array("i", [0, 0, 0])),
    "two dimensions": lambda: memoryview(bytearray(12)).cast("B", (3, 4)),
    "strided": lambda: memoryview(bytearray(10))[::2],
    "empty": lambda: bytearray(),
    "read-only": lambda: b"0123456789",
    "read-only view": lambda: memoryview(b"0123456789"),
    "released": released,
    "None": lambda: None,
    "str": lambda: "0123456789",
    "int": lambda: 10,
    "list": lambda: [0] * 10,
}


@pytest.mark.parametrize("kind", BUFFERS)
def test_buffers(engine_name: str, kind: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        class Protocol(asyncio.BufferedProtocol):
            lost = False

            def get_buffer(self, sizehint: int) -> Any:
                self.buffer = BUFFERS[kind]()
                return self.buffer

            def buffer_updated(self, size: int) -> None:
                say([size, bytes(memoryview(self.buffer).cast("B")[:size]), type(size) is int])

            def connection_lost(self, error: Exception | None) -> None:
                self.lost = True
                say(repr(error))

        loop = engine.new()
        loop.set_exception_handler(
            lambda loop, context: say([context["message"], repr(context["exception"]), sorted(context)])
        )
        ends = connected(loop, protocol=Protocol())
        ends.peer.send(b"some text that is longer")
        turn(loop, 4)
        finish(loop, ends)

    same_as_stock(engine_name, scenario)


def test_numbers_in_a_view_that_does_not_fit(eventloop: Any) -> None:
    """asyncio counts items where it means bytes, and loses some of such a view: ours must not."""
    data = array.array("i", range(HUGE // 4))
    ends = connected(eventloop)
    ends.transport.write(memoryview(data))
    if not is_native(ends.transport):
        finish(eventloop, ends)
        pytest.skip("asyncio's transport loses bytes of it")
    ends.transport.writelines([memoryview(data), b"end"])
    assert ends.transport.get_write_buffer_size() > 0
    expected = data.tobytes() * 2 + b"end"
    assert receive(eventloop, ends.peer, len(expected)) == expected
    until(eventloop, lambda: not ends.transport.get_write_buffer_size())
    finish(eventloop, ends)


@pytest.mark.parametrize("how", ["write", "writelines"])
def test_a_bytearray_that_is_changed_afterwards(engine_name: str, how: str) -> None:
    """What could be sent was sent; what is kept is as CPython keeps it."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        sent, kept = bytearray(b"as it was"), bytearray(b"as it was")
        ends = connected(loop)

        def write(what: bytearray) -> None:
            if how == "write":
                ends.transport.write(what)
            else:
                ends.transport.writelines([what])

        def both() -> None:
            write(sent)
            sent[:] = b"changed !"
            tried(say, sent.clear)
            ends.transport.write(bytes(HUGE))
            write(kept)
            kept[:] = b"changed !"
            tried(say, lambda: kept.extend(b"longer"))

        loop.call_soon(both)
        turn(loop, 2)
        say(receive(loop, ends.peer, len(b"as it was")))
        assert receive(loop, ends.peer, HUGE) == bytes(HUGE)
        say(receive(loop, ends.peer, 9))
        finish(loop, ends)
        tried(say, lambda: kept.extend(b"longer"))

    same_as_stock(engine_name, scenario)


def test_sockets_of_the_wrong_kind(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        run = loop.run_until_complete
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram, socket.socket() as stream:
            datagram.setblocking(False)
            stream.setblocking(False)
            for make in (
                lambda: loop.create_connection(Recorder, sock=datagram),
                lambda: loop.create_connection(Recorder, sock=stream),
                lambda: loop.create_connection(Recorder),
                lambda: loop.create_connection(Recorder, "127.0.0.1", 1, sock=stream),
                lambda: loop.create_server(Recorder, sock=datagram),
                lambda: loop.create_unix_connection(Recorder, sock=stream),
                lambda: loop.connect_accepted_socket(Recorder, datagram),
                lambda: loop.create_datagram_endpoint(Recorder, sock=stream),
            ):
                tried(say, lambda make=make: type(run(make())).__name__)  # type: ignore[misc]

    assert len(same_as_stock(engine_name, scenario)) == 8


def test_a_file_that_a_transport_uses(engine_name: str) -> None:
    """Readers and writers of the loop's are refused; `sock_*` in any mode."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        ends = connected(loop)
        sock = ends.transport._sock
        number = str(sock.fileno())
        acts: list[Callable[[], Any]] = [
            lambda: loop.add_reader(sock.fileno(), print),
            lambda: loop.add_writer(sock.fileno(), print),
            lambda: loop.remove_reader(sock.fileno()),
            lambda: loop.remove_writer(sock.fileno()),
            lambda: loop.add_reader(sock, print),
            lambda: loop.run_until_complete(loop.sock_recv(sock, 10)),
            lambda: loop.run_until_complete(loop.sock_sendall(sock, bytes(HUGE))),
            lambda: loop.run_until_complete(loop.sock_accept(sock)),
        ]
        for act in acts:
            try:
                say(act())
            except (RuntimeError, OSError) as error:
                say(f"{type(error).__name__}: {error}".replace(f"descriptor {number}", "descriptor N"))
            if len(ends.peer.recv(10, socket.MSG_PEEK) if has_data(ends.peer) else b""):
                receive(loop, ends.peer, 1)
        ends.peer.send(b"still")
        until(loop, lambda: ends.protocol.data == b"still")
        finish(loop, ends)

    def has_data(peer: socket.socket) -> bool:
        try:
            return bool(peer.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False

    same_as_stock(engine_name, scenario)
