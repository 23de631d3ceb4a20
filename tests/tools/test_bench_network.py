"""benches/network: it measures what it says, reports what fails, and leaves nothing running. Never how fast."""

import json
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.benches import ROOT, run_module

pytest.importorskip("pyperf", reason="the benchmarks need their own packages")
pytest.importorskip("rich", reason="the benchmarks need their own packages")

if not shutil.which("cargo"):
    pytest.skip("the load's program is built by cargo, which is not there", allow_module_level=True)

from benches.network import callgrind, targets
from benches.network.cases import CASES
from benches.network.counts import by_perf, by_strace, known_to_perf
from benches.network.figures import Burst, cpu_seconds, page_faults
from benches.network.live import LiveServer, Start
from benches.network.measure import Measured
from benches.network.native import program
from benches.network.processes import CaseFailed, Child

# Whichever is first has cargo build the load's program, which takes a minute on a busy machine.
pytestmark = pytest.mark.timeout(300)

SHORT = ("--no-control", "--starts=1", "--rounds=2", "--seconds=0.02", "--markdown")
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


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    program("load")


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
            for burst in cell["bursts"]:
                assert 0 < burst["p50"] <= burst["p99"], (name, column)
                assert burst["requests"] > 0 and burst["cpu"] > 0 and burst["other_cpu"] > 0, (name, column)
            assert len(cell["bursts"]) == 2


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


@pytest.mark.parametrize(
    "case",
    [
        "protocol-1k-1",
        "protocol-100k-100",
        "buffered-10k-100",
        "streams-100k-100",
        "sock-100k-100",
        "twowrites-1k-100",
        "writelines-1k-1",
        "connect-1k-10",
        "udp-1k-32",
        "pipes-10k-1",
        "tls-10k-100",
        "tlsstreams-1k-1",
        "handshake-1k-1",
    ],
)
def test_echo_on_c_on_ours_and_on_the_floor(tmp_path: Path, case: str) -> None:
    """The client compares all bytes of all answers."""
    mark = uuid.uuid4().hex
    check(figures(tmp_path, "c,ours,floor", [case], {MARK: mark}), [case], ["c", "rasyncio", "floor"])
    assert marked(mark) == []


def test_the_floor_has_the_openssl_of_the_interpreter() -> None:
    with ExitStack() as stack:
        case = CASES["tls-1k-1"]
        live = case.start(stack, Start(sys.executable, "floor"), stack.enter_context(case.surroundings()))
        live.connect()
        live.ready()

        def libraries(pid: int | str) -> set[str]:
            lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
            return {line.split()[-1] for line in lines if re.search(r"/lib(ssl|crypto)\.so", line)}

        import ssl  # noqa: F401

        assert libraries(live.measured.pid) == libraries("self") != set()


def test_idle_connections(tmp_path: Path) -> None:
    check(figures(tmp_path, "ours,floor", ["idle"]), ["idle-1k-10"], ["rasyncio", "floor"])


def test_programs_have_no_floor(tmp_path: Path) -> None:
    pytest.importorskip("websockets", reason="the case needs it")
    found = figures(tmp_path, "ours,floor", ["websockets-1k-100"])
    assert found["websockets-1k-100"].pop("floor")["failure"] == "-"
    check(found, ["websockets-1k-100"], ["rasyncio"])


@pytest.mark.parametrize(
    "case", ["aiohttp", "uvicorn-h11", "uvicorn-httptools", "fastapi-h11", "fastapi-httptools", "redis"]
)
def test_programs_on_ours(tmp_path: Path, case: str) -> None:
    if case == "redis" and not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    for package in case.split("-"):
        pytest.importorskip(package, reason="the case needs it")
    mark = uuid.uuid4().hex
    check(figures(tmp_path, "c,ours", [case], {MARK: mark}), [case], ["c", "rasyncio"])
    assert marked(mark) == []


