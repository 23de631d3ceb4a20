"""`python -m rasyncio top`: which programs it finds, what it shows, and one line about those it cannot look into."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import random
import re
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from rasyncio.inside import _screen, _server, _started
from rasyncio.inside._client import Client, Silent, Unreachable
from rasyncio.inside._keys import Keys
from rasyncio.inside._protocol import Malformed
from rasyncio.inside._rates import percentile, rates
from rasyncio.inside._schema import checked_snapshot, checked_tree, decoded, printable
from rasyncio.inside._snapshot import snapshot
from rasyncio.inside._view import View, amount, clock, duration, in_the_loop
from rasyncio.inside._web import Follower
from rasyncio.inside._wishes import Wishes
from support.viewers import BY_PROCESS, PROGRAM, refused, running, top, until


def shows_the_program(text: str) -> None:
    assert "MainThread" in text
    assert "sleeper-0 sleeps" in text or "nightly[/red]" in text
    assert "\x1b" not in text


# Which programs.


@BY_PROCESS
def test_a_process_that_did_not_ask_for_it() -> None:
    with running(RASYNCIO_STATS="") as program:
        done = top(program.pid, "--watch", "0.03", "--once", "--every", "1")
        assert (done.returncode, done.stderr) == (0, "")
        shows_the_program(done.stdout)
        assert "[red]nightly[/red] nightly <string>:7 nightly" in done.stdout, "the slow step"
        assert program.poll() is None
        # It serves no longer than somebody looks: the next one starts it anew.
        assert top(program.pid, "--once", "--every", "0.01").returncode == 0


@pytest.mark.parametrize("kind", ["process", "path", "port"])
def test_a_program_that_serves(tmp_path: Path, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"{tmp_path}/{{pid}}" if kind != "port" else str(port)
    with running(RASYNCIO_STATS=address, RASYNCIO_WATCH="0.03") as program:
        target = {"process": program.pid, "path": f"{tmp_path}/{program.pid}", "port": f":{port}"}[kind]
        done = top(target, "--once", "--every", "1")
        assert (done.returncode, done.stderr) == (0, "")
        shows_the_program(done.stdout)
        assert "[red]nightly[/red] nightly <string>:7 nightly" in done.stdout, "the slow step"


def test_a_program_that_it_starts(tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text(PROGRAM.replace("rasyncio.run", "asyncio.run").replace(", rasyncio", ""))
    done = top("--once", "--every", "1", "--self", script, "argument")
    assert (done.returncode, done.stderr) == (0, "")
    shows_the_program(done.stdout)
    assert "app.py argument" in done.stdout
    assert "ready\n" in done.stdout, "its output comes at the end"


def test_a_program_that_it_starts_and_that_ends() -> None:
    done = top("--once", "--self", "-c", "raise SystemExit(3)")
    assert done.returncode == 3
    assert done.stderr == "rasyncio: the program has ended, with status 3, before an event loop was made\n"
    assert top("--once", "--self", "-c", "pass").returncode == 1, "nothing could be shown"


def test_a_program_that_it_starts_and_that_ends_while_it_is_shown() -> None:
    """It is shown all the same, and its exit status is the viewer's."""
    code = "import asyncio, sys; print('said'); asyncio.run(asyncio.sleep(1.5), debug=False); sys.exit(7)"
    done = top("--once", "--every", "20", "--self", "-c", code)
    assert (done.returncode, done.stderr) == (7, "rasyncio: the program has ended, with status 7\n")
    assert "MainThread" in done.stdout and done.stdout.endswith("said\n")
    killed = code.replace("sys.exit(7)", "import os; os.kill(os.getpid(), 9)")
    done = top("--once", "--every", "20", "--self", "-c", killed)
    assert (done.returncode, done.stderr) == (137, "rasyncio: the program has ended, with status -9\n")


