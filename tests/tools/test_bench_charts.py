"""How cost grows, and the charts: every figure is there or says why not; the same figures give the same files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyperf

from support.benches import ROOT, check_module

TIMES = "\N{MULTIPLICATION SIGN}"
FIGURES = {
    "tasks": {"ns", "bytes", "peak"},
    "timers": {"ns", "bytes", "peak"},
    "connections": {"turn", "all", "bytes", "peak"},
}


def test_growth_has_all_figures(tmp_path: Path) -> None:
    file = tmp_path / "growth.json"
    check_module("growth", "--quick", "--impl=c,ours", "--least=1000", "--most=1000", f"--json={file}")
    growth = json.loads(file.read_text())["growth"]
    assert {kind: set(figures) for kind, figures in growth.items()} == FIGURES
    for figures in growth.values():
        for columns in figures.values():
            assert [[size for size, value in columns[name] if value > 0] for name in ("c", "rasyncio")] == [[1000]] * 2


def test_growth_of_little(tmp_path: Path) -> None:
    """For one thing alone there are times, but no memory that could be told from noise."""
    file = tmp_path / "growth.json"
    check_module("growth", "--quick", "--impl=ours", "--most=1", f"--json={file}")
    growth = json.loads(file.read_text())["growth"]
    assert {
        kind: {name for name, columns in figures.items() if columns["rasyncio"]} for kind, figures in growth.items()
    } == {kind: figures - {"bytes"} for kind, figures in FIGURES.items()}


def test_growth_says_what_is_missing(tmp_path: Path) -> None:
    """A peer that is absent, one that fails, and one that can no more above a size."""
    (tmp_path / "uvloop.py").write_text("raise ImportError('built for another Python')")
    broken = "import asyncio\nclass EventLoop(asyncio.SelectorEventLoop):\n    left = 100\n"
    broken += "    def call_at(self, *args, **kwargs):\n        self.left -= 1\n"
    broken += "        if self.left < 0: raise RuntimeError('out of order')\n"
    broken += "        return super().call_at(*args, **kwargs)\n"
    (tmp_path / "blazio.py").write_text(broken)
    options = ("--quick", "--impl=c,uvloop,blazio", "--what=timers", "--least=100", "--most=1000", "--markdown")
    text = check_module("growth", *options, path=tmp_path)
    rows = {
        row[0]: row[1:]
        for row in ([cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines())
        if row
    }
    assert rows["ns per timer, uvloop"] == ["absent"] * 2
    assert rows["ns per timer, blazio"][-1] == "fails"
    assert "* absent: uvloop, ImportError: built for another Python" in text
    assert "* fails: blazio, timers, 1,000: exit status 1, RuntimeError: out of order" in text


def results(directory: Path) -> dict[str, set[str]]:
    """Write made-up result files. Returns what must be told by each chart."""

    def burst(cpu: float) -> dict[str, Any]:
        return {"requests": 1000, "seconds": 1, "p50": 1, "p99": 1, "cpu": cpu, "faults": 1, "other_cpu": 1}

    def save(column: str, implementation: str, ns: dict[str, float]) -> None:
        facts = {"python_version": "3.14.10 (64-bit)", "asyncio_implementation": implementation, "column": column}
        suite = []
        for name, each in ns.items():
            values = ([each * noise / 1e9] for noise in (0.9, 1, 1.1))
            runs = [pyperf.Run(value, metadata=facts | {"name": name}, collect_metadata=False) for value in values]
            suite.append(pyperf.Benchmark(runs))
        pyperf.BenchmarkSuite(suite).dump(str(directory / "speed" / f"3.14.10-{column}.json"))

    (directory / "speed").mkdir()
    save("c", "c", {"sleep0": 1700.0, "threadsafe": 4800.0, "chat": 9000.0})
    save("rasyncio", "ours", {"sleep0": 230.0, "threadsafe": 340.0, "chat": 8000.0})
    save("uvloop", "uvloop", {"sleep0": 900.0, "chat": 8500.0})
    save("floor", "floor", {"sleep0": 200.0})
    cells = {
        "c": {"failure": "", "bursts": [burst(1.0), burst(1.1)]},
        "rasyncio": {"failure": "", "bursts": [burst(0.5), burst(0.5)]},
        "rasyncio again": {"failure": "", "bursts": [burst(0.5), burst(0.5)]},
        "rloop": {"failure": "fails: no", "bursts": [burst(0.5)]},
    }
    (directory / "network.json").write_text(json.dumps({"3.14.10": {"notes": [], "cases": {"echo-1k": cells}}}))
    points = {"c": [[1, 4000.0], [1000, 2500.0]], "rasyncio": [[1, 900.0], [1000, 600.0]], "blazio": []}
    points |= {"uvloop": points["c"][:1]}
    growth = {"tasks": dict.fromkeys(FIGURES["tasks"], points)}
    (directory / "growth.json").write_text(json.dumps({"python": "3.14.10", "growth": growth}))
    gaps = "No figures of blazio.", "No figure of uvloop: 1k."
    return {
        "speed-micro": {
            "sleep0",
            "threadsafe",
            f"7.39{TIMES}",
            "No figure of uvloop: threadsafe. No figures of rloop. No figures of zuvloop. No figures of blazio.",
            "limit (floor)",
        },
        "speed-program": {"chat", f"1.12{TIMES}"},
        "network": {"echo-1k", f"2.10{TIMES}"},
        "growth-tasks": {"time per task, µs", "memory per task, bytes", "peak memory, MiB", *gaps},
    }


def test_charts(tmp_path: Path) -> None:
    told = results(tmp_path)
    made = []
    for run in ("first", "second"):
        check_module("report.charts", str(tmp_path), f"--out={tmp_path / run}")
        made.append({path.name: path.read_bytes() for path in (tmp_path / run).iterdir()})
    assert made[0] == made[1]
    assert set(made[0]) == {f"{name}{end}" for name in told for end in ("-light.svg", "-dark.svg")}
    for name, words in told.items():
        light, dark = (made[0][f"{name}-{theme}.svg"].decode() for theme in ("light", "dark"))
        assert light != dark
        for svg in (light, dark):
            assert {word for word in {*words, "rasyncio"} if word not in svg} == set()
            assert len(svg) < 100_000


def test_front_chart_is_that_of_the_tables(tmp_path: Path) -> None:
    """The README's chart shows what benches/README.md has; where not: python -m benches.report.front."""
    check_module("report.front", f"--out={tmp_path}")
    for name in ("front-light.svg", "front-dark.svg"):
        assert (tmp_path / name).read_text() == (ROOT / "docs" / "charts" / name).read_text()