def test_the_tables(tmp_path: Path) -> None:
    """Ratios are of bursts of one round, ours is measured twice, and each file gets the sections that it has."""
    files = [tmp_path / "full.md", tmp_path / "short.md"]
    for file, section in zip(files, ("network", "network-summary"), strict=True):
        file.write_text(f"before\n<!-- {section}:start -->\nold\n<!-- {section}:end -->\nafter\n")
    figures_file = tmp_path / "figures.json"
    options = [
        "--impl=c,ours,floor",
        "--starts=2",
        "--rounds=2",
        "--seconds=0.02",
        f"--json={figures_file}",
        "--markdown",
    ]
    done = run_module("network", *options, "--case", "protocol-1k-1", "--update", *map(str, files))
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(figures_file.read_text()).values()
    cells = found["cases"]["protocol-1k-1"]
    assert list(cells) == ["c", "rasyncio", "floor", "rasyncio again"]
    per_request = {
        column: [burst["cpu"] / burst["requests"] for burst in cell["bursts"]] for column, cell in cells.items()
    }
    ratios = [c / ours for c, ours in zip(per_request["c"], per_request["rasyncio"], strict=True)]
    assert len(ratios) == 4
    full, short = (file.read_text() for file in files)
    for text in (full, short):
        assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    first, *_ = [line.split(" | ") for line in full.splitlines() if line.startswith("| protocol-1k-1")]
    header, *_ = [line.split(" | ") for line in full.splitlines() if line.startswith("| one request")]
    row = dict(zip(header, first, strict=True))
    assert row["rasyncio, \N{GREEK SMALL LETTER MU}s"] == f"{statistics.median(per_request['rasyncio']) * 1e6:.1f}"
    assert row["c"] == f"{statistics.median(ratios):.2f}"
    assert f"| {statistics.median(ratios):.2f} |" in short
    assert "the control, rasyncio against itself" in full
    if shutil.which("perf") or shutil.which("strace"):
        assert "#### System calls per request" in full


