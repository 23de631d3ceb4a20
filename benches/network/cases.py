"""The cases: what one request is, what a case needs, and what processes it takes."""

import itertools
import json
import shutil
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from benches.network import commands, processes
from benches.network.live import PATIENCE, Live, LiveClient, LiveServer, Start
from benches.network.processes import CaseFailed, Child
from benches.network.servers import GREETING, GREETING_IN_JSON, HEAD, PARTS

KIB = 1024
CONNECTIONS = 100
DATAGRAM_SENDERS = 32  # whose datagrams fit into a socket's buffer
BUSY, IDLE = 10, 10_000
TOOLS = {"redis-server": "apt-get install redis-server", "openssl": "apt-get install openssl"}


@dataclass(frozen=True)
class Case(ABC):
    """One row of the tables."""

    what: str

    @property
    def packages(self) -> Sequence[str]:
        """What the measured interpreter must have from PyPI."""
        return ()

    @property
    def tools(self) -> Sequence[str]:
        """Commands that it takes."""
        return ()

    @property
    def is_program(self) -> bool:
        """Whether people run it as it is. Then there is no server that does the least."""
        return True

    @property
    def is_counted(self) -> bool:
        """Whether `--instructions` counts those of this case, of all, under callgrind."""
        return self.is_program

    def surroundings(self) -> AbstractContextManager[Any]:
        """What all implementations of the row have in common while they are measured."""
        return nullcontext()

    @abstractmethod
    def start(self, stack: ExitStack, start: Start, surroundings: Any) -> Live:
        """Start one implementation's process, which the stack ends."""

    def absent(self, installed: Mapping[str, str]) -> str:
        """What is missing, and how to get it; nothing if nothing is."""
        missing = [f"{tool} is missing, {TOOLS[tool]}" for tool in self.tools if not shutil.which(tool)]
        packages = [package for package in self.packages if package not in installed]
        if packages:
            missing.append(f"{', '.join(packages)}: not installed, python -m pip install {' '.join(packages)}")
        return "; ".join(missing)


@dataclass(frozen=True)
class Served(Case):
    """A measured server with the clients of `load`."""

    server: str
    kind: str  # of load
    connections: int
    message: object  # what load wants to know of the messages
    idle: int = 0  # more connections
    needs: tuple[str, ...] = ()
    stands_for_others: bool = False  # where instructions are counted

    @property
    def packages(self) -> Sequence[str]:
        return self.needs

    @property
    def is_program(self) -> bool:
        return bool(self.needs)

    @property
    def is_counted(self) -> bool:
        return self.is_program or self.stands_for_others

    def start(self, stack: ExitStack, start: Start, surroundings: Any) -> Live:
        load = [self.connections, self.message, *([self.idle] if self.idle else [])]
        return LiveServer(stack, start, self.server, self.kind, load, surroundings)


@dataclass(frozen=True)
class Encrypted(Served):
    """The same by TLS."""

    @property
    def tools(self) -> Sequence[str]:
        return ["openssl"]

    def surroundings(self) -> AbstractContextManager[Any]:
        return certificate()


@dataclass(frozen=True)
class Redis(Case):
    """A measured client of a redis-server."""

    @property
    def packages(self) -> Sequence[str]:
        return ["redis"]

    @property
    def tools(self) -> Sequence[str]:
        return ["redis-server"]

    def surroundings(self) -> AbstractContextManager[Any]:
        return redis_server()

    def start(self, stack: ExitStack, start: Start, surroundings: Any) -> Live:
        return LiveClient(stack, start, commands.__name__, *surroundings)


@contextmanager
def certificate() -> Iterator[Path]:
    """A directory with a certificate of a host, of the kind that most have today, and its key."""
    with tempfile.TemporaryDirectory() as directory:
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem"]
        made = ["openssl", "req", "-x509", *key, "-subj", "/CN=localhost", "-days", "2", "-out", "certificate.pem"]
        subprocess.run(made, cwd=directory, check=True, capture_output=True, timeout=processes.START_TIMEOUT)
        yield Path(directory)


