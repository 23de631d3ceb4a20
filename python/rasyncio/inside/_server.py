"""`serve_stats()`: answers who asks what this process is doing, in a thread of its own.

The event loops have no part in it: a reader that is slow, hostile or gone costs them nothing. There are at most
CLIENTS_MAX clients, each with one request at a time, a bounded buffer, and deadlines; what takes some time to answer is
answered the less often. All state belongs to the thread, but for what close() sets.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import selectors
import signal
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

from .._variables import complain
from ._address import KINDS, LOOPBACK, VARIABLE, for_process, listening, parsed, remove
from ._protocol import REQUEST_MAX, Malformed, Request, answer, refusal, taken

CLIENTS_MAX = 8
#: In seconds: for a request that has begun to come, and for an answer to be taken; for a client that asks nothing.
DEADLINE = 5.0
IDLE_MAX = 60.0
#: An answer is good for so long; the next is made after so many times the processor's time that the last has taken.
FRESH = 0.1
REST = 20.0
#: After an accept() that failed, as by too many open files.
_PAUSE = 1.0


class _Client:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.incoming = bytearray()
        self.outgoing = memoryview(b"")
        self.request: Request | None = None  # what waits for its answer
        self.ends = False  # when all has gone out
        self.deadline = time.monotonic() + IDLE_MAX

    @property
    def is_busy(self) -> bool:
        """Whether it asks something, or is being answered."""
        return bool(self.request is not None or self.outgoing or self.incoming)

    def set_deadline(self) -> None:
        self.deadline = time.monotonic() + (DEADLINE if self.is_busy else IDLE_MAX)


class StatsServer:
    """Serves this process's stats until it is closed; as a context manager, until its end."""

    def __init__(
        self, address: str | int, alone_for: float | None = None, at_end: Callable[[], object] = lambda: None
    ) -> None:
        self._listener = listening(address)
        self._path: Path | None = None
        self._inode = 0
        try:
            self._listener.setblocking(False)
            if isinstance(address, str):
                self._path = Path(os.path.abspath(address))
                self._inode = self._path.lstat().st_ino
            self._rings, self._bell = socket.socketpair()
            self._rings.setblocking(False)
        except BaseException:
            self._listener.close()
            raise
        self.address: str | int = str(self._path) if self._path else self._listener.getsockname()[1]
        """Where it serves: the path of a Unix socket, or a port of 127.0.0.1."""
        self._at_end = at_end
        self._alone_for = alone_for  # it ends when it was without a client for so many seconds
        self._closing = False
        self._clients: dict[int, _Client] = {}
        self._answers: dict[Request, tuple[float, bytes]] = {}  # and when each was made
        self._next = 0.0  # when the next one may be made
        self._pause_until = 0.0
        self._last_client = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="rasyncio stats", daemon=True)
        _servers.add(self)
        self._thread.start()

    def close(self) -> None:
        """Serve no longer; connections are closed, and the socket's file is removed."""
        if self._closing:
            return
        self._closing = True
        with contextlib.suppress(OSError):
            self._bell.send(b"x")
        if self._thread is not threading.current_thread():
            self._thread.join(DEADLINE)

    @property
    def is_closed(self) -> bool:
        """Whether it serves no longer."""
        return self._closing

    def __enter__(self) -> StatsServer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = self.address if self._path else f"{LOOPBACK}:{self.address}"
        return f"<rasyncio.StatsServer {'closed' if self._closing else 'serving'} at {where}>"

    def _forget_in_child(self) -> None:
        """After a fork: the thread is the parent's, and so is the file."""
        self._closing = True
        self._path = None
        self._close_sockets()

    def _close_sockets(self) -> None:
        for sock in (self._listener, self._rings, self._bell, *(each.sock for each in self._clients.values())):
            sock.close()
        self._clients.clear()

    # In the thread.

    def _run(self) -> None:
        # Signals are for the threads that the program knows.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            while not self._closing:
                self._turn()
                if self._is_alone():
                    break
        finally:
            self._closing = True
            if self._path is not None:
                remove(self._path, self._inode)
            self._close_sockets()
            self._at_end()

    def _turn(self) -> None:
        # Nothing of it is in the kernel, so that a forked child cannot change what the parent waits for.
        with selectors.PollSelector() as selector:
            selector.register(self._rings, selectors.EVENT_READ)
            if time.monotonic() >= self._pause_until:
                selector.register(self._listener, selectors.EVENT_READ)
            for client in self._clients.values():
                if client.outgoing:
                    selector.register(client.sock, selectors.EVENT_WRITE, client)
                elif client.request is None:
                    selector.register(client.sock, selectors.EVENT_READ, client)
            for key, events in selector.select(self._timeout()):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.data is not None:
                    self._serve(key.data, events)
        now = time.monotonic()
        for client in list(self._clients.values()):
            if client.request is not None:
                self._answer(client, client.request)
            elif client.deadline <= now:
                self._drop(client)

    def _timeout(self) -> float:
        moments = [client.deadline for client in self._clients.values() if client.request is None]
        if any(client.request is not None for client in self._clients.values()):
            moments.append(self._next)
        if self._pause_until:
            moments.append(self._pause_until)
        if self._alone_for is not None:
            moments.append(self._last_client + self._alone_for)
        return max(min(moments, default=IDLE_MAX + time.monotonic()) - time.monotonic(), 0.001)

    def _is_alone(self) -> bool:
        if self._clients:
            self._last_client = time.monotonic()
        return self._alone_for is not None and time.monotonic() - self._last_client >= self._alone_for

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError, InterruptedError):
            return
        except OSError:
            self._pause_until = time.monotonic() + _PAUSE
            return
        self._pause_until = 0.0
        sock.setblocking(False)
        if len(self._clients) >= CLIENTS_MAX:
            # Of those that ask nothing, the one that has been silent for longest.
            self._drop(min(self._clients.values(), key=lambda client: (client.is_busy, client.deadline)))
        self._clients[sock.fileno()] = _Client(sock)

    def _drop(self, client: _Client) -> None:
        self._clients.pop(client.sock.fileno(), None)
        client.sock.close()

    def _serve(self, client: _Client, events: int) -> None:
        if client.sock.fileno() < 0:  # dropped meanwhile
            return
        try:
            if events & selectors.EVENT_WRITE:
                client.outgoing = client.outgoing[client.sock.send(client.outgoing) :]
                if client.outgoing:
                    return
                if client.ends:
                    self._drop(client)
                    return
            else:
                data = client.sock.recv(REQUEST_MAX - len(client.incoming))
                if not data:
                    self._drop(client)
                    return
                if not client.incoming:
                    client.deadline = time.monotonic() + DEADLINE
                client.incoming += data
                client.request = taken(client.incoming, by_port=self._path is None)
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._drop(client)
            return
        except Malformed as error:
            self._send(client, refusal(str(error)), ends=True)
            return
        self._next_request(client)

    def _next_request(self, client: _Client) -> None:
        """An answer has gone out; perhaps the next request is there already."""
        client.set_deadline()
        try:
            if client.incoming:
                client.request = taken(client.incoming, by_port=self._path is None)
        except Malformed as error:
            self._send(client, refusal(str(error)), ends=True)

    def _answer(self, client: _Client, request: Request) -> None:
        now = time.monotonic()
        made, text = self._answers.get(request, (0.0, b""))
        if not text or now - made > FRESH:
            if now < self._next:
                return
            began = time.thread_time()
            text = answer(request)
            took = time.thread_time() - began
            now = time.monotonic()
            self._next = now + took * REST
            self._answers = {each: of for each, of in self._answers.items() if now - of[0] <= FRESH}
            self._answers[request] = now, text
        client.request = None
        self._send(client, text, ends=request.is_http)

    def _send(self, client: _Client, text: bytes, *, ends: bool) -> None:
        client.outgoing, client.ends = memoryview(text), ends
        client.set_deadline()


