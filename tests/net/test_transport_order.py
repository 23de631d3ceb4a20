"""In which order a transport calls its protocol, and in which of the loop's turns."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from support.loops import Engine, Say, same_as_stock, turn
from support.net import (
    FORGETS_LOSS,
    HUGE,
    WHICH,
    Ends,
    Recorder,
    connected,
    finish,
    receive,
    receive_all,
    socket_pair,
    until,
)


class Acting(Recorder):
    """Says what it is told at once, and does something about it."""

    def __init__(self, say: Say, acts: dict[str, Callable[[Any], Any]]) -> None:
        super().__init__()
        self.say, self.acts = say, acts

    def act(self, name: str, *details: object) -> Any:
        self.say(" ".join([name, *map(repr, details)]))
        return self.acts.get(name, lambda transport: None)(self.transport)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.act("connection_made")

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.act("data_received", data if len(data) < 100 else len(data))

    def eof_received(self) -> Any:
        return self.act("eof_received")

    def pause_writing(self) -> None:
        self.act("pause_writing")

    def resume_writing(self) -> None:
        self.act("resume_writing")

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self.act("connection_lost", error)


def say_turns(loop: Any, say: Say, count: int) -> None:
    for number in range(count):
        say(f"turn {number}")
        turn(loop)


def a_connection_with_data(engine: Engine, say: Say, which: str) -> None:
    """Everything is there from the start: data, and the end of them."""
    loop = engine.new()
    mine, peer = socket_pair(which)
    peer.send(b"first")
    peer.shutdown(socket.SHUT_WR)
    protocol = Acting(say, {})

    async def make() -> None:
        loop.call_soon(say, "queued before")
        create = loop.create_unix_connection if which == "unix" else loop.create_connection
        await create(lambda: protocol, sock=mine)
        say("made")
        loop.call_soon(say, "queued after")

    task = loop.create_task(make())
    say_turns(loop, say, 8)
    say(task.done())
    finish(loop, Ends(protocol.transport, protocol, peer))


def closed_from_data_received(engine: Engine, say: Say, which: str) -> None:
    loop = engine.new()

    def close(transport: Any) -> None:
        loop.call_soon(say, "queued before the close")
        transport.write(b"answer")
        transport.close()
        transport.close()
        loop.call_soon(say, "queued after the close")

    ends = connected(loop, which, Acting(say, {"data_received": close}))
    ends.peer.send(b"first")
    say_turns(loop, say, 2)
    say(receive_all(loop, ends.peer))
    say_turns(loop, say, 2)
    finish(loop, ends)


def aborted_from_data_received(engine: Engine, say: Say, which: str) -> None:
    """What was written before was sent."""
    loop = engine.new()

    def abort(transport: Any) -> None:
        transport.write(b"answer")
        transport.abort()
        transport.write(b"never")
        say([transport.is_closing(), transport.get_write_buffer_size()])

    ends = connected(loop, which, Acting(say, {"data_received": abort}))
    ends.peer.send(b"first")
    say_turns(loop, say, 3)
    say(receive_all(loop, ends.peer))
    finish(loop, ends)


def paused_from_data_received(engine: Engine, say: Say, which: str) -> None:
    loop = engine.new()
    ends = connected(loop, which, Acting(say, {"data_received": lambda transport: transport.pause_reading()}))
    ends.peer.send(b"first")
    until(loop, lambda: ends.protocol.data == b"first")
    ends.peer.send(b"second")
    ends.peer.shutdown(socket.SHUT_WR)
    say_turns(loop, say, 3)
    say(ends.transport.is_reading())
    ends.transport.resume_reading()
    ends.transport.resume_reading()
    until(loop, lambda: ends.protocol.data == b"firstsecond")
    say_turns(loop, say, 2)
    ends.transport.resume_reading()
    until(loop, lambda: ends.protocol.lost)
    finish(loop, ends)


def paused_when_the_entry_is_queued(engine: Engine, say: Say, which: str) -> None:
    """The file was seen ready, but somebody who runs first pauses: asyncio looks when the reader's turn comes."""
    loop = engine.new()
    one, other = connected(loop, which, Acting(say, {})), connected(loop, which, Acting(say, {}))
    one.protocol.acts["data_received"] = lambda _: other.transport.pause_reading()
    other.protocol.acts["data_received"] = lambda _: one.transport.pause_reading()
    one.peer.send(b"data")
    other.peer.send(b"data")
    if which != "unix":
        assert len(one.transport._sock.recv(10, socket.MSG_PEEK)) == len(
            other.transport._sock.recv(10, socket.MSG_PEEK)
        )
    say_turns(loop, say, 3)
    one.transport.resume_reading()
    other.transport.resume_reading()
    finish(loop, one, other)


