"""What rasyncio set out to reach under load, and the table of what a run reached of it."""

from collections.abc import Iterator

from benches.implementations import FLOOR, IMPLEMENTATIONS, OURS
from benches.network import callgrind
from benches.network.cases import CASES
from benches.network.measure import AGAIN, Measured, Results, ratio
from benches.options import Columns
from benches.report import tables

# Times the floor's CPU time, at most; by case or by its first word.
FROM_FLOOR = {"protocol": 1.10, "buffered": 1.10, "udp": 1.15}
FROM_FLOOR |= {f"tls-{size}k-{clients}": most for size, most in ((1, 1.3), (100, 1.15)) for clients in (1, 100)}
# Times our CPU time that the best peer takes, at least; by case or by its first word.
AHEAD = dict.fromkeys(("protocol", "buffered", "twowrites", "connect", "pipes", "udp"), 1.0)
AHEAD |= {"sock-1k-100": 1.7, "sock-10k-100": 1.7}
AHEAD |= {f"sock-{size}k-1": 1.05 for size in (1, 10, 100)}
AHEAD |= {f"tls-{size}k-{clients}": least for size, least in ((1, 1.5), (100, 1.1)) for clients in (1, 100)}
WITHIN_NOISE = ("protocol", "buffered")  # where it is enough that a peer is not ahead by more than the control
FAULTS = 0.01  # a request, at most


def limit(table: dict[str, float], name: str) -> float | None:
    """A case's own target, or that of its kind."""
    return table.get(name, table.get(name.partition("-")[0]))


def noise(cells: dict[str, Measured]) -> float:
    """How far ours is from itself."""
    if AGAIN not in cells or cells[AGAIN].failure:
        return 0.0
    return abs(ratio(cells[AGAIN], cells[str(OURS)]).median - 1)


def judged(name: str, cells: dict[str, Measured], peers: list[str]) -> Iterator[tuple[str, str, str, bool]]:
    """What a case has to reach: what it is, the target, the figure, whether it is enough. Figures count as shown."""
    ours, floor = cells[str(OURS)], cells.get(str(FLOOR))
    most = limit(FROM_FLOOR, name)
    if most and floor and not floor.failure:
        figure = round(ratio(ours, floor).median, 2)
        yield f"{OURS} / {FLOOR}", f"at most {most:.2f}", f"{figure:.2f}", figure <= most
    running = [peer for peer in peers if not cells[peer].failure]
    least = limit(AHEAD, name)
    if least and running:
        best = min(running, key=lambda peer: ratio(cells[peer], ours).median)
        figure = round(ratio(cells[best], ours).median, 2)
        if name.startswith(WITHIN_NOISE):
            least = round(least - noise(cells), 2)
        yield f"best peer / {OURS}", f"at least {least:.2f}", f"{figure:.2f} ({best})", figure >= least
    faults = round(ours.median("faults_per_request"), 2)
    yield "page faults", f"at most {FAULTS:.2f}", f"{faults:.2f}", faults <= FAULTS
    counted = {peer: cells[peer].counts[callgrind.WHAT] for peer in running if callgrind.WHAT in cells[peer].counts}
    if CASES[name].is_program and counted and callgrind.WHAT in ours.counts:
        best = min(counted, key=lambda peer: counted[peer])
        own = ours.counts[callgrind.WHAT]
        yield callgrind.WHAT, f"fewer than {counted[best]:,.0f} ({best})", f"{own:,.0f}", own < counted[best]


def tabulate(title: str, columns: Columns, results: Results) -> list[tables.Report]:
    """The table, if there is anything to tell."""
    peers = [column for column, name in columns.items() if IMPLEMENTATIONS[name].peer]
    rows, met = [], 0
    for name, cells in results.items():
        if cells[str(OURS)].failure:
            continue
        for what, target, figure, enough in judged(name, cells, peers):
            rows.append([f"{name}, {what}", target, figure if enough else f"{figure}, missed"])
            met += enough
    if not rows:
        return []
    notes = [
        f"{met} targets reached, {len(rows) - met} missed",
        "protocol and buffered: ahead of every peer, but for what the control is off in that case",
    ]
    return [tables.Report(title, ["case", "target", "reached"], rows, notes)]
