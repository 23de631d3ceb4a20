"""What a viewer has of a program that it follows: the last snapshot, what changed, a tree of awaits, some history."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from ._client import Silent
from ._rates import Rates, rates

#: So many moments are remembered.
HISTORY_MAX = 600


class Source(Protocol):
    """Whoever can be asked, as a Client."""

    def snapshot(self) -> dict[str, Any]: ...
    def tree(self, task: str) -> dict[str, Any] | None: ...


class View:
    """Follows a program, one look at a time."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.snapshot: dict[str, Any] = source.snapshot()
        self.rates: list[Rates] = rates(None, self.snapshot)
        self.history: deque[tuple[float, list[Rates]]] = deque(maxlen=HISTORY_MAX)
        self.tree: dict[str, Any] | None = None
        self.chosen: str | None = None  # a task's identity; None: the first of the list
        self._answered = time.monotonic()
        self._is_silent = False
        self._look_at_tree()

    def look(self) -> None:
        """Look once more; a program that does not answer stays as it was seen last. Raises Unreachable."""
        self._ask(self._look)

    @property
    def silence(self) -> str | None:
        """For how long it has not answered; None if it has, when it was asked last."""
        return f"it has not answered for {time.monotonic() - self._answered:.0f} s" if self._is_silent else None

    def _ask(self, look: Callable[[], object]) -> None:
        try:
            look()
        except Silent:
            self._is_silent = True
        else:
            self._is_silent = False
            self._answered = time.monotonic()

    def _look(self) -> None:
        before, self.snapshot = self.snapshot, self._source.snapshot()
        if self.snapshot["time"] != before["time"]:
            self.rates = rates(before, self.snapshot)
            self.history.append((self.snapshot["time"], self.rates))
        self._look_at_tree()

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """The tasks that can be chosen."""
        listed: list[dict[str, Any]] = self.snapshot["tasks"]["listed"]
        return listed

    def choose(self, step: int) -> None:
        """Choose the task so many places further down the list."""
        if self.tasks:
            place = (self.place or 0) + step
            self.chosen = self.tasks[max(0, min(place, len(self.tasks) - 1))]["id"]
            self.look_at_tree()

    @property
    def place(self) -> int | None:
        """The place of the chosen task in the list; None if it is not there."""
        return next((place for place, task in enumerate(self.tasks) if task["id"] == self.chosen), None)

    @property
    def alive(self) -> float:
        """How many tasks there are."""
        return float(sum(loop["tasks_alive"] for loop in self.snapshot["loops"]))

    def look_at_tree(self) -> None:
        """Ask for the tree of the chosen task, or of the first. Raises Unreachable."""
        self._ask(self._look_at_tree)

    def tree_of(self, task: str) -> dict[str, Any] | None:
        """The tree of any task; None if it is gone, or the program does not answer. Raises Unreachable."""
        trees: list[dict[str, Any] | None] = []
        self._ask(lambda: trees.append(self._source.tree(task)))
        return trees[0] if trees else None

    def _look_at_tree(self) -> None:
        if self.place is None:
            self.chosen = self.tasks[0]["id"] if self.tasks else None
        self.tree = self._source.tree(self.chosen) if self.chosen is not None else None


def clock(moment: float) -> str:
    """A time of day, from time.time(); "?" for one that no clock can show."""
    try:
        return time.strftime("%H:%M:%S", time.localtime(moment))
    except (OverflowError, OSError, ValueError):
        return "?"


def duration(seconds: float) -> str:
    """Seconds in a unit that fits."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1 or unit == "µs":
            value = seconds * factor
            return f"{value:.0f} {unit}" if value >= 100 or value == 0 else f"{value:.3g} {unit}"
    return ""


def in_the_loop(stack: list[str]) -> list[str]:
    """The frames that the loop runs; what runs the loop is always the same."""
    runs = max((number for number, each in enumerate(stack) if ", in run_forever" in each), default=-1)
    return stack[runs + 1 :] or stack


def amount(number: float) -> str:
    """A number with a letter for thousands where it is large."""
    for letter in ("", "k", "M", "G", "T"):
        if number < 1000:
            return f"{number:.0f}{letter}" if not letter or number >= 100 else f"{number:.1f}{letter}"
        number /= 1000
    return f"{number:.0f}P"
