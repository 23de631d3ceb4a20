"""The cases: what one request is, what a case needs, and how it is measured on one implementation."""

import http.client
import resource
import shutil
import socket
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benches.interpreter import command
from benches.network import commands, processes
from benches.network.figures import Figures, cpu_seconds
from benches.network.processes import CaseFailed, Child
from benches.network.servers import GREETING

KIB = 1024
CONNECTIONS = 100
PATIENCE = 30.0  # seconds that a measurement may take longer than planned
HTTP_WARM_UP = 300  # requests
WRK_SCRIPT = Path(__file__).with_name("wrk.lua")
TOOLS = {"wrk": "apt-get install wrk", "redis-server": "apt-get install redis-server"}


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

    @abstractmethod
    def run(self, python: str, implementation: str, seconds: float) -> Figures:
        """Measure, or raise CaseFailed."""

    def absent(self, installed: Mapping[str, str]) -> str:
        """What is missing, and how to get it; nothing if nothing is."""
        missing = [f"{tool} is missing, {TOOLS[tool]}" for tool in self.tools if not shutil.which(tool)]
        packages = [package for package in self.packages if package not in installed]
        if packages:
            missing.append(f"{', '.join(packages)}: not installed, python -m pip install {' '.join(packages)}")
        return "; ".join(missing)


def measure(server: Child, client: Child, timeout: float) -> tuple[dict[str, Any], float]:
    """Let a client that is ready measure; with the server's CPU seconds meanwhile."""
    before = server.ask()
    timing = client.ask(timeout)
    return timing, server.ask() - before


@contextmanager
def blamed(server: Child) -> Iterator[None]:
    """A failure of the client comes with what the server says to it."""
    try:
        yield
    except CaseFailed as failure:
        condition = server.condition()
        if not condition or condition in str(failure):
            raise
        raise CaseFailed(f"{failure}; server: {condition}") from None


@dataclass(frozen=True)
class Echo(Case):
    """An echo server, loaded by load.py."""

    server: str
    size: int
    connections: int

    @property
    def packages(self) -> Sequence[str]:
        return ["websockets"] if self.server == "websockets" else []

    def run(self, python: str, implementation: str, seconds: float) -> Figures:
        options: list[object] = ["--connections", self.connections, "--size", self.size, "--seconds", seconds]
        if self.server == "websockets":
            options.append("--websocket")
        with processes.server(python, implementation, self.server) as server:
            port = server.answer()
            with processes.load(port, *options) as client, blamed(server):
                client.answer(seconds + PATIENCE)
                timing, cpu = measure(server, client, seconds + PATIENCE)
        return Figures(**timing | {"cpu": cpu}, other_cpu=timing["cpu"])


@dataclass(frozen=True)
class Http(Case):
    """An HTTP server, loaded by wrk."""

    server: str
    needs: tuple[str, ...]

    @property
    def packages(self) -> Sequence[str]:
        return self.needs

    @property
    def tools(self) -> Sequence[str]:
        return ["wrk"]

    def run(self, python: str, implementation: str, seconds: float) -> Figures:
        whole = max(1, round(seconds))  # wrk knows no others
        with processes.server(python, implementation, self.server) as server:
            port = server.answer()
            with blamed(server):
                self.warm_up(port)
                before, other_before = server.ask(), cpu_seconds(resource.RUSAGE_CHILDREN)
                options = ["--threads=1", f"--connections={CONNECTIONS}", f"--duration={whole}s", "--latency"]
                command = ["wrk", *options, f"--script={WRK_SCRIPT}", f"http://127.0.0.1:{port}/"]
                with Child("wrk", command) as wrk:
                    found = wrk.end(whole + PATIENCE)
                # wrk is the only child that has ended since.
                cpu, other_cpu = server.ask() - before, cpu_seconds(resource.RUSAGE_CHILDREN) - other_before
                errors = [f"{count} of {kind}" for kind, count in found.pop("errors").items() if count]
                if errors or not found["requests"]:
                    raise CaseFailed(f"wrk: {found['requests']} requests, errors: {', '.join(errors) or 'none'}")
        return Figures(**found, cpu=cpu, other_cpu=other_cpu)

    def warm_up(self, port: int) -> None:
        """Some requests, whose answers are looked at, as wrk does not."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            for _ in range(HTTP_WARM_UP):
                connection.request("GET", "/")
                answer = connection.getresponse()
                body = answer.read()
                if (answer.status, body) != (200, GREETING):
                    raise CaseFailed(f"the server answers {answer.status} {body!r}")
        except (OSError, http.client.HTTPException) as error:
            raise CaseFailed(f"the server does not answer: {error!r}") from None
        finally:
            connection.close()


@dataclass(frozen=True)
class Redis(Case):
    """redis-py's asyncio client against a redis-server of its own."""

    @property
    def packages(self) -> Sequence[str]:
        return ["redis"]

    @property
    def tools(self) -> Sequence[str]:
        return ["redis-server"]

    def run(self, python: str, implementation: str, seconds: float) -> Figures:
        with redis_server() as port:
            client_command = command(python, "benches.network.commands", implementation, port, seconds)
            with Child("client", client_command) as client:
                client.answer(seconds + PATIENCE)
                before = server_cpu(port)
                timing = client.ask(seconds + PATIENCE)
                return Figures(**timing, other_cpu=server_cpu(port) - before)


@contextmanager
def redis_server() -> Iterator[int]:
    """A redis-server that keeps nothing, on a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", directory, "--save", "", "--appendonly", "no"]
        with Child("redis-server", ["redis-server", *options, "--logfile", "/dev/null"]):
            deadline = time.monotonic() + processes.START_TIMEOUT
            while True:
                try:
                    redis_ask(port, b"PING")
                    break
                except OSError as error:
                    if time.monotonic() > deadline:
                        raise CaseFailed(f"redis-server does not answer: {error}") from None
                    time.sleep(0.01)
            yield port


def redis_ask(port: int, command: bytes) -> bytes:
    """The answer to one command, as it comes."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(command + b"\r\n")
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(4096), b""))


def server_cpu(port: int) -> float:
    """CPU seconds of a redis-server."""
    found = dict(entry.split(b":") for entry in redis_ask(port, b"INFO cpu").split() if b":" in entry)
    return float(found[b"used_cpu_user"]) + float(found[b"used_cpu_sys"])


def make_cases() -> dict[str, Case]:
    """All cases, by name."""
    cases: dict[str, Case] = {}
    ways = {"protocol": "a protocol", "streams": "streams, lines", "sock": "`sock_recv`, `sock_sendall`"}
    for server, way in ways.items():
        for connections in (1, CONNECTIONS):
            for size in (1, 10, 100):
                what = f"echo by {way}: {size} KiB, connections: {connections}"
                cases[f"{server}-{size}k-{connections}"] = Echo(what, server, size * KIB, connections)
    for connections in (1, CONNECTIONS):
        what = f"echo by websockets: 1 KiB, connections: {connections}"
        cases[f"websockets-1k-{connections}"] = Echo(what, "websockets", KIB, connections)
    what = f"a GET, wrk with {CONNECTIONS} connections"
    cases["aiohttp"] = Http(f"aiohttp's server, {what}", "aiohttp", ("aiohttp",))
    for parser in ("h11", "httptools"):
        cases[f"uvicorn-{parser}"] = Http(f"uvicorn on {parser}, {what}", f"uvicorn-{parser}", ("uvicorn", parser))
    cases["redis"] = Redis(f"a SET or a GET of redis-py's client (measured), {commands.TASKS} tasks")
    return cases


CASES = make_cases()
