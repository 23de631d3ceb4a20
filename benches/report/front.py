"""Draw the README's chart: stock asyncio, uvloop and rasyncio at a few things that people know, as bars.

    python -m benches.report.front [--from FILE] [--out DIR]

The figures are those of the tables in benches/README.md, which `benches.network` and `benches.speed` wrote there: a run
that anybody can look up, and nothing that stands nowhere else. It becomes front-light.svg and front-dark.svg.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from benches import options
from benches.implementations import BASELINE, OURS
from benches.report.charts import MARGIN, OUT, TIMES, WIDTH, Theme, files, style_of

TABLES = Path(__file__).parents[1] / "README.md"
UVLOOP = "uvloop"
ROW, BAR, HEAD, FOOT = 0.86, 0.23, 0.6, 0.35  # inches
LEFT, RIGHT = 1.95, 1.2  # inches
SAID = {str(BASELINE): "asyncio", UVLOOP: "uvloop", str(OURS): "rasyncio"}


@dataclass(frozen=True)
class Row:
    """A row of a committed table, and what it is called in the chart."""

    section: str
    name: str
    title: str


#: Servers first: where most people live. The last one is what a program does without a socket.
ROWS = (
    Row("network", "fastapi-h11", "FastAPI on uvicorn:\na request"),
    Row("network", "websockets-1k-100", "websockets:\na message of 1 KiB"),
    Row("network", "aiohttp", "aiohttp's server:\na request"),
    Row("bench", "create_task", "asyncio.create_task():\na task made and awaited"),
)


def table_rows(text: str, section: str) -> Iterator[dict[str, str]]:
    """The rows of a section's first tables, cells by the names of the columns; the first column is called "name"."""
    _, start, rest = text.partition(f"<!-- {section}:start -->")
    content, end, _ = rest.partition(f"<!-- {section}:end -->")
    if not (start and end):
        raise SystemExit(f"there is no section {section!r}")
    header: list[str] = []
    for line in content.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            header = []
        elif not header:
            header = ["name", *cells[1:]]
        elif not set(line) <= set("|-: "):
            yield dict(zip(header, cells, strict=True))


def number(cell: str) -> float:
    """The figure in a cell, the interval behind it left out."""
    found = re.match(r"\d+(\.\d+)?", cell)
    if not found:
        raise SystemExit(f"{cell!r} has no figure")
    return float(found[0])


def figures(text: str, row: Row) -> dict[str, float]:
    """How many times as fast as on the baseline each implementation does it."""
    cells = next((each for each in table_rows(text, row.section) if each["name"].partition(":")[0] == row.name), None)
    if cells is None:
        raise SystemExit(f"there is no row {row.name!r} in the section {row.section!r}")
    if row.section == "network":  # costs, in terms of ours
        stock, uvloop = number(cells[str(BASELINE)]), number(cells[UVLOOP])
        return {str(BASELINE): 1.0, UVLOOP: stock / uvloop, str(OURS): stock}
    return {
        str(BASELINE): 1.0,
        UVLOOP: number(cells[f"{BASELINE} / {UVLOOP}"]),
        str(OURS): number(cells[f"{BASELINE} / {OURS}"]),
    }


@dataclass(frozen=True)
class Bars:
    """The chart."""

    rows: Mapping[str, Mapping[str, float]]
    name: str = "front"

    def draw(self, theme: Theme) -> Figure:
        """The picture."""
        middle = len(self.rows) * ROW
        height = HEAD + middle + FOOT
        figure = Figure(figsize=(WIDTH, height))
        left = MARGIN / WIDTH
        figure.text(left, 1 - MARGIN / height, "How many times as fast as asyncio", va="top", size=12, weight="bold")
        figure.text(
            left,
            1 - (MARGIN + 0.27) / height,
            "longer is better; servers by CPU time, whose greater part is the server's own Python code",
            va="top",
            size=9,
            color=theme.muted,
        )
        figure.text(
            left,
            MARGIN / height,
            "CPython 3.14, Linux. All rows, peers, the control and the commands: benches/README.md.",
            va="bottom",
            size=8.5,
            color=theme.muted,
        )
        axes = figure.add_axes((LEFT / WIDTH, FOOT / height, (WIDTH - LEFT - RIGHT) / WIDTH, middle / height))
        axes.set_axis_off()
        axes.set_ylim(len(self.rows) * ROW, 0)
        axes.set_xlim(0, max(value for row in self.rows.values() for value in row.values()))
        for position, (title, row) in enumerate(self.rows.items()):
            top = position * ROW + (ROW - len(row) * BAR) / 2
            middle_of_row = top + len(row) * BAR / 2
            figure.text(left, 1 - (HEAD + middle_of_row) / height, title, va="center", size=10, linespacing=1.3)
            for place, (column, value) in enumerate(row.items()):
                ours = column == str(OURS)
                colour = theme.muted if column == str(BASELINE) else style_of(column, theme)["color"]
                at = top + (place + 0.5) * BAR
                axes.barh(at, value, height=BAR * 0.82, color=colour)
                axes.annotate(
                    f"{value:.1f}{TIMES} {SAID[column]}",
                    (value, at),
                    xytext=(4, 0),
                    textcoords="offset points",
                    va="center",
                    size=9.5 if ours else 8.5,
                    color=colour,
                    weight="bold" if ours else "normal",
                    annotation_clip=False,
                )
        return figure


def main() -> None:
    """Draw it from the tables."""
    parser = options.bare_parser(__doc__)
    parser.add_argument("--from", dest="tables", type=Path, default=TABLES, metavar="FILE", help="which has the tables")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="(default: %(default)s)")
    arguments = parser.parse_args()
    text = arguments.tables.read_text()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, content in files(Bars({row.title: figures(text, row) for row in ROWS})):
        (arguments.out / name).write_bytes(content)
        print(arguments.out / name)


if __name__ == "__main__":
    main()
