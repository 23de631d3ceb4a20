"""Streams of subclasses, with methods of the program's own, patched while somebody waits: all that is called, and the
buffer is right whenever anyone looks."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

from graft.notes import Notes, of_either, outcome, spin
from graft.streams import READS, connected, fed, state

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")


def noting(cls: type, calls: Notes) -> type:
    """A subclass all of whose methods note that they are called."""

    def method(name: str) -> Callable[..., Any]:
        def noted(self: Any, *arguments: Any) -> Any:
            calls.append(name)
            return getattr(cls, name)(self, *arguments)

        return noted

    names = [name for name in dir(cls) if callable(getattr(cls, name)) and not name.startswith("__")]
    return type(cls.__name__, (cls,), {name: method(name) for name in [*names, "__anext__"] if hasattr(cls, name)})


@pytest.mark.parametrize("which", ["reader", "protocol", "writer", "all"])
def test_subclasses(installed: None, which: str) -> None:
    async def program(calls: Notes) -> None:
        def of(name: str, cls: Any) -> Any:
            return noting(cls, calls) if which in (name, "all") else cls

        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        reader = of("reader", asyncio.StreamReader)(loop=loop)
        make = of("protocol", asyncio.StreamReaderProtocol)
        transport, protocol = await loop.create_connection(lambda: make(reader, loop=loop), sock=near)
        writer = of("writer", asyncio.StreamWriter)(transport, protocol, reader, loop)
        writer.write(b"one ")
        writer.writelines([b"two", b"\n"])
        await writer.drain()
        far.setblocking(False)
        calls.append(await loop.sock_recv(far, 100))
        task = asyncio.ensure_future(outcome(reader.readline()))
        await spin(1)
        for piece in (b"a", b"b\n", b"12345", b"x\ny\n"):
            await loop.sock_sendall(far, piece)
        calls.append((await task, await reader.readexactly(5), await reader.readuntil(b"x"), await reader.read(2)))
        far.close()
        calls.append([line async for line in reader])
        writer.close()
        await writer.wait_closed()

    in_python, grafted = of_either(program)
    assert grafted == in_python


METHODS = {
    "feed_data": "reader",
    "_wakeup_waiter": "reader",
    "_wait_for_data": "reader",
    "_maybe_resume_transport": "reader",
    "read": "reader",
    "readuntil": "reader",
    "readline": "reader",
    "exception": "reader",
    "feed_eof": "reader",
    "data_received": "protocol",
    "eof_received": "protocol",
    "_drain_helper": "protocol",
    "write": "transport",
    "writelines": "transport",
    "is_closing": "transport",
    "pause_reading": "transport",
    "resume_reading": "transport",
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_of_an_instance(installed: None, name: str) -> None:
    async def program(calls: Notes) -> None:
        async with connected() as (reader, writer, _, far_writer):
            owner = {"reader": reader, "protocol": writer._protocol, "transport": writer.transport}[METHODS[name]]
            plain = getattr(owner, name)

            def noted(*arguments: Any) -> Any:
                calls.append(name)
                return plain(*arguments)

            setattr(owner, name, noted)
            writer.write(b"out")
            writer.writelines([b"more"])
            await writer.drain()
            far_writer.write(b"line\n" + b"x" * 5000)
            calls.append(await reader.readline())
            calls.append(len(await reader.readexactly(5000)))
            far_writer.write(b"a\nb")
            calls.append((await reader.readuntil(b"\n"), await reader.read(1)))
            far_writer.write_eof()
            calls.append([await reader.read(), await anext(reader, "over")])

    in_python, grafted = of_either(program)
    assert grafted == in_python
    assert in_python.count(name) >= (0 if "ading" in name or "resume" in name else 1)


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("what", ["_wait_for_data", "_maybe_resume_transport", "feed_data", "read", "readuntil"])
def test_patched_while_somebody_waits(installed: None, name: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def program(notes: Notes) -> None:
        reader, protocol = fed(calls=notes)
        task = asyncio.ensure_future(outcome(READS[name](reader)))
        await spin(2)
        protocol.data_received(b"x")
        await spin(2)
        plain = getattr(asyncio.StreamReader, what)

        def noted(*arguments: Any) -> Any:
            notes.append(what)
            return plain(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(asyncio.StreamReader, what, noted)
            for piece in (b"yz", b"\nab", b"cdefgh\n"):
                protocol.data_received(piece)
                await spin(2)
            protocol.eof_received()
            notes.append((await task, state(reader)))

    in_python, grafted = of_either(program)
    assert grafted == in_python


def test_the_buffer_whenever_anyone_looks(installed: None) -> None:
    async def program(notes: Notes) -> None:
        async with connected() as (reader, _, __, far_writer):
            buffer, loop = reader._buffer, asyncio.get_running_loop()
            for read in (reader.read, reader.readexactly):
                for size in (10, 6000, 50_000):
                    task = asyncio.ensure_future(read(size))
                    await spin(2)
                    far_writer.write(b"x" * size)
                    looks = []

                    def look(looks: Notes = looks, task: Any = task) -> None:
                        looks.append((len(reader._buffer), task.done()))
                        if not task.done():
                            loop.call_soon(look)

                    look()
                    received = len(await task)
                    # When data come is the system's affair; but they are in the buffer until the reader has them.
                    notes.append((received <= size, all(done or count <= size for count, done in looks)))
                    notes.append(received + len(await reader.read(size - received)) >= 0)
            notes.append((reader._buffer is buffer, type(buffer)))

    in_python, grafted = of_either(program)
    assert grafted == in_python


def test_readers_of_another_loop(installed: None) -> None:
    async def program(notes: Notes) -> None:
        other = asyncio.new_event_loop()
        reader = asyncio.StreamReader(loop=other)
        reader.feed_data(b"there")
        notes.append(await reader.read(3))
        notes.append(await outcome(reader.readexactly(2)))
        task: Any = asyncio.ensure_future(outcome(reader.read(3)))
        await spin(2)
        notes.append((await task)[:1])
        other.close()

    in_python, grafted = of_either(program)
    assert grafted == in_python


def test_a_waiter_with_a_method_of_its_own(installed: None) -> None:
    async def program(notes: Notes) -> None:
        reader, protocol = fed()
        task = asyncio.ensure_future(reader.read(3))
        await spin(2)
        waiter = reader._waiter
        set_result = waiter.set_result

        def noted(value: Any) -> None:
            notes.append(value)
            set_result(value)

        waiter.set_result = noted
        protocol.data_received(b"abc")
        notes.append(await task)

    in_python, grafted = of_either(program)
    assert grafted == in_python == [None, b"abc"]


@pytest.mark.parametrize("where", ["the class", "the protocol", "the reader's class", "the reader", "its code"])
def test_what_a_transport_calls(either: bool, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is replaced while a connection is there gets what comes from then on."""
    seen: list[bytes] = []

    async def main() -> list[bytes]:
        left, right = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=left)
        protocol: Any = writer.transport.get_protocol()
        with right:
            right.sendall(b"before")
            lines = [await reader.read(100)]
            replace(reader, protocol)
            right.sendall(b"after")
            lines.append(await reader.read(100))
            writer.close()
        return lines

    def replace(reader: Any, protocol: Any) -> None:
        owners = {"the class": type(protocol), "the protocol": protocol, "the reader": reader}
        owner = owners.get(where, type(reader))
        name = "data_received" if owner in (protocol, type(protocol)) else "feed_data"
        present = getattr(owner, name)
        if where == "its code":
            monkeypatch.setattr(present, "__code__", noting_code())
            return

        def noting(*arguments: Any) -> Any:
            seen.append(arguments[-1])
            return present(*arguments)

        monkeypatch.setattr(owner, name, noting)

    def noting_code() -> Any:
        monkeypatch.setattr(asyncio.streams, "seen", seen, raising=False)
        names: dict[str, Any] = {}
        # Its names are those of the module whose function gets it.
        exec("def feed(self, data): seen.append(data), self._buffer.extend(data), self._wakeup_waiter()", names)
        return names["feed"].__code__

    assert asyncio.run(main()) == [b"before", b"after"]
    assert seen == [b"after"]
