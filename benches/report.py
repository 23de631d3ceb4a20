"""What the scripts of this directory have in common: command line, progress, tables on the terminal and as markdown."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from probes import CLOCKS
from workloads import WORKLOADS


@dataclass(frozen=True)
class Report:
    """One table with a title above it and notes below it. The first column is text, the others are numbers."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]

    def markdown(self) -> str:
        """The report as markdown."""
        lines = [f"#### {self.title}", ""]
        lines += ["| " + " | ".join(row) + " |" for row in (self.header, self._rulers(), *self.rows)]
        lines += [""] + [f"* {note}" for note in self.notes]
        return "\n".join(lines) + "\n"

    def show(self, console: Console) -> None:
        """The report on a terminal."""
        table = Table(title=self.title, title_justify="left")
        for number, name in enumerate(self.header):
            table.add_column(name, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*(cell.replace("`", "") for cell in row))
        console.print(table)
        for note in self.notes:
            console.print(f" * {note.replace('`', '')}", markup=False, highlight=False)

    def _rulers(self) -> list[str]:
        return ["---"] + ["---:"] * (len(self.header) - 1)


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that all scripts have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="+", default=[sys.executable], metavar="PATH", help="interpreters to measure")
    parser.add_argument("--markdown", action="store_true", help="print markdown instead of a table for the terminal")
    parser.add_argument(
        "--update",
        metavar="FILE",
        type=Path,
        nargs="+",
        default=[],
        help="also write the markdown into these files, between their <!-- SECTION:start --> and <!-- SECTION:end -->",
    )
    return parser


def add_clock(parser: argparse.ArgumentParser) -> None:
    """The option for measurements of time."""
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="cpu: CPU time, for a machine that others use too (nothing measured here waits for anything)",
    )


def progress() -> Progress:
    """A progress bar, on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))


def label(workload: str) -> str:
    """A workload's name and what one operation of it is."""
    return f"{workload}: {WORKLOADS[workload].operation}"


def output(reports: Sequence[Report], arguments: argparse.Namespace, section: str) -> None:
    """Print the reports, and put them into a file if that was asked for."""
    console = Console()
    markdown = "\n".join(report.markdown() for report in reports)
    if arguments.markdown:
        print(markdown)
    else:
        for report in reports:
            report.show(console)
    for path in arguments.update:
        replace_section(path, section, markdown)


def replace_section(path: Path, section: str, text: str) -> None:
    """Replace what stands between a section's start and end comments."""
    start, end = f"<!-- {section}:start -->", f"<!-- {section}:end -->"
    before, found_start, rest = path.read_text().partition(start)
    _, found_end, after = rest.partition(end)
    if not (found_start and found_end):
        raise ValueError(f"{path} has no {start} ... {end}")
    path.write_text(f"{before}{start}\n{text.rstrip()}\n{end}{after}")
