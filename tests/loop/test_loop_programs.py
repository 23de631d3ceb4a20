"""Everything that asyncio builds on the loop: streams, servers, datagrams, pipes, TLS, sock_*, locks, timeouts."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from typing import Any

import pytest

from support.impls import MINOR
from support.loops import Engine, Say, same_as_stock


@pytest.fixture(params=[False, True], ids=["", "debug"])
def debug(request: pytest.FixtureRequest) -> bool:
    """Everything runs in debug mode too, where the loop takes other ways."""
    value: bool = request.param
    return value


# --- streams and servers


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def call(message: bytes, **where: Any) -> bytes:
    opener = asyncio.open_unix_connection if "path" in where else asyncio.open_connection
    reader, writer = await opener(**where)

    async def send() -> None:
        for start in range(0, len(message), 50_000):
            writer.write(message[start : start + 50_000])
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    _, answer = await asyncio.gather(send(), reader.readexactly(len(message)))
    writer.close()
    await writer.wait_closed()
    return answer


def test_streams(engine: Engine, debug: bool) -> None:
    async def main() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        messages = [bytes([number]) * size for number in range(10) for size in (1, 1000, 300_000)]
        answers = await asyncio.gather(*(call(message, host="127.0.0.1", port=port) for message in messages))
        assert answers == messages
        server.close()
        await server.wait_closed()

    engine.run(main(), debug=debug)


def test_unix_streams(engine: Engine, debug: bool, tmp_path: Any) -> None:
    async def main() -> None:
        path = os.fspath(tmp_path / "socket")
        server = await asyncio.start_unix_server(echo, path)
        assert await asyncio.gather(*(call(b"x" * 200_000, path=path) for _ in range(5))) == [b"x" * 200_000] * 5
        server.close()
        await server.wait_closed()

    engine.run(main(), debug=debug)


def test_refused_connection(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        async def main() -> None:
            with socket.socket() as taken:
                taken.bind(("127.0.0.1", 0))
                port = taken.getsockname()[1]
            try:
                await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError as error:
                say(str(error).replace(str(port), "PORT"))

        engine.run(main())

    same_as_stock(engine_name, scenario)


def test_protocol_callbacks(engine_name: str) -> None:
    """Which are called, and in which order on each side, with flow control and the end of both sides."""

    def scenario(engine: Engine, say: Say) -> None:
        class Server(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                note("server: made")
                self.transport = transport
                self.received = 0

            def data_received(self, data: bytes) -> None:
                self.received += len(data)

            def eof_received(self) -> None:
                note(f"server: end after {self.received}")
                self.transport.write(b"bye")

            def connection_lost(self, error: Exception | None) -> None:
                note(f"server: lost {error}")

        class Client(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                note("client: made")
                transport.set_write_buffer_limits(1000)
                transport.write(b"x" * 5_000_000)
                transport.write_eof()

            def pause_writing(self) -> None:
                note("client: pause")

            def resume_writing(self) -> None:
                note("client: resume")

            def data_received(self, data: bytes) -> None:
                note(f"client: {data!r}")

            def eof_received(self) -> None:
                note("client: end")

            def connection_lost(self, error: Exception | None) -> None:
                note(f"client: lost {error}")
                done.set_result(None)

        async def main() -> None:
            nonlocal done
            loop = asyncio.get_running_loop()
            done = loop.create_future()
            server = await loop.create_server(Server, "127.0.0.1", 0)
            await loop.create_connection(Client, *server.sockets[0].getsockname())
            await done
            server.close()
            await server.wait_closed()

        done: Any = None
        notes: list[str] = []
        note = notes.append
        engine.run(main())
        # Both sides are connected by one poll. Which of two descriptors comes first is up to the selector.
        for line in sorted(notes, key=lambda line: line.partition(":")[0]):
            say(line)

    lines = same_as_stock(engine_name, scenario)
    assert "server: end after 5000000" in lines and "client: b'bye'" in lines


def test_datagrams(engine: Engine, debug: bool) -> None:
    class Collect(asyncio.DatagramProtocol):
        def __init__(self, enough: int) -> None:
            self.received: list[bytes] = []
            self.enough = enough
            self.done = asyncio.get_running_loop().create_future()

        def datagram_received(self, data: bytes, address: Any) -> None:
            self.received.append(data)
            if len(self.received) == self.enough:
                self.done.set_result(None)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        receiving, protocol = await loop.create_datagram_endpoint(lambda: Collect(20), local_addr=("127.0.0.1", 0))
        sending, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=receiving.get_extra_info("sockname")
        )
        for number in range(20):
            sending.sendto(b"%d" % number)
        await protocol.done
        assert sorted(map(int, protocol.received)) == list(range(20))
        sending.close()
        receiving.close()
        await asyncio.sleep(0)

    engine.run(main(), debug=debug)


def test_pipes(engine: Engine, debug: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        read, write = os.pipe()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        reading, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(read, "rb", 0))
        writing, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(write, "wb", 0))
        writing.write(b"x" * 500_000)
        assert len(await reader.readexactly(500_000)) == 500_000
        writing.close()
        assert await reader.read() == b""
        reading.close()
        await asyncio.sleep(0)

    engine.run(main(), debug=debug)


# --- sock_*


def test_sock_methods(engine: Engine, debug: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as listener, socket.socket() as client:
            listener.setblocking(False)
            client.setblocking(False)
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            accepted, _ = await asyncio.gather(
                loop.sock_accept(listener), loop.sock_connect(client, listener.getsockname())
            )
            server, _ = accepted
            with server:
                sent = asyncio.create_task(loop.sock_sendall(client, b"x" * 3_000_000))
                received = 0
                buffer = bytearray(65536)
                while received < 3_000_000:
                    received += await loop.sock_recv_into(server, buffer)
                await sent
                waiting = asyncio.create_task(loop.sock_recv(server, 10))
                await asyncio.sleep(0.002)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                await loop.sock_sendall(client, b"after the cancel")
                assert await loop.sock_recv(server, 100) == b"after the cancel"

    engine.run(main(), debug=debug)


def test_sendfile(engine: Engine, tmp_path: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"y" * 2_000_000)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=right)
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=left)
        with open(path, "rb") as file:
            count, data = await asyncio.gather(loop.sendfile(transport, file), reader.readexactly(2_000_000))
        assert count == 2_000_000 and data == b"y" * 2_000_000
        transport.close()
        writer.close()
        await writer.wait_closed()

    engine.run(main())


# --- TLS


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS without certificates, so that no key need lie in the repository: both sides stay anonymous."""
    both = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    both[1].check_hostname = False
    for context in both:
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.set_ciphers("aNULL:@SECLEVEL=0")
        except ssl.SSLError:
            pytest.skip("this OpenSSL has no anonymous ciphers")
    return both


