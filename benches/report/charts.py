"""Draw the charts from what the benchmarks have saved: how many times as fast, and how cost grows.

    python -m benches.report.charts DIR [--out DIR]

DIR has speed/ with pyperf's files of `benches.speed`, network.json of `benches.network`, growth.json of
`benches.growth`, or some of these. Each chart becomes NAME-light.svg and NAME-dark.svg, transparent, for GitHub's light
and dark pages. The same figures give the same files, byte for byte.
"""

import io
import json
import math
import textwrap
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benches import options
from benches.implementations import BASELINE, FLOOR, OURS, PEER_LOOPS, SWAP_ONLY
from benches.network.figures import Burst
from benches.network.measure import AGAIN, Measured, ratio
from benches.report.ratios import CONTROL, Ratio
from benches.speed.compare import Ratios, against_baseline, compare
from benches.speed.measure import Results, load
from benches.workloads import GROUPS, WORKLOADS

OUT = Path(__file__).parents[2] / "docs" / "charts"
MIB = 2**20
WIDTH = 8.0  # inches; GitHub shows it some 800 pixels wide
ROW, LINE, PANEL = 0.25, 0.2, 2.5  # inches: the height of a workload, of a line of text, of a curve's panel
MARGIN = 0.05  # inches
LEGEND_COLUMNS = 5
WIDE = 200  # the range of an axis that has room for powers of ten only
NOTE_WIDTH = 125  # characters
TIMES = "\N{MULTIPLICATION SIGN}"
FONT = "DejaVu Sans"  # comes with matplotlib, so that the layout is the same everywhere
SETTINGS = {
    "font.family": FONT,
    "font.size": 9.5,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",  # text remains text
    "svg.hashsalt": "rasyncio",  # no random names inside
}


@dataclass(frozen=True)
class Theme:
    """The colours of a page."""

    text: str
    muted: str
    grid: str
    background: str  # of hollow markers
    dark: bool = False

    def settings(self) -> dict[str, str]:
        """matplotlib's names for it."""
        text = dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor"), self.text)
        muted = dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), self.muted)
        return text | muted | {"grid.color": self.grid, "axes.facecolor": "none"}


LIGHT = Theme(text="#1f2328", muted="#59636e", grid="#d1d9e0", background="#ffffff")
DARK = Theme(text="#f0f6fc", muted="#9198a1", grid="#30363d", background="#0d1117", dark=True)


@dataclass(frozen=True)
class Style:
    """How an implementation is drawn. The marker tells it from the others without the colour."""

    light: str
    dark: str
    marker: str
    size: float = 6.0
    width: float = 1.2
    hollow: bool = False

    def of(self, theme: Theme) -> dict[str, Any]:
        """matplotlib's names for it."""
        colour = self.dark if theme.dark else self.light
        return {
            "color": colour,
            "marker": self.marker,
            "markersize": self.size,
            "markeredgewidth": 1.5,
            "linewidth": self.width,
            "markerfacecolor": theme.background if self.hollow else colour,
        }


# By the names of the result files. After Okabe and Ito's and Paul Tol's palettes for all kinds of colour vision: one
# strong colour, which is ours.
ACCENT = ("#d55e00", "#ff8f40")
STYLES = {
    str(OURS): Style(*ACCENT, "o", size=8.5, width=2.2),
    str(SWAP_ONLY): Style(*ACCENT, "o", hollow=True),
    "uvloop": Style("#4477aa", "#77aadd", "s"),
    "rloop": Style("#2f8f83", "#55c2b0", "^"),
    "zuvloop": Style("#8f5a99", "#c79bd0", "D", size=5.5),
    "blazio": Style("#8a7a1f", "#cbbb5c", "v"),
    "rsloop": Style("#b8457a", "#ee8fb5", "<"),
    "veloxloop": Style("#6b7a2f", "#a9b665", "X"),
    "aiofastnet": Style("#4477aa", "#77aadd", "d", hollow=True),
    "aiofastnet-uvloop": Style("#4477aa", "#77aadd", "s", hollow=True),
    str(BASELINE): Style("#1f2328", "#f0f6fc", ".", width=1.8),
    CONTROL: Style("#59636e", "#9198a1", "|", size=10),
    "python": Style("#818b98", "#818b98", "x"),
    str(FLOOR): Style("#1f2328", "#f0f6fc", "4", size=10),
}
OTHER = Style("#818b98", "#818b98", "P")  # a loop that is not in this list yet
SAID = {CONTROL: f"{BASELINE} again (control)", str(FLOOR): "limit (floor)"}


