"""Child processes: which of them run on rasyncio by themselves, and what docs/differences.md says to do for the others.

Each test has both halves: the child without the remedy runs on CPython's asyncio, with it on ours.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.children import PATIENCE

#: (our event loop?, our Task?), as children print it.
OURS, STOCK = "(True, True)", "(False, False)"

#: What the child runs: a module of its own, which knows nothing of rasyncio until it looks.
WORK = """
import asyncio

async def look():
    import rasyncio
    return type(asyncio.get_running_loop()) is rasyncio.EventLoop, type(asyncio.current_task()) is rasyncio.Task

def where():
    return asyncio.run(look())

def tell():
    print(where(), flush=True)
"""

PROCESS = """
    child = multiprocessing.get_context(sys.argv[1]).Process(target=work.tell)
    child.start()
    child.join()
    assert child.exitcode == 0
"""
POOL = """
    with multiprocessing.get_context(sys.argv[1]).Pool(1{initializer}) as pool:
        print(pool.apply(work.where))
"""
EXECUTOR = """
    context = multiprocessing.get_context(sys.argv[1])
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context{initializer}) as executor:
        print(executor.submit(work.where).result())
"""
DEFAULT_EXECUTOR = """
    with concurrent.futures.ProcessPoolExecutor(1{initializer}) as executor:
        print(executor.submit(work.where).result())
"""
INITIALIZER = ", initializer=rasyncio.install"


def program(body: str, *, before_main: str = "", in_main: str = "rasyncio.install()") -> str:
    return f"""
import concurrent.futures, multiprocessing, subprocess, sys
import rasyncio, work
{before_main}
if __name__ == "__main__":
    {in_main or "pass"}
    assert work.where() == (True, True)
{body}"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with the module `work`."""
    (tmp_path / "work.py").write_text(WORK)
    return tmp_path


def run(home: Path, source: str, *arguments: str, first: tuple[str, ...] = ()) -> str:
    """What the program and its children print."""
    (home / "main.py").write_text(source)
    done = subprocess.run(
        # The program's own fork of a process with one thread, and nothing else, may warn.
        [sys.executable, "-W", "error", *first, "main.py", *arguments],
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout.strip()


NEW_INTERPRETERS = ["spawn", "forkserver"]


def test_fork(home: Path) -> None:
    assert run(home, program(PROCESS), "fork") == OURS
    assert run(home, program(POOL.format(initializer="")), "fork") == OURS
    assert run(home, program(EXECUTOR.format(initializer="")), "fork") == OURS


@pytest.mark.parametrize("method", NEW_INTERPRETERS)
class TestNewInterpreters:
    def test_process(self, home: Path, method: str) -> None:
        assert run(home, program(PROCESS), method) == STOCK
        # The child imports the main module.
        at_top = program(PROCESS, before_main="rasyncio.install()", in_main="")
        assert run(home, at_top, method) == OURS

    def test_process_under_the_runner(self, home: Path, method: str) -> None:
        source = program(PROCESS, in_main="")
        assert run(home, source, method, first=("-m", "rasyncio", "--no-children")) == STOCK
        assert run(home, source, method, first=("-m", "rasyncio")) == OURS

    @pytest.mark.parametrize("pool", [POOL, EXECUTOR], ids=["Pool", "ProcessPoolExecutor"])
    def test_pool(self, home: Path, method: str, pool: str) -> None:
        assert run(home, program(pool.format(initializer="")), method) == STOCK
        assert run(home, program(pool.format(initializer=INITIALIZER)), method) == OURS


def test_default_start_method(home: Path) -> None:
    """fork on Linux up to 3.13, forkserver from 3.14 on."""
    expected = STOCK if sys.version_info >= (3, 14) else OURS
    assert run(home, program(DEFAULT_EXECUTOR.format(initializer=""))) == expected
    assert run(home, program(DEFAULT_EXECUTOR.format(initializer=INITIALIZER))) == OURS


def test_new_program(home: Path) -> None:
    body = '    subprocess.run([sys.executable, *sys.argv[1:], "-c", "import work; work.tell()"], check=True)\n'
    assert run(home, program(body)) == STOCK
    assert run(home, program(body), "-m", "rasyncio") == OURS


@contextlib.contextmanager
def uvicorn(home: Path, *command: str) -> Iterator[Path]:
    """A server, whose unix socket this is; ended with all of its processes."""
    (home / "app.py").write_text(
        "import work\n"
        "async def application(scope, receive, send):\n"
        "    assert scope['type'] == 'http'\n"
        "    body = repr(await work.look()).encode()\n"
        "    length = (b'content-length', str(len(body)).encode())\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': [length]})\n"
        "    await send({'type': 'http.response.body', 'body': body})\n"
    )
    server = subprocess.Popen(
        [sys.executable, *command, "app:application", "--uds", "socket", "--lifespan", "off", "--log-level", "warning"],
        cwd=home,
        start_new_session=True,
    )
    try:
        yield home / "socket"
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30 * PATIENCE)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def get(path: Path) -> str:
    """The body of the answer to a GET on a unix socket, as soon as there is one."""
    deadline = time.monotonic() + 60 * PATIENCE
    while True:
        with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            client.connect(str(path))
            client.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
            with client.makefile("rb") as answer:
                return answer.read().decode().rpartition("\r\n\r\n")[2]
        assert time.monotonic() < deadline, "no server"
        time.sleep(0.02)


@pytest.mark.parametrize("option", [("--workers", "2"), ("--reload",)], ids=["workers", "reload"])
def test_uvicorn(home: Path, option: tuple[str, ...]) -> None:
    with uvicorn(home, "-m", "rasyncio", "--no-children", "-m", "uvicorn", "--loop", "none", *option) as address:
        assert get(address) == STOCK
    with uvicorn(home, "-m", "rasyncio", "-m", "uvicorn", "--loop", "none", *option) as address:
        assert get(address) == OURS
    with uvicorn(home, "-m", "uvicorn", "--loop", "rasyncio:new_event_loop", *option) as address:
        assert get(address) == OURS
