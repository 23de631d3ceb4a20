"""TLS with ends that are not Python's: the openssl command's client and server, and curl."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import ssl
import subprocess
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from support.loops import Say
from support.net import Recorder, until
from support.tls import HOST, certificates, client_context, same, server_context

pytestmark = pytest.mark.usefixtures("route")

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


class Command:
    """A program that runs while the loop does."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=certificates()
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self.output = b""

    def says(self, text: bytes) -> bool:
        """Whether it has said that by now."""
        assert self.process.stdout is not None
        self.output += self.process.stdout.read() or b""
        return text in self.output

    def is_told(self, text: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[Command]:
    command = Command(*arguments)
    try:
        yield command
    finally:
        command.process.kill()
        command.process.communicate()


class Routed(Recorder):
    """Remembers by which routes it was connected."""

    routes: ClassVar[list[str | None]] = []

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.routes.append(transport.get_extra_info("rasyncio_tls"))


@pytest.fixture(autouse=True)
def the_route_is_taken(route: str) -> Iterator[None]:
    """Once by asyncio's own code, for comparison; then as was asked for."""
    Routed.routes.clear()
    yield
    assert set(Routed.routes) == {None, route}


class Echo(Routed):
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.write(data)


def serve(loop: Any, protocol: Callable[[], Any], context: ssl.SSLContext) -> tuple[Any, int]:
    server = loop.run_until_complete(loop.create_server(protocol, "127.0.0.1", 0, ssl=context))
    return server, server.sockets[0].getsockname()[1]


def openssl_client(port: int, *options: str) -> contextlib.AbstractContextManager[Command]:
    trust = ("-CAfile", "ca.pem", "-verify_return_error", "-brief")
    return running("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", HOST, *trust, *options)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_the_client_of_openssl(version: str) -> None:
    """It also asks for new keys, which the server has to answer with its own; and, with TLS 1.2, for a new handshake,
    which is refused."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        protocols: list[Echo] = []
        server, port = serve(loop, lambda: protocols.append(Echo()) or protocols[-1], server_context())
        with openssl_client(port, version) as client:
            until(loop, lambda: client.says(b"Verification: OK"))
            client.is_told(b"first words\n")
            until(loop, lambda: client.says(b"first words"))
            if version == "-tls1_3":
                for command in (b"K\n", b"k\n"):
                    client.is_told(command)
                    loop.run_until_complete(asyncio.sleep(0.05))
                    client.is_told(b"after " + command)
                    until(loop, lambda command=command: client.says(b"after " + command))
            else:
                client.is_told(b"R\n")
                until(loop, lambda: client.process.poll() is not None)
                say(b"no renegotiation" in client.process.communicate()[0])
            with contextlib.suppress(OSError, ValueError):
                client.is_told(b"Q\n")
            until(loop, lambda: protocols[0].lost)
        say(protocols[0].events)
        server.close()
        loop.run_until_complete(server.wait_closed())

    same(scenario)


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)
def test_the_server_of_openssl(version: ssl.TLSVersion) -> None:
    """It sends each line back in reverse."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        keys = ("-cert", "server.pem", "-key", "server.key")
        with running("openssl", "s_server", "-accept", "127.0.0.1:0", *keys, "-rev") as server:
            until(loop, lambda: server.says(b"ACCEPT 127.0.0.1:") and server.output.endswith(b"\n"))
            port = int(server.output.rsplit(b":", 1)[1])
            protocol = Routed()
            connecting = loop.create_connection(
                lambda: protocol, "127.0.0.1", port, ssl=client_context(version), server_hostname=HOST
            )
            transport, _ = loop.run_until_complete(connecting)
            say(transport.get_extra_info("ssl_object").version())
            for size in (1, 1000, 15_000):
                protocol.data.clear()
                transport.write(b"abc" * size + b"\n")
                until(loop, lambda size=size: len(protocol.data) > 3 * size)
                say(protocol.data == b"cba" * size + b"\n")
            transport.close()
            until(loop, lambda: protocol.lost)
            say(protocol.events[-1])

    same(scenario)


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=str)
def test_the_server_of_openssl_begins_anew(version: ssl.TLSVersion) -> None:
    """It asks for new keys in both ways (TLS 1.3), or for a new handshake (TLS 1.2), within a connection."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        keys = ("-cert", "server.pem", "-key", "server.key")
        with running("openssl", "s_server", "-accept", "127.0.0.1:0", *keys) as server:
            until(loop, lambda: server.says(b"ACCEPT 127.0.0.1:") and server.output.endswith(b"\n"))
            port = int(server.output.rsplit(b":", 1)[1])
            protocol = Routed()
            connecting = loop.create_connection(
                lambda: protocol, "127.0.0.1", port, ssl=client_context(version), server_hostname=HOST
            )
            transport, _ = loop.run_until_complete(connecting)
            for number, command in enumerate((b"k", b"K", b"k") if version == TLS13 else (b"r", b"r")):
                server.is_told(command + b"\n")
                loop.run_until_complete(asyncio.sleep(0.05))
                server.is_told(b"after %d\n" % number)
                until(loop, lambda number=number: protocol.lost or protocol.data.endswith(b"after %d\n" % number))
                transport.write(b"answer %d\n" % number)
                until(loop, lambda number=number: protocol.lost or server.says(b"answer %d" % number))
            say(bytes(protocol.data))
            say([line for line in server.output.splitlines() if line.startswith((b"answer", b"Verification"))])
            transport.abort()
            until(loop, lambda: protocol.lost)
            say(protocol.events[-1])

    same(scenario)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("size", [10, 3_000_000])
def test_curl(version: str, size: int) -> None:
    """A download and an upload, by streams."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        body = bytes(i * 7 % 251 for i in range(1000)) * (size // 1000 + 1)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            Routed.routes.append(writer.get_extra_info("rasyncio_tls"))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int((re.search(rb"(?i)content-length: (\d+)", head) or [b"", b"0"])[1])
            if b"100-continue" in head:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            say(await reader.readexactly(length) == body[:length])
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body))
            writer.write(body)
            await writer.drain()
            writer.close()

        async def main() -> None:
            server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server_context())
            port = server.sockets[0].getsockname()[1]
            (certificates() / "body").write_bytes(body)
            url = f"https://{HOST}:{port}/"
            options = ("--silent", "--show-error", "--http1.1", "--cacert", "ca.pem", "--tls-max", version)
            where = ("--resolve", f"{HOST}:{port}:127.0.0.1", "--data-binary", "@body", "--max-time", "30")
            curl = await asyncio.create_subprocess_exec(
                "curl", *options, *where, url, cwd=certificates(), stdout=-1, stderr=-1
            )
            output, errors = await curl.communicate()
            say([output == body, errors, curl.returncode])
            server.close()
            await server.wait_closed()

        loop.run_until_complete(main())

    same(scenario)
