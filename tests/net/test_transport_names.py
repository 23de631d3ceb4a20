"""A transport's private names, set and deleted by a program at a bad moment: while its descriptor is waited for."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from support.children import TESTS
from support.loops import Engine, Say, run_fresh, same_as_stock, turn
from support.net import HUGE, Recorder, connected, is_native, receive, until
from support.pipes import Reader, Writer


class Datagrams(Recorder):
    def datagram_received(self, data: bytes, address: Any) -> None:
        self.data_received(data)

    def error_received(self, error: Exception) -> None:
        self.events.append(repr(error))


class End:
    """A transport of any kind, and what is at its other end."""

    def __init__(self, loop: Any, kind: str) -> None:
        self.loop, self.kind = loop, kind
        if kind == "stream":
            self.transport, self.protocol, self.peer = connected(loop, protocol=Recorder())
        elif kind == "datagrams":
            self.listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.listening.bind(("127.0.0.1", 0))
            self.listening.setblocking(False)
            made = loop.create_datagram_endpoint(Datagrams, remote_addr=self.listening.getsockname())
            self.transport, self.protocol = loop.run_until_complete(made)
            self.listening.connect(self.transport.get_extra_info("sockname"))
            self.peer = self.listening
        elif kind == "read pipe":
            pipe = Reader(loop, Recorder())
            self.transport, self.protocol, self.other = pipe.transport, pipe.protocol, pipe.writing
        else:
            pipe = Writer(loop, Recorder())
            self.transport, self.protocol, self.other = pipe.transport, pipe.protocol, pipe.reading

    def come(self, data: bytes) -> None:
        """Let that come, and time pass."""
        if self.kind == "read pipe":
            os.write(self.other, data)
        else:
            self.peer.send(data)
        turn(self.loop, 3)

    def close(self) -> None:
        self.transport.abort() if hasattr(self.transport, "abort") else self.transport.close()
        turn(self.loop, 3)
        if "pipe" in self.kind:
            os.close(self.other)
        else:
            self.peer.close()


READING = ("stream", "datagrams", "read pipe")


@pytest.mark.parametrize("kind", READING)
def test_a_reader_that_is_replaced_while_it_waits(engine_name: str, kind: str) -> None:
    """It is the one that waits until reading begins anew."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        end = End(loop, kind)

        def mine() -> None:
            say("mine")
            type(end.transport)._read_ready(end.transport)

        end.transport._read_ready = mine
        end.come(b"first")
        say(end.protocol.events)
        if kind != "datagrams":
            end.transport.pause_reading()
            end.transport.resume_reading()
            end.come(b"second")
            say(end.protocol.events)
            del end.transport._read_ready
            end.come(b"third")
            say(end.protocol.events)
            end.transport.pause_reading()
            end.transport.resume_reading()
            end.come(b"fourth")
            say(end.protocol.events)
        end.close()

    same_as_stock(engine_name, scenario)


