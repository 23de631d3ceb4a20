"""`python -m rasyncio --check`: what runs, in a process and in those that it starts.

Without a program: in this process, and in a child. With one, it is started as it would be without `--check`, and each
of its processes that is reached reports its `status()` when an event loop begins to run there. Once no more of them
come in, the program is ended: most that people want to know of are servers.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import Any

from . import _other_loop, _startup
from ._native import ours
from ._status import Status, status

#: For how many seconds no report may have come in, after the first one.
_QUIET = 2.0
#: How long a program may take to end before it is killed.
_PATIENCE = 5.0

# What this process has reported already: a fork is another one.
_reported: set[tuple[int, type]] = set()


def check(value: str, *, children: bool) -> int:
    """Say what this process runs on, after install(), and one that it starts. Returns the exit status."""
    _startup.pass_on(value if children else None)
    own = status()
    code = "import rasyncio; print(rasyncio.status())"
    child = subprocess.run([sys.executable, *_flags(), "-c", code], capture_output=True, text=True)
    print(own)
    print(f"\nIn a child process:\n{child.stdout or child.stderr}", end="")
    return 0 if _is_as_asked(own, own.event_loop, value) else 1


def check_program(options: list[str], arguments: list[str]) -> int:
    """Start the program and say what each of its processes reports; 0 if all of them run what was asked for."""
    with TemporaryDirectory(prefix="rasyncio-check-") as folder:
        path = os.path.join(folder, "reports")
        program = subprocess.Popen(
            [sys.executable, *_flags(), "-m", "rasyncio", *options, *arguments],
            env={**os.environ, _startup.REPORTS: path},
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,  # ours has the report alone
            start_new_session=True,
        )
        with _ended(program), contextlib.suppress(KeyboardInterrupt):
            _wait(program, path)
        reports = _read(path)
    by_text: dict[str, list[str]] = {}
    for report in reports:
        by_text.setdefault(report["status"], []).append(f"Process {report['process']}: {report['command']}")
    if reports:
        print("\n\n".join("\n".join([*processes, text]) for text, processes in by_text.items()))
    else:
        print(f"No event loop ran in a process that was reached; the program ended with status {program.returncode}.")
    return 0 if reports and all(report["as asked"] for report in reports) else 1


def listen() -> None:
    """Report of each kind of loop that runs in this process, which belongs to a program that is being checked."""
    if ours is not None:
        ours._tell_of_loops(_report, True)


def _report(loop: object) -> None:
    kind = type(loop)
    if (os.getpid(), kind) in _reported:
        return
    _reported.add((os.getpid(), kind))
    _other_loop.note(kind)
    found = status()
    report = {
        "process": os.getpid(),
        "command": " ".join(["python", *sys.orig_argv[1:]]),
        "status": str(found),
        "as asked": _is_as_asked(found, found.running, os.environ.get(_startup.VARIABLE)),
    }
    # One write, and appended: several processes do it at once.
    with contextlib.suppress(OSError), open(os.environ[_startup.REPORTS], "ab", buffering=0) as reports:
        reports.write(json.dumps(report).encode() + b"\n")


def _is_as_asked(found: Status, event_loop: str | None, value: str | None) -> bool:
    return found.future_and_task == "rasyncio" and (value == "tasks" or event_loop == "rasyncio.EventLoop")


def _flags() -> list[str]:
    """This interpreter's options, as multiprocessing hands them on."""
    flags: list[str] = getattr(subprocess, "_args_from_interpreter_flags", list)()
    return flags


def _read(path: str) -> list[dict[str, Any]]:
    try:
        with open(path, "rb") as reports:
            return [json.loads(line) for line in reports if line.endswith(b"\n")]
    except FileNotFoundError:
        return []


def _wait(program: subprocess.Popen[bytes], path: str) -> None:
    """Until the program has ended, or all of its processes have reported, as far as anyone can tell."""
    count, last = 0, 0.0
    while program.poll() is None and (count == 0 or time.monotonic() < last + _QUIET):
        time.sleep(0.05)
        if (now := len(_read(path))) != count:
            count, last = now, time.monotonic()


@contextlib.contextmanager
def _ended(program: subprocess.Popen[bytes]) -> Iterator[None]:
    """The program, with all processes of its group, ends when this does."""
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(_PATIENCE)
