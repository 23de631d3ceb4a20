"""Programs with TLS, unmodified, over each route: both ends, and by which route their data goes.

`get_extra_info("rasyncio_tls")` tells the route wherever a program lets one have its transport. Where TLS is not the
event loop's at all (anyio has its own, and with it httpx), or is not native, the test says so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.children import PATIENCE
from support.loops import run_fresh
from support.postgres import postgres_with_tls
from support.serving import free_port, serving
from support.tls import HOST, certificates

__all__ = ["postgres_with_tls"]  # the fixture

#: Engines with the route that is asked for, and what a transport tells of it.
ROUTES = {
    "stock": ("stock", "", None),
    "openssl": ("ours", "openssl", "openssl"),
    "memorybio": ("ours", "memorybio", "memorybio"),
    "python": ("ours", "python", None),
    "openssl, C's tasks": ("ours-c", "openssl", "openssl"),
}


@pytest.fixture(params=ROUTES)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str | None]:
    """An engine's name, and the route that its transports should tell."""
    engine, variable, told = ROUTES[request.param]
    monkeypatch.setenv("RASYNCIO_TLS", variable)
    return engine, told


def ran(engine: str, body: Callable[..., None], *arguments: object) -> Any:
    """What the body prints, as JSON. Libraries may warn about each other's deprecations."""
    return json.loads(run_fresh(engine, body, str(certificates()), *arguments, flags=()))


def test_aiohttp(way: tuple[str, str | None]) -> None:
    """https and wss, server and client; a megabyte up and down; a certificate that the client does not trust."""

    def body(folder: str) -> None:
        import asyncio
        import json
        import ssl

        from aiohttp import ClientConnectorCertificateError, ClientSession, TCPConnector, web

        server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_context.load_cert_chain(f"{folder}/server.pem", f"{folder}/server.key")
        trusting = ssl.create_default_context(cafile=f"{folder}/ca.pem")
        routes: set[str | None] = set()

        async def echo(request: web.Request) -> web.Response:
            routes.add(request.get_extra_info("rasyncio_tls"))
            return web.Response(body=await request.read())

        async def talk(request: web.Request) -> web.WebSocketResponse:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            async for message in socket:
                await socket.send_str(message.data.upper())
            return socket

        async def main() -> None:
            application = web.Application(client_max_size=2**24)
            application.add_routes([web.post("/", echo), web.get("/talk", talk)])
            runner = web.AppRunner(application)
            await runner.setup()
            site = web.TCPSite(runner, "localhost", 0, ssl_context=server_context, shutdown_timeout=0.1)
            await site.start()
            base = f"localhost:{runner.addresses[0][1]}"
            said = {}
            async with ClientSession(connector=TCPConnector(ssl=trusting)) as session:

                async def post(number: int) -> bool:
                    data = b"%d," % number * (200_000 if number == 7 else 10)
                    async with session.post(f"https://{base}/", data=data) as response:
                        return await response.read() == data

                said["answers"] = all(await asyncio.gather(*map(post, range(20))))
                async with session.ws_connect(f"wss://{base}/talk") as socket:
                    routes.add(socket.get_extra_info("rasyncio_tls"))
                    await socket.send_str("text")
                    said["message"] = (await socket.receive()).data
            async with ClientSession() as stranger:
                try:
                    await stranger.post(f"https://{base}/", data=b"")
                except ClientConnectorCertificateError as error:
                    said["refused"] = error.certificate_error.verify_message
            await runner.cleanup()
            print(json.dumps(said | {"routes": [*routes]}))

        run(main())  # type: ignore[name-defined]  # noqa: F821

    engine, told = way
    said = ran(engine, body)
    refused = said.pop("refused")
    assert "unable to get local issuer" in refused or "self-signed" in refused
    assert said == {"answers": True, "message": "TEXT", "routes": [told]}


