"""Machine instructions per operation, counted by valgrind's callgrind: a comparison with little noise.

How it is counted is told in callgrind.py. Instructions are not time: cache misses and mispredicted branches do not
show. A loop that polls when some microseconds have passed does so far more often under valgrind, where everything is
slow.

    python -m benches.instructions [--python PATH...] [--impl c,swap,ours] [--bench NAME...] [--keep DIR]
"""

import argparse
import tempfile
from pathlib import Path

from benches import options, probes
from benches.implementations import IMPLEMENTATIONS
from benches.instructions import callgrind
from benches.interpreter import ask, why_absent
from benches.report import tables
from benches.report.machine import interpreter
from benches.rounds import progress
from benches.workloads import WORKLOADS

OPERATIONS = 1000


def measure(python: str, arguments: argparse.Namespace, keep: Path) -> tables.Report:
    """The table for one Python."""
    version = ask(python, probes.version)
    reasons = {name: why_absent(python, name) for name in arguments.impl}
    absent = [f"absent: {IMPLEMENTATIONS[name]}, {reason}" for name, reason in reasons.items() if reason]
    first, *others = (name for name, reason in reasons.items() if not reason)
    rows = []
    with progress() as bar:
        for bench in bar.track([name for name in ask(python, probes.workload_names) if name in arguments.bench]):
            counts = [
                callgrind.per_operation(python, each, [bench], arguments.operations, keep / version)[bench].total()
                for each in (first, *others)
            ]
            ratios = [f"{counts[0] / count:.3f}" for count in counts[1:]]
            rows.append([tables.label(bench), *(f"{count:.0f}" for count in counts), *ratios])
    baseline, *compared = (str(IMPLEMENTATIONS[name]) for name in (first, *others))
    header = ["one operation", baseline, *compared, *(f"{baseline} / {other}" for other in compared)]
    notes = [
        interpreter(python),
        f"callgrind's instruction counts, no garbage collection; above 1 is fewer instructions than {baseline}",
        *absent,
    ]
    return tables.Report(f"Instructions per operation, CPython {version}", header, rows, notes)


def main() -> None:
    """The command line."""
    parser = options.parser(__doc__)
    options.add_implementations(parser, default="c,swap,ours")
    parser.add_argument("--bench", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="NAME")
    parser.add_argument("--operations", type=int, default=OPERATIONS, help="N (default: %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep callgrind's files here, for callgrind_annotate")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        reports = [measure(python, arguments, arguments.keep or Path(temporary)) for python in arguments.python]
    tables.output({"instructions": reports}, arguments)


if __name__ == "__main__":
    main()
