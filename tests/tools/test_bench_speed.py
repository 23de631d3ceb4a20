"""The benchmark's honesty: what it says of loops that are absent or fail, its files, its refusal to mix them up."""

from __future__ import annotations

from pathlib import Path

import pyperf
import pytest

from support.benches import check_module


@pytest.fixture
def fakes(tmp_path: Path) -> Path:
    """Other people's loops, as they may turn out: not importable, and broken."""
    (tmp_path / "uvloop.py").write_text("raise ImportError('built for another Python')")
    broken = "import asyncio\nclass EventLoop(asyncio.SelectorEventLoop):\n"
    broken += "    def create_future(self): raise RuntimeError('out of order')\n"
    (tmp_path / "blazio.py").write_text(broken)
    return tmp_path


def test_run(fakes: Path) -> None:
    """Every cell has a figure or says why not; the files are pyperf's and hold the same figures."""
    options = ("--quick", "--rounds=1", "--bench", "call_soon", "--impl=c,swap,ours,uvloop,blazio", "--markdown")
    text = check_module("speed", *options, f"--json={fakes}/out", path=fakes)
    (row,) = [line for line in text.splitlines() if line.startswith("| call_soon:")]
    header = next(line for line in text.splitlines() if line.startswith("| one operation"))
    cells = dict(zip(*([cell.strip() for cell in line.split("|")[1:-1]] for line in (header, row)), strict=True))
    assert cells["c / uvloop"] == "absent"
    assert cells["c / blazio"] == "fails"
    assert "absent: uvloop, ImportError: built for another Python" in text
    assert "fails: blazio, call_soon: exit status 1, RuntimeError: out of order" in text
    assert float(cells["c / rasyncio"]) > 0
    assert "the control, c against itself" in text

    files = {path.name.partition("-")[2]: str(path) for path in (fakes / "out").iterdir()}
    assert set(files) == {"c.json", "swap-only.json", "rasyncio.json", "c-again.json"}
    found = {name: pyperf.Benchmark.load(path) for name, path in files.items()}
    assert {(name, each.get_name(), each.get_nrun()) for name, each in found.items()} == {
        (name, "call_soon", 1) for name in files
    }
    assert f"{found['c.json'].median() / found['rasyncio.json'].median():.2f}" == cells["c / rasyncio"]


def test_run_needs_its_baseline(tmp_path: Path) -> None:
    assert "c is what the others are compared with" in check_module("speed", "--impl=ours", path=tmp_path, status=2)
    assert "unknown: vloop" in check_module("speed", "--impl=c,vloop", path=tmp_path, status=2)


def test_mixups_are_noticed(tmp_path: Path) -> None:
    """A worker that would measure another implementation than it was asked for refuses."""
    (tmp_path / "rasyncio.py").write_text("def install(loop=True): pass")
    assert "asked for 'rasyncio'" in check_module("speed.worker", "swap", "sleep0", path=tmp_path, status=1)


def test_variants(tmp_path: Path) -> None:
    """A variant is what its variable makes of rasyncio, and another build is what is measured then."""
    options = ("--quick", "--rounds=1", "--bench", "call_soon", "--markdown")
    text = check_module("speed.variants", "RASYNCIO_GRAFT=0", *options, path=tmp_path)
    (row,) = [line for line in text.splitlines() if line.startswith("| call_soon:")]
    assert all(float(cell) > 0 for cell in row.split("|")[2:-1])
    assert "the control, rasyncio against itself" in text
    (tmp_path / "rasyncio.py").write_text("def install(loop=True): raise RuntimeError('the other build')")
    failed = check_module("speed.variants", f"PYTHONPATH={tmp_path}", *options, path=tmp_path / "none", status=1)
    assert "the other build" in failed


def test_a_variant_is_a_variable(tmp_path: Path) -> None:
    assert "'RASYNCIO_GRAFT' is not NAME=VALUE" in check_module(
        "speed.variants", "RASYNCIO_GRAFT", path=tmp_path, status=2
    )
