"""Counting what a process does from outside: its system calls and, where the CPU tells, its instructions.

Not while it is timed, since that takes longer. By perf, whose tracepoints root may use; else system calls by strace,
which stops the process at each; else not at all.
"""

import os
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import IO

from benches.network.live import PATIENCE
from benches.network.processes import CaseFailed

EVENTS = {"system calls": "raw_syscalls:sys_enter", "user instructions": "instructions:u"}  # perf's names
Counts = dict[str, int]  # by what is counted, like "system calls"


@cache
def known_to_perf() -> list[str]:
    """Those of the events that can be counted here."""
    if not shutil.which("perf"):
        return []

    def counted(event: str) -> bool:
        command = ["perf", "stat", "-x,", "-e", event, "true"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)
        return done.returncode == 0 and done.stderr.partition(",")[0].isdigit()

    return [what for what, event in EVENTS.items() if counted(event)]


def way() -> str:
    """How it is counted, for the notes."""
    if found := known_to_perf():
        return f"{' and '.join(found)} counted by perf"
    return "system calls counted by strace" if shutil.which("strace") else "nothing counted: no perf, no strace"


def count(pid: int, work: Callable[[], object]) -> Counts:
    """What a process does while the work is done, as far as that can be told."""
    if known_to_perf():
        return by_perf(pid, work)
    return by_strace(pid, work) if shutil.which("strace") else {}


def by_perf(pid: int, work: Callable[[], object]) -> Counts:
    """perf attaches to all threads, and counts from one command to another, both of which it acknowledges."""
    events = {EVENTS[what]: what for what in known_to_perf()}
    read_end, to_perf = os.pipe()
    from_perf, write_end = os.pipe()
    options = ["-x,", "-e", ",".join(events), "-p", str(pid), "--delay=-1", f"--control=fd:{read_end},{write_end}"]
    with ExitStack() as stack:
        tool = stack.enter_context(attached(["perf", "stat", *options], [read_end, write_end]))
        for end in (read_end, write_end):
            os.close(end)
        acknowledged = stack.enter_context(open(from_perf, "rb", buffering=0))
        control = stack.enter_context(open(to_perf, "wb", buffering=0))
        for command in (b"enable\n", b"disable\n"):
            control.write(command)
            awaited(acknowledged)
            if command == b"enable\n":
                work()
        fields = [line.split(",") for line in end_of(tool).splitlines()]
    return {events[line[2]]: int(line[0]) for line in fields if len(line) > 2 and line[0].isdigit()}


def by_strace(pid: int, work: Callable[[], object]) -> Counts:
    """strace says when it has attached to all threads, and sums up when it is interrupted."""
    with attached(["strace", "-c", "-f", "-p", str(pid)]) as tool:
        assert tool.stderr
        awaited(tool.stderr)  # "strace: Process 1 attached", or "... attached with 2 threads"
        work()
        rows = [line.split() for line in end_of(tool).splitlines()]
    # "% time     seconds  usecs/call     calls    errors syscall", and a line with the total.
    return {
        "system calls": sum(int(row[3]) for row in rows if len(row) > 4 and row[3].isdigit() and row[-1] != "total")
    }


@contextmanager
def attached(command: Sequence[str], pass_fds: Sequence[int] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """A tool that watches a process; it does not outlive the block."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, bufsize=0, pass_fds=pass_fds) as tool:
        try:
            yield tool
        finally:
            tool.kill()


def awaited(file: IO[bytes]) -> bytes:
    """What a tool says next."""
    if not select.select([file], [], [], PATIENCE)[0]:
        raise CaseFailed(f"the counting tool says nothing within {PATIENCE:.0f} s")
    return file.readline()


def end_of(tool: subprocess.Popen[bytes]) -> str:
    """What it says when it is interrupted."""
    tool.send_signal(signal.SIGINT)
    _, said = tool.communicate(timeout=PATIENCE)
    return said.decode()
