"""Memory that many pending tasks, timers and callbacks take, each kind in a fresh process.

A task waits for a future of its own. Timers (`call_later`) and callbacks (`call_soon`) have a builtin to call, and
their handles are kept. Counted is resident memory, so that it does not matter who allocates it, and how.

    python benches/memory.py [--python PATH...] [--impl c,ours] [--count N] [--limit BYTES]
"""

import probes
import report
from implementations import IMPLEMENTATIONS

KINDS = ("task", "timer", "callback")


def main() -> None:
    """Measure, report, and fail if a limit is exceeded."""
    parser = report.argument_parser(__doc__)
    report.add_implementations(parser, default="c,swap,ours")
    parser.add_argument("--count", type=int, default=100_000, help="pending things of each kind (default: %(default)s)")
    parser.add_argument("--limit", type=float, metavar="BYTES", help="fail if one takes more than the first's by more")
    arguments = parser.parse_args()
    rows, largest = [], 0.0
    for python in arguments.python:
        version = probes.ask(python, "version()")
        for kind in KINDS:
            first, *others = (
                probes.ask(python, f"pending_bytes({name!r}, {kind!r}, {arguments.count})") for name in arguments.impl
            )
            largest = max(largest, *(each - first for each in others))
            rows.append([f"{version} {kind}", f"{first:.1f}", *(f"{each:.1f}" for each in others)])
    header = ["pending", *(f"{IMPLEMENTATIONS[name]}, bytes" for name in arguments.impl)]
    notes = [
        f"resident memory for each of {arguments.count:,}, with its coroutine, future, callback and place in a list"
    ]
    report.output({"memory": [report.Report("Memory", header, rows, notes)]}, arguments)
    if arguments.limit is not None and largest > arguments.limit:
        raise SystemExit(f"one takes {largest:.1f} bytes more, {arguments.limit} are allowed")


if __name__ == "__main__":
    main()