_servers: weakref.WeakSet[StatsServer] = weakref.WeakSet()
#: What the environment asked for, and the process that serves it, or could not.
_asked: tuple[int, StatsServer | None] | None = None


def _in_child() -> None:
    for server in list(_servers):
        if not server.is_closed:
            server._forget_in_child()


def _at_exit() -> None:
    for server in list(_servers):
        server.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
atexit.register(_at_exit)


def serve_stats(path_or_port: str | os.PathLike[str] | int) -> StatsServer:
    """Let `python -m rasyncio top`, and Prometheus, see what this process is doing.

    `path_or_port` is the path of a Unix socket, which the user of this process alone may connect to (mode 0600; "{pid}"
    in it stands for the process's id), or a port of 127.0.0.1, which any user of this machine may. 0 is any free port:
    see the result's `address`. A thread of its own answers, and only reads.

    A forked child does not serve until it calls this itself. Raises OSError, FileExistsError where something is there
    already that is not a socket left behind by a process that has ended; ValueError, TypeError for what is no address.
    """
    return StatsServer(for_process(parsed(path_or_port), os.getpid()))


def serve_if_asked() -> None:
    """Serve, if RASYNCIO_STATS in the environment says where; say on stderr what is wrong with it."""
    global _asked
    value = os.environ.get(VARIABLE, "")
    if not value or (_asked is not None and _asked[0] == os.getpid()):
        return
    _asked = os.getpid(), None
    try:
        _asked = os.getpid(), serve_stats(value)
    except ValueError:
        complain(VARIABLE, KINDS, value)
    except OSError as error:
        print(f"rasyncio: {VARIABLE}={value!r}: stats are not served: {error}", file=sys.stderr)
