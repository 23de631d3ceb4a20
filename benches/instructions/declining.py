"""What it costs that native code looks at a call, and leaves it to asyncio's own function: with grafts and without.

Instructions per operation of the workloads in workloads/declined.py, on rasyncio's loop, counted by callgrind.py.

    python -m benches.instructions.declining [--python PATH...] [--bench NAME...] [--operations N] [--update FILE...]
"""

import argparse
import os
import tempfile
from pathlib import Path

from benches import options, probes
from benches.instructions import callgrind
from benches.interpreter import ask
from benches.report import tables
from benches.report.machine import interpreter
from benches.workloads.declined import DECLINED

OPERATIONS = 1000
VARIABLE = "RASYNCIO_GRAFT"


def count(python: str, names: list[str], operations: int, grafts: bool) -> dict[str, float]:
    """All instructions of one operation, by workload."""
    before = os.environ.pop(VARIABLE, None)
    if not grafts:
        os.environ[VARIABLE] = "0"
    try:
        with tempfile.TemporaryDirectory() as directory:
            costs = callgrind.per_operation(python, "ours", names, operations, Path(directory))
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before
    return {name: cost.total() for name, cost in costs.items()}


def measure(python: str, arguments: argparse.Namespace) -> tables.Report:
    """The table for one Python."""
    without, grafted = (count(python, arguments.bench, arguments.operations, grafts) for grafts in (False, True))
    rows = [
        [f"{name}: {DECLINED[name].operation}", f"{without[name]:.0f}", f"{grafted[name]:.0f}", f"{change:+.1%}"]
        for name in arguments.bench
        for change in [grafted[name] / without[name] - 1]
    ]
    header = ["one operation", "without grafts", "with", "change"]
    version = ask(python, probes.version)
    return tables.Report(f"What declining costs, CPython {version}", header, rows, [interpreter(python)])


def main() -> None:
    """The command line."""
    parser = options.parser(__doc__)
    parser.add_argument("--bench", nargs="+", choices=DECLINED, default=list(DECLINED), metavar="NAME")
    parser.add_argument("--operations", type=int, default=OPERATIONS, help="N (default: %(default)s)")
    arguments = parser.parse_args()
    tables.output({"declining": [measure(python, arguments) for python in arguments.python]}, arguments)


if __name__ == "__main__":
    main()
