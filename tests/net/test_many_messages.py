"""Messages without end, many idle connections, peers that never read: descriptors, memory and buffers stay as they are.

`RASYNCIO_TEST_MESSAGES` says how many messages there are (ten million take some minutes), `RASYNCIO_TEST_IDLE` how many
idle connections.
"""

from __future__ import annotations

import json
import os
import resource

import pytest

from support.loops import run_fresh

MESSAGES = int(os.environ.get("RASYNCIO_TEST_MESSAGES", "40000"))
IDLE = int(os.environ.get("RASYNCIO_TEST_IDLE", "1000"))
#: What memory may grow by, in KiB, however many there are.
ALLOWED = 2048
NAMES = ["stock", "ours", "ours-c"]


def exchanged(count: int) -> None:
    """Echoes of all sizes, by ten connections at once, of each kind: protocols, buffers, datagrams, pipes."""
    import asyncio
    import gc
    import json
    import os
    import socket
    import zlib
    from pathlib import Path
    from typing import Any

    SIZES = [1, 100, 1000, 5000, 30_000]
    DATA = os.urandom(max(SIZES))
    counted = 0

    class Answering(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    class AnsweringDatagrams(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, address: Any) -> None:
            self.transport.sendto(data, address)

    class Asking:
        """Sends one message after the other, each when the answer to the one before is whole."""

        def connection_made(self, transport: Any) -> None:
            self.transport, self.sent, self.come, self.checksum = transport, 0, 0, 0
            self.done = loop.create_future()
            self.ask()

        def ask(self) -> None:
            nonlocal counted
            counted += 1
            size = SIZES[counted % len(SIZES)]
            self.size, self.come, self.checksum = size, 0, 0
            self.send(DATA[:size])

        def send(self, data: bytes) -> None:
            self.transport.write(data)

        def came(self, data: Any) -> None:
            self.come += len(data)
            self.checksum = zlib.crc32(data, self.checksum)
            if self.come < self.size:
                return
            assert (self.come, self.checksum) == (self.size, zlib.crc32(DATA[: self.size]))
            if counted < wanted:
                self.ask()
            elif not self.done.done():
                self.done.set_result(None)

        def connection_lost(self, error: Exception | None) -> None:
            assert error is None

    class AskingStream(Asking, asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            self.came(data)

    class AskingBuffer(Asking, asyncio.BufferedProtocol):
        room = bytearray(10_000)

        def get_buffer(self, hint: int) -> bytearray:
            return self.room

        def buffer_updated(self, size: int) -> None:
            self.came(memoryview(self.room)[:size])

    class AskingDatagrams(Asking, asyncio.DatagramProtocol):
        def send(self, data: bytes) -> None:
            self.transport.sendto(data)

        def datagram_received(self, data: bytes, address: Any) -> None:
            self.came(data)

    class Pipes(AskingStream):
        """A child's way there and back, without a child: two pipes with a transport at each end."""

    def state() -> tuple[int, int, int]:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        buffers = sum(each.transport.get_write_buffer_size() for each in asking)
        return len(os.listdir("/proc/self/fd")), pages * os.sysconf("SC_PAGE_SIZE") // 1024, buffers

    async def pipe_pair() -> Any:
        """The asking end of two pipes, whose other ends answer."""
        (there, to), (back, answers) = os.pipe(), os.pipe()
        answering, protocol = Answering(), Pipes()
        writing, _ = await loop.connect_write_pipe(asyncio.Protocol, open(answers, "wb", 0))  # noqa: SIM115
        answering.connection_made(writing)
        answering.connection_made = lambda transport: None  # type: ignore[method-assign]
        reading, _ = await loop.connect_read_pipe(lambda: answering, open(there, "rb", 0))  # noqa: SIM115
        asks, _ = await loop.connect_write_pipe(asyncio.Protocol, open(to, "wb", 0))  # noqa: SIM115
        begin, protocol.connection_made = protocol.connection_made, lambda transport: None  # type: ignore[method-assign]
        hears, _ = await loop.connect_read_pipe(lambda: protocol, open(back, "rb", 0))  # noqa: SIM115
        begin(asks)
        others.extend([writing, reading, hears])
        return protocol

    async def main() -> None:
        nonlocal wanted
        server = await loop.create_server(Answering, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        datagrams, _ = await loop.create_datagram_endpoint(AnsweringDatagrams, local_addr=("127.0.0.1", 0))
        for kind in (AskingStream, AskingBuffer) * 2:
            asking.append((await loop.create_connection(kind, *address))[1])
        for _ in range(2):
            mine, other = socket.socketpair()
            asking.append((await loop.create_unix_connection(AskingStream, sock=mine))[1])
            others.append((await loop.create_unix_connection(Answering, sock=other))[0])
            where = datagrams.get_extra_info("sockname")
            asking.append((await loop.create_datagram_endpoint(AskingDatagrams, remote_addr=where))[1])
            asking.append(await pipe_pair())
        states = []
        for part in (count // 3, count):
            wanted = part
            for each in asking:
                if each.done.done():
                    each.done = loop.create_future()
                    each.ask()
            await asyncio.gather(*(each.done for each in asking))
            states.append(state())
        print(json.dumps([counted, states]))
        for transport in [*others, datagrams, *(each.transport for each in asking)]:
            transport.abort() if hasattr(transport, "abort") else transport.close()
        server.close()
        await server.wait_closed()

    wanted = 0
    asking: list[Any] = []
    others: list[Any] = []
    loop = new_loop()  # type: ignore[name-defined]  # noqa: F821
    loop.run_until_complete(main())
    loop.close()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
def test_messages(name: str) -> None:
    counted, (before, after) = json.loads(run_fresh(name, exchanged, MESSAGES, timeout=1800))
    print(f"{counted} messages on {name}: descriptors, KiB, bytes waiting {before}, then {after}")
    assert counted >= MESSAGES
    assert (after[0], after[2]) == (before[0], 0)
    assert after[1] - before[1] < ALLOWED


def idle_ones(count: int) -> None:
    """Connections that do nothing, beside ten that do; then each says something after all."""
    import asyncio
    import json
    import os
    import resource
    import socket
    from pathlib import Path
    from typing import Any

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * count + 200), hard))

    class Answering(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

        def connection_lost(self, error: Exception | None) -> None:
            nonlocal lost
            lost += 1

    lost = 0

    def kib() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024

    def turn() -> None:
        loop.call_soon(loop.stop)
        loop.run_forever()

    loop = new_loop()  # type: ignore[name-defined]  # noqa: F821
    server = loop.run_until_complete(loop.create_server(Answering, "127.0.0.1", 0, backlog=100))
    address, before = server.sockets[0].getsockname(), kib()
    peers = []
    while len(peers) < count:
        peers += [socket.create_connection(address) for _ in range(50)]
        while len(loop._transports) < len(peers):
            turn()
    memory = kib() - before
    for number in range(2000):
        peers[number % 10].send(b"request")
        turn()
        turn()
        assert peers[number % 10].recv(100) == b"request"
    for peer in peers:
        peer.send(b"at last")
    for peer in peers:
        peer.setblocking(False)
        while True:
            try:
                assert peer.recv(100) == b"at last"
                break
            except BlockingIOError:
                turn()
        peer.close()
    while lost < len(peers):
        turn()
    server.close()
    turn()
    loop.close()
    print(json.dumps([len(peers), memory * 1024 // len(peers)]))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_idle_connections(name: str) -> None:
    needed, allowed = 2 * IDLE + 200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if allowed < needed:
        pytest.skip(f"both ends of {IDLE} connections need {needed} descriptors, and {allowed} is the limit here")
    count, each = json.loads(run_fresh(name, idle_ones, IDLE, timeout=600))
    print(f"{count} idle connections on {name}: {each} bytes each")
    assert count >= IDLE and each < 20_000


def never_read() -> None:
    """A protocol that writes whenever it may, to a peer that never reads."""
    import asyncio
    import os
    import socket
    from pathlib import Path
    from typing import Any

    class Writing(asyncio.Protocol):
        paused = False

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def pause_writing(self) -> None:
            self.paused = True

        def resume_writing(self) -> None:
            self.paused = False

    def kib() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024

    loop = new_loop()  # type: ignore[name-defined]  # noqa: F821
    pairs, protocols = [], []
    for _ in range(50):
        mine, peer = socket.socketpair()
        pairs.append(peer)
        protocols.append(loop.run_until_complete(loop.create_unix_connection(Writing, sock=mine))[1])
    before, data = kib(), bytes(10_000)
    for _ in range(1000):
        for protocol in protocols:
            if not protocol.paused:
                protocol.transport.write(bytes(data))
        loop.call_soon(loop.stop)
        loop.run_forever()
    sizes = [protocol.transport.get_write_buffer_size() for protocol in protocols]
    assert all(protocol.paused for protocol in protocols)
    high = protocols[0].transport.get_write_buffer_limits()[1]
    assert max(sizes) <= high + len(data), sizes
    assert kib() - before < 50 * (high + 2 * len(data)) // 1024 + 2048
    for protocol, peer in zip(protocols, pairs, strict=True):
        protocol.transport.abort()
        peer.close()
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    print("bounded")


@pytest.mark.parametrize("name", NAMES)
def test_peers_that_never_read(name: str) -> None:
    assert run_fresh(name, never_read) == "bounded\n"
