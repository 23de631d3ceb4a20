"""A proxy that is hard on what goes through it: it cuts streams into odd pieces, holds them up, and resets connections.

Nothing of a stream is changed, lost or doubled by it: whatever comes out at one end is what went in at the other, or
the beginning of that. One thread with plain sockets serves all connections. What becomes of the n-th connection follows
from the seed and n.
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

PIECES = (1, 3, 100, 1000, 1460, 5000, 40_000)
#: Seconds that a piece is held up.
DELAYS = (0.0, 0.0, 0.0, 0.0, 0.0005, 0.002, 0.01)
#: A connection that is to be reset is when so many bytes have gone through, at most.
BUDGET = 150_000


class Over(Exception):
    """The connection is reset."""


@dataclass
class Lane:
    """One direction of a connection."""

    source: socket.socket
    target: socket.socket
    waiting: bytes = b""
    due: float = 0.0
    has_ended: bool = False

    def wanted(self, now: float) -> tuple[int, int]:
        """What it waits for: a descriptor and events of it, or nothing if that is the time."""
        if self.waiting:
            return (self.target.fileno(), select.POLLOUT) if now >= self.due else (-1, 0)
        return (-1, 0) if self.has_ended else (self.source.fileno(), select.POLLIN)

    def move(self, rng: random.Random, now: float) -> int:
        """Take or pass on what there is; how many bytes were passed on."""
        with contextlib.suppress(BlockingIOError):
            if not self.waiting and not self.has_ended:
                self.waiting = self.source.recv(rng.choice(PIECES))
                self.due = now + rng.choice(DELAYS)
                if not self.waiting:
                    self.has_ended = True
                    self.target.shutdown(socket.SHUT_WR)
            elif self.waiting and now >= self.due:
                sent = self.target.send(self.waiting[: rng.choice(PIECES)])
                self.waiting = self.waiting[sent:]
                self.due = now + rng.choice(DELAYS)
                return sent
        return 0


@dataclass
class Passage:
    """A connection: a client's socket, and one to the server."""

    client: socket.socket
    server: socket.socket
    rng: random.Random
    budget: int | None
    lanes: list[Lane] = field(default_factory=list)

    def __post_init__(self) -> None:
        for each in (self.client, self.server):
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lanes = [Lane(self.client, self.server), Lane(self.server, self.client)]

    def move(self, now: float) -> bool:
        """Let it go on; is there anything left to be done?"""
        try:
            for lane in self.lanes:
                moved = lane.move(self.rng, now)
                if self.budget is not None:
                    self.budget -= moved
                    if self.budget < 0:
                        raise Over
        except (OSError, Over):
            for each in (self.client, self.server):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.close()
            return False
        if all(lane.has_ended and not lane.waiting for lane in self.lanes):
            self.client.close()
            self.server.close()
            return False
        return True


class Proxy(threading.Thread):
    """Listens at `port`, in front of another port of this machine; `resets`: some of the connections."""

    def __init__(self, target: int, seed: object, resets: bool) -> None:
        super().__init__(daemon=True)
        self._target, self._seed, self._resets = target, seed, resets
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setblocking(False)
        self._woken, self._waker = socket.socketpair()
        self._passages: list[Passage] = []
        self.accepted = 0
        self.port: int = self._listening.getsockname()[1]
        self.start()

    def close(self) -> None:
        """End it, and whatever goes through it."""
        self._waker.close()
        self.join()

    def run(self) -> None:
        with self._listening, self._woken:
            while True:
                now = time.monotonic()
                poller = select.poll()
                for fd in (self._listening.fileno(), self._woken.fileno()):
                    poller.register(fd, select.POLLIN)
                events: dict[int, int] = {}
                soon: list[float] = []
                for lane in (lane for passage in self._passages for lane in passage.lanes):
                    fd, wanted = lane.wanted(now)
                    if wanted:
                        events[fd] = events.get(fd, 0) | wanted
                    elif lane.waiting:
                        soon.append(lane.due - now)
                for fd, wanted in events.items():
                    poller.register(fd, wanted)
                found = dict(poller.poll(max(0.0, min(soon)) * 1000 + 0.5 if soon else None))
                if self._woken.fileno() in found:
                    break
                if self._listening.fileno() in found:
                    self._accept()
                self._passages = [each for each in self._passages if each.move(time.monotonic())]
            for passage in self._passages:
                passage.client.close()
                passage.server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            client = self._listening.accept()[0]
            self.accepted += 1
            rng = random.Random(f"{self._seed} {self.accepted}")
            server = socket.create_connection(("127.0.0.1", self._target))
            is_reset = self._resets and rng.random() < 0.7
            self._passages.append(Passage(client, server, rng, rng.randrange(BUDGET) if is_reset else None))