def test_a_program_that_it_starts_and_that_makes_no_loop_for_long(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_started, "_SAID_AFTER", 0.0)
    code = "import asyncio, time; time.sleep(0.5); asyncio.run(asyncio.sleep(1000))"
    seen: list[float] = []
    status = _started.run(["-c", code], Wishes(), True, lambda client: seen.append(client.snapshot()["pid"]))
    assert (status, len(seen)) == (0, 1)
    assert "the program has made no event loop of rasyncio's yet: it is waited for" in capfd.readouterr().err


def test_a_program_without_a_loop_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "stats"
    code = f"import rasyncio, time; rasyncio.serve_stats({str(path)!r}); print('ready', flush=True); time.sleep(100)"
    with running(code):
        done = top(path, "--once", "--every", "0.1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "no event loop of rasyncio's is there: start the program with RASYNCIO=1" in done.stdout


# What cannot be looked into.


def test_processes_that_are_not_there() -> None:
    for pid in (2**31 - 1, 99999999999):
        assert f"there is no process {pid}: look for it with" in refused(pid)
    with subprocess.Popen(["true"]) as program:
        os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
        assert "has ended" in refused(program.pid)


def test_processes_that_are_no_python() -> None:
    with subprocess.Popen(["sleep", "100"]) as program:
        try:
            deadline = time.monotonic() + 30
            while b"sleep" not in Path(f"/proc/{program.pid}/cmdline").read_bytes() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert "seems to be no Python program: look for yours with `pgrep -af python`" in refused(program.pid)
        finally:
            program.kill()


@BY_PROCESS
def test_a_process_that_forbids_it() -> None:
    with running(RASYNCIO_STATS="", PYTHON_DISABLE_REMOTE_DEBUG="1") as program:
        assert "PYTHON_DISABLE_REMOTE_DEBUG forbids it there: start the program without" in refused(program.pid)


@pytest.mark.skipif(hasattr(sys, "remote_exec"), reason="since 3.14 it can be looked into")
def test_an_old_python() -> None:
    with running(RASYNCIO_STATS="") as program:
        said = refused(program.pid)
        assert "only Python 3.14 or later can look into it" in said
        assert f"RASYNCIO_STATS=/tmp/{{pid}}.stats, and say: python -m rasyncio top /tmp/{program.pid}.stats" in said


@BY_PROCESS
def test_a_program_in_whose_environment_there_is_no_rasyncio() -> None:
    code = "import time\nprint('ready', flush=True)\nwhile True: time.sleep(0.01)"
    # -I leaves PYTHONPATH out, -S what is installed.
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", code], stdout=subprocess.PIPE) as program:
        try:
            assert program.stdout is not None and program.stdout.readline()
            assert "No module named 'rasyncio': install rasyncio there" in refused(program.pid)
            assert program.poll() is None
        finally:
            program.kill()


def test_addresses_where_nobody_serves(tmp_path: Path) -> None:
    assert "nobody serves stats at" in refused(tmp_path / "missing")
    (tmp_path / "file").touch()
    assert "nobody serves stats at" in refused(tmp_path / "file")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert f"nobody serves stats at 127.0.0.1:{port}" in refused(f":{port}")
    assert "is no process id" in refused(":99999")
    assert "':0' is no port that a program serves at" in refused(":0")


def test_command_lines_that_say_nothing() -> None:
    for arguments in ((), ("1", "--self", "app.py"), ("1", "--every", "x"), ("1", "--watch", "-1"), ("--nonsense",)):
        done = top(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "Traceback" not in done.stderr
    assert "python -m rasyncio top 4711" in top("--help").stdout


def test_without_rich(tmp_path: Path) -> None:
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich" / "__init__.py").write_text("raise ImportError('none')")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    with running(RASYNCIO_STATS=str(tmp_path / "stats")):
        said = refused(tmp_path / "stats", PYTHONPATH=path)
        # It is looked for before anything is done.
        assert refused(2**31 - 1, PYTHONPATH=path) == said
        assert "there is no process" in refused(2**31 - 1, "--web", "0", PYTHONPATH=path)
    assert "pip install 'rasyncio[top]'" in said


# What answers may be anything.


@contextlib.contextmanager
def answering(path: Path, answer: Callable[[socket.socket], object]) -> Iterator[str]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(30)

        def serve() -> None:
            with contextlib.suppress(OSError), listener.accept()[0] as client:
                client.settimeout(30)
                answer(client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield str(path)
        finally:
            thread.join()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "the program has ended, or serves no longer"),
        (b"half", "the program has ended, or serves no longer"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "the answer is not JSON"),
        (b"[]\n", "the answer is no object"),
        (b"{}\n", "schema is no number"),
        (b'{"schema": 99}\n', "it speaks schema 99, this is 1: use the same version"),
        (b'{"schema": 1}\n', "is no"),
        (b'{"schema": 1e999}\n', "is no number"),
        (b'{"schema": NaN}\n', "the answer is not JSON"),
        (b"[" * 100_000 + b"\n", "the answer is not JSON"),
        (b'{"error": "\\u001b[2Jwhy"}\n', "the program answers: \N{REPLACEMENT CHARACTER}[2Jwhy"),
        (b"x" * 5 * 2**20, "bytes"),
    ],
)
def test_answers_of_something_else(tmp_path: Path, answer: bytes, said: str) -> None:
    with (
        answering(tmp_path / "stats", lambda client: (client.recv(100), client.sendall(answer))) as path,
        Client(path) as client,
        pytest.raises(Unreachable) as refusal,
    ):
        client.snapshot()
    assert said in str(refusal.value) and "\n" not in str(refusal.value)


