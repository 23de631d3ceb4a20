"""The test of `src/histogram.rs`, which is plain Rust: cargo has no tests of an extension module."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SOURCE = next(folder for folder in Path(__file__).parents if (folder / "Cargo.toml").exists()) / "src/histogram.rs"


def test_the_histogram_passes_its_own_test(tmp_path: Path) -> None:
    rustc = shutil.which("rustc")
    assert rustc is not None
    program = tmp_path / "histogram"
    subprocess.run([rustc, "--test", "--edition", "2024", "-A", "dead_code", SOURCE, "-o", program], check=True)
    ran = subprocess.run([program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout
