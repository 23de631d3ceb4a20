"""A quick look while working on the code: which workloads became faster or slower, in about half a minute.

Short processes of the implementations in turn, each of which runs all the workloads. The figure is the lowest CPU time
of all timings, so other programs on the machine do little harm. For figures to show to anyone there is run.py.

    python benches/quick.py [--python PATH] [--impl c,ours] [--rounds N] [WORKLOAD...]
"""

import argparse
import sys

import probes
import report
from workloads import WORKLOADS


def main() -> None:
    """Measure in turn, compare all with the first implementation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {' '.join(WORKLOADS)} (default: all)")
    parser.add_argument("--python", default=sys.executable, metavar="PATH")
    report.add_implementations(parser, default="c,ours")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each (default: %(default)s)")
    arguments = parser.parse_args()
    if unknown := set(arguments.workloads) - set(WORKLOADS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    repetitions: dict[str, int] = {}  # as many for all as the first one needs
    best: dict[str, dict[str, float]] = {}
    for _ in range(arguments.rounds):
        for name in arguments.impl:
            call = f"quick_figures({name!r}, {arguments.workloads!r}, {repetitions!r})"
            for workload, (count, ns) in probes.ask(arguments.python, call).items():
                repetitions.setdefault(workload, count)
                row = best.setdefault(workload, {})
                row[name] = min(ns, row.get(name, ns))
    first, *others = arguments.impl
    print(f"{'CPU ns':16}{first:>9}" + "".join(f"{name:>9}{f'{first}/{name}':>11}" for name in others))
    for workload, row in best.items():
        cells = "".join(f"{row[name]:9.0f}{row[first] / row[name]:11.2f}" for name in others)
        print(f"{workload:16}{row[first]:9.0f}{cells}")


if __name__ == "__main__":
    main()
