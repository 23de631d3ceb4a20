"""What the grafted functions of streams are for: programs as those of `constructs.py`."""

from __future__ import annotations

import asyncio
import gc
import inspect
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from graft.notes import Notes, outcome, outcome_of_call, shown, spin


class Wire(asyncio.Transport):
    """A transport that notes what is asked of it."""

    def __init__(self, calls: Notes, can_pause: bool = True) -> None:
        super().__init__()
        self.calls = calls
        self.can_pause = can_pause
        self.closing = False

    def pause_reading(self) -> None:
        if not self.can_pause:
            raise NotImplementedError
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def is_closing(self) -> bool:
        self.calls.append("is_closing")
        return self.closing

    def write(self, data: Any) -> None:
        self.calls.append(("write", bytes(data)))

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True


def fed(limit: int = 1 << 16, calls: Notes | None = None) -> tuple[Any, asyncio.StreamReaderProtocol]:
    """A reader, and the protocol that feeds it."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    if calls is not None:
        protocol.connection_made(Wire(calls))
    return reader, protocol


def state(reader: Any) -> tuple[Any, ...]:
    """What can be seen of a reader."""
    return bytes(reader._buffer), reader._eof, reader._waiter is None, reader._paused, reader.at_eof()


def chain(coroutine: Any, lines: bool = True) -> Notes:
    """What awaits what, and where."""
    found: Notes = []
    while coroutine is not None and inspect.iscoroutine(coroutine):
        frame = coroutine.cr_frame
        line = frame.f_lineno if frame and lines else frame is None
        found.append((coroutine.__qualname__, line, inspect.getcoroutinestate(coroutine), coroutine.cr_running))
        coroutine = coroutine.cr_await
    return [*found, type(coroutine).__name__]


def coroutines_within(started: Any) -> tuple[Notes, Notes]:
    """Of what a started coroutine refers to: whether it is one, before somebody looks for it, and after that."""
    before = [inspect.iscoroutine(each) for each in gc.get_referents(started)]
    chain(started)
    after = [inspect.iscoroutine(each) for each in gc.get_referents(started)]
    started.close()
    return before, after


SEPARATORS: list[Any] = [b"\n", b"ab", b"aab", b"", b"\n\n\n\n"]
if sys.version_info >= (3, 13):
    SEPARATORS += [(b"\n", b"ab"), (b"aab", b"ab", b"b"), (), (b"", b"a"), (b"abc", b"bc")]
    SEPARATORS += [[b"a"], (b"\n", bytearray(b"ab"))]

READS: dict[str, Callable[[Any], Awaitable[bytes]]] = {
    "read(3)": lambda reader: reader.read(3),  # type: ignore[no-any-return]
    "read(100)": lambda reader: reader.read(100),  # type: ignore[no-any-return]
    "read(0)": lambda reader: reader.read(0),  # type: ignore[no-any-return]
    "read(n=2)": lambda reader: reader.read(n=2),  # type: ignore[no-any-return]
    "read(True)": lambda reader: reader.read(True),  # type: ignore[no-any-return]
    "read(None)": lambda reader: reader.read(None),  # type: ignore[no-any-return]
    "read()": lambda reader: reader.read(),  # type: ignore[no-any-return]
    "readexactly(3)": lambda reader: reader.readexactly(3),  # type: ignore[no-any-return]
    "readexactly(8)": lambda reader: reader.readexactly(8),  # type: ignore[no-any-return]
    "readexactly(0)": lambda reader: reader.readexactly(0),  # type: ignore[no-any-return]
    "readexactly(-1)": lambda reader: reader.readexactly(-1),  # type: ignore[no-any-return]
    "readexactly(1 << 70)": lambda reader: reader.readexactly(1 << 70),  # type: ignore[no-any-return]
    "readline()": lambda reader: reader.readline(),  # type: ignore[no-any-return]
    "readuntil()": lambda reader: reader.readuntil(),  # type: ignore[no-any-return]
    "anext()": lambda reader: anext(reader),
}


def until(separator: Any) -> Callable[[Any], Awaitable[bytes]]:
    """`reader.readuntil(separator)`"""
    return lambda reader: reader.readuntil(separator)  # type: ignore[no-any-return]


READS |= {f"readuntil({separator!r})": until(separator) for separator in SEPARATORS}


async def reads(notes: Notes) -> None:
    """All that reads, of data that come in two pieces, split at each place, before and after it waits."""
    data = b"xaab\nab\naabc"
    for name, read in READS.items():
        for limit in (1 << 16, 3):
            for split in range(len(data) + 1):
                reader, protocol = fed(limit)
                task = asyncio.ensure_future(outcome(read(reader)))
                if split % 2:
                    await spin(1)
                protocol.data_received(data[:split])
                await spin(split % 3)
                protocol.data_received(data[split:])
                await spin(2)
                notes.append((name, limit, split, task.done(), state(reader)))
                notes.append(protocol.eof_received())
                notes.append((await task, state(reader)))


async def ends(notes: Notes) -> None:
    """The end, before, while and after something is read; exceptions that are set on the reader."""
    for name, read in READS.items():
        for what in range(6):
            reader, protocol = fed()
            reader.feed_data(b"ab")
            if what == 0:
                reader.feed_eof()
            elif what == 1:
                reader.set_exception(OSError("early"))
            task = asyncio.ensure_future(outcome(read(reader)))
            await spin(2)
            if what == 2:
                reader.set_exception(OSError("late"))
            elif what == 3:
                reader.feed_data(b"c\n")
                reader.set_exception(OSError("behind"))
            elif what == 4:
                reader.feed_eof()
                reader.set_exception(OSError("after the end"))
            elif what == 5:
                protocol.connection_lost(None)
                notes.append(reader.exception())
            await spin(3)
            if not task.done():
                reader.feed_eof()
            notes.append((name, what, await task, state(reader)))
            notes.append((await outcome(read(reader)), state(reader)))
    reader, protocol = fed()
    notes.append(await outcome_of_call(lambda: protocol.data_received(bytearray(b"no bytes"))))  # type: ignore[arg-type]
    notes.append(await outcome_of_call(lambda: protocol.data_received("text")))  # type: ignore[arg-type]
    notes.append([await outcome(reader.read()), reader.feed_eof()] if reader._eof else state(reader))
    reader.feed_eof()
    notes.append((await outcome_of_call(lambda: reader.feed_data(b"more")))[:2])
    lines = []
    reader, protocol = fed()
    protocol.data_received(b"one\ntwo\n\nthr")

    async def feed() -> None:
        await spin(2)
        protocol.data_received(b"ee\nrest")
        await spin(3)
        protocol.eof_received()

    feeding = asyncio.ensure_future(feed())
    async for line in reader:
        lines.append(line)
    await feeding
    notes.append(lines)
    _, orphan = fed()
    notes.append([orphan.data_received(b"nobody"), orphan.eof_received()])  # type: ignore[func-returns-value]


async def cancels(notes: Notes) -> None:
    """Each read, cancelled at each moment: what was fed is there for the next."""
    for name, read in READS.items():
        for moment in range(6):
            reader, protocol = fed()
            task = asyncio.ensure_future(read(reader))
            await spin(min(moment, 2))
            if moment >= 3:
                protocol.data_received(b"a")
                await spin(moment - 3)
            if moment == 5:
                protocol.data_received(b"\nabcdefgh\n")
            notes.append((name, moment, task.cancel("no more")))
            if moment == 4:
                protocol.data_received(b"\nabcdefgh\n")
            notes.append((await outcome(task), state(reader)))
            reader.feed_eof()
            notes.append((await outcome(read(reader)), state(reader)))


async def waits(notes: Notes) -> None:
    """Two who read at once, wake-ups out of turn, views of the buffer, another buffer."""
    reader, protocol = fed()
    first = asyncio.ensure_future(reader.read(5))
    await spin(1)
    second = asyncio.ensure_future(reader.readline())
    notes.append((await outcome(second), shown(repr(reader))))
    waiter = reader._waiter
    waiter.set_result(None)
    notes.append((await outcome(first), state(reader)))
    first = asyncio.ensure_future(reader.readexactly(2))
    await spin(1)
    reader._waiter.cancel()
    notes.append((await outcome(first), state(reader)))
    first = asyncio.ensure_future(reader.readexactly(2))
    await spin(1)
    reader._waiter.set_result(None)
    notes.append((await outcome_of_call(lambda: protocol.data_received(b"12")))[:2])
    notes.append((await outcome(first), state(reader)))
    reader.feed_data(b"345")
    view = memoryview(reader._buffer)
    notes.append((await outcome_of_call(lambda: protocol.data_received(b"6")), state(reader)))
    notes.append((await outcome(reader.read(2)), state(reader)))
    notes.append((await outcome(reader.read(9)), state(reader)))
    view.release()
    reader._buffer = bytearray(b"another\nbuffer")
    notes.append((await outcome(reader.readline()), await outcome(reader.readexactly(3)), state(reader)))
    reader._limit = 2
    notes.append((await outcome(reader.readuntil(b"r")), state(reader)))
    notes.append((await outcome(reader._wait_for_data("anything"))) if reader._eof else "not at the end")
    direct = asyncio.ensure_future(reader._wait_for_data("direct"))
    await spin(1)
    protocol.data_received(b"x")
    notes.append((await outcome(direct), state(reader)))
    protocol.eof_received()
    notes.append((await outcome(reader._wait_for_data("at the end")))[:2])


async def pauses(notes: Notes) -> None:
    """A transport that is paused for what it has received, and goes on when that is read."""
    for name in ("read(3)", "readexactly(8)", "readline()", "read()", "anext()"):
        calls: Notes = []
        reader, protocol = fed(4, calls)
        for piece in (b"1234", b"56789", b"0", b"ab\ncd"):
            protocol.data_received(piece)
            notes.append((len(calls), state(reader)))
        task = asyncio.ensure_future(outcome(READS[name](reader)))
        await spin(4)
        protocol.data_received(b"the rest\n")
        await spin(4)
        protocol.eof_received()
        notes.append((name, await task, state(reader), list(calls)))
    reader, protocol = fed(2)
    protocol.connection_made(Wire([], can_pause=False))
    protocol.data_received(b"12345")
    notes.append((reader._transport is None, state(reader)))


async def drains(notes: Notes) -> None:
    """`drain`, of a protocol that is paused, goes on, is lost; cancelled at each moment; and by several."""
    loop = asyncio.get_running_loop()
    calls: Notes = []
    reader, protocol = fed(calls=calls)
    wire = Wire(calls)
    made = []  # none is closed early

    def writer_of(protocol: asyncio.StreamReaderProtocol, reader: Any) -> Any:
        made.append(asyncio.StreamWriter(wire, protocol, reader, loop))
        return made[-1]

    writer = writer_of(protocol, reader)
    alone = writer_of(protocol, None)
    writer.write(b"data")
    notes.extend([await outcome(writer.drain()), await outcome(alone.drain())])
    protocol.pause_writing()
    tasks = [asyncio.ensure_future(each.drain()) for each in (writer, alone, writer, alone)]
    direct = asyncio.ensure_future(protocol._drain_helper())
    await spin(2)
    notes.append(len(protocol._drain_waiters))
    tasks[1].cancel("before")
    protocol.resume_writing()
    tasks[2].cancel("after")
    notes.append([await outcome(task) for task in (*tasks, direct)])
    notes.append(len(protocol._drain_waiters))
    protocol.pause_writing()
    task = asyncio.ensure_future(writer.drain())
    await spin(1)
    protocol._drain_waiters.clear()
    task.cancel()
    notes.append(await outcome(task))
    for error in (None, OSError("lost")):
        reader, protocol = fed(calls=calls)
        writer = writer_of(protocol, reader)
        protocol.pause_writing()
        task = asyncio.ensure_future(writer.drain())
        await spin(1)
        protocol.connection_lost(error)
        notes.extend([await outcome(task), await outcome(writer.drain())])
        notes.append(await outcome(writer_of(protocol, None).drain()))
        await outcome(protocol._get_close_waiter(None))  # type: ignore[arg-type]
    reader.set_exception(ValueError("of the reader"))
    notes.append(await outcome(writer.drain()))
    wire.closing = True
    _, protocol = fed(calls=calls)
    notes.append(await outcome(writer_of(protocol, None).drain()))
    notes.append(list(calls))


async def throttled(notes: Notes) -> None:
    """`drain` over the loop's own transport: by several, cancelled at each moment, lost, and woken up out of turn."""
    async with connected() as (_, writer, _, far_writer):
        protocol = writer.transport.get_protocol()
        notes.append(await outcome(writer.drain()))
        protocol.pause_writing()
        tasks = [asyncio.ensure_future(writer.drain()) for _ in range(4)]
        await spin(2)
        notes.append(len(protocol._drain_waiters))
        tasks[1].cancel("before")
        protocol.resume_writing()
        tasks[2].cancel("after")
        notes.append([await outcome(task) for task in tasks])
        for act in ("set", "cancel", "fail", "forget", "exchange"):
            protocol.pause_writing()
            tasks = [asyncio.ensure_future(outcome(writer.drain())) for _ in range(2)]
            await spin(1)
            first, second = protocol._drain_waiters
            if act == "cancel":
                second.cancel("the waiter")
            elif act == "fail":
                second.set_exception(OSError("failed"))
            else:
                second.set_result("unasked")
            if act == "forget":
                protocol._drain_waiters.remove(second)
            elif act == "exchange":
                protocol._drain_waiters = type(protocol._drain_waiters)([second, first])
            notes.append((act, await tasks[1], list(protocol._drain_waiters) == [first]))
            protocol.resume_writing()
            notes.append((await tasks[0], len(protocol._drain_waiters)))
        far_protocol = far_writer.transport.get_protocol()
        for each in (protocol, far_protocol):
            each.pause_writing()
        task = asyncio.ensure_future(outcome(writer.drain()))
        await spin(1)
        writer._protocol = far_protocol
        protocol.resume_writing()
        notes.append((await task, len(protocol._drain_waiters), len(far_protocol._drain_waiters)))
        writer._protocol = protocol
        lost = OSError("lost")
        for error in (None, lost):
            protocol.pause_writing()
            task = asyncio.ensure_future(outcome(writer.drain()))
            await spin(1)
            protocol.connection_lost(error)
            notes.extend([await task, await outcome(writer.drain())])
            protocol._connection_lost = protocol._paused = False
        lost.__traceback__ = None
    # Frames of asyncio's own keep their callers' alive, and so the main task, which `all_tasks` looks at up to 3.13.
    gc.collect()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Any, Any, Any, Any]]:
    """Two readers and two writers, whose transports are the loop's own."""
    ends = socket.socketpair()
    pairs = [await asyncio.open_connection(sock=end, limit=1000) for end in ends]
    (reader, writer), (far_reader, far_writer) = pairs
    yield reader, writer, far_reader, far_writer
    for each in (writer, far_writer):
        each.close()
    for each in (writer, far_writer):
        await outcome(each.wait_closed())


