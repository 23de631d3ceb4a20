"""`python -m rasyncio --check`: what runs, in a process and in those that it starts.

Without a program: in this process, and in a child. With one, it is started as it would be without `--check`, and each
of its processes that is reached reports its `status()` when an event loop begins to run there. Once no more of them
come in, the program is ended: most that people want to know of are servers. What was not reached is found from outside
(`_descendants`), and named.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from types import FrameType

from . import _other_loop, _reports, _startup
from ._descendants import Descendants
from ._native import ours
from ._status import Status, status

#: For how many seconds no report may have come in and no process have begun, after the first report of a loop.
_QUIET = 2.0
#: The same before it, where nobody does anything either: a program that uses the CPU is still importing.
_IDLE = 10.0
#: Seconds of CPU that a server which waits does not use in that time.
_SOME_WORK = 0.5
#: After how many seconds without a loop it is no longer waited for in any case.
_LONGEST = 60.0
#: How long a program may take to end before it is killed.
_PATIENCE = 5.0

# What this process has reported already: a fork is another one.
_reported: set[tuple[int, type]] = set()


def check(value: str, *, children: bool) -> int:
    """Say what this process runs on, after install(), and one that it starts. Returns the exit status."""
    _startup.pass_on(value if children else None)
    code = f"from rasyncio._check import judge; raise SystemExit(judge({value!r}))"
    child = subprocess.run([sys.executable, *_flags(), "-c", code], capture_output=True, text=True)
    own = judge(value)
    print(f"\nIn a child process:\n{child.stdout or child.stderr}", end="")
    return own or (child.returncode if children else 0)


def judge(value: str) -> int:
    """Say what this process runs on; 0 if that is what was asked for, else 1."""
    found = status()
    print(found)
    return 0 if _is_as_asked(found, found.event_loop, value) else 1


def check_program(options: list[str], arguments: list[str]) -> int:
    """Start the program and say what each of its processes reports; 0 if all of them run what was asked for."""
    with TemporaryDirectory(prefix="rasyncio-check-") as folder, _signals_noted() as ended_by:
        path = os.path.join(folder, "reports")
        reports = _reports.Reports(path)
        program = subprocess.Popen(
            [sys.executable, *_flags(), "-m", "rasyncio", *options, *arguments],
            env={**os.environ, _reports.VARIABLE: path},
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,  # ours has the report alone
            start_new_session=True,
        )
        processes = Descendants(program.pid)
        with _ended(program, processes):
            _wait(program, reports, processes, ended_by)
            status = program.poll()
        reports.read()
    if signal.SIGINT in ended_by or not ended_by:
        return _say(reports, processes, status, children="--no-children" not in options)
    os.kill(os.getpid(), ended_by[0])
    return 1


def _say(reports: _reports.Reports, processes: Descendants, status: int | None, *, children: bool) -> int:
    by_text: dict[str, list[str]] = {}
    for report in reports.of_loops:
        by_text.setdefault(report["status"], []).append(f"Process {report['process']}: {report['command']}")
    parts = ["\n".join([*each, text]) for text, each in by_text.items()]
    if not parts:
        parts = [f"No event loop ran in a process that was reached; the program ended with status {status}."]
        if status is None:
            reached = [f"\n{process}" for process in processes.seen if process.pid in reports.processes]
            parts = [f"No event loop ran in a process that was reached, and none is waited for.{''.join(reached)}"]
    not_reached = list(processes.not_reached(reports.processes, _QUIET))
    if not_reached and children:
        parts += ["\n".join([str(process), f"! This one was not reached: {why}."]) for process, why in not_reached]
    elif not_reached:
        parts.append(
            "\n".join(["Left as they are, for --no-children says so:", *(str(process) for process, _ in not_reached)])
        )
    print("\n\n".join(parts))
    well = bool(reports.of_loops) and all(report["as asked"] for report in reports.of_loops)
    return 0 if well and not (not_reached and children) else 1


def listen() -> None:
    """Report of each kind of loop that runs in this process, which belongs to a program that is being checked."""
    _reports.tell_of_process()
    if ours is not None:
        ours._tell_of_loops(_report, True)


def _report(loop: object) -> None:
    kind = type(loop)
    if (os.getpid(), kind) in _reported:
        return
    _reported.add((os.getpid(), kind))
    _other_loop.note(kind)
    found = status()
    _reports.append(
        {
            "command": " ".join(["python", *sys.orig_argv[1:]]),
            "status": str(found),
            "as asked": _is_as_asked(found, found.running, os.environ.get(_startup.VARIABLE)),
        }
    )


def _is_as_asked(found: Status, event_loop: str | None, value: str | None) -> bool:
    return found.future_and_task == "rasyncio" and (value == "tasks" or event_loop == "rasyncio.EventLoop")


def _flags() -> list[str]:
    """This interpreter's options, as multiprocessing hands them on."""
    flags: list[str] = getattr(subprocess, "_args_from_interpreter_flags", list)()
    return flags


def _wait(
    program: subprocess.Popen[bytes], reports: _reports.Reports, processes: Descendants, ended_by: list[int]
) -> None:
    """Until the program has ended, or all of its processes have reported, as far as anyone can tell."""
    begun = last = time.monotonic()
    known, used = 0, 0.0
    while program.poll() is None and not ended_by:
        time.sleep(0.05)
        reports.read()
        processes.look()
        now = time.monotonic()
        works = not reports.of_loops and processes.cpu_time >= used + _SOME_WORK
        if (news := len(reports.of_loops) + len(reports.processes) + len(processes.seen)) != known or works:
            known, used, last = news, processes.cpu_time, now
        if now >= last + (_QUIET if reports.of_loops else _IDLE) or (not reports.of_loops and now >= begun + _LONGEST):
            return


@contextlib.contextmanager
def _signals_noted() -> Iterator[list[int]]:
    """Who is to end this process, which has to end the program first, is noted in the list."""
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    heeded = [number for number in numbers if before[number] != signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, note)
    try:
        yield noted
    finally:
        for number in heeded:
            signal.signal(number, before[number] or signal.SIG_DFL)


@contextlib.contextmanager
def _ended(program: subprocess.Popen[bytes], processes: Descendants) -> Iterator[None]:
    """The program, with all processes of its group and what else it has started, ends when this does."""
    try:
        yield
    finally:
        processes.look()
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, number)
            processes.send_outside(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(_PATIENCE)
            processes.wait(_PATIENCE)  # the others may take longer to end than the program itself
