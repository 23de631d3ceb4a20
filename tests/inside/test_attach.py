"""Looking into a process by its id: what is made for that, what goes wrong, and what another user's process may do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rasyncio.inside import _guest, _inject
from rasyncio.inside._attach import attached
from rasyncio.inside._client import Client, Unreachable
from rasyncio.inside._process import Process, process_of
from rasyncio.inside._snapshot import snapshot
from rasyncio.inside._wishes import Wishes
from support.viewers import AS_ROOT, BY_PROCESS, NOBODY, PROGRAM, refused, running, top

#: It has all that it needs before it becomes another user, who may not be able to read this Python's files.
OTHER_USERS = f"""\
import os, rasyncio.inside._guest
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
{PROGRAM}"""


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary folders are made meanwhile; its path is short enough for a socket in there."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def is_gone(path: Path) -> bool:
    """Whether it goes within some time."""
    deadline = time.monotonic() + 30
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not path.exists()


# What the process does.


def test_it_serves_no_longer_than_somebody_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_guest, "_ALONE_MAX", 0.1)
    folder = tmp_path / "folder"
    (folder / _guest.ANSWERS).mkdir(parents=True)
    _guest.serve_in(str(folder), 5.0)
    client = Client(str(folder / _guest.SOCKET))
    assert client.snapshot()["watched"] == 5.0
    time.sleep(0.3)
    assert client.snapshot()["watched"] == 5.0
    client.close()
    assert is_gone(folder)
    assert snapshot()["watched"] is None


@BY_PROCESS
def test_nothing_is_left_behind(temporary: Path) -> None:
    with running(RASYNCIO_STATS="") as program:
        with attached(program.pid, Wishes()) as client:
            assert client.snapshot()["pid"] == program.pid
            (folder,) = temporary.iterdir()
        assert is_gone(folder)


@BY_PROCESS
def test_a_long_path_of_temporary_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket's path must be short."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with running(RASYNCIO_STATS="") as program, attached(program.pid, Wishes()) as client:
        assert client.snapshot()["pid"] == program.pid


@BY_PROCESS
def test_a_process_that_runs_the_script_after_all(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_inject, "PATIENCE", 0.2)
    code = "import sys, time\nprint('ready', flush=True); sys.stdin.read(1)\nfor _ in range(9): time.sleep(0.01)"
    command = [sys.executable, "-c", code]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as program:
        assert program.stdout is not None and program.stdout.readline()
        with pytest.raises(Unreachable, match="did not answer"), attached(program.pid, Wishes()):
            pass
        (folder,) = temporary.iterdir()
        assert program.communicate("x", timeout=30) == ("", "")
        assert program.returncode == 0
        assert not folder.exists()


# What is turned on in it meanwhile.


@BY_PROCESS
def test_two_viewers_have_a_watch_each() -> None:
    with (
        running(RASYNCIO_STATS="") as program,
        attached(program.pid, Wishes(0.25)) as first,
        attached(program.pid, Wishes(0.5)) as second,
    ):
        assert (first.snapshot()["watched"], second.snapshot()["watched"]) == (0.25, 0.25)
        with attached(program.pid, Wishes(profile=True)) as third:
            assert third.snapshot()["functions"] is not None
        first.close()
        # The others' go some seconds later, the second one's stays.
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            told = second.snapshot()
            if (told["watched"], told["functions"]) == (0.5, None):
                break
            assert told["watched"] in (0.25, 0.5)
            time.sleep(0.1)
        assert (told["watched"], told["functions"]) == (0.5, None)


def test_a_watch_of_a_program_that_serves(tmp_path: Path) -> None:
    """By its process id it can be had where the script can be run, else there is a line that says how."""
    with running(RASYNCIO_STATS=str(tmp_path / "stats")) as program:
        pid = program.pid
        how = "needs a process id, and Python 3.14 or later on both sides: python -m rasyncio top"
        assert refused(tmp_path / "stats", "--watch", "0.03") == (
            f"rasyncio: --watch 0.03 {how} {pid} --watch 0.03; or start the program with RASYNCIO_WATCH=0.03\n"
        )
        assert refused(tmp_path / "stats", "--profile") == (
            f"rasyncio: --profile {how} {pid} --profile; or start the program with RASYNCIO_PROFILE=1\n"
        )
        if _inject.CAN_INJECT:
            done = top(pid, "--watch", "0.03", "--profile", "--once", "--every", "1")
            assert (done.returncode, done.stderr) == (0, "")
            assert "[red]nightly[/red] nightly <string>:7 nightly" in done.stdout, "the slow step"
            assert "Busiest (profiled)" in done.stdout
        else:
            assert how in refused(pid, "--watch", "0.03")
            assert how in refused(pid, "--profile")


def test_a_program_that_was_started_with_them(tmp_path: Path) -> None:
    with running(RASYNCIO_STATS=str(tmp_path / "stats"), RASYNCIO_WATCH="0.05", RASYNCIO_PROFILE="1"):
        done = top(tmp_path / "stats", "--watch", "0.1", "--profile", "--once", "--every", "1")
        assert (done.returncode, done.stderr) == (0, "")
        assert "Busiest (profiled)" in done.stdout
        assert refused(tmp_path / "stats", "--watch", "0.01") == (
            "rasyncio: the program itself watches for steps over 0.05 s, and --watch 0.01 does not change that\n"
        )


# Another user's process, looked into by root.


@BY_PROCESS
@AS_ROOT
def test_root_looks_into_another_users_process() -> None:
    with running(OTHER_USERS, RASYNCIO_STATS="") as program:
        done = top(program.pid, "--watch", "0.03", "--once", "--every", "1")
        assert (done.returncode, done.stderr) == (0, "")
        assert "nightly <string>:9 nightly" in done.stdout, "the slow step"
        assert program.poll() is None


@AS_ROOT
def test_what_another_user_can_do_in_the_folder() -> None:
    """Nothing that root writes, or names, can be put elsewhere."""
    folder = _inject._made_folder(Process(1, NOBODY, NOBODY), Wishes())
    code = f"""
