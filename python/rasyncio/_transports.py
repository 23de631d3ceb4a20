"""Native transports: asyncio's classes on native halves.

Everything that asyncio's own transport does is still there, as Python code that works on the native half's attributes;
what happens for each piece of data is native, as long as nothing was replaced that it would pass over.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import stat
from asyncio import base_events, constants, futures, protocols, selector_events, transports, trsock, unix_events
from collections.abc import Iterator
from weakref import WeakSet

from . import _asyncio
from ._replaced import Names, are_own, is_builtin, is_own_function

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from typing import Any

#: asyncio's transports, and what they derive from, as they were when this module was imported.
_STOCK: Any = selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
_STOCK_DATAGRAM: Any = selector_events._SelectorDatagramTransport  # type: ignore[attr-defined]
_STOCK_READ_PIPE: Any = unix_events._UnixReadPipeTransport  # type: ignore[attr-defined]
_STOCK_WRITE_PIPE: Any = unix_events._UnixWritePipeTransport  # type: ignore[attr-defined]
_STOCKS = (_STOCK, _STOCK_DATAGRAM, _STOCK_READ_PIPE, _STOCK_WRITE_PIPE)
_STOCK_CLASSES = tuple({cls: None for stock in _STOCKS for cls in stock.__mro__ if cls is not object})

_Core: Any = _asyncio._socket_transport_core(transports._FlowControlMixin)
_DatagramCore: Any = _asyncio._datagram_transport_core(transports._FlowControlMixin)
_ReadPipeCore: Any = _asyncio._read_pipe_core(transports.ReadTransport, _STOCK_READ_PIPE)
_WritePipeCore: Any = _asyncio._write_pipe_core(transports._FlowControlMixin)


class SocketTransport(_Core, _STOCK):  # type: ignore[misc]
    """The transport of a connected stream socket."""

    if TYPE_CHECKING:  # the native ones

        def write(self, data: Any) -> None: ...
        def writelines(self, list_of_data: Any) -> None: ...
        def write_eof(self) -> None: ...
        def close(self) -> None: ...
        def pause_reading(self) -> None: ...
        def resume_reading(self) -> None: ...
        def is_reading(self) -> bool: ...
        def is_closing(self) -> bool: ...
        def get_protocol(self) -> Any: ...
        def set_protocol(self, protocol: Any) -> None: ...
        def get_write_buffer_size(self) -> int: ...
        def get_extra_info(self, name: Any, default: Any = None) -> Any: ...


class DatagramTransport(_DatagramCore, _STOCK_DATAGRAM):  # type: ignore[misc]
    """The transport of a datagram socket.

    For each event of the socket it receives several datagrams, up to a small number; asyncio's receives one.
    """

    if TYPE_CHECKING:  # the native ones

        def sendto(self, data: Any, addr: Any = None) -> None: ...
        def is_closing(self) -> bool: ...
        def get_extra_info(self, name: Any, default: Any = None) -> Any: ...


class ReadPipeTransport(_ReadPipeCore, _STOCK_READ_PIPE):  # type: ignore[misc]
    """The transport of a pipe that is read."""

    if TYPE_CHECKING:  # the native ones

        def pause_reading(self) -> None: ...
        def resume_reading(self) -> None: ...
        def is_reading(self) -> bool: ...
        def is_closing(self) -> bool: ...
        def get_protocol(self) -> Any: ...
        def set_protocol(self, protocol: Any) -> None: ...
        def get_extra_info(self, name: Any, default: Any = None) -> Any: ...


class WritePipeTransport(_WritePipeCore, _STOCK_WRITE_PIPE):  # type: ignore[misc]
    """The transport of a pipe that is written to."""

    if TYPE_CHECKING:  # the native ones

        def write(self, data: Any) -> None: ...
        def is_closing(self) -> bool: ...
        def get_protocol(self) -> Any: ...
        def set_protocol(self, protocol: Any) -> None: ...
        def get_extra_info(self, name: Any, default: Any = None) -> Any: ...


_CLASSES: tuple[type, ...] = (SocketTransport, DatagramTransport, ReadPipeTransport, WritePipeTransport)
_class: type
for _class, _stock in zip(_CLASSES, _STOCKS, strict=True):
    # What their reprs begin with, as on asyncio's own; the module tells them apart.
    _class.__name__ = _class.__qualname__ = _stock.__name__

_asyncio._adopt_transport_class(SocketTransport)
_asyncio._adopt_datagram_transport_class(DatagramTransport)
_asyncio._adopt_read_pipe_class(ReadPipeTransport)
_asyncio._adopt_write_pipe_class(WritePipeTransport)

# The names in asyncio's modules that the functions look up which native code stands in for.
_NAMES = Names(
    (selector_events, "_SelectorSocketTransport", _STOCK),
    (selector_events, "_SelectorDatagramTransport", _STOCK_DATAGRAM),
    (unix_events, "_UnixReadPipeTransport", _STOCK_READ_PIPE),
    (unix_events, "_UnixWritePipeTransport", _STOCK_WRITE_PIPE),
    (unix_events, "os", os),
    (unix_events, "stat", stat),
    (unix_events, "futures", futures),
    (unix_events, "constants", constants),
    (unix_events, "transports", transports),
    (selector_events, "protocols", protocols),
    (selector_events, "socket", socket),
    (selector_events, "constants", constants),
    (selector_events, "futures", futures),
    (selector_events, "trsock", trsock),
    (selector_events, "base_events", base_events),
    (base_events, "socket", socket),
    (protocols, "BufferedProtocol", protocols.BufferedProtocol),
    (socket, "socket", socket.socket),
)
_SERVER: Any = base_events.Server
#: Python's socket, as it was when this module was imported.
_SOCKET = socket.socket
#: The methods of Python's socket that native code passes over; they are its C base's.
_OF_SOCKETS = ("fileno", "recv", "recv_into", "recvfrom", "send", "sendmsg", "sendto")
_MAX_SIZE = 256 * 1024
_HEADER_SIZE = 8
_OURS = {cls: dict(vars(cls)) for cls in _CLASSES}
#: What asyncio's transports of pipes call.
_OF_OS = ("fstat", "read", "set_blocking", "write")


def replaced() -> Iterator[str]:
    """What our transports depend on and is not as it was made: the name of each."""
    yield from _NAMES.replaced()
    if not is_own_function(base_events, "_set_nodelay"):
        yield "asyncio.base_events._set_nodelay"
    for cls, names in _OURS.items():
        if len(vars(cls)) != len(names) or any(vars(cls).get(name) is not value for name, value in names.items()):
            yield f"rasyncio's {cls.__qualname__}"
    for cls in (*_STOCK_CLASSES, _SERVER):
        if not are_own(cls):
            yield f"{cls.__module__}.{cls.__qualname__}"
    if not are_own(WeakSet, "__len__", "add", "discard"):
        yield "weakref.WeakSet"
    if (
        not _STOCK.max_size == _STOCK_DATAGRAM.max_size == _STOCK_READ_PIPE.max_size == _MAX_SIZE
        or getattr(_STOCK_DATAGRAM, "_header_size", _HEADER_SIZE) != _HEADER_SIZE
    ):
        yield "max_size of asyncio's transports"
    for name in _OF_SOCKETS:
        if name in vars(socket.socket):
            yield f"socket.socket.{name}"
    for name in _OF_OS:
        if not is_builtin(getattr(os, name), name):
            yield f"os.{name}"


def _as_made() -> bool:
    """Would asyncio's own transport do for a socket what native code does?"""
    return next(replaced(), None) is None


