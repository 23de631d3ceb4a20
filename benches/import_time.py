"""What `import rasyncio` adds to `import asyncio`, measured in many fresh processes, both kinds in turn.

python benches/import_time.py [--python PATH...] [--processes N] [--limit MILLISECONDS]
"""

import statistics

import probes
import report


def main() -> None:
    """Measure, report, and fail if a limit is exceeded."""
    parser = report.argument_parser(__doc__)
    report.add_clock(parser)
    parser.add_argument("--processes", type=int, default=60, help="of each kind (default: %(default)s)")
    parser.add_argument("--limit", type=float, metavar="MILLISECONDS", help="fail if rasyncio adds more")
    arguments = parser.parse_args()
    rows, largest = [], 0.0
    for python in arguments.python:
        alone, both = [], []
        with report.progress() as bar:
            for _ in bar.track(range(arguments.processes)):
                alone.append(probes.ask(python, f"import_seconds({arguments.clock!r}, 'asyncio')") * 1e3)
                both.append(probes.ask(python, f"import_seconds({arguments.clock!r}, 'asyncio', 'rasyncio')") * 1e3)
        added = statistics.median(b - a for a, b in zip(alone, both, strict=True))
        largest = max(largest, added)
        times = [f"{statistics.median(alone):.2f}", f"{statistics.median(both):.2f}", f"{added:.2f}"]
        rows.append([probes.ask(python, "version()"), *times])
    header = ["CPython", "import asyncio, ms", "import asyncio, rasyncio, ms", "added, ms"]
    notes = [
        f"medians of {arguments.processes} fresh processes each, {arguments.clock} clock; "
        "added: the median of the pairs' differences"
    ]
    report.output({"import-time": [report.Report("Import time", header, rows, notes)]}, arguments)
    if arguments.limit is not None and largest > arguments.limit:
        raise SystemExit(f"import rasyncio adds {largest:.2f} ms, {arguments.limit} are allowed")


if __name__ == "__main__":
    main()
