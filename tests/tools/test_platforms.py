"""The crate on other platforms: it compiles for those that wheels are made for; where it cannot be built, or lacks
something, building it says so (build.rs)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def check(target: str, folder: Path, version: str) -> subprocess.CompletedProcess[str]:
    """`cargo check` for another platform, and that version of Python."""
    library = subprocess.run(
        ["rustc", "--print", "target-libdir", "--target", target], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(library).is_dir():
        pytest.skip(f"rustup target add {target}")
    return subprocess.run(
        ["cargo", "check", "--locked", "--lib", "--target", target, "--target-dir", folder],
        cwd=ROOT,
        env={**os.environ, "PYO3_CROSS": "1", "PYO3_CROSS_PYTHON_VERSION": version, "PYO3_BUILD_EXTENSION_MODULE": "1"},
        capture_output=True,
        text=True,
    )


# What wheels.yml builds, but for what this machine is and all other tests are run on. musl's types are not glibc's.
@pytest.mark.timeout(300)
@pytest.mark.parametrize("target", ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-gnu"])
def test_platforms_of_wheels(target: str, tmp_path: Path) -> None:
    done = check(target, tmp_path, "3.14")
    assert done.returncode == 0, done.stderr
    assert "warning: unused" not in done.stderr


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
    done = check(target, tmp_path, f"{sys.version_info[0]}.{sys.version_info[1]}")
    assert (done.returncode == 0) == works, done.stderr
    begin, end = says.split("*")
    assert any(line.startswith(begin) and end in line for line in done.stderr.splitlines()), done.stderr
