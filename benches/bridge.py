"""Rust futures and Python coroutines through pyo3-async-runtimes (examples/tokio_bridge), on all loops in turn.

Every round starts a short process of each implementation; a figure is the median over the rounds. The baseline is
measured a second time as if it were another implementation: that column is how far the others can be trusted.

    python benches/bridge.py [--python PATH...] [--impl c,uvloop,rloop,swap,ours] [--rounds N] [--operations N]
"""

import argparse
import json
import os
import statistics
import subprocess
from pathlib import Path

import probes
import report
from compare import CONTROL
from implementations import IMPLEMENTATIONS
from machine import load_average, machine, named, versions
from measure import rotated

WORKER = Path(__file__).with_name("bridge_worker.py")
BUILD = Path(__file__).parents[1] / "examples" / "tokio_bridge" / "build.py"
WORKLOADS = {
    "one_by_one": "await a short tokio future, one after the other",
    "at_once": "a short tokio future, all awaited at once",
    "callback": "Rust awaits a Python coroutine, one after the other",
    "callbacks": "Rust awaits a Python coroutine, all at once",
}
TIMEOUT = 300.0


def measure(python: str, arguments: argparse.Namespace) -> report.Report:
    """The table for one Python."""
    built = subprocess.run([python, str(BUILD)], check=True, stdout=subprocess.PIPE, text=True)
    environment = os.environ | {"PYTHONPATH": built.stdout.strip()}
    reasons = {name: probes.why_absent(python, name) for name in arguments.impl}
    notes = [machine(), probes.ask(python, "description()"), named(versions(python))]
    load = os.getloadavg()[0]
    notes += [f"absent: {IMPLEMENTATIONS[name]}, {reason}" for name, reason in reasons.items() if reason]
    columns = {str(IMPLEMENTATIONS[name]): name for name, reason in reasons.items() if not reason}
    first, *others = columns
    columns[CONTROL] = columns[first]
    seconds: dict[tuple[str, str], list[float]] = {}
    with report.progress() as progress:
        steps = progress.add_task("measuring", total=arguments.rounds * len(WORKLOADS) * len(columns))
        for number in range(arguments.rounds):
            for workload in WORKLOADS:
                for column in rotated(list(columns), number):
                    command = [python, str(WORKER), columns[column], workload, str(arguments.operations), "3"]
                    done = subprocess.run(
                        command, check=True, stdout=subprocess.PIPE, text=True, env=environment, timeout=TIMEOUT
                    )
                    values = seconds.setdefault((workload, column), [])
                    values.append(statistics.median(json.loads(done.stdout)))
                    progress.advance(steps)
    rows = []
    for workload, operation in WORKLOADS.items():
        medians = {column: statistics.median(seconds[workload, column]) for column in columns}
        ratios = [f"{medians[first] / medians[column]:.2f}" for column in (*others, CONTROL)]
        rows.append([f"{workload}: {operation}", *(f"{medians[column] * 1e6:.1f}" for column in columns), *ratios])
    header = ["one operation", *(f"{column}, µs" for column in columns)]
    header += [f"{first} / {column}" for column in (*others, CONTROL)]
    notes += [
        f"medians of {arguments.rounds} processes each",
        load_average(load, "1 to 2"),
    ]
    title = f"CPython {probes.ask(python, 'version()')}: {arguments.operations} futures through pyo3-async-runtimes"
    return report.Report(title, header, rows, notes)


def main() -> None:
    """The command line."""
    parser = report.argument_parser(__doc__)
    report.add_implementations(parser, default="c,uvloop,rloop,swap,ours")
    parser.add_argument("--rounds", type=int, default=7, help="processes for each figure (default: %(default)s)")
    parser.add_argument("--operations", type=int, default=10_000, help="in one timing (default: %(default)s)")
    arguments = parser.parse_args()
    report.output({"bridge": [measure(python, arguments) for python in arguments.python]}, arguments)


if __name__ == "__main__":
    main()
