"""How cost grows: 1 to 1,000,000 tasks or timers that are pending at once, 1 to 5,000 connections that are open.

Every figure is the median of a few fresh processes (worker.py), the implementations in turn. pyperf is not in these
processes: what it imports would be a part of the peak memory.

    python -m benches.growth [--python PATH...] [--impl c,ours] [--what tasks timers connections] [--least N]
        [--most N] [--rounds N] [--quick] [--json FILE] [--update FILE...]
"""

import contextlib
import json
import os
import resource
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benches import options, probes
from benches.implementations import IMPLEMENTATIONS
from benches.interpreter import Failed, ask, command, run, why_absent
from benches.report import tables
from benches.report.machine import interpreter, load_average, machine, named, versions
from benches.rounds import Cell, in_turn

WORKER = "benches.growth.worker"
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
    workers: Sequence[str]  # worker.py's names
    figures: dict[str, str]  # worker.py's names, and what they are
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
class Measured(Cell):
    """What the rounds found for one implementation and size."""

    found: list[dict[str, float]] = field(default_factory=list)

    def figure(self, name: str) -> float | None:
        """The median over the rounds, if there are any."""
        values = [each[name] for each in self.found if name in each]
        return statistics.median(values) if values and not self.failure else None

    def shown(self, name: str) -> str:
        """The same for the table."""

        def figure(cell: "Measured") -> str:
            value = cell.figure(name)
            return "-" if value is None else f"{value / MIB if name == 'peak' else value:.0f}"

        return self.text(figure)


Cells = dict[str, dict[int, Measured]]  # by implementation and size


def work(python: str, implementation: str, kind: str, size: int, seconds: float) -> dict[str, float]:
    """The figures of one cell's worker processes, each run once."""
    figures: dict[str, float] = {}
    for worker in KINDS[kind].workers:
        title = f"{IMPLEMENTATIONS[implementation]}, {worker}, {size:,}"
        figures |= json.loads(
            run(title, command(python, WORKER, implementation, worker, size, seconds), WORKER_TIMEOUT)
        )
    return figures


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
    reasons = {name: why_absent(python, name) for name in names}
    absent = {name: f"absent: {IMPLEMENTATIONS[name]}, {reason}" for name, reason in reasons.items() if reason}
    results: dict[str, Cells] = {
        kind: {name: {size: Measured(failure=absent.get(name, "")) for size in sizes} for name in names}
        for kind, sizes in kinds.items()
    }
    cases = {f"{size:,} {kind}": (kind, size) for kind, sizes in kinds.items() for size in sizes}
    for case, name in in_turn(rounds, list(cases), names):
        kind, size = cases[case]
        cell = results[kind][name][size]
        cell.failure = cell.failure or out_of_reach(kind, size)
        if cell.failure:
            continue
        try:
            cell.found.append(work(python, name, kind, size, seconds))
        except Failed as failure:
            cell.failure = f"fails: {failure}"
            if not IMPLEMENTATIONS[name].may_fail:
                raise SystemExit(cell.failure) from None
    return results


def tabulate(kind: str, title: str, cells: Cells, notes: Sequence[str]) -> tables.Report:
    """The table of one kind: for each figure a row per implementation."""
    sizes = list(next(iter(cells.values())))
    rows = [
        [f"{what}, {IMPLEMENTATIONS[name]}", *(cell.shown(figure) for cell in by_size.values())]
        for figure, what in KINDS[kind].figures.items()
        for name, by_size in cells.items()
    ]
    failures = dict.fromkeys(cell.failure for by_size in cells.values() for cell in by_size.values() if cell.failure)
    header = [f"how many {kind}", *(f"{size:,}" for size in sizes)]
    return tables.Report(title, header, rows, [*KINDS[kind].notes, *notes, *failures])


def as_json(version: str, results: dict[str, Cells]) -> dict[str, Any]:
    """The figures for the charts, in bytes and nanoseconds: by kind, figure and implementation, pairs with the size."""
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
    parser = options.parser(__doc__)
    options.add_implementations(parser, default="c,swap,ours,uvloop,rloop,zuvloop,blazio")
    parser.add_argument("--what", nargs="+", choices=KINDS, default=list(KINDS), help="(default: all)")
    parser.add_argument("--least", type=int, default=1, metavar="N", help="leave out sizes below this one")
    parser.add_argument("--most", type=int, default=max(POWERS), metavar="N", help="leave out sizes above this one")
    options.add_rounds(parser, ROUNDS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, for the charts")
    arguments = parser.parse_args()
    if arguments.json and len(arguments.python) > 1:
        parser.error("--json: for one Python only")
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    limits = arguments.least, arguments.most
    kinds = {kind: [size for size in KINDS[kind].sizes if limits[0] <= size <= limits[1]] for kind in arguments.what}
    if not all(kinds.values()):
        parser.error("--least, --most: nothing is left")
    set_limits()
    sections: dict[str, list[tables.Report]] = {f"growth-{kind}": [] for kind in kinds}
    for python in arguments.python:
        version = ask(python, probes.version)
        load = os.getloadavg()[0]
        results = measure(python, arguments.impl, kinds, rounds, QUICK_SECONDS if arguments.quick else SECONDS)
        notes = [
            machine(),
            interpreter(python),
            named(versions(python)),
            "-: resident memory is counted in pages, which says little about fewer than 1,000",
            f"each figure: the median of {tables.counted(rounds, 'fresh process', 'fresh processes')}",
            load_average(load, "1 to 2"),
        ]
        for kind, cells in results.items():
            title = f"{KINDS[kind].title}, CPython {version}"
            sections[f"growth-{kind}"].append(tabulate(kind, title, cells, notes))
        if arguments.json:
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            arguments.json.write_text(json.dumps(as_json(version, results), indent=1) + "\n")
    tables.output(sections, arguments)


if __name__ == "__main__":
    main()
