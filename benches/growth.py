"""How cost grows: 1 to 1,000,000 tasks or timers that are pending at once, 1 to 5,000 connections that are open.

Every figure is the median of a few fresh processes (growth_worker.py), the implementations in turn.

    python benches/growth.py [--python PATH...] [--impl c,ours] [--what tasks timers connections] [--least N]
        [--most N] [--rounds N] [--quick] [--json FILE] [--update FILE...]
"""

import contextlib
import json
import os
import resource
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import probes
import report
from implementations import IMPLEMENTATIONS
from machine import machine, named, versions
from measure import rotated

WORKER = Path(__file__).with_name("growth_worker.py")
WORKER_TIMEOUT = 600.0
ROUNDS, SECONDS = 3, 0.4  # processes for each figure; of timing in each, at least
QUICK_ROUNDS, QUICK_SECONDS = 1, 0.02
MIB = 2**20
OTHER_FILES = 100  # that a process has open besides its connections


@dataclass(frozen=True)
class Kind:
    """Something there can be many of at once."""

    title: str
    sizes: Sequence[int]
    workers: Sequence[str]  # growth_worker.py's names
    figures: dict[str, str]  # growth_worker.py's names, and what they are
    needs: int  # bytes for each that must be there before it is tried, more than any takes
    notes: Sequence[str]


POWERS = [10**power for power in range(7)]
KINDS = {
    "tasks": Kind(
        "Tasks",
        POWERS,
        ("tasks", "memory of tasks"),
        {"ns": "ns per task", "bytes": "bytes per task", "peak": "peak MiB"},
        needs=4096,
        notes=(
            "ns per task: so many are created, all start and wait for a future each, then all are woken and finish",
            "bytes per task: resident memory while they wait, with coroutine and future",
        ),
    ),
    "timers": Kind(
        "Timers",
        POWERS,
        ("timers", "memory of timers"),
        {"ns": "ns per timer", "bytes": "bytes per timer", "peak": "peak MiB"},
        needs=4096,
        notes=(
            "ns per timer: so many are set in no order and all fire; the time until they are due is not counted",
            "bytes per timer: resident memory while they are pending",
        ),
    ),
    "connections": Kind(
        "Connections",
        (1, 10, 100, 1000, 5000),
        ("connections",),
        {
            "turn": "ns per message in turn",
            "all": "ns per message, all at once",
            "bytes": "server's bytes per connection",
            "peak": "server's peak MiB",
        },
        needs=2**18,
        notes=(
            "TCP echo of 64 bytes between two processes on the same implementation, with `asyncio.Protocol`",
            "in turn: the connections are used one after the other, one message is under way at any time; all at once: "
            "each connection has a message of its own under way",
        ),
    ),
}


@dataclass
class Cell:
    """What the rounds found for one implementation and size."""

    found: list[dict[str, float]] = field(default_factory=list)
    failure: str = ""  # like "absent: ..." or "fails: ..."

    def figure(self, name: str) -> float | None:
        """The median over the rounds, if there are any."""
        values = [each[name] for each in self.found if name in each]
        return statistics.median(values) if values and not self.failure else None

    def text(self, name: str) -> str:
        """The same for the table."""
        value = self.figure(name)
        if value is None:
            return self.failure.partition(":")[0] or "-"
        return f"{value / MIB if name == 'peak' else value:.0f}"


Cells = dict[str, dict[int, Cell]]  # by implementation and size


def work(python: str, implementation: str, kind: str, size: int, seconds: float) -> tuple[dict[str, float], str]:
    """Run the worker processes of one cell once: the figures, and why there are none."""
    figures: dict[str, float] = {}
    for worker in KINDS[kind].workers:
        title = f"{IMPLEMENTATIONS[implementation]}, {worker}, {size:,}"
        command = [python, str(WORKER), implementation, worker, str(size), str(seconds)]
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=WORKER_TIMEOUT)
        except subprocess.TimeoutExpired:
            return {}, f"fails: {title}: no end within {WORKER_TIMEOUT:.0f} s"
        if done.returncode:
            last_words = done.stderr.strip().rpartition("\n")[2] or "without a word"
            return {}, f"fails: {title}: exit status {done.returncode}, {last_words}"
        figures |= json.loads(done.stdout)
    return figures, ""


def out_of_reach(kind: str, size: int) -> str:
    """Why this machine, or its settings, do not allow so many."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if kind == "connections" and size + OTHER_FILES > files:
        return f"no files: RLIMIT_NOFILE allows {files:,} open files, too few for {size:,} connections"
    if size * KINDS[kind].needs > available_memory():
        return f"no memory: {available_memory() / MIB:,.0f} MiB are too few for {size:,} {kind}"
    return ""


def available_memory() -> float:
    """Half of what the system could give away now, in bytes."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) * 1024 / 2


