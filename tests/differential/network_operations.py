"""The operations of programs of connections. Those on peers and those that run the loop are for the top level only."""

from __future__ import annotations

import array
import asyncio
import inspect
import os
import re
import socket
import struct
import tempfile
import zlib
from asyncio import selector_events
from collections.abc import Callable, Iterator
from typing import Any

from . import operations
from .connections import CONNECTIONS, READ_AT_ONCE, Connection, Network, unread
from .interpreter import NOT_THERE
from .network import HUGE

#: So many turns are enough for a connection to be made.
TURNS = 8
NOT_NOW = "nobody knows how much the socket would take"


KEEPS_EMPTY = "if data]" not in inspect.getsource(
    selector_events._SelectorSocketTransport.writelines  # type: ignore[attr-defined]
)
COUNTS_ITEMS = "asyncio counts the items of what it keeps of a view, and loses some"


class OwnBytes(bytes):
    pass


def of_connection(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operation on a connection: its index comes first."""

    def operation(world: Network, index: int, *arguments: Any) -> Any:
        connection = world.connection(index)
        if connection is None or connection.transport is None:
            return NOT_THERE
        return function(world, connection, *arguments)

    return operation


def of_peer(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operation on the plain socket at a connection's other end."""

    def operation(world: Network, index: int, *arguments: Any) -> Any:
        connection = world.connection(index)
        if connection is None or connection.peer is None:
            return NOT_THERE
        return function(world, connection, connection.peer, *arguments)

    return operation


def until_done(world: Network, task: Any, turns: int = TURNS) -> Any:
    """What a task came to in a few turns, as text."""
    for _ in range(turns):
        if task.done():
            break
        world.quiet_turn()
    else:
        task.cancel()
        world.quiet_turn(2)
        return "it takes long"
    if task.cancelled():
        return "cancelled"
    return task.exception() or "done"


# --- making connections


def do_connect(world: Network, which: str, how: str, description: dict[str, Any], other: dict[str, Any]) -> Any:
    if len(world.connections) >= CONNECTIONS:
        return NOT_THERE
    loop, connection = world.loop, Connection(world, which)
    if how == "server":
        return connect_to_server(world, connection, description)
    ours, peer = world.pair(which)
    if how == "pair":
        connection.other = Connection(world, which)
        connection.other.other = connection
    else:
        connection.peer = peer
        world.closed_at_end.append(peer)
    outcomes = [until_done(world, loop.create_task(make(world, connection, ours, how, description)))]
    if connection.other is not None:
        outcomes.append(until_done(world, loop.create_task(make(world, connection.other, peer, "accepted", other))))
    return outcomes


async def make(world: Network, connection: Connection, sock: socket.socket, how: str, description: Any) -> None:
    loop, protocol = world.loop, lambda: world.protocol(connection, description)
    if how == "accepted":
        made = await loop.connect_accepted_socket(protocol, sock)
    elif connection.which == "unix":
        made = await loop.create_unix_connection(protocol, sock=sock)
    else:
        made = await loop.create_connection(protocol, sock=sock)
    world.say("made", made[0] is connection.transport, made[1])


def connect_to_server(world: Network, connection: Connection, description: dict[str, Any]) -> Any:
    listening = world.listener(connection.which)
    create = world.loop.create_unix_server if connection.which == "unix" else world.loop.create_server
    task = world.loop.create_task(create(lambda: world.protocol(connection, description), sock=listening))
    outcome = until_done(world, task)
    if outcome != "done":
        return outcome
    world.servers.append(task.result())
    connection.peer = world.dial(listening)
    world.closed_at_end.append(connection.peer)
    for _ in range(TURNS):
        if connection.transport is not None:
            break
        world.quiet_turn()
    return connection.transport is not None


# --- what can be done to a transport


def payload(connection: Connection, kind: str, size: int) -> Any:
    """Something to write."""
    if kind == "of ints":
        size -= size % 4
    data = connection.out.take(size)
    makers: dict[str, Callable[[], Any]] = {
        "bytes": lambda: data,
        "bytes subclass": lambda: OwnBytes(data),
        "bytearray": lambda: bytearray(data),
        "bytearray changed": lambda: bytearray(data),
        "memoryview": lambda: memoryview(data),
        "of ints": lambda: memoryview(data).cast("i"),
        "strided": lambda: memoryview(data)[::-1],
        "two dimensions": lambda: memoryview(data).cast("B", (1, size)) if size else memoryview(data),
        "released": lambda: released(data),
        "str": lambda: "text" * bool(size),
        "None": lambda: None,
        "int": lambda: size,
        "array": lambda: array.array("i", [size]),
        "list": lambda: [data],
    }
    return makers[kind]()


def released(data: bytes) -> memoryview:
    view = memoryview(data)
    view.release()
    return view


def change(kind: str, data: Any) -> None:
    """What a program does with its bytearray when it has written it; some of it may be kept as it was."""
    if kind == "bytearray changed" and data:
        data[:] = b"!" * len(data)
        data.clear()


@of_connection
def do_write(world: Network, connection: Connection, what: list[Any]) -> Any:
    kind, size = what
    # What is changed afterwards would show how much the socket has taken.
    if not connection.may_write(size) or (kind == "bytearray changed" and size == HUGE):
        return NOT_NOW
    if kind == "of ints" and connection.transport.get_write_buffer_size():
        return COUNTS_ITEMS
    data = payload(connection, kind, size)
    connection.written += size
    try:
        return connection.transport.write(data)
    finally:
        change(kind, data)


@of_connection
def do_writelines(world: Network, connection: Connection, shape: str, parts: list[list[Any]]) -> Any:
    if any(kind == "of ints" for kind, _ in parts):
        return COUNTS_ITEMS
    if KEEPS_EMPTY and any(not size for _, size in parts):
        return "asyncio keeps what is empty (gh-155888)"
    total = sum(size for _, size in parts)
    if not connection.may_write(total):
        return NOT_NOW
    connection.written += total
    data = [payload(connection, *part) for part in parts]
    makers: dict[str, Callable[[], Any]] = {
        "list": lambda: data,
        "tuple": lambda: tuple(data),
        "generator": lambda: (each for each in data),
    }
    return connection.transport.writelines(makers[shape]())


@of_connection
def do_write_eof(world: Network, connection: Connection) -> Any:
    return [connection.transport.can_write_eof(), connection.transport.write_eof()]


@of_connection
def do_close(world: Network, connection: Connection) -> None:
    connection.transport.close()


@of_connection
def do_abort(world: Network, connection: Connection) -> None:
    connection.transport.abort()


@of_connection
def do_pause_reading(world: Network, connection: Connection) -> None:
    connection.transport.pause_reading()


@of_connection
def do_resume_reading(world: Network, connection: Connection) -> None:
    connection.transport.resume_reading()


@of_connection
def do_limits(world: Network, connection: Connection, high: int | None, low: int | None) -> Any:
    connection.transport.set_write_buffer_limits(high, low)
    return connection.transport.get_write_buffer_limits()


@of_connection
def do_set_protocol(world: Network, connection: Connection, description: dict[str, Any]) -> None:
    connection.transport.set_protocol(world.protocol(connection, description))


def coarse(size: int) -> str:
    return "some" if size else "none"


@of_connection
def do_look(world: Network, connection: Connection) -> Any:
    """What anybody asks a transport."""
    transport = connection.transport
    return [
        transport.is_closing(),
        transport.is_reading(),
        coarse(transport.get_write_buffer_size()),
        transport.get_write_buffer_limits(),
        repr(transport.get_protocol()),
    ]


@of_connection
def do_state(world: Network, connection: Connection) -> Any:
    """All that can be read of a transport, its private attributes included."""
    transport = connection.transport
    names = ("_closing", "_paused", "_eof", "_conn_lost", "_protocol_paused", "_high_water", "_low_water")
    return [
        repr(connection),
        repr(transport),
        do_look(world, world.connections.index(connection)),
        [f"{name}={getattr(transport, name)}" for name in names],
        [name for name in ("_sock", "_loop", "_protocol", "_server", "_empty_waiter") if getattr(transport, name)],
        f"buffer={coarse(sum(map(len, transport._buffer)))}",
        # The number of one that is closed may be another's by now.
        f"known={connection.has_descriptor() and world.loop._transports.get(transport._sock_fd) is transport}",
        account(connection),
    ]


def account(connection: Connection) -> str:
    """Whether the buffer has what is neither in the kernel nor with the peer. TCP may have some of it under way."""
    if connection.which != "unix" or connection.peer is None or connection.sends_files:
        return ""
    if connection.transport._conn_lost:
        return ""
    left = connection.written - connection.arrived - unread(connection.peer.fileno())
    size = connection.transport.get_write_buffer_size()
    return "" if left == size else "the buffer has another size than what was refused or has not been sent"


@of_connection
def do_extra(world: Network, connection: Connection, name: Any) -> Any:
    value = connection.transport.get_extra_info(name, "default")
    return re.sub(r"(raddr|laddr|fd)=[^()]*?(\(.*?\)|\d+|b?'.*?')", r"\1", repr(value)) if name == "socket" else [value]


@of_connection
def do_close_socket(world: Network, connection: Connection, how: str) -> Any:
    """Behind the transport's back."""
    sock = connection.transport._sock
    if sock is None or sock.fileno() < 0:
        return NOT_THERE
    if connection.transport.get_write_buffer_size() or (connection.sends_files and connection.under_way()):
        return NOT_NOW  # nor when it would take more; and asyncio's selector cannot have its file modified any more
    if how == "detach":
        world.closed_at_end.append(sock.detach())
    elif how == "shutdown":
        sock.shutdown(socket.SHUT_RDWR)
    else:
        sock.close()
    return None


@of_connection
def do_forget(world: Network, connection: Connection) -> None:
    """Nobody but the loop has the transport any more."""
    connection.transport = None
    operations.in_any_order(world, operations.gc.collect)


@of_connection
def do_add_reader(world: Network, connection: Connection) -> Any:
    descriptor = connection.descriptor()
    world.loop.add_reader(descriptor, print)
    return world.loop.remove_reader(descriptor)


def file_to_send() -> Any:
    file = tempfile.TemporaryFile()  # noqa: SIM115  # closed at the end of the program
    file.write(bytes(range(250)) * 12_000)
    return file


@of_connection
def do_send_file(world: Network, connection: Connection, size: int, fallback: bool) -> Any:
    if not connection.may_write(size):
        return NOT_NOW
    connection.written += size
    connection.sends_files = True
    world.closed_at_end.append(file := file_to_send())
    sending = world.loop.sendfile(connection.transport, file, 0, size, fallback=fallback)
    task = world.loop.create_task(sending)
    task.add_done_callback(lambda _: world.say("file sent", until_done(world, task)))
    return None


# --- the peer


@of_peer
def do_peer_send(world: Network, connection: Connection, peer: socket.socket, size: int) -> Any:
    before = connection.back.position - connection.received
    if before + size > READ_AT_ONCE:
        return NOT_NOW
    data = connection.back.take(size)
    try:
        sent = peer.send(data) if size else 0
    except OSError as error:
        connection.back.position -= size
        return error
    connection.back.position -= size - sent
    connection.wait_until_readable(before + sent)
    return sent


@of_peer
def do_peer_eof(world: Network, connection: Connection, peer: socket.socket) -> None:
    peer.shutdown(socket.SHUT_WR)
    connection.wait_until_ended()


@of_peer
def do_peer_end(world: Network, connection: Connection, peer: socket.socket, how: str) -> None:
    if how == "shutdown both":
        peer.shutdown(socket.SHUT_RDWR)
    else:
        connection.peer = None
        if how == "reset":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
    connection.wait_until_ended()


def got(connection: Connection, data: bytes, end: Any) -> list[str]:
    connection.arrived += len(data)
    return [f"{len(data)} bytes {zlib.crc32(data):08x}", end]


@of_peer
def do_peer_receive(world: Network, connection: Connection, peer: socket.socket, size: int) -> Any:
    """A little of what is there."""
    expected = min(size, connection.under_way())
    connection.wait_for(peer.fileno(), lambda: unread(peer.fileno()) >= expected)
    try:
        return got(connection, peer.recv(size), "")
    except OSError as error:
        return error


@of_peer
def do_peer_drain(world: Network, connection: Connection, peer: socket.socket) -> Any:
    """All that comes until nothing comes any more."""
    pieces: list[bytes] = []
    idle, end = 0, ""
    connection.draining = True
    while not end and idle < 4:
        try:
            pieces.append(peer.recv(1 << 20))
            end = "" if pieces[-1] else "EOF"
            idle = 0
        except BlockingIOError:
            idle += 1
        except OSError as error:
            end = world.show(error)
        if idle:
            world.quiet_turn()
            if connection.which != "unix" and connection.under_way() > sum(map(len, pieces)):
                connection.wait_for(peer.fileno(), lambda: unread(peer.fileno()) > 0)
    connection.draining = False
    return got(connection, b"".join(pieces), end)


# --- attempts that are cancelled


def attempts(world: Network, connection: Connection, name: str) -> Iterator[Any]:
    """The sockets that an attempt needs, which are closed at the end of it; in between, its coroutine."""
    loop, sockets = world.loop, [*world.pair("unix"), world.listener("tcp4"), world.listener("unix")]
    one, _, tcp, unix = sockets
    dialing = socket.socket()
    dialing.setblocking(False)
    description = {"buffered": False, "eof": None, "does": {}}

    def protocol() -> Any:
        return world.protocol(connection, description)

    makers: dict[str, Callable[[], Any]] = {
        "create_connection": lambda: loop.create_connection(protocol, *tcp.getsockname()),
        "create_connection sock": lambda: loop.create_connection(protocol, sock=one),
        "create_server": lambda: loop.create_server(protocol, "127.0.0.1", 0),
        "create_unix_connection": lambda: loop.create_unix_connection(protocol, unix.getsockname()),
        "create_unix_server": lambda: loop.create_unix_server(protocol, f"\0rasyncio {os.getpid()}"),
        "connect_accepted_socket": lambda: loop.connect_accepted_socket(protocol, one),
        "sock_connect": lambda: loop.sock_connect(dialing, tcp.getsockname()),
        "sock_accept": lambda: loop.sock_accept(tcp),
        "sock_recv": lambda: loop.sock_recv(one, 100),
        "sock_sendall": lambda: loop.sock_sendall(one, bytes(HUGE)),
        "create_datagram_endpoint": lambda: loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        ),
    }
    yield makers[name]()
    for each in [*sockets, dialing]:
        each.close()


