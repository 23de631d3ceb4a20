"""The guard of the instruction counts: what it makes of callgrind's files, which a false valgrind hands it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import platform
from pathlib import Path
from typing import Any

import pytest

from benches.instructions.guard import main

OPERATIONS = 1000  # the guard's
WORKLOADS = ("sleep0", "future", "pingpong", "create_task", "gather", "call_soon", "timeout")
GUARDABLE = "# rasyncio: counted-clock, .symtab, rustc version 1.2.3 (abc 2026-01-02)\n"
MINOR = ".".join(platform.python_version_tuple()[:2])

# A function of ours that recurses, calls another of ours, malloc and a function without a name; then the interpreter's.
PART = """\
# callgrind format
positions: line
events: Ir

ob={library}
fl=step.rs
fn=_asyncio::task::step
7 {step}
fi=/rustc/option.rs
9 {recursive}
cfn=_asyncio::future::schedule
calls={operations} 0
9 123456
cob=/lib/libc.so.6
cfn=malloc
calls={mallocs} 0
9 654321

fn=_asyncio::task::step'2
7 {recursive}
cob=/lib/libc.so.6
cfn=0x0000000000001234
calls={operations} 0
9 654321

fn=_asyncio::future::schedule
3 {schedule}

ob=/bin/python
fn=PyIter_Send
0 {interpreter}
cob={library}
cfn=_asyncio::task::step
calls={operations} 0
0 999999

totals: 1
"""


class Bench:
    """A directory with a false valgrind, and a package `rasyncio` whose shared object has the marks of the real one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.library = directory / "rasyncio" / "_asyncio.py"
        self.library.parent.mkdir()
        self.library.with_name("__init__.py").touch()
        self.library.write_text(GUARDABLE)
        self.baseline = directory / "baseline.json"
        copies = "\n".join(
            f'cp "{directory}/{part}" "$output.{3 * number + part}"'
            for number in range(len(WORKLOADS))
            for part in (2, 3)
        )
        valgrind = directory / "valgrind"
        valgrind.write_text(
            f"""#!/bin/sh
            [ "$1" = --version ] && echo valgrind-3.99.0 && exit
            for option; do case "$option" in --callgrind-out-file=*) output="${{option#*=}}";; esac; done
            {copies}
            """
        )
        valgrind.chmod(0o755)

    def costs(self, *, step: int = 60, schedule: int = 40, mallocs: int = 1) -> None:
        """Let one operation of each workload cost that."""
        for part in (2, 3):
            times = OPERATIONS * (part - 1)
            fixed = 555  # before the first operation
            content = PART.format(
                library=self.library,
                operations=fixed + times,
                step=fixed + (step - 20) * times,
                recursive=fixed + 10 * times,
                schedule=fixed + schedule * times,
                mallocs=fixed + mallocs * times,
                interpreter=fixed + 5000 * times,
            )
            (self.directory / str(part)).write_text(content)

    def guard(self, *arguments: str, status: int = 0) -> str:
        """What the guard says. It runs in this process; what it measures does not."""
        said, ended = io.StringIO(), None
        with contextlib.redirect_stdout(said):
            try:
                main([f"--baseline={self.baseline}", *arguments])
            except SystemExit as end:
                ended = end.code
        assert bool(ended) == bool(status), said.getvalue()
        return f"{said.getvalue()}{ended}"

    def change_baseline(self, **changes: Any) -> None:
        self.baseline.write_text(json.dumps(json.loads(self.baseline.read_text()) | changes))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """With a baseline of 100 instructions and 2 calls an operation."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("COLUMNS", "300")
    bench = Bench(tmp_path)
    bench.costs()
    assert "is the baseline now" in bench.guard("--update-baseline")
    return bench


def test_baseline(bench: Bench) -> None:
    cost = {
        "instructions": {"_asyncio::future::schedule": 40.0, "_asyncio::task::step": 60.0},
        "calls": {"_asyncio::task::step calls libc.so.6": 1.0, "_asyncio::task::step calls malloc": 1.0},
    }
    assert json.loads(bench.baseline.read_text()) == {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "rustc": "1.2.3 (abc 2026-01-02)",
        "valgrind": "3.99.0",
        "workloads": dict.fromkeys(WORKLOADS, cost),
    }


def test_within_the_tolerance(bench: Bench) -> None:
    bench.costs(step=63)
    text = bench.guard()
    assert "ok: nothing" in text
    assert text.count("+3.0%") == len(WORKLOADS)


def test_dearer(bench: Bench) -> None:
    """It fails, names the function that grew before the one that shrank, and hints at the compiler only if another."""
    bench.costs(step=68, schedule=36)
    lines = bench.guard(status=1).splitlines()
    start = lines.index("gather: 100.0 -> 104.0 instructions in rasyncio per operation, +4.0%")
    assert lines[start + 1].strip() == "+8.0  _asyncio::task::step (60.0 -> 68.0, +13.3%)"
    assert lines[start + 2].strip() == "-4.0  _asyncio::future::schedule (40.0 -> 36.0, -10.0%)"
    assert lines[start + 3].startswith("call_soon: ")
    assert not any("another rustc" in line for line in lines)
    bench.change_baseline(rustc="1.2.4 (def 2026-02-03)")
    assert "another rustc" in bench.guard(status=1)


def test_more_calls(bench: Bench) -> None:
    bench.costs(mallocs=3)
    text = bench.guard(status=1)
    assert "sleep0: 2.0 -> 4.0 calls out of rasyncio per operation, +100.0%" in text
    assert "+2.0  _asyncio::task::step calls malloc (1.0 -> 3.0, +200.0%)" in text


def test_cheaper(bench: Bench) -> None:
    """No failure, but a hint; after the deliberate update the old cost is too much."""
    bench.costs(schedule=30)
    text = bench.guard()
    assert "cheaper than the baseline" in text
    assert "sleep0: 100.0 -> 90.0 instructions" in text
    bench.guard("--update-baseline")
    bench.costs()
    assert "sleep0: 90.0 -> 100.0 instructions" in bench.guard(status=1)


def test_what_cannot_be_compared(bench: Bench) -> None:
    bench.change_baseline(python="3.2.1")
    expected = f"no baseline for CPython {MINOR} on {platform.machine()}: the baseline is of CPython 3.2"
    assert expected in bench.guard(status=1)
    bench.change_baseline(python=f"{MINOR}.99")
    bench.guard()
    bench.change_baseline(machine="pdp11")
    assert f"the baseline is of CPython {MINOR} on pdp11" in bench.guard(status=1)
    bench.change_baseline(machine=platform.machine(), workloads={})
    assert "the baseline lacks call_soon, " in bench.guard(status=1)
    bench.baseline.unlink()
    assert "there is no baseline " in bench.guard(status=1)


def test_what_cannot_be_guarded(bench: Bench) -> None:
    bench.library.write_text(GUARDABLE.replace(".symtab", ""))
    assert "has no symbols" in bench.guard(status=1)
    bench.library.write_text(GUARDABLE.replace("counted-clock", ""))
    assert "without the feature counted-clock" in bench.guard(status=1)
    bench.library.write_text(GUARDABLE)
    for part in ("2", "3"):
        file = bench.directory / part
        file.write_text(file.read_text().replace(str(bench.library), "/another/rasyncio/_asyncio.so"))
    assert "sleep0 has done nothing in " in bench.guard(status=1)
