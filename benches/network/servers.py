"""The measured servers. Each runs in a process of its own, on one implementation, until its standard input ends.

Standard library only at the top, and no asyncio: `implementations.select` has to come before it.

The process tells its port in a line of JSON on standard output. What it uses is read from outside (figures.py). A
thread waits for the end of its standard input, since that must not depend on the measured loop; it sleeps in a system
call meanwhile.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benches import implementations

if TYPE_CHECKING:
    import asyncio
    import ssl

HOST = "127.0.0.1"
BACKLOG = 1024
RECEIVE = 100 * 1024  # bytes that sock_recv asks for, as in uvloop's and rloop's benchmarks
STREAM_LIMIT = 1024 * 1024  # of a line; theirs too
BUFFER = 256 * 1024  # bytes that a BufferedProtocol has room for
HEAD = 100  # bytes of a response's first write; an HTTP server's headers are as long
PARTS = 4  # of a response by writelines
FOREVER = 3600.0  # seconds that a connection may be silent
GREETING = b"Hello, world!\n"  # what the HTTP servers answer
GREETING_IN_JSON = {"message": "Hello, world!"}  # what FastAPI does

Served = tuple[Any, int]  # what is to be kept, and the port
Serve = Callable[..., Awaitable[Served]]  # of a directory, if the case has one; returns when the server listens


def listener() -> tuple[socket.socket, int]:
    """A socket that listens, for who wants one, and its port: some loops take the socket away."""
    made = socket.create_server((HOST, 0), backlog=BACKLOG)
    # Accepted sockets inherit it. Loops set it on those of their own listeners, and the published benchmarks do.
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made, port_of(made)


def port_of(listens: Any) -> int:
    """That of a socket."""
    place: tuple[str, int] = listens.getsockname()
    return place[1]


async def create_server(protocol: Callable[[], asyncio.BaseProtocol], tls: ssl.SSLContext | None = None) -> Served:
    """`loop.create_server`."""
    import asyncio

    server = await asyncio.get_running_loop().create_server(protocol, HOST, 0, backlog=BACKLOG, ssl=tls)
    return server, port_of(server.sockets[0])


def context_of(directory: Path) -> ssl.SSLContext:
    """With the certificate that the case has made there, and else as the module ssl makes it."""
    import ssl

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
    return made


def protocol_server(answer: Callable[[Any, bytes], None]) -> Serve:
    """A protocol with this method `data_received`; by TLS if there is a directory with a certificate."""

    async def serve(*directory: Path) -> Served:
        import asyncio

        class Echo(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport: Any = transport

            data_received: Any = answer

        return await create_server(Echo, *map(context_of, directory))

    return serve


def one_write(self: Any, data: bytes) -> None:
    """The plain echo."""
    self.transport.write(data)


def two_writes(self: Any, data: bytes) -> None:
    """Like an HTTP server, which writes the headers and then the body."""
    self.transport.write(data[:HEAD])
    self.transport.write(data[HEAD:])


def parts(self: Any, data: bytes) -> None:
    """One `writelines`."""
    size = -(-len(data) // PARTS)
    self.transport.writelines([data[start : start + size] for start in range(0, len(data), size)])


def one_write_and_close(self: Any, data: bytes) -> None:
    """One answer a connection."""
    self.transport.write(data)
    self.transport.close()


async def echo_buffered() -> Served:
    """A BufferedProtocol as in uvloop's benchmark: it writes a copy, for the next read is into the same buffer."""
    import asyncio

    class Echo(asyncio.BufferedProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport
            self.buffer = bytearray(BUFFER)

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.buffer

        def buffer_updated(self, nbytes: int) -> None:
            self.transport.write(self.buffer[:nbytes])

    return await create_server(Echo)


async def echo_streams(*directory: Path) -> Served:
    """`asyncio.start_server`, and lines. Without `drain`, like the published benchmarks: the client reads the answer
    before it sends more, so there is never more than one message to be written."""
    import asyncio

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    tls = context_of(*directory) if directory else None
    server = await asyncio.start_server(echo, HOST, 0, backlog=BACKLOG, limit=STREAM_LIMIT, ssl=tls)
    return server, port_of(server.sockets[0])


async def echo_sock() -> Served:
    """`loop.sock_accept`, `sock_recv` and `sock_sendall`, a task for each connection."""
    import asyncio

    loop = asyncio.get_running_loop()
    listens, port = listener()
    listens.setblocking(False)
    tasks: set[asyncio.Task[None]] = set()

    async def echo(connection: socket.socket) -> None:
        with connection:
            while data := await loop.sock_recv(connection, RECEIVE):
                await loop.sock_sendall(connection, data)

    async def accept() -> None:
        while True:
            connection, _ = await loop.sock_accept(listens)
            connection.setblocking(False)
            task = loop.create_task(echo(connection))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    return loop.create_task(accept()), port


async def echo_websockets() -> Served:
    """A server of the package websockets that returns each message."""
    from websockets.asyncio.server import ServerConnection, serve

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    listens, port = listener()
    return await serve(echo, sock=listens, compression=None, ping_interval=None), port


async def http_aiohttp() -> Served:
    """An application of aiohttp with one route."""
    from aiohttp import web

    async def greet(request: web.Request) -> web.Response:
        return web.Response(body=GREETING, content_type="text/plain")

    application = web.Application()
    application.router.add_get("/", greet)
    runner = web.AppRunner(application, access_log=None, handle_signals=False, keepalive_timeout=FOREVER)
    await runner.setup()
    listens, port = listener()
    await web.SockSite(runner, listens, backlog=BACKLOG).start()
    return runner, port


def bare_application() -> Any:
    """An ASGI application that no framework helps."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(GREETING))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": GREETING})

    return application


def fastapi_application() -> Any:
    """FastAPI's, as its first page has it."""
    from fastapi import FastAPI

    application = FastAPI()

    @application.get("/")
    async def greet() -> dict[str, str]:
        return GREETING_IN_JSON

    return application


def http_uvicorn(http: str, application: Callable[[], Any]) -> Serve:
    """An ASGI application on uvicorn, with its HTTP parser `h11` or `httptools`."""

    async def serve() -> Served:
        import asyncio

        import uvicorn

        config = uvicorn.Config(
            application(),
            http=http,
            ws="none",
            lifespan="off",
            log_level="error",
            access_log=False,
            backlog=BACKLOG,
            timeout_keep_alive=int(FOREVER),
        )
        server, (listens, port) = uvicorn.Server(config), listener()
        task = asyncio.create_task(server.serve(sockets=[listens]))
        while not server.started:
            if task.done():
                await task  # raises what went wrong
                raise RuntimeError("uvicorn ended before it had started")
            await asyncio.sleep(0.01)
        return task, port

    return serve


async def echo_datagrams() -> Served:
    """`loop.create_datagram_endpoint`, and a protocol that sends back."""
    import asyncio

    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport

        def datagram_received(self, data: bytes, address: Any) -> None:
            self.transport.sendto(data, address)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=(HOST, 0))
    return transport, transport.get_extra_info("sockname")[1]


