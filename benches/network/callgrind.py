"""Counting a request's user instructions by valgrind's callgrind, where the CPU does not tell them to perf.

Each process runs under it alone, for it takes fifty times as long. It counts from the moment on at which it is told to,
and writes down what it has when it is told to: nothing of the start is in it.
"""

import re
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benches.network.cases import Case
from benches.network.live import PATIENCE, Start
from benches.network.processes import CaseFailed

WHAT = "user instructions"  # as counts.py calls them
START_TIMEOUT = 60.0
WARM_UP, COUNTED = 1.0, 1.0  # seconds of a burst


def available() -> bool:
    """Whether it is installed."""
    return all(shutil.which(tool) for tool in ("valgrind", "callgrind_control"))


def per_request(case: Case, python: str, implementation: str) -> float:
    """What a case takes on an implementation, or CaseFailed."""
    with TemporaryDirectory() as directory, ExitStack() as stack:
        output = Path(directory) / "callgrind"
        tool = ("valgrind", "--tool=callgrind", "--quiet", "--instr-atstart=no", f"--callgrind-out-file={output}")
        start = Start(python, implementation, tool, START_TIMEOUT)
        live = case.start(stack, start, stack.enter_context(case.surroundings()))
        live.connect()
        live.ready()
        live.burst(WARM_UP)
        control(live.measured.pid, "--instr=on")
        burst = live.burst(COUNTED)
        control(live.measured.pid, "--dump")
        (written,) = Path(directory).glob("callgrind.*")
        total = re.search(r"^totals: (\d+)$", written.read_text(), re.MULTILINE)
        if not total:
            raise CaseFailed("callgrind has counted nothing")
        return int(total[1]) / burst.requests


def control(pid: int, command: str) -> None:
    """Tell callgrind something."""
    done = subprocess.run(
        ["callgrind_control", command, str(pid)], check=False, capture_output=True, text=True, timeout=PATIENCE
    )
    if done.returncode or "OK." not in done.stdout:
        raise CaseFailed(f"callgrind_control {command}: {(done.stderr or done.stdout).strip()}")