@contextmanager
def redis_server() -> Iterator[tuple[int, int]]:
    """A redis-server that keeps nothing: its process, and a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", directory, "--save", "", "--appendonly", "no"]
        with Child("redis-server", ["redis-server", *options, "--logfile", "/dev/null"]) as server:
            deadline = time.monotonic() + processes.START_TIMEOUT
            while True:
                try:
                    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
                        connection.sendall(b"PING\r\n")
                        connection.recv(1)
                    break
                except OSError as error:
                    if time.monotonic() > deadline:
                        raise CaseFailed(f"redis-server does not answer: {error}") from None
                    time.sleep(0.01)
            yield server.pid, port


def make_cases() -> dict[str, Case]:
    """All cases, by name."""
    cases: dict[str, Case] = {}

    def echo(server: str, way: str, sizes: Sequence[int], connections: Sequence[int], kind: str = "echo") -> None:
        for number in connections:
            for size in sizes:
                what = f"echo by {way}: {size} KiB, clients: {number}"
                cases[f"{server}-{size}k-{number}"] = Served(what, server, kind, number, size * KIB)

    sizes, connections = (1, 10, 100), (1, CONNECTIONS)
    echo("protocol", "a protocol", sizes, connections)
    echo("buffered", "a BufferedProtocol", sizes, connections)
    echo("streams", "streams, lines", sizes, connections)
    echo("sock", "`sock_recv`, `sock_sendall`", sizes, connections)
    echo("twowrites", f"a protocol in two writes, the first of {HEAD} bytes", [1], connections)
    echo("writelines", f"a protocol by `writelines` of {PARTS} parts", [1], connections)
    echo("connect", "a protocol, each on a connection of its own", [1], [BUSY], "connect")
    echo("udp", "a datagram protocol", [1], [1, DATAGRAM_SENDERS], "udp")
    echo("pipes", "a protocol from pipe to pipe", [1, 10], [1], "pipes")
    what = f"echo by a protocol: 1 KiB, clients: {BUSY}, and {IDLE:,} idle connections"
    cases[f"idle-1k-{BUSY}"] = Served(what, "protocol", "echo", BUSY, KIB, IDLE)
    encrypted = {"tls": "a protocol and TLS", "tlsstreams": "streams, lines, and TLS"}
    for (server, way), number, size in itertools.product(encrypted.items(), connections, sizes):
        what = f"echo by {way}: {size} KiB, clients: {number}"
        cases[f"{server}-{size}k-{number}"] = Encrypted(what, server, "tls", number, size * KIB)
    what = "echo by a protocol and TLS, each on a connection with a handshake of its own: 1 KiB, clients: 1"
    cases["handshake-1k-1"] = Encrypted(what, "handshake", "handshake", 1, KIB)
    for name in ("protocol-1k-1", "tls-1k-1", "tls-10k-1", "tls-100k-1", "handshake-1k-1"):
        cases[name] = replace(cast(Served, cases[name]), stands_for_others=True)
    for number in connections:
        what, name = f"echo by websockets: 1 KiB, clients: {number}", f"websockets-1k-{number}"
        cases[name] = Served(what, "websockets", "websocket", number, KIB, needs=("websockets",))
    packages: dict[str, tuple[str, ...]] = {"aiohttp": ("aiohttp",)}
    packages |= {f"uvicorn-{parser}": ("uvicorn", parser) for parser in ("h11", "httptools")}
    for server, needs in packages.items():
        what = f"{' on '.join(needs)}: a GET, clients: {CONNECTIONS}"
        cases[server] = Served(what, server, "http", CONNECTIONS, GREETING.decode(), needs=needs)
    for parser in ("h11", "httptools"):
        what = f"FastAPI on uvicorn and {parser}: a GET, clients: {CONNECTIONS}"
        body = json.dumps(GREETING_IN_JSON, separators=(",", ":"))
        needs = ("fastapi", "uvicorn", parser)
        cases[f"fastapi-{parser}"] = Served(what, f"fastapi-{parser}", "http", CONNECTIONS, body, needs=needs)
    cases["redis"] = Redis(f"redis-py's client (measured): a SET or a GET, {commands.TASKS} tasks")
    return cases


CASES = make_cases()
