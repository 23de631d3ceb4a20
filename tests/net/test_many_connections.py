"""Connections opened and closed without end: descriptors and memory stay as they are.

`RASYNCIO_TEST_CONNECTIONS` says how many there are; 100,000 take about a minute.
"""

from __future__ import annotations

import json
import os

import pytest

from support.loops import run_fresh

CONNECTIONS = int(os.environ.get("RASYNCIO_TEST_CONNECTIONS", "4000"))
#: What memory may grow by, in KiB, however many there are.
ALLOWED = 2048


def opened_and_closed(count: int) -> None:
    """Many times ten at once; each sends, is answered and closed by the server, or resets."""
    import asyncio
    import gc
    import json
    import os
    import socket
    from pathlib import Path
    from typing import Any

    lost = 0

    class Answering(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            transport.get_extra_info("peername")

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)
            self.transport.close()

        def connection_lost(self, error: Exception | None) -> None:
            nonlocal lost
            lost += 1

    def state() -> tuple[int, int, int, int]:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        kib = pages * os.sysconf("SC_PAGE_SIZE") // 1024
        return len(os.listdir("/proc/self/fd")), kib, len(loop._transports), len(asyncio.all_tasks(loop))

    def turn() -> None:
        loop.call_soon(loop.stop)
        loop.run_forever()

    loop = new_loop()  # type: ignore[name-defined]  # noqa: F821
    server = loop.run_until_complete(loop.create_server(Answering, "127.0.0.1", 0))
    address = server.sockets[0].getsockname()
    states = []
    for number in range(count // 10):
        peers = [socket.create_connection(address) for _ in range(10)]
        for peer in peers[number % 3 :]:
            peer.send(b"request")
        for peer in peers[: number % 3]:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.close()
        while lost < 10 * (number + 1):
            turn()
        for peer in peers[number % 3 :]:
            assert (peer.recv(100), peer.recv(100)) == (b"request", b"")
            peer.close()
        if number in (count // 20, count // 10 - 1):
            turn()
            states.append(state())
    server.close()
    loop.run_until_complete(server.wait_closed())
    loop.close()
    print(json.dumps([lost, states]))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["stock", "ours", "ours-c"])
def test_nothing_piles_up(name: str) -> None:
    lost, (middle, last) = json.loads(run_fresh(name, opened_and_closed, CONNECTIONS, timeout=600))
    assert lost == CONNECTIONS // 10 * 10
    assert [*last[:1], *last[2:]] == [*middle[:1], *middle[2:]]
    assert last[1] - middle[1] < ALLOWED
