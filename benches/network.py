"""Servers under load: echo, HTTP, WebSocket; and a Redis client. Every case on every implementation, interleaved.

The measured server runs in a process of its own on the implementation, the client in another one, which is the same for
all: net/load.py on plain sockets, or wrk. A connection sends its next request when it has the answer to the last one.
With Redis it is the client that is measured. The method of the echo cases is that of uvloop's and rloop's published
benchmarks: the same servers by protocol, streams and sock_* methods, message sizes, TCP_NODELAY, requests per second,
mean and 99th percentile of the latency.

A round starts fresh processes for each case and implementation; the implementations of one case follow each other
directly, and every round begins with another one. The baseline is measured twice, as "c" and as "c again".

    python benches/network.py [--python PATH...] [--impl c,swap,ours,...] [--case NAME...] [--rounds N] [--seconds S]
        [--quick] [--json FILE] [--update FILE...]
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import probes
import report
from compare import CONFIDENCE, CONTROL, Ratio, left_out
from implementations import BASELINE, IMPLEMENTATIONS
from machine import LIBRARIES, load_average, machine, named, versions
from measure import Columns, rotated
from net.cases import CASES, TOOLS
from net.figures import Figures
from net.processes import CaseFailed

ROUNDS, SECONDS = 5, 2.0
QUICK_ROUNDS, QUICK_SECONDS = 1, 0.2
# Packages whose versions the report tells, among them all that a case can need.
PACKAGES = (*LIBRARIES, "aiohttp", "uvicorn", "h11", "httptools", "websockets", "redis", "hiredis")


@dataclass
class Cell:
    """One case on one implementation: a figure a round, or why there is none."""

    rounds: list[Figures] = field(default_factory=list)
    failure: str = ""  # "absent: ..." or "fails: ..."

    def median(self, figure: str) -> float:
        """The median of one of the figures over the rounds."""
        figures: list[float] = [getattr(each, figure) for each in self.rounds]
        return statistics.median(figures)


Results = dict[str, dict[str, Cell]]  # by case and column


def tool_versions(names: Sequence[str]) -> dict[str, str]:
    """Those of the commands that the cases use, if they are there."""
    found = {}
    for tool in TOOLS:
        if shutil.which(tool) and any(tool in CASES[name].tools for name in names):
            done = subprocess.run([tool, "--version"], check=False, capture_output=True, text=True, timeout=60)
            version = re.search(r"\d+(\.\d+)+", done.stdout)
            found[tool] = version[0] if version else "of unknown version"
    return found


def measure(python: str, columns: Columns, names: Sequence[str], rounds: int, seconds: float) -> Results:
    """All rounds for one Python. What fails is not tried again."""
    installed = versions(python, PACKAGES)
    results: Results = {}
    reasons = {column: probes.why_absent(python, name) for column, name in columns.items()}
    for name in names:
        missing = CASES[name].absent(installed)
        results[name] = {}
        for column, reason in reasons.items():
            results[name][column] = Cell(failure=f"absent: {missing or reason}" if missing or reason else "")
    with report.progress() as progress:
        steps = progress.add_task("", total=rounds * len(names) * len(columns))
        for number in range(rounds):
            for name in names:
                for column in rotated(list(columns), number):
                    progress.update(steps, description=f"round {number + 1}: {name} on {column}")
                    cell = results[name][column]
                    if not cell.failure:
                        try:
                            cell.rounds.append(CASES[name].run(python, columns[column], seconds))
                        except CaseFailed as failure:
                            cell.failure = f"fails: {failure}"
                    progress.advance(steps)
    return results


def ratio(cell: Cell, baseline: Cell) -> Ratio:
    """How many times the baseline's requests per second."""
    ratios = sorted(a.rate / b.rate for a, b in zip(cell.rounds, baseline.rounds, strict=True))
    outside = left_out(len(ratios)) or 0
    return Ratio(statistics.median(ratios), ratios[outside], ratios[-1 - outside])


