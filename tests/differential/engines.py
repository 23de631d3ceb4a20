"""The implementations, each in a process of its own: a crash is a difference like others."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.impls import SELECTORS
from support.loops import ENGINES

assert "ours-c" in ENGINES  # loops.py has put them among the selectors
MIXED = "from differential.mixed import mix; mix(); import rasyncio; "
#: What a process runs first: it must define `new_loop`.
PRELUDES = {
    "python": f"{SELECTORS['python']}; import asyncio; new_loop = asyncio.SelectorEventLoop",
    "c": "import asyncio; new_loop = asyncio.SelectorEventLoop",
    "ours on the stock loop": f"{SELECTORS['ours']}; import asyncio; new_loop = asyncio.SelectorEventLoop",
    "ours on our loop": SELECTORS["loop ours"],
    "C's on our loop": SELECTORS["loop ours-c"],
    "C's and ours on the stock loop": f"{MIXED}import asyncio; new_loop = asyncio.SelectorEventLoop",
    "C's and ours on our loop": f"{MIXED}new_loop = rasyncio.EventLoop",
}
#: Those that programs of connections, datagrams and pipes run on: what moves bytes is a matter of the loop.
WITH_NETWORK = ("c", "ours on our loop", "C's on our loop")
#: Those that programs with TLS run on: by each route, the second of which is an engine of its own.
MEMORYBIO = "ours on our loop, by memorybio"
WITH_TLS = (MEMORYBIO, *WITH_NETWORK)
SECONDS = 20


class Engine:
    """A process that answers each program (a line of JSON) with its trace (another)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._process: subprocess.Popen[bytes] | None = None

    def _start(self) -> subprocess.Popen[bytes]:
        prelude = PRELUDES["ours on our loop" if self.name == MEMORYBIO else self.name]
        route = "memorybio" if self.name == MEMORYBIO else "openssl"
        code = f"{prelude}\nfrom differential.worker import serve\nserve(new_loop)"
        return subprocess.Popen(
            [sys.executable, "-Xfaulthandler", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONHASHSEED": "0"}
            | {"RASYNCIO_TLS": route},
        )

    def send(self, program: dict[str, Any]) -> None:
        """Have a program run; `receive` its trace later."""
        if self._process is None:
            self._process = self._start()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(program).encode() + b"\n")
        self._process.stdin.flush()

    def receive(self) -> list[str]:
        assert self._process is not None and self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], SECONDS)[0]:
            self._process.send_signal(signal.SIGABRT)  # faulthandler says where
            self._process.wait()
            self.close()
            return [f"hangs: no answer within {SECONDS} s"]
        answer = self._process.stdout.readline()
        if not answer:
            status = self._process.wait()
            self.close()
            return [f"crashes: exit status {status}"]
        trace: list[str] = json.loads(answer)
        return trace

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


class Engines:
    """All of them, side by side."""

    def __init__(self) -> None:
        self._engines = [Engine(name) for name in (MEMORYBIO, *PRELUDES)]

    def traces(self, program: dict[str, Any]) -> dict[str, list[str]]:
        setup = program["setup"]
        moves_bytes = any(kind in setup for kind in ("network", "datagrams", "pipes"))
        names = WITH_TLS if setup.get("tls") else WITH_NETWORK if moves_bytes else PRELUDES
        engines = [each for each in self._engines if each.name in names]
        for engine in engines:
            engine.send(program)
        return {engine.name: engine.receive() for engine in engines}

    def close(self) -> None:
        for engine in self._engines:
            engine.close()


@contextlib.contextmanager
def engines() -> Iterator[Engines]:
    started = Engines()
    try:
        yield started
    finally:
        started.close()
