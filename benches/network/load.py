"""The client that loads the echo servers: the same for every implementation, on no event loop but plain sockets.

A connection sends its next message when it has the whole answer to the last one. One connection is driven by blocking
calls, several by epoll; per request that is one send and one or more receives, with little Python in between: about
10 µs of CPU time at 1 KiB, most of it the kernel's. That is less than a server on asyncio's own loop takes, but as much
as the fastest ones do. And since client and server wait for each other, the kernel likes to run them on one CPU, where
they take turns. So the client reports its own CPU time, and the table shows it next to the requests per second, of
which it is a part, the same for all servers; the server's CPU time per request is free of it.

First each connection sends random bytes of its own, and the answer must be those bytes. That also warms the server up.
After the following line on standard input comes the timing, whose answers are counted byte by byte and not looked at.
"""

import argparse
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Sequence
from typing import Any

from benches.network.figures import cpu_seconds, summary

TIMEOUT = 20.0  # seconds without a byte
WARM_UP = 0.25  # of the seconds of the timing
CHECKS = 2  # messages of each connection that are compared

WEBSOCKET_REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def receive(connection: socket.socket, size: int) -> bytes:
    """So many bytes."""
    received = bytearray()
    while len(received) < size:
        data = connection.recv(size - len(received))
        if not data:
            raise ConnectionError(f"the server closed the connection after {len(received)} of {size} bytes")
        received += data
    return bytes(received)


def upgrade(connection: socket.socket) -> None:
    """The handshake of a WebSocket, without extensions."""
    connection.sendall(WEBSOCKET_REQUEST)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += receive(connection, 1)
    if b" 101 " not in answer.partition(b"\r\n")[0]:
        raise ConnectionError(f"no WebSocket: {answer!r}")


def line(size: int) -> bytes:
    """Random bytes that end with a newline and have no other one: a server may read lines."""
    return os.urandom(size - 1).replace(b"\n", b"\0") + b"\n"


def frame(payload: bytes, mask: bytes = b"") -> bytes:
    """A WebSocket's binary message of one frame; a client must mask it."""
    masked, length = 0x80 if mask else 0, len(payload)
    if length < 126:
        head = struct.pack("!BB", 0x82, masked | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", 0x82, masked | 126, length)
    else:
        head = struct.pack("!BBQ", 0x82, masked | 127, length)
    if mask:
        key = mask * (length // 4) + mask[: length % 4]
        payload = (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(length)
    return head + mask + payload


def exchange(size: int, websocket: bool) -> tuple[bytes, bytes]:
    """A request, and the answer that it must have."""
    payload = line(size)
    return (frame(payload, mask=os.urandom(4)), frame(payload)) if websocket else (payload, payload)


def check(connections: Sequence[socket.socket], size: int, websocket: bool) -> None:
    """Compare answers, with messages of all connections under way at the same time."""
    for _ in range(CHECKS):
        expected = []
        for connection in connections:
            request, answer = exchange(size, websocket)
            connection.sendall(request)
            expected.append(answer)
        for connection, answer in zip(connections, expected, strict=True):
            if receive(connection, len(answer)) != answer:
                raise ConnectionError("the server's answer is not what it was sent")


def alone(connection: socket.socket, request: bytes, size: int, seconds: float) -> list[int]:
    """Latencies of one connection's requests."""
    clock, send, receive_into = time.perf_counter_ns, connection.sendall, connection.recv_into
    latencies, buffer = [], bytearray(size)
    now = clock()
    end = now + int(seconds * 1e9)
    while now < end:
        started, left = now, size
        send(request)
        while left:
            received = receive_into(buffer, left)
            if not received:
                raise ConnectionError("the server closed the connection")
            left -= received
        now = clock()
        latencies.append(now - started)
    return latencies


def together(connections: Sequence[socket.socket], request: bytes, size: int, seconds: float) -> list[int]:
    """Latencies of many connections' requests.

    `sendall` does not wait for long, though the sockets are blocking: the connection that it sends on has nothing else
    under way, so the server is ready to read it, and a message fits into the socket's buffer.
    """
    clock = time.perf_counter_ns
    latencies, buffer = [], bytearray(size)
    poller = select.epoll()
    by_number = {connection.fileno(): connection for connection in connections}
    now = clock()
    end = now + int(seconds * 1e9)
    started, left = {}, {}
    for number, connection in by_number.items():
        poller.register(number, select.EPOLLIN)
        started[number], left[number] = clock(), size
        connection.sendall(request)
    while started:
        ready = poller.poll(TIMEOUT)
        if not ready:
            raise TimeoutError(f"no answer within {TIMEOUT:g} s")
        for number, _ in ready:
            connection = by_number[number]
            received = connection.recv_into(buffer, left[number])
            if not received:
                raise ConnectionError("the server closed the connection")
            left[number] -= received
            if left[number]:
                continue
            now = clock()
            latencies.append(now - started[number])
            if now < end:
                started[number], left[number] = now, size
                connection.sendall(request)
            else:
                del started[number]
    poller.close()
    return latencies


def timed(connections: Sequence[socket.socket], request: bytes, size: int, seconds: float) -> dict[str, Any]:
    """One timing."""
    cpu, start = cpu_seconds(), time.perf_counter()
    if len(connections) == 1:
        latencies = alone(connections[0], request, size, seconds)
    else:
        latencies = together(connections, request, size, seconds)
    elapsed = time.perf_counter() - start
    return summary(latencies, elapsed, cpu_seconds() - cpu)


def main() -> None:
    """Connect, check, warm up, say "ready", wait for a line, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--size", type=int, default=1024, help="of a message, bytes")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--websocket", action="store_true")
    arguments = parser.parse_args()
    connections = []
    for _ in range(arguments.connections):
        connection = socket.create_connection(("127.0.0.1", arguments.port), timeout=TIMEOUT)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if arguments.websocket:
            upgrade(connection)
        # A timeout of Python's costs a poll() in each call; the kernel's costs nothing.
        connection.settimeout(None)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(TIMEOUT), 0))
        connections.append(connection)
    check(connections, arguments.size, arguments.websocket)
    request, answer = exchange(arguments.size, arguments.websocket)
    timed(connections, request, len(answer), arguments.seconds * WARM_UP)
    print(json.dumps("ready"), flush=True)
    sys.stdin.readline()
    timing = timed(connections, request, len(answer), arguments.seconds)
    check(connections, arguments.size, arguments.websocket)
    print(json.dumps(timing), flush=True)


if __name__ == "__main__":
    main()
