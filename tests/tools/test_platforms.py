"""Where the crate cannot be built, or lacks something, building it says so (build.rs)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("target", "works", "says"),
    [
        (
            "x86_64-pc-windows-msvc",
            False,
            "error: rasyncio@* rasyncio cannot be built for windows: it has no event loop",
        ),
        (
            "aarch64-apple-darwin",
            True,
            "warning: rasyncio@* rasyncio is made and tested for Linux. On macos Future, Task",
        ),
    ],
)
def test_other_platforms(target: str, works: bool, says: str, tmp_path: Path) -> None:
    library = subprocess.run(
        ["rustc", "--print", "target-libdir", "--target", target], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(library).is_dir():
        pytest.skip(f"rustup target add {target}")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    done = subprocess.run(
        ["cargo", "check", "--locked", "--target", target, "--target-dir", tmp_path],
        cwd=ROOT,
        env={**os.environ, "PYO3_CROSS": "1", "PYO3_CROSS_PYTHON_VERSION": version, "PYO3_BUILD_EXTENSION_MODULE": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode == 0) == works, done.stderr
    begin, end = says.split("*")
    assert any(line.startswith(begin) and end in line for line in done.stderr.splitlines()), done.stderr
