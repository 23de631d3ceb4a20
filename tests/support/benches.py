"""Running the benchmarks' commands and modules, which are below `benches/`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_module(
    module: str, *arguments: str, path: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `python -m benches.MODULE` to its end, with modules from `path`, and more environment variables."""
    more = {"COLUMNS": "300", **({"PYTHONPATH": str(path)} if path else {}), **(env or {})}
    return subprocess.run(
        [sys.executable, "-m", f"benches.{module}", *arguments],
        cwd=ROOT,
        env=os.environ | more,
        capture_output=True,
        text=True,
        timeout=120,
    )


def check_module(module: str, *arguments: str, path: Path | None = None, status: int = 0) -> str:
    """The same; it must end with this exit status. Returns what it says, on stdout and stderr."""
    done = run_module(module, *arguments, path=path)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr
