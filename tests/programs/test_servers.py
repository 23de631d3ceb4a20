"""Servers as their own documentation starts them: what does `status()` say in an application?

Each is started by its own command, with nothing of rasyncio on the command line but what docs/by-framework.md says.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from support.children import PATIENCE
from support.serving import free_port, serving

APPLICATION = """\
import asyncio, os

async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    import rasyncio
    status = rasyncio.status()
    whole = isinstance(asyncio.current_task(), asyncio.Task)
    body = f"{status.future_and_task} {status.running} {whole}".encode()
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body})
"""
#: The same for servers that take applications of one kind only.
FASTAPI = """\
import fastapi, fastapi.responses, rasyncio
app = fastapi.FastAPI()

@app.get("/", response_class=fastapi.responses.PlainTextResponse)
async def root():
    status = rasyncio.status()
    return f"{status.future_and_task} {status.running} True"
"""
AIOHTTP = """\
import sys
from aiohttp import web

async def root(request):
    import rasyncio
    status = rasyncio.status()
    return web.Response(text=f"{status.future_and_task} {status.running} True")

def application(arguments):
    app = web.Application()
    app.add_routes([web.get("/", root)])
    return app
"""
OURS = "rasyncio rasyncio.EventLoop True"

#: What is typed behind `python -m`; PORT is a free one.
SERVERS = {
    "uvicorn": "uvicorn --port PORT served:application",
    "uvicorn --workers": "uvicorn --port PORT --workers 2 served:application",
    "uvicorn --reload": "uvicorn --port PORT --reload served:application",
    "gunicorn": "gunicorn -b 127.0.0.1:PORT -k uvicorn_worker.UvicornWorker served:application",
    "hypercorn": "hypercorn -b 127.0.0.1:PORT -w 2 served:application",
    "granian": "granian --port PORT --interface asgi --workers 2 --loop uvloop served:application",
    "daphne": "daphne -p PORT served:application",
    "fastapi run": "fastapi run --port PORT served_fastapi.py",
    "aiohttp": "aiohttp.web -H 127.0.0.1 -P PORT served_aiohttp:application",
}
#: With the loop alone, not under the name of uvloop: these take uvloop if it is installed, and say so nowhere.
TAKE_UVLOOP = {"uvicorn", "uvicorn --workers", "uvicorn --reload", "gunicorn", "granian", "fastapi run"}


def answer_of(command: list[str], port: int, folder: Path, variable: str | None) -> str:
    """What the application answers once the server is up; the server's output is in the file `log`."""
    environment = {name: value for name, value in os.environ.items() if name not in ("RASYNCIO", "PYTHONWARNINGS")}
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
    (tmp_path / "served_fastapi.py").write_text(FASTAPI)
    (tmp_path / "served_aiohttp.py").write_text(AIOHTTP)
    return tmp_path


def typed(server: str, port: int) -> list[str]:
    words = SERVERS[server].replace("PORT", str(port)).split()
    package = "fastapi_cli" if words[0] == "fastapi" else words[0].partition(".")[0]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} has no wheel for Python {sys.version_info[0]}.{sys.version_info[1]}")
    return words


@pytest.mark.parametrize("server", SERVERS)
def test_under_the_name_of_uvloop(server: str, folder: Path) -> None:
    """`RASYNCIO=uvloop` reaches every server and each of its workers."""
    port = free_port()
    assert answer_of([sys.executable, "-m", *typed(server, port)], port, folder, "uvloop") == OURS
    assert " chose " not in (folder / "log").read_text()


@pytest.mark.parametrize("server", SERVERS)
def test_by_the_runner(server: str, folder: Path) -> None:
    """Also each process that the server starts, and starts anew."""
    port = free_port()
    command = [sys.executable, "-m", "rasyncio", "--as-uvloop", "-m", *typed(server, port)]
    assert answer_of(command, port, folder, None) == OURS
    assert " chose " not in (folder / "log").read_text()


@pytest.mark.parametrize("server", sorted(SERVERS.keys() - TAKE_UVLOOP))
def test_by_the_runner_alone(server: str, folder: Path) -> None:
    port = free_port()
    assert answer_of([sys.executable, "-m", "rasyncio", "-m", *typed(server, port)], port, folder, None) == OURS
    assert " chose " not in (folder / "log").read_text()


def test_reloaded_by_the_runner(folder: Path) -> None:
    """The process that uvicorn starts for a changed file is reached as the first one was."""
    port = free_port()
    command = [sys.executable, "-m", "rasyncio", "--as-uvloop", "-m", *typed("uvicorn --reload", port)]
    answers = []
    with serving(command, port, folder, {}) as url:
        for attempt in range(int(400 * PATIENCE)):
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10 * PATIENCE) as response:
                answers.append(response.read().decode())
            if f"anew {OURS}" in answers:
                break
            if answers and attempt % 50 == 0:  # what was changed before the reloader looked first is not seen
                (folder / "served.py").write_text(APPLICATION.replace('body = f"', 'body = f"anew '))
            time.sleep(0.1)
    assert (answers[0], answers[-1]) == (OURS, f"anew {OURS}")


