"""The measured interpreter, which may be another one: it runs these modules in processes of its own.

A module that runs there imports nothing but the standard library at its top, and no asyncio:
`implementations.select` comes before that.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benches import probes
from benches.implementations import IMPLEMENTATIONS

ROOT = Path(__file__).parents[1]
ASK_TIMEOUT = 120.0


class Failed(Exception):
    """A process did not do what it should; the text says why, in one line."""


def command(python: str, module: str, *arguments: object) -> list[str]:
    """The command line that calls `main` of one of these modules."""
    return [python, "-c", f"{_find_modules()}; from {module} import main; main()", *map(str, arguments)]


def call(python: str, function: Callable[..., object], *arguments: object) -> list[str]:
    """The command line that calls a function of these modules and prints what it returns, as JSON."""
    imports = f"import json; from {function.__module__} import {function.__name__} as function"
    code = f"{_find_modules()}; {imports}; print(json.dumps(function(*json.loads(sys.argv[1]))))"
    return [python, "-c", code, json.dumps(arguments)]


def _find_modules() -> str:
    return f"import sys; sys.path.insert(0, {str(ROOT)!r})"


def run(what: str, command: Sequence[str], timeout: float, env: Mapping[str, str] | None = None) -> str:
    """What a process prints that must end well, and in time."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=timeout, env=env)
    except subprocess.TimeoutExpired:
        raise Failed(f"{what}: no end within {timeout:.0f} s") from None
    if done.returncode:
        raise Failed(f"{what}: exit status {done.returncode}, {last_words(done.stderr) or 'without a word'}")
    return done.stdout


def last_words(text: str) -> str:
    """The last line of what a process has to complain."""
    return text.strip().rpartition("\n")[2]


def ask(python: str, function: Callable[..., object], *arguments: object) -> Any:
    """What a function of these modules returns there. What it has to complain is shown."""
    done = subprocess.run(
        call(python, function, *arguments), check=False, capture_output=True, text=True, timeout=ASK_TIMEOUT
    )
    if done.returncode:
        raise SystemExit(f"{function.__name__}{arguments} failed in {python}:\n{done.stderr}")
    sys.stderr.write(done.stderr)
    return json.loads(done.stdout)


def why_absent(python: str, implementation: str) -> str:
    """Why an implementation that may be absent is; nothing if it is there."""
    if not IMPLEMENTATIONS[implementation].may_fail:
        return ""
    return str(ask(python, probes.error_of, implementation))
