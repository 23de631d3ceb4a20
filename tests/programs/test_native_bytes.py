"""Programs, unmodified, whose bytes are moved by native code: the loop's own count of them says so.

Two move their bytes otherwise, on any loop: psycopg waits for libpq's socket by `add_reader`, gRPC has sockets and
threads in its core, which wakes the loop by a pair of sockets. They only have to work.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from support.loops import run_fresh
from support.postgres import postgres
from support.redis_server import redis_path

__all__ = ["postgres", "redis_path"]  # fixtures

ENGINES = ("stock", "ours", "ours-c")
NATIVE = """
import asyncio

def moved(least):
    "Whether the loop has received so many bytes natively; asyncio's own loop does not count."
    loop = asyncio.get_running_loop()
    return not hasattr(loop, "stats") or loop.stats().bytes_received >= least
"""


def run_program(name: str, code: str) -> str:
    # Libraries may warn about each other's deprecations: that is not what is tested here.
    return run_fresh(name, f"{NATIVE}\n{code}\nrun(main())", flags=())


AIOHTTP = """
from aiohttp import ClientSession, web

async def echo(request):
    return web.Response(body=await request.read())

async def main():
    application = web.Application(client_max_size=10**7)
    application.add_routes([web.post("/", echo)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    data = bytes(range(256)) * 8000
    async with ClientSession() as session:
        async def one():
            async with session.post(f"http://127.0.0.1:{port}/", data=data) as response:
                return await response.read() == data
        print(await asyncio.gather(*(one() for _ in range(5))))
    print(moved(10 * len(data)))
    await runner.cleanup()
"""
SERVED = """
async def application(scope, receive, send):
    assert scope["type"] == "http"
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body[:1000], "more_body": True})
    await send({"type": "http.response.body", "body": body[1000:]})