@pytest.mark.parametrize("tool", ["perf", "strace"])
def test_system_calls_are_counted(tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The floor makes three a request, and one more when it waits for the next burst."""
    if not shutil.which(tool) or (tool == "perf" and "system calls" not in known_to_perf()):
        pytest.skip(f"{tool} is not there, or may not")
    with ExitStack() as stack:
        live = LiveServer(stack, Start(sys.executable, "floor"), "protocol", "echo", [1, 1024])
        live.connect()
        live.ready()
        bursts: list[Burst] = []
        counted = by_perf if tool == "perf" else by_strace
        found = counted(live.measured.pid, lambda: bursts.append(live.burst(0.02)))
        (burst,) = bursts
        assert 3 * burst.requests - 2 <= found["system calls"] <= 3 * burst.requests + 2


def test_instructions_are_counted(tmp_path: Path) -> None:
    """The floor makes some hundred a request, Python some thousand; the case that stands for all echoes is counted."""
    if not callgrind.available():
        pytest.skip("valgrind is not installed")
    file = tmp_path / "figures.json"
    names = ["protocol-1k-1", "protocol-10k-1"]
    done = network("--instructions", f"--json={file}", impl="ours,floor", case=names)
    assert done.returncode == 0, done.stderr
    assert "not counted" not in done.stdout
    (found,) = json.loads(file.read_text()).values()
    counts = {
        (name, column): cell["counts"].get("user instructions")
        for name, cells in found["cases"].items()
        for column, cell in cells.items()
    }
    assert 50 < counts["protocol-1k-1", "floor"] < 1_000 < counts["protocol-1k-1", "rasyncio"] < 20_000
    if "user instructions" not in known_to_perf():
        assert counts["protocol-10k-1", "floor"] is None


def test_targets() -> None:
    def cell(cpu: float, faults: int = 0, instructions: float = 0, failure: str = "") -> Measured:
        bursts = [Burst(requests=100, seconds=1, p50=1, p99=1, cpu=cpu, faults=faults, other_cpu=1)] * 3
        return Measured(failure, bursts, {"user instructions": instructions} if instructions else {})

    columns = {"rasyncio": "ours", "uvloop": "uvloop", "rloop": "rloop", "floor": "floor", "rasyncio again": "ours"}

    def row(*cells: Measured) -> dict[str, Measured]:
        return dict(zip(columns, cells, strict=True))

    broken, no_floor = cell(0.1, failure="fails: no"), cell(0.1, failure="-")
    results = {
        "protocol-1k-1": row(cell(1.0), cell(0.97), broken, cell(0.9), cell(1.04)),
        "pipes-1k-1": row(cell(1.0), cell(0.99), cell(1.5), cell(0.9), cell(1.04)),
        "sock-1k-100": row(cell(1.0, faults=100), cell(1.7), cell(1.8), cell(0.9), cell(1.0)),
        "redis": row(cell(1, 0, 50), cell(1, 0, 60), cell(1, 0, 50.5), no_floor, cell(1)),
    }
    (report,) = targets.tabulate("Targets", columns, results)
    assert [" | ".join(row) for row in report.rows] == [
        "protocol-1k-1, rasyncio / floor | at most 1.10 | 1.11, missed",
        "protocol-1k-1, best peer / rasyncio | at least 0.96 | 0.97 (uvloop)",
        "protocol-1k-1, page faults | at most 0.01 | 0.00",
        "pipes-1k-1, best peer / rasyncio | at least 1.00 | 0.99 (uvloop), missed",
        "pipes-1k-1, page faults | at most 0.01 | 0.00",
        "sock-1k-100, best peer / rasyncio | at least 1.70 | 1.70 (uvloop)",
        "sock-1k-100, page faults | at most 0.01 | 1.00, missed",
        "redis, page faults | at most 0.01 | 0.00",
        "redis, user instructions | fewer than 50 (rloop) | 50",
    ]
    assert report.notes[0] == "6 targets reached, 3 missed"


def test_what_is_read_from_outside_is_what_getrusage_says() -> None:
    def used() -> tuple[float, int]:
        own = resource.getrusage(resource.RUSAGE_SELF)
        return own.ru_utime + own.ru_stime, own.ru_minflt + own.ru_majflt

    before, measured = used(), (cpu_seconds(os.getpid()), page_faults(os.getpid()))
    after = used()
    tick = 1e-5  # getrusage knows microseconds, twice
    assert before[0] - tick <= measured[0] <= after[0] + tick
    assert before[1] <= measured[1] <= after[1]


def test_a_peer_that_fails_or_is_absent_is_reported(tmp_path: Path) -> None:
    for name, code in (("rloop", FAKE_RLOOP), ("blazio", FAKE_BLAZIO)):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(code))
    done = network(impl="ours,rloop,blazio", case=["protocol-1k-1", "sock-1k-1"], env={"PYTHONPATH": str(tmp_path)})
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
    (tmp_path / "cargo").write_text("#!/bin/sh\n")  # the programs are built
    (tmp_path / "cargo").chmod(0o755)
    done = network(f"--python={python}", impl="ours", case=["aiohttp", "redis"], env={"PATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    for case, tool in (("aiohttp", ""), ("redis", "redis-server is missing, apt-get install redis-server; ")):
        assert f"| {case} | absent |" in done.stdout
        why = f"{tool}{case}: not installed, python -m pip install {case}"
        assert f"* all: {case}: absent: {why}" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_outlives_the_script(number: signal.Signals) -> None:
    mark = uuid.uuid4().hex
    command = [
        sys.executable,
        "-m",
        "benches.network",
        "--impl=ours",
        "--no-control",
        "--seconds=30",
        "--case",
        "protocol-1k-100",
    ]
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


RIGHT = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nHi"


@pytest.mark.parametrize(
    ("kind", "message", "answer", "complaint"),
    [
        ("echo", "1024", lambda data: data[:-1] + b"!", "the server's answer is not what it was sent"),
        ("echo", "1024", lambda data: b"!" + data[1:], "the server's answer is not what it was sent"),
        ("echo", "1024", lambda data: data[:-1], "the server closed the connection"),
        ("echo", "1024", lambda data: b"", "the server closed the connection"),
        ("connect", "1024", lambda data: data[:-1] + b"!", "the server's answer is not what it was sent"),
        ("connect", "1024", lambda data: data[:-1], "the server closed the connection"),
        ("connect", "1024", lambda data: data + b"!", "the server's answer is not what it was sent"),
        ("http", "Hi", lambda data: RIGHT.replace(b"200", b"500"), "the server answers"),
        ("http", "Hi", lambda data: RIGHT.replace(b"Hi", b"Ho"), "the server answers"),
        ("http", "Hi", lambda data: RIGHT[:-1], "the server closed the connection"),
        ("websocket", "1024", lambda data: RIGHT, "no WebSocket"),
    ],
)
def test_the_load_notices_a_wrong_answer(
    kind: str, message: str, answer: Callable[[bytes], bytes], complaint: str
) -> None:
    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(answer(connection.recv(1024)))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        arguments = [kind, str(listener.getsockname()[1]), "1", message]
        done = subprocess.run([program("load"), *arguments], capture_output=True, text=True, timeout=30, check=False)
        thread.join()
    assert done.returncode == 1
    assert complaint in done.stderr


def test_the_load_notices_a_wrong_answer_in_a_burst() -> None:
    """All answers are looked at, not just those of the check."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            for number in range(100):
                data = connection.recv(1024, socket.MSG_WAITALL)
                connection.sendall(data if number < 50 else data[::-1])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        with Child("load", [program("load"), "echo", str(listener.getsockname()[1]), "1", "1024"]) as load:
            assert load.answer() == "ready"
            with pytest.raises(CaseFailed, match="the server's answer is not what it was sent"):
                load.ask(10, timeout=20)


def test_the_floor_keeps_what_a_socket_does_not_take() -> None:
    with Child("floor", [program("floor"), "echo"]) as floor:
        sent = os.urandom(1 << 20) * 20
        with socket.create_connection(("127.0.0.1", floor.answer())) as connection:
            thread = threading.Thread(target=connection.sendall, args=[sent])
            thread.start()
            thread.join(1)  # it may be done, or wait for the floor to be read
            received = b"".join(connection.recv(1 << 20, socket.MSG_WAITALL) for _ in range(20))
            thread.join()
        assert received == sent
