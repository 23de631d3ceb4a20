"""The tables of what was measured: requests per second, latencies, CPU time per request."""

from collections.abc import Callable, Sequence

from benches.implementations import BASELINE, IMPLEMENTATIONS
from benches.network.cases import CASES
from benches.network.measure import Measured, Results, ratio
from benches.options import Columns
from benches.report import tables
from benches.report.ratios import CONTROL, brackets, control


def throughput(columns: Columns, results: Results) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the baseline's requests per second, the others' ratios to it, how busy the client was."""
    others = [column for column in columns if column != str(BASELINE)]
    rows = []
    for name, cells in results.items():
        baseline = cells[str(BASELINE)]
        row = [f"{name}: {CASES[name].what}", baseline.text(lambda cell: f"{cell.median('rate'):.0f}")]
        for column in others:
            peer = IMPLEMENTATIONS[columns[column]].peer

            def compared(cell: Measured, peer: bool = peer, baseline: Measured = baseline) -> str:
                if baseline.failure:
                    return f"{cell.median('rate'):.0f} req/s"
                found = ratio(cell, baseline)
                return f"{found.median:.2f}" if peer else str(found)

            row.append(cells[column].text(compared))
        busy = [cell.median("other_share") for cell in cells.values() if not cell.failure]
        row.append(f"{min(busy):.0%} to {max(busy):.0%}" if busy else "")
        rows.append(row)
    header = ["one request", f"{BASELINE}, req/s", *(f"{column} / {BASELINE}" for column in others), "other end's CPU"]
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
        for reason in dict.fromkeys(cell.failure for cell in cells.values() if cell.failure):
            columns = [column for column, cell in cells.items() if cell.failure == reason]
            found.setdefault((", ".join(columns) if len(columns) < len(cells) else "all", reason), []).append(name)
    return [f"{columns}: {', '.join(names)}: {reason}" for (columns, reason), names in found.items()]


def reports(title: str, columns: Columns, results: Results, notes: Sequence[str]) -> list[tables.Report]:
    """The reports for one Python."""
    latency = absolute(columns, results, lambda cell: f"{cell.median('mean'):.0f} ({cell.median('p50'):.0f})")
    tail = absolute(columns, results, lambda cell: f"{cell.median('p99'):.0f}")
    cpu = absolute(columns, results, lambda cell: f"{cell.median('cpu_per_request'):.1f}")
    rounds = max(len(cell.rounds) for cells in results.values() for cell in cells.values())
    pairs = [(cells[CONTROL], cells[str(BASELINE)]) for cells in results.values() if CONTROL in cells]
    apart = [ratio(*pair) for pair in pairs if not any(cell.failure for cell in pair)]
    meaning = [
        f"x / {BASELINE}: so many times {BASELINE}'s requests does x answer, the median of the rounds' ratios"
        + brackets(rounds),
        "other end's CPU: how much of a CPU the client (for redis: the server) took, on the implementations "
        "with the least and with the most. The kernel likes to run both ends on one CPU, in turns, so this part of the "
        "time makes the ratios smaller than those of the measured processes' own CPU time, below",
    ]
    return [
        tables.Report(
            f"Requests per second, {title}",
            *throughput(columns, results),
            [*meaning, *control(apart, "case"), *notes, *failures(results)],
        ),
        tables.Report(
            f"Latency in µs, mean and (median), {title}",
            *latency,
            ["from before the request is sent until the whole answer has come, medians of the rounds"],
        ),
        tables.Report(f"Latency in µs, 99th percentile, {title}", *tail, []),
        tables.Report(
            f"CPU time per request in µs, {title}",
            *cpu,
            ["of the measured process by getrusage, the kernel's work for it and all threads included"],
        ),
    ]