def test_tls(engine: Engine, debug: bool) -> None:
    server_context, client_context = contexts()

    async def main() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server_context)
        port = server.sockets[0].getsockname()[1]
        messages = [bytes([number]) * 300_000 for number in range(5)]
        answers = await asyncio.gather(
            *(call(message, host="127.0.0.1", port=port, ssl=client_context) for message in messages)
        )
        assert answers == messages
        server.close()

    engine.run(main(), debug=debug)


def test_start_tls(engine: Engine) -> None:
    server_context, client_context = contexts()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go\n")
        await writer.start_tls(server_context)
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"STARTTLS\n")
        assert await reader.readline() == b"go\n"
        await writer.start_tls(client_context)
        writer.write(b"secret\n")
        assert await reader.readline() == b"SECRET\n"
        writer.close()
        server.close()

    if MINOR < (3, 12):
        pytest.skip("3.11's StreamWriter.start_tls is for clients")
    engine.run(main())


def test_failed_handshake(engine_name: str) -> None:
    """The server goes on. Which error the client gets depends on who closes first."""
    server_context, _ = contexts()

    def scenario(engine: Engine, say: Say) -> None:
        async def main() -> None:
            server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server_context)
            address = server.sockets[0].getsockname()
            for _ in range(2):
                try:
                    await asyncio.open_connection(*address, ssl=ssl.create_default_context())
                except OSError:
                    say("refused")
            server.close()
            await server.wait_closed()

        engine.run(main())

    assert same_as_stock(engine_name, scenario) == ["refused"] * 2