def style_of(column: str, theme: Theme) -> dict[str, Any]:
    """matplotlib's names for how an implementation is drawn."""
    return STYLES.get(column, OTHER).of(theme)


def in_order(columns: Iterable[str]) -> list[str]:
    """The implementations, ours first. They are drawn the other way round, ours on top."""
    found = dict.fromkeys(columns)
    return [column for column in STYLES if column in found] + [column for column in found if column not in STYLES]


def range_of(values: Iterable[float], narrowest: float) -> tuple[float, float]:
    """What a logarithmic axis shows: these values with some room, the highest at least so many times the lowest."""
    known = list(values)
    middle = math.sqrt(min(known) * max(known))
    reach = max(math.sqrt(narrowest), max(known) / middle * 1.15)
    return middle / reach, middle * reach


def set_ticks(axis: Axis, low: float, high: float, steps: Sequence[int] = (1, 2, 5)) -> None:
    """Put ticks at round numbers, each a step times a power of ten."""
    powers = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    numbers = [number for power in powers for step in steps if low <= (number := step * 10.0**power) <= high]
    axis.set_major_locator(FixedLocator(numbers))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def short(number: float) -> str:
    """Like 0.5, 20, 1k, 1M."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:g}{name}"
    return f"{number:g}"


def gaps(columns: Iterable[str], rows: Mapping[str, Container[str]]) -> Iterator[str]:
    """What to say of implementations that have no figure in some rows, or in none."""
    for column in columns:
        names = [name for name, row in rows.items() if column not in row]
        if len(names) == len(rows):
            yield f"No figures of {column}."
        elif names:
            yield f"No figure of {column}: {', '.join(names)}."


class Page:
    """A figure with a title and a legend at the top, notes at the bottom, and room for something in the middle."""

    def __init__(
        self, title: str, columns: Sequence[str], notes: Sequence[str], middle: float, theme: Theme, *, joined: bool
    ) -> None:
        lines = [line for note in notes for line in textwrap.wrap(note, NOTE_WIDTH)]
        head = (1.7 + math.ceil(len(columns) / LEGEND_COLUMNS)) * LINE
        foot = len(lines) * LINE
        self.height = head + middle + foot + 2 * MARGIN
        self.figure = Figure(figsize=(WIDTH, self.height))
        self.top = self.height - MARGIN - head
        x, y = MARGIN / WIDTH, 1 - MARGIN / self.height
        self.figure.text(x, y, title, va="top", fontsize=11.5, fontweight="bold")
        for number, line in enumerate(lines):
            y = (MARGIN + foot - number * LINE) / self.height
            self.figure.text(x, y, line, va="top", fontsize=8.5, color=theme.muted)
        self.figure.legend(
            [Line2D([], [], linestyle="-" if joined else "none", **style_of(column, theme)) for column in columns],
            [SAID.get(column, column) for column in columns],
            loc="upper left",
            bbox_to_anchor=(x, (self.height - MARGIN - 1.4 * LINE) / self.height),
            ncols=LEGEND_COLUMNS,
            frameon=False,
            columnspacing=1.4,
            handletextpad=0.3,
            borderpad=0,
            borderaxespad=0,
        )

    def axes(self, left: float, right: float, bottom: float, height: float) -> Axes:
        """Axes in the middle; in inches, left and right from the page's edges, bottom from the top of the middle."""
        width, up = WIDTH - left - right, self.top - bottom
        return self.figure.add_axes((left / WIDTH, up / self.height, width / WIDTH, height / self.height))