async def connections(notes: Notes) -> None:
    """A connection: small and large, lines, the end; what is written in all ways."""
    async with connected() as (reader, writer, far_reader, far_writer):
        for size in (1, 1000, 5000, 300_000):
            writer.write(b"x" * size)
            notes.append(await outcome(writer.drain()))
            notes.append(len(await far_reader.readexactly(size)))
            far_writer.writelines([b"y" * (size - 1), b"\n", b""])
            await far_writer.drain()
            notes.append(len(await (reader.readexactly(size) if size > 1000 else reader.readline())))
    async with connected() as (reader, writer, far_reader, far_writer):
        writer.writelines((b"one\n", bytearray(b"two\n"), memoryview(b"three\n")))
        writer.write(bytearray(b"four"))
        writer.write(b"")
        notes.append((await outcome_of_call(lambda: writer.write("text")))[:2])
        notes.append((await outcome_of_call(lambda: writer.writelines(5)))[:2])
        writer.write_eof()
        notes.append([line async for line in far_reader])
        notes.append((await far_reader.read(), far_reader.at_eof(), state(far_reader)))
        task = asyncio.ensure_future(reader.read(10))
        await spin(2)
        task.cancel()
        far_writer.write(b"kept")
        notes.append(await outcome(task))
        notes.append(await reader.read(10))
        task = asyncio.ensure_future(outcome(reader.readexactly(6)))
        far_writer.write(b"123")
        await asyncio.sleep(0.001)
        notes.append((task.done(), state(reader)))
        far_writer.write(b"456789")
        notes.append((await task, state(reader)))
        far_writer.close()
        notes.append(await outcome(reader.readexactly(4)))
        notes.append(await outcome(far_writer.drain()))


