"""A quick look: all workloads of some groups, on all implementations, in a minute or two.

Short processes of the implementations in turn, each of which runs all the workloads. The figure is the lowest CPU time
of a few timings, so other programs on the machine do little harm. For figures to show to anyone there is run.py.

    python benches/quick.py [--python PATH] [--impl c,ours] [--group micro...] [--rounds N] [WORKLOAD...]
"""

import argparse
import math
import sys
from collections.abc import Mapping

import probes
import report
from compare import NO_FIGURE
from implementations import FLOOR, IMPLEMENTATIONS
from workloads import GROUPS, WORKLOADS


def main() -> None:
    """Measure in turn, compare all with the first implementation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {' '.join(WORKLOADS)}")
    parser.add_argument("--python", default=sys.executable, metavar="PATH")
    report.add_implementations(parser, default="c,ours")
    parser.add_argument("--group", nargs="+", choices=GROUPS, default=["micro"], help="if no workload is named")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each (default: %(default)s)")
    arguments = parser.parse_args()
    if unknown := set(arguments.workloads) - set(WORKLOADS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    wanted = arguments.workloads or [name for name, entry in WORKLOADS.items() if entry.group in arguments.group]
    workloads = [name for name in probes.ask(arguments.python, "workload_names()") if name in wanted]
    reasons = {name: probes.why_absent(arguments.python, name) for name in arguments.impl}
    notes = [f"absent: {IMPLEMENTATIONS[name]}, {reason}" for name, reason in reasons.items() if reason]
    present = [name for name, reason in reasons.items() if not reason]
    repetitions: dict[str, int] = {}  # as many for all as the first one needs
    best: dict[str, dict[str, float]] = {}
    with report.progress() as progress:
        for _ in range(arguments.rounds):
            for name in progress.track(present, description="measuring"):
                call = f"quick_figures({name!r}, {workloads!r}, {repetitions!r})"
                # The floor has not all that a workload needs, and need not say so each time.
                found = probes.ask(arguments.python, call, quiet=IMPLEMENTATIONS[name] == FLOOR)
                for workload, (count, ns) in found.items():
                    repetitions.setdefault(workload, count)
                    row = best.setdefault(workload, {})
                    row[name] = min(ns, row.get(name, ns))
    first, *others = present
    rows = [
        [workload, *(f"{row[name]:.0f}" for name in present[:2]), *(ratio(row, first, name) for name in others)]
        for workload, row in best.items()
    ]
    header = ["CPU ns", *(str(IMPLEMENTATIONS[name]) for name in present[:2])]
    header += [f"{IMPLEMENTATIONS[first]} / {IMPLEMENTATIONS[name]}" for name in others]
    title = f"CPython {probes.ask(arguments.python, 'version()')}, the lowest of a few timings"
    report.show([report.Report(title, header, rows, notes)])


def ratio(row: Mapping[str, float], first: str, name: str) -> str:
    """How many times as fast as the first one."""
    if math.isnan(row[name]):
        return NO_FIGURE if IMPLEMENTATIONS[name] == FLOOR else "fails"
    return f"{row[first] / row[name]:.2f}"


if __name__ == "__main__":
    main()
