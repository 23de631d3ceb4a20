"""What a report says of where it was measured: the machine, the interpreter, and the versions of what was compared."""

import os
from collections.abc import Sequence

import pyperf

from benches import probes
from benches.implementations import PEER_LOOPS
from benches.interpreter import ask

LIBRARIES = ("rasyncio", *PEER_LOOPS)


def machine() -> str:
    """One line about it."""
    facts = pyperf.Run([1.0]).get_metadata()
    frequency = facts.get("cpu_config", "the system does not tell how it sets the CPU's frequency")
    return f"{facts['platform']}, {facts.get('cpu_model_name', 'unknown CPU')}, {facts['cpu_count']} CPUs, {frequency}"


def interpreter(python: str, note: str = "") -> str:
    """One line about a measured interpreter, with a remark."""
    return f"{ask(python, probes.description)}{f'; {note}' if note else ''}"


def versions(python: str, packages: Sequence[str] = LIBRARIES) -> dict[str, str]:
    """Those of the packages that an interpreter has."""
    found: dict[str, str] = ask(python, probes.versions, packages)
    return found


def named(versions: dict[str, str]) -> str:
    """Names and versions in one line."""
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def load_average(before: float, alone: str) -> str:
    """How busy it was before and is now, and what the benchmark alone makes of that."""
    return f"load average {before:.2f} before, {os.getloadavg()[0]:.2f} after (the benchmark alone makes {alone})"