async def floods(notes: Notes) -> None:
    """More than the other end takes: `drain` waits until it does."""
    async with connected() as (_, writer, far_reader, _):
        data = b"0123456789" * 200_000
        writer.write(data)
        task = asyncio.ensure_future(writer.drain())
        await spin(3)
        notes.append(task.done())
        received = 0
        while received < len(data):
            received += len(await far_reader.read(100_000))
        notes.append((received, await outcome(task)))


STREAM_PROGRAMS: dict[str, Callable[[Notes], Coroutine[Any, Any, None]]] = {
    "stream_cancels": cancels,
    "stream_connections": connections,
    "stream_drains": drains,
    "stream_ends": ends,
    "stream_floods": floods,
    "stream_pauses": pauses,
    "stream_reads": reads,
    "stream_throttled": throttled,
    "stream_waits": waits,
}

STREAM_USES = {
    "asyncio.streams.FlowControlMixin._drain_helper": "stream_drains",
    "asyncio.streams.StreamReader.__anext__": "stream_ends",
    "asyncio.streams.StreamReader._wait_for_data": "stream_waits",
    "asyncio.streams.StreamReader.feed_data": "stream_pauses",
    "asyncio.streams.StreamReader.feed_eof": "stream_ends",
    "asyncio.streams.StreamReader.read": "stream_waits",
    "asyncio.streams.StreamReader.readexactly": "stream_waits",
    "asyncio.streams.StreamReader.readline": "stream_ends",
    "asyncio.streams.StreamReader.readuntil": "stream_waits",
    "asyncio.streams.StreamReaderProtocol.data_received": "stream_pauses",
    "asyncio.streams.StreamReaderProtocol.eof_received": "stream_ends",
    "asyncio.streams.StreamWriter.drain": "stream_throttled",
    "asyncio.streams.StreamWriter.write": "stream_connections",
    "asyncio.streams.StreamWriter.writelines": "stream_connections",
}
