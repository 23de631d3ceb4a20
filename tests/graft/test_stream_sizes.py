"""Much, little, and what is not expected: a transport receives into a reader's buffer, and no byte is lost.

How much is likely to come is what came last, and much is 4 to 64 KiB; so what follows a large piece is received in
another way.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
import struct
import sys
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from graft.notes import Notes, of_either, outcome, shown
from graft.streams import fed, state

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")

#: Of a piece after another.
SIZES = (1, 100, 2047, 4095, 4096, 5000, 10_000, 60_000, 70_000)


@asynccontextmanager
async def fed_by(
    limit: int, ends: tuple[socket.socket, socket.socket]
) -> AsyncIterator[tuple[Any, Any, socket.socket]]:
    """A reader and a writer of one end, and the other."""
    near, far = ends
    reader, writer = await asyncio.open_connection(sock=near, limit=limit)
    with far:
        yield reader, writer, far
        writer.close()
        await outcome(writer.wait_closed())


def made_of(size: int) -> bytes:
    """So many bytes, which tell where they are."""
    return b"".join(struct.pack("<I", number) for number in range(size // 4 + 1))[:size]


async def until_fed(reader: Any, count: int) -> None:
    """The reader has so many bytes."""
    while len(reader._buffer) < count and not reader._paused:
        await asyncio.sleep(0)


@pytest.mark.parametrize("kept", [0, 3, 5000])
@pytest.mark.parametrize("limit", [4000, 1 << 20])
def test_a_piece_after_another(installed: None, limit: int, kept: int) -> None:
    """Each size after each, behind what is there; with a limit, beyond which the transport is paused."""

    async def program(notes: Notes) -> None:
        for first, second in itertools.product(SIZES, SIZES):
            async with fed_by(limit, socket.socketpair()) as (reader, _, far):
                far.sendall(made_of(first))
                received = await reader.readexactly(first)
                reader.feed_data(b"k" * kept)
                far.sendall(made_of(second))
                await until_fed(reader, kept + second)
                notes.append((first, second, received == made_of(first), state(reader)))
                rest = await reader.readexactly(kept + second)
                notes.append((rest == b"k" * kept + made_of(second), state(reader)))

    in_python, grafted = of_either(program)
    assert grafted == in_python
    assert all(isinstance(note[0], int) or note[0] for note in in_python)


def test_the_end_and_errors_after_much(installed: None) -> None:
    def reset(far: socket.socket) -> None:
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()

    def connected() -> tuple[socket.socket, socket.socket]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            near = socket.create_connection(listener.getsockname())
            return near, listener.accept()[0]

    async def program(notes: Notes) -> None:
        for end in (socket.socket.close, reset):
            for kept in (0, 7):
                async with fed_by(1 << 16, connected()) as (reader, _, far):
                    far.sendall(made_of(9000))
                    await reader.readexactly(9000)
                    reader.feed_data(b"k" * kept)
                    task = asyncio.ensure_future(outcome(reader.readexactly(8)))
                    await asyncio.sleep(0)
                    end(far)
                    notes.append((await task, state(reader)))

    in_python, grafted = of_either(program)
    assert grafted == in_python


@pytest.mark.parametrize("size", [10, 3000, 9000, 30_000])
def test_a_view_of_the_buffer(installed: None, size: int) -> None:
    """Whose length cannot be changed then: the transport fails, and nobody reads what was never received."""

    async def program(notes: Notes) -> None:
        errors: Notes = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: errors.append((context["message"], shown(repr(context["exception"]))))
        )
        async with fed_by(1 << 16, socket.socketpair()) as (reader, _, far):
            far.sendall(made_of(9000))
            await reader.readexactly(9000)
            reader.feed_data(b"kept")
            view = memoryview(reader._buffer)
            far.sendall(made_of(size))
            while not errors:
                await asyncio.sleep(0)
            notes.append((bytes(view), errors))
            view.release()
            await asyncio.sleep(0)
            notes.append(bytes(reader._buffer))

    in_python, grafted = of_either(program)
    assert grafted == in_python


@pytest.mark.parametrize("seed", range(10))
def test_memory_goes_from_one_buffer_to_the_next(installed: None, seed: int) -> None:
    """Many readers in turn, whose buffers are changed, too: each has what it was fed, whatever others had there."""

    async def program(notes: Notes) -> None:
        draw = random.Random(seed)
        readers = [fed(1 << 20) for _ in range(12)]
        views: list[memoryview] = []
        for turn in range(600):
            reader, protocol = draw.choice(readers)
            size = draw.choice((0, 1, 500, 512, 513, 700, 1024, 1400, 5000, 70_000, 140_000))
            act = draw.choice(("feed", "feed", "feed", "read", "read", "all", "all", "append", "clear", "view", "new"))
            try:
                if act == "feed":
                    protocol.data_received(bytes([turn % 251]) * size)
                elif act == "read" and reader._buffer:
                    notes.append(digest(await reader.read(size or 1)))
                elif act == "all" and reader._buffer:
                    notes.append(digest(await reader.readexactly(len(reader._buffer))))
                elif act == "append":
                    reader._buffer += b"own" * (size // 3)
                elif act == "clear":
                    reader._buffer.clear()
                elif act == "new":
                    reader._buffer = bytearray(size)
                elif act == "view":
                    if len(views) < 2:
                        views.append(memoryview(reader._buffer))
                    else:
                        views.pop(0).release()
            except BufferError as error:
                notes.append((act, str(error)))
            notes.extend([(act, size), *(digest(bytes(reader._buffer)) for reader, _ in readers)])
        for view in views:
            notes.append(digest(bytes(view)))
            view.release()

    def digest(data: bytes) -> tuple[int, int]:
        return len(data), zlib.crc32(data)

    in_python, grafted = of_either(program)
    assert grafted == in_python


@pytest.mark.parametrize("size", [600, 5000, 60_000])
def test_an_empty_buffer_has_no_memory(grafted: None, size: int) -> None:
    async def main() -> tuple[int, int]:
        reader, protocol = fed(1 << 20)
        for _ in range(3):
            protocol.data_received(b"x" * size)
            full = reader._buffer.__alloc__()
            assert await reader.readexactly(size) == b"x" * size
        return full, reader._buffer.__alloc__()

    full, empty = asyncio.run(main())
    assert size < full <= 2 * size + 1
    assert empty < 100


def test_memory_is_not_kept_at_the_end(grafted: None) -> None:
    """A buffer that has got nothing but the end after much has no memory for more."""

    async def main() -> tuple[int, int]:
        async with fed_by(1 << 20, socket.socketpair()) as (reader, _, far):
            far.sendall(made_of(60_000))
            await reader.readexactly(60_000)
            far.shutdown(socket.SHUT_WR)
            assert await reader.read() == b""
            return reader._buffer.__alloc__(), len(reader._buffer)

    allocated, length = asyncio.run(main())
    assert length == 0
    assert allocated < 100


def test_memory_is_not_kept_for_what_did_not_come(grafted: None) -> None:
    """A buffer that has got little after much is no larger than for that."""

    async def main() -> tuple[int, int]:
        async with fed_by(1 << 20, socket.socketpair()) as (reader, _, far):
            far.sendall(made_of(60_000))
            await reader.readexactly(60_000)
            far.sendall(b"little")
            await until_fed(reader, 6)
            return reader._buffer.__alloc__(), len(reader._buffer)

    allocated, length = asyncio.run(main())
    assert length == 6
    assert allocated < 100
