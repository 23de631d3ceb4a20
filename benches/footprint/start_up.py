"""What the line in `rasyncio.pth` costs each process of an environment, and `RASYNCIO=1` those that it reaches.

Processes of environments that are made for it, with the line and without, in turn: their CPU time, and the
instructions that they execute under callgrind, which are the same each time. The first `.pth` file of an environment,
whosever it is, has Python import the codec by which it reads such files; so the line is measured beside another one,
too. In a virtual environment Python goes through these files twice, up to 3.14.
"""

import os
import shutil
import statistics
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benches.instructions import callgrind
from benches.interpreter import ASK_TIMEOUT, run
from benches.rounds import progress

_PTH = Path(__file__).parents[2] / "python" / "rasyncio.data" / "platlib" / "rasyncio.pth"


class Case(NamedTuple):
    """A kind of process, and the one that it is compared with."""

    name: str
    code: str
    #: Which of the two `.pth` files the environment has: another one, and ours.
    files: tuple[bool, bool]
    value: str | None
    #: In a virtual environment, or outside of one, among what `pip install --user` installs.
    virtual: bool = True


OTHER, OURS, BOTH = (True, False), (False, True), (True, True)
PLAIN = Case("nothing, another .pth file", "", OTHER, None)
BARE = Case("nothing, no .pth file", "", (False, False), None)
ASYNCIO = Case("import asyncio, another .pth file", "import asyncio", OTHER, None)
#: The variable is not set: what every process of the environment pays.
LINE = Case("the line", "", BOTH, None)
OUTSIDE = Case("nothing, another .pth file, outside of one", "", OTHER, None, virtual=False)
CASES = (
    (PLAIN, LINE),
    (OUTSIDE, Case("the line, outside of a virtual environment", "", BOTH, None, virtual=False)),
    (BARE, Case("the line, in the only .pth file", "", OURS, None)),
    (PLAIN, Case("RASYNCIO=1, asyncio is not imported", "", BOTH, "1")),
    (ASYNCIO, Case("RASYNCIO=1 and import asyncio", "import asyncio", BOTH, "1")),
)


class Added(NamedTuple):
    """What a case has more than the one that it is compared with."""

    name: str
    base: str
    base_ms: float
    microseconds: float
    instructions: float | None


def measure(python: str, package: Path, processes: int) -> list[Added]:
    """Each case, for this Python, which has the package there."""
    base_python = _said([python, "-c", "import sys; print(sys._base_executable)"])
    with TemporaryDirectory() as folder:
        homes: dict[tuple[tuple[bool, bool], bool], Path] = {}
        for files, virtual in {(case.files, case.virtual) for pair in CASES for case in pair}:
            home = homes[files, virtual] = Path(folder, "-".join(map(str, (virtual, *files))))
            if virtual:
                subprocess.run([python, "-m", "venv", "--without-pip", home], check=True)
                site = next(home.glob("lib/python3.*/site-packages"))
            else:
                ask = "import site; print(site.getusersitepackages())"
                site = Path(_said([base_python, "-c", ask], PYTHONUSERBASE=str(home)))
                site.mkdir(parents=True)
            if files[0]:
                (site / "another.pth").write_text("# nothing\n")
            if files[1]:
                shutil.copy(_PTH, site)
                (site / "rasyncio").symlink_to(package)

        def process(case: Case) -> Process:
            home = homes[case.files, case.virtual]
            own = str(home / "bin" / "python") if case.virtual else base_python
            base = {} if case.virtual else {"PYTHONUSERBASE": str(home)}
            return [own, "-c", case.code], _environment(case.value) | base

        return [_compare(base, case, process, processes, Path(folder)) for base, case in CASES]


#: The command line, and the environment.
Process = tuple[list[str], Mapping[str, str]]


def _compare(base: Case, case: Case, process: Callable[[Case], Process], processes: int, folder: Path) -> Added:
    def each(take: Callable[[list[str], Mapping[str, str]], float]) -> tuple[float, float]:
        return take(*process(base)), take(*process(case))

    each(_cpu_seconds)  # what has to be compiled is compiled
    with progress() as bar:
        times = [each(_cpu_seconds) for _ in bar.track(range(processes))]
    instructions = None
    if shutil.which("valgrind"):
        first, second = each(lambda command, environment: _instructions(command, environment, folder))
        instructions = second - first
    base_ms = statistics.median(one for one, _ in times) * 1e3
    added = statistics.median(other - one for one, other in times) * 1e6
    return Added(case.name, base.name, base_ms, added, instructions)


def _said(command: list[str], **more: str) -> str:
    return run("start-up", command, ASK_TIMEOUT, {**_environment(None), **more}).strip()


def _environment(value: str | None) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("RASYNCIO", "PYTHON"))}
    return kept | {"PYTHONHASHSEED": "0"} | ({} if value is None else {"RASYNCIO": value})


def _cpu_seconds(command: list[str], environment: Mapping[str, str]) -> float:
    process = os.posix_spawn(command[0], command, environment)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return usage.ru_utime + usage.ru_stime


def _instructions(command: list[str], environment: Mapping[str, str], folder: Path) -> float:
    output = folder / "callgrind"
    options = ["--quiet", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no"]
    subprocess.run(["valgrind", *options, f"--callgrind-out-file={output}", *command], env=environment, check=True)
    return callgrind.read(output).total()
