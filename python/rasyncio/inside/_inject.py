"""Makes a process serve that did not ask for it: `sys.remote_exec()` (3.14) has its main thread run a script.

That happens at a moment of the process's own choosing. The process may be another user's, and this one root's; then
neither trusts the other. What both use is in a folder of the viewer's, to which nobody else can write:

    script.py    what the process runs
    answers/     the process's own: there it makes its socket, or says why it cannot

So all that is under a name in `answers/` may be anything: it is looked at without following it, or waiting for it.

A process that has not run the script when the viewer gives up may do so at any later time. The folder stays then, as
the process's, and the script does nothing but remove it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ._client import Unreachable
from ._guest import ANSWERS, ERROR, SOCKET
from ._process import Process
from ._schema import printable
from ._wishes import Wishes

#: Whether this Python can do it.
CAN_INJECT = hasattr(sys, "remote_exec")
#: In seconds: for the process to run what it is told.
PATIENCE = 10.0
_SCRIPT_NAME = "script.py"
_GIVEN_UP = "given-up"
_PART = ".part"
_TEXT_MAX = 500
_PARENT_MAX = 70

_SCRIPT = """\
def _rasyncio_is_looked_into(folder, error, given_up, *wishes):
    import os
    try:
        if os.path.exists(os.path.join(folder, given_up)):
            import shutil
            shutil.rmtree(folder, ignore_errors=True)
            return
        from rasyncio.inside._guest import serve_in
        serve_in(folder, *wishes)
    except BaseException as raised:
        with open(os.path.join(folder, error + {part!r}), "w") as file:
            file.write(f"{{type(raised).__name__}}: {{raised}}")
        os.rename(file.name, os.path.join(folder, error))
_rasyncio_is_looked_into({folder!r}, {error!r}, {given_up!r}, {threshold!r}, {profile!r})
"""


class _Silent(Unreachable):
    """It has not run the script by now."""


@contextlib.contextmanager
def made_to_serve(process: Process, wishes: Wishes) -> Iterator[str]:
    """Have the process serve, with that turned on; gives the path of its socket. Raises Unreachable."""
    with contextlib.ExitStack() as at_end:
        folder = _made_folder(process, wishes)
        at_end.callback(_remove, folder)
        try:
            _remote_exec(process, folder / _SCRIPT_NAME)
            _wait(process, folder)
        except (_Silent, KeyboardInterrupt):
            at_end.pop_all()
            _leave_to(process, folder)
            raise
        yield str(folder / SOCKET)


def _made_folder(process: Process, wishes: Wishes) -> Path:
    is_others = process.uid != os.geteuid()
    # What is root's own may be closed to others, and the path of a socket has at most 107 bytes.
    is_usual = is_others or len(os.fsencode(tempfile.gettempdir())) > _PARENT_MAX
    folder = Path(tempfile.mkdtemp(prefix="rasyncio-top-", dir="/tmp" if is_usual else None))
    try:
        names = {"folder": str(folder), "error": ERROR, "given_up": _GIVEN_UP, "part": _PART}
        script = _SCRIPT.format(**names, threshold=wishes.threshold, profile=wishes.profile)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(folder / _SCRIPT_NAME, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(script)
            if is_others:
                os.fchmod(file.fileno(), 0o644)
        (folder / ANSWERS).mkdir(mode=0o700)
        if is_others:
            os.chown(folder / ANSWERS, process.uid, process.gid, follow_symlinks=False)
            # Until here nobody else could enter; and nobody else can ever change what is in it.
            folder.chmod(0o711)
    except BaseException:
        _remove(folder)
        raise
    return folder


def _remove(folder: Path) -> None:
    """Remove what we know; whatever else the process has put there stays."""
    for name in (SOCKET, ERROR, ERROR + _PART, _SCRIPT_NAME):
        with contextlib.suppress(OSError):
            (folder / name).unlink()
    for each in (folder / ANSWERS, folder):
        with contextlib.suppress(OSError):
            each.rmdir()


def _leave_to(process: Process, folder: Path) -> None:
    """Have the script remove the folder, whenever it runs."""
    with contextlib.suppress(OSError):
        (folder / _GIVEN_UP).touch(exist_ok=False)
        if process.uid != os.geteuid():
            os.chown(folder, process.uid, process.gid, follow_symlinks=False)  # the last thing that is done there


def not_served(process: Process, why: str) -> str:
    """That the process serves no stats, and what to do."""
    if process.python is None:
        return f"process {process.pid} seems to be no Python program: look for yours with `pgrep -af python`"
    return (
        f"process {process.pid} serves no stats, and {why}: start it with RASYNCIO_STATS=/tmp/{{pid}}.stats, and say:"
        f" python -m rasyncio top /tmp/{process.pid}.stats"
    )


def _remote_exec(process: Process, script: Path) -> None:
    pid = process.pid
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
        if "PyRuntime" in str(error):
            there = f"its Python {process.python}" if process.python else "its Python"
            here = f"{sys.version_info.major}.{sys.version_info.minor}"
            why = f"{there} is not this one, {here}, which is needed to look into it all the same"
            raise Unreachable(not_served(process, why)) from None
        raise Unreachable(f"process {pid} cannot be looked into: {_reason(str(error))}") from None


def _trace_scope() -> str:
    with contextlib.suppress(OSError, ValueError):
        if int(Path("/proc/sys/kernel/yama/ptrace_scope").read_text()) > 0:
            return " (its ptrace_scope forbids it: sudo sysctl kernel.yama.ptrace_scope=0)"
    return ""


def _reason(said: str) -> str:
    """What sys.remote_exec() says, and what to do about it."""
    if "Can't send commands" in said:
        there = printable(said).rpartition("to a ")[2].removesuffix(" process")
        return f"it is {there}: say the same with that Python (3.14 or later), or start the program with RASYNCIO_STATS"
    if "not enabled" in said:
        return "PYTHON_DISABLE_REMOTE_DEBUG forbids it there: start the program without, or with RASYNCIO_STATS"
    return printable(said)[:_TEXT_MAX]


def _wait(process: Process, folder: Path) -> None:
    """Wait until it serves. Raises Unreachable."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK((folder / SOCKET).lstat().st_mode):
                return
        error = _said(folder / ERROR)
        if error is not None:
            hint = ": install rasyncio there" if "ModuleNotFoundError" in error else ""
            raise Unreachable(f"process {process.pid} cannot serve: {error}{hint}")
        if not process.is_there:
            raise Unreachable(f"process {process.pid} has ended")
        time.sleep(0.02)
    raise _Silent(
        f"process {process.pid} did not answer for {PATIENCE:.0f} s: its main thread has nothing to do, or does not"
        " come back from a function in C. Try again when it does something; started with RASYNCIO_STATS it answers at"
        " any time"
    )


def _said(path: Path) -> str | None:
    """What the process has written there; None if there is nothing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError:
        return "it does not say why"
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return "it does not say why"
        return printable(os.read(fd, _TEXT_MAX).decode(errors="replace"))
    finally:
        os.close(fd)
