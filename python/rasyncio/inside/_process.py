"""What the system tells of a process that is to be looked into, before anything is done to it."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from ._address import VARIABLE, Address, for_process, parsed
from ._client import Unreachable

_PYTHON = re.compile(r"python(?:3(?!\.\d)|(3\.\d+))?")
_LIBPYTHON = re.compile(r"/libpython(3\.\d+)")


@dataclass(frozen=True, slots=True)
class Process:
    """A process that this user may look into."""

    pid: int
    uid: int
    gid: int

    @property
    def is_there(self) -> bool:
        return os.path.exists(f"/proc/{self.pid}")

    @property
    def python(self) -> str | None:
        """The Python that it runs, as "3.11"; "" for one whose version cannot be seen, None if it seems to run none."""
        with contextlib.suppress(OSError):
            name = os.path.basename(os.readlink(f"/proc/{self.pid}/exe"))
            if found := _PYTHON.match(name):
                return found[1] or ""
            for line in Path(f"/proc/{self.pid}/maps").read_text(errors="replace").splitlines():
                if found := _LIBPYTHON.search(line):
                    return found[1]
        return None

    @property
    def serves_at(self) -> Address | None:
        """Where its environment told it to serve."""
        with contextlib.suppress(OSError, ValueError):
            for pair in Path(f"/proc/{self.pid}/environ").read_bytes().split(b"\0"):
                name, _, value = pair.partition(b"=")
                if name == VARIABLE.encode() and value:
                    address = for_process(parsed(os.fsdecode(value)), self.pid)
                    return address if isinstance(address, int) else os.path.join(f"/proc/{self.pid}/cwd", address)
        return None


def process_of(pid: int) -> Process:
    """Look for the process. Raises Unreachable if it is not there, or is another user's."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except (OSError, ValueError):
        raise Unreachable(f"there is no process {pid}: look for it with `pgrep -af python`") from None
    facts = dict(line.partition(":")[::2] for line in status.splitlines())
    if facts.get("State", "").strip()[:1] in ("Z", "X"):
        raise Unreachable(f"process {pid} has ended: look for the one that runs with `pgrep -af python`")
    if facts.get("Kthread", "").strip() == "1":
        raise Unreachable(f"process {pid} is the kernel's: look for the program with `pgrep -af python`")
    # As it acts upon files; /proc/PID itself is root's where the process may not be dumped.
    uid, gid = int(facts["Uid"].split()[1]), int(facts["Gid"].split()[1])
    if os.geteuid() not in (0, uid):
        try:
            user = pwd.getpwuid(uid).pw_name
        except KeyError:
            user = f"#{uid}"
        raise Unreachable(f"process {pid} is {user}'s: say: sudo -u {user} {sys.executable} -m rasyncio top {pid}")
    with contextlib.suppress(OSError):
        if os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt"):
            raise Unreachable(f"process {pid} is in a container with files of its own: say the same in there")
    return Process(pid, uid, gid)