async def requests(port):
    "Twenty, by one connection; then two at once."
    data = bytes(range(256)) * 4000
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    def ask():
        writer.write(b"POST / HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(data))
        writer.write(data)
    async def answer():
        await reader.readuntil(b"\\r\\n\\r\\n")
        return await reader.readexactly(len(data)) == data
    answers = []
    for _ in range(20):
        ask()
        answers.append(await answer())
    ask(), ask()
    answers += [await answer(), await answer()]
    writer.close()
    await writer.wait_closed()
    print(len(answers), set(answers))
    print(moved(44 * len(data)))
"""
UVICORN = f"""{SERVED}
import uvicorn

async def main():
    config = uvicorn.Config(application, port=0, log_level="error", lifespan="off", http="PARSER")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    await requests(server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    await serving
"""
HYPERCORN = f"""{SERVED}
import socket
from hypercorn.asyncio import serve
from hypercorn.config import Config

async def main():
    listening = socket.create_server(("127.0.0.1", 0))
    config, done = Config(), asyncio.Event()
    config.bind = [f"fd://{{listening.fileno()}}"]
    config.errorlog = None
    serving = asyncio.create_task(serve(application, config, shutdown_trigger=done.wait))
    await asyncio.sleep(0)
    await requests(listening.getsockname()[1])
    done.set()
    await serving
    listening.detach()
"""
WEBSOCKETS = """
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

async def echo(socket):
    async for message in socket:
        await socket.send(message)

async def main():
    async with serve(echo, "127.0.0.1", 0, max_size=None, compression=None) as server:
        data = bytes(range(256)) * 8000
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", max_size=None, compression=None) as socket:
            for _ in range(5):
                await socket.send(data)
                print(await socket.recv() == data)
            print(type(socket.transport).__name__)
    print(moved(10 * len(data)))
"""
PROGRAMS = {
    "aiohttp": (AIOHTTP, f"{[True] * 5}\nTrue\n"),
    "uvicorn, h11": (UVICORN.replace("PARSER", "h11"), "22 {True}\nTrue\n"),
    "uvicorn, httptools": (UVICORN.replace("PARSER", "httptools"), "22 {True}\nTrue\n"),
    "hypercorn": (HYPERCORN, "22 {True}\nTrue\n"),
    "websockets": (WEBSOCKETS, "True\n" * 5 + "_SelectorSocketTransport\nTrue\n"),
}


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("program", PROGRAMS)
def test_program(name: str, program: str) -> None:
    code, expected = PROGRAMS[program]
    assert run_program(name, code) == expected


@pytest.mark.parametrize("name", ENGINES)
def test_redis(name: str, redis_path: Path) -> None:
    code = f"""
from redis import asyncio as redis

async def main():
    async with redis.Redis(unix_socket_path={str(redis_path)!r}) as client:
        data = bytes(range(256)) * 8000
        await client.set("{name}", data)
        print([await client.get("{name}") == data for _ in range(5)])
        print(moved(5 * len(data)))
"""
    assert run_program(name, code) == f"{[True] * 5}\nTrue\n"


@pytest.mark.parametrize("name", ENGINES)
def test_asyncpg(name: str, postgres: str) -> None:
    pytest.importorskip("asyncpg", reason="there is no asyncpg for this Python")
    code = f"""
import asyncpg

async def main():
    connection = await asyncpg.connect(host={postgres!r}, user="tester", database="postgres")
    data = bytes(range(256)) * 8000
    print([await connection.fetchval("SELECT $1::bytea", data) == data for _ in range(5)])
    print(moved(5 * len(data)))
    await connection.close()
"""
    assert run_program(name, code) == f"{[True] * 5}\nTrue\n"


@pytest.mark.parametrize("name", ENGINES)
def test_psycopg(name: str, postgres: str) -> None:
    """A pipeline, megabytes, COPY, a query that is cancelled, notifications."""
    pytest.importorskip("psycopg", reason="there is no psycopg for this Python")
    code = f"""
import psycopg

async def main():
    options = dict(host={postgres!r}, user="tester", dbname="postgres", autocommit=True)
    async with await psycopg.AsyncConnection.connect(**options) as connection:
        data = bytes(range(256)) * 8000
        for _ in range(3):
            cursor = await connection.execute("SELECT %b::bytea", [data])
            print((await cursor.fetchone())[0] == data)
        async with connection.pipeline():
            cursors = [await connection.execute("SELECT %s::int", [number]) for number in range(50)]
            print([(await cursor.fetchone())[0] for cursor in cursors] == list(range(50)))
        await connection.execute("CREATE TEMPORARY TABLE numbers (number int)")
        async with connection.cursor() as cursor:
            async with cursor.copy("COPY numbers FROM STDIN") as copy:
                for number in range(10_000):
                    await copy.write_row([number])
            await cursor.execute("SELECT sum(number) FROM numbers")
            print((await cursor.fetchone())[0])
        try:
            await asyncio.wait_for(connection.execute("SELECT pg_sleep(60)"), 0.1)
        except TimeoutError:
            cursor = await connection.execute("SELECT 7")
            print("timed out", (await cursor.fetchone())[0])
        await connection.execute("LISTEN heard")
        async with await psycopg.AsyncConnection.connect(**options) as other:
            await other.execute("NOTIFY heard, 'hello'")
        async for heard in connection.notifies(stop_after=1, timeout=30):
            print(heard.payload)
"""
    assert run_program(name, code) == "True\nTrue\nTrue\nTrue\n49995000\ntimed out 7\nhello\n"


@pytest.mark.parametrize("name", ENGINES)
def test_grpc(name: str) -> None:
    """A server and a client of grpc.aio: calls at once, megabytes, streams both ways, a call that is cancelled."""
    if importlib.util.find_spec("grpc") is None:
        pytest.skip("there is no grpcio for this Python")
    code = """
import grpc

class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        name = details.method.rpartition("/")[2]
        if name == "echo":
            return grpc.unary_unary_rpc_method_handler(self.echo)
        if name == "stream":
            return grpc.stream_stream_rpc_method_handler(self.stream)
        return grpc.unary_unary_rpc_method_handler(self.never)

    async def echo(self, request, context):
        await asyncio.sleep(0)
        return request

    async def stream(self, requests, context):
        async for request in requests:
            yield request[::-1]

    async def never(self, request, context):
        try:
            await asyncio.sleep(1000)
        finally:
            ended.set()

async def main():
    global ended
    ended = asyncio.Event()
    limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.aio.server(options=limits)
    server.add_generic_rpc_handlers([Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=limits) as channel:
        echo = channel.unary_unary("/test/echo")
        print(await asyncio.gather(*(echo(b"%d" % number) for number in range(50))) == [b"%d" % n for n in range(50)])
        data = bytes(range(256)) * 20_000
        print(await echo(data) == data)
        async def requests():
            for number in range(10):
                yield b"%d." % number
        print([answer async for answer in channel.stream_stream("/test/stream")(requests())])
        call = channel.unary_unary("/test/never")(b"")
        await asyncio.sleep(0.05)
        call.cancel()
        try:
            await call
        except asyncio.CancelledError:
            print("cancelled")
        await asyncio.wait_for(ended.wait(), 20)
    await server.stop(None)
"""
    answers = [b".%d" % number for number in range(10)]
    assert run_program(name, code) == f"True\nTrue\n{answers}\ncancelled\n"