@pytest.mark.parametrize("way", ROUTES, indirect=True)
def test_uvicorn_and_httpx(way: tuple[str, str | None], tmp_path: Path) -> None:
    """uvicorn's own command with --ssl-keyfile and --ssl-certfile; curl, and httpx on the same kind of loop. TLS of
    httpx is anyio's, on plain transports of the loop's."""

    def client(folder: str, url: str) -> None:
        import asyncio
        import json
        import ssl

        import httpx

        trusting = ssl.create_default_context(cafile=f"{folder}/ca.pem")

        async def main() -> None:
            async with httpx.AsyncClient(verify=trusting) as session:
                texts = [f"{number}" * (100_000 if number == 3 else 10) for number in range(10)]
                answers = await asyncio.gather(*(session.post(url, content=text) for text in texts))
            found = [answer.json() for answer in answers]
            right = [answer["length"] for answer in found] == [len(text) for text in texts]
            print(json.dumps({"right": right, "routes": [*{answer["route"] for answer in found}]}))

        run(main())  # type: ignore[name-defined]  # noqa: F821

    application = """
import json
async def application(scope, receive, send):
    assert scope["type"] == "http" and scope["scheme"] == "https"
    length, more = 0, True
    while more:
        message = await receive()
        length, more = length + len(message["body"]), message["more_body"]
    # Its transport, which no application gets by itself.
    route = receive.__self__.transport.get_extra_info("rasyncio_tls")
    body = json.dumps({"length": length, "route": route}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""
    engine, told = way
    (tmp_path / "served.py").write_text(application)
    keys = ["--ssl-keyfile", str(certificates() / "server.key"), "--ssl-certfile", str(certificates() / "server.pem")]
    loops = {"stock": "asyncio", "ours": "rasyncio:new_event_loop", "ours-c": "rasyncio:new_event_loop"}
    port = free_port()
    options = ["--port", str(port), "--loop", loops[engine], "--lifespan", "off"]
    command = [sys.executable, "-m", "uvicorn", *options, *keys, "served:application"]
    with serving(command, port, tmp_path, {}):
        url = f"https://{HOST}:{port}/"
        assert ran(engine, client, url) == {"right": True, "routes": [told]}
        if shutil.which("curl"):
            curl = ["curl", "--silent", "--show-error", "--cacert", str(certificates() / "ca.pem")]
            there = ["--resolve", f"{HOST}:{port}:127.0.0.1", "--data", "abc", "--max-time", str(30 * PATIENCE)]
            done = subprocess.run([*curl, *there, url], capture_output=True, check=True)
            assert json.loads(done.stdout) == {"length": 3, "route": told}


def test_websockets(way: tuple[str, str | None]) -> None:
    """wss://, both ends; a certificate of the client's, which the server asks for."""

    def body(folder: str) -> None:
        import json
        import ssl

        from websockets.asyncio.client import connect
        from websockets.asyncio.server import ServerConnection, serve

        server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=f"{folder}/ca.pem")
        server_context.verify_mode = ssl.CERT_REQUIRED
        server_context.load_cert_chain(f"{folder}/server.pem", f"{folder}/server.key")
        trusting = ssl.create_default_context(cafile=f"{folder}/ca.pem")
        trusting.load_cert_chain(f"{folder}/client.pem", f"{folder}/client.key")
        routes: set[str | None] = set()

        async def echo(connection: ServerConnection) -> None:
            transport = connection.transport
            routes.add(transport.get_extra_info("rasyncio_tls"))
            await connection.send(transport.get_extra_info("peercert")["subject"][0][0][1])
            async for message in connection:
                await connection.send(message[::-1])

        async def main() -> None:
            async with serve(echo, "localhost", 0, ssl=server_context, max_size=None) as server:
                url = f"wss://localhost:{server.sockets[0].getsockname()[1]}/"
                async with connect(url, ssl=trusting, max_size=None) as connection:
                    routes.add(connection.transport.get_extra_info("rasyncio_tls"))
                    said = [await connection.recv()]
                    text = bytes(range(256)) * 8000
                    await connection.send(text)
                    said.append(await connection.recv() == text[::-1])
            print(json.dumps([*said, *routes]))

        run(main())  # type: ignore[name-defined]  # noqa: F821

    engine, told = way
    assert ran(engine, body) == ["client", True, told]