@dataclass(frozen=True)
class Dots:
    """How many times as good as the baseline: a row for each workload, a marker for each implementation."""

    name: str
    title: str
    rows: Mapping[str, Mapping[str, Ratio]]
    wanted: Sequence[str]  # the implementations, those too that have no figure
    notes: Sequence[str]

    def draw(self, theme: Theme) -> Figure:
        """The picture."""
        columns = in_order(column for row in self.rows.values() for column in row)
        notes = [
            f"The line at 1 is CPython's; {OURS}'s short lines are the intervals of the table.",
            " ".join([*self.notes, *gaps(self.wanted, self.rows)]),
        ]
        height = len(self.rows) * ROW
        page = Page(self.title, columns, notes, height + 1.6 * LINE, theme, joined=False)
        left = 0.085 * max(len(name) for name in self.rows) + 0.15
        axes = page.axes(left, 0.65, height, height)
        low, high = range_of((1, *(ratio.median for row in self.rows.values() for ratio in row.values())), 4)
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        set_ticks(axes.xaxis, low, high)
        axes.set_ylim(len(self.rows) - 0.5, -0.5)
        axes.set_yticks(range(len(self.rows)), list(self.rows), color=theme.text)
        axes.tick_params(length=0)
        axes.grid(visible=True, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[:].set_visible(False)
        axes.axvline(1, color=theme.text, linewidth=1.5)
        for position, row in enumerate(self.rows.values()):
            for column in reversed(in_order(row)):
                axes.plot(row[column].median, position, linestyle="none", **style_of(column, theme))
            if ours := row.get(str(OURS)):
                self._emphasize(axes, position, ours, theme)
        return page.figure

    def _emphasize(self, axes: Axes, position: int, ours: Ratio, theme: Theme) -> None:
        colour = style_of(str(OURS), theme)["color"]
        axes.plot([ours.low, ours.high], [position, position], color=colour, linewidth=2)
        axes.text(
            x=1.015,
            y=position,
            s=f"{ours.median:.{2 if ours.median < 10 else 1}f}{TIMES}",
            transform=axes.get_yaxis_transform(),
            va="center",
            color=colour,
            fontweight="bold",
        )


@dataclass(frozen=True)
class Panel:
    """What one of growth.json's figures is, in which unit it is shown."""

    figure: str
    title: str
    unit: float


@dataclass(frozen=True)
class Curves:
    """How cost grows with the number of things: a panel for each figure, a line for each implementation."""

    name: str
    title: str
    what: str
    panels: Sequence[Panel]
    figures: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]]
    notes: Sequence[str]

    def draw(self, theme: Theme) -> Figure:
        """The picture."""
        columns = in_order(column for panel in self.panels for column, at in self.figures[panel.figure].items() if at)
        page = Page(self.title, columns, [" ".join([*self.notes, *self._gaps()])], PANEL, theme, joined=True)
        each = WIDTH / len(self.panels)
        for number, panel in enumerate(self.panels):
            curves = {column: points for column, points in self.figures[panel.figure].items() if points}
            axes = page.axes(number * each + 0.5, WIDTH - (number + 1) * each + 0.15, PANEL - 0.5, PANEL - 0.8)
            axes.set_title(panel.title, loc="left")
            axes.set_xlabel(self.what)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.grid(visible=True, linewidth=0.6)
            for column in reversed(in_order(curves)):
                sizes, values = zip(*curves[column], strict=True)
                axes.plot(sizes, [value / panel.unit for value in values], **style_of(column, theme))
            set_ticks(axes.xaxis, *axes.get_xlim(), steps=(1,))
            low, high = range_of((value / panel.unit for points in curves.values() for _, value in points), 8)
            axes.set_ylim(low, high)
            set_ticks(axes.yaxis, low, high, steps=(1, 2, 5) if high / low < WIDE else (1,))
        return page.figure

    def _gaps(self) -> Iterator[str]:
        curves = self.figures[self.panels[0].figure]
        found: dict[int, set[str]] = {}
        for column, points in curves.items():
            for size, _ in points:
                found.setdefault(size, set()).add(column)
        return gaps(curves, {short(size): found[size] for size in sorted(found)})


class Picture(Protocol):
    """What can be drawn, under a name."""

    @property
    def name(self) -> str:
        """That of its files."""

    def draw(self, theme: Theme) -> Figure:
        """The picture on a page of that kind."""


NOT_COMPARED = (str(BASELINE), str(FLOOR))
PANELS = {
    "tasks": (
        Panel("ns", "time per task, µs", 1e3),
        Panel("bytes", "memory per task, bytes", 1),
        Panel("peak", "peak memory, MiB", MIB),
    ),
    "timers": (
        Panel("ns", "time per timer, µs", 1e3),
        Panel("bytes", "memory per timer, bytes", 1),
        Panel("peak", "peak memory, MiB", MIB),
    ),
    "connections": (
        Panel("turn", "time per message, in turn, µs", 1e3),
        Panel("all", "time per message, all at once, µs", 1e3),
        Panel("peak", "server's peak memory, MiB", MIB),
    ),
}


