"""No byte that was written is lost, doubled or out of order, whatever comes directly after the write."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import struct
import tempfile
from collections.abc import Callable
from typing import Any

import pytest

from support.loops import Engine, Say, same_as_stock, turn
from support.net import HUGE, WHICH, Recorder, connected, finish, is_native, listener, receive, receive_all, until

TEXT = b"first, second, third"


def write_text(transport: Any) -> None:
    transport.write(b"first, ")
    transport.writelines([b"second", bytearray(b", ")])
    transport.write(memoryview(b"third"))


class Failure(BaseException):
    """What no code expects."""


#: What comes directly after the writes, in a callback of the loop.
AFTER: dict[str, Callable[[Any, Any], object]] = {
    "nothing": lambda loop, transport: None,
    "stop": lambda loop, transport: loop.stop(),
    "close": lambda loop, transport: transport.close(),
    "abort": lambda loop, transport: transport.abort(),
    "write_eof": lambda loop, transport: transport.write_eof(),
    "exception": lambda loop, transport: 1 // 0,
    "SystemExit": lambda loop, transport: exec("raise SystemExit(3)"),
    "KeyboardInterrupt": lambda loop, transport: exec("raise KeyboardInterrupt"),
    "BaseException": lambda loop, transport: exec("raise Failure", {"Failure": Failure}),
    "pause_reading": lambda loop, transport: transport.pause_reading(),
    "set_protocol": lambda loop, transport: transport.set_protocol(Recorder()),
    "shutdown": lambda loop, transport: transport.get_extra_info("socket").shutdown(socket.SHUT_WR),
    "empty waiter": lambda loop, transport: transport._make_empty_waiter(),
    "task": lambda loop, transport: loop.create_task(asyncio.sleep(0)),
    "a long time": lambda loop, transport: sum(range(300_000)),
}


def callback_in(loop: Any, act: Callable[[], object], where: str) -> None:
    """Have something done by a part of the loop."""

    async def step() -> None:
        act()

    async def later_step() -> None:
        await asyncio.sleep(0)
        act()

    if where == "callback":
        loop.call_soon(act)
    elif where == "timer":
        loop.call_later(0, act)
    elif where == "thread-safe callback":
        loop.call_soon_threadsafe(act)
    elif where == "task":
        loop.create_task(step())
    elif where == "later step of a task":
        loop.create_task(later_step())
    elif where == "done callback":
        future = loop.create_future()
        future.add_done_callback(lambda _: act())
        future.set_result(None)
    else:
        one, other = socket.socketpair()

        def ready() -> None:
            loop.remove_reader(one)
            one.close()
            other.close()
            act()

        other.send(b"x")
        loop.add_reader(one, ready)


PLACES = ["callback", "timer", "thread-safe callback", "task", "later step of a task", "done callback", "reader"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("after", AFTER)
def test_what_comes_directly_after(engine: Engine, after: str, place: str) -> None:
    """The bytes are in the peer's hands when the loop has come out of its run, however it came out."""
    loop = engine.new()
    loop.set_exception_handler(lambda loop, context: None)
    ends = connected(loop)

    def act() -> None:
        write_text(ends.transport)
        AFTER[after](loop, ends.transport)

    callback_in(loop, act, place)
    came = "nothing"
    try:
        turn(loop, 3)
    except (SystemExit, KeyboardInterrupt) as error:
        came = type(error).__name__
    assert came == (after if after in ("SystemExit", "KeyboardInterrupt") else "nothing")
    assert ends.peer.recv(1000) == TEXT
    if after in ("close", "abort", "write_eof", "shutdown"):
        turn(loop, 2)
        assert ends.peer.recv(10) == b""
    turn(loop, 3)
    ends.transport._empty_waiter = None
    finish(loop, ends._replace(protocol=None))


