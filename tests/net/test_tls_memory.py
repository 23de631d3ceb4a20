"""What an idle connection with TLS keeps in memory: much less than on asyncio's own loop."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.loops import run_fresh
from support.tls import ROUTES

TESTS = Path(__file__).parents[1]
CONNECTIONS = 100


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
