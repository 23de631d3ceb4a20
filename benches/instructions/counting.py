"""What it costs that the loop counts for `loop.stats()`: instructions of builds with and without, by callgrind.

Both are built with the feature `counted-clock`, so that they poll equally often; the one without has `uncounted` too.
`make bench-counting` builds them.

    python -m benches.instructions.counting --builds WITH WITHOUT [--python PATH] [--update FILE...]
"""

import argparse
import os
import tempfile
from pathlib import Path

from benches import options, probes
from benches.instructions import callgrind
from benches.interpreter import ask
from benches.network import callgrind as network_callgrind
from benches.network.cases import CASES
from benches.report import tables
from benches.report.machine import interpreter
from benches.workloads import WORKLOADS

OPERATIONS = 1000
BENCH = ("sleep0", "call_soon", "create_task", "pingpong")
CASE = "protocol-1k-100"
ROUNDS = 3  # of the server: how many requests there are in a look at the poller is not the same each time


def count(python: str, build: Path) -> dict[str, float]:
    """All instructions of one operation, of a request too, on a build."""
    os.environ["PYTHONPATH"] = str(build)
    with tempfile.TemporaryDirectory() as directory:
        costs = callgrind.per_operation(python, "ours", BENCH, OPERATIONS, Path(directory))
    requests = [network_callgrind.per_request(CASES[CASE], python, "ours") for _ in range(ROUNDS)]
    return {name: cost.total() for name, cost in costs.items()} | {CASE: min(requests)}


def measure(python: str, builds: list[Path]) -> tables.Report:
    """The table."""
    counted, uncounted = (count(python, build) for build in builds)
    what = {name: WORKLOADS[name].operation for name in BENCH} | {CASE: CASES[CASE].what}
    rows = [
        [f"{name}: {what[name]}", f"{uncounted[name]:.0f}", f"{counted[name]:.0f}", f"{change:+.1%}"]
        for name in what
        for change in [counted[name] / uncounted[name] - 1]
    ]
    notes = [interpreter(python), f"{CASE}: the lowest of {ROUNDS}"]
    version = ask(python, probes.version)
    header = ["one operation", "nothing is counted", "as it is", "change"]
    return tables.Report(f"What counting costs, CPython {version}", header, rows, notes)


def main() -> None:
    """The command line."""
    parser: argparse.ArgumentParser = options.parser(__doc__)
    parser.add_argument("--builds", nargs=2, type=Path, required=True, metavar="DIR", help="with counting, without")
    arguments = parser.parse_args()
    reports = [measure(python, arguments.builds) for python in arguments.python]
    tables.output({"counting": reports}, arguments)


if __name__ == "__main__":
    main()
