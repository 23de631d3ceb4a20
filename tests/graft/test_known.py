"""Each function of asyncio's that is grafted or passed over has a code that is known, on this release of Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest

import rasyncio
from rasyncio import _graft, _graft_digest

TOOL = Path(__file__).parents[2] / "tools" / "known-functions"


def test_python_3_11(installed: None) -> None:
    if sys.version_info >= (3, 12):
        assert _graft._reason(True) == ""
    else:
        rasyncio.install()
        assert rasyncio.grafted().on == ()
        assert "3.12 is the first that can be grafted" in str(rasyncio.grafted())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")
def test_this_release_is_known() -> None:
    done = subprocess.run([TOOL, "--check", sys.executable], capture_output=True, text=True, check=False)
    assert done.stdout == "all are known\n", done.stderr


def body(source: str) -> FunctionType:
    names: dict[str, FunctionType] = {}
    exec(source, names)
    return names["f"]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ('\n\ndef f(a, b=1):\n    "Another docstring."\n    return a + 1\n', True),
        ('def f(a, b=1):\n    "A docstring."\n    return a + 2\n', False),
        ('def f(a, b=2):\n    "A docstring."\n    return a + 1\n', False),
        ('def f(a, *, b=1):\n    "A docstring."\n    return a + 1\n', False),
        ('def f(x, b=1):\n    "A docstring."\n    return x + 1\n', False),
    ],
)
def test_digest(other: str, same: bool) -> None:
    function = body('def f(a, b=1):\n    "A docstring."\n    return a + 1\n')
    assert (_graft_digest.digest(function) == _graft_digest.digest(body(other))) is same


def test_an_unknown_function_stays_python(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.version_info < (3, 12):
        pytest.skip("3.11's functions cannot be grafted")
    from rasyncio import _graft_look

    known = dict(_graft_look.KNOWN)
    known["asyncio.queues.Queue.task_done"] = "0" * 16
    monkeypatch.setattr(_graft_look, "KNOWN", known)
    rasyncio.install()
    off = rasyncio.grafted().off
    assert off == {
        "asyncio.queues.Queue.task_done": (
            "the code of asyncio.queues.Queue.task_done is not known: another release, or changed"
        )
    }
