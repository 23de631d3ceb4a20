"""What a report says of where it was measured: the machine, and the versions of what was compared."""

import json
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from implementations import PEER_LOOPS

LIBRARIES = ("rasyncio", *PEER_LOOPS)
CPU_INFO = Path("/proc/cpuinfo")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def machine() -> str:
    """One line about it."""
    models = re.findall(r"^model name\s*: (.*)$", CPU_INFO.read_text(), re.MULTILINE)
    if GOVERNOR.exists():
        governor = f"governor {GOVERNOR.read_text().strip()}"
    else:
        governor = "the system does not tell how it sets the CPU's frequency"
    return f"{platform.platform()}, {models[0] if models else 'unknown CPU'}, {os.cpu_count()} CPUs, {governor}"


def versions(python: str, packages: Sequence[str] = LIBRARIES) -> dict[str, str]:
    """Those of the packages that an interpreter has."""
    code = (
        "import importlib.metadata as m, json, sys\n"
        "found = {d.metadata['Name'].lower(): d.version for d in m.distributions()}\n"
        "print(json.dumps({n: found[n] for n in sys.argv[1:] if n in found}))"
    )
    done = subprocess.run([python, "-c", code, *packages], check=True, capture_output=True, text=True, timeout=60)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def named(versions: dict[str, str]) -> str:
    """Names and versions in one line."""
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def load_average(before: float, alone: str) -> str:
    """How busy it was before and is now, and what the benchmark alone makes of that."""
    return f"load average {before:.2f} before, {os.getloadavg()[0]:.2f} after (the benchmark alone makes {alone})"
