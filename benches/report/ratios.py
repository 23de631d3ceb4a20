"""Ratios of implementations, round by round, and how far they can be trusted."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benches.implementations import BASELINE

CONTROL = f"{BASELINE} again"  # the baseline, measured once more as if it were another implementation
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Ratio:
    """How many times as much as another: the median over the rounds, with its confidence interval."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, above: Sequence[float], below: Sequence[float]) -> "Ratio":
        """Compare round by round, since the processes of a round ran next to each other."""
        ratios = sorted(a / b for a, b in zip(above, below, strict=True))
        outside = left_out(len(ratios)) or 0
        return cls(statistics.median(ratios), ratios[outside], ratios[-1 - outside])

    def __str__(self) -> str:
        brackets = f" ({self.low:.2f}-{self.high:.2f})" if self.low < self.high else ""
        return f"{self.median:.2f}{brackets}"


def left_out(rounds: int) -> int | None:
    """How many of the sorted figures lie outside the 95 % confidence interval of their median, at either end.

    Each figure is below the true median with probability 1/2, whatever its distribution, so this is a matter of
    counting. None: there are too few rounds for such an interval.
    """
    tail, outside = 0.0, None
    for number in range(rounds):
        tail += math.comb(rounds, number) / 2**rounds
        if tail > (1 - CONFIDENCE) / 2:
            break
        outside = number
    return outside


def brackets(rounds: int) -> str:
    """What to say of the brackets behind a ratio, if there are any."""
    if rounds < 2:
        return ""
    enough = left_out(rounds) is not None
    interval = f"its {CONFIDENCE:.0%} confidence interval" if enough else "the lowest and the highest (few rounds)"
    return f"; in brackets {interval}"


def control(ratios: Iterable[Ratio], case: str, measured_twice: object = BASELINE) -> list[str]:
    """What to say of the control, if there is one."""
    apart = [abs(ratio.median - 1) for ratio in ratios]
    if not apart:
        return []
    median, most = statistics.median(apart), max(apart)
    return [
        f"the control, {measured_twice} against itself: {median:.1%} apart in the median {case}, {most:.1%} at most"
    ]
