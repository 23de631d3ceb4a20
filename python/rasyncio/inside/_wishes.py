"""What a viewer wants to be on in the program, as long as it looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._profile import VARIABLE as PROFILE
from .._watch import VARIABLE as WATCH


@dataclass(frozen=True, slots=True)
class Wishes:
    """`threshold`: steps that take longer, in seconds, are watched for. `profile`: coroutine functions are timed."""

    threshold: float | None = None
    profile: bool = False

    def are_granted(self, snapshot: dict[str, Any]) -> bool:
        """Whether the program does so."""
        return self.refusal(snapshot) is None

    def refusal(self, snapshot: dict[str, Any]) -> str | None:
        """Why it does not, and what to do; None if it does."""
        watched = snapshot["watched"]
        if self.threshold is not None and (watched is None or watched > self.threshold):
            option = f"--watch {self.threshold:g}"
            if watched is not None:
                return f"the program itself watches for steps over {watched:g} s, and {option} does not change that"
            return _needs_process(option, snapshot["pid"], f"{WATCH}={self.threshold:g}")
        if self.profile and snapshot["functions"] is None:
            return _needs_process("--profile", snapshot["pid"], f"{PROFILE}=1")
        return None


def _needs_process(option: str, pid: float, variable: str) -> str:
    command = f"python -m rasyncio top {pid:.0f} {option}"
    return (
        f"{option} needs a process id, and Python 3.14 or later on both sides: {command}; or start the program with"
        f" {variable}"
    )