@pytest.mark.parametrize("server", ["uvicorn --workers", "gunicorn", "hypercorn", "daphne", "fastapi run", "aiohttp"])
def test_as_itself(server: str, folder: Path) -> None:
    """`RASYNCIO=1`: what chooses uvloop by itself gets it, on our tasks, and is told so; the others get our loop."""
    if server in TAKE_UVLOOP and importlib.util.find_spec("uvloop") is None:
        pytest.skip("uvloop is not here to be chosen")
    port = free_port()
    answer = answer_of([sys.executable, "-m", *typed(server, port)], port, folder, "1")
    assert answer == ("rasyncio uvloop.Loop True" if server in TAKE_UVLOOP else OURS)
    log = (folder / "log").read_text()
    way = {
        "uvicorn --workers": "rasyncio: uvicorn chose uvloop, * add --loop rasyncio:new_event_loop, or start it with",
        "gunicorn": "rasyncio: gunicorn chose uvloop, * use -k rasyncio.gunicorn.UvicornWorker, or start it with",
        "fastapi run": "rasyncio: fastapi chose uvloop, * start it with --as-uvloop (RASYNCIO=uvloop)",
    }
    if server in TAKE_UVLOOP:
        assert all(part in log for part in way[server].split("*"))
    else:
        assert " chose " not in log


@pytest.mark.parametrize("server", ["uvicorn --workers", "gunicorn", "fastapi run"])
def test_without_uvloop(server: str, folder: Path) -> None:
    """They take asyncio's own loop then, and what they are told to type is true."""
    (folder / "uvloop.py").write_text("raise ImportError('it is not here')")
    port = free_port()
    command = typed(server, port)
    assert answer_of([sys.executable, "-m", *command], port, folder, "1") == (
        "rasyncio asyncio.unix_events._UnixSelectorEventLoop True"
    )
    log = (folder / "log").read_text()
    name = server.partition(" ")[0]
    assert f"rasyncio: {name} chose asyncio's own loop, " in log
    assert "start it with --as-uvloop (RASYNCIO=uvloop)" in log and "loop_factory" not in log
    assert answer_of([sys.executable, "-m", "rasyncio", "--as-uvloop", "-m", *command], port, folder, None) == OURS


def test_worker_class_for_gunicorn(folder: Path) -> None:
    port = free_port()
    command = typed("gunicorn", port)
    command[command.index("uvicorn_worker.UvicornWorker")] = "rasyncio.gunicorn.UvicornWorker"
    assert answer_of([sys.executable, "-m", *command], port, folder, None) == OURS


@pytest.mark.parametrize("option", ["--workers 2", "--reload", ""])
def test_by_the_name_of_the_loop(option: str, folder: Path) -> None:
    """uvicorn's own option, in each process that it starts."""
    port = free_port()
    command = [*typed("uvicorn", port), *option.split(), "--loop", "rasyncio:new_event_loop"]
    assert answer_of([sys.executable, "-m", *command], port, folder, None) == OURS


def test_aiohttp_by_its_own_argument(folder: Path) -> None:
    port = free_port()
    code = f"""
import rasyncio, served_aiohttp
from aiohttp import web
web.run_app(served_aiohttp.application([]), host="127.0.0.1", port={port}, loop=rasyncio.new_event_loop())
"""
    assert answer_of([sys.executable, "-c", code], port, folder, None) == OURS


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [("", 1, "! uvicorn chose uvloop, so that uvloop.Loop runs"), ("--as-uvloop", 0, "running: rasyncio.EventLoop")],
)
def test_check(options: str, status: int, says: str, folder: Path) -> None:
    """`--check` starts a server, says what its workers run on, and ends it."""
    if importlib.util.find_spec("uvloop") is None:
        pytest.skip("uvloop is not here to be chosen")
    done = subprocess.run(
        [sys.executable, "-m", "rasyncio", "--check", *options.split(), "-m", *typed("uvicorn --workers", free_port())],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "RASYNCIO"},
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
    )
    assert done.returncode == status, done.stderr
    assert says in done.stdout and done.stdout.count("\nFuture and Task           rasyncio\n") == 1
    assert len(re.findall(r"^Process \d+: python ", done.stdout, re.MULTILINE)) == 2


@pytest.mark.parametrize("server", ["uvicorn --workers", "hypercorn"])
def test_without(server: str, folder: Path) -> None:
    """The other tests would pass if everything were ours."""
    port = free_port()
    answer = answer_of([sys.executable, "-m", *typed(server, port)], port, folder, None)
    assert re.fullmatch(r"CPython (uvloop\.Loop|asyncio\.unix_events\._UnixSelectorEventLoop) True", answer)
