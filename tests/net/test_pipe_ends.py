"""The ends of pipes: whose descriptor it is, what the system makes of one call, and what programs look into."""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import gc
import io
import os
import socket
import threading
from asyncio import unix_events
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from support.loops import WITH_DEBUG, Engine, Say, same_as_stock, tried, turn
from support.net import Recorder, is_native, until
from support.pipes import Reader, Writer

#: What a pipe holds unless it is told otherwise.
PIPE = 65536
F_SETPIPE_SZ = 1031


class Duck:
    """Something with a descriptor, that is no file of Python's."""

    def __init__(self, number: int) -> None:
        self.number = number

    def fileno(self) -> int:
        return self.number

    def close(self) -> None:
        os.close(self.number)


class Derived(io.FileIO):
    pass


KINDS: dict[str, Callable[[int, str], Any]] = {
    "file": lambda number, mode: open(number, mode, 0),  # noqa: SIM115
    "buffered": lambda number, mode: open(number, mode),  # noqa: SIM115
    "text": lambda number, mode: open(number, mode[0]),  # noqa: SIM115
    "derived": Derived,
    "duck": lambda number, mode: Duck(number),
}
NATIVE_KINDS = ("file", "buffered", "text")


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_files(engine_name: str, kind: str) -> None:
    """Whatever is around the descriptor, the bytes are the same; native code has those whose owner it knows."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        reading, writing = os.pipe()
        reader, writer = Recorder(), Recorder()
        source, _ = loop.run_until_complete(loop.connect_read_pipe(lambda: reader, KINDS[kind](reading, "rb")))
        sink, _ = loop.run_until_complete(loop.connect_write_pipe(lambda: writer, KINDS[kind](writing, "wb")))
        for each in (source, sink):
            assert is_native(each) == (engine.name in ("ours", "ours-c") and kind in NATIVE_KINDS)
        sink.write(b"through")
        until(loop, lambda: reader.data == b"through")
        sink.close()
        until(loop, lambda: reader.lost and writer.lost)
        say([reader.events, writer.events])
        for number in (reading, writing):
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(number)

    same_as_stock(engine_name, scenario)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM])
def test_sockets_as_pipes(engine_name: str, kind: int) -> None:
    """Where calls are kept apart, each write is one call."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        mine, peer = socket.socketpair(type=kind)
        peer.setblocking(False)
        writer, reader = Recorder(), Recorder()
        sink, _ = loop.run_until_complete(loop.connect_write_pipe(lambda: writer, mine))
        assert is_native(sink) == (engine.name in ("ours", "ours-c"))

        def write() -> None:
            for data in (b"one", b"two", bytearray(b"three")):
                sink.write(data)

        loop.call_soon(write)
        turn(loop)
        say([peer.recv(5) for _ in range(3)])
        source, _ = loop.run_until_complete(loop.connect_read_pipe(lambda: reader, peer))
        for data in (b"x" * 5000, b"four", b"y" * 6000, b"five", b"z" * 5000, b"six"):
            sink.write(data)
            if kind == socket.SOCK_STREAM:
                turn(loop, 2)
        until(loop, lambda: len(reader.data) == 16011)
        say([bytes(reader.data[5000:5004]), bytes(reader.data[-3:])])
        sink.close()
        until(loop, lambda: writer.lost)
        source.close()
        until(loop, lambda: reader.lost)
        say(writer.events)

    same_as_stock(engine_name, scenario)


def test_packets(engine_name: str) -> None:
    """A pipe that keeps writes apart."""

    class Apart(Recorder):
        def data_received(self, data: bytes) -> None:
            self.events.append(len(data))

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        reading, writing = os.pipe2(os.O_DIRECT)
        reader, writer = Apart(), Recorder()
        loop.run_until_complete(loop.connect_read_pipe(lambda: reader, open(reading, "rb", 0)))  # noqa: SIM115
        sink, _ = loop.run_until_complete(loop.connect_write_pipe(lambda: writer, open(writing, "wb", 0)))  # noqa: SIM115
        sizes = [3, 1, 4096, 4096, 17, 4096, 2]
        for size in sizes:
            sink.write(bytes(size))
        until(loop, lambda: len(reader.events) > len(sizes))
        say(reader.events)
        sink.close()
        until(loop, lambda: reader.lost and writer.lost)

    same_as_stock(engine_name, scenario)


