"""Asks a process that serves its stats, as `python -m rasyncio top` does."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from typing import Any

from ._address import LOOPBACK, VARIABLE, Address
from ._protocol import ANSWER_MAX, Malformed
from ._schema import checked_snapshot, checked_tree, decoded

#: In seconds, for an answer as a whole.
PATIENCE = 10.0
#: For a socket that is there to listen.
_LISTENS = 1.0


class Unreachable(Exception):
    """Why a process cannot be looked into, and what to do: one line."""


class Silent(Unreachable):
    """It has not answered yet; it may do so when it is asked once more."""


class _Closed(Exception):
    """The connection was closed before any of the answer has come."""


class Client:
    """A connection to the process that serves at the address. Its methods raise Unreachable.

    One that was idle for so long that the process has closed it is made anew. Where the address comes from somebody who
    is not trusted, `uid` is the user whose socket it must be, if it is one.
    """

    def __init__(self, address: Address, uid: int | None = None) -> None:
        self.address = address
        self._uid = uid
        self.patience = PATIENCE
        """In seconds, for an answer as a whole; what takes longer is Silent, and is waited for when asked once more."""
        self._connect()

    def _connect(self) -> None:
        where = repr(self.address) if isinstance(self.address, str) else f"{LOOPBACK}:{self.address}"
        self._left = b""
        self._asked: bytes | None = None  # whose answer has not come
        self._has_answered = False
        self._sock = socket.socket(socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET)
        self._sock.settimeout(PATIENCE)
        try:
            _connect(self._sock, self.address if isinstance(self.address, str) else (LOOPBACK, self.address))
        except OSError as error:
            self._sock.close()
            raise Unreachable(
                f"nobody serves stats at {where} ({os.strerror(error.errno) if error.errno else error}): start the"
                f" program with {VARIABLE}={self.address or 8125}, or let it call rasyncio.serve_stats()"
            ) from None
        if self._uid is not None and self._sock.family == socket.AF_UNIX and _uid_of_peer(self._sock) != self._uid:
            self._sock.close()
            raise Unreachable(f"what listens at {where} is another user's")

    def close(self) -> None:
        """Ask no more."""
        with contextlib.suppress(OSError):
            self._sock.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def snapshot(self) -> dict[str, Any]:
        """What the process is doing."""
        try:
            return checked_snapshot(decoded(self._ask(b"snapshot\n")))
        except Malformed as error:
            raise Unreachable(f"what listens at {self.address} is no program to look into: {error}") from None

    def tree(self, task: str) -> dict[str, Any] | None:
        """The tree of awaits that the task is in; None if it is gone."""
        try:
            return checked_tree(decoded(self._ask(b"tree " + task.encode() + b"\n")))
        except Malformed as error:
            raise Unreachable(f"what listens at {self.address} is no program to look into: {error}") from None

    def _ask(self, line: bytes) -> bytes:
        deadline = time.monotonic() + self.patience
        try:
            if self._asked is not None:
                asked, answer = self._asked, self._answer(deadline)
                if asked == line:
                    return answer
            was_idle = self._has_answered
            try:
                return self._answer(deadline, line)
            except _Closed:
                if not was_idle:
                    raise
            self.close()
            with contextlib.suppress(Unreachable):
                self._connect()
                return self._answer(deadline, line)
            raise Unreachable(_ENDED)
        except TimeoutError:
            raise Silent(f"the program has not answered for {self.patience:.0f} s") from None
        except (OSError, _Closed):
            raise Unreachable(_ENDED) from None

    def _answer(self, deadline: float, line: bytes | None = None) -> bytes:
        """The answer to the line, or to the one that was sent last."""
        try:
            if line is not None:
                self._sock.settimeout(max(deadline - time.monotonic(), 0.001))
                self._sock.sendall(line)
                self._asked = line
            while b"\n" not in self._left:
                self._sock.settimeout(max(deadline - time.monotonic(), 0.001))
                data = self._sock.recv(2**16)
                if not data and not self._left:
                    raise _Closed
                if not data:
                    raise Unreachable(_ENDED)
                self._left += data
                if len(self._left) > ANSWER_MAX:
                    raise Malformed(f"its answer has more than {ANSWER_MAX} bytes")
        except ConnectionError:
            raise _Closed from None
        self._asked = None
        self._has_answered = True
        answer, _, self._left = self._left.partition(b"\n")
        return answer


_ENDED = "the program has ended, or serves no longer"


def _connect(sock: socket.socket, address: str | tuple[str, int]) -> None:
    """Connect. A Unix socket that has no room for another connection says so at once, and is asked again.

    So is one that refuses, for a moment: it may be about to listen.
    """
    began = time.monotonic()
    while True:
        try:
            return sock.connect(address)
        except (BlockingIOError, ConnectionRefusedError) as error:
            patience = PATIENCE if isinstance(error, BlockingIOError) else _LISTENS
            if isinstance(address, tuple) or time.monotonic() - began >= patience:
                raise
            time.sleep(0.02)


def _uid_of_peer(sock: socket.socket) -> int:
    credentials = struct.Struct("3i")
    _, uid, _ = credentials.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size))
    return int(uid)
