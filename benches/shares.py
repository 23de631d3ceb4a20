"""Whose time it is: of a workload's CPU time, what goes into the interpreter, into rasyncio, and into the rest.

`perf record` takes samples, by the program or library that was executing. What rasyncio has the interpreter do for it
(to allocate, to enter a context, to free) counts as the interpreter's. If rasyncio's own code took no time at all, the
workload would be as many times as fast as the last column says: the most that any work on that code can still bring.

    python benches/shares.py [--python PATH...] [--bench NAME...] [--seconds S]
"""

import argparse
import math
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import probes
import report
from workloads import WORKLOADS

SECONDS = 3.0
FREQUENCY = 5000  # samples per second
TIMEOUT = 300.0
IMPLEMENTATION = "ours"
# By the name of the file that was executing; the kernel's has brackets.
OWNERS = {"interpreter": re.compile(r"(lib)?python3\."), "rasyncio": re.compile(r"_asyncio\.cpython")}
REST = "libc and kernel"


def sample(python: str, name: str, repetitions: int) -> dict[str, float]:
    """The share of each owner."""
    call = f"run_workload({IMPLEMENTATION!r}, {name!r}, 1, {repetitions}, collect=True)"
    with tempfile.TemporaryDirectory() as directory:
        data = str(Path(directory, "perf.data"))
        record = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(FREQUENCY), "-o", data]
        run([*record, *probes.command(python, call)])
        found = run(["perf", "report", "-i", data, "--stdio", "-q", "--sort", "dso", "-F", "overhead,dso"])
    return owners({dso: float(share) for share, dso in re.findall(r"^\s*([\d.]+)%\s+(\S+)", found, re.MULTILINE)})


def run(command: list[str]) -> str:
    """The output of a command that must not fail."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def owners(by_file: Mapping[str, float]) -> dict[str, float]:
    """Sum up the shares of the files."""
    shares = dict.fromkeys((*OWNERS, REST), 0.0)
    for file, share in by_file.items():
        owner = next((name for name, pattern in OWNERS.items() if pattern.match(file)), REST)
        shares[owner] += share / sum(by_file.values())
    return shares


def measure(python: str, names: list[str], seconds: float) -> report.Report:
    """The table for one Python."""
    version = probes.ask(python, "version()")
    rows = []
    with report.progress() as bar:
        for name in bar.track([name for name in probes.ask(python, "workload_names()") if name in names]):
            _, ns = probes.ask(python, f"quick_figures({IMPLEMENTATION!r}, {[name]!r}, {{}})")[name]
            shares = sample(python, name, math.ceil(seconds * 1e9 / (ns * WORKLOADS[name].operations)))
            left = 1 / (1 - shares["rasyncio"])
            rows.append([report.label(name), *(f"{share:.0%}" for share in shares.values()), f"{left:.2f}"])
    header = ["one operation", *OWNERS, REST, "at most faster by"]
    notes = [probes.ask(python, "description()"), f"samples of {seconds:g} s of CPU time each, on rasyncio's loop"]
    return report.Report(f"Whose time it is, CPython {version}", header, rows, notes)


def main() -> None:
    """The command line."""
    parser: argparse.ArgumentParser = report.argument_parser(__doc__)
    micro = [name for name, entry in WORKLOADS.items() if entry.group == "micro"]
    parser.add_argument("--bench", nargs="+", choices=WORKLOADS, default=micro, metavar="NAME")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of CPU time, each (default: %(default)s)")
    arguments = parser.parse_args()
    reports = [measure(python, arguments.bench, arguments.seconds) for python in arguments.python]
    report.output({"shares": reports}, arguments)


if __name__ == "__main__":
    main()
