"""The benchmark's honesty: what it says of loops that are absent or fail, its files, its refusal to mix them up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHES = Path(__file__).parents[2] / "benches"


@pytest.fixture
def fakes(tmp_path: Path) -> Path:
    """Other people's loops, as they may turn out: not importable, and broken."""
    (tmp_path / "uvloop.py").write_text("raise ImportError('built for another Python')")
    broken = "import asyncio\nclass EventLoop(asyncio.SelectorEventLoop):\n"
    broken += "    def create_future(self): raise RuntimeError('out of order')\n"
    (tmp_path / "blazio.py").write_text(broken)
    return tmp_path


def script(name: str, *arguments: str, path: Path, status: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, str(BENCHES / name), *arguments],
        env={"PYTHONPATH": str(path), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def test_run(fakes: Path) -> None:
    """Every cell has a figure or says why not; the files hold the same figures."""
    options = ("--quick", "--rounds=1", "--bench", "call_soon", "--loop=stock,ours,uvloop,blazio", "--markdown")
    text = script("run.py", *options, f"--json={fakes}/out", path=fakes)
    (row,) = [line for line in text.splitlines() if line.startswith("| call_soon:")]
    header = next(line for line in text.splitlines() if line.startswith("| one operation"))
    cells = dict(zip(*([cell.strip() for cell in line.split("|")[1:-1]] for line in (header, row)), strict=True))
    assert cells["c / uvloop"] == "absent"
    assert cells["c / blazio"] == "fails"
    assert "absent: uvloop, ImportError: built for another Python" in text
    assert "fails: blazio, call_soon: exit status 1, RuntimeError: out of order" in text
    assert float(cells["c / rasyncio"].split()[0]) > 0
    assert "the control, c against itself" in text

    results = json.loads((fakes / "out" / "results.json").read_text())
    figures = results["workloads"]["call_soon"]
    assert set(figures["ns"]) == {"c", "swap only", "rasyncio", "c again"}
    assert f"{figures['ratio']['c / rasyncio']['median']:.2f}" == cells["c / rasyncio"].split()[0]
    assert len(list((fakes / "out").glob("*-rasyncio.json"))) == 1


def test_run_needs_its_baseline(tmp_path: Path) -> None:
    assert "c on the loop stock" in script("run.py", "--loop=ours", path=tmp_path, status=2)
    assert "unknown vloop" in script("run.py", "--loop=stock,vloop", path=tmp_path, status=2)


def test_quick(fakes: Path) -> None:
    text = script("quick.py", "--impl=c,ours,uvloop,blazio", "--rounds=1", "call_soon", path=fakes)
    assert "absent: uvloop, ImportError: built for another Python" in text
    assert "RuntimeError('out of order')" in text
    assert "fails" in text


def test_mixups_are_noticed(tmp_path: Path) -> None:
    """A worker that would measure another implementation than it was asked for refuses."""
    (tmp_path / "rasyncio.py").write_text("def install(loop=True): pass")
    assert "asked for 'rasyncio'" in script("worker.py", "swap", "sleep0", path=tmp_path, status=1)