def test_asyncpg(way: tuple[str, str | None], postgres_with_tls: tuple[str, int]) -> None:
    """`sslmode=verify-full` with a real PostgreSQL: the connection is upgraded by `start_tls`."""
    pytest.importorskip("asyncpg", reason="there is no asyncpg for this Python")

    def body(folder: str, host: str, port: int) -> None:
        import asyncio
        import json

        import asyncpg

        async def main() -> None:
            where = f"postgresql://tester@{host}:{port}/postgres"
            address = f"{where}?sslmode=verify-full&sslrootcert={folder}/ca.pem"
            routes: set[str | None] = set()
            async with asyncpg.create_pool(address, min_size=3, max_size=5) as pool:

                async def one(number: int) -> int:
                    async with pool.acquire() as connection:
                        # The pool's connections hide what they stand for.
                        transport = connection._con._transport
                        routes.add(transport.get_extra_info("rasyncio_tls"))
                        value: int = await connection.fetchval("SELECT $1::int * 2", number)
                        return value

                right = await asyncio.gather(*map(one, range(50))) == [2 * number for number in range(50)]
                large = bytes(range(256)) * 8000
                right &= await pool.fetchval("SELECT $1::bytea", large) == large
                in_use = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
                version = await pool.fetchval(in_use)
                try:
                    await asyncio.wait_for(pool.fetch("SELECT pg_sleep(60)"), 0.1)
                except TimeoutError:
                    right &= await pool.fetchval("SELECT 7") == 7
            try:
                await asyncpg.connect(f"{where}?sslmode=verify-full&sslrootcert={folder}/stranger.pem")
            except Exception as error:
                print(json.dumps([right, version, [*routes], type(error).__name__]))

        run(main())  # type: ignore[name-defined]  # noqa: F821

    engine, told = way
    assert ran(engine, body, *postgres_with_tls) == [True, "TLSv1.3", [told], "SSLCertVerificationError"]


