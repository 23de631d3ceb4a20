"""What connections with TLS keep in memory: an idle one much less than on asyncio's own loop; one that is over nothing,
neither in the interpreter nor in OpenSSL."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from support.loops import run_fresh
from support.tls import ROUTES

TESTS = Path(__file__).parents[1]
CONNECTIONS = 100
SIZES = (1, 2000, 40_000)
#: A BIO is at least as large, and nothing that is made for each message is smaller. (Releases of OpenSSL 3.0 keep less
#: than two of these for a connection by themselves.)
LEAST = 100


def resident_for_each(number: int) -> None:
    """Print how many bytes a connection takes, with the peer that this process has, too."""
    import asyncio
    import resource

    from support.tls import tls_connected

    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    loop = new_loop()  # type: ignore[name-defined]  # noqa: F821  # of the engine's prelude
    kept = [tls_connected(loop) for _ in range(20)]
    before = resident()
    kept += [tls_connected(loop) for _ in range(number)]
    print((resident() - before) // number)
    for ends in kept:
        ends.transport.abort()
        ends.peer.close()
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


@pytest.mark.parametrize("route", ROUTES)
def test_an_idle_connection(route: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RASYNCIO_TLS", route)
    ours, stock = (int(run_fresh(name, resident_for_each, CONNECTIONS, path=[TESTS])) for name in ("ours", "stock"))
    # Of the 256 KiB that asyncio has for each, none is there.
    assert ours < stock - 200_000, f"{ours} bytes; asyncio's {stock}"


def growth_by_connections(number: int, version_name: str, sizes: tuple[int, ...]) -> None:
    """Print by how many bytes of malloc's, and by how many blocks of the interpreter's, the process grows by so many
    connections one after the other, each of which receives and sends so many bytes in turn."""
    import asyncio
    import ctypes
    import gc
    import ssl
    import sys

    from support.net import until
    from support.tls import client_context, server_context, tls_connected

    class Information(ctypes.Structure):
        _fields_ = [(f"field_{place}", ctypes.c_size_t) for place in range(10)]

    information = ctypes.CDLL(None).mallinfo2
    information.restype = Information

    def used() -> tuple[int, int]:
        gc.collect()
        now = information()
        return now.field_7 + now.field_4, sys.getallocatedblocks()  # uordblks, hblkhd

    def connections(count: int) -> None:
        for _ in range(count):
            ends = tls_connected(loop, context=contexts[0], peer_context=contexts[1])
            for size in sizes:
                ends.peer.send_raw(loop, ends.peer.records(b"x" * size))
                until(loop, lambda ends=ends, size=size: len(ends.protocol.data) >= size)
                ends.protocol.data.clear()
                ends.transport.write(b"y" * size)
                ends.peer.receive(loop, size)
            ends.transport.close()
            ends.peer.close_notify()
            until(loop, lambda ends=ends: ends.protocol.lost)
            ends.peer.close()
            ends.protocol.transport = None
            loop.run_until_complete(asyncio.sleep(0))

    version = ssl.TLSVersion[version_name]
    contexts = client_context(version), server_context(version=version)
    loop = new_loop()  # type: ignore[name-defined]  # noqa: F821  # of the engine's prelude
    connections(30)
    before = used()
    connections(number)
    print(*(after - earlier for after, earlier in zip(used(), before, strict=True)))
    loop.close()


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="glibc 2.33 and later tell how much malloc has given out"
)
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("route", ROUTES)
def test_connections_that_are_over(route: str, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RASYNCIO_TLS", route)
    said = run_fresh("ours", growth_by_connections, CONNECTIONS, version, SIZES, path=[TESTS])
    memory, blocks = map(int, said.split())
    assert memory < LEAST * 2 * len(SIZES) * CONNECTIONS, f"{memory} bytes for {CONNECTIONS} connections"
    assert blocks < CONNECTIONS, f"{blocks} blocks for {CONNECTIONS} connections"