def closed_when_the_entry_is_queued(engine: Engine, say: Say, which: str) -> None:
    loop = engine.new()
    one, other = connected(loop, which, Acting(say, {})), connected(loop, which, Acting(say, {}))
    one.protocol.acts["data_received"] = lambda _: other.transport.close()
    other.protocol.acts["data_received"] = lambda _: one.transport.close()
    one.peer.send(b"data")
    other.peer.send(b"data")
    say_turns(loop, say, 3)
    finish(loop, one, other)


def half_closed_by_the_peer(engine: Engine, say: Say, which: str) -> None:
    for answer in (True, False, None, 1, "text"):
        say(repr(answer))
        loop = engine.new()
        ends = connected(loop, which, Acting(say, {"eof_received": lambda _, answer=answer: answer}))
        ends.peer.shutdown(socket.SHUT_WR)
        until(loop, lambda ends=ends: not ends.transport.is_reading() or ends.transport._sock is None or answer)  # noqa: B023
        say_turns(loop, say, 3)
        say([ends.transport.is_closing(), ends.protocol.lost])
        if not ends.protocol.lost:
            ends.transport.write(b"more")
            say(receive(loop, ends.peer, 4))
            ends.transport.close()
            say_turns(loop, say, 2)
        finish(loop, ends)


def water_marks(engine: Engine, say: Say, which: str) -> None:
    """`pause_writing` from within the write that goes beyond, after the attempt to send."""
    for high, low in ((None, None), (0, None), (1000, 0), (HUGE, 5)):
        say([high, low])
        loop = engine.new()
        ends = connected(loop, which, Acting(say, {}))
        ends.transport.set_write_buffer_limits(high, low)
        say(ends.transport.get_write_buffer_limits())
        for data in (b"small", bytes(HUGE), b"small"):
            say(f"write {len(data)}")
            ends.transport.write(data)
            say(f"written, paused: {ends.transport._protocol_paused}")
        turn(loop, 3)
        assert receive(loop, ends.peer, HUGE + 10) == b"small" + bytes(HUGE) + b"small"
        until(loop, lambda ends=ends: not ends.transport._protocol_paused)
        say(ends.transport.get_write_buffer_size())
        finish(loop, ends)


def written_from_resume_writing(engine: Engine, say: Say, which: str) -> None:
    loop = engine.new()
    ends = connected(loop, which, Acting(lambda _: None, {}))  # it may be called again for each of them, or not
    left = [b"second"]

    def write_more(transport: Any) -> None:
        if left:
            transport.write(left.pop())

    ends.protocol.acts["resume_writing"] = write_more
    ends.transport.set_write_buffer_limits(high=1, low=0)
    ends.transport.write(bytes(HUGE))
    assert receive(loop, ends.peer, HUGE) == bytes(HUGE)
    say(receive(loop, ends.peer, len("second")))
    ends.transport.close()
    say(receive_all(loop, ends.peer))
    finish(loop, ends)


def closed_with_a_full_buffer(engine: Engine, say: Say, which: str) -> None:
    """Everything goes out; nothing is read any more; `connection_lost` comes from the last write."""
    loop = engine.new()
    ends = connected(loop, which, Acting(say, {}))
    ends.transport.write(bytes(HUGE))
    ends.transport.close()
    ends.transport.write(b"ignored, or not")
    if which == "unix":  # a TCP socket that is closed with something unread resets the connection
        ends.peer.send(b"nobody reads that")
    turn(loop, 3)
    say([ends.transport.is_closing(), ends.protocol.lost])
    data = receive(loop, ends.peer, HUGE + len("ignored, or not"))
    say([len(data), data[-5:]])
    until(loop, lambda: ends.protocol.lost)
    finish(loop, ends)