class Pieces(asyncio.Protocol):
    """Keeps what it is given, each piece by itself."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.lost = False

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.pieces.append(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True


def test_pieces_of_all_sizes(engine_name: str) -> None:
    """Each event is one read, of what there is, and of 256 KiB at most."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        protocol = Pieces()
        end = Reader(loop, protocol)
        fcntl.fcntl(end.writing, F_SETPIPE_SZ, 1 << 20)
        sizes = [1, 4095, 4096, 4097, 1, 5000, 200_000, 100_000, 262_144, 262_145, 700_000, 3, 8192, 8192, 8191, 9000]
        sent = b""
        for number, size in enumerate(sizes):
            data = bytes([number]) * (size - 1) + b"."
            assert os.write(end.writing, data) == size
            sent += data
            turn(loop, 2)
        until(loop, lambda: sum(map(len, protocol.pieces)) == len(sent))
        say([len(piece) for piece in protocol.pieces])
        assert b"".join(protocol.pieces) == sent
        os.close(end.writing)
        until(loop, lambda: protocol.lost)

    same_as_stock(engine_name, scenario)


def odd_views() -> list[Any]:
    numbers = memoryview(bytes(range(12)))
    return [
        numbers[2:5],
        numbers[::2],
        memoryview(bytearray(b"array")),
        numbers[:0],
        bytearray(),
        array.array("B", b"array"),
        type("Bytes", (bytes,), {})(b"derived"),
        type("Array", (bytearray,), {})(b"derived"),
        "text",
        None,
    ]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("number", range(len(odd_views())))
def test_what_can_be_written(engine_name: str, number: int, full: bool) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        end = Writer(loop)
        if full:
            end.transport.write(bytes(PIPE + 5))
        tried(say, lambda: end.transport.write(odd_views()[number]))
        say(end.transport.get_write_buffer_size())
        end.transport.write(b"|end")
        data = end.read(PIPE + 5 if full else 0)
        until(loop, lambda: not end.transport.get_write_buffer_size())
        with contextlib.suppress(BlockingIOError):
            data += os.read(end.reading, 100)
        say([len(data), data[-30:]])
        end.transport.abort()
        until(loop, lambda: end.protocol.lost)
        say(end.protocol.events)
        os.close(end.reading)

    same_as_stock(engine_name, scenario)


def test_what_waits_is_a_copy(engine: Engine) -> None:
    """Whatever becomes of the memory that was written from."""
    loop = engine.new()
    end = Writer(loop)
    data = bytearray(b"a" * (PIPE + 10))
    end.transport.write(data)
    data[:] = b"b" * (PIPE + 10)
    end.transport.write(data)
    data.clear()
    assert end.read(2 * PIPE + 20) == b"a" * (PIPE + 10) + b"b" * (PIPE + 10)
    end.transport.close()
    until(loop, lambda: end.protocol.lost)
    os.close(end.reading)


