"""Run our own tests under valgrind's memcheck: the process of pytest, and every child process that a test starts.

    python tests/tools/memcheck.py [--valgrind COMMAND] [ARGUMENTS FOR PYTEST]      (or: make memcheck ARGS=...)

Fails if valgrind finds an error that memcheck.supp does not name: a read or write of memory that is not allocated (any
more), a decision made on uninitialised memory. What the tests say is shown, but does not count: some measure time.

Without arguments it takes the tests that try hardest to break things, on rasyncio only; that is about a quarter of an
hour. Every allocation goes to malloc (PYTHONMALLOC), where valgrind sees it; but our free lists keep memory of dead
objects from it. What is used after it was freed into one of these is found by the debug assertions of PROFILE=checked.

valgrind needs the debug symbols of the C library that the Python runs on. What tools/get-pythons brings has a library
of its own; there it takes libc6-dbg's files of the same version, below a directory that --extra-debuginfo-path names.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parent
DEFAULT = [
    "hardening/test_evil.py",
    "hardening/test_reentrancy.py",
    "hardening/test_uninitialized.py",
    "future_task/test_lifetime.py",
    "loop/test_stock_loop.py",
    "loop/test_loop_lifetime.py",
    "loop/test_loop_hazards.py",
    "loop/test_loop_run.py",
]
ERROR = re.compile(
    r"Invalid (read|write|free)|Conditional jump|Use of uninitialised|Syscall param|Mismatched free|"
    r"Source and destination overlap|Jump to the invalid address"
)
SHOWN = 5


def errors(log: str) -> list[str]:
    """The errors in a log: paragraphs of lines that begin with `==PID==`."""
    text = re.sub(r"^==\d+== ?", "", log, flags=re.MULTILINE)
    return [paragraph for paragraph in re.split(r"\n\s*\n", text) if ERROR.search(paragraph)]


def run(valgrind: str, command: list[str]) -> tuple[int, int, list[str]]:
    """The exit status of a command, how many processes it took, and all their errors."""
    with tempfile.TemporaryDirectory(prefix="rasyncio-memcheck-") as directory:
        call = [*shlex.split(valgrind), "--quiet", "--trace-children=yes", "--num-callers=25"]
        call += [f"--suppressions={HERE / 'memcheck.supp'}", f"--log-file={directory}/%p.log", *command]
        environment = os.environ | {"PYTHONMALLOC": "malloc", "RASYNCIO_PATIENCE": "20"}
        status = subprocess.run(call, env=environment).returncode
        logs = list(Path(directory).glob("*.log"))
        return status, len(logs), [error for log in logs for error in errors(log.read_text(errors="replace"))]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--valgrind", default="valgrind", help="the command, perhaps with options")
    options, arguments = parser.parse_known_args()
    arguments = arguments or [*(str(TESTS / name) for name in DEFAULT), "-k", "ours"]
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:faulthandler", "-o", "timeout=1200"]
    status, processes, found = run(options.valgrind, [*pytest, *arguments])
    for error in found[:SHOWN]:
        print(f"\n{error}")
    print(f"\n{processes} processes under valgrind, {len(found)} errors; pytest's exit status {status}")
    return 1 if found or not processes or status not in (0, 1) else 0


if __name__ == "__main__":
    sys.exit(main())
