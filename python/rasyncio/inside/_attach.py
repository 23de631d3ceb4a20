"""Looking into a process that did not ask for it, by its id.

A process that was started with RASYNCIO_STATS serves already. Else, on 3.14 and later, it is made to serve for as long
as somebody looks: `sys.remote_exec()` has its main thread run a script, at a moment of its own choosing. That opens a
socket in a folder that we make and remove, and closes it by itself some seconds after its last reader.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ._address import VARIABLE, Address, for_process, parsed
from ._client import Client, Unreachable
from ._schema import printable

#: In seconds: for the process to run what it is told.
PATIENCE = 10.0
#: It ends when nobody has looked for so many seconds.
_ALONE_MAX = 10.0
_SERVE = "stats"
_ERROR = "error"
_TEXT_MAX = 500

_SCRIPT = """\
def _rasyncio_is_looked_into(folder, threshold):
    try:
        from rasyncio.inside._attach import serve_in
        serve_in(folder, threshold)
    except BaseException as error:
        import os
        with open(os.path.join(folder, "error.part"), "w") as file:
            file.write(f"{{type(error).__name__}}: {{error}}")
        os.rename(file.name, os.path.join(folder, "error"))
_rasyncio_is_looked_into({folder}, {threshold})
"""


@contextlib.contextmanager
def attached(pid: int, threshold: float | None) -> Iterator[Client]:
    """Connect to the process; steps slower than the threshold, if there is one, are watched for. Raises Unreachable."""
    _check(pid)
    address = _serves_at(pid)
    if address is not None:
        with contextlib.suppress(Unreachable), Client(address) as client:
            if client.snapshot()["pid"] == pid:
                yield client
                return
    if not hasattr(sys, "remote_exec"):
        raise Unreachable(
            f"process {pid} serves no stats, and only Python 3.14 or later can look into it all the same: start it with"
            f" RASYNCIO_STATS=/tmp/{{pid}}.stats, and say: python -m rasyncio top /tmp/{pid}.stats"
        )
    with _folder(pid) as folder:
        script = folder / "script.py"
        script.write_text(_SCRIPT.format(folder=json.dumps(str(folder)), threshold=threshold))
        script.chmod(0o644)
        _remote_exec(pid, script)
        _wait(pid, folder)
        with Client(str(folder / _SERVE)) as client:
            yield client


def serve_in(folder: str, threshold: float | None) -> None:
    """In the process that is looked into: serve there, until nobody looks any more."""
    from .._watch import watch, watched
    from ._server import StatsServer

    its_watch = watch(threshold) if threshold is not None and watched() is None else None

    def end() -> None:
        if its_watch is not None:
            its_watch.stop()
        shutil.rmtree(folder, ignore_errors=True)

    StatsServer(os.path.join(folder, _SERVE), alone_for=_ALONE_MAX, at_end=end)


def _check(pid: int) -> None:
    """Raise Unreachable for a process that is not there, or is another user's."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except (OSError, ValueError):
        raise Unreachable(f"there is no process {pid}: look for it with `pgrep -af python`") from None
    facts = dict(line.partition(":")[::2] for line in status.splitlines())
    if facts.get("State", "").strip()[:1] in ("Z", "X"):
        raise Unreachable(f"process {pid} has ended: look for the one that runs with `pgrep -af python`")
    if facts.get("Kthread", "").strip() == "1":
        raise Unreachable(f"process {pid} is the kernel's: look for the program with `pgrep -af python`")
    uid = int(facts["Uid"].split()[1])
    if os.geteuid() not in (0, uid):
        try:
            user = pwd.getpwuid(uid).pw_name
        except KeyError:
            user = f"#{uid}"
        raise Unreachable(f"process {pid} is {user}'s: say: sudo -u {user} {sys.executable} -m rasyncio top {pid}")
    with contextlib.suppress(OSError):
        if os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt"):
            raise Unreachable(f"process {pid} is in a container with files of its own: say the same in there")


def _serves_at(pid: int) -> Address | None:
    """Where the process was told to serve by its environment."""
    with contextlib.suppress(OSError, ValueError):
        for pair in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            name, _, value = pair.partition(b"=")
            if name == VARIABLE.encode() and value:
                address = for_process(parsed(os.fsdecode(value)), pid)
                return address if isinstance(address, int) else os.path.join(f"/proc/{pid}/cwd", address)
    return None


@contextlib.contextmanager
def _folder(pid: int) -> Iterator[Path]:
    """A folder that this user and the process's, and nobody else, can write to."""
    with tempfile.TemporaryDirectory(prefix="rasyncio-top-", ignore_cleanup_errors=True) as name:
        if os.geteuid() == 0:
            facts = os.stat(f"/proc/{pid}")
            os.chown(name, facts.st_uid, facts.st_gid)
        yield Path(name)


def _remote_exec(pid: int, script: Path) -> None:
    try:
        sys.remote_exec(pid, str(script))  # type: ignore[attr-defined,unused-ignore]
    except PermissionError:
        raise Unreachable(
            f"the system does not let you look into process {pid}{_trace_scope()}: use sudo; in a container, start it"
            " with the capability SYS_PTRACE"
        ) from None
    except ProcessLookupError:
        raise Unreachable(f"process {pid} has ended") from None
    except (OSError, RuntimeError, ValueError) as error:
        raise Unreachable(f"process {pid} cannot be looked into: {_reason(str(error))}") from None


def _trace_scope() -> str:
    with contextlib.suppress(OSError, ValueError):
        if int(Path("/proc/sys/kernel/yama/ptrace_scope").read_text()) > 0:
            return " (its ptrace_scope forbids it: sudo sysctl kernel.yama.ptrace_scope=0)"
    return ""


def _reason(said: str) -> str:
    """What sys.remote_exec() says, and what to do about it."""
    if "PyRuntime" in said:
        return "it is no program of this Python's version; look for yours with `pgrep -af python`"
    if "Can't send commands" in said:
        there = printable(said).rpartition("to a ")[2].removesuffix(" process")
        return f"it is {there}: say the same with that Python (3.14 or later), or start the program with RASYNCIO_STATS"
    if "not enabled" in said:
        return "PYTHON_DISABLE_REMOTE_DEBUG forbids it there: start the program without, or with RASYNCIO_STATS"
    return printable(said)[:_TEXT_MAX]


def _wait(pid: int, folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if (folder / _SERVE).is_socket():
                return
            error = printable((folder / _ERROR).read_text(errors="replace")[:_TEXT_MAX])
            hint = ": install rasyncio there" if "ModuleNotFoundError" in error else ""
            raise Unreachable(f"process {pid} cannot serve: {error}{hint}")
        if not os.path.exists(f"/proc/{pid}"):
            raise Unreachable(f"process {pid} has ended")
        time.sleep(0.02)
    raise Unreachable(
        f"process {pid} did not answer for {PATIENCE:.0f} s: its main thread has nothing to do, or does not come back"
        " from a function in C. Try again when it does something; started with RASYNCIO_STATS it answers at any time"
    )