def throughput(columns: Columns, results: Results) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the baseline's requests per second, the others' ratios to it, how busy the client was."""
    others = [column for column in columns if column != str(BASELINE)]
    rows = []
    for name, cells in results.items():
        baseline = cells[str(BASELINE)]
        row = [f"{name}: {CASES[name].what}", text(baseline, lambda cell: f"{cell.median('rate'):.0f}")]
        for column in others:
            peer = IMPLEMENTATIONS[columns[column]].peer

            def compared(cell: Cell, peer: bool = peer, baseline: Cell = baseline) -> str:
                if baseline.failure:
                    return f"{cell.median('rate'):.0f} req/s"
                found = ratio(cell, baseline)
                return f"{found.median:.2f}" if peer or len(cell.rounds) == 1 else str(found)

            row.append(text(cells[column], compared))
        busy = [cell.median("other_share") for cell in cells.values() if not cell.failure]
        row.append(f"{min(busy):.0%} to {max(busy):.0%}" if busy else "")
        rows.append(row)
    header = ["one request", f"{BASELINE}, req/s", *(f"{column} / {BASELINE}" for column in others), "other end's CPU"]
    return header, rows


def absolute(columns: Columns, results: Results, cell_text: Callable[[Cell], str]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table with a figure of each implementation."""
    rows = [[name, *(text(cells[column], cell_text) for column in columns)] for name, cells in results.items()]
    return ["case", *columns], rows


def text(cell: Cell, of_figures: Callable[[Cell], str]) -> str:
    """A cell's figures, or what kind of failure it is."""
    return cell.failure.partition(":")[0] or of_figures(cell)


def brackets(results: Results) -> str:
    """What stands in brackets behind a ratio."""
    rounds = max(len(cell.rounds) for cells in results.values() for cell in cells.values())
    if rounds < 2:
        return ""
    enough = left_out(rounds) is not None
    return f"; in brackets {f'its {CONFIDENCE:.0%} confidence interval' if enough else 'the lowest and the highest'}"


def control(results: Results) -> list[str]:
    """How far the baseline is from itself."""
    pairs = [(cells[CONTROL], cells[str(BASELINE)]) for cells in results.values() if CONTROL in cells]
    apart = [abs(ratio(*pair).median - 1) for pair in pairs if not any(cell.failure for cell in pair)]
    if not apart:
        return []
    median, most = statistics.median(apart), max(apart)
    return [f"the control, {BASELINE} against itself: {median:.1%} apart in the median case, {most:.1%} at most"]


def failures(results: Results) -> list[str]:
    """Why there are cells without figures, each reason once."""
    found: dict[tuple[str, str], list[str]] = {}  # cases, by columns and reason
    for name, cells in results.items():
        for reason in dict.fromkeys(cell.failure for cell in cells.values() if cell.failure):
            columns = [column for column, cell in cells.items() if cell.failure == reason]
            found.setdefault((", ".join(columns) if len(columns) < len(cells) else "all", reason), []).append(name)
    return [f"{columns}: {', '.join(names)}: {reason}" for (columns, reason), names in found.items()]


