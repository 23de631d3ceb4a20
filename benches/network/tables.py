"""The tables of what was measured: CPU time, page faults and system calls per request, requests per second."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from benches.implementations import BASELINE, FLOOR, IMPLEMENTATIONS, OURS
from benches.network.cases import CASES
from benches.network.counts import EVENTS
from benches.network.measure import AGAIN, NO_FLOOR, Measured, Results, ratio
from benches.options import Columns
from benches.report import tables
from benches.report.ratios import brackets, control

NO_FIGURE = "-"
US = "\N{GREEK SMALL LETTER MU}s"


def microseconds(cell: Measured) -> str:
    """CPU time per request."""
    return f"{cell.median('cpu_per_request'):.1f}"


def best_peer(columns: Columns, cells: Mapping[str, Measured]) -> str | None:
    """The column of the peer with the least CPU time per request against ours, if one has any figures."""
    running = [name for name in columns if IMPLEMENTATIONS[columns[name]].peer and not cells[name].failure]
    if cells[str(OURS)].failure:
        return None
    return min(running, key=lambda name: ratio(cells[name], cells[str(OURS)]).median, default=None)


def compared(cell: Measured, other: Measured, interval: bool = False) -> str:
    """A ratio of CPU times, if there is one."""
    if cell.failure or other.failure:
        return (cell.failure or other.failure).partition(":")[0]
    found = ratio(cell, other)
    return str(found) if interval else f"{found.median:.2f}"


def against_ours(columns: Columns, results: Results) -> tuple[list[str], list[list[str]]]:
    """Header and rows: ours in microseconds and against the floor, then what the others take of that."""
    others = [name for name in columns if name not in (str(OURS), str(FLOOR))]
    with_floor = str(FLOOR) in columns
    rows = []
    for name, cells in results.items():
        ours, best = cells[str(OURS)], best_peer(columns, cells)
        row = [f"{name}: {CASES[name].what}", ours.text(microseconds)]
        row += [compared(ours, cells[str(FLOOR)], interval=True)] if with_floor else []
        row.append(f"{compared(cells[best], ours)} {best}" if best else NO_FIGURE)
        rows.append([*row, *(compared(cells[other], ours, interval=other == AGAIN) for other in others)])
    header = ["one request", f"{OURS}, {US}", *([f"{OURS} / {FLOOR}"] if with_floor else []), "best peer", *others]
    return header, rows


def absolute(
    columns: Columns, results: Results, cell_text: Callable[[Measured], str]
) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table with a figure of each implementation."""
    rows = [[name, *(cells[column].text(cell_text) for column in columns)] for name, cells in results.items()]
    return ["case", *columns], rows


def failures(results: Results) -> list[str]:
    """Why there are cells without figures, each reason once."""
    found: dict[tuple[str, str], list[str]] = {}  # cases, by columns and reason
    for name, cells in results.items():
        for reason in dict.fromkeys(cell.failure for cell in cells.values() if cell.failure not in ("", NO_FLOOR)):
            columns = [column for column, cell in cells.items() if cell.failure == reason]
            found.setdefault((", ".join(columns) if len(columns) < len(cells) else "all", reason), []).append(name)
    return [f"{columns}: {', '.join(names)}: {reason}" for (columns, reason), names in found.items()]


def apart(results: Results) -> list[str]:
    """How far ours is from itself, for the notes."""
    pairs = [(cells[AGAIN], cells[str(OURS)]) for cells in results.values() if AGAIN in cells]
    return control([ratio(*pair) for pair in pairs if not any(cell.failure for cell in pair)], "case", OURS)


def counted(what: str, cell: Measured) -> str:
    """A count per request, where it could be counted."""
    if what not in cell.counts:
        return NO_FIGURE
    number = cell.counts[what]
    return f"{number:.2f}" if number < 100 else f"{number:,.0f}"


def at_the_other_end(results: Results) -> list[str]:
    """What the load took, for the notes."""
    taken = [
        cell.median("other_cpu_per_request") for cells in results.values() for cell in cells.values() if cell.bursts
    ]
    return [f"the other end takes {min(taken):.0f} to {max(taken):.0f} {US} a request"] if taken else []


def reports(title: str, columns: Columns, results: Results, notes: Sequence[str]) -> list[tables.Report]:
    """The reports for one Python."""
    rounds = max(len(cell.bursts) for cells in results.values() for cell in cells.values())
    meaning = [
        f"{US}: CPU time of the measured process for a request, by user and kernel, of all threads",
        f"{OURS} / {FLOOR}: how many times as much {OURS} takes; the columns on the right: how many times as much as "
        f"{OURS}. Medians of the ratios of bursts of one round{brackets(rounds)}",
        "best peer: that of other people's loops which takes the least",
        f"{FLOOR}: a server in Rust that waits, reads, writes, and does nothing else; {NO_FIGURE}: there is none",
    ]
    found = [
        tables.Report(
            f"CPU time per request, {title}",
            *against_ours(columns, results),
            [*meaning, *apart(results), *notes, *failures(results)],
        ),
        tables.Report(f"The same in {US}, {title}", *absolute(columns, results, microseconds), []),
        tables.Report(
            f"Page faults per request, {title}",
            *absolute(columns, results, lambda cell: f"{cell.median('faults_per_request'):.2f}"),
            [],
        ),
    ]
    for what in EVENTS:
        known = {name: cells for name, cells in results.items() if any(what in cell.counts for cell in cells.values())}
        if known:
            figures = absolute(columns, known, partial(counted, what))
            found.append(tables.Report(f"{what.capitalize()} per request, {title}", *figures, []))
    latency = absolute(columns, results, lambda cell: f"{cell.median('p50'):.0f} ({cell.median('p99'):.0f})")
    throughput = absolute(columns, results, lambda cell: f"{cell.median('rate'):,.0f}")
    turns = "load and measured process take turns, so the load is a part of it"
    return [
        *found,
        tables.Report(f"Requests per second, {title}", *throughput, [turns, *at_the_other_end(results)]),
        tables.Report(
            f"Latency in {US}, median and (99th percentile), {title}",
            *latency,
            ["from before the request is sent until the whole answer has come, medians of the bursts"],
        ),
    ]


def summary(title: str, columns: Columns, results: Results, notes: Sequence[str]) -> list[tables.Report]:
    """The few columns that a reader wants first."""
    wanted = [str(each) for each in (FLOOR, OURS, BASELINE) if str(each) in columns]
    rows = []
    for name, cells in results.items():
        best = best_peer(columns, cells)
        row = [f"{name}: {CASES[name].what}", *(cells[column].text(microseconds) for column in wanted)]
        row.append(f"{microseconds(cells[best])} {best}" if best else NO_FIGURE)
        for column in (str(BASELINE), best):
            row.append(compared(cells[column], cells[str(OURS)]) if column in cells else NO_FIGURE)
        rows.append(row)
    header = ["one request", *(f"{column}, {US}" for column in wanted), f"best peer, {US}"]
    header += [f"{BASELINE} / {OURS}", f"best peer / {OURS}"]
    remarks = [*apart(results), *notes[:2]]
    return [tables.Report(f"CPU time per request, {title}", header, rows, remarks)]
