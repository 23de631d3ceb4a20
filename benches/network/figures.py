"""What is measured of a case: the figures, and how a process comes by them. Standard library only, no asyncio."""

import resource
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figures:
    """One implementation in one case in one round. Latencies in microseconds."""

    requests: int
    seconds: float
    mean: float
    p50: float
    p99: float
    cpu: float  # seconds of the measured process
    other_cpu: float  # of the process at the other end

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def cpu_per_request(self) -> float:
        """Microseconds of the measured process."""
        return self.cpu / self.requests * 1e6

    @property
    def other_share(self) -> float:
        """How much of a CPU the other end used."""
        return self.other_cpu / self.seconds


def cpu_seconds(who: int = resource.RUSAGE_SELF) -> float:
    """CPU time of this process, all its threads and the kernel on their behalf."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def summary(latencies: Sequence[int], seconds: float, cpu: float) -> dict[str, Any]:
    """What a process tells of the requests that it has timed, in nanoseconds."""
    ordered = sorted(latencies)
    last = len(ordered) - 1
    return {
        "requests": len(ordered),
        "seconds": seconds,
        "mean": sum(ordered) / len(ordered) / 1e3,
        "p50": ordered[round(0.50 * last)] / 1e3,
        "p99": ordered[round(0.99 * last)] / 1e3,
        "cpu": cpu,
    }
