"""`python -m rasyncio --check`: what a process and its children would run on; with a program, what that does run on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.children import PATIENCE
from test_swap import skip_without_uvloop

OURS = ["Future and Task           rasyncio", "event loop                rasyncio.EventLoop"]
RUN = "import asyncio; asyncio.run(asyncio.sleep(0))"


def check(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rasyncio", *arguments],
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name != "RASYNCIO"},
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
    )


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ([], OURS),
        (["--no-loop"], ["event loop                asyncio.unix_events._UnixSelectorEventLoop"]),
        (["--as-uvloop"], ["event loop                rasyncio.EventLoop"]),
    ],
)
def test_without_a_program(options: list[str], rows: list[str], order: int) -> None:
    """Both the process itself and one that it starts have each row."""
    done = check(*[*options, "--check"][::order])
    assert (done.returncode, done.stderr) == (0, "")
    own, child = done.stdout.split("\n\nIn a child process:\n")
    for row in rows:
        assert row in own.splitlines() and row in child.splitlines()


def test_children_that_are_left_out() -> None:
    done = check("--no-children", "--check")
    assert (done.returncode, done.stderr) == (0, "")
    own, child = done.stdout.split("\n\nIn a child process:\n")
    assert OURS[0] in own.splitlines() and "Future and Task           CPython" in child.splitlines()
    assert "child processes           as they are (RASYNCIO is not set)" in own.splitlines()


@pytest.mark.parametrize("way", ["file", "-m", "-c"])
def test_program(tmp_path: Path, way: str) -> None:
    (tmp_path / "program.py").write_text(f"import sys; print('said', sys.argv[1:]); {RUN}")
    arguments = {"file": ["program.py"], "-m": ["-m", "program"], "-c": ["-c", (tmp_path / "program.py").read_text()]}
    done = check("--check", *arguments[way], "--as-uvloop", cwd=tmp_path)
    first, *rows = done.stdout.splitlines()
    assert re.match(r"Process \d+: python .*-m rasyncio ", first) and OURS[0] in rows
    assert "event loop                rasyncio.EventLoop; running: rasyncio.EventLoop" in rows
    # What the program itself says is no part of the report.
    assert (done.returncode, done.stderr) == (0, "said ['--as-uvloop']\n")


def test_options_count(tmp_path: Path) -> None:
    done = check("--no-loop", "--check", "-c", RUN)
    loop = "asyncio.unix_events._UnixSelectorEventLoop"
    assert f"event loop                {loop}; running: {loop}" in done.stdout.splitlines()
    assert done.returncode == 0


def test_program_that_chose_another_loop(tmp_path: Path) -> None:
    skip_without_uvloop()
    (tmp_path / "program.py").write_text("import asyncio, uvloop; uvloop.run(asyncio.sleep(0))")
    done = check("--check", "program.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")  # the report says it, and no warning besides
    assert "! program.py chose uvloop, so that uvloop.Loop runs, and not rasyncio's event loop;" in done.stdout
    assert check("--as-uvloop", "--check", "program.py", cwd=tmp_path).returncode == 0


def test_processes_of_a_program(tmp_path: Path) -> None:
    """Each that is reached reports; those with the same to say are one entry."""
    (tmp_path / "program.py").write_text(
        "import asyncio, multiprocessing\n"
        f"def work(): {RUN}\n"
        "if __name__ == '__main__':\n"
        "    for method in 'fork', 'spawn':\n"
        "        child = multiprocessing.get_context(method).Process(target=work)\n"
        "        child.start(); child.join()\n"
        "    work()\n"
    )
    done = check("--check", "program.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.startswith("Process ") for line in lines].count(True) == 3 and lines.count(OURS[0]) == 1
    alone = check("--check", "--no-children", "program.py", cwd=tmp_path).stdout.splitlines()
    assert [line.startswith("Process ") for line in alone].count(True) == 2  # not the one that was spawned
    assert "child processes           as they are (RASYNCIO is not set)" in alone


def test_program_that_does_not_end(tmp_path: Path) -> None:
    """It is ended, with its children: who is left would keep our end of the pipe from closing."""
    (tmp_path / "program.py").write_text(
        "import asyncio, subprocess\n"
        "async def main():\n"
        "    subprocess.Popen(['sh', '-c', 'trap \"\" TERM; sleep 600'])\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    done = check("--check", "program.py", cwd=tmp_path)
    assert done.returncode == 0 and OURS[0] in done.stdout.splitlines()


@pytest.mark.parametrize(("code", "status"), [("print('nothing')", 0), ("raise SystemExit(3)", 3)])
def test_program_without_a_loop(code: str, status: int) -> None:
    done = check("--check", "-c", code)
    assert done.returncode == 1
    assert done.stdout == (
        f"No event loop ran in a process that was reached; the program ended with status {status}.\n"
    )