def test_something_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rasyncio.inside._client.PATIENCE", 0.2)

    def drips(client: socket.socket) -> None:
        for _ in range(1000):
            client.sendall(b" ")
            time.sleep(0.01)

    with (
        answering(tmp_path / "stats", drips) as path,
        Client(path) as client,
        pytest.raises(Unreachable, match="the program has not answered for"),
    ):
        client.snapshot()


def test_an_answer_that_comes_after_all(tmp_path: Path) -> None:
    """It is the answer to what was asked, and to nothing else."""
    may_answer = threading.Event()

    def answers(client: socket.socket) -> None:
        for _ in range(3):
            line = b""
            while not line.endswith(b"\n"):
                line += client.recv(1)
            assert may_answer.wait(30)
            told = SAMPLE if line == b"snapshot\n" else {"tree": {**TREE, "name": line.decode().split()[1]}}
            client.sendall(json.dumps(told).encode() + b"\n")

    with answering(tmp_path / "stats", answers) as path, Client(path) as client:
        client.patience = 0.05
        for _ in range(3):
            with pytest.raises(Silent, match="has not answered for"):
                client.snapshot()
        may_answer.set()
        client.patience = 30
        assert client.snapshot()["pid"] == 1
        may_answer.clear()
        client.patience = 0.05
        with pytest.raises(Silent):
            client.tree("a")
        may_answer.set()
        client.patience = 30
        tree = client.tree("b")
        assert tree is not None and tree["name"] == "b"


def test_a_connection_that_was_idle_for_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_server, "IDLE_MAX", 0.1)
    with _server.StatsServer(str(tmp_path / "stats")) as server, Client(str(tmp_path / "stats")) as client:
        for _ in range(3):
            assert client.snapshot()["schema"] == 1
            deadline = time.monotonic() + 30
            while server._clients and time.monotonic() < deadline:
                time.sleep(0.01)
        server.close()
        with pytest.raises(Unreachable, match="the program has ended, or serves no longer"):
            client.snapshot()


class Sometimes:
    """A program that does not answer for some time."""

    def __init__(self) -> None:
        self.answers = True

    def snapshot(self) -> dict[str, Any]:
        if not self.answers:
            raise Silent("the program has not answered for 1 s")
        return checked_snapshot(SAMPLE)

    def tree(self, task: str) -> dict[str, Any] | None:
        return TREE if self.snapshot() else None


def test_a_view_of_a_program_that_does_not_answer_for_some_time() -> None:
    program = Sometimes()
    view = View(program)
    assert view.silence is None
    program.answers = False
    view.look()
    view.choose(1)
    assert view.silence is not None and view.silence.startswith("it has not answered for ")
    console = Console(file=StringIO(), width=120, height=40)
    console.print(_screen.screen(view))
    assert view.silence in console.file.getvalue()  # type: ignore[attr-defined]
    program.answers = True
    view.look()
    assert view.silence is None


