"""Sizes of the objects that each implementation makes, in bytes, as `sys.getsizeof` tells them.

python benches/sizes.py [--python PATH...] [--limit BYTES]
"""

import probes
import report
from implementations import IMPLEMENTATIONS


def main() -> None:
    """Measure, report, and fail if a limit is exceeded."""
    parser = report.argument_parser(__doc__)
    report.add_implementations(parser, default="c,ours")
    parser.add_argument("--limit", type=int, metavar="BYTES", help="fail if an object is larger than C's by more")
    arguments = parser.parse_args()
    if len(arguments.impl) != 2:
        parser.error("--impl: two, the second is compared with the first")
    rows, largest = [], 0
    for python in arguments.python:
        baseline, other = (probes.ask(python, f"sizes({name!r})") for name in arguments.impl)
        version = probes.ask(python, "version()")
        for kind in baseline:
            extra = other[kind] - baseline[kind]
            largest = max(largest, extra)
            rows.append([f"{version} {kind}", str(baseline[kind]), str(other[kind]), f"{extra:+d}"])
    header = ["object", *(str(IMPLEMENTATIONS[name]) for name in arguments.impl), "difference"]
    notes = ["bytes by `sys.getsizeof`: with the garbage collector's header, without what the object points to"]
    report.output({"sizes": [report.Report("Object sizes", header, rows, notes)]}, arguments)
    if arguments.limit is not None and largest > arguments.limit:
        raise SystemExit(f"an object is {largest} bytes larger, {arguments.limit} are allowed")


if __name__ == "__main__":
    main()
