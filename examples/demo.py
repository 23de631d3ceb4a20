"""Run examples/service.py on CPython's `_asyncio` and on rasyncio, in turn, and show both side by side.

The program itself does not know of rasyncio: it is started by `python service.py` and by `python -m rasyncio
service.py`. The demo fails if the two do not do the same, or if the second did not run on rasyncio.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SERVICE = str(Path(__file__).with_name("service.py"))
CPYTHON, RASYNCIO = "CPython's _asyncio", "rasyncio"
COMMANDS = {
    CPYTHON: [sys.executable, SERVICE, "--json"],
    RASYNCIO: [sys.executable, "-m", "rasyncio", SERVICE, "--json"],
}
TIMEOUT = 60.0
NAME, COLUMN = 28, 22  # widths of the table

Report = dict[str, Any]


def run(command: list[str]) -> Report:
    """One run of the program: its own report, and how long the process took."""
    start = time.perf_counter()
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with exit status {done.returncode}")
    report: Report = json.loads(done.stdout)
    report["seconds"]["whole process"] = seconds
    return report


def line(name: str, *cells: str) -> None:
    """Print a line of the table."""
    print(f"{name:{NAME}}" + "".join(f"{cell:>{COLUMN}}" for cell in cells))


def show(reports: dict[str, list[Report]]) -> None:
    """The table: what both did, and the median of how long it took."""
    first = {name: runs[0] for name, runs in reports.items()}
    line("", *first)
    for count in first[CPYTHON]["counts"]:
        line(count, *(f"{report['counts'].get(count, 0):,}" for report in first.values()))
    line("checksum of the results", *(report["checksum"] for report in first.values()))
    for part in first[CPYTHON]["seconds"]:
        medians = (statistics.median(run["seconds"][part] for run in runs) for runs in reports.values())
        line(f"{part}, seconds", *(f"{median:.3f}" for median in medians))
    print("\nasyncio.Task came from")
    for name, report in first.items():
        print(f"  {name}: {report['asyncio.Task comes from']}")


def differences(reports: dict[str, list[Report]]) -> list[str]:
    """What is wrong, if anything."""
    wrong = []
    expected = reports[CPYTHON][0]
    for name, runs in reports.items():
        for run_number, report in enumerate(runs, 1):
            for what in ("counts", "checksum"):
                if report[what] != expected[what]:
                    wrong.append(f"{name}, run {run_number}: {what} {report[what]}, expected {expected[what]}")
            if ("rasyncio" in Path(report["asyncio.Task comes from"]).parts) != (name == RASYNCIO):
                wrong.append(f"{name}, run {run_number}: asyncio.Task came from {report['asyncio.Task comes from']}")
    return wrong


def main() -> None:
    """Run, compare, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="of each (default: %(default)s)")
    arguments = parser.parse_args()
    print(f"Python {sys.version.split()[0]}: {Path(SERVICE).name}, {arguments.runs} runs on each, in turn\n")
    reports: dict[str, list[Report]] = {name: [] for name in COMMANDS}
    for _ in range(arguments.runs):
        for name, command in COMMANDS.items():
            reports[name].append(run(command))
    show(reports)
    if wrong := differences(reports):
        sys.exit("\nThe runs differ:\n  " + "\n  ".join(wrong))
    print("\nAll runs did the same; the times are medians. benches/ compares the two with care.")


if __name__ == "__main__":
    main()
