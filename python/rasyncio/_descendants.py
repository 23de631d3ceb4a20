"""Which processes a program has started, as `/proc` tells, and why `RASYNCIO` is without effect in one of them.

For `python -m rasyncio --check`, which looks every now and then: a process that lives shorter than that is not seen.
Where there is no `/proc` none is.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from . import _startup

# CPython's and PyPy's, also of debug and free-threaded builds.
_PYTHON = re.compile(r"(python|pypy)[\d.]*[a-z]*(-dbg|-debug)?$")
# Options of one letter that take an argument, which is the next word if it does not follow at once.
_WITH_ARGUMENT = "cmWX"
_UNKNOWN = f"is {_startup.VARIABLE} in its environment, and rasyncio installed for that Python?"


@dataclass
class Process:
    """A program in a process, from one exec to the next."""

    pid: int
    started: int
    """When, in the system's own count: with the number it is one process for good."""
    executable: str
    command: tuple[str, ...]
    environment: bytes | None
    """As it was handed over; None where that may not be read."""
    first_seen: float = field(default_factory=time.monotonic)
    last_seen: float = field(default_factory=time.monotonic)

    @property
    def image(self) -> tuple[object, ...]:
        """What a fork has in common with its parent, and a program that was started anew has not."""
        return self.executable, self.command, self.environment

    @property
    def is_python(self) -> bool:
        return _PYTHON.match(os.path.basename(self.executable)) is not None

    def __str__(self) -> str:
        return f"Process {self.pid}: {' '.join(['python', *self.command[1:]])}"

    def why_not_reached(self) -> str:
        """Why the process, which is Python's, has not been told of `RASYNCIO`; "" where that cannot be seen."""
        if options := options_that_hide(self.command):
            return f"Python was started with {options}, which hides {_startup.VARIABLE} from it: start it without"
        if not self.environment:  # also where it is about to be handed over
            return ""
        variables = dict(one.partition(b"=")[::2] for one in self.environment.split(b"\0"))
        value = variables.get(_startup.VARIABLE.encode())
        if value is None:
            return f"{_startup.VARIABLE} is not in its environment: set it where the process is started"
        if os.fsdecode(value) in _startup.MEANINGS and value != b"0":
            return ""
        return f"{_startup.VARIABLE} is {os.fsdecode(value)!r} in its environment"


class Descendants:
    """The processes of a program: those of its session, and what they have started."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._root_started: int | None = None
        self._living: dict[tuple[int, int], Process] = {}
        self.seen: list[Process] = []
        """All of them, also those that have ended."""
        self.cpu_time = 0.0
        """What those that live have used of the CPU, in seconds."""

    def look(self) -> None:
        """Find those that are new, or have begun another program."""
        rows = {row.pid: row for row in _table()}
        if self._root_started is None and self._root in rows:
            self._root_started = rows[self._root].started
        found = {row.pid for row in rows.values() if row.session == self._root}
        if self._root in rows and rows[self._root].started == self._root_started:  # its number may be another's by now
            found.add(self._root)
        found |= {pid for pid, started in self._living if pid in rows and rows[pid].started == started}
        while more := {row.pid for row in rows.values() if row.parent in found and row.pid not in found}:
            found |= more
        before, self._living = self._living, {}
        self.cpu_time = sum(rows[pid].ticks for pid in found) / os.sysconf("SC_CLK_TCK")
        for pid in sorted(found):
            key = pid, rows[pid].started
            process = _read(*key)
            if process is None:
                continue
            known = before.get(key)
            if known is None or known.image != process.image:
                self.seen.append(process)
                known = process
            known.last_seen = time.monotonic()
            self._living[key] = known

    def wait(self, seconds: float) -> None:
        """Until none lives any more, or the time is over."""
        end = time.monotonic() + seconds
        self.look()
        while self._living and time.monotonic() < end:
            time.sleep(0.02)
            self.look()

    def send_outside(self, number: int) -> None:
        """Send a signal to those that live and have left the program's group, which has its own way to be sent one."""
        self.look()
        for pid, _ in self._living:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.getpgid(pid) != self._root:
                    os.kill(pid, number)

    def not_reached(self, reached: set[int], at_least: float) -> Iterator[tuple[Process, str]]:
        """Python's processes that are none of these, nor forks of them, and why. One program is named once.

        A process of which it cannot be seen why is named if it lived for that many seconds: others may not be ready.
        """
        images = {process.image for process in self.seen if process.pid in reached}
        latest = {(process.pid, process.started): process for process in self.seen}
        for process in latest.values():
            if process.is_python and process.pid not in reached and process.image not in images:
                why = process.why_not_reached()
                if why or process.last_seen - process.first_seen >= at_least:
                    images.add(process.image)
                    yield process, why or _UNKNOWN


def options_that_hide(command: tuple[str, ...]) -> str:
    """The options of Python's, of those in a command line, with which it does not come to `RASYNCIO`."""
    found = []
    words = iter(command[1:])
    for word in words:
        if not word.startswith("-") or word in ("-", "--"):
            break
        if word.startswith("--"):
            if word == "--check-hash-based-pycs":
                next(words, None)
            continue
        for position, letter in enumerate(word[1:], 1):
            if letter in "EIS":
                found.append(f"-{letter}")
            if letter in _WITH_ARGUMENT:
                if letter in "cm":
                    return ", ".join(found)
                if position == len(word) - 1:
                    next(words, None)
                break
    return ", ".join(found)


class _Row(NamedTuple):
    """Of `/proc/*/stat`."""

    pid: int
    parent: int
    session: int
    started: int
    ticks: int


def _table() -> Iterator[_Row]:
    """All processes but those that have ended."""
    try:
        names = os.listdir("/proc")
    except OSError:
        return
    for name in filter(str.isdecimal, names):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                state, parent, _, session, *rest = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if state not in (b"Z", b"X"):
            yield _Row(int(name), int(parent), int(session), int(rest[15]), int(rest[7]) + int(rest[8]))


def _read(pid: int, started: int) -> Process | None:
    """None where the process has ended meanwhile."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command = tuple(map(os.fsdecode, file.read().rstrip(b"\0").split(b"\0")))
    except OSError:
        return None
    if command == ("",):
        return None
    try:
        executable = os.readlink(f"/proc/{pid}/exe")
    except OSError:
        executable = command[0]
    environment = None
    with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
        environment = file.read()
    return Process(pid, started, executable, command, environment)
