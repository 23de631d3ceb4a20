"""What a loop costs that has nothing to do: how often its thread wakes up to wait anew, and its CPU time.

A signal ends the waiting, which costs every loop one wake-up or more.

    python benches/idle.py [--python PATH...] [--impl c,swap,ours] [--seconds S] [--limit N]
"""

import sys
from collections.abc import Sequence

import probes
import report
from implementations import IMPLEMENTATIONS

BUSY = 0.05  # CPU seconds per second of a loop that does not wait but spins


def main() -> None:
    """Measure, report, and fail if a limit is exceeded."""
    parser = report.argument_parser(__doc__)
    report.add_implementations(parser, default="c,swap,ours")
    parser.add_argument("--seconds", type=float, default=3.0, help="of idling, each (default: %(default)s)")
    parser.add_argument(
        "--limit",
        type=int,
        metavar="N",
        help=f"fail if one wakes up more often than the first by more, or uses more than {BUSY:g} of a CPU",
    )
    arguments = parser.parse_args()
    rows, too_much = [], []
    for python in arguments.python:
        version = probes.ask(python, "version()")
        baseline: Sequence[int] = ()
        for name in arguments.impl:
            title = f"{version} {IMPLEMENTATIONS[name]}"
            if reason := probes.why_absent(python, name):
                rows.append([title, "absent", "", "absent", ""])
                print(f"{title}: {reason}", file=sys.stderr)
                continue
            found = [probes.ask(python, f"idle({name!r}, {arguments.seconds}, {far})") for far in (False, True)]
            wake_ups, cpu = zip(*found, strict=True)
            baseline = baseline or wake_ups
            extra = max(count - first for count, first in zip(wake_ups, baseline, strict=True))
            if arguments.limit is not None and (extra > arguments.limit or max(cpu) > BUSY * arguments.seconds):
                too_much.append(f"{title}: {extra} wake-ups more than the first, {max(cpu) * 1e3:.1f} ms of CPU time")
            cells = (cell for count, seconds in found for cell in (str(count), f"{seconds * 1e3:.2f}"))
            rows.append([title, *cells])
    header = ["loop", "nothing to do: wake-ups", "CPU ms", "one timer in an hour: wake-ups", "CPU ms"]
    notes = [f"voluntary context switches and CPU time of the loop's thread in {arguments.seconds:g} s"]
    report.output({"idle": [report.Report("An idle loop", header, rows, notes)]}, arguments)
    if too_much:
        raise SystemExit("\n".join(too_much))


if __name__ == "__main__":
    main()
