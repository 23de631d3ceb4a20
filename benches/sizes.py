"""Sizes of the objects that each implementation makes, in bytes, as `sys.getsizeof` tells them.

python benches/sizes.py [--python PATH...] [--limit BYTES]
"""

import probes
import report


def main() -> None:
    """Measure, report, and fail if a limit is exceeded."""
    parser = report.argument_parser(__doc__)
    parser.add_argument("--impl", default="c,rasyncio", help="the second is compared with the first")
    parser.add_argument("--limit", type=int, metavar="BYTES", help="fail if an object is larger than C's by more")
    arguments = parser.parse_args()
    first, second = arguments.impl.split(",")
    rows, largest = [], 0
    for python in arguments.python:
        baseline, other = (probes.ask(python, f"sizes({name!r})") for name in (first, second))
        version = probes.ask(python, "version()")
        for kind in baseline:
            extra = other[kind] - baseline[kind]
            largest = max(largest, extra)
            rows.append([f"{version} {kind}", str(baseline[kind]), str(other[kind]), f"{extra:+d}"])
    header = ["object", first, second, "difference"]
    notes = ["bytes by `sys.getsizeof`: with the garbage collector's header, without what the object points to"]
    report.output([report.Report("Object sizes", header, rows, notes)], arguments, section="sizes")
    if arguments.limit is not None and largest > arguments.limit:
        raise SystemExit(f"an object is {largest} bytes larger, {arguments.limit} are allowed")


if __name__ == "__main__":
    main()