def tables(title: str, columns: Columns, results: Results, notes: Sequence[str]) -> list[report.Report]:
    """The reports for one Python."""
    latency = absolute(columns, results, lambda cell: f"{cell.median('mean'):.0f} ({cell.median('p50'):.0f})")
    tail = absolute(columns, results, lambda cell: f"{cell.median('p99'):.0f}")
    cpu = absolute(columns, results, lambda cell: f"{cell.median('cpu_per_request'):.1f}")
    meaning = [
        f"x / {BASELINE}: so many times {BASELINE}'s requests does x answer, the median of the rounds' ratios"
        + brackets(results),
        "other end's CPU: how much of a CPU the client (for redis: the server) took, on the implementations "
        "with the least and with the most. The kernel likes to run both ends on one CPU, in turns, so this part of the "
        "time makes the ratios smaller than those of the measured processes' own CPU time, below",
    ]
    return [
        report.Report(
            f"Requests per second, {title}",
            *throughput(columns, results),
            [*meaning, *control(results), *notes, *failures(results)],
        ),
        report.Report(
            f"Latency in µs, mean and (median), {title}",
            *latency,
            ["from before the request is sent until the whole answer has come, medians of the rounds"],
        ),
        report.Report(f"Latency in µs, 99th percentile, {title}", *tail, []),
        report.Report(
            f"CPU time per request in µs, {title}",
            *cpu,
            ["of the measured process by getrusage, the kernel's work for it and all threads included"],
        ),
    ]


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = report.argument_parser(__doc__)
    report.add_implementations(parser, default="c,swap,ours,uvloop,rloop,zuvloop,blazio")
    parser.add_argument(
        "--case",
        nargs="+",
        default=list(CASES),
        metavar="NAME",
        help=f"of {' '.join(CASES)}; or what names begin with, like streams or streams-1k (default: all)",
    )
    parser.add_argument("--rounds", type=int, help=f"fresh processes for each figure (default: {ROUNDS})")
    parser.add_argument("--seconds", type=float, help=f"of load in each, wrk's at least 1 (default: {SECONDS:g})")
    parser.add_argument("--quick", action="store_true", help="one short round: shows that it works, measures little")
    parser.add_argument("--no-control", action="store_true", help=f"do not measure {BASELINE} a second time")
    parser.add_argument("--note", default="", help="a remark for the notes, like who built this Python and how")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of all rounds into this file")
    arguments = parser.parse_args()
    if str(BASELINE) not in arguments.impl:
        parser.error(f"--impl: {BASELINE} is what the others are compared with, it cannot be left out")
    arguments.columns = {str(IMPLEMENTATIONS[name]): name for name in arguments.impl}
    if not arguments.no_control:
        arguments.columns[CONTROL] = str(BASELINE)
    known = {wanted: {name for name in CASES if f"{name}-".startswith(f"{wanted}-")} for wanted in arguments.case}
    if unknown := [wanted for wanted, names in known.items() if not names]:
        parser.error(f"--case: unknown {', '.join(unknown)}")
    arguments.cases = [name for name in CASES if name in set[str]().union(*known.values())]
    arguments.rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    arguments.seconds = arguments.seconds or (QUICK_SECONDS if arguments.quick else SECONDS)
    if arguments.rounds < 1 or arguments.seconds <= 0:
        parser.error("--rounds, --seconds: more than nothing")
    return arguments


def stop(number: int, frame: object) -> None:
    """End like Ctrl-C does: by an exception, so that what has been started is ended too."""
    sys.exit(128 + number)


def main() -> None:
    """Measure and report; fail if one of CPython's or our own implementations failed."""
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, stop)
    reports, raw, failed = [], {}, []
    for python in arguments.python:
        version, load = probes.ask(python, "version()"), os.getloadavg()[0]
        results = measure(python, arguments.columns, arguments.cases, arguments.rounds, arguments.seconds)
        used = versions(python, PACKAGES) | tool_versions(arguments.cases)
        notes = [
            f"{machine()}; clients and servers on this machine",
            probes.ask(python, "description()") + (f"; {arguments.note}" if arguments.note else ""),
            named(used),
            f"{arguments.rounds} round{'s' * (arguments.rounds > 1)} of {arguments.seconds:g} s (wrk: whole seconds)",
            load_average(load, "1 to 2"),
        ]
        reports += tables(f"CPython {version}", arguments.columns, results, notes)
        raw[version] = {
            "notes": notes,
            "cases": {
                name: {
                    column: {"failure": cell.failure, "rounds": [asdict(each) for each in cell.rounds]}
                    for column, cell in cells.items()
                }
                for name, cells in results.items()
            },
        }
        failed += [
            f"{name} on {column} {cell.failure}"
            for name, cells in results.items()
            for column, cell in cells.items()
            if cell.failure.startswith("fails") and not IMPLEMENTATIONS[arguments.columns[column]].peer
        ]
        if arguments.json:
            arguments.json.write_text(json.dumps(raw, indent=1) + "\n")
    report.output({"network": reports}, arguments)
    if failed:
        raise SystemExit("\n".join(failed))


if __name__ == "__main__":
    main()
