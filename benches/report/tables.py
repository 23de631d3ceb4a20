"""Tables on the terminal and as markdown, and where the markdown goes."""

import argparse
import sys
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benches.workloads import WORKLOADS

WIDTH = 160  # of what is shown elsewhere than on a terminal


@dataclass(frozen=True)
class Report:
    """One table with a title above it and notes below it. The first column is a name, the others are numbers.

    What follows a colon in a name explains it; that is left out on the terminal.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]

    def markdown(self) -> str:
        """The report as markdown."""
        lines = [f"#### {self.title}", ""]
        lines += ["| " + " | ".join(row) + " |" for row in (self.header, self._rulers(), *self.rows)]
        if self.notes:
            lines += ["", *(f"* {note}" for note in self.notes)]
        return "\n".join(lines) + "\n"

    def show(self, console: Console) -> None:
        """The report on a terminal."""
        table = Table(title=self.title, title_justify="left")
        for number, name in enumerate(self.header):
            table.add_column(name, justify="right" if number else "left", no_wrap=not number)
        for name, *cells in self.rows:
            table.add_row(name.partition(":")[0], *cells)  # what an operation is takes too much room
        console.print(table)
        for note in self.notes:
            console.print(f" * {note.replace('`', '')}", markup=False, highlight=False)

    def _rulers(self) -> list[str]:
        return ["---"] + ["---:"] * (len(self.header) - 1)


def counted(number: int, one: str, more: str) -> str:
    """A number of things in words: "1 round", "3 rounds"."""
    return f"{number} {one if number == 1 else more}"


def label(workload: str) -> str:
    """A workload's name and what one operation of it is."""
    return f"{workload}: {WORKLOADS[workload].operation}"


def output(
    sections: Mapping[str, Sequence[Report]], arguments: argparse.Namespace, hidden: Container[str] = ()
) -> None:
    """Print the reports, and put them into files if that was asked for: into each the sections that it has.

    Hidden sections are for files only.
    """
    markdown = {section: "\n".join(each.markdown() for each in reports) for section, reports in sections.items()}
    if arguments.markdown:
        print("\n".join(text for section, text in markdown.items() if section not in hidden))
    else:
        show([each for section, reports in sections.items() if section not in hidden for each in reports])
    for path in arguments.update:
        found = [section for section, text in markdown.items() if replace_section(path, section, text)]
        if not found:
            raise SystemExit(f"{path} has no {' or '.join(f'<!-- {section}:start -->' for section in sections)}")


def show(reports: Sequence[Report]) -> None:
    """Print the reports as tables."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    for each in reports:
        each.show(console)


def replace_section(path: Path, section: str, text: str) -> bool:
    """Replace what stands between a section's start and end comments, if the file has them."""
    start, end = f"<!-- {section}:start -->", f"<!-- {section}:end -->"
    before, found_start, rest = path.read_text().partition(start)
    _, found_end, after = rest.partition(end)
    if not (found_start and found_end):
        return False
    path.write_text(f"{before}{start}\n{text.rstrip()}\n{end}{after}")
    return True
