"""Where a process serves its stats: a Unix socket that is its user's alone, or a port of this machine's own address."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

#: The variable of the environment that has an address: the first loop serves there.
VARIABLE = "RASYNCIO_STATS"
LOOPBACK = "127.0.0.1"
#: What an address may be; part of what errors say.
KINDS = "a path of a Unix socket (with {pid} for the process's id), or a port from 1 to 65535 (0: any that is free)"
_BACKLOG = 64
#: In seconds; what is done under the lock takes far less.
_LOCKED_MAX = 2.0

Address = str | int


def parsed(value: object) -> Address:
    """The address as a path or a port; raises ValueError or TypeError for what is neither."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(f"an address is {KINDS}, not {value!r}")
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:10])
    if isinstance(value, int):
        if not 0 <= value <= 65535:
            raise ValueError(f"an address is {KINDS}, not {value}")
        return value
    if not value or "\0" in value:
        raise ValueError(f"an address is {KINDS}, not {value!r}")
    return value


def for_process(address: Address, pid: int) -> Address:
    """The address with what stands for the process's id filled in."""
    return address if isinstance(address, int) else address.replace("{pid}", str(pid))


def listening(address: Address) -> socket.socket:
    """A socket that listens there. Raises OSError: what is there that is not a dead process's socket stays."""
    if isinstance(address, int):
        return _listening_on_port(address)
    path = os.path.abspath(address)
    if len(os.fsencode(path)) > 107:
        raise OSError(errno.ENAMETOOLONG, "the path of a Unix socket has at most 107 bytes: choose a shorter one", path)
    with _alone_in(os.path.dirname(path)):
        _remove_stale(path)
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(path)
            try:
                # Before it listens, nobody can connect.
                os.chmod(path, 0o600)
                listener.listen(_BACKLOG)
            except BaseException:
                os.unlink(path)
                raise
        except BaseException:
            listener.close()
            raise
    return listener


@contextlib.contextmanager
def _alone_in(folder: str) -> Iterator[None]:
    """No other process of ours is about to listen there: what refuses a connection is stale, and stays so.

    Anybody who can read the folder can lock it, so it is gone on without that after a while.
    """
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # it cannot be read, or is not there, which bind() tells
        yield
        return
    try:
        deadline = time.monotonic() + _LOCKED_MAX
        while time.monotonic() < deadline:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                time.sleep(0.005)
        yield
    finally:
        os.close(fd)


def _listening_on_port(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_stale(path: str) -> None:
    """Remove the socket of a process that is gone; raises FileExistsError for anything else that is there."""
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(there.st_mode):
        raise FileExistsError(errno.EEXIST, "is there already, and no socket: choose another path", path)
    if there.st_uid != os.geteuid():
        raise FileExistsError(errno.EEXIST, "is another user's socket: choose another path", path)
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError:  # it has no room for another one, so somebody is there
            pass
    raise FileExistsError(errno.EADDRINUSE, "another process serves there: choose another path, as with {pid}", path)


def remove(path: Path, inode: int) -> None:
    """Remove a socket of our own, if it is that one still."""
    try:
        if path.lstat().st_ino == inode:
            path.unlink()
    except OSError:
        pass
