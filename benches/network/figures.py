"""What is measured of a burst, and how it is read off the measured process from outside, which costs that nothing.

Standard library only, no asyncio: measured processes import this, too.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MINOR, MAJOR = 9, 11  # the places of the page faults in /proc/PID/stat, from 0 on


@dataclass(frozen=True)
class Burst:
    """A burst of requests to one implementation. Latencies in microseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    cpu: float  # seconds of the measured process
    faults: int  # its page faults
    other_cpu: float  # seconds of the process at the other end

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def cpu_per_request(self) -> float:
        """Microseconds of the measured process."""
        return self.cpu / self.requests * 1e6

    @property
    def faults_per_request(self) -> float:
        """Page faults of the measured process."""
        return self.faults / self.requests

    @property
    def other_cpu_per_request(self) -> float:
        """Microseconds of the process at the other end."""
        return self.other_cpu / self.requests * 1e6


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and of the kernel on its behalf, all its threads: what getrusage sums up."""
    return time.clock_gettime(~pid << 3 | 2)  # Linux's name for the CPU clock of a process


def page_faults(pid: int) -> int:
    """Page faults of a process, all its threads: what getrusage sums up."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[MINOR - 2]) + int(fields[MAJOR - 2])


def summary(latencies: Sequence[int], seconds: float) -> dict[str, Any]:
    """What a process tells of the requests that it has timed, in nanoseconds."""
    ordered = sorted(latencies)
    last = len(ordered) - 1
    return {
        "requests": len(ordered),
        "seconds": seconds,
        "p50": ordered[last * 50 // 100] / 1e3,
        "p99": ordered[last * 99 // 100] / 1e3,
    }
