"""Other protocols than HTTP, with unmodified programs: redis-py and a real redis-server, asyncssh, aioquic."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.loops import run_fresh
from support.redis_server import redis_path

__all__ = ["redis_path"]  # the fixture

ENGINES = ("stock", "ours", "ours-c")


@pytest.mark.parametrize("name", ENGINES)
def test_redis(name: str, redis_path: Path) -> None:
    """Commands, a pipeline, megabytes, a blocking command that is cancelled, published messages."""

    def body(path: str, prefix: str) -> None:
        import asyncio

        from redis import asyncio as redis

        async def listen(client: redis.Redis, ready: asyncio.Event) -> list[bytes]:
            heard = []
            async with client.pubsub() as pubsub:
                await pubsub.subscribe(f"{prefix} channel")
                async for message in pubsub.listen():
                    if message["type"] == "subscribe":
                        ready.set()
                    else:
                        heard.append(message["data"])
                    if len(heard) == 3:
                        return heard
            raise AssertionError

        async def main() -> None:
            client = redis.Redis(unix_socket_path=path)
            async with client:
                key = f"{prefix} key"
                await client.delete(key)
                print(await asyncio.gather(*(client.incr(key) for _ in range(50))) and int(await client.get(key)))
                async with client.pipeline(transaction=True) as pipe:
                    for number in range(200):
                        pipe.set(f"{prefix} {number}", number)
                        pipe.get(f"{prefix} {number}")
                    answers = await pipe.execute()
                print([int(answer) for answer in answers[1::2]] == list(range(200)))
                large = bytes(range(256)) * 20_000
                await client.set(key, large)
                print(await client.get(key) == large)
                try:
                    await asyncio.wait_for(client.blpop([f"{prefix} nothing"]), 0.05)
                except TimeoutError:
                    print("timed out")
                ready = asyncio.Event()
                task = asyncio.create_task(listen(client, ready))
                await ready.wait()
                for number in range(3):
                    await client.publish(f"{prefix} channel", number)
                print(await task)

        run(main())  # type: ignore[name-defined]  # noqa: F821

    expected = "50\nTrue\nTrue\ntimed out\n[b'0', b'1', b'2']\n"
    assert run_fresh(name, body, str(redis_path), name, flags=()) == expected


@pytest.mark.parametrize("name", ENGINES)
def test_ssh(name: str) -> None:
    """A server and a client in one loop: a handshake, commands, megabytes through a channel, forwarded connections."""

    def body() -> None:
        import asyncio

        import asyncssh

        async def process(channel: asyncssh.SSHServerProcess[str]) -> None:
            text = await channel.stdin.read()
            channel.stdout.write(text.upper())
            channel.exit(3)

        class Server(asyncssh.SSHServer):
            def begin_auth(self, username: str) -> bool:
                return False

            def connection_requested(self, *where: object) -> bool:
                return True

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(10_000):
                writer.write(data)
                await writer.drain()
            writer.close()

        async def main() -> None:
            key = asyncssh.generate_private_key("ssh-ed25519")
            server = await asyncssh.listen(
                "127.0.0.1", 0, server_host_keys=[key], process_factory=process, server_factory=Server
            )
            target = await asyncio.start_server(echo, "127.0.0.1", 0)
            async with asyncssh.connect("127.0.0.1", server.get_port(), known_hosts=None, client_keys=None) as client:
                done = await asyncio.gather(*(client.run("x", input=f"text {number}" * 1000) for number in range(5)))
                print([each.exit_status for each in done], [each.stdout[:7] for each in done])
                port = target.sockets[0].getsockname()[1]
                forwarded = await client.forward_local_port("127.0.0.1", 0, "127.0.0.1", port)
                reader, writer = await asyncio.open_connection("127.0.0.1", forwarded.get_port())
                data = bytes(range(256)) * 4000
                writer.write(data)
                print(await reader.readexactly(len(data)) == data)
                writer.close()
                await writer.wait_closed()
                forwarded.close()
                await forwarded.wait_closed()
            target.close()
            server.close()
            await server.wait_closed()

        run(main())  # type: ignore[name-defined]  # noqa: F821

    texts = [f"TEXT {number}T" for number in range(5)]
    assert run_fresh(name, body, flags=()) == f"{[3] * 5} {[text[:7] for text in texts]}\nTrue\n"


@pytest.mark.parametrize("name", ENGINES)
def test_quic(name: str) -> None:
    """aioquic on both ends: a handshake, and ten streams at once over datagrams."""

    def body() -> None:
        import asyncio
        import datetime

        from aioquic.asyncio import connect, serve
        from aioquic.quic.configuration import QuicConfiguration
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
        certificate = (
            x509.CertificateBuilder(subject, subject, key.public_key(), 1, now - day, now + day)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
            .sign(key, hashes.SHA256())
        )
        echoing = set()

        def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async def answer() -> None:
                writer.write(await reader.read())
                writer.write_eof()

            echoing.add(asyncio.ensure_future(answer()))

        async def main() -> None:
            options = QuicConfiguration(is_client=False, alpn_protocols=["echo"])
            options.certificate, options.private_key = certificate, key
            server = await serve("127.0.0.1", 0, configuration=options, stream_handler=echo)
            port = server._transport.get_extra_info("sockname")[1]
            options = QuicConfiguration(alpn_protocols=["echo"], server_name="localhost", verify_mode=0)
            async with connect("127.0.0.1", port, configuration=options) as client:

                async def one(number: int) -> bool:
                    reader, writer = await client.create_stream()
                    data = b"%d," % number * 20_000
                    writer.write(data)
                    writer.write_eof()
                    return await reader.read() == data

                print(await asyncio.gather(*map(one, range(10))) == [True] * 10)
            server.close()

        run(main())  # type: ignore[name-defined]  # noqa: F821

    assert run_fresh(name, body, flags=()) == "True\n"
