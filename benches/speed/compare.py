"""What the timings say: ratios of implementations, and the tables of them."""

from collections.abc import Iterable

from benches.implementations import BASELINE, FLOOR, IMPLEMENTATIONS, OURS, SWAP_ONLY
from benches.options import Columns
from benches.report import tables
from benches.report.ratios import CONTROL, Ratio, brackets, control
from benches.speed.measure import Results, Series

BEST_PEER = f"best peer / {OURS}"
FROM_FLOOR = f"{OURS} / {FLOOR}"
NO_FIGURE = "-"

Ratios = dict[str, dict[str, Ratio]]  # by what is compared, like "c / rasyncio", and by workload


def against_baseline(column: str) -> str:
    """The title of a column's ratios."""
    return f"{BASELINE} / {column}"


def ratio_of(other: Series, series: Series) -> Ratio:
    """How many times as fast as another."""
    return Ratio.of(other.per_round(), series.per_round())


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
            ratios[against_baseline(column)][workload] = ratio_of(measured[str(BASELINE)], measured[column])
        running = [column for column in peers if column in measured]
        if BEST_PEER in ratios and running:
            best = min(running, key=lambda column: measured[column].nanoseconds())
            ratios[BEST_PEER][workload] = ratio_of(measured[best], measured[str(OURS)])
        if FROM_FLOOR in ratios and str(FLOOR) in measured:
            ratios[FROM_FLOOR][workload] = ratio_of(measured[str(OURS)], measured[str(FLOOR)])
    return ratios


def tabulate(title: str, workloads: Iterable[str], columns: Columns, results: Results, ratios: Ratios) -> tables.Report:
    """The whole table of some workloads."""
    timed = [column for column in (str(BASELINE), str(OURS)) if column in columns]
    rows = []
    for workload in workloads:
        row = [tables.label(workload), *(f"{results[workload][column].nanoseconds():.0f}" for column in timed)]
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
    return tables.Report(title, ["one operation", *(f"{column}, ns" for column in timed), *ratios], rows, [])


def summarize(title: str, workloads: Iterable[str], results: Results, ratios: Ratios) -> tables.Report:
    """The few columns that a reader wants first."""
    timed = [str(column) for column in (BASELINE, OURS) if str(column) in results[next(iter(results))]]
    wanted = [against_baseline(str(SWAP_ONLY)), against_baseline(str(OURS)), BEST_PEER]
    wanted = [name for name in wanted if name in ratios]
    rows = [
        [
            tables.label(workload),
            *(f"{results[workload][column].nanoseconds():.0f}" for column in timed),
            *(f"{ratios[name][workload].median:.1f}" if workload in ratios[name] else NO_FIGURE for name in wanted),
        ]
        for workload in workloads
    ]
    return tables.Report(title, ["one operation", *(f"{column}, ns" for column in timed), *wanted], rows, [])


def remarks(results: Results, ratios: Ratios) -> list[str]:
    """What a reader of the tables has to know: the meaning of the figures, how far they can be trusted."""
    rounds = len(results[next(iter(results))][str(BASELINE)].runs)
    return [
        f"a / b: how many times as fast b is as a, the median of the rounds' ratios{brackets(rounds)}",
        *control(ratios.get(against_baseline(CONTROL), {}).values(), "workload"),
    ]


def failures(results: Results) -> list[str]:
    """Why there are cells without a figure. (That the floor has not all that a workload needs, is as it should be.)"""
    found = {
        series.failure: None
        for by_column in results.values()
        for column, series in by_column.items()
        if series.failure and not (column == str(FLOOR) and series.failure.startswith("fails"))
    }
    return list(found)
