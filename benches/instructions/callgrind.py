"""Counting machine instructions of workloads with valgrind's callgrind.

A process does each workload three times: to warm up, N operations, 2 N operations. At each of the points between them
it calls `getppid`, before which callgrind writes down what it has counted so far and begins anew. The difference of the
last two, divided by N, is what one operation costs: start and end of the interpreter and of the event loop are in none
of it. The hash seed is fixed (valgrind fixes the address space), and the cyclic garbage collector is off.
"""

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benches import interpreter
from benches.workloads import find

WORKER = "benches.instructions.worker"
WARM_UP = 300  # operations: enough for the interpreter to specialise the code, and for freelists to fill
TIMEOUT = 900.0
OPTIONS = (
    "--quiet",
    "--tool=callgrind",
    "--dump-before=getppid",
    "--compress-strings=no",  # every name written out, which is easy to read
    "--compress-pos=no",
)


class Function(NamedTuple):
    """A function in an executable or a shared object."""

    file: str
    name: str


class Cost(NamedTuple):
    """What some operations cost, or one."""

    instructions: dict[Function, float]  # without those of called functions
    calls: dict[tuple[Function, Function], float]  # by caller and callee

    def total(self) -> float:
        """All instructions."""
        return sum(self.instructions.values())


def version() -> str:
    """Like 3.19.0."""
    if not shutil.which("valgrind"):
        raise SystemExit("valgrind is needed, which is not installed here (apt-get install valgrind)")
    done = subprocess.run(["valgrind", "--version"], check=True, capture_output=True, text=True)
    return done.stdout.strip().removeprefix("valgrind-")


def per_operation(
    python: str, implementation: str, names: Sequence[str], operations: int, keep: Path
) -> dict[str, Cost]:
    """What one operation of each workload costs. One process runs them all; callgrind's files go into a directory."""
    keep.mkdir(parents=True, exist_ok=True)
    output = keep / f"{'-'.join((*names, implementation))}.callgrind"
    repetitions = {name: max(1, operations // find(name).operations) for name in names}
    tasks = [f"{name}:{max(1, WARM_UP // find(name).operations)}:{repetitions[name]}" for name in names]
    command = [
        "valgrind",
        *OPTIONS,
        f"--callgrind-out-file={output}",
        *interpreter.command(python, WORKER, implementation, *tasks),
    ]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIMEOUT, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    costs = {}
    if not output.with_name(f"{output.name}.{3 * len(names)}").exists():
        raise SystemExit(f"{' '.join(command)}: callgrind did not notice the calls of getppid\n{done.stderr}")
    for number, name in enumerate(names):
        once, twice = (read(output.with_name(f"{output.name}.{3 * number + part}")) for part in (2, 3))
        costs[name] = _difference(once, twice, repetitions[name] * find(name).operations)
    return costs


def read(path: Path) -> Cost:
    """Sum up one of callgrind's files, https://valgrind.org/docs/manual/cl-format.html."""
    instructions: Counter[Function] = Counter()
    calls: Counter[tuple[Function, Function]] = Counter()
    caller_file = caller = callee_file = callee = ""
    of_callee = False  # the line after `calls=` has the callee's cost
    with path.open() as lines:
        for line in lines:
            key, _, value = line.rstrip("\n").partition("=")
            if key == "ob":
                caller_file = value
            elif key == "fn":
                caller = _plain(value)
            elif key == "cob":
                callee_file = value
            elif key == "cfn":
                callee = _plain(value)
            elif key == "calls":
                edge = Function(caller_file, caller), Function(callee_file or caller_file, callee)
                calls[edge] += int(value.split()[0])
                callee_file, of_callee = "", True
            elif key[:1].isdigit():
                if not of_callee:
                    instructions[Function(caller_file, caller)] += int(key.split()[1])
                of_callee = False
    return Cost(dict(instructions), dict(calls))


def _plain(name: str) -> str:
    """Without the level of recursion."""
    return re.sub(r"'\d+$", "", name)


def _difference(once: Cost, twice: Cost, operations: int) -> Cost:
    instructions = {
        each: (twice.instructions.get(each, 0) - once.instructions.get(each, 0)) / operations
        for each in once.instructions | twice.instructions
    }
    calls = {
        each: (twice.calls.get(each, 0) - once.calls.get(each, 0)) / operations for each in once.calls | twice.calls
    }
    return Cost(instructions, calls)