def test_private_attributes(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        end, other = Writer(loop), Reader(loop)
        for transport, names in (
            (end.transport, "_buffer _closing _conn_lost _protocol_paused _high_water _low_water"),
            (other.transport, "_closing _paused max_size"),
        ):
            say([(name, getattr(transport, name)) for name in names.split()])
            assert transport._loop is loop
            assert transport._pipe is transport.get_extra_info("pipe")
            assert transport._fileno == transport._pipe.fileno()
            assert transport._protocol is transport.get_protocol()
            say(transport.get_extra_info("nothing", 5))
            tried(say, lambda transport=transport: transport.get_extra_info())  # type: ignore[misc]
        say([type(end.transport._buffer), len(end.transport._buffer)])
        end.transport.write(bytes(PIPE) + b"rest")
        say([end.transport._buffer, repr(end.transport)])
        end.transport._buffer += b" and more"
        say(end.read(PIPE + 13)[-13:])
        until(loop, lambda: not end.transport._buffer)
        say(repr(end.transport))
        end.transport._buffer = b"none"
        tried(say, lambda: end.transport.write(b"x"))
        end.transport._buffer = bytearray()
        end.transport.close()
        until(loop, lambda: end.protocol.lost)
        other.transport.close()
        until(loop, lambda: other.protocol.lost)
        for transport in (end.transport, other.transport):
            say([transport._pipe, transport._protocol, transport._loop, transport._closing])
            tried(say, lambda transport=transport: transport.close())  # type: ignore[misc]
        os.close(end.reading)
        os.close(other.writing)

    same_as_stock(engine_name, scenario)


@pytest.mark.parametrize("afterwards", ["write", "read", "close", "abort"])
def test_a_pipe_closed_behind_the_transports_back(engine: Engine, afterwards: str) -> None:
    """Nobody who has its number afterwards gets a byte of it, nor loses one."""
    if engine.name not in ("ours", "ours-c"):
        pytest.skip("asyncio's transport goes by the number")
    loop = engine.new()
    loop.set_exception_handler(lambda loop, context: None)
    end, other = Writer(loop), Reader(loop)
    numbers = {end.transport._fileno, other.transport._fileno}
    end.transport._pipe.close()
    other.transport._pipe.close()
    strangers = socket.socketpair()
    assert numbers == {each.fileno() for each in strangers}
    for each in strangers:
        each.setblocking(False)
        each.send(b"mine")
    turn(loop)
    if afterwards == "write":
        end.transport.write(b"to whom?")
    elif afterwards == "read":
        other.transport._read_ready()
    elif afterwards == "close":
        end.transport.close()
        other.transport.close()
    else:
        end.transport.abort()
        other.transport.close()
    turn(loop, 3)
    for each in strangers:
        assert each.recv(100) == b"mine"
        with pytest.raises(BlockingIOError):
            each.recv(100)
    for transport in (end.transport, other.transport):
        transport.close()
    turn(loop, 3)
    for each in strangers:
        each.close()
    os.close(end.reading)
    os.close(other.writing)


def test_other_threads_run_while_a_pipe_blocks(engine: Engine) -> None:
    """Anybody who has the file in common can have it block again; as with asyncio's, only the loop then waits."""
    loop = engine.new()
    end = Writer(loop)
    os.set_blocking(end.transport._fileno, True)
    got = bytearray()

    def read() -> None:
        while len(got) < 3 * PIPE:
            with contextlib.suppress(BlockingIOError):
                got.extend(os.read(end.reading, PIPE))

    thread = threading.Thread(target=read)
    thread.start()
    end.transport.write(bytes(3 * PIPE))
    thread.join()
    assert end.transport.get_write_buffer_size() == 0
    end.transport.close()
    until(loop, lambda: end.protocol.lost)
    os.close(end.reading)


def test_read_right_after_the_write(engine: Engine) -> None:
    """A program that has both ends finds what it has written, in the same step."""
    loop = engine.new()
    end = Writer(loop)
    got = []

    def act() -> None:
        end.transport.write(b"one")
        end.transport.write(b"two")
        got.append(os.read(end.reading, 100))

    loop.call_soon(act)
    turn(loop)
    assert got == [b"onetwo"]
    end.transport.close()
    until(loop, lambda: end.protocol.lost)
    os.close(end.reading)


def test_a_named_pipe_that_is_opened_again(engine_name: str, tmp_path: Any) -> None:
    """Its end is seen as often as it comes."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        path = tmp_path / engine.name
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path)
        for text in (b"first", b"second"):
            protocol = Recorder()
            pipe = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", 0)  # noqa: SIM115
            writing = os.open(path, os.O_WRONLY)
            loop.run_until_complete(loop.connect_read_pipe(lambda protocol=protocol: protocol, pipe))
            os.write(writing, text)
            until(loop, lambda protocol=protocol: protocol.data)
            os.close(writing)
            until(loop, lambda protocol=protocol: protocol.lost)
            say(protocol.events)

    same_as_stock(engine_name, scenario)


PLACES = ("data_received", "eof_received", "pause_writing", "resume_writing", "connection_lost", "connection_made")


@pytest.mark.parametrize(
    ("place", "error"),
    [
        (place, error)
        for place in PLACES
        for error in (ZeroDivisionError, asyncio.CancelledError, SystemExit)
        if (place, error) != ("connection_made", SystemExit)  # nobody has the transport then
    ],
)
def test_what_a_protocol_raises(engine_name: str, place: str, error: type[BaseException]) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()

        def handle(loop: Any, context: dict[str, Any]) -> None:
            say([type(context["exception"]), context["message"].split(" at ")[0], sorted(context)])

        loop.set_exception_handler(handle)

        def fail(*args: object) -> None:
            raise error

        ends: list[Any] = []
        for kind in (Reader, Writer):
            protocol = Recorder()
            setattr(protocol, place, fail)
            ends.append(kind(loop, protocol))

        def run(condition: Callable[[], Any], times: int = 10) -> None:
            for _ in range(times):
                if condition():
                    return
                try:
                    turn(loop)
                except SystemExit:
                    say("out of the loop")

        reader, writer = ends
        os.write(reader.writing, b"text")
        run(lambda: reader.protocol.data)
        writer.transport.set_write_buffer_limits(10)
        writer.transport.write(bytes(PIPE) + b"rest")
        try:
            writer.transport.write(b"and more")
        except BaseException as raised:
            say(type(raised))
        os.read(writer.reading, PIPE)
        run(lambda: not writer.transport.get_write_buffer_size())
        os.close(reader.writing)
        run(lambda: reader.transport._pipe is None)
        os.close(writer.reading)
        run(lambda: writer.transport._pipe is None)
        run(lambda: False, 3)
        say([reader.protocol.events, writer.protocol.events])
        for each in ends:
            with contextlib.suppress(OSError):
                os.close(each.writing if each is reader else each.reading)

    same_as_stock(engine_name, scenario)


ACTIONS: dict[str, Callable[[Any], object]] = {
    "close": lambda transport: transport.close(),
    "pause": lambda transport: transport.pause_reading(),
    "pause and resume": lambda transport: [transport.pause_reading(), transport.resume_reading()],
    "set_protocol": lambda transport: transport.set_protocol(Recorder()),
    "close the pipe": lambda transport: transport._pipe.close(),
}


# What select() says of a closed file is not what epoll says.
@pytest.mark.parametrize(
    ("engine_name", "action"),
    [
        (name, action)
        for name in WITH_DEBUG
        for action in ACTIONS
        if name != "ours-select" or action != "close the pipe"
    ],
)
def test_acting_while_data_is_received(engine_name: str, action: str) -> None:
    class Acting(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            ACTIONS[action](self.transport)

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        end = Reader(loop, Acting())
        fcntl.fcntl(end.writing, F_SETPIPE_SZ, 1 << 20)
        os.write(end.writing, bytes(300_000))
        turn(loop, 5)
        say([len(end.protocol.data), end.transport.is_closing(), len(end.protocol.events)])
        say(getattr(end.transport.get_protocol(), "events", [])[:1])
        end.transport.close()
        turn(loop, 3)
        say(end.protocol.lost)
        os.close(end.writing)

    same_as_stock(engine_name, scenario)


@pytest.mark.parametrize("closing", [False, True])
@pytest.mark.parametrize("act", ["write", "abort", "close"])
def test_acting_when_there_is_room_again(engine_name: str, act: str, closing: bool) -> None:
    class Acting(Recorder):
        def resume_writing(self) -> None:
            super().resume_writing()
            if self.events.count("resume_writing") == 1:
                getattr(self.transport, act)(*([b"!" * (PIPE + 9)] if act == "write" else []))

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.set_exception_handler(lambda loop, context: say([repr(context["exception"]), context["message"][:20]]))
        end = Writer(loop, Acting())
        end.transport.set_write_buffer_limits(10)
        end.transport.write(bytes(2 * PIPE))
        if closing:
            end.transport.close()
        say(len(end.read(2 * PIPE)))
        until(loop, lambda: "resume_writing" in end.protocol.events)
        turn(loop, 3)
        if act == "write" and not closing:
            say(end.read(PIPE + 9).count(b"!"))
        say(end.protocol.events)
        end.transport.abort() if end.transport._pipe else None
        turn(loop, 3)
        os.close(end.reading)

    same_as_stock(engine_name, scenario)


def test_what_replaces_functions_is_called(engine: Engine) -> None:
    loop = engine.new()
    end, other = Writer(loop), Reader(loop)
    calls = []

    def wrapped(name: str) -> Any:
        function = getattr(os, name)

        def call(*args: Any) -> Any:
            calls.append(name)
            return function(*args)

        return call

    with mock.patch("os.write", wrapped("write")), mock.patch("os.read", wrapped("read")):
        end.transport.write(b"text")
        assert calls == ["write"]
        os.write(other.writing, b"text")
        calls.clear()
        until(loop, lambda: other.protocol.data == b"text")
        assert calls == ["read"]
        assert os.read(end.reading, 10) == b"text"
        calls.clear()
    end.transport.write(b"text")
    assert calls == []
    function = end.transport._maybe_pause_protocol
    end.transport._maybe_pause_protocol = lambda: [calls.append("pause"), function()]
    end.transport.write(bytes(3 * PIPE))
    assert calls == ["pause"]
    with mock.patch.object(unix_events._UnixWritePipeTransport, "write", lambda self, data: calls.append(data)):  # type: ignore[attr-defined]
        end.transport.write(b"patched")
        assert b"patched" in calls
    end.transport.abort()
    other.transport.close()
    until(loop, lambda: end.protocol.lost and other.protocol.lost)
    os.close(end.reading)
    os.close(other.writing)


def gc_without(end: Any) -> None:
    del end.transport
    gc.collect()


@pytest.mark.parametrize("kind", [Reader, Writer])
def test_a_transport_that_everybody_forgets(engine: Engine, kind: Any) -> None:
    loop = engine.new()
    end = kind(loop)
    number, other = end.transport._fileno, getattr(end, "writing", None) or end.reading
    if kind is Reader:
        end.transport.pause_reading()
    else:
        loop.remove_reader(number)
    turn(loop)
    end.protocol.transport = None
    del end.protocol
    with pytest.warns(ResourceWarning, match="unclosed transport <_Unix"):
        gc_without(end)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
    os.close(other)
