"""The big benchmark: every workload on every implementation, interleaved.

An implementation is one of Future and Task together with an event loop: CPython's C module on asyncio's loop (the
baseline, "c"), rasyncio's on asyncio's loop ("swap only") and on its own ("rasyncio"), and CPython's C module on other
people's loops. "floor" is none of these but the limit: the same coroutines, driven by the least possible. How they are
measured, is in measure.py. The baseline is measured twice, as if it were two implementations ("c" and "c again"): how
far apart these two are is how far the whole table can be trusted.

    python -m benches.speed [--python PATH...] [--impl c,swap,ours,...] [--group micro ...] [--bench NAME...]
        [--rounds N] [--quick] [--json DIR] [--update FILE...]
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benches import options, probes
from benches.interpreter import Failed, ask
from benches.options import Columns
from benches.report import tables
from benches.report.machine import interpreter, load_average, machine, named, versions
from benches.speed import targets
from benches.speed.compare import Ratios, compare, failures, remarks, summarize, tabulate
from benches.speed.measure import Effort, Results, measure, save
from benches.workloads import GROUPS, WORKLOADS

FULL = Effort(rounds=7, values=3, min_time=0.1)
QUICK = Effort(rounds=2, values=1, min_time=0.01)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = options.parser(__doc__)
    options.add_comparison(parser, default="c,swap,ours")
    parser.add_argument("--group", nargs="+", choices=GROUPS, default=list(GROUPS), help="of workloads (default: all)")
    parser.add_argument("--bench", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="NAME")
    options.add_rounds(parser, FULL.rounds)
    options.add_clock(parser)
    parser.add_argument("--json", type=Path, metavar="DIR", help="write pyperf's files there, one a column")
    arguments = parser.parse_args()
    arguments.columns = options.columns(parser, arguments)
    return arguments


def group_tables(
    version: str, columns: Columns, results: Results, ratios: Ratios, notes: Sequence[str]
) -> tuple[list[tables.Report], list[tables.Report]]:
    """A table of each group, the whole one and the short one. The notes are below the last."""
    long, short = [], []
    for group in GROUPS:
        names = [name for name in results if WORKLOADS[name].group == group]
        if names:
            title = f"CPython {version}: {GROUPS[group]}"
            long.append(tabulate(title, names, columns, results, ratios))
            if group != "tree":  # sixteen of a kind
                short.append(summarize(title, names, results, ratios))
    long[-1] = replace(long[-1], notes=[*notes, *failures(results)])
    if short:
        short[-1] = replace(short[-1], notes=notes)
    return long, short


def main() -> None:
    """Measure and report."""
    arguments = parse_arguments()
    effort = replace(QUICK if arguments.quick else FULL, clock=arguments.clock)
    effort = replace(effort, rounds=arguments.rounds or effort.rounds)
    wanted = [name for name in arguments.bench if WORKLOADS[name].group in arguments.group]
    sections: dict[str, list[tables.Report]] = {"bench": [], "summary": [], "targets": []}
    for python in arguments.python:
        version = ask(python, probes.version)
        workloads = [name for name in ask(python, probes.workload_names) if name in wanted]
        if not workloads:
            raise SystemExit(f"CPython {version} can run none of {', '.join(wanted) or 'these workloads'}")
        load = os.getloadavg()[0]
        try:
            results = measure(python, arguments.columns, workloads, effort)
        except Failed as failure:
            raise SystemExit(str(failure)) from None
        ratios = compare(arguments.columns, results)
        notes = [
            machine(),
            *remarks(results, ratios),
            interpreter(python, arguments.note),
            named(versions(python)),
            tables.counted(effort.rounds, "round", "rounds")
            + f" of {tables.counted(effort.values, 'timing', 'timings')} of {effort.min_time * 1000:.0f} ms or more "
            f"(one, of what takes much longer), {effort.clock} clock",
            load_average(load, "about 1"),
        ]
        long, short = group_tables(version, arguments.columns, results, ratios, notes)
        sections["bench"] += long
        sections["summary"] += short
        medians = {title: {name: ratio.median for name, ratio in row.items()} for title, row in ratios.items()}
        if not arguments.quick and (reached := targets.tabulate(f"Targets, CPython {version}", medians)):
            sections["targets"].append(reached)
        if arguments.json:
            save(arguments.json, version, arguments.columns, results)
    tables.output(sections, arguments, hidden=("summary",))


if __name__ == "__main__":
    main()