def test_a_page_of_a_program_that_does_not_answer_for_some_time() -> None:
    program = Sometimes()
    follower = Follower(View(program), 0.01)
    try:
        assert follower.told(None)["silence"] is None
        program.answers = False
        assert eventually(lambda: follower.told("1")["silence"] is not None)
        assert follower.told("2")["ended"] is None
        program.answers = True
        assert eventually(lambda: follower.told(None)["silence"] is None)
        # Two who look at two tasks.
        for task in ("1", "2", "1"):
            assert eventually(lambda task=task: follower.told(task)["chosen"] == task)
    finally:
        follower.stop()


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(2**70), 2**70) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32), JSON)
def test_a_snapshot_in_which_anything_is_something_else(seed: int, other: Any) -> None:
    """Whatever comes is refused, or can be shown."""
    chance = random.Random(seed)
    changed = changed_somewhere(SAMPLE, other, chance)
    try:
        checked = checked_snapshot(decoded(json.dumps(changed).encode()))
        tree = checked_tree({"tree": changed_somewhere(TREE, other, chance)})
    except Malformed as error:
        text = str(error)
    else:
        text = ""
    assert printable(text) == text
    if text:
        return

    class Source:
        def snapshot(self) -> dict[str, Any]:
            return checked

        def tree(self, task: str) -> dict[str, Any] | None:
            return tree

    view = View(Source())
    view.look()
    view.choose(1)
    console = Console(file=StringIO(), width=100, height=40)
    console.print(_screen.page(view), _screen.screen(view))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b" not in shown and "\r" not in shown


def changed_somewhere(value: Any, other: Any, chance: random.Random) -> Any:
    """The value, or with something else in one place of it."""
    if chance.random() < 0.1:
        return other
    if isinstance(value, dict) and value:
        name = chance.choice([*value])
        return {**value, name: changed_somewhere(value[name], other, chance)}
    if isinstance(value, list) and value:
        place = chance.randrange(len(value))
        return [*value[:place], changed_somewhere(value[place], other, chance), *value[place + 1 :]]
    return chance.choice([value, other])


_TASK = {"id": "1", "name": "n", "coroutine": "c", "state": "waiting", "place": "f:1 in c", "waits_for": "Future"}
TREE: dict[str, Any] = {**_TASK, "stack": ["f:1 in c"], "awaits": [{**_TASK, "id": "2", "stack": [], "awaits": []}]}
SAMPLE: dict[str, Any] = {
    "schema": 1,
    "pid": 1,
    "program": "python [red]x",
    "python": "3.14.0",
    "rasyncio": "0",
    "time": 1.5,
    "loops": [
        {
            **dict.fromkeys(
                (
                    *("seconds_running", "seconds_asleep", "iterations", "callbacks", "polls", "waits", "gap_now"),
                    *("threadsafe_calls", "ready_now", "ready_most", "timers_scheduled", "files_watched", "tasks_made"),
                    *(
                        "tasks_returned",
                        "tasks_failed",
                        "tasks_cancelled",
                        "tasks_alive",
                        "connections_made",
                        "connections_lost",
                        "bytes_received",
                        "bytes_sent",
                    ),
                ),
                1,
            ),
            **{name: {"largest": 1.0, "buckets": [[0.1, 2]]} for name in ("gaps", "ready_wait", "timer_lateness")},
            "id": "a",
            "loop": "<EventLoop>",
            "thread": 1,
            "thread_name": "MainThread",
        }
    ],
    "tasks": {"looked_at": 2, "listed": [_TASK, {**_TASK, "id": "2"}]},
    "coroutines": [{"coroutine": "c", "place": "f:1 in c", "tasks": 2}],
    "functions": [
        {"name": "f", "place": "f:1", "steps": 3, "seconds_busy": 1.0, "seconds_longest": 0.5, "seconds_waiting": 2.0}
    ],
    "watched": 0.1,
    "slow_steps": [
        {
            "is_over": True,
            "seconds": 1.0,
            "time": 1.0,
            "thread": 1,
            "task": "t",
            "coroutine": None,
            "place": None,
            "called_at": "f:1 in g",
            "gil_held": 0.0,
            "repeats": 3,
            "stack": ['  File "f"\n    x()'],
        }
    ],
}