# --- names, threads, locks, timeouts


def test_getaddrinfo(engine: Engine) -> None:
    async def main() -> Any:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        assert await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
        return found[0][4]

    assert engine.run(main()) == ("127.0.0.1", 80)


def test_locks_queues_and_timeouts(engine_name: str) -> None:
    """One program with all of them; every step of it in the same order as on the stock loop."""

    def scenario(engine: Engine, say: Say, debug: bool) -> None:
        async def producer(queue: asyncio.Queue[int]) -> None:
            for number in range(6):
                await queue.put(number)
                say(f"put {number}")

        async def consumer(name: str, queue: asyncio.Queue[int]) -> None:
            while True:
                say(f"{name} got {await queue.get()}")
                queue.task_done()

        async def locked(name: str, lock: asyncio.Lock) -> None:
            async with lock:
                say(f"{name} has the lock")
                await asyncio.sleep(0)

        async def main() -> None:
            queue: asyncio.Queue[int] = asyncio.Queue(2)
            consumers = [asyncio.create_task(consumer(name, queue)) for name in ("a", "b")]
            await producer(queue)
            await queue.join()
            for each in consumers:
                each.cancel()
            say(len(await asyncio.gather(*consumers, return_exceptions=True)))
            lock = asyncio.Lock()
            await asyncio.gather(*(locked(name, lock) for name in "xyz"))
            event = asyncio.Event()
            asyncio.get_running_loop().call_later(0.001, event.set)
            say(await event.wait())
            try:
                async with asyncio.timeout(0.001):
                    await asyncio.Event().wait()
            except TimeoutError:
                say("timeout")
            try:
                await asyncio.wait_for(asyncio.sleep(1000), 0.001)
            except TimeoutError:
                say("wait_for")
            done, pending = await asyncio.wait(
                [asyncio.create_task(asyncio.sleep(delay, delay)) for delay in (0, 1000)],
                return_when=asyncio.FIRST_COMPLETED,
            )
            say([each.result() for each in done])
            for each in pending:
                each.cancel()
            for each in asyncio.as_completed([asyncio.sleep(0.002, "late"), asyncio.sleep(0, "early")]):
                say(await each)
            barrier = asyncio.Barrier(3)
            say(sorted(await asyncio.gather(*(barrier.wait() for _ in range(3)))))
            condition = asyncio.Condition()
            async with condition:
                asyncio.get_running_loop().call_soon(asyncio.ensure_future, notify(condition))
                say(await condition.wait())
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(asyncio.sleep(1000))
                    group.create_task(fails())
            except* LookupError as error:
                say(error.exceptions)

        async def notify(condition: asyncio.Condition) -> None:
            async with condition:
                condition.notify_all()

        async def fails() -> None:
            await asyncio.sleep(0)
            raise LookupError("in a group")

        engine.run(main(), debug=debug)

    assert same_as_stock(engine_name, scenario, False) == same_as_stock(engine_name, scenario, True)


def test_a_thousand_tasks_that_sleep(engine: Engine) -> None:
    async def sleeper(number: int) -> int:
        await asyncio.sleep(number % 7 / 1000)
        await asyncio.sleep(0)
        return number

    async def main() -> list[int]:
        return await asyncio.gather(*map(sleeper, range(1000)))

    assert engine.run(main()) == list(range(1000))


def test_deep_chain_of_tasks(engine: Engine) -> None:
    """Each waits for the next one; a result and a cancellation travel through all of them."""

    async def link(depth: int) -> int:
        if depth == 0:
            await asyncio.sleep(0.001)
            return 0
        return 1 + await asyncio.create_task(link(depth - 1))

    async def main() -> None:
        assert await link(2000) == 2000
        task = asyncio.create_task(link(500))
        for _ in range(600):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    engine.run(main())


@pytest.mark.skipif(MINOR < (3, 14), reason="the call graph is new in 3.14")
def test_call_graph(engine: Engine) -> None:
    async def child() -> str:
        return asyncio.format_call_graph()

    async def main() -> str:
        return await asyncio.create_task(child(), name="the child")

    text = engine.run(main())
    assert "the child" in text and "main" in text