def test_written_when_the_loop_does_not_run(engine: Engine) -> None:
    """At once, as asyncio does: a program may never run the loop again."""
    loop = engine.new()
    ends = connected(loop)
    write_text(ends.transport)
    assert ends.peer.recv(100) == TEXT
    ends.transport.write(b"and after close")
    ends.transport.close()
    assert ends.peer.recv(100) == b"and after close"
    finish(loop, ends)


def test_written_in_another_loops_run(engine: Engine) -> None:
    """A transport's loop stands still while another one runs in the same thread."""
    loop, other = engine.new(), engine.new()
    ends = connected(loop)
    other.call_soon(write_text, ends.transport)
    turn(other, 2)
    assert ends.peer.recv(100) == TEXT
    finish(loop, ends)


def test_written_before_the_loop_sleeps(engine: Engine) -> None:
    """The answer comes though nothing else wakes the loop."""
    loop = engine.new()
    one = connected(loop)

    async def main() -> bytes:
        reader, writer = await asyncio.open_unix_connection(sock=one.peer)
        one.transport.write(b"question")
        assert await reader.readexactly(8) == b"question"
        writer.write(b"answer")
        one.transport.write(b"more")
        answer = await reader.readexactly(4)
        writer.close()
        await writer.wait_closed()
        return answer

    assert loop.run_until_complete(main()) == b"more"
    until(loop, lambda: one.protocol.lost)
    assert one.protocol.data == b"answer"


def test_the_last_step_before_run_until_complete_returns(engine: Engine) -> None:
    loop = engine.new()
    ends = connected(loop)

    async def main() -> str:
        write_text(ends.transport)
        return "result"

    assert loop.run_until_complete(main()) == "result"
    assert ends.peer.recv(100) == TEXT
    finish(loop, ends)


