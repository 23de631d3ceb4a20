"""A measured process and its load, both alive for all bursts of a row, next to those of the other implementations.

They are started in three steps, so that the processes of all implementations start side by side: making one starts the
measured process, `connect` the load, and `ready` waits until it has checked the answers. Only one of all has work at
any time.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from benches import probes
from benches.interpreter import ask, command
from benches.network.figures import Burst, cpu_seconds, page_faults
from benches.network.native import program
from benches.network.processes import START_TIMEOUT, CaseFailed, Child

PATIENCE = 30.0  # seconds that a burst may take longer than planned
FLOOR = "floor"  # the implementation that is not Python's


@dataclass(frozen=True)
class Start:
    """How the measured process is started."""

    python: str
    implementation: str
    under: tuple[str, ...] = ()  # the command of a tool that runs it
    patience: float = START_TIMEOUT  # seconds for each of the steps

    def command(self, module: str, *arguments: object) -> list[str]:
        """The command line that calls a module's `main`."""
        return [*self.under, *command(self.python, module, self.implementation, *arguments)]


def pin(pid: int) -> None:
    """Keep a process, with all its threads, on the last CPU.

    Measured process and load take turns there: they wait for each other anyway, and on a virtual machine an idle CPU
    that has to be woken for each message costs ten times what the message does.
    """
    cpu = max(os.sched_getaffinity(0))
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {cpu})


@cache
def loader(python: str) -> list[str]:
    """What a program is started by that is to have the same OpenSSL as the interpreter, and the C library under it."""
    found: list[str] = ask(python, probes.loader)
    return found


class Live(ABC):
    """One implementation in a row."""

    measured: Child

    @abstractmethod
    def connect(self) -> None:
        """Start what loads the measured process, which is ready then."""

    @abstractmethod
    def ready(self) -> None:
        """Wait until the answers have been checked."""

    @abstractmethod
    def burst(self, seconds: float) -> Burst:
        """Requests for so long."""

    @abstractmethod
    def check(self) -> None:
        """Check the answers once more, after the bursts."""

    def _burst(self, seconds: float, load: Child, other: int) -> Burst:
        pid = self.measured.pid
        cpu, faults = cpu_seconds(pid), page_faults(pid)
        other_cpu = cpu_seconds(other)
        timing = load.ask(seconds, seconds + PATIENCE)
        return Burst(
            requests=timing["requests"],
            seconds=timing["seconds"],
            p50=timing["p50"],
            p99=timing["p99"],
            cpu=cpu_seconds(pid) - cpu,
            faults=page_faults(pid) - faults,
            other_cpu=cpu_seconds(other) - other_cpu,
        )


class LiveServer(Live):
    """A measured server, and `load`."""

    def __init__(
        self,
        stack: ExitStack,
        start: Start,
        server: str,
        kind: str,
        load: Sequence[object],
        certificate: Path | None = None,
    ) -> None:
        """The server's name for Python, the kind of load, the number of clients and so on as `load` wants them; for TLS
        the directory of the certificate."""
        self._stack, self._patience, self._kind, self._load_arguments = stack, start.patience, kind, load
        self._directory = stack.enter_context(named_pipes()) if kind == "pipes" else None
        place = [each for each in (self._directory, certificate) if each]
        if start.implementation == FLOOR:
            by = loader(start.python) if certificate else []
            of_kind = place or (load[:1] if kind == "udp" else ())
            made = [*start.under, *by, program("floor"), kind, *map(str, of_kind)]
        else:
            made = start.command("benches.network.servers", server, *place)
        self.measured = stack.enter_context(Child("server", made))

    def connect(self) -> None:
        port = self.measured.answer(self._patience)
        arguments = [self._kind, self._directory or port, *self._load_arguments]
        self._load = self._stack.enter_context(Child("client", [program("load"), *map(str, arguments)]))

    def ready(self) -> None:
        with self._blamed():
            self._load.answer(self._patience)
        pin(self.measured.pid)
        pin(self._load.pid)

    def burst(self, seconds: float) -> Burst:
        with self._blamed():
            return self._burst(seconds, self._load, self._load.pid)

    def check(self) -> None:
        with self._blamed():
            self._load.ask("check", self._patience)

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """A failure of the client comes with what the server says to it."""
        try:
            yield
        except CaseFailed as failure:
            condition = self.measured.condition()
            if not condition or condition in str(failure):
                raise
            raise CaseFailed(f"{failure}; server: {condition}") from None


class LiveClient(Live):
    """A measured client, which is its own load, and the server that all of the row have in common."""

    def __init__(self, stack: ExitStack, start: Start, module: str, server: int, port: int) -> None:
        """The module's name, the server's process and port."""
        self._server, self._patience = server, start.patience
        self.measured = stack.enter_context(Child("client", start.command(module, port)))

    def connect(self) -> None:
        pass

    def ready(self) -> None:
        self.measured.answer(self._patience)
        pin(self.measured.pid)
        pin(self._server)

    def burst(self, seconds: float) -> Burst:
        return self._burst(seconds, self.measured, self._server)

    def check(self) -> None:
        pass  # every answer is compared with what was set


@contextmanager
def named_pipes() -> Iterator[Path]:
    """A directory with two pipes. They are held open, so that neither end has to wait for the other one to open."""
    with TemporaryDirectory() as directory, ExitStack() as stack:
        for name in ("requests", "answers"):
            path = Path(directory) / name
            os.mkfifo(path)
            stack.callback(os.close, os.open(path, os.O_RDWR))
        yield Path(directory)