@pytest.mark.parametrize("name", ["_write_ready", "_write_sendmsg", "_read_ready_cb", "_read_ready__data_received"])
def test_what_a_stream_calls_that_is_replaced_while_it_waits(engine_name: str, name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        end = End(loop, "stream")
        if not hasattr(end.transport, name):
            say("not in this version")
            end.close()
            return
        own = getattr(end.transport, name)
        calls: list[str] = []

        def mine() -> None:
            calls.append(name)
            own()

        end.transport.write(bytes(HUGE))
        setattr(end.transport, name, mine)
        end.come(b"first")
        say([len(receive(loop, end.peer, HUGE)), calls[:1]])
        until(loop, lambda: not end.transport.get_write_buffer_size())
        end.transport.write(bytes(HUGE))
        say([len(receive(loop, end.peer, HUGE)), calls[:1]])
        until(loop, lambda: not end.transport.get_write_buffer_size())
        setattr(end.transport, name, own)
        end.transport.writelines([b"one", b"two"])
        say([receive(loop, end.peer, 6), bytes(end.protocol.data)])
        end.close()

    same_as_stock(engine_name, scenario)


def test_a_pipe_s_writer_that_is_replaced_while_it_waits(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        pipe = Writer(loop)
        calls: list[str] = []

        def mine() -> None:
            calls.append("mine")
            type(pipe.transport)._write_ready(pipe.transport)

        for _ in range(2):
            pipe.transport.write(bytes(HUGE))
            pipe.transport._write_ready = mine
            say([len(pipe.read(HUGE)), calls[:1]])
            until(loop, lambda: not pipe.transport.get_write_buffer_size())
        pipe.transport.abort()
        until(loop, lambda: pipe.protocol.lost)
        os.close(pipe.reading)

    same_as_stock(engine_name, scenario)


def test_a_sender_of_datagrams_that_is_replaced_while_it_waits(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        peer.bind("")  # a name of the kernel's choice
        peer.setblocking(False)
        mine = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        mine.connect(peer.getsockname())
        mine.setblocking(False)
        transport, protocol = loop.run_until_complete(loop.create_datagram_endpoint(Datagrams, sock=mine))
        calls: list[str] = []

        def replacement() -> None:
            calls.append("mine")
            type(transport)._sendto_ready(transport)

        for _ in range(2):
            sent = 0
            while not transport._buffer:
                transport.sendto(b"%d" % sent)
                sent += 1
            transport._sendto_ready = replacement
            received: list[bytes] = []
            while len(received) < sent:
                turn(loop)
                try:
                    received.append(peer.recv(100))
                except BlockingIOError:
                    continue
            say([received == [b"%d" % number for number in range(sent)], calls[:1]])
            until(loop, lambda: not transport._buffer)
        transport.abort()
        until(loop, lambda: protocol.lost)
        peer.close()

    same_as_stock(engine_name, scenario)


#: What each kind has of its own; asyncio's have these in their dictionaries.
NAMES = {
    "stream": "_sock _sock_fd _protocol _extra _server _buffer _conn_lost _closing _paused _eof _empty_waiter"
    " _protocol_connected _read_ready_cb _write_ready _context _buffer_size",
    "datagrams": "_sock _sock_fd _protocol _server _buffer _buffer_size _conn_lost _closing _paused _address"
    " _protocol_connected _context",
    "read pipe": "_pipe _fileno _protocol _closing _paused _loop",
    "write pipe": "_pipe _fileno _protocol _closing _buffer _conn_lost",
}
CASES = [(kind, name) for kind, names in NAMES.items() for name in names.split()]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_name_that_is_deleted(engine: Engine, kind: str, name: str) -> None:
    """It is refused, and nothing else happens. (asyncio's own transport fails later, somewhere.)"""
    loop = engine.new()
    end = End(loop, kind)
    if is_native(end.transport) and hasattr(type(end.transport), name) and name != "_write_ready":
        with pytest.raises(AttributeError, match="delete"):
            delattr(end.transport, name)
    if kind != "write pipe":
        end.come(b"data")
        assert end.protocol.data == b"data"
    if kind == "stream":
        end.transport.write(b"answer")
        assert receive(loop, end.peer, 6) == b"answer"
    elif kind == "datagrams":
        end.transport.sendto(b"answer")
        assert end.peer.recv(100) == b"answer"
    elif kind == "write pipe":
        end.transport.write(b"answer")
        assert os.read(end.other, 100) == b"answer"
    end.close()
    assert end.protocol.lost


def odd_values(kind: str, names: list[str]) -> None:
    """Each name set to each of some odd values, and then all is tried that a transport can do."""
    import os
    import socket
    import warnings

    from support.loops import tried, turn
    from support.net import connected, receive, until
    from test_transport_names import End

    def quiet(_: object) -> None:
        pass

    warnings.simplefilter("ignore")
    for name in names:
        for value in (None, 1 << 70, -1, 0, "text", [], object(), os):
            loop = new_loop()  # type: ignore[name-defined]  # noqa: F821
            loop.set_exception_handler(lambda loop, context: None)
            one, other = socket.socketpair()
            one.setblocking(False)
            other.setblocking(False)
            beside = connected(loop, sock=one)
            end = End(loop, kind)
            transport = end.transport
            kept = [getattr(transport, each, None) for each in ("_sock", "_pipe", "_loop")]
            print(name, value, flush=True)
            for act in (
                lambda: setattr(transport, name, value),  # noqa: B023
                lambda: kind == "write pipe" or end.come(b"data"),  # noqa: B023
                lambda: transport.write(b"answer" * 100_000),  # noqa: B023
                lambda: transport.sendto(b"answer"),  # noqa: B023
                lambda: transport.writelines([b"one", b"two"]),  # noqa: B023
                lambda: getattr(transport, name),  # noqa: B023
                lambda: repr(transport),  # noqa: B023
                lambda: turn(loop, 3),  # noqa: B023
                lambda: transport.pause_reading(),  # noqa: B023
                lambda: transport.resume_reading(),  # noqa: B023
                lambda: turn(loop, 3),  # noqa: B023
                lambda: transport.close(),  # noqa: B023
                lambda: turn(loop, 3),  # noqa: B023
                lambda: end.close(),  # noqa: B023
            ):
                tried(quiet, act)
            other.send(b"beside")
            until(loop, lambda: beside.protocol.data == b"beside")  # noqa: B023
            beside.transport.write(b"answer")
            assert receive(loop, other, 6) == b"answer"
            beside.transport.abort()
            until(loop, lambda: beside.protocol.lost)  # noqa: B023
            other.close()
            tried(quiet, loop.close)
            for each in kept[:2]:
                if each is not None:
                    each.close()
    print("well")


@pytest.mark.parametrize("kind", NAMES)
def test_odd_values(kind: str) -> None:
    """Nothing crashes, and the loop and its other connections go on. (asyncio's own may fail for good by these.)"""
    path = [TESTS, Path(__file__).parent]
    assert run_fresh("ours", odd_values, kind, NAMES[kind].split(), path=path).splitlines()[-1] == "well"