def test_front_chart(tmp_path: Path) -> None:
    head = "| one | rasyncio, μs | c | uvloop |\n| --- | ---: | ---: | ---: |\n"
    network = "".join(f"| {name}: a | 10 | 3.00 | 1.50 |\n" for name in ("fastapi-h11", "aiohttp"))
    network += "| websockets-1k-100: b | 10 | 0.90 (0.8-1.0) | 0.45 |\n"
    speed = "| one | c / rasyncio | c / uvloop |\n| --- | ---: | ---: |\n| create_task: t | 6.60 (6.0-7.0) | 1.87 |\n"
    tables = tmp_path / "README.md"
    sections = {"network": head + network, "bench": speed}
    tables.write_text("".join(f"<!-- {name}:start -->\n{text}<!-- {name}:end -->\n" for name, text in sections.items()))
    check_module("report.front", f"--from={tables}", f"--out={tmp_path}")
    for name in ("front-light.svg", "front-dark.svg"):
        svg = (tmp_path / name).read_text()
        for text in (f"3.0{TIMES} rasyncio", f"2.0{TIMES} uvloop", f"0.9{TIMES} rasyncio", f"6.6{TIMES} rasyncio"):
            assert text in svg
    tables.write_text(tables.read_text().replace("1.50", "fails"))
    assert "'fails' has no figure" in check_module("report.front", f"--from={tables}", f"--out={tmp_path}", status=1)
