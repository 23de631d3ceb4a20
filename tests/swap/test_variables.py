"""Variables in the environment with a value that nobody knows: one line says so, and the process goes on without."""

from __future__ import annotations

import os
import sys

import pytest

from support.children import run_python

LOOPS = "import asyncio, rasyncio\nfor _ in range(3): rasyncio.install(); asyncio.run(asyncio.sleep(0))\nprint('ran')"


@pytest.mark.parametrize(
    ("variable", "values", "expected"),
    [
        ("RASYNCIO_DOORBELL", ["7", "yes"], "0 or 1"),
        ("RASYNCIO_GRAFT", ["no", "2"], "0 or 1"),
        ("RASYNCIO_PROFILE", ["yes"], "1 or 0"),
        ("RASYNCIO_STATS", ["99999"], "a path of a Unix socket (with {pid} for the process's id), or a port"),
        ("RASYNCIO_WATCH", ["often", "-1"], "a number of seconds, such as 0.1"),
    ],
)
def test_unknown_value(variable: str, values: list[str], expected: str) -> None:
    """RASYNCIO_TLS, which a connection asks for, is in tests/net/test_tls_seams.py."""
    for value in values:
        done = run_python(LOOPS, env={**os.environ, variable: value})
        assert (done.returncode, done.stdout) == (0, "ran\n")
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"rasyncio: {variable} must be {expected}") and line.endswith(f", not {value!r}")
    done = run_python(LOOPS, env={**os.environ, variable: ""})
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


def test_value_that_is_no_text() -> None:
    environment = {**os.environb, b"RASYNCIO_DOORBELL": b"\xff"}
    done = run_python(LOOPS, env=environment)  # type: ignore[arg-type]
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert done.stderr == "rasyncio: RASYNCIO_DOORBELL must be 0 or 1, not '\\udcff'\n"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 has no grafts")
def test_grafts_stay_on() -> None:
    code = "import rasyncio; rasyncio.install(); print(len(rasyncio.grafted().on) > 5)"
    assert run_python(code, env={**os.environ, "RASYNCIO_GRAFT": "no"}).stdout == "True\n"
