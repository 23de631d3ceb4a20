"""A panic of the native code is a `SystemError` with its message, wherever it happens, and the program goes on.

The module is built once more for this, with a cargo feature that makes it panic on purpose (panics.py does).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What has become of each panic."""
    if shutil.which("cargo") is None:
        pytest.skip("building the module needs cargo")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    # Not the release profile: this one is built in half the time, and shares what clippy has built.
    environment = os.environ | {"PYO3_PYTHON": sys.executable, "PYO3_BUILD_EXTENSION_MODULE": "1"}
    build = ["cargo", "build", "--locked", "--quiet", "--features", "panic-on-purpose", "--target-dir", str(target)]
    subprocess.run(build, cwd=ROOT, env=environment, check=True, timeout=280)
    package = tmp_path_factory.mktemp("panics") / "rasyncio"
    shutil.copytree(ROOT / "python" / "rasyncio", package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    shutil.copy(target / "debug" / "lib_asyncio.so", package / "_asyncio.so")
    child = subprocess.run(
        [sys.executable, "-Wignore", "-Xfaulthandler", HERE / "panics.py"],
        env=os.environ | {"PYTHONPATH": str(package.parent), "RUST_BACKTRACE": "0"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert child.returncode == 0, f"exit status {child.returncode}\n{child.stdout}\n{child.stderr[-4000:]}"
    found: dict[str, str] = json.loads(child.stdout)
    return found


@pytest.mark.timeout(400)
def test_a_panic_is_a_system_error(outcomes: dict[str, str]) -> None:
    assert {place: outcome for place, outcome in outcomes.items() if outcome != "ok"} == {}
    assert len(outcomes) >= (81 if sys.version_info < (3, 12) else 140), "some were left out"
