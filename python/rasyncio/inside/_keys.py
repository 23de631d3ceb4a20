"""The keys that are pressed in a terminal, while something else is shown there."""

from __future__ import annotations

import codecs
import os
import re
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: A key as a terminal sends it: one character, or what an escape begins.
_KEY = re.compile(r"\x1b\[[0-9;]*[@-~]|\x1bO[@-~]|\x1b(?!\[|O|$)|[^\x1b]", re.DOTALL)


class Keys:
    """Takes what comes apart. A key that is not complete waits for the rest."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._left = ""

    def taken(self, data: bytes) -> list[str]:
        """The keys that are complete by now."""
        text = self._left + self._decoder.decode(data)
        keys, end = [], 0
        while found := _KEY.match(text, end):
            keys.append(found[0])
            end = found.end()
        self._left = text[end:][-16:]
        return keys


@contextmanager
def pressed() -> Iterator[Callable[[float], list[str]]]:
    """A function that waits for so long for keys, and returns those that have come."""
    if not sys.stdin.isatty():

        def none(seconds: float) -> list[str]:
            time.sleep(seconds)
            return []

        yield none
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    keys = Keys()

    def come(seconds: float) -> list[str]:
        ready, _, _ = select.select([fd], [], [], seconds)
        data = os.read(fd, 1024) if ready else b""
        # An end of the input is what Ctrl-D is.
        return keys.taken(data) if data or not ready else ["\x04"]

    tty.setcbreak(fd)
    try:
        yield come
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