def test_aiosmtplib_and_aiosmtpd(way: tuple[str, str | None]) -> None:
    """STARTTLS, in which the server makes its `SSLProtocol` by hand and takes the transport that it has."""

    def body(folder: str) -> None:
        import asyncio
        import json
        import ssl
        from email.message import EmailMessage

        from aiosmtpd.smtp import SMTP as Server
        from aiosmtpd.smtp import Envelope, Session
        from aiosmtplib import SMTP

        server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_context.load_cert_chain(f"{folder}/server.pem", f"{folder}/server.key")
        trusting = ssl.create_default_context(cafile=f"{folder}/ca.pem")
        received: list[tuple[int, str | None]] = []

        class Handler:
            async def handle_DATA(self, server: Server, session: Session, envelope: Envelope) -> str:
                received.append((len(envelope.content), server.transport.get_extra_info("rasyncio_tls")))
                return "250 OK"

        async def main() -> None:
            loop = asyncio.get_running_loop()

            def protocol() -> Server:
                return Server(Handler(), tls_context=server_context, require_starttls=True, loop=loop)

            server = await loop.create_server(protocol, "localhost", 0)
            port = server.sockets[0].getsockname()[1]
            async with SMTP(hostname="localhost", port=port, start_tls=True, tls_context=trusting) as client:
                assert client.transport is not None
                route = client.transport.get_extra_info("rasyncio_tls")
                for size in (10, 500_000):
                    message = EmailMessage()
                    message["From"], message["To"], message["Subject"] = "me@x.test", "you@x.test", "Test"
                    message.set_content("text " * (size // 5))
                    await client.send_message(message)
            server.close()
            print(json.dumps([[length > 500_000 for length, _ in received], [one for _, one in received], route]))

        run(main())  # type: ignore[name-defined]  # noqa: F821

    engine, told = way
    assert ran(engine, body) == [[False, True], [told, told], told]


def test_truststore(way: tuple[str, str | None], monkeypatch: pytest.MonkeyPatch) -> None:
    """`inject_into_ssl()`: contexts, and a class for their connections, of its own, which asyncio's code drives."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates() / "ca.pem"))

    def body(folder: str) -> None:
        import asyncio
        import json
        import ssl

        server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_context.load_cert_chain(f"{folder}/server.pem", f"{folder}/server.key")
        import truststore

        truststore.inject_into_ssl()
        routes: dict[str, str | None] = {}

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            routes["server"] = writer.get_extra_info("rasyncio_tls")
            writer.write(await reader.readexactly(100_000))
            writer.close()

        async def main() -> None:
            server = await asyncio.start_server(echo, "localhost", 0, ssl=server_context)
            port = server.sockets[0].getsockname()[1]
            trusting = ssl.create_default_context()
            reader, writer = await asyncio.open_connection("localhost", port, ssl=trusting)
            kind = type(trusting).__module__
            routes["client"] = writer.get_extra_info("rasyncio_tls")
            writer.write(b"x" * 100_000)
            said = [kind, await reader.read() == b"x" * 100_000, routes]
            writer.close()
            try:
                await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
            except ssl.SSLCertVerificationError as error:
                said.append(error.verify_message)
            server.close()
            print(json.dumps(said))

        run(main())  # type: ignore[name-defined]  # noqa: F821

    engine, told = way
    mismatch = "IP address mismatch, certificate is not valid for '127.0.0.1'."
    assert ran(engine, body) == ["truststore._api", True, {"server": told, "client": None}, mismatch]


def test_certificates_of_pyopenssl(way: tuple[str, str | None]) -> None:
    """Made by it; cryptography brings an OpenSSL of its own into the process, which must not be taken for Python's."""

    def body(folder: str, place: str) -> None:
        import asyncio
        import datetime
        import json
        import ssl
        from pathlib import Path

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from OpenSSL import SSL, crypto

        key = crypto.PKey()
        key.generate_key(crypto.TYPE_RSA, 2048)
        secret = key.to_cryptography_key()
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)  # noqa: UP017
        made = (
            x509.CertificateBuilder(subject, subject, secret.public_key(), 1, now - day, now + day)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
            .sign(secret, hashes.SHA256())
        )
        certificate = crypto.X509.from_cryptography(made)
        SSL.Context(SSL.TLS_METHOD).use_certificate(certificate)
        Path(f"{place}.pem").write_bytes(crypto.dump_certificate(crypto.FILETYPE_PEM, certificate))
        Path(f"{place}.key").write_bytes(crypto.dump_privatekey(crypto.FILETYPE_PEM, key))
        server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_context.load_cert_chain(f"{place}.pem", f"{place}.key")
        routes: dict[str, str | None] = {}

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            routes["server"] = writer.get_extra_info("rasyncio_tls")
            writer.write(await reader.readexactly(100_000))
            writer.close()

        async def main() -> None:
            server = await asyncio.start_server(echo, "localhost", 0, ssl=server_context)
            port = server.sockets[0].getsockname()[1]
            trusting = ssl.create_default_context(cafile=f"{place}.pem")
            reader, writer = await asyncio.open_connection("localhost", port, ssl=trusting)
            routes["client"] = writer.get_extra_info("rasyncio_tls")
            writer.write(b"x" * 100_000)
            data = await reader.read()
            der = writer.get_extra_info("ssl_object").getpeercert(True)
            read = crypto.load_certificate(crypto.FILETYPE_ASN1, der)
            writer.close()
            server.close()
            print(json.dumps([data == b"x" * 100_000, read.get_subject().CN, routes]))

        run(main())  # type: ignore[name-defined]  # noqa: F821

    engine, told = way
    place = certificates() / f"pyopenssl-{engine}-{told}-{os.getpid()}"
    assert ran(engine, body, str(place)) == [True, "localhost", {"server": told, "client": told}]
