"""What the timings say: ratios of implementations, with their confidence intervals, and the tables."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import report
from implementations import BASELINE, FLOOR, IMPLEMENTATIONS, OURS, SWAP_ONLY
from measure import Columns, Results, Series
from workloads import WORKLOADS

CONTROL = f"{BASELINE} again"
BEST_PEER = f"best peer / {OURS}"
FROM_FLOOR = f"{OURS} / {FLOOR}"
CONFIDENCE = 0.95
NO_FIGURE = "-"


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as another: the median over the rounds, with its confidence interval."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, other: Series, series: Series) -> "Ratio":
        """Compare round by round, since the worker processes of a round ran next to each other."""
        ratios = sorted(a / b for a, b in zip(other.per_round(), series.per_round(), strict=True))
        outside = left_out(len(ratios)) or 0
        return cls(statistics.median(ratios), ratios[outside], ratios[-1 - outside])

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"


Ratios = dict[str, dict[str, Ratio]]  # by what is compared, like "c / rasyncio", and by workload


def left_out(rounds: int) -> int | None:
    """How many of the sorted figures lie outside the 95 % confidence interval of their median, at either end.

    Each figure is below the true median with probability 1/2, whatever its distribution, so this is a matter of
    counting. None: there are too few rounds for such an interval.
    """
    tail, outside = 0.0, None
    for number in range(rounds):
        tail += math.comb(rounds, number) / 2**rounds
        if tail > (1 - CONFIDENCE) / 2:
            break
        outside = number
    return outside


def against_baseline(column: str) -> str:
    """The title of a column's ratios."""
    return f"{BASELINE} / {column}"


def compare(columns: Columns, results: Results) -> Ratios:
    """Every column with the baseline; ours with the fastest peer of each workload, and with the floor."""
    others = [column for column in columns if column not in (str(BASELINE), str(FLOOR))]
    peers = [column for column, name in columns.items() if IMPLEMENTATIONS[name].peer]
    ratios: Ratios = {against_baseline(column): {} for column in others}
    if str(OURS) in columns:
        ratios |= {BEST_PEER: {}} if peers else {}
        ratios |= {FROM_FLOOR: {}} if str(FLOOR) in columns else {}
    for workload, by_column in results.items():
        measured = {column: series for column, series in by_column.items() if not series.failure}
        for column in measured.keys() & others:
            ratios[against_baseline(column)][workload] = Ratio.of(measured[str(BASELINE)], measured[column])
        running = [column for column in peers if column in measured]
        if BEST_PEER in ratios and running:
            best = min(running, key=lambda column: measured[column].nanoseconds())
            ratios[BEST_PEER][workload] = Ratio.of(measured[best], measured[str(OURS)])
        if FROM_FLOOR in ratios and str(FLOOR) in measured:
            ratios[FROM_FLOOR][workload] = Ratio.of(measured[str(OURS)], measured[str(FLOOR)])
    return ratios


def tabulate(title: str, workloads: Iterable[str], columns: Columns, results: Results, ratios: Ratios) -> report.Report:
    """The whole table of some workloads."""
    timed = [column for column in (str(BASELINE), str(OURS)) if column in columns]
    rows = []
    for workload in workloads:
        row = [report.label(workload), *(f"{results[workload][column].nanoseconds():.0f}" for column in timed)]
        for compared, by_workload in ratios.items():
            ratio = by_workload.get(workload)
            column = compared.rpartition(" / ")[2]
            if ratio is None:
                failure = results[workload][column].failure if compared == against_baseline(column) else ""
                row.append(failure.partition(":")[0] or NO_FIGURE)
            else:
                is_peer = column in columns and IMPLEMENTATIONS[columns[column]].peer
                row.append(f"{ratio.median:.2f}" if is_peer else str(ratio))
        rows.append(row)
    return report.Report(title, ["one operation", *(f"{column}, ns" for column in timed), *ratios], rows, [])


def summarize(title: str, workloads: Iterable[str], results: Results, ratios: Ratios) -> report.Report:
    """The few columns that a reader wants first."""
    timed = [str(column) for column in (BASELINE, OURS) if str(column) in results[next(iter(results))]]
    wanted = [against_baseline(str(SWAP_ONLY)), against_baseline(str(OURS)), BEST_PEER]
    wanted = [name for name in wanted if name in ratios]
    rows = [
        [
            report.label(workload),
            *(f"{results[workload][column].nanoseconds():.0f}" for column in timed),
            *(f"{ratios[name][workload].median:.1f}" if workload in ratios[name] else NO_FIGURE for name in wanted),
        ]
        for workload in workloads
    ]
    return report.Report(title, ["one operation", *(f"{column}, ns" for column in timed), *wanted], rows, [])


def remarks(columns: Columns, results: Results, ratios: Ratios) -> list[str]:
    """What a reader of the tables has to know: the machine, the meaning of the figures, how far they can be trusted."""
    runs = results[next(iter(results))][str(BASELINE)].runs
    first = runs[0].get_metadata()
    enough = left_out(len(runs)) is not None
    brackets = f"its {CONFIDENCE:.0%} confidence interval" if enough else "the lowest and the highest (few rounds)"
    governor = first.get("cpu_config", "the system does not tell how it sets the CPU's frequency")
    facts = [
        f"{first['platform']}, {first.get('cpu_model_name', 'unknown CPU')}, {first['cpu_count']} CPUs, {governor}",
        f"a / b: how many times as fast b is as a, the median of the rounds' ratios; in brackets {brackets}",
    ]
    if CONTROL in columns:
        apart = [abs(ratio.median - 1) for ratio in ratios[against_baseline(CONTROL)].values()]
        facts.append(
            f"the control, {BASELINE} against itself: {statistics.median(apart):.1%} apart in the median workload, "
            f"{max(apart):.1%} at most"
        )
    return facts


def failures(results: Results) -> list[str]:
    """Why there are cells without a figure. (That the floor has not all that a workload needs, is as it should be.)"""
    found = {
        series.failure: None
        for by_column in results.values()
        for column, series in by_column.items()
        if series.failure and not (column == str(FLOOR) and series.failure.startswith("fails"))
    }
    return list(found)


def as_json(version: str, columns: Columns, results: Results, ratios: Ratios, notes: Sequence[str]) -> dict[str, Any]:
    """All figures, for programs. (pyperf's own files have each timing.)"""

    def figures(workload: str, by_column: Mapping[str, Series]) -> dict[str, Any]:
        ns = {column: series.nanoseconds() for column, series in by_column.items() if not series.failure}
        compared = {name: asdict(row[workload]) for name, row in ratios.items() if workload in row}
        entry = WORKLOADS[workload]
        return {"group": entry.group, "operation": entry.operation, "ns": ns, "ratio": compared}

    workloads = {workload: figures(workload, by_column) for workload, by_column in results.items()}
    return {"python": version, "columns": list(columns), "workloads": workloads, "notes": list(notes)}
