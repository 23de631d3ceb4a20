"""What comes from outside of a busy loop gets asyncio's share and order.

The same scenes run on the stock loop and on ours. What is compared is in which iteration each event is served, and
after how many steps of the tasks that keep the loop busy; not how long that took.

With a selector of Python's the order of what is ready at once is that selector's, and not compared.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from support.loops import Engine, Say, same_as_stock

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="an eventfd is Linux's")

# --- sources of events: `Source(stage).cause()` causes one event, of which the stage is then told


class Source:
    """`setup`, then each `cause` makes one event ready at once, then `close`."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.loop = stage.loop
        self.closers: list[Callable[[], object]] = []
        self.stage.sources.append(self)

    @property
    def name(self) -> str:
        return type(self).__name__

    def served(self, *_: object) -> None:
        self.stage.served(self.name)

    async def setup(self) -> None: ...

    def cause(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        for closer in reversed(self.closers):
            closer()

    def pair(self) -> tuple[socket.socket, socket.socket]:
        ends = socket.socketpair()
        for end in ends:
            end.setblocking(False)
            self.closers.append(end.close)
        return ends

    def read_by(self, file: Any, read: Callable[[], object]) -> None:
        def ready() -> None:
            read()
            self.served()

        self.loop.add_reader(file, ready)
        self.closers.append(lambda: self.loop.remove_reader(file))


class Reader(Source):
    async def setup(self) -> None:
        mine, self.other = self.pair()
        self.read_by(mine, lambda: mine.recv(10))

    def cause(self) -> None:
        self.other.send(b"x")


class Pipe(Source):
    async def setup(self) -> None:
        mine, self.other = os.pipe()
        self.closers += [lambda: os.close(mine), lambda: os.close(self.other)]
        self.read_by(mine, lambda: os.read(mine, 10))

    def cause(self) -> None:
        os.write(self.other, b"x")


class EventFd(Source):
    async def setup(self) -> None:
        self.fd = os.eventfd(0)
        self.closers.append(lambda: os.close(self.fd))
        self.read_by(self.fd, lambda: os.read(self.fd, 8))

    def cause(self) -> None:
        os.eventfd_write(self.fd, 1)


class Writer(Source):
    """A socket that is always ready, and becomes interesting."""

    async def setup(self) -> None:
        self.mine, _ = self.pair()

    def cause(self) -> None:
        def ready() -> None:
            self.loop.remove_writer(self.mine)
            self.served()

        self.loop.add_writer(self.mine, ready)


class ReaderThatIsReady(Source):
    async def setup(self) -> None:
        self.mine, other = self.pair()
        other.send(b"x")

    def cause(self) -> None:
        def ready() -> None:
            self.loop.remove_reader(self.mine)
            self.served()

        self.loop.add_reader(self.mine, ready)


class End(Source):
    """The other end is closed."""

    def cause(self) -> None:
        mine, other = self.pair()

        def ready() -> None:
            assert mine.recv(10) == b""
            self.loop.remove_reader(mine)
            self.served()

        self.loop.add_reader(mine, ready)
        other.close()


class DataThenEnd(Source):
    """The data of one file, and right after it the end of another: neither overtakes the other."""

    def cause(self) -> None:
        for end in (False, True):
            mine, other = self.pair()

            def ready(mine: socket.socket = mine, end: bool = end) -> None:
                assert bool(mine.recv(10)) is not end
                self.loop.remove_reader(mine)
                self.stage.served("end" if end else "data")

            self.loop.add_reader(mine, ready)
            if end:
                other.close()
            else:
                other.send(b"x")
        self.stage.expected += 1


class ManyReaders(Source):
    """More files than one might think of at once."""

    COUNT = 400

    async def setup(self) -> None:
        self.others = []
        for number in range(self.COUNT):
            mine, other = os.pipe()
            self.closers += [functools.partial(os.close, mine), functools.partial(os.close, other)]
            self.others.append(other)

            def ready(mine: int = mine, number: int = number) -> None:
                os.read(mine, 10)
                self.stage.served(f"reader {number}")

            self.loop.add_reader(mine, ready)
            self.closers.append(functools.partial(self.loop.remove_reader, mine))

    def cause(self) -> None:
        for other in self.others:
            os.write(other, b"x")
        self.stage.expected += self.COUNT - 1


class Accept(Source):
    async def setup(self) -> None:
        source = self

        class Accepted(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                source.served()
                source.closers.append(transport.abort)

        self.server = await self.loop.create_server(Accepted, "127.0.0.1", 0)
        self.closers.append(self.server.close)

    def cause(self) -> None:
        connected = socket.create_connection(self.server.sockets[0].getsockname())
        self.closers.append(connected.close)


class Protocol(Source):
    async def setup(self) -> None:
        source = self

        class Receiver(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                source.served()

        mine, self.other = self.pair()
        transport, _ = await self.loop.create_connection(Receiver, sock=mine)
        self.closers.append(transport.abort)

    def cause(self) -> None:
        self.other.send(b"x")


class Datagram(Source):
    async def setup(self) -> None:
        source = self

        class Receiver(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, address: Any) -> None:
                source.served()

        transport, _ = await self.loop.create_datagram_endpoint(Receiver, local_addr=("127.0.0.1", 0))
        self.address = transport.get_extra_info("sockname")
        self.other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.closers += [transport.abort, self.other.close]

    def cause(self) -> None:
        self.other.sendto(b"x", self.address)


class SockRecv(Source):
    async def setup(self) -> None:
        self.mine, self.other = self.pair()

    def cause(self) -> None:
        self.task = self.loop.create_task(self.receive())
        self.other.send(b"x")

    async def receive(self) -> None:
        await self.loop.sock_recv(self.mine, 10)
        await self.loop.sock_sendall(self.mine, b"x")
        self.served()


class Stream(Source):
    async def setup(self) -> None:
        mine, self.other = self.pair()
        self.reader, self.writer = await asyncio.open_connection(sock=mine)
        self.closers.append(self.writer.transport.abort)

    def cause(self) -> None:
        self.task = self.loop.create_task(self.receive())
        self.other.send(b"x")

    async def receive(self) -> None:
        await self.reader.readexactly(1)
        self.served()


class Signal(Source):
    async def setup(self) -> None:
        self.loop.add_signal_handler(signal.SIGUSR1, self.served)
        self.closers.append(lambda: self.loop.remove_signal_handler(signal.SIGUSR1))

    def cause(self) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)


class SignalAfterOthers(Signal):
    """The last handler that is left."""

    async def setup(self) -> None:
        self.loop.add_signal_handler(signal.SIGUSR2, self.served)
        await super().setup()
        self.loop.remove_signal_handler(signal.SIGUSR2)


class Timer(Source):
    def cause(self) -> None:
        self.loop.call_later(0, self.served)


class TimerLongDue(Source):
    def cause(self) -> None:
        self.loop.call_at(0.25, self.served)


class Soon(Source):
    def cause(self) -> None:
        self.loop.call_soon(self.served)


class ThreadCall(Source):
    def cause(self) -> None:
        thread = threading.Thread(target=self.loop.call_soon_threadsafe, args=(self.served,))
        thread.start()
        thread.join()


class ThreadSends(Reader):
    def cause(self) -> None:
        thread = threading.Thread(target=super().cause)
        thread.start()
        thread.join()


SOURCES: tuple[Any, ...] = (
    Reader,
    Pipe,
    pytest.param(EventFd, marks=linux),
    Writer,
    ReaderThatIsReady,
    End,
    ManyReaders,
    Accept,
    Protocol,
    Datagram,
    SockRecv,
    Stream,
    Signal,
    SignalAfterOthers,
    Timer,
    TimerLongDue,
    Soon,
    ThreadCall,
    ThreadSends,
)

#: Several at once, in the order in which they are caused.
MIXTURES: tuple[tuple[type[Source], ...], ...] = (
    (Timer, Reader),
    (Reader, Timer),
    (DataThenEnd,),
    (TimerLongDue, Reader, Soon, Pipe),
    (Soon, ThreadCall, Timer, Datagram, Signal, Accept),
    (Accept, Signal, Datagram, Timer, ThreadCall, Soon),
    (Stream, Protocol, SockRecv, Writer, End),
    (End, Writer, SockRecv, Protocol, Stream),
    (ThreadSends, DataThenEnd, Reader, Pipe, TimerLongDue),
    (ManyReaders, Timer, Soon, Pipe),
)


class Stage:
    """A loop with `busy` tasks that do nothing but keep it busy, and sources of events."""

    ROUNDS = 4

    def __init__(self, loop: Any, busy: int, say: Say) -> None:
        self.loop = loop
        self.busy = busy
        self.say = say
        self.sources: list[Source] = []
        self.iterations = self.steps = self.expected = 0
        self.all_served = asyncio.Event()

    def served(self, name: str) -> None:
        self.say(f"{name} in iteration {self.iterations} after {self.steps} steps")
        self.expected -= 1
        if not self.expected:
            self.all_served.set()

    async def spin(self) -> None:
        while True:
            await asyncio.sleep(0)
            self.steps += 1

    async def run(self, kinds: tuple[type[Source], ...]) -> None:
        sources = [kind(self) for kind in kinds]
        for source in sources:
            await source.setup()
        tasks = [asyncio.create_task(self.spin()) for _ in range(self.busy)]
        await asyncio.sleep(0.001)  # what was set up has settled
        for pause in range(self.ROUNDS):
            for _ in range(12 * pause if self.busy else 0):
                await asyncio.sleep(0)
            self.iterations = self.steps = 0
            self.expected = len(sources)
            self.all_served.clear()
            for source in sources:
                source.cause()
            if self.busy:
                while self.expected and self.iterations < 50:
                    await asyncio.sleep(0)
                    self.iterations += 1
            await self.all_served.wait()
        for task in tasks:
            task.cancel()
        for source in sources:
            source.close()
        await asyncio.sleep(0)


def play(engine: Engine, say: Say, busy: int, *kinds: type[Source]) -> None:
    async def main() -> None:
        await Stage(asyncio.get_running_loop(), busy, say).run(kinds)

    engine.run(main())


@pytest.mark.parametrize("busy", [0, 1, 10, 1000])
@pytest.mark.parametrize("kind", SOURCES)
def test_one_source(engine_name: str, kind: type[Source], busy: int) -> None:
    same_as_stock(engine_name, play, busy, kind)


@linux
@pytest.mark.parametrize("busy", [0, 1, 10, 1000])
@pytest.mark.parametrize("kinds", MIXTURES, ids=lambda kinds: "-".join(kind.__name__ for kind in kinds))
@pytest.mark.parametrize("engine_name", ["ours", "ours-c"])
def test_several_at_once(engine_name: str, kinds: tuple[type[Source], ...], busy: int) -> None:
    same_as_stock(engine_name, play, busy, *kinds)


# --- programs that people have


def test_zero_timeout(engine: Engine) -> None:
    """A database driver polls so: what is there is found, though the time is over at once."""

    async def main() -> int:
        loop = asyncio.get_running_loop()
        found = 0
        for _ in range(500):
            left, right = socket.socketpair()
            with left, right:
                left.send(b"x")
                right.setblocking(False)
                event = asyncio.Event()
                loop.add_reader(right, event.set)
                try:
                    await asyncio.wait_for(event.wait(), 0)
                except TimeoutError:
                    pass
                found += event.is_set()
                loop.remove_reader(right)
        return found

    assert engine.run(main()) == 500


def test_seen_in_the_second_iteration(engine: Engine) -> None:
    async def main() -> set[int | None]:
        loop = asyncio.get_running_loop()
        seen: set[int | None] = set()
        for number in range(500):
            left, right = socket.socketpair()
            with left, right:
                right.setblocking(False)
                event = asyncio.Event()
                loop.add_reader(right, event.set)
                await asyncio.sleep(0.0001 * (number % 2))
                left.send(b"x")
                when = None
                for iteration in range(5):
                    await asyncio.sleep(0)
                    if event.is_set() and when is None:
                        when = iteration
                seen.add(when)
                loop.remove_reader(right)
        return seen

    assert engine.run(main()) == {1}


def test_no_datagram_is_lost(engine: Engine) -> None:
    """They are read as fast as they are sent: there is room for some hundred only."""
    received = 0

    class Receiver(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, address: Any) -> None:
            nonlocal received
            received += 1

    async def main() -> None:
        loop = asyncio.get_running_loop()
        receiver, _ = await loop.create_datagram_endpoint(Receiver, local_addr=("127.0.0.1", 0))
        address = receiver.get_extra_info("sockname")
        sender, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=address)
        for _ in range(5000):
            sender.sendto(b"x" * 100)
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        sender.close()
        receiver.close()
        await asyncio.sleep(0)

    engine.run(main())
    assert received == 5000


def test_a_file_that_was_there_before_the_loop_ran(engine: Engine) -> None:
    """Files come and go between runs, in the middle of an iteration, in a loop that had none."""

    async def spin() -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    loop = engine.new()
    left, right = socket.socketpair()
    got: list[bytes] = []
    with left, right:
        for number in range(200):
            loop.run_until_complete(spin())
            loop.add_reader(left, lambda: got.append(left.recv(10)))
            right.send(b"x")
            loop.run_until_complete(spin())
            assert len(got) == number + 1
            loop.remove_reader(left)


def test_the_loop_has_another_socket_to_be_woken_up_by(engine: Engine) -> None:
    """What a program has made of the loop's own socket is seen as well."""

    async def spin() -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    loop = engine.new()
    got: list[bytes] = []
    for number in range(200):
        if number % 2:
            loop._close_self_pipe()
            loop._make_self_pipe()
        loop._add_reader(loop._ssock, lambda: got.append(loop._ssock.recv(10)))
        loop._csock.send(b"x")
        loop.run_until_complete(spin())
        assert len(got) == number + 1
