"""What the processes of a program that is being checked tell (`python -m rasyncio --check`), and how it is read.

`RASYNCIO_CHECK` names a file to which each process that is reached appends: a line when it begins, or is forked, and
one for each kind of event loop that runs there. A line is one write, for several processes do it at once.
"""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from typing import Any

VARIABLE = "RASYNCIO_CHECK"

_told = False


def tell_of_process() -> None:
    """This one is reached, and the forks of it will be."""
    global _told
    if not _told:
        _told = True
        os.register_at_fork(after_in_child=lambda: append({}))
        append({})


def append(facts: dict[str, Any]) -> None:
    line = json.dumps({"process": os.getpid(), **facts}).encode() + b"\n"
    try:
        file = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND)
    except (OSError, KeyError):  # nobody reads it any more
        return
    try:
        os.write(file, line)
    finally:
        os.close(file)


class Reports:
    """All that has come in."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.of_loops: list[dict[str, Any]] = []
        self.processes: set[int] = set()
        with open(path, "wb"):
            pass

    def read(self) -> None:
        with open(self._path, "rb") as file:
            every = [json.loads(line) for line in file if line.endswith(b"\n")]
        self.of_loops = [report for report in every if "status" in report]
        self.processes = {report["process"] for report in every}