def speed(directory: Path) -> Iterator[Picture]:
    """A picture of each group of workloads, for each Python."""
    found = load(directory)
    for version, (columns, results) in found.items():
        ratios = compare(columns, results)
        for group, title in GROUPS.items():
            names = [name for name, entry in WORKLOADS.items() if entry.group == group and name in results]
            rows = {name: row(name, results, ratios) for name in names}
            if rows:
                yield Dots(
                    f"speed-{group}-{version}" if len(found) > 1 else f"speed-{group}",
                    f"{title[0].upper()}{title[1:]}: how many times as fast as CPython's C _asyncio",
                    rows,
                    list(dict.fromkeys(each for each in (*columns, *PEER_LOOPS) if each not in NOT_COMPARED)),
                    [f"CPython {version}."],
                )


def row(name: str, results: Results, ratios: Ratios) -> dict[str, Ratio]:
    """By implementation. The floor is compared with ours only, so its own comes from the times."""
    known = {column: ratios.get(against_baseline(column), {}).get(name) for column in results[name]}
    found = {column: ratio for column, ratio in known.items() if ratio}
    if str(FLOOR) in results[name]:
        baseline, floor = (results[name][str(each)].nanoseconds() for each in (BASELINE, FLOOR))
        found[str(FLOOR)] = Ratio(*[baseline / floor] * 3)
    return found


def network(file: Path) -> Iterator[Picture]:
    """A picture of the servers and clients under load, for each Python."""
    results = json.loads(file.read_text())
    for version, run in results.items():
        rows, wanted = {}, dict[str, None]()
        for name, by_column in run["cases"].items():
            cells = {
                column: Measured(bursts=[Burst(**burst) for burst in cell["bursts"]])
                for column, cell in by_column.items()
                if not cell["failure"] and column != AGAIN
            }
            baseline = cells.pop(str(BASELINE), None)
            if baseline:
                rows[name] = {column: ratio(baseline, cell) for column, cell in cells.items()}
                wanted |= dict.fromkeys(column for column in by_column if column not in (*NOT_COMPARED, AGAIN))
        yield Dots(
            f"network-{version}" if len(results) > 1 else "network",
            "Network: requests for the CPU time of one on CPython's C _asyncio",
            rows,
            list(wanted),
            [f"CPython {version}."],
        )


def growth(file: Path) -> Iterator[Picture]:
    """A picture of each kind of things that there can be many of."""
    results = json.loads(file.read_text())
    for kind, figures in results["growth"].items():
        known = [panel for panel in PANELS[kind] if any(figures[panel.figure].values())]
        if known:
            yield Curves(
                f"growth-{kind}",
                f"How cost grows with the number of {kind}",
                kind,
                known,
                figures,
                [f"Both axes are logarithmic. CPython {results['python']}."],
            )


SOURCES = {"speed": speed, "network.json": network, "growth.json": growth}


def files(picture: Picture) -> Iterator[tuple[str, bytes]]:
    """What a picture becomes."""
    for theme, name in ((LIGHT, "light"), (DARK, "dark")):
        svg = saved(picture, theme)
        yield f"{picture.name}-{name}.svg", svg.replace(f"'{FONT}'".encode(), b"sans-serif")


def saved(picture: Picture, theme: Theme) -> bytes:
    """A file's content."""
    file = io.BytesIO()
    with matplotlib.rc_context(SETTINGS | theme.settings()):  # type: ignore[arg-type]
        drawn = picture.draw(theme)
        drawn.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return file.getvalue()


def main() -> None:
    """Draw what there are results for."""
    parser = options.bare_parser(__doc__)
    parser.add_argument("results", type=Path, metavar="DIR", help="where the results are")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="(default: %(default)s)")
    arguments = parser.parse_args()
    found = {path: draw for name, draw in SOURCES.items() if (path := arguments.results / name).exists()}
    if not found:
        parser.error(f"{arguments.results} has none of {', '.join(SOURCES)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for path, draw in found.items():
        for picture in draw(path):
            for name, content in files(picture):
                (arguments.out / name).write_bytes(content)
                print(arguments.out / name)


if __name__ == "__main__":
    main()