def test_the_sample_is_a_snapshot() -> None:
    assert checked_snapshot(SAMPLE)["loops"][0]["gaps"]["buckets"] == [(0.1, 2)]
    assert checked_tree({"tree": TREE})
    assert set(SAMPLE) == set(snapshot())


# What is computed.


def test_what_happened_between_two_snapshots() -> None:
    def at(**changes: Any) -> dict[str, Any]:
        return {**SAMPLE, "loops": [{**SAMPLE["loops"][0], **changes}]}

    before = checked_snapshot(at(seconds_running=10, seconds_asleep=5, gaps={"largest": 9, "buckets": [[9, 1]]}))
    after = checked_snapshot(
        at(seconds_running=12, seconds_asleep=6.5, callbacks=201, gaps={"largest": 9, "buckets": [[0.5, 3], [9, 1]]})
    )
    (found,) = rates(before, after)
    assert (found["load"], found["lag"], found["callbacks"]) == (0.25, 0.5, 100)
    assert found["lag_most"] == 0.5
    # A long gap among many short ones: the percentile does not see it.
    rare = checked_snapshot(at(seconds_running=12, gaps={"largest": 9, "buckets": [[0.001, 1000], [0.4, 1], [9, 1]]}))
    (found,) = rates(before, rare)
    assert (found["lag"], found["lag_most"]) == (0.001, 0.4)
    # The clock's rate is known better than before: the bounds are the same, but for some digits.
    again = checked_snapshot(at(seconds_running=12, gaps={"largest": 9, "buckets": [[0.5002, 3], [8.998, 1]]}))
    (found,) = rates(after, again)
    assert found["lag_most"] == 0, "nothing has come since"
    (since_it_began,) = rates(None, before)
    assert (since_it_began["load"], since_it_began["lag"]) == (0.5, 9)


def test_numbers_for_people() -> None:
    assert [duration(each) for each in (0, 1e-9, 2.5e-5, 0.0123, 0.1234, 1.5, 12345)] == [
        *("0 µs", "0.001 µs", "25 µs", "12.3 ms", "123 ms", "1.5 s", "12345 s")
    ]
    assert [amount(each) for each in (0, 999, 1000, 123456, 2**63)] == ["0", "999", "1.0k", "123k", "9223P"]
    assert clock(2.0**63) == "?"
    assert in_the_loop(["a", 'File "x", line 1, in run_forever\n  y', "b", "c"]) == ["b", "c"]
    assert in_the_loop(["a", "b, in run_forever"]) == ["a", "b, in run_forever"]
    assert percentile([], 99) == 0
    assert percentile([(0.1, 99), (5.0, 1)], 99) == 0.1


def test_what_is_said_of_a_slow_step() -> None:
    (step,) = checked_snapshot(SAMPLE)["slow_steps"]
    assert "nobody could see whose" in _screen._slow_step({**step, "task": None, "called_at": None}).plain
    text = _screen._slow_step({**step, "task": None, "place": "/x/f.py:1 in g", "called_at": "/y/h.py:2 in i"}).plain
    assert text.endswith("a callback  f.py:1 g called at h.py:2 i and 3 more since")
    same = {**step, "place": "/x/f.py:1 in g", "called_at": "/x/f.py:1 in g", "repeats": 0}
    assert _screen._slow_step(same).plain.endswith("t  f.py:1 g")


