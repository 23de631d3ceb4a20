"""Rounds: everything is measured in turn, so that whatever else the machine does hits all of it alike."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@dataclass
class Cell:
    """What was measured of one case in one column, or why it was not."""

    failure: str = ""  # like "absent: ..." or "fails: ..."

    def text(self, of_figures: Callable[[Self], str]) -> str:
        """Its figures, or what kind of failure it is."""
        return self.failure.partition(":")[0] or of_figures(self)


def progress() -> Progress:
    """A progress bar, on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))


def in_turn(rounds: int, cases: Sequence[str], columns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each case in each column, once a round, with a progress bar.

    The columns of one case follow each other directly, and every round begins with another one.
    """
    with progress() as bar:
        steps = bar.add_task("", total=rounds * len(cases) * len(columns))
        for number in range(rounds):
            first = number % len(columns)
            for case in cases:
                for column in (*columns[first:], *columns[:first]):
                    bar.update(steps, description=f"round {number + 1}: {case} on {column}")
                    yield case, column
                    bar.advance(steps)
