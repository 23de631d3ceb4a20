"""Measuring: every case on every implementation, interleaved, each time with fresh processes."""

import re
import shutil
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field

from benches.interpreter import why_absent
from benches.network.cases import CASES, TOOLS
from benches.network.figures import Figures
from benches.network.processes import CaseFailed
from benches.options import Columns
from benches.report.machine import LIBRARIES, versions
from benches.report.ratios import Ratio
from benches.rounds import Cell, in_turn

# Packages whose versions the report tells, among them all that a case can need.
PACKAGES = (*LIBRARIES, "aiohttp", "uvicorn", "h11", "httptools", "websockets", "redis", "hiredis")


@dataclass
class Measured(Cell):
    """One case on one implementation: a figure a round, or why there is none."""

    rounds: list[Figures] = field(default_factory=list)

    def median(self, figure: str) -> float:
        """The median of one of the figures over the rounds."""
        figures: list[float] = [getattr(each, figure) for each in self.rounds]
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


def measure(python: str, columns: Columns, names: Sequence[str], rounds: int, seconds: float) -> Results:
    """All rounds for one Python. What fails is not tried again."""
    installed = versions(python, PACKAGES)
    results: Results = {}
    reasons = {column: why_absent(python, name) for column, name in columns.items()}
    for name in names:
        missing = CASES[name].absent(installed)
        results[name] = {}
        for column, reason in reasons.items():
            results[name][column] = Measured(failure=f"absent: {missing or reason}" if missing or reason else "")
    for name, column in in_turn(rounds, names, list(columns)):
        cell = results[name][column]
        if not cell.failure:
            try:
                cell.rounds.append(CASES[name].run(python, columns[column], seconds))
            except CaseFailed as failure:
                cell.failure = f"fails: {failure}"
    return results


def ratio(cell: Measured, baseline: Measured) -> Ratio:
    """How many times the baseline's requests per second."""
    return Ratio.of([each.rate for each in cell.rounds], [each.rate for each in baseline.rounds])
