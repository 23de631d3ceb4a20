"""The benchmark: every workload on every implementation, interleaved.

An implementation is one of Future and Task together with an event loop: CPython's C module on asyncio's loop (the
baseline, "c"), rasyncio's on asyncio's loop ("swap only") and on its own ("rasyncio"), and CPython's C module on other
people's loops. "floor" is none of these but the limit: the same coroutines, driven by the least possible. How they are
measured, is in measure.py. The baseline is measured twice, as if it were two implementations ("c" and "c again"): how
far apart these two are is how far the whole table can be trusted.

    python benches/run.py [--python PATH...] [--impl c,rasyncio,...] [--loop stock,ours,uvloop,...]
        [--group micro ...] [--bench NAME...] [--rounds N] [--quick] [--json DIR]
"""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyperf

import probes
import report
import targets
from compare import CONTROL, Ratios, as_json, compare, failures, remarks, summarize, tabulate
from implementations import BASELINE, IMPLEMENTATIONS, LOOPS, MODULES
from machine import load_average, named, versions
from measure import Columns, Effort, Results, WorkerFailed, measure
from workloads import GROUPS, WORKLOADS

FULL = Effort(rounds=7, values=3, min_time=0.1)
QUICK = Effort(rounds=2, values=1, min_time=0.01)


def save(directory: Path, version: str, columns: Columns, results: Results) -> None:
    """One file a column, for `python -m pyperf compare_to`, `stats`, `hist`."""
    directory.mkdir(parents=True, exist_ok=True)
    for column in columns:
        runs = [by_column[column].runs for by_column in results.values() if not by_column[column].failure]
        if runs:
            suite = pyperf.BenchmarkSuite([pyperf.Benchmark(each) for each in runs])
            suite.dump(str(directory / f"{version}-{column.replace(' ', '-')}.json"), replace=True)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = report.argument_parser(__doc__)
    parser.add_argument("--impl", default="c,rasyncio", help=f"Future and Task, of {','.join(MODULES)}, c among them")
    parser.add_argument(
        "--loop",
        default="stock,ours",
        help=f"of {','.join(LOOPS)}, stock among them, or all; ours runs with rasyncio's Future and Task, "
        "other people's with CPython's C module",
    )
    parser.add_argument("--no-control", action="store_true", help=f"do not measure {BASELINE} a second time")
    parser.add_argument("--group", nargs="+", choices=GROUPS, default=list(GROUPS), help="of workloads (default: all)")
    parser.add_argument("--bench", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="NAME")
    parser.add_argument("--rounds", type=int, help=f"worker processes for each figure (default: {FULL.rounds})")
    parser.add_argument("--quick", action="store_true", help="few short rounds: shows that it works, measures little")
    report.add_clock(parser)
    parser.add_argument("--note", default="", help="a remark for the table's notes, like who built this Python and how")
    parser.add_argument("--json", type=Path, metavar="DIR", help="write pyperf's files and results.json there")
    arguments = parser.parse_args()
    loops = LOOPS if arguments.loop == "all" else arguments.loop.split(",")
    chosen = (("--impl", set(arguments.impl.split(",")), MODULES), ("--loop", set(loops), LOOPS))
    for option, wanted, known in chosen:
        if unknown := wanted - set(known):
            parser.error(f"{option}: unknown {', '.join(sorted(unknown))}")
    arguments.columns = {
        str(each): name
        for name, each in IMPLEMENTATIONS.items()
        if each.module in chosen[0][1] and each.loop in chosen[1][1]
    }
    if str(BASELINE) not in arguments.columns:
        parser.error("c on the loop stock is what the others are compared with, it cannot be left out")
    if not arguments.no_control:
        arguments.columns[CONTROL] = arguments.columns[str(BASELINE)]
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error("--rounds: at least one")
    return arguments


def tables(
    version: str, columns: Columns, results: Results, ratios: Ratios, notes: Sequence[str]
) -> tuple[list[report.Report], list[report.Report]]:
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
    if arguments.rounds is not None:
        effort = replace(effort, rounds=arguments.rounds)
    wanted = [name for name in arguments.bench if WORKLOADS[name].group in arguments.group]
    sections: dict[str, list[report.Report]] = {"bench": [], "summary": [], "targets": []}
    for python in arguments.python:
        version = probes.ask(python, "version()")
        workloads = [name for name in probes.ask(python, "workload_names()") if name in wanted]
        if not workloads:
            raise SystemExit(f"CPython {version} can run none of {', '.join(wanted) or 'these workloads'}")
        load = os.getloadavg()[0]
        try:
            results = measure(python, arguments.columns, workloads, effort)
        except WorkerFailed as failure:
            raise SystemExit(str(failure)) from None
        ratios = compare(arguments.columns, results)
        notes = [
            *remarks(arguments.columns, results, ratios),
            probes.ask(python, "description()") + (f"; {arguments.note}" if arguments.note else ""),
            named(versions(python)),
            f"{effort.rounds} rounds of {effort.values} timings of {effort.min_time * 1000:.0f} ms or more (one, of "
            f"what takes much longer), {effort.clock} clock",
            load_average(load, "about 1"),
        ]
        long, short = tables(version, arguments.columns, results, ratios, notes)
        sections["bench"] += long
        sections["summary"] += short
        medians = {title: {name: ratio.median for name, ratio in row.items()} for title, row in ratios.items()}
        if reached := targets.tabulate(f"Targets, CPython {version}", medians):
            sections["targets"].append(reached)
        if arguments.json:
            save(arguments.json, version, arguments.columns, results)
            figures = as_json(version, arguments.columns, results, ratios, notes)
            Path(arguments.json, "results.json").write_text(json.dumps(figures, indent=1) + "\n")
    report.output(sections, arguments, hidden=("summary",))


if __name__ == "__main__":
    main()
