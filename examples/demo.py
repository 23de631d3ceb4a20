"""Run examples/service.py three ways, in turn, and show them side by side.

CPython's `_asyncio` on asyncio's event loop, rasyncio's Future and Task on that loop, and these on rasyncio's own.
The program itself does not know of rasyncio: it is started by `python service.py`, by `python -m rasyncio --no-loop
service.py` and by `python -m rasyncio service.py`. The demo fails if the three do not do the same, or if one did not
run on what it should.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVICE = Path(__file__).with_name("service.py")
TIMEOUT = 60.0
NAME, COLUMN = 28, 22  # widths of the table

Report = dict[str, Any]


@dataclass(frozen=True)
class Way:
    """A way to run the program, and what of rasyncio it then runs on."""

    name: str
    options: tuple[str, ...]
    swap: bool
    loop: bool

    def run(self) -> Report:
        """One run of the program: its own report, and how long the process took."""
        command = [sys.executable, *self.options, str(SERVICE), "--json"]
        start = time.perf_counter()
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT)
        seconds = time.perf_counter() - start
        if done.returncode:
            sys.exit(f"{' '.join(command)} ended with exit status {done.returncode}")
        report: Report = json.loads(done.stdout)
        report["seconds"]["whole process"] = seconds
        return report


CPYTHON = Way("CPython", (), swap=False, loop=False)
WAYS = (
    CPYTHON,
    Way("swap only", ("-m", "rasyncio", "--no-loop"), swap=True, loop=False),
    Way("swap and loop", ("-m", "rasyncio"), swap=True, loop=True),
)

Reports = dict[Way, list[Report]]


def line(name: str, *cells: str) -> None:
    """Print a line of the table."""
    print(f"{name:{NAME}}" + "".join(f"{cell:>{COLUMN}}" for cell in cells))


def show(reports: Reports) -> None:
    """The table: what all did, and the median of how long it took."""
    first = {way: runs[0] for way, runs in reports.items()}
    line("", *(way.name for way in first))
    for count in first[CPYTHON]["counts"]:
        line(count, *(f"{report['counts'].get(count, 0):,}" for report in first.values()))
    line("checksum of the results", *(report["checksum"] for report in first.values()))
    for part in first[CPYTHON]["seconds"]:
        medians = (statistics.median(run["seconds"][part] for run in runs) for runs in reports.values())
        line(f"{part}, seconds", *(f"{median:.3f}" for median in medians))
    for way, report in first.items():
        print(f"\n{way.name}\n  event loop: {report['event loop']}")
        print(f"  asyncio.Task: from {report['asyncio.Task comes from']}")


def differences(reports: Reports) -> list[str]:
    """What is wrong, if anything."""
    wrong = []
    expected = reports[CPYTHON][0]
    for way, runs in reports.items():
        for run_number, report in enumerate(runs, 1):
            for what in ("counts", "checksum"):
                if report[what] != expected[what]:
                    wrong.append(f"{way.name}, run {run_number}: {what} {report[what]}, expected {expected[what]}")
            if (Path(report["asyncio.Task comes from"]).parent.name == "rasyncio") != way.swap:
                wrong.append(f"{way.name}, run {run_number}: Task came from {report['asyncio.Task comes from']}")
            if (report["event loop"].partition(".")[0] == "rasyncio") != way.loop:
                wrong.append(f"{way.name}, run {run_number}: it ran on the event loop {report['event loop']}")
    return wrong


def main() -> None:
    """Run, compare, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="of each (default: %(default)s)")
    arguments = parser.parse_args()
    print(f"Python {sys.version.split()[0]}: {SERVICE.name}, {arguments.runs} runs of each way, in turn\n")
    reports: Reports = {way: [] for way in WAYS}
    for _ in range(arguments.runs):
        for way, runs in reports.items():
            runs.append(way.run())
    show(reports)
    if wrong := differences(reports):
        sys.exit("\nThe runs differ:\n  " + "\n  ".join(wrong))
    print("\nAll runs did the same; the times are medians. benches/ compares them with care.")


if __name__ == "__main__":
    main()
