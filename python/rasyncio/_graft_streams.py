"""What is left to be done of a reader's functions that have begun natively and cannot go on so.

Each is that part of the function in asyncio which follows its wait for data. Native code comes here where something was
replaced meanwhile, and where the function's own body, begun anew, would do something else: it would raise an exception
that was set while data were there already. The lines that raise are as asyncio has them, for those who read tracebacks.
"""

# What raises is as asyncio has it, to the letter.
# ruff: noqa: B904
# fmt: off

from __future__ import annotations

import sys
from asyncio import exceptions

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from typing import Any


async def read(self: Any, n: int) -> bytes:
    """`StreamReader.read`, of a number of bytes."""
    data = bytes(memoryview(self._buffer)[:n])
    del self._buffer[:n]
    self._maybe_resume_transport()
    return data


class _All:
    """`StreamReader.read`, of all: under its own name."""

    if sys.version_info >= (3, 15):

        @staticmethod
        async def read(self: Any, blocks: list[bytes]) -> bytes:
            """The blocks that were read, and all that follow."""
            while block := await self.read(self._limit):
                blocks.append(block)
            return b"".join(blocks)

    else:

        @staticmethod
        async def read(self: Any, blocks: list[bytes]) -> bytes:
            """The blocks that were read, and all that follow."""
            while True:
                block = await self.read(self._limit)
                if not block:
                    return b"".join(blocks)
                blocks.append(block)


read_all = _All.read


async def readexactly(self: Any, n: int) -> bytes:
    """`StreamReader.readexactly`"""
    while len(self._buffer) < n:
        if self._eof:
            incomplete = bytes(self._buffer)
            self._buffer.clear()
            raise exceptions.IncompleteReadError(incomplete, n)
        await self._wait_for_data('readexactly')
    if len(self._buffer) == n:
        data = bytes(self._buffer)
        self._buffer.clear()
    else:
        data = bytes(memoryview(self._buffer)[:n])
        del self._buffer[:n]
    self._maybe_resume_transport()
    return data


async def readuntil(self: Any, separator: bytes | tuple[bytes, ...], offset: int) -> bytes:
    """`StreamReader.readuntil`"""
    separators = sorted(separator, key=len) if isinstance(separator, tuple) else [separator]
    while True:
        length = len(self._buffer)
        if length - offset >= len(separators[0]):
            places = [(self._buffer.find(each, offset), len(each)) for each in separators]
            ends = [(place + size, place) for place, size in places if place != -1]
            if ends:
                match_end = min(end for end, _ in ends)
                start = next(place for each, place in ends if each == match_end)
                break
            offset = max(0, length + 1 - len(separators[-1]))
            if offset > self._limit:
                raise exceptions.LimitOverrunError(
                    "Separator is not found, and chunk exceed the limit",
                    offset,
                )
        if self._eof:
            chunk = bytes(self._buffer)
            self._buffer.clear()
            raise exceptions.IncompleteReadError(chunk, None)
        await self._wait_for_data('readuntil')
    if start > self._limit:
        raise exceptions.LimitOverrunError(
            "Separator is found, but chunk is longer than limit",
            start,
        )
    chunk = self._buffer[:match_end]
    del self._buffer[:match_end]
    self._maybe_resume_transport()
    return bytes(chunk)


async def readline(self: Any, error: exceptions.LimitOverrunError) -> bytes:
    """`StreamReader.readline`, of a line that is too long."""
    sep = b'\n'
    seplen = len(sep)
    try:
        raise error
    except exceptions.LimitOverrunError as e:
        if self._buffer.startswith(sep, e.consumed):
            del self._buffer[:e.consumed + seplen]
        else:
            self._buffer.clear()
        self._maybe_resume_transport()
        raise ValueError(e.args[0])


async def __anext__(self: Any) -> bytes:
    """`StreamReader.__anext__`, at the end."""
    raise StopAsyncIteration