import os
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
os.chdir({str(folder)!r})
assert "_rasyncio_is_looked_into" in open("script.py").read()
open("answers/stats", "w").close()
for attempt in (
    lambda: os.symlink("/etc/passwd", "other"),
    lambda: os.unlink("script.py"),
    lambda: open("script.py", "r+"),
    lambda: os.chmod("script.py", 0o666),
    lambda: os.rename("script.py", "other"),
    lambda: os.rename("answers", "other"),
    lambda: os.rename({str(folder)!r}, "/tmp/rasyncio-top-other"),
    lambda: os.listdir("."),
):
    try:
        attempt()
    except PermissionError:
        continue
    raise SystemExit("it could")
"""
    try:
        assert (folder / "script.py").stat().st_uid == 0
        subprocess.run([sys.executable, "-c", code], check=True)
    finally:
        _inject._remove(folder)
    assert not folder.exists()


@AS_ROOT
def test_what_another_user_puts_there_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = _inject._made_folder(Process(1, NOBODY, NOBODY), Wishes())
    for name in ("stats", "error", "error.part"):
        (folder / "answers" / name).symlink_to(victim)
    (folder / "answers" / "more").mkdir()
    _inject._remove(folder)
    assert victim.read_text() == "precious"
    assert [each.name for each in (folder / "answers").iterdir()] == ["more"], "only what we know is removed"
    (folder / "answers" / "more").rmdir()
    _inject._remove(folder)
    assert not folder.exists()


@AS_ROOT
def test_what_is_left_behind_is_the_users() -> None:
    process = Process(1, NOBODY, NOBODY)
    folder = _inject._made_folder(process, Wishes())
    _inject._leave_to(process, folder)
    code = f"""
import os, shutil
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
exec(open({str(folder / "script.py")!r}).read())
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert not folder.exists()


@pytest.mark.parametrize("kind", ["fifo", "endless", "link", "folder", "device"])
def test_a_process_that_says_why_it_cannot_as_something_else(tmp_path: Path, kind: str) -> None:
    (tmp_path / _guest.ANSWERS).mkdir()
    error = tmp_path / _guest.ERROR
    if kind == "fifo":
        os.mkfifo(error)
    elif kind == "folder":
        error.mkdir()
    else:
        error.symlink_to({"endless": "/dev/zero", "link": "/etc/passwd", "device": "/dev/tty"}[kind])
    with pytest.raises(Unreachable, match="cannot serve: it does not say why$"):
        _inject._wait(process_of(os.getpid()), tmp_path)


def test_a_process_that_says_much(tmp_path: Path) -> None:
    (tmp_path / _guest.ANSWERS).mkdir()
    (tmp_path / _guest.ERROR).write_text("\x1b[2J" + "x" * 10**6)
    with pytest.raises(Unreachable) as refusal:
        _inject._wait(process_of(os.getpid()), tmp_path)
    assert len(str(refusal.value)) < 600 and "\x1b" not in str(refusal.value)


