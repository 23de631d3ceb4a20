"""`python -m rasyncio --check`: what a process and its children would run on; with a program, what that does run on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.children import PATIENCE
from test_swap import skip_without_uvloop

OURS = ["Future and Task           rasyncio", "event loop                rasyncio.EventLoop"]
RUN = "import asyncio; asyncio.run(asyncio.sleep(0))"


def check(*arguments: str, cwd: Path | None = None, flags: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *flags, "-m", "rasyncio", *arguments],
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
    alone, left = check("--check", "--no-children", "program.py", cwd=tmp_path).stdout.split("\n\nLeft as they are")
    assert alone.count("Process ") == 2 and "spawn_main" in left
    assert "child processes           as they are (RASYNCIO is not set)" in alone.splitlines()


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


def test_child_that_is_not_reached() -> None:
    """Python's own options go to children, too, as multiprocessing hands them on."""
    done = check("--check", flags=["-E"])
    own, child = done.stdout.split("\n\nIn a child process:\n")
    assert (done.returncode, done.stderr) == (1, "")
    assert OURS[0] in own.splitlines() and "Future and Task           CPython" in child.splitlines()


STOCK_CHILD = """\
import asyncio, os, subprocess, sys
async def main():
    arguments = [sys.executable, *sys.argv[1:], "-c", "import sys; print('up'); sys.stdout.flush(); sys.stdin.read()"]
    with subprocess.Popen(arguments, stdin=-1, stdout=-1, env={**os.environ, **VARIABLES}) as child:
        child.stdout.readline()
        await asyncio.sleep(0.5)
        child.stdin.close()
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells")
@pytest.mark.parametrize(
    ("flags", "variables", "why"),
    [
        (["-I"], {}, "Python was started with -I, which hides RASYNCIO from it: start it without"),
        (["-W", "error", "-sE"], {}, "Python was started with -E, which hides RASYNCIO from it: start it without"),
        (["-X", "dev", "-S"], {}, "Python was started with -S, which hides RASYNCIO from it: start it without"),
        ([], {"RASYNCIO": "0"}, "RASYNCIO is '0' in its environment"),
        (["-P", "-X", "E"], {}, None),
    ],
)
def test_processes_that_are_not_reached(
    tmp_path: Path, flags: list[str], variables: dict[str, str], why: str | None
) -> None:
    """Whose reports could not come in is named all the same."""
    (tmp_path / "program.py").write_text(STOCK_CHILD.replace("VARIABLES", repr(variables)))
    done = check("--check", "program.py", *flags, cwd=tmp_path)
    assert done.stderr == "" and OURS[0] in done.stdout.splitlines()
    said = [line for line in done.stdout.splitlines() if line.startswith("! ")]
    assert (done.returncode, said) == ((1, [f"! This one was not reached: {why}."]) if why else (0, []))
    assert len(re.findall(r"^Process \d+: python ", done.stdout, re.MULTILINE)) == 1 + (why is not None)
    alone = check("--check", "--no-children", "program.py", *flags, cwd=tmp_path)
    assert alone.returncode == 0 and "Left as they are, for --no-children says so:\nProcess " in alone.stdout


def test_forks_are_reached_as_their_parent_is(tmp_path: Path) -> None:
    """Also those that run no loop, and those whose command says something else by now."""
    (tmp_path / "program.py").write_text(
        "import asyncio, os, time\n"
        "if not os.fork():\n"
        "    time.sleep(0.5)\n"
        "    os._exit(0)\n"
        "async def main(): await asyncio.to_thread(os.wait)\n"
        "asyncio.run(main())\n"
    )
    done = check("--check", "program.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "") and "not reached" not in done.stdout


def test_no_report_comes_in(tmp_path: Path) -> None:
    """What is there is named, and nobody waits for ever."""
    (tmp_path / "program.py").write_text(
        "import subprocess, sys\nsubprocess.run([sys.executable, '-I', '-c', 'import time; time.sleep(600)'])\n"
    )
    done = check("--check", "program.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    first, program, child, why = re.sub(r"Process \d+: ", "", done.stdout).replace("\n\n", "\n").splitlines()
    assert first == "No event loop ran in a process that was reached, and none is waited for."
    assert program.endswith("-m rasyncio program.py") and child == "python -I -c import time; time.sleep(600)"
    assert why.startswith("! This one was not reached: Python was started with -I")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_whoever_ends_it_ends_the_program(tmp_path: Path, number: int) -> None:
    """And what that has started, in another session too: who is left would keep our end of the pipe from closing."""
    (tmp_path / "program.py").write_text(
        "import pathlib, subprocess, sys\n"
        "with subprocess.Popen(['sleep', '600'], start_new_session=True):\n"
        "    pathlib.Path('up').touch()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "rasyncio", "--check", "program.py"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # under nohup it is ignored, by children as well
    ) as checking:
        while not (tmp_path / "up").exists():
            assert checking.poll() is None
            time.sleep(0.01)
        checking.send_signal(number)
        assert checking.communicate(timeout=60 * PATIENCE) == (None, "")
    assert checking.returncode == -number


def test_interrupt_ends_the_waiting_alone(tmp_path: Path) -> None:
    """As Control-C does: what is known by then is said."""
    (tmp_path / "program.py").write_text("import time, pathlib; pathlib.Path('up').touch(); time.sleep(600)")
    with subprocess.Popen(
        [sys.executable, "-m", "rasyncio", "--check", "program.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as checking:
        while not (tmp_path / "up").exists():
            assert checking.poll() is None
            time.sleep(0.01)
        checking.send_signal(signal.SIGINT)
        said, _ = checking.communicate(timeout=60 * PATIENCE)
    assert checking.returncode == 1 and said.startswith("No event loop ran in a process that was reached, and none")
