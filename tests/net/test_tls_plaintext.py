"""What was decrypted does not stay in a process's memory for longer than by asyncio's own code."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from support.children import PATIENCE
from support.loops import SELECTORS
from support.tls import HOST, ROUTES, certificates, server_context

ATTEMPTS = 10

#: Receives so many bytes, keeps none, and waits with the connection still open: its memory is looked at meanwhile.
CLIENT = """
import asyncio, gc, ssl, sys
port, size, kind = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

class Plain(asyncio.Protocol):
    count = 0
    def data_received(self, data):
        self.count += len(data)
        if self.count == size:
            self.done.set_result(None)

class Buffered(asyncio.BufferedProtocol):
    count = 0
    def __init__(self):
        self.buffer = bytearray(65536)
    def get_buffer(self, sizehint):
        return memoryview(self.buffer)
    def buffer_updated(self, count):
        self.buffer[:count] = bytes(count)
        Plain.data_received(self, range(count))

async def main():
    loop = asyncio.get_running_loop()
    trusting = ssl.create_default_context(cafile="ca.pem")
    protocol = {"plain": Plain, "buffered": Buffered}[kind]()
    protocol.done = loop.create_future()
    transport, _ = await loop.create_connection(lambda: protocol, "127.0.0.1", port, ssl=trusting, server_hostname=HOST)
    await protocol.done
    gc.collect()
    print(transport.get_extra_info("rasyncio_tls"), flush=True)
    sys.stdin.read()
    transport.abort()

loop = new_loop()
loop.run_until_complete(main())
loop.close()
"""


def copies(pid: int, text: bytes) -> int:
    """How often it is in what the process can write to. It must not be made there to be looked for."""
    count = 0
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if re.match(r"\S+ rw", line) and "[v" not in line:
                count += os.pread(memory.fileno(), end - start, start).count(text)
    return count


def left_after(engine: str, kind: str, size: int) -> tuple[str, int]:
    """By which route it was received, and how many of its pieces of 64 bytes are still there."""
    secret = os.urandom(32).hex().encode()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        code = f"HOST = {HOST!r}\n{SELECTORS[f'loop {engine}']}\n{textwrap.dedent(CLIENT)}"
        command = [sys.executable, "-c", code, str(listener.getsockname()[1]), str(size), kind]
        with subprocess.Popen(command, cwd=certificates(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
            try:
                listener.settimeout(30 * PATIENCE)
                connection, _ = listener.accept()
                with server_context().wrap_socket(connection, server_side=True) as tls:
                    tls.sendall(secret * (size // len(secret)))
                    assert client.stdout is not None and client.stdin is not None
                    route = client.stdout.readline().decode().strip()
                    found = copies(client.pid, secret)
                    client.stdin.close()
            finally:
                client.kill()
    return route, found


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("kind", ["plain", "buffered"])
def test_no_more_is_left_than_by_asyncio(kind: str, route: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RASYNCIO_TLS", route)
    size = 128 * 1024
    # Where freed memory is used again is chance, which the times decide at which records come; a copy more is always
    # there.
    most, least = 0, size
    for _ in range(ATTEMPTS):
        most = max(most, left_after("stock", kind, size)[1])
        told, ours = left_after("ours", kind, size)
        assert told == route
        least = min(least, ours)
        if least < most + size // 64 // 2:
            return
    pytest.fail(f"{least} pieces are left, asyncio leaves {most}")
