"""The measured servers. Each runs in a process of its own, on one implementation, until its standard input ends.

Standard library only at the top, and no asyncio: `implementations.select` has to come before it.

The process tells its port in a line of JSON on standard output. After that it answers each line on standard input with
the CPU seconds that it has used so far. A thread does so, since it must not depend on the measured loop; it sleeps in a
system call meanwhile.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from benches import implementations
from benches.network.figures import cpu_seconds

if TYPE_CHECKING:
    import asyncio

BACKLOG = 1024
RECEIVE = 100 * 1024  # bytes that sock_recv asks for, as in uvloop's and rloop's benchmarks
STREAM_LIMIT = 1024 * 1024  # of a line; theirs too
GREETING = b"Hello, world!\n"  # what the HTTP servers answer

Serve = Callable[[socket.socket], Awaitable[Any]]  # returns when the server listens; what it returns is kept


async def echo_protocol(listener: socket.socket) -> Any:
    """`loop.create_server` and a protocol that writes what it is given."""
    import asyncio

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    return await asyncio.get_running_loop().create_server(Echo, sock=listener)


async def echo_streams(listener: socket.socket) -> Any:
    """`asyncio.start_server`, and lines. Without `drain`, like the published benchmarks: the client reads the answer
    before it sends more, so there is never more than one message to be written."""
    import asyncio

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    return await asyncio.start_server(echo, sock=listener, limit=STREAM_LIMIT)


async def echo_sock(listener: socket.socket) -> Any:
    """`loop.sock_accept`, `sock_recv` and `sock_sendall`, a task for each connection."""
    import asyncio

    loop = asyncio.get_running_loop()
    listener.setblocking(False)
    tasks: set[asyncio.Task[None]] = set()

    async def echo(connection: socket.socket) -> None:
        with connection:
            while data := await loop.sock_recv(connection, RECEIVE):
                await loop.sock_sendall(connection, data)

    async def accept() -> None:
        while True:
            connection, _ = await loop.sock_accept(listener)
            connection.setblocking(False)
            task = loop.create_task(echo(connection))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    return loop.create_task(accept())


async def echo_websockets(listener: socket.socket) -> Any:
    """A server of the package websockets that returns each message."""
    from websockets.asyncio.server import ServerConnection, serve

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    return await serve(echo, sock=listener, compression=None)


async def http_aiohttp(listener: socket.socket) -> Any:
    """An application of aiohttp with one route."""
    from aiohttp import web

    async def greet(request: web.Request) -> web.Response:
        return web.Response(body=GREETING, content_type="text/plain")

    application = web.Application()
    application.router.add_get("/", greet)
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    await web.SockSite(runner, listener, backlog=BACKLOG).start()
    return runner


def http_uvicorn(http: str) -> Serve:
    """A bare ASGI application on uvicorn, with its HTTP parser `h11` or `httptools`."""

    async def serve(listener: socket.socket) -> Any:
        import asyncio

        import uvicorn

        async def application(scope: Any, receive: Any, send: Any) -> None:
            headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(GREETING))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": GREETING})

        config = uvicorn.Config(
            application, http=http, ws="none", lifespan="off", log_level="error", access_log=False, backlog=BACKLOG
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            if task.done():
                await task  # raises what went wrong
                raise RuntimeError("uvicorn ended before it had started")
            await asyncio.sleep(0.01)
        return task

    return serve


SERVERS: dict[str, Serve] = {
    "protocol": echo_protocol,
    "streams": echo_streams,
    "sock": echo_sock,
    "websockets": echo_websockets,
    "aiohttp": http_aiohttp,
    "uvicorn-h11": http_uvicorn("h11"),
    "uvicorn-httptools": http_uvicorn("httptools"),
}


def obey() -> None:
    """Answer the lines on standard input, end the process with it, whatever the loop is doing."""
    for _ in sys.stdin:
        print(json.dumps(cpu_seconds()), flush=True)
    os._exit(0)


def main() -> None:
    """Serve: the arguments are an implementation and a server."""
    implementation, name = sys.argv[1:]
    loop_class = implementations.select(implementation)
    import asyncio

    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    # Accepted sockets inherit it. Some loops set it anyway, and the published benchmarks do.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    port = listener.getsockname()[1]  # asked now, since some loops take the socket away

    async def serve() -> None:
        kept = await SERVERS[name](listener)
        print(json.dumps(port), flush=True)
        threading.Thread(target=obey, daemon=True).start()
        await asyncio.get_running_loop().create_future()
        del kept

    with asyncio.Runner(loop_factory=loop_class) as runner:
        runner.run(serve())
