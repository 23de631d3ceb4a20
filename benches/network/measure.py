"""Measuring a case: all implementations are alive at once, and are loaded in turn by short bursts.

Whatever else the machine does hits all of them alike, so what is compared are bursts of one round, which follow each
other within a second.
"""

import re
import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from operator import methodcaller
from typing import TypeVar

from benches.implementations import OURS
from benches.interpreter import why_absent
from benches.network import callgrind
from benches.network.cases import CASES, TOOLS, Case
from benches.network.counts import count
from benches.network.figures import Burst
from benches.network.live import FLOOR, Live, Start
from benches.network.processes import CaseFailed
from benches.options import Columns
from benches.report.machine import LIBRARIES, versions
from benches.report.ratios import Ratio
from benches.rounds import Cell, progress

# Packages whose versions the report tells, among them all that a case can need.
PACKAGES = (
    *LIBRARIES,
    "rsloop",
    "veloxloop",
    "aiofastnet",
    "aiohttp",
    "fastapi",
    "uvicorn",
    "h11",
    "httptools",
    "websockets",
    "redis",
    "hiredis",
)
WARM_UP, WARM_UPS = 0.05, 2  # seconds of a burst that does not count, and how many
AGAIN = f"{OURS} again"  # the control: ours, measured once more as if it were another implementation
NO_FLOOR = "-"
T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """How much is measured of each case."""

    starts: int  # how often the processes are started anew: their memory lies elsewhere then
    rounds: int  # of each start
    seconds: float  # of a burst


@dataclass
class Measured(Cell):
    """One case on one implementation: a burst a round, or why there is none."""

    bursts: list[Burst] = field(default_factory=list)
    counts: dict[str, float] = field(default_factory=dict)  # per request: "system calls", "user instructions"

    def median(self, figure: str) -> float:
        """The median of one of the figures over the rounds."""
        figures: list[float] = [getattr(each, figure) for each in self.bursts]
        return statistics.median(figures)


Results = dict[str, dict[str, Measured]]  # by case and column


def tool_versions(names: Sequence[str]) -> dict[str, str]:
    """Those of the commands that the cases use, if they are there."""
    found = {}
    for tool in TOOLS:
        if shutil.which(tool) and any(tool in CASES[name].tools for name in names):
            done = subprocess.run([tool, "--version"], check=False, capture_output=True, text=True, timeout=60)
            version = re.search(r"\d+(\.\d+)+", done.stdout)
            found[tool] = version[0] if version else "of unknown version"
    return found


def measure(python: str, columns: Columns, names: Sequence[str], plan: Plan) -> Results:
    """All cases for one Python. What fails is not tried again."""
    installed = versions(python, PACKAGES)
    reasons = {column: why_absent(python, name) if name != FLOOR else "" for column, name in columns.items()}
    results: Results = {}
    with progress() as bar:
        steps = bar.add_task("", total=len(names) * plan.starts * plan.rounds)
        for name in names:
            missing = CASES[name].absent(installed)
            cells = results[name] = {
                column: Measured(failure=f"absent: {missing or reason}" if missing or reason else "")
                for column, reason in reasons.items()
            }
            for column, implementation in columns.items():
                if implementation == FLOOR and CASES[name].is_program:
                    cells[column].failure = NO_FLOOR
            for start in range(plan.starts):
                bar.update(steps, description=name)
                with alive(CASES[name], cells, python, columns) as row:
                    for number in range(plan.rounds):
                        row.round(start + number, plan.seconds)
                        bar.advance(steps)
                    row.finish(plan.seconds if start == plan.starts - 1 else 0)
    return results


def count_instructions(python: str, columns: Columns, results: Results) -> list[str]:
    """User instructions of the cases that people run, and of some others, under callgrind if perf does not tell.

    Returns what could not be counted, for the notes.
    """
    failures = []
    names = [name for name in results if CASES[name].is_counted]
    cells = [(name, column) for name in names for column in columns if column != AGAIN]
    with progress() as bar:
        for name, column in bar.track(cells, description="callgrind"):
            cell = results[name][column]
            if cell.failure or callgrind.WHAT in cell.counts:
                continue
            try:
                cell.counts[callgrind.WHAT] = callgrind.per_request(CASES[name], python, columns[column])
            except CaseFailed as failure:
                failures.append(f"not counted: {name} on {column}: {failure}")
    return failures


class Row:
    """The implementations of a case that are alive. Who fails is not among them any more, and its cell says why."""

    def __init__(self, cells: Mapping[str, Measured]) -> None:
        self.cells = cells
        self.lives: dict[str, Live] = {}

    def attempt(self, column: str, act: Callable[[], T]) -> T | None:
        """What an act brings; nothing if it fails."""
        try:
            return act()
        except CaseFailed as failure:
            self.cells[column].failure = f"fails: {failure}"
            self.lives.pop(column, None)
            return None

    def each(self, act: Callable[[Live], object]) -> None:
        """Do something with all, in turn."""
        for column, live in [*self.lives.items()]:
            self.attempt(column, partial(act, live))

    def round(self, number: int, seconds: float) -> None:
        """A burst for each. Every round begins with another one."""
        columns = [*self.lives]
        first = number % len(columns) if columns else 0
        for column in columns[first:] + columns[:first]:
            burst = self.attempt(column, partial(self.lives[column].burst, seconds))
            if burst:
                self.cells[column].bursts.append(burst)

    def finish(self, seconds: float) -> None:
        """Check all once more, and count what bursts of so many seconds take, if any."""
        if seconds:
            for column, live in [*self.lives.items()]:
                self.cells[column].counts = self.attempt(column, partial(counts, live, seconds)) or {}
        self.each(methodcaller("check"))


def counts(live: Live, seconds: float) -> dict[str, float]:
    """What a request takes, from a burst of its own."""
    bursts: list[Burst] = []
    found = count(live.measured.pid, lambda: bursts.append(live.burst(seconds)))
    return {what: number / bursts[0].requests for what, number in found.items()}


@contextmanager
def alive(case: Case, cells: Mapping[str, Measured], python: str, columns: Columns) -> Iterator[Row]:
    """All that have not failed yet, warmed up."""
    row = Row(cells)
    wanted = [column for column, cell in cells.items() if not cell.failure]
    with ExitStack() as stack:
        surroundings = stack.enter_context(case.surroundings()) if wanted else None
        for column in wanted:
            row.lives[column] = case.start(stack, Start(python, columns[column]), surroundings)
        row.each(methodcaller("connect"))
        row.each(methodcaller("ready"))
        for _ in range(WARM_UPS):
            row.each(methodcaller("burst", WARM_UP))
        yield row


def ratio(cell: Measured, baseline: Measured) -> Ratio:
    """How many times the baseline's CPU time per request."""
    return Ratio.of([each.cpu_per_request for each in cell.bursts], [each.cpu_per_request for each in baseline.bursts])
