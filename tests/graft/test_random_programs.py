"""Random programs of locks, queues, timeouts, groups, threads and a reader do natively what Python does (`fuzz.py`).

In processes of their own: the interpreter tells of a thousand changes of a class and of no more, and programs that
patch classes make many.
"""

from __future__ import annotations

import sys

import pytest

from graft.fuzz import BATCH, KINDS
from support.children import TESTS, run_python

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")

PROGRAMS = """
import sys
from graft.fuzz import batch
kind, first, count = sys.argv[1:]
print(batch(kind, int(first), int(count)), end="")
"""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", range(20))
def test_random_programs(kind: str, number: int) -> None:
    done = run_python(PROGRAMS, kind, str(number * BATCH), str(BATCH), path=[TESTS])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
