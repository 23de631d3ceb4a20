"""`rasyncio.serve_stats()`: who can connect, what is answered, and that no reader does harm.

`RASYNCIO_TEST_EXAMPLES` says how many random requests there are (a hundred thousand take about half an hour).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import json
import os
import socket
import stat
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rasyncio
from rasyncio.inside import _address, _server
from rasyncio.inside._client import Client, Unreachable
from rasyncio.inside._protocol import REQUEST_MAX, Malformed, Request, taken
from support.children import check_python, run_python
from support.loops import engine_for

PATIENCE = 30.0
EXAMPLES = int(os.environ.get("RASYNCIO_TEST_EXAMPLES", "60"))


@pytest.fixture
def loop() -> Iterator[Any]:
    with engine_for("ours") as engine:
        yield engine.new()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Any]:
    with rasyncio.serve_stats(tmp_path / "stats") as server:
        yield server


def connected(address: str | int) -> socket.socket:
    if isinstance(address, int):
        sock = socket.create_connection(("127.0.0.1", address), PATIENCE)
    else:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(address)
    sock.settimeout(PATIENCE)
    return sock


def pid_at(address: str | int) -> int:
    with Client(address) as client:
        pid: int = client.snapshot()["pid"]
        return pid


def all_of(sock: socket.socket) -> bytes:
    with contextlib.closing(sock), sock.makefile("rb") as stream:
        try:
            return stream.read()
        except ConnectionResetError:
            return b""


def line_of(sock: socket.socket) -> Any:
    with sock.makefile("rb") as stream:
        return json.loads(stream.readline())


# Where it serves.


def test_a_path_is_its_users_alone_and_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "stats"
    server = rasyncio.serve_stats(path)
    assert server.address == str(path)
    assert repr(server) == f"<rasyncio.StatsServer serving at {path}>"
    mode = path.lstat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
    assert pid_at(str(path)) == os.getpid()
    server.close()
    server.close()
    assert not path.exists()
    assert repr(server) == f"<rasyncio.StatsServer closed at {path}>"


def test_the_process_id_in_a_path(tmp_path: Path) -> None:
    with rasyncio.serve_stats(f"{tmp_path}/{{pid}}.stats") as server:
        assert server.address == f"{tmp_path}/{os.getpid()}.stats"


def test_a_port_is_of_this_machine_alone() -> None:
    with rasyncio.serve_stats(0) as server:
        assert isinstance(server.address, int)
        assert server._listener.getsockname()[0] == "127.0.0.1"
        assert pid_at(server.address) == os.getpid()


@pytest.mark.parametrize("kind", ["file", "directory", "link to a file"])
def test_what_is_no_socket_stays(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "stats"
    if kind == "file":
        path.write_text("mine")
    elif kind == "directory":
        path.mkdir()
    else:
        (tmp_path / "file").write_text("mine")
        path.symlink_to("file")
    with pytest.raises(FileExistsError, match="is there already, and no socket: choose another path"):
        rasyncio.serve_stats(path)
    assert path.exists()


def test_a_socket_in_use_stays_and_one_left_behind_does_not(tmp_path: Path) -> None:
    path = tmp_path / "stats"
    with rasyncio.serve_stats(path):
        with pytest.raises(FileExistsError, match="another process serves there: choose another path"):
            rasyncio.serve_stats(path)
        assert pid_at(str(path)) == os.getpid()
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    with rasyncio.serve_stats(path):
        assert pid_at(str(path)) == os.getpid()


def test_a_file_that_took_its_place_stays(tmp_path: Path) -> None:
    path = tmp_path / "stats"
    with rasyncio.serve_stats(path):
        path.unlink()
        path.write_text("mine")
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("address", "error"),
    [
        (True, TypeError),
        (None, TypeError),
        (1.5, TypeError),
        (b"path", TypeError),
        (-1, ValueError),
        (65536, ValueError),
        ("99999999999", ValueError),
        ("", ValueError),
        ("a\0b", ValueError),
    ],
)
def test_what_is_no_address(address: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="an address is a path of a Unix socket"):
        rasyncio.serve_stats(address)


def test_paths_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="at most 107 bytes: choose a shorter one"):
        rasyncio.serve_stats(tmp_path / ("x" * 100))
    with pytest.raises(FileNotFoundError):
        rasyncio.serve_stats(tmp_path / "missing" / "stats")


# What is answered.


def test_requests_and_answers(server: Any) -> None:
    sock = connected(server.address)
    for end in ("\n", "\r\n"):
        sock.sendall(b"snapshot" + end.encode())
        assert line_of(sock)["pid"] == os.getpid()
    sock.sendall(b"tree abc\n")
    assert line_of(sock) == {"tree": None}
    sock.sendall(b"sing\n")
    answer = json.loads(all_of(sock))
    assert answer == {"error": "a request is 'snapshot', 'tree ID' or 'GET /metrics HTTP/1.1'"}


def test_requests_that_come_in_pieces_and_at_once(server: Any) -> None:
    sock = connected(server.address)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    for byte in b"tree 1\n":
        sock.sendall(bytes([byte]))
    sock.sendall(b"tree 2\ntree 3\nGET /metr")
    sock.sendall(b"ics HTTP/1.1\r\n\r\nsnapshot\n")
    *lines, metrics = all_of(sock).split(b"\n", 3)
    assert lines == [b'{"tree":null}'] * 3
    assert metrics.startswith(b"HTTP/1.1 200 OK\r\n") and metrics.endswith(b"\n")


def test_prometheus_scrapes_it() -> None:
    with rasyncio.serve_stats(0) as server:
        url = f"http://127.0.0.1:{server.address}"
        with urllib.request.urlopen(f"{url}/metrics", timeout=PATIENCE) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert b"# TYPE rasyncio_loop_callbacks_total counter" in answer.read()
        elsewhere = urllib.request.Request(f"{url}/")
        # As a page of a site whose name leads here would ask.
        by_another_name = urllib.request.Request(f"{url}/metrics", headers={"Host": "evil.example"})
        for asked, status in ((elsewhere, 404), (by_another_name, 403)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(asked, timeout=PATIENCE)
            with refused.value:
                assert refused.value.code == status


def test_while_the_loop_is_blocked(loop: Any, server: Any) -> None:
    said: list[dict[str, Any]] = []
    done = threading.Event()

    def looks() -> None:
        with Client(server.address) as client:
            said.append(client.snapshot())
        done.set()

    async def blocks() -> None:
        threading.Thread(target=looks).start()
        assert done.wait(PATIENCE)

    loop.run_until_complete(blocks())
    (task,) = said[0]["tasks"]["listed"]
    assert task["state"] == "running" and "threading.py" in task["place"]


# Readers that do harm, or try to.


def test_too_many_clients(server: Any) -> None:
    silent = [connected(server.address) for _ in range(3 * _server.CLIENTS_MAX)]
    assert pid_at(server.address) == os.getpid()
    assert len(server._clients) <= _server.CLIENTS_MAX
    assert sum(all_of(sock) == b"" for sock in silent[:2]) == 2, "the first ones were dropped"
    for sock in silent:
        sock.close()


def test_a_client_that_does_not_read(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_server, "DEADLINE", 0.1)
    monkeypatch.setattr("rasyncio.inside._server.answer", lambda request: b"x" * 2**22)
    greedy = connected(server.address)
    greedy.sendall(b"snapshot\n" * 500)
    deadline = time.monotonic() + PATIENCE
    while server._clients and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not server._clients, "it was dropped"
    greedy.close()
    monkeypatch.undo()
    time.sleep(2 * _server.FRESH)
    assert pid_at(server.address) == os.getpid()


def test_a_request_that_never_ends(server: Any) -> None:
    for begun in (
        b"x" * 1000,
        b"GET /" + b"x" * 2 * REQUEST_MAX,
        b"GET / HTTP/1.1\r\nA: b" + b"\r\nA: b" * REQUEST_MAX,
    ):
        sock = connected(server.address)
        with contextlib.suppress(OSError):
            sock.sendall(begun)
        answer = all_of(sock)
        assert answer == b"" or "less than" in json.loads(answer)["error"]


def test_a_request_that_comes_slowly(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_server, "DEADLINE", 0.05)
    sock = connected(server.address)
    sock.sendall(b"snap")
    assert all_of(sock) == b""


def test_what_fails_is_told(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise ZeroDivisionError("why")

    monkeypatch.setattr("rasyncio.inside._protocol.snapshot", fails)
    with pytest.raises(Unreachable, match="the program answers: ZeroDivisionError: why"):
        pid_at(server.address)
    monkeypatch.undo()
    deadline = time.monotonic() + PATIENCE  # the answer may be kept for a moment
    while time.monotonic() < deadline:
        with contextlib.suppress(Unreachable):
            assert pid_at(server.address) == os.getpid()
            return
    raise AssertionError("it goes on to fail")


def test_what_takes_long_is_made_seldom(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[float] = []

    def slow(request: Request) -> bytes:
        made.append(time.monotonic())
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass
        return b"{}\n"

    monkeypatch.setattr("rasyncio.inside._server.answer", slow)
    socks = [connected(server.address) for _ in range(4)]
    end = time.monotonic() + 1
    while time.monotonic() < end:
        for number, sock in enumerate(socks):
            sock.sendall(f"tree {number}\n".encode())
        for sock in socks:
            assert line_of(sock) == {}
    for sock in socks:
        sock.close()
    pauses = [later - earlier for earlier, later in itertools.pairwise(made)]
    assert min(pauses) >= 0.02 * _server.REST


@settings(max_examples=5 * EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.binary(max_size=300), max_size=8), st.booleans())
def test_any_bytes_are_taken_or_refused(parts: list[bytes], by_port: bool) -> None:
    buffer = bytearray()
    for part in parts:
        buffer += part
        before = len(buffer)
        with contextlib.suppress(Malformed):
            request = taken(buffer, by_port=by_port)
            if request is None:
                assert len(buffer) == before < REQUEST_MAX
            else:
                assert len(buffer) < before


PIECES = st.sampled_from(
    [
        b"snapshot",
        b"tree ",
        b"0",
        b"f" * 16,
        b"\n",
        b"\r\n",
        b"GET ",
        b"/metrics",
        b" HTTP/1.1",
        b"Host: a",
        b"\0",
        b"\xff",
    ]
)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(PIECES | st.binary(max_size=20), max_size=30).map(b"".join), st.booleans())
def test_any_bytes_do_no_harm_to_the_server(server: Any, sent: bytes, is_rude: bool) -> None:
    sock = connected(server.address)
    with contextlib.suppress(OSError):
        sock.sendall(sent)
        if is_rude:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        else:
            sock.shutdown(socket.SHUT_WR)
            all_of(sock)
    sock.close()
    last = connected(server.address)
    last.sendall(b"tree 0\n")
    assert line_of(last) == {"tree": None}
    last.close()
    assert server._thread.is_alive()


# Processes.


def test_the_environment_says_where(tmp_path: Path) -> None:
    code = """
        import os, rasyncio
        from rasyncio.inside._client import Client
        async def main():
            with Client(os.environ["RASYNCIO_STATS"]) as client:
                assert client.snapshot()["pid"] == os.getpid()
        rasyncio.run(main())
        rasyncio.run(main())
        print(os.path.exists(os.environ["RASYNCIO_STATS"]))
    """
    path = str(tmp_path / "stats")
    done = run_python(code, env={**os.environ, "RASYNCIO_STATS": path})
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
    assert not os.path.exists(path)


@pytest.mark.parametrize(
    ("value", "said"),
    [("99999", "rasyncio: RASYNCIO_STATS must be a path"), ("/missing/x", "'/missing/x': stats are not served")],
)
def test_an_environment_that_says_nothing_of_use(value: str, said: str) -> None:
    code = "import rasyncio, asyncio\nrasyncio.run(asyncio.sleep(0))\nrasyncio.run(asyncio.sleep(0))\nprint('done')"
    done = run_python(code, env={**os.environ, "RASYNCIO_STATS": value})
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert said in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_leaves_its_parents_alone(tmp_path: Path) -> None:
    code = f"""
        import os, sys, warnings, rasyncio
        from rasyncio.inside._client import Client
        warnings.simplefilter("ignore")
        path = {str(tmp_path / "stats")!r}
        server = rasyncio.serve_stats(path)
        before = Client(path)
        before.snapshot()
        pid = os.fork()
        if pid == 0:
            assert server.is_closed
            server.close()
            with rasyncio.serve_stats(path + ".child"):
                assert Client(path + ".child").snapshot()["pid"] == os.getpid()
            os._exit(0 if Client(path).snapshot()["pid"] == os.getppid() else 1)
        _, status = os.waitpid(pid, 0)
        assert status == 0
        assert before.snapshot()["pid"] == Client(path).snapshot()["pid"] == os.getpid()
    """
    check_python(code)


def test_a_forked_child_serves_where_the_environment_says(tmp_path: Path) -> None:
    code = """
        import asyncio, os, warnings, rasyncio
        from rasyncio.inside._client import Client
        warnings.simplefilter("ignore")
        async def main():
            path = os.environ["RASYNCIO_STATS"].replace("{pid}", str(os.getpid()))
            assert Client(path).snapshot()["pid"] == os.getpid()
        rasyncio.run(main())
        pid = os.fork()
        rasyncio.run(main())
        if pid:
            assert os.waitpid(pid, 0)[1] == 0
    """
    done = run_python(code, env={**os.environ, "RASYNCIO_STATS": f"{tmp_path}/{{pid}}"})
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_no_descriptor_and_no_thread_is_left(tmp_path: Path) -> None:
    def there() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    with rasyncio.serve_stats(tmp_path / "first"):
        pass
    before = there()
    for _ in range(10):
        with rasyncio.serve_stats(tmp_path / "stats") as server:
            pid_at(server.address)
    assert there() == before


def test_signals_are_the_programs(server: Any) -> None:
    """The thread that serves takes none, so that the main thread is woken by them."""
    status = Path(f"/proc/self/task/{server._thread.native_id}/status").read_text()
    blocked = int(status.partition("SigBlk:")[2].split()[0], 16)
    assert blocked & 0xFFFF == 0xFFFF & ~(1 << 8)  # SIGKILL cannot be


def test_a_socket_between_bind_and_listen_is_not_taken_for_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two begin to serve at one path: the second one finds a socket that refuses connections, and leaves it alone."""
    path = str(tmp_path / "stats")
    is_bound, goes_on = threading.Event(), threading.Event()
    chmod = os.chmod

    def chmod_later(*arguments: Any) -> None:
        is_bound.set()
        assert goes_on.wait(PATIENCE)
        chmod(*arguments)

    monkeypatch.setattr(_address.os, "chmod", chmod_later)
    first: list[socket.socket] = []
    thread = threading.Thread(target=lambda: first.append(_address.listening(path)))
    thread.start()
    assert is_bound.wait(PATIENCE)
    monkeypatch.setattr(_address.os, "chmod", chmod)
    second: list[OSError] = []

    def serves_too() -> None:
        try:
            _address.listening(path).close()
        except OSError as error:
            second.append(error)

    other = threading.Thread(target=serves_too)
    other.start()
    time.sleep(0.1)  # it waits, or is wrong by now
    goes_on.set()
    thread.join()
    other.join()
    assert [error.errno for error in second] == [errno.EADDRINUSE]
    with first[0], socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_a_folder_that_somebody_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_address, "_LOCKED_MAX", 0.1)
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        with _address.listening(str(tmp_path / "stats")), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "stats"))
    finally:
        os.close(fd)