def _know_sockets() -> bool:
    with _SOCKET() as probe:
        return _asyncio._know_sockets(probe, probe.fileno(), probe.family, probe.type, probe.proto)


#: Whether native code can look into sockets; None if that was not tried yet.
_sockets_are_known: bool | None = None


def knows_sockets() -> bool:
    """Whether native transports can be made at all."""
    global _sockets_are_known
    if _sockets_are_known is None and socket.socket is _SOCKET:
        with contextlib.suppress(OSError):  # no descriptor is left, say
            _sockets_are_known = _know_sockets()
    return bool(_sockets_are_known)


def takes(sock: Any) -> bool:
    """Whether a native transport can be made for the socket: Python's own, which does not block."""
    return knows_sockets() and bool(_asyncio._does_not_block(sock))


def make(loop: Any, sock: Any, protocol: Any, waiter: Any, extra: Any, server: Any, context: Any) -> Any:
    """Make a native transport, or return None where asyncio's own is wanted.

    It can be made for Python's own socket, which does not block, on a loop that waits natively, out of debug mode.
    """
    if not knows_sockets():
        return None
    return _asyncio._open_transport(loop, sock, protocol, waiter, extra, server, context)


_FAMILIES = frozenset({socket.AF_INET, socket.AF_INET6, getattr(socket, "AF_UNIX", socket.AF_INET)})


def takes_datagrams(sock: Any) -> bool:
    """Whether a native transport can be made for the socket: Python's own, which does not block, of known addresses."""
    return (
        takes(sock)
        and sock.type == socket.SOCK_DGRAM
        and sock.family in _FAMILIES
        and sock.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN) == sock.family
    )


#: Whether native code can look into files: this one was never opened.
_FILES_ARE_KNOWN = _asyncio._know_files(io.FileIO.__new__(io.FileIO))


def takes_pipe(pipe: Any) -> bool:
    """Whether a native transport can be made for the pipe: a file or a socket of Python's own, or what is around it."""
    if not _FILES_ARE_KNOWN or (isinstance(pipe, socket.socket) and not knows_sockets()):
        return False
    descriptor = _asyncio._pipe_descriptor(pipe)
    return descriptor >= 0 and bool(descriptor == pipe.fileno())


def checks_descriptors(method: str) -> bool:
    """Whether a loop's method refuses to make a transport for a descriptor that has one.

    This came with a patch release.
    """
    function = getattr(selector_events.BaseSelectorEventLoop, method)
    return "_ensure_fd_no_transport" in function.__code__.co_names


# Whether a server is told which transport is attached to it, and when a transport forgets what was to be called: these
# came with patch releases, too.
_asyncio._note_habits(
    base_events.Server._attach.__code__.co_argcount == 2,  # type: ignore[attr-defined]
    "_write_ready" in _STOCK.close.__code__.co_names,
    "_write_ready" in _STOCK._call_connection_lost.__code__.co_names,
    "_read_ready_cb" in _STOCK._call_connection_lost.__code__.co_names,
    checks_descriptors("_make_socket_transport"),
)
_asyncio._ask_about_transports(
    _as_made,
    *_CLASSES,
    *_STOCK_CLASSES,
    protocols.BufferedProtocol,
    socket.socket,
    _SERVER,
    WeakSet,
    *(vars(module) for module in (selector_events, unix_events, protocols, socket, os)),
)
