"""Pipes with a transport at one end, and at the other a descriptor that the test drives."""

from __future__ import annotations

import os
from typing import Any

from .net import Recorder, until


class Reader:
    """A pipe whose reading end is a transport."""

    def __init__(self, loop: Any, protocol: Any = None, flags: int = 0) -> None:
        self.loop, self.protocol = loop, protocol or Recorder()
        reading, self.writing = os.pipe2(flags)
        pipe = open(reading, "rb", 0)  # noqa: SIM115  # the transport closes it
        self.transport, _ = loop.run_until_complete(loop.connect_read_pipe(lambda: self.protocol, pipe))


class Writer:
    """A pipe whose writing end is a transport."""

    def __init__(self, loop: Any, protocol: Any = None, flags: int = 0) -> None:
        self.loop, self.protocol = loop, protocol or Recorder()
        self.reading, writing = os.pipe2(flags)
        os.set_blocking(self.reading, False)
        pipe = open(writing, "wb", 0)  # noqa: SIM115  # the transport closes it
        self.transport, _ = loop.run_until_complete(loop.connect_write_pipe(lambda: self.protocol, pipe))

    def read(self, size: int) -> bytes:
        data = bytearray()

        def is_there() -> bool:
            try:
                while len(data) < size and (piece := os.read(self.reading, size - len(data))):
                    data.extend(piece)
            except BlockingIOError:
                return False
            return True

        until(self.loop, is_there)
        return bytes(data)