def set_limits() -> None:
    """For the workers: as many files as are allowed; an error instead of a machine that is out of memory."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    wanted = max(KINDS["connections"].sizes) + OTHER_FILES
    if most < wanted:
        with contextlib.suppress(OSError, ValueError):  # root may raise it
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = int(available_memory())
    resource.setrlimit(resource.RLIMIT_DATA, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))


def measure(
    python: str, names: Sequence[str], kinds: dict[str, list[int]], rounds: int, seconds: float
) -> dict[str, Cells]:
    """All rounds for one Python. Only a peer may fail."""
    reasons = {name: probes.why_absent(python, name) for name in names}
    absent = {name: f"absent: {IMPLEMENTATIONS[name]}, {reason}" for name, reason in reasons.items() if reason}
    results: dict[str, Cells] = {
        kind: {name: {size: Cell(failure=absent.get(name, "")) for size in sizes} for name in names}
        for kind, sizes in kinds.items()
    }
    with report.progress() as progress:
        steps = progress.add_task("", total=rounds * len(names) * sum(len(sizes) for sizes in kinds.values()))
        for kind, sizes in kinds.items():
            for size in sizes:
                for number in range(rounds):
                    for name in rotated(names, number):
                        progress.update(steps, description=f"{size:,} {kind} on {IMPLEMENTATIONS[name]}")
                        cell = results[kind][name][size]
                        cell.failure = cell.failure or out_of_reach(kind, size)
                        if not cell.failure:
                            found, cell.failure = work(python, name, kind, size, seconds)
                            cell.found.append(found)
                            if cell.failure and not IMPLEMENTATIONS[name].may_fail:
                                raise SystemExit(cell.failure)
                        progress.advance(steps)
    return results


def tabulate(kind: str, title: str, cells: Cells, notes: Sequence[str]) -> report.Report:
    """The table of one kind: for each figure a row per implementation."""
    sizes = list(next(iter(cells.values())))
    rows = [
        [f"{what}, {IMPLEMENTATIONS[name]}", *(cell.text(figure) for cell in by_size.values())]
        for figure, what in KINDS[kind].figures.items()
        for name, by_size in cells.items()
    ]
    failures = dict.fromkeys(cell.failure for by_size in cells.values() for cell in by_size.values() if cell.failure)
    header = [f"how many {kind}", *(f"{size:,}" for size in sizes)]
    return report.Report(title, header, rows, [*KINDS[kind].notes, *notes, *failures])


def as_json(version: str, results: dict[str, Cells]) -> dict[str, Any]:
    """The figures for charts.py, in bytes and nanoseconds: by kind, figure and implementation, pairs with the size."""
    growth = {
        kind: {
            figure: {
                str(IMPLEMENTATIONS[name]): [
                    (size, value) for size, cell in by_size.items() if (value := cell.figure(figure)) is not None
                ]
                for name, by_size in cells.items()
            }
            for figure in KINDS[kind].figures
        }
        for kind, cells in results.items()
    }
    return {"python": version, "growth": growth}


def main() -> None:
    """Measure and report."""
    parser = report.argument_parser(__doc__)
    report.add_implementations(parser, default="c,swap,ours,uvloop,rloop,zuvloop,blazio")
    parser.add_argument("--what", nargs="+", choices=KINDS, default=list(KINDS), help="(default: all)")
    parser.add_argument("--least", type=int, default=1, metavar="N", help="leave out sizes below this one")
    parser.add_argument("--most", type=int, default=max(POWERS), metavar="N", help="leave out sizes above this one")
    parser.add_argument("--rounds", type=int, help=f"processes for each figure (default: {ROUNDS})")
    parser.add_argument("--quick", action="store_true", help="one short round: shows that it works, measures little")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, for charts.py")
    arguments = parser.parse_args()
    if arguments.json and len(arguments.python) > 1:
        parser.error("--json: for one Python only")
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    if rounds < 1:
        parser.error("--rounds: at least one")
    limits = arguments.least, arguments.most
    kinds = {kind: [size for size in KINDS[kind].sizes if limits[0] <= size <= limits[1]] for kind in arguments.what}
    if not all(kinds.values()):
        parser.error("--least, --most: nothing is left")
    set_limits()
    sections: dict[str, list[report.Report]] = {f"growth-{kind}": [] for kind in kinds}
    for python in arguments.python:
        version = probes.ask(python, "version()")
        load = os.getloadavg()[0]
        results = measure(python, arguments.impl, kinds, rounds, QUICK_SECONDS if arguments.quick else SECONDS)
        notes = [
            machine(),
            probes.ask(python, "description()"),
            named(versions(python)),
            "-: resident memory is counted in pages, which says little about fewer than 1,000",
            f"each figure: the median of {rounds} fresh process{'es' * (rounds > 1)}",
            f"load average {load:.2f} before, {os.getloadavg()[0]:.2f} after",
        ]
        for kind, cells in results.items():
            title = f"{KINDS[kind].title}, CPython {version}"
            sections[f"growth-{kind}"].append(tabulate(kind, title, cells, notes))
        if arguments.json:
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            arguments.json.write_text(json.dumps(as_json(version, results), indent=1) + "\n")
    report.output(sections, arguments)


if __name__ == "__main__":
    main()