def test_a_rare_stall_is_seen_in_a_narrow_terminal() -> None:
    """Each second a stall of 0.4 s, and thousands of short gaps."""
    stalls = {"largest": 0.4, "buckets": [[0.001, 5000], [0.4, 1]]}
    short = {"largest": 0.001, "buckets": [[0.001, 10]]}
    loop = {**SAMPLE["loops"][0], "gaps": stalls, "ready_wait": short, "timer_lateness": short}

    class Source:
        def snapshot(self) -> dict[str, Any]:
            return checked_snapshot({**SAMPLE, "loops": [loop]})

        def tree(self, task: str) -> None:
            return None

    console = Console(file=StringIO(), width=80, height=24)
    console.print(_screen.screen(View(Source())))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "longest" in shown and "400 ms" in shown


# The terminal.


def marked(controller: int, wanted: str = "") -> str:
    """The name of the task that is marked, once it is that, or for a long time."""
    deadline = time.monotonic() + 30
    name = ""
    while time.monotonic() < deadline:
        text = until(controller, "▸".encode()) + until(controller, b"who awaits whom")
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.decode(errors="replace"))
        found = re.findall(r"▸ +(\S+)", plain)
        name = found[-1] if found else name
        if name and (not wanted or name == wanted):
            break
    return name if not wanted or name == wanted else ""


def test_keys_that_come_together_or_in_pieces() -> None:
    keys = Keys()
    assert keys.taken(b"\x1b[Bj\x1bOAq") == ["\x1b[B", "j", "\x1bOA", "q"]
    assert keys.taken(b"\x1b") == keys.taken(b"[") == []
    assert keys.taken(b"1;5") == []
    assert keys.taken(b"Ak") == ["\x1b[1;5A", "k"]
    assert keys.taken(b"\xc3") == []
    assert keys.taken(b"\xa4q") == ["ä", "q"]
    assert keys.taken(b"\x1bq") == ["\x1b", "q"]
    assert keys.taken(b"\xff\x00q") == ["\N{REPLACEMENT CHARACTER}", "\x00", "q"]
    keys.taken(b"\x1b[" + b"1" * 1000)
    assert keys.taken(b"A" + b"q")[-1] == "q"


def test_keys_in_a_terminal(tmp_path: Path) -> None:
    with running(RASYNCIO_STATS=str(tmp_path / "stats")):
        controller, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (40, 120))
        command = [sys.executable, "-m", "rasyncio", "top", str(tmp_path / "stats"), "--every", "0.1"]
        environment = {**os.environ, "TERM": "xterm"}
        for name in ("COLUMNS", "LINES"):  # as pytest's workers have them
            environment.pop(name, None)
        with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment) as shown:
            os.close(terminal)
            try:
                text = until(controller, b"choose a task")
                assert b"MainThread" in text
                # The list begins with who runs, and then by name: several keys in one go.
                assert marked(controller).split()[0] != "sleeper-2"
                os.write(controller, b"kkk\x1b[B\x1bOBjjjjjj\x1b[")
                assert marked(controller, "sleeper-2")
                os.write(controller, b"A")
                assert marked(controller, "sleeper-1")
                os.write(controller, b"kjk")
                assert marked(controller, "sleeper-0")
                os.write(controller, b"q")
                assert shown.wait(30) == 0
            finally:
                shown.kill()
                os.close(controller)


@pytest.mark.parametrize("kind", ["path", "process"])
def test_the_program_ends_while_it_is_shown(tmp_path: Path, kind: str) -> None:
    with running(RASYNCIO_STATS=str(tmp_path / "stats")) as program:
        controller, terminal = pty.openpty()
        target = {"path": str(tmp_path / "stats"), "process": str(program.pid)}[kind]
        command = [sys.executable, "-m", "rasyncio", "top", target, "--every", "0.1"]
        with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=subprocess.PIPE, text=True) as shown:
            os.close(terminal)
            try:
                until(controller, b"MainThread")
                program.kill()
                drain = threading.Thread(target=until, args=(controller, b"never"))
                drain.start()
                assert shown.stderr is not None
                assert shown.stderr.read() == "rasyncio: the program has ended, or serves no longer\n"
                assert shown.wait(30) == 1
                drain.join()
            finally:
                shown.kill()
                os.close(controller)