def end_of_writing(engine: Engine, say: Say, which: str) -> None:
    loop = engine.new()
    for size in (0, 10, HUGE):
        ends = connected(loop, which, Acting(say, {}))
        ends.transport.write(bytes(size))
        ends.transport.write_eof()
        ends.transport.write_eof()
        say([ends.transport.can_write_eof(), ends.transport.is_closing()])
        say(len(receive_all(loop, ends.peer)))
        ends.peer.send(b"still there")
        until(loop, lambda ends=ends: ends.protocol.data == b"still there")
        ends.peer.shutdown(socket.SHUT_WR)
        until(loop, lambda ends=ends: ends.protocol.lost)
        finish(loop, ends)


def reset_by_the_peer(engine: Engine, say: Say, which: str) -> None:
    loop = engine.new()
    for wrote in (b"", b"text"):
        ends = connected(loop, which, Acting(say, {}))
        ends.transport.write(wrote)
        turn(loop)
        ends.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ends.peer.close()
        until(loop, lambda ends=ends: ends.protocol.lost)
        finish(loop, ends)


def writes_to_a_peer_that_is_gone(engine: Engine, say: Say, which: str) -> None:
    """The first tells, the next are counted, and warned of from the fifth on."""
    loop = engine.new()
    ends = connected(loop, which, Acting(say, {}))
    ends.transport.pause_reading()
    ends.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ends.peer.close()
    for _ in range(3):
        ends.transport.write(b"text")
        turn(loop, 2)
    say([ends.transport.is_closing(), ends.protocol.lost])
    for _ in range(5):
        ends.transport.write(b"text")
    say(ends.transport._conn_lost)
    finish(loop, ends)


def protocol_changed_in_between(engine: Engine, say: Say, which: str) -> None:
    loop = engine.new()
    ends = connected(loop, which, Acting(say, {}))

    class Buffered(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.buffer = bytearray(10)

        def get_buffer(self, sizehint: int) -> bytearray:
            say(f"get_buffer {sizehint}")
            return self.buffer

        def buffer_updated(self, size: int) -> None:
            say(f"buffer_updated {bytes(self.buffer[:size])!r}")
            if self.buffer.startswith(b"back"):
                ends.transport.set_protocol(ends.protocol)

        def eof_received(self) -> None:
            say("eof of the buffered one")

        def connection_lost(self, error: Exception | None) -> None:
            say("the buffered one is lost")

    buffered = Buffered()
    ends.protocol.acts["data_received"] = lambda transport: transport.set_protocol(buffered)
    for data in (b"to the first", b"to the second: in two", b"back", b"again to the first", b"to the second"):
        ends.peer.send(data)
        until(loop, lambda ends=ends: not unread(ends))
        turn(loop, 3)
        say(type(ends.transport.get_protocol()).__name__)
    ends.peer.close()
    turn(loop, 4)
    say(ends.protocol.lost)
    ends.transport.abort()
    turn(loop, 3)


def unread(ends: Ends) -> bytes:
    try:
        return bytes(ends.transport._sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return b""


SCENARIOS = [
    a_connection_with_data,
    closed_from_data_received,
    aborted_from_data_received,
    paused_from_data_received,
    paused_when_the_entry_is_queued,
    closed_when_the_entry_is_queued,
    half_closed_by_the_peer,
    water_marks,
    written_from_resume_writing,
    closed_with_a_full_buffer,
    end_of_writing,
    reset_by_the_peer,
    writes_to_a_peer_that_is_gone,
    protocol_changed_in_between,
]


@pytest.mark.parametrize("which", WHICH)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_order(engine_name: str, scenario: Any, which: str) -> None:
    if scenario is closed_with_a_full_buffer and FORGETS_LOSS:
        pytest.skip("asyncio's own transport fails when it is aborted after that (gh-156512)")
    if scenario is paused_when_the_entry_is_queued and engine_name == "ours-select":
        pytest.skip("select() tells of files by their numbers, and so another one comes first")
    same_as_stock(engine_name, scenario, which)