@AS_ROOT
def test_a_socket_that_is_another_users(tmp_path: Path) -> None:
    """The path is the other process's to choose."""
    with running(RASYNCIO_STATS=str(tmp_path / "stats")):
        with Client(str(tmp_path / "stats"), 0) as client:
            assert client.snapshot()
        with pytest.raises(Unreachable, match="is another user's$"):
            Client(str(tmp_path / "stats"), NOBODY)


# What cannot be looked into.


def other_python() -> str | None:
    """A Python of another version, if there is one here."""
    for name in ("python3", "/usr/bin/python3", "python3.11", "python3.12", "python3.13"):
        path = shutil.which(name)
        if path is not None:
            command = [path, "-c", "import sys; print(sys.version_info[:2])"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0 and done.stdout.strip() != str(sys.version_info[:2]):
                return path
    return None


@BY_PROCESS
@pytest.mark.skipif(other_python() is None, reason="there is no Python of another version here")
def test_a_process_of_another_python() -> None:
    other = other_python()
    assert other is not None
    code = "import time, sys; print('%d.%d' % sys.version_info[:2], flush=True); time.sleep(100)"
    with subprocess.Popen(
        [other, "-c", code], stdout=subprocess.PIPE, text=True, env={"RASYNCIO_STATS": ""}
    ) as program:
        try:
            assert program.stdout is not None
            version = program.stdout.readline().strip()
            said = refused(program.pid)
        finally:
            program.kill()
    # From 3.14 on, Python itself says what it is.
    assert f"its Python {version} is not this one, " in said or f"it is a Python {version}" in said
    assert "RASYNCIO_STATS" in said


def test_which_python_a_process_runs() -> None:
    assert process_of(os.getpid()).python == "{}.{}".format(*sys.version_info)
    with subprocess.Popen(["sleep", "100"]) as program:
        try:
            deadline = time.monotonic() + 30
            while process_of(program.pid).python is not None and time.monotonic() < deadline:
                time.sleep(0.01)  # before exec()
            assert process_of(program.pid).python is None
        finally:
            program.kill()


@AS_ROOT
def test_another_users_process() -> None:
    code = f"""
import rasyncio.inside._attach, pwd
import os, sys
os.setuid({NOBODY})
from rasyncio.inside._attach import attached
from rasyncio.inside._client import Unreachable
from rasyncio.inside._wishes import Wishes
try:
    with attached({os.getpid()}, Wishes()):
        pass
except Unreachable as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"process {os.getpid()} is root's: say: sudo -u root ")


@pytest.mark.parametrize("scope", [0, 1])
def test_a_system_that_does_not_allow_it(monkeypatch: pytest.MonkeyPatch, scope: int) -> None:
    def refuses(pid: int, script: str) -> None:
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(sys, "remote_exec", refuses, raising=False)
    read = Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda path, **how: str(scope) if path.name == "ptrace_scope" else read(path, **how)
    )
    with pytest.raises(Unreachable) as refusal, _inject.made_to_serve(process_of(os.getpid()), Wishes()):
        pass
    hint = " (its ptrace_scope forbids it: sudo sysctl kernel.yama.ptrace_scope=0)" if scope else ""
    assert str(refusal.value) == (
        f"the system does not let you look into process {os.getpid()}{hint}: use sudo; in a container, start it with"
        " the capability SYS_PTRACE"
    )


def test_a_process_in_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "readlink", lambda path: "mnt:[1]" if "self" in path else "mnt:[2]")
    with pytest.raises(Unreachable, match="is in a container with files of its own: say the same in there"):
        process_of(os.getpid())


@BY_PROCESS
def test_a_process_that_ends_before_it_runs_the_script(temporary: Path) -> None:
    code = "import sys\nprint('ready', flush=True); sys.stdin.read(1)"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None and program.stdout.readline()
        viewer = subprocess.Popen(
            [sys.executable, "-m", "rasyncio", "top", str(program.pid), "--once"],
            env={**os.environ, "TMPDIR": str(temporary)},
            stderr=subprocess.PIPE,
            text=True,
        )
        with viewer:
            deadline = time.monotonic() + 30
            while not [*temporary.glob("*/answers")] and time.monotonic() < deadline:
                time.sleep(0.01)
            program.kill()
            program.wait()
            assert viewer.stderr is not None
            assert viewer.stderr.read().startswith(f"rasyncio: process {program.pid} ")
            assert viewer.wait(30) == 1
    assert [*temporary.iterdir()] == []
