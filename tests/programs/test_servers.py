"""Servers as their own documentation starts them: on which loop does an application run?

Each is started by its own command, with nothing of rasyncio on the command line but what README says.
"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from support.children import PATIENCE

APPLICATION = """\
import asyncio, os

async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    loop = asyncio.get_running_loop()
    body = f"{type(loop).__module__} {isinstance(asyncio.current_task(), asyncio.Task)}".encode()
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body})
"""

#: What is typed behind `python -m`; PORT is a free one.
SERVERS = {
    "uvicorn": "uvicorn --port PORT served:application",
    "uvicorn --workers": "uvicorn --port PORT --workers 2 served:application",
    "uvicorn --reload": "uvicorn --port PORT --reload served:application",
    "gunicorn": "gunicorn -b 127.0.0.1:PORT -k uvicorn_worker.UvicornWorker served:application",
    "hypercorn": "hypercorn -b 127.0.0.1:PORT -w 2 served:application",
    "granian": "granian --port PORT --interface asgi --workers 2 --loop uvloop served:application",
    "daphne": "daphne -p PORT served:application",
}
#: With the loop alone, not under the name of uvloop: these take uvloop if it is installed, and say so nowhere.
TAKE_UVLOOP = {"uvicorn", "uvicorn --workers", "uvicorn --reload", "gunicorn", "granian"}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def answer_of(command: list[str], port: int, folder: Path, variable: str | None) -> str:
    """What the application answers once the server is up."""
    environment = {name: value for name, value in os.environ.items() if name != "RASYNCIO"}
    if variable is not None:
        environment["RASYNCIO"] = variable
    log = folder / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        give_up = time.monotonic() + 40 * PATIENCE
        while time.monotonic() < give_up and server.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10 * PATIENCE) as response:
                    return str(response.read().decode())
            except OSError:
                time.sleep(0.1)
        pytest.fail(f"no answer; exit status {server.poll()}\n{log.read_text()}")
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(10 * PATIENCE)
        except subprocess.TimeoutExpired:  # it waits for connections or children of its own
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "served.py").write_text(APPLICATION)
    return tmp_path


def typed(server: str, port: int) -> list[str]:
    words = SERVERS[server].replace("PORT", str(port)).split()
    if importlib.util.find_spec(words[0]) is None:
        pytest.skip(f"{words[0]} has no wheel for Python {sys.version_info[0]}.{sys.version_info[1]}")
    return words


@pytest.mark.parametrize("server", SERVERS)
def test_under_the_name_of_uvloop(server: str, folder: Path) -> None:
    """`RASYNCIO=uvloop` reaches every server and each of its workers."""
    port = free_port()
    assert answer_of([sys.executable, "-m", *typed(server, port)], port, folder, "uvloop") == "rasyncio._loop True"


@pytest.mark.parametrize("server", ["uvicorn --workers", "gunicorn", "hypercorn"])
def test_by_the_runner(server: str, folder: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "rasyncio", "--as-uvloop", "-m", *typed(server, port)]
    assert answer_of(command, port, folder, None) == "rasyncio._loop True"


@pytest.mark.parametrize("server", ["uvicorn --workers", "gunicorn", "hypercorn", "daphne"])
def test_as_itself(server: str, folder: Path) -> None:
    """`RASYNCIO=1`: what chooses uvloop by itself gets uvloop, on our tasks; the others get our loop."""
    if server in TAKE_UVLOOP and importlib.util.find_spec("uvloop") is None:
        pytest.skip("uvloop is not here to be chosen")
    port = free_port()
    answer = answer_of([sys.executable, "-m", *typed(server, port)], port, folder, "1")
    assert answer == ("uvloop True" if server in TAKE_UVLOOP else "rasyncio._loop True")


def test_worker_class_for_gunicorn(folder: Path) -> None:
    port = free_port()
    command = typed("gunicorn", port)
    command[command.index("uvicorn_worker.UvicornWorker")] = "rasyncio.gunicorn.UvicornWorker"
    assert answer_of([sys.executable, "-m", *command], port, folder, None) == "rasyncio._loop True"


@pytest.mark.parametrize("server", ["uvicorn --workers", "hypercorn"])
def test_without(server: str, folder: Path) -> None:
    """The other tests would pass if everything were ours."""
    port = free_port()
    answer = answer_of([sys.executable, "-m", *typed(server, port)], port, folder, None)
    assert re.fullmatch(r"(uvloop|asyncio\.unix_events) True", answer)