@pytest.mark.parametrize("which", WHICH)
def test_in_the_order_of_their_writing(engine: Engine, which: str) -> None:
    """Of all kinds and sizes, from all places, through full buffers."""
    loop = engine.new()
    ends = connected(loop, which)
    expected = bytearray()
    number = 0

    def some(size: int) -> bytes:
        nonlocal number
        number += 1
        data = (b"%d," % number) * (size // 4 + 1)
        expected.extend(data)
        return data

    def writes(kind: int) -> None:
        transport = ends.transport
        if kind == 0:
            transport.write(some(10))
        elif kind == 1:
            transport.writelines([some(5), memoryview(some(100)), bytearray(some(3))])
        elif kind == 2:
            transport.write(memoryview(some(70_000)))
        elif kind == 3:
            data = bytearray(some(2_000_000))
            transport.write(data)
        elif kind == 4:
            transport.writelines(some(1) for _ in range(1500))
        else:
            transport.write(some(200_000))

    for kind in [0, 1, 0, 2, 0, 3, 1, 4, 0, 5, 5, 1, 2, 4, 4, 0]:
        callback_in(loop, lambda kind=kind: writes(kind), PLACES[kind % 3])
        callback_in(loop, lambda kind=kind: writes(kind), PLACES[3 + kind % 3])
        turn(loop, kind % 4)
    turn(loop, 4)
    assert receive(loop, ends.peer, len(expected)) == bytes(expected)
    ends.transport.write(b"end")
    ends.transport.close()
    assert receive_all(loop, ends.peer) == b"end"
    finish(loop, ends)


@pytest.mark.parametrize("which", WHICH)
def test_pieces_that_are_sent_together(engine: Engine, which: str) -> None:
    """Of all sizes that are copied together, and just too many for that; through buffers that are full in between."""
    loop = engine.new()
    ends = connected(loop, which)
    expected = bytearray()

    def pieces(count: int, size: int) -> list[bytes]:
        made = [b"%06d" % (len(expected) + number) * (size // 6 + 1) for number in range(count)]
        made = [piece[:size] for piece in made]
        expected.extend(b"".join(made))
        return made

    def write(count: int, size: int) -> None:
        ends.transport.writelines(pieces(count, size))
        for piece in pieces(count, size):
            ends.transport.write(piece)

    for count, size in [(2, 1), (3, 100), (4, 2048), (4, 2047), (4, 2049), (2, 4096), (2, 4097), (17, 481), (9000, 1)]:
        loop.call_soon(write, count, size)
        turn(loop, 1)
    for _ in range(200):  # far more than the buffers hold, and odd, so that the system takes a part of one
        loop.call_soon(write, 5, 777)
    turn(loop, 3)
    assert receive(loop, ends.peer, len(expected)) == bytes(expected)
    finish(loop, ends)


@pytest.mark.parametrize("fallback", [False, True])
@pytest.mark.parametrize("size", [len(TEXT), HUGE])
def test_a_file_sent_directly_after(engine: Engine, size: int, fallback: bool) -> None:
    loop = engine.new()
    ends = connected(loop)
    before = (TEXT * (size // len(TEXT) + 1))[:size]

    async def main() -> None:
        with tempfile.TemporaryFile() as file:
            file.write(bytes(range(256)) * 1000)
            file.seek(0)  # where 3.11's fall-back begins
            ends.transport.write(before)
            if fallback:
                ends.transport._sendfile_compatible = asyncio.constants._SendfileMode.FALLBACK
            await loop.sendfile(ends.transport, file)
            ends.transport.write(b"after")

    task = loop.create_task(main())
    expected = before + bytes(range(256)) * 1000 + b"after"
    assert receive(loop, ends.peer, len(expected)) == expected
    loop.run_until_complete(task)
    finish(loop, ends)


def test_start_tls_directly_after(engine: Engine) -> None:
    """What was written in the clear goes out in the clear, before the handshake."""
    loop = engine.new()
    ends = connected(loop)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    async def main() -> None:
        write_text(ends.transport)
        with pytest.raises(ConnectionError):
            await loop.start_tls(ends.transport, ends.protocol, context, server_hostname="x", ssl_handshake_timeout=20)

    task = loop.create_task(main())
    data = receive(loop, ends.peer, len(TEXT) + 5)
    assert data[: len(TEXT)] == TEXT
    assert data[len(TEXT)] == 0x16, "a record of the handshake"
    ends.peer.close()
    loop.run_until_complete(task)


def test_the_transport_is_dropped_directly_after(engine: Engine) -> None:
    """Nobody has it any more but the loop."""
    loop = engine.new()
    transport, protocol, peer = connected(loop)

    def act(held: list[Any]) -> None:
        write_text(held.pop())

    held = [transport]
    protocol.transport = None
    del transport
    loop.call_soon(act, held)
    turn(loop, 2)
    assert peer.recv(100) == TEXT
    peer.close()
    until(loop, lambda: protocol.lost)


def test_a_fork_with_something_written(engine: Engine) -> None:
    """The child has a copy of what is queued: nothing of it comes twice."""
    loop = engine.new()
    ends = connected(loop)
    children = []

    def fork() -> None:
        write_text(ends.transport)
        child = os.fork()
        if child == 0:
            try:  # what a careless child does: it goes on, and ends as programs end
                asyncio.events._set_running_loop(None)
                ends.transport.get_write_buffer_size()
            finally:
                os._exit(0)
        children.append(child)
        ends.transport.write(b", parent")

    loop.call_soon(fork)
    turn(loop, 2)
    assert os.waitpid(children[0], 0)[1] == 0
    ends.transport.close()
    assert receive_all(loop, ends.peer) == TEXT + b", parent"
    finish(loop, ends)


def test_a_fork_whose_child_goes_on_in_the_callback(engine: Engine) -> None:
    """It returns from the callback: what its parent wrote is the parent's to send."""

    def body() -> None:
        import asyncio
        import os
        import socket

        loop = new_loop()  # type: ignore[name-defined]  # noqa: F821
        mine, peer = socket.socketpair()
        transport, _ = loop.run_until_complete(loop.create_unix_connection(asyncio.Protocol, sock=mine))
        children = []

        def fork() -> None:
            transport.write(b"once")
            child = os.fork()
            if child:
                children.append(child)
            loop.stop()

        loop.call_soon(fork)
        loop.run_forever()
        if not children:
            os._exit(0)
        os.waitpid(children[0], 0)
        peer.settimeout(20)
        print(peer.recv(100))
        transport.write(b"twice")
        print(peer.recv(100))
        transport.abort()
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        peer.close()

    assert engine.fresh(body, flags=("-Werror", "-Wignore::DeprecationWarning")) == "b'once'\nb'twice'\n"


def test_a_process_that_exits_directly_after(engine: Engine) -> None:
    """With sys.exit() in the callback that has written; the peer is another process."""

    def body(number: int) -> None:
        import asyncio
        import socket
        import sys

        loop = new_loop()  # type: ignore[name-defined]  # noqa: F821
        mine = socket.create_connection(("127.0.0.1", number))
        mine.setblocking(False)
        transport, _ = loop.run_until_complete(loop.create_connection(asyncio.Protocol, sock=mine))

        def act() -> None:
            transport.write(b"last words")
            sys.exit(0)

        loop.call_soon(act)
        loop.run_forever()

    with listener("tcp4") as listening:
        listening.settimeout(20)
        engine.fresh(body, listening.getsockname()[1], flags=())
        with listening.accept()[0] as peer:
            peer.settimeout(20)
            assert peer.recv(100) == b"last words"


def test_a_signal_between_writes(engine: Engine) -> None:
    """A handler of Python's that raises KeyboardInterrupt in the middle of a callback."""
    loop = engine.new()
    ends = connected(loop)

    def act() -> None:
        ends.transport.write(b"before")
        signal.raise_signal(signal.SIGINT)
        ends.transport.write(b"never")

    loop.call_soon(act)
    with pytest.raises(KeyboardInterrupt):
        turn(loop, 2)
    assert ends.peer.recv(100) == b"before"
    turn(loop)
    finish(loop, ends)


def test_no_delay(engine: Engine) -> None:
    """TCP_NODELAY is set: also of connections of a listener that was made with proto=0, which asyncio's overlooks."""
    loop = engine.new()
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    listening.bind(("127.0.0.1", 0))
    assert listening.proto == 0
    protocol = Recorder()
    server = loop.run_until_complete(loop.create_server(lambda: protocol, sock=listening))
    with socket.create_connection(listening.getsockname()):
        until(loop, lambda: protocol.transport)
        sock = protocol.transport.get_extra_info("socket")
        if is_native(protocol.transport):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        else:
            assert not sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), "asyncio does: this test is too old"
    until(loop, lambda: protocol.lost)
    server.close()
    ends = connected(loop, "tcp6")
    assert not is_native(ends.transport) or ends.transport._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    finish(loop, ends)


def test_no_delay_by_name(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop, protocol = engine.new(), Recorder()
        server = loop.run_until_complete(loop.create_server(lambda: protocol, "127.0.0.1", 0))
        client = Recorder()
        address = server.sockets[0].getsockname()
        loop.run_until_complete(loop.create_connection(lambda: client, *address))
        until(loop, lambda: protocol.transport)
        for transport in (protocol.transport, client.transport):
            sock = transport.get_extra_info("socket")
            say(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.abort()
        until(loop, lambda: protocol.lost and client.lost)
        server.close()

    assert same_as_stock(engine_name, scenario) == ["1", "1"]


def test_a_reset_in_the_middle_of_much(engine: Engine) -> None:
    """What arrived before the reset was in order; the rest is nowhere."""
    loop = engine.new()
    ends = connected(loop, "tcp4")
    data = b"".join(b"%d," % number for number in range(400_000))
    ends.transport.write(data)
    start = receive(loop, ends.peer, 300_000)
    assert start == data[:300_000]
    ends.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ends.peer.close()
    until(loop, lambda: ends.protocol.lost)
    assert ends.transport.get_write_buffer_size() == 0
    assert "Error" in ends.protocol.events[-1]
