"""Machine instructions per operation, counted by valgrind's callgrind: a comparison without noise.

Each workload runs twice in a process of its own, with N and with 2 N operations after the same warm-up; the difference
divided by N is what one operation costs, start and end of the interpreter being the same in both. The hash seed is
fixed (valgrind fixes the address space) and the cyclic garbage collector is off, since a collection more or less would
be counted as well. Instructions are not time: cache misses and mispredicted branches do not show. A loop that polls
when some microseconds have passed does so far more often under valgrind, where everything is slow.

    python benches/instructions.py [--python PATH...] [--impl c,swap,ours] [--bench NAME...] [--keep DIR]
"""

import argparse
import os
import re
import subprocess
import tempfile
from pathlib import Path

import probes
import report
from implementations import IMPLEMENTATIONS
from workloads import WORKLOADS

WARM_UP = 300  # operations: enough for the interpreter to specialise the code, and for freelists to fill
OPERATIONS = 1000
TIMEOUT = 900.0


def count(python: str, call: str, output: Path) -> int:
    """Instructions of one whole process."""
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", *probes.command(python, call)]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIMEOUT, env=environment)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return int(found[1])


def per_operation(python: str, implementation: str, name: str, operations: int, keep: Path) -> float:
    """Instructions of one operation of a workload."""
    keep.mkdir(parents=True, exist_ok=True)
    each = WORKLOADS[name].operations
    repetitions, warm_up = max(1, operations // each), max(1, WARM_UP // each)
    once, twice = (
        count(
            python,
            f"run_workload({implementation!r}, {name!r}, {warm_up}, {factor * repetitions})",
            keep / f"{name}-{implementation}-{factor}.callgrind",
        )
        for factor in (1, 2)
    )
    return (twice - once) / (repetitions * each)


def measure(python: str, arguments: argparse.Namespace, keep: Path) -> report.Report:
    """The table for one Python."""
    version = probes.ask(python, "version()")
    first, *others = (str(IMPLEMENTATIONS[name]) for name in arguments.impl)
    rows = []
    with report.progress() as bar:
        for name in bar.track([name for name in probes.ask(python, "workload_names()") if name in arguments.bench]):
            counts = [
                per_operation(python, each, name, arguments.operations, keep / version) for each in arguments.impl
            ]
            ratios = [f"{counts[0] / count:.3f}" for count in counts[1:]]
            rows.append([report.label(name), *(f"{count:.0f}" for count in counts), *ratios])
    header = ["one operation", first, *others, *(f"{first} / {other}" for other in others)]
    notes = [
        probes.ask(python, "description()"),
        f"callgrind's instruction counts, no garbage collection; above 1 is fewer instructions than {first}",
    ]
    return report.Report(f"Instructions per operation, CPython {version}", header, rows, notes)


def main() -> None:
    """The command line."""
    parser = report.argument_parser(__doc__)
    report.add_implementations(parser, default="c,swap,ours")
    parser.add_argument("--bench", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="NAME")
    parser.add_argument("--operations", type=int, default=OPERATIONS, help="N (default: %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep callgrind's files here, for callgrind_annotate")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        reports = [measure(python, arguments, arguments.keep or Path(temporary)) for python in arguments.python]
    report.output({"instructions": reports}, arguments)


if __name__ == "__main__":
    main()
