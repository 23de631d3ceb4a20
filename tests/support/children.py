"""What several test files share."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent

#: How many times longer a child process may take: under valgrind (memcheck.py).
PATIENCE = float(os.environ.get("RASYNCIO_PATIENCE", "1"))
TESTS = Path(__file__).parents[1]


def run_python(
    code: str,
    *arguments: str,
    flags: Sequence[str] = ("-W", "error"),
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    path: Sequence[Path] = (),
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh interpreter, the one that runs the tests; `path` has directories that it imports from."""
    if path:
        env = dict(os.environ if env is None else env)
        env["PYTHONPATH"] = os.pathsep.join([*map(str, path), *filter(None, [env.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, *flags, "-c", dedent(code), *arguments],
        cwd=cwd,
        env=env,
        timeout=timeout * PATIENCE,
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
    )


def check_python(code: str, *arguments: str, cwd: Path | None = None) -> str:
    """Run `code` as run_python does; it must end well, with nothing on stderr. Returns its stdout."""
    done = run_python(code, *arguments, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, ""), f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
