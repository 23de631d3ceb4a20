"""Whose time it is: of a workload's CPU time, what goes into the interpreter, into rasyncio, and into the rest.

`perf record` takes samples, by the program or library that was executing. What rasyncio has the interpreter do for it
(to allocate, to enter a context, to free) counts as the interpreter's. If rasyncio's own code took no time at all, the
workload would be as many times as fast as the last column says: the most that any work on that code can still bring.

    python -m benches.speed.shares [--python PATH...] [--bench NAME...] [--seconds S]
"""

import math
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benches import options, probes
from benches.interpreter import Failed, ask, call, run
from benches.report import tables
from benches.report.machine import interpreter
from benches.rounds import progress
from benches.speed.measure import Effort, calibrate
from benches.workloads import WORKLOADS

SECONDS = 3.0
FREQUENCY = 5000  # samples per second
TIMEOUT = 300.0
IMPLEMENTATION = "ours"
CALIBRATION = Effort(rounds=1, values=1, min_time=0.01, clock="cpu")
# By the name of the file that was executing; the kernel's has brackets.
OWNERS = {"interpreter": re.compile(r"(lib)?python3\."), "rasyncio": re.compile(r"_asyncio\.cpython")}
REST = "libc and kernel"


def sample(python: str, name: str, seconds: float) -> dict[str, float]:
    """The share of each owner."""
    loops, took = calibrate(python, name, CALIBRATION, IMPLEMENTATION)
    workload = call(python, probes.run_workload, IMPLEMENTATION, name, math.ceil(loops * seconds / took))
    with tempfile.TemporaryDirectory() as directory:
        data = str(Path(directory, "perf.data"))
        record = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(FREQUENCY), "-o", data]
        run(f"perf record, {name}", [*record, *workload], TIMEOUT)
        show = ["perf", "report", "-i", data, "--stdio", "-q", "--sort", "dso", "-F", "overhead,dso"]
        found = run(f"perf report, {name}", show, TIMEOUT)
    return owners({dso: float(share) for share, dso in re.findall(r"^\s*([\d.]+)%\s+(\S+)", found, re.MULTILINE)})


def owners(by_file: Mapping[str, float]) -> dict[str, float]:
    """Sum up the shares of the files."""
    shares = dict.fromkeys((*OWNERS, REST), 0.0)
    for file, share in by_file.items():
        owner = next((name for name, pattern in OWNERS.items() if pattern.match(file)), REST)
        shares[owner] += share / sum(by_file.values())
    return shares


def measure(python: str, names: list[str], seconds: float) -> tables.Report:
    """The table for one Python."""
    rows = []
    with progress() as bar:
        for name in bar.track([name for name in ask(python, probes.workload_names) if name in names]):
            shares = sample(python, name, seconds)
            left = 1 / (1 - shares["rasyncio"])
            rows.append([tables.label(name), *(f"{share:.0%}" for share in shares.values()), f"{left:.2f}"])
    header = ["one operation", *OWNERS, REST, "at most faster by"]
    notes = [interpreter(python), f"samples of {seconds:g} s of CPU time each, on rasyncio's loop"]
    return tables.Report(f"Whose time it is, CPython {ask(python, probes.version)}", header, rows, notes)


def main() -> None:
    """The command line."""
    parser = options.parser(__doc__)
    micro = [name for name, entry in WORKLOADS.items() if entry.group == "micro"]
    parser.add_argument("--bench", nargs="+", choices=WORKLOADS, default=micro, metavar="NAME")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of CPU time, each (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        reports = [measure(python, arguments.bench, arguments.seconds) for python in arguments.python]
    except Failed as failure:
        raise SystemExit(str(failure)) from None
    tables.output({"shares": reports}, arguments)


if __name__ == "__main__":
    main()
