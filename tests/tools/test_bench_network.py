"""benches/network: it measures what it says, reports what fails, and leaves nothing running. Never how fast."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.benches import ROOT, run_module

pytest.importorskip("pyperf", reason="the benchmarks need their own packages")
pytest.importorskip("rich", reason="the benchmarks need their own packages")

SHORT = ("--no-control", "--rounds=1", "--seconds=0.02", "--markdown")
MARK = "RASYNCIO_TEST_MARK"

#: Stands before the real one on PYTHONPATH.
FAKE_RLOOP = """
    import asyncio, os

    class RLoop(asyncio.SelectorEventLoop):
        async def create_server(self, *args, **kwargs):
            raise NotImplementedError("no servers here")

        async def sock_sendall(self, sock, data):
            os._exit(7)
"""
FAKE_BLAZIO = "raise ImportError('a fake')"
FAKE_WEBSOCKETS = "raise ImportError('broken websockets')"


def network(
    *arguments: str, impl: str, case: Sequence[str], env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return run_module("network", f"--impl={impl}", *SHORT, *arguments, "--case", *case, env=env)


def figures(
    tmp_path: Path, impl: str, case: Sequence[str], env: Mapping[str, str] | None = None
) -> dict[str, dict[str, Any]]:
    """What the script measures of these cases, which must go well: by case and column."""
    file = tmp_path / "figures.json"
    done = network(f"--json={file}", impl=impl, case=case, env=env)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(file.read_text()).values()
    cases: dict[str, dict[str, Any]] = found["cases"]
    return cases


def check(cases: Mapping[str, Mapping[str, Any]], names: Sequence[str], columns: Sequence[str]) -> None:
    """Each case has sensible figures in each column."""
    assert list(cases) == list(names)
    for name in names:
        assert list(cases[name]) == list(columns)
        for column in columns:
            cell = cases[name][column]
            assert cell["failure"] == "", (name, column)
            (measured,) = cell["rounds"]
            assert 0 < measured["p50"] <= measured["p99"], (name, column)
            assert measured["requests"] > 0 and measured["cpu"] > 0 and measured["other_cpu"] > 0, (name, column)


def marked(mark: str) -> list[int]:
    """The processes that were started with this mark, by whomever."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue  # it has ended, or is another user's
    return found


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether it comes true in time."""
    deadline = time.monotonic() + seconds
    while not (true := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return true


def test_echo_on_c_and_on_ours(tmp_path: Path) -> None:
    """The client compares all bytes of the answers to each connection's own first and last messages."""
    names = ["protocol-1k-1", "protocol-100k-100", "streams-100k-100", "sock-100k-100", "websockets-1k-100"]
    mark = uuid.uuid4().hex
    check(figures(tmp_path, "c,ours", names, {MARK: mark}), names, ["c", "rasyncio"])
    assert marked(mark) == []


@pytest.mark.parametrize(
    ("tool", "case"), [("wrk", "uvicorn-h11"), ("redis-server", "redis")], ids=["uvicorn", "redis"]
)
def test_others_on_ours(tmp_path: Path, tool: str, case: str) -> None:
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")
    pytest.importorskip(case.partition("-")[0], reason="the case needs it")
    mark = uuid.uuid4().hex
    check(figures(tmp_path, "c,ours", [case], {MARK: mark}), [case], ["c", "rasyncio"])
    assert marked(mark) == []


def test_a_peer_that_fails_or_is_absent_is_reported(tmp_path: Path) -> None:
    for name, code in (("rloop", FAKE_RLOOP), ("blazio", FAKE_BLAZIO)):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(code))
    done = network(impl="c,rloop,blazio", case=["protocol-1k-1", "sock-1k-1"], env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    rows = {line.split(" | ")[0]: line.split(" | ")[1:] for line in done.stdout.splitlines()}
    for row in ("| protocol-1k-1", "| sock-1k-1"):  # of the last table
        assert rows[row][1:] == ["fails", "absent |"]
    notes = [line for line in done.stdout.splitlines() if line.startswith(("* rloop:", "* blazio:"))]
    assert notes[0] == (
        "* rloop: protocol-1k-1: fails: server ends, exit status 1, NotImplementedError: no servers here"
    )
    assert notes[1] == "* blazio: protocol-1k-1, sock-1k-1: absent: ImportError: a fake"
    assert notes[2].startswith("* rloop: sock-1k-1: fails: client ends, exit status 1, ")
    assert notes[2].endswith("; server: exit status 7")


def test_a_failure_on_c_and_on_ours_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("websockets", reason="the case needs it")
    (tmp_path / "websockets.py").write_text(FAKE_WEBSOCKETS)
    done = network(impl="c,ours", case=["websockets-1k-1"], env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1
    assert "* all: websockets-1k-1: fails: server ends, exit status 1, ImportError: broken websockets" in done.stdout
    for column in ("c", "rasyncio"):
        assert f"websockets-1k-1 on {column} fails: server ends" in done.stderr


def test_missing_tools_and_packages_are_reported(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True, timeout=60)
    python = str(bare / "bin" / "python")
    done = network(f"--python={python}", impl="c", case=["aiohttp", "redis"], env={"PATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    for case, tool in (("aiohttp", "wrk"), ("redis", "redis-server")):
        assert f"| {case} | absent |" in done.stdout
        why = f"{tool} is missing, apt-get install {tool}; {case}: not installed, python -m pip install {case}"
        assert f"* all: {case}: absent: {why}" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_outlives_the_script(number: signal.Signals) -> None:
    mark = uuid.uuid4().hex
    command = [sys.executable, "-m", "benches.network", "--impl=c", "--seconds=30", "--case", "protocol-1k-100"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    script = subprocess.Popen(command, cwd=ROOT, env={**os.environ, MARK: mark}, start_new_session=True, **quiet)
    try:
        assert eventually(lambda: len(marked(mark)) == 3)  # script, server, client
        script.send_signal(number)
        assert script.wait(10) != 0
        assert eventually(lambda: marked(mark) == [])
    finally:
        script.kill()
        script.wait()


@pytest.mark.parametrize(
    ("alter", "complaint"),
    [
        (lambda data: data[:-1] + b"!", "the server's answer is not what it was sent"),
        (lambda data: b"", "the server closed the connection after 0 of 1024 bytes"),
    ],
    ids=["other bytes", "none"],
)
def test_the_client_notices_a_wrong_answer(alter: Callable[[bytes], bytes], complaint: str) -> None:
    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(alter(connection.recv(1024, socket.MSG_WAITALL)))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        done = run_module("network.load", str(listener.getsockname()[1]))
        thread.join()
    assert done.returncode == 1
    assert complaint in done.stderr
