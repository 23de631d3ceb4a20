"""Asks a process that serves its stats, as `python -m rasyncio top` does."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from typing import Any

from ._address import LOOPBACK, Address
from ._protocol import ANSWER_MAX, Malformed
from ._schema import checked_snapshot, checked_tree, decoded

#: In seconds, for an answer as a whole.
PATIENCE = 10.0


class Unreachable(Exception):
    """Why a process cannot be looked into, and what to do: one line."""


class Client:
    """A connection to the process that serves at the address. Its methods raise Unreachable.

    Where the address comes from somebody who is not trusted, `uid` is the user whose socket it must be, if it is one.
    """

    def __init__(self, address: Address, uid: int | None = None) -> None:
        self.address = address
        where = repr(address) if isinstance(address, str) else f"{LOOPBACK}:{address}"
        self._sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self._sock.settimeout(PATIENCE)
        try:
            _connect(self._sock, address if isinstance(address, str) else (LOOPBACK, address))
        except OSError as error:
            self._sock.close()
            raise Unreachable(
                f"nobody serves stats at {where} ({os.strerror(error.errno) if error.errno else error}): start the"
                f" program with RASYNCIO_STATS={address}, or let it call rasyncio.serve_stats()"
            ) from None
        if uid is not None and self._sock.family == socket.AF_UNIX and _uid_of_peer(self._sock) != uid:
            self._sock.close()
            raise Unreachable(f"what listens at {where} is another user's")
        self._left = b""

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
        deadline = time.monotonic() + PATIENCE
        parts, size = [self._left], len(self._left)
        try:
            self._sock.settimeout(PATIENCE)
            self._sock.sendall(line)
            while b"\n" not in parts[-1]:
                self._sock.settimeout(max(deadline - time.monotonic(), 0.001))
                parts.append(self._sock.recv(2**16))
                size += len(parts[-1])
                if not parts[-1]:
                    raise Unreachable("the program has ended, or serves no longer")
                if size > ANSWER_MAX:
                    raise Malformed(f"its answer has more than {ANSWER_MAX} bytes")
        except TimeoutError:
            raise Unreachable(f"the program has not answered for {PATIENCE:.0f} s") from None
        except OSError:
            raise Unreachable("the program has ended, or serves no longer") from None
        answer, _, self._left = b"".join(parts).partition(b"\n")
        return answer


def _connect(sock: socket.socket, address: str | tuple[str, int]) -> None:
    """Connect; a Unix socket that has no room for another connection says so at once, and is asked again."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return sock.connect(address)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.02)


def _uid_of_peer(sock: socket.socket) -> int:
    credentials = struct.Struct("3i")
    _, uid, _ = credentials.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size))
    return int(uid)