def do_cancelled(world: Network, name: str, steps: int, message: Any) -> Any:
    """Cancel an attempt after so many turns; then the numbers of its descriptors are used again at once."""
    connection = Connection(world, "unix")
    world.connections.pop()
    connection.label = "attempt"
    sockets = attempts(world, connection, name)
    task = world.loop.create_task(next(sockets))
    world.quiet_turn(steps)
    task.cancel(*([] if message is None else [str(message)]))
    for _ in range(TURNS):
        world.quiet_turn()
    outcome: Any = "it takes long"
    if task.done():
        outcome = "cancelled" if task.cancelled() else task.exception() or "done"
        if outcome == "done":
            result = task.result()
            for each in result if isinstance(result, tuple) else [result]:
                if hasattr(each, "close"):
                    each.close()
    next(sockets, None)
    fresh = socket.socketpair(), socket.socketpair(), socket.socketpair()
    for one, other in fresh:
        one.send(b"mine")
        other.send(b"mine")
    world.quiet_turn(3)
    unharmed = all(each.recv(100, socket.MSG_DONTWAIT) == b"mine" for pair in fresh for each in pair)
    for pair in fresh:
        for each in pair:
            each.close()
    return [outcome, unharmed]


OPERATIONS: dict[str, Callable[..., Any]] = operations.OPERATIONS | {
    name.removeprefix("do_"): function for name, function in globals().items() if name.startswith("do_")
}
