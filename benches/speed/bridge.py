"""Rust's futures and Python's coroutines through pyo3-async-runtimes (examples/tokio_bridge), on all loops in turn.

It is measured like the workloads of the big benchmark. The baseline is measured a second time as if it were another
implementation: that column is how far the others can be trusted.

    python -m benches.speed.bridge [--python PATH...] [--impl c,uvloop,rloop,swap,ours] [--rounds N] [--quick]
"""

import argparse
import os
from dataclasses import replace

from benches import options, probes
from benches.implementations import BASELINE
from benches.interpreter import ROOT, Failed, ask, run
from benches.options import Columns
from benches.report import tables
from benches.report.machine import interpreter, load_average, machine, named, versions
from benches.speed.compare import compare, failures
from benches.speed.measure import Effort, Results, measure
from benches.workloads import WORKLOADS

BUILD = ROOT / "examples" / "tokio_bridge" / "build.py"
BUILD_TIMEOUT = 900.0
NAMES = [name for name, entry in WORKLOADS.items() if entry.group == "bridge"]
FULL = Effort(rounds=7, values=3, min_time=0.1)
QUICK = Effort(rounds=1, values=1, min_time=0.01)


def tabulate(version: str, columns: Columns, results: Results, notes: list[str]) -> tables.Report:
    """The times of all, and the ratios to the baseline."""
    ratios = compare(columns, results)
    compared = [title for title in ratios if title.startswith(f"{BASELINE} / ")]
    rows = []
    for workload, by_column in results.items():
        times = (series.text(lambda each: f"{each.nanoseconds() / 1e3:.1f}") for series in by_column.values())
        row = (ratios[title].get(workload) for title in compared)
        rows.append([tables.label(workload), *times, *(f"{ratio.median:.2f}" if ratio else "" for ratio in row)])
    header = ["one operation", *(f"{column}, µs" for column in columns), *compared]
    return tables.Report(f"CPython {version}: futures through pyo3-async-runtimes", header, rows, notes)


def report(python: str, arguments: argparse.Namespace, columns: Columns, effort: Effort) -> tables.Report:
    """The table for one Python."""
    built = run("build of the extension", [python, str(BUILD)], BUILD_TIMEOUT).strip()
    load = os.getloadavg()[0]
    results = measure(python, columns, NAMES, effort, os.environ | {"PYTHONPATH": built})
    notes = [
        machine(),
        interpreter(python, arguments.note),
        named(versions(python)),
        f"medians of {tables.counted(effort.rounds, 'process', 'processes')} each",
        load_average(load, "1 to 2"),
    ]
    return tabulate(ask(python, probes.version), columns, results, [*notes, *failures(results)])


def main() -> None:
    """The command line."""
    parser = options.parser(__doc__)
    options.add_comparison(parser, default="c,uvloop,rloop,swap,ours")
    options.add_rounds(parser, FULL.rounds)
    arguments = parser.parse_args()
    columns = options.columns(parser, arguments)
    effort = QUICK if arguments.quick else FULL
    effort = replace(effort, rounds=arguments.rounds or effort.rounds)
    try:
        reports = [report(python, arguments, columns, effort) for python in arguments.python]
    except Failed as failure:
        raise SystemExit(str(failure)) from None
    tables.output({"bridge": reports}, arguments)


if __name__ == "__main__":
    main()