async def echo_pipes(directory: Path) -> Served:
    """`loop.connect_read_pipe` and `connect_write_pipe`, on the two named pipes in a directory."""
    import asyncio

    loop = asyncio.get_running_loop()
    answers, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, (directory / "answers").open("wb", buffering=0))

    class Echo(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            answers.write(data)

    requests, _ = await loop.connect_read_pipe(Echo, (directory / "requests").open("rb", buffering=0))
    return (answers, requests), 0


SERVERS: dict[str, Serve] = {
    "protocol": protocol_server(one_write),
    "buffered": echo_buffered,
    "streams": echo_streams,
    "sock": echo_sock,
    "twowrites": protocol_server(two_writes),
    "writelines": protocol_server(parts),
    "connect": protocol_server(one_write_and_close),
    "udp": echo_datagrams,
    "pipes": echo_pipes,
    "tls": protocol_server(one_write),
    "tlsstreams": echo_streams,
    "handshake": protocol_server(one_write_and_close),
    "websockets": echo_websockets,
    "aiohttp": http_aiohttp,
    "uvicorn-h11": http_uvicorn("h11", bare_application),
    "uvicorn-httptools": http_uvicorn("httptools", bare_application),
    "fastapi-h11": http_uvicorn("h11", fastapi_application),
    "fastapi-httptools": http_uvicorn("httptools", fastapi_application),
}


def end_with_input() -> None:
    """End the process with its standard input, whatever the loop is doing."""
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Serve: the arguments are an implementation, a server, and the directory of its pipes or of its certificate."""
    implementation, name, *directory = sys.argv[1:]
    loop_class = implementations.select(implementation)
    import asyncio

    async def forever() -> None:
        kept, port = await SERVERS[name](*map(Path, directory))
        print(json.dumps(port), flush=True)
        threading.Thread(target=end_with_input, daemon=True).start()
        await asyncio.get_running_loop().create_future()
        del kept

    with asyncio.Runner(loop_factory=loop_class) as runner:
        runner.run(forever())
